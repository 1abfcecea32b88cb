"""What a command says of its result: which model was the best, what was filled and what was not."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import xarray as xr

from xgeoml.cli_files import Opened, groups_of
from xgeoml.provenance import FILLED, OBSERVED, SUSPECT, UNFILLED

# As `xgeoml.tasks.best` puts it into the history.
_BEST = re.compile(r" \(best by (.*)\): ")


def best_in(made: Opened) -> list[str]:
    """Return which models ``--model best`` took, each once, as the history says."""
    last = (str(d.attrs.get("history", "")).rpartition("\n")[2] for d in groups_of(made).values())
    return list(dict.fromkeys(m[1] for line in last if (m := _BEST.search(line))))


def filled_in(made: Opened, options: Mapping[str, Any]) -> Iterator[str]:
    """Yield how many values were filled, how many are still missing, and why.

    Parameters
    ----------
    made : Dataset or DataTree
        As `xgeoml.fill_gaps` returns it; its flags are read.
    options : mapping
        Of the command.
    """
    from xgeoml.axes import find_axes
    from xgeoml.tasks.earlier import flag_name

    for path, dataset in groups_of(made).items():
        for name, flag in ((n, dataset.get(flag_name(n))) for n in dataset.data_vars):
            if flag is not None:
                dims = {k: d for k, d in options.get("dims", {}).items() if d in flag.dims}
                time = find_axes(dataset[name], dims or None).names["T"]
                within = "" if path == "/" else f"{path.strip('/')}/"
                yield f"{within}{name}: {_in_words(*_counts(flag, time), options)}"


def _counts(flag: xr.DataArray, time: str) -> tuple[int, int, int]:
    """Return how many values are filled, are missing, and are missing in cells never observed."""
    missing = flag == UNFILLED
    never = missing & ~flag.isin([OBSERVED, SUSPECT]).any(time)
    each = {"filled": flag == FILLED, "missing": missing, "never": never}
    # At once: the flags are read from a file.
    counts = xr.Dataset(each).sum().compute()
    return int(counts["filled"]), int(counts["missing"]), int(counts["never"])


def _in_words(filled: int, left: int, never: int, options: Mapping[str, Any]) -> str:
    said = f"{filled:,} values filled, "
    if not left:
        return f"{said}none missing"
    asked = [
        words
        for name, words in (("mask", "outside --mask"), ("max_gap", "in gaps above --max-gap"))
        if options.get(name) is not None
    ]
    known = " or ".join(asked) or "of which the model knows nothing"
    reasons = {"in cells that were never observed": never, known: left - never}
    why = [f"{count:,} {reason}" for reason, count in reasons.items() if count]
    if len(why) == 1:
        return f"{said}{left:,} still missing, {why[0].partition(' ')[2]}"
    return f"{said}{left:,} still missing: {', '.join(why)}"
