"""What a result says of itself: history, flag and spread attributes, encodings that still hold."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np

OBSERVED, FILLED, UNFILLED, SUSPECT = 0, 1, 2, 3
MEANINGS = "observed filled unfilled suspect"

# What describes a file's bytes, not the values: false once values are predicted.
_PACKING = frozenset(
    {
        "scale_factor",
        "add_offset",
        "dtype",
        "_Unsigned",
        "_FillValue",
        "missing_value",
        "least_significant_digit",
        "source",
        "original_shape",
        "chunks",
        "chunksizes",
        "preferred_chunks",
    }
)


def history_line(call: str) -> str:
    """Return one line for the ``history`` attribute: time (UTC), package, call."""
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return f"{now} xgeoml {version('xgeoml')}: {call}"


def with_history(attrs: Mapping[Hashable, Any], line: str) -> dict[Hashable, Any]:
    """Return `attrs` with `line` added to their history, oldest first."""
    before = attrs.get("history")
    return {**attrs, "history": f"{before}\n{line}" if before else line}


def flag_attrs(name: str) -> dict[str, Any]:
    """Return CF attributes of the variable that tells observed from filled cells."""
    return {
        "long_name": f"origin of {name}",
        "standard_name": "status_flag",
        "units": "1",
        # CF: of the variable's own type.
        "flag_values": np.array([OBSERVED, FILLED, UNFILLED, SUSPECT], np.int8),
        "flag_meanings": MEANINGS,
        "comment": (
            "suspect: observed, and kept as it is, but the whole step departs so far from its "
            "neighbours that no model learnt from it"
        ),
    }


def spread_attrs(name: str, attrs: Mapping[Hashable, Any]) -> dict[str, Any]:
    """Return attributes of the spread of `name`: its units, and its standard name if it has one."""
    made = {
        "long_name": f"spread of {name}: one standard deviation",
        "comment": "of filled cells; missing where the value was observed",
    }
    if "units" in attrs:
        made["units"] = attrs["units"]
    if "standard_name" in attrs:
        made["standard_name"] = f"{attrs['standard_name']} standard_error"
    return made


def number_attrs(name: str) -> dict[str, Any]:
    """Return CF attributes of the variable that counts the observed steps of a month."""
    return {
        "long_name": f"number of steps of the month at which {name} was observed",
        "standard_name": "number_of_observations",
        "units": "1",
    }


def with_ancillary(attrs: Mapping[Hashable, Any], names: list[str]) -> dict[Hashable, Any]:
    """Return `attrs` with `names` added to ``ancillary_variables``."""
    before = str(attrs.get("ancillary_variables", "")).split()
    return {**attrs, "ancillary_variables": " ".join(dict.fromkeys([*before, *names]))}


def encoding_that_holds(encoding: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
    """Return an encoding without what was true of the old values only (packing, chunks, source)."""
    return {k: v for k, v in encoding.items() if k not in _PACKING}
