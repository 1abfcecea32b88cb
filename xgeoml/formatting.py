"""The text repr of ``.geoml``: what was found in an object, and what to type next."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from textwrap import shorten, wrap

import xarray as xr

from xgeoml.tasks.overview import Overview, Part, overview
from xgeoml.tasks.overview_gaps import Gaps, Strip
from xgeoml.tasks.overview_models import TaskModels
from xgeoml.tasks.overview_scores import Score, Scores
from xgeoml.weights.table import aligned

_WIDTH = 100
# Columns of a strip in text, and its blocks from little to all; absent steps are dots.
_COLUMNS, _BLOCKS, _ABSENT = 60, "▁▂▃▄▅▆▇█", "·"
# Names, units and paths may be a stranger's: no line of them fills the screen, or steers it.
_LONGEST = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
# Repeats of an evaluation that say too little of how sure differences are.
_TOO_FEW = 2


def describe(obj: xr.DataArray | xr.Dataset | xr.DataTree) -> str:
    """Return the text repr; problems become a line of it, never an error."""
    return in_text(overview(obj))


def in_text(found: Overview) -> str:
    """Return what is known of an object as text."""
    return "\n".join(_lines(found))


def _lines(found: Overview) -> Iterator[str]:
    yield f"<xgeoml on a {found.kind}>"
    above: tuple[TaskModels, ...] | None = None
    for part in found.parts:
        if part.path:
            yield f"group {plain(part.path)}"
        if isinstance(part, Scores):
            yield from _score_lines(part)
            continue
        yield from _part_lines(part, part.models == above)
        above = part.models
    if not found.parts:
        yield "  no data variables"
    if found.more:
        yield f"and {found.more} more groups"


def _part_lines(part: Part, same_models: bool) -> Iterator[str]:
    for axis in part.axes:
        told = f"{plain(axis.dim)} ({axis.size}), {plain(axis.how)}" if axis.dim else "n/a"
        extent = f", {plain(axis.extent)}" if axis.extent else ""
        yield f"  {axis.letter}: {told}{extent}"
    if part.others:
        yield f"  other dims: {plain(', '.join(part.others))}"
    for label, rows in (("grid", part.grid), ("time", part.time)):
        if rows:
            yield from _wrapped(f"  {label}: ", ", ".join(in_words(*row) for row in rows))
    for problem in part.problems:
        yield from _wrapped("  problem: ", problem)
    if part.gaps:
        yield "  gaps:"
    for gaps in part.gaps:
        yield from _wrapped(f"    {title_of(gaps)}: ", "; ".join(gaps_in_words(gaps)))
        if gaps.strip is not None and gaps.fillable:
            yield f"      |{strip_of(gaps.strip)}|"
    if part.more:
        yield f"    and {part.more} more"
    yield from _model_lines(part.models, same_models)
    yield from _call_lines(part.calls)


def _model_lines(models: Iterable[TaskModels], as_above: bool) -> Iterator[str]:
    if as_above and models:
        yield "  models: as above"
        return
    if models:
        yield "  models:"
    for task in models:
        yield f"    {task.task}"
        for kind, same in task.kinds():
            names = (m.name + " (auto)" * m.automatic for m in same)
            yield from _wrapped(f"      {kind}: ", ", ".join(names))


def _call_lines(calls: Iterable[str]) -> Iterator[str]:
    told = [f"    {plain(call)}" for call in calls]
    yield from ["  next:", *told] if told else []


def _score_lines(scores: Scores) -> Iterator[str]:
    for label, text in score_facts(scores):
        yield from _wrapped(f"  {label}: ", text)
    head, rows = score_table(scores)
    for count in range(len(head), 2, -1):
        # The other scores as far as they fit into a line.
        shown = aligned([list(row[:count]) for row in (head, *rows)])
        if max(map(len, shown)) < _WIDTH:
            break
    yield from (f"  {line}" for line in shown)
    for row in scores.rows:
        if row.failed:
            yield from _wrapped(f"  {plain(row.model)} failed: ", row.failed)
    yield from _call_lines(scores.calls)


def plain(text: str) -> str:
    """Return a text in one line, without characters that steer a terminal."""
    return shorten(_CONTROL.sub(" ", text), _LONGEST, placeholder=" ...")


def in_words(label: str, text: str) -> str:
    """Return a fact of the grid or of time where its label is not above it."""
    return {
        "cells": f"{text} cells",
        "resolution": text,
        "extent": text,
        "step": text,
        "calendar": f"{text} calendar",
        "records": text,
        "absent": f"{text} absent",
        "rate": text,
    }.get(label, f"{label} {text}")


def title_of(gaps: Gaps) -> str:
    """Return a variable's name and units."""
    return plain(gaps.variable + (f" [{gaps.units}]" if gaps.units else ""))


def gaps_in_words(gaps: Gaps) -> list[str]:
    """Return what a variable lacks, in a few phrases."""
    absent = f"{_steps(gaps.absent)} absent" if gaps.absent else ""
    if gaps.unread:
        return list(filter(None, (gaps.unread, absent)))
    if gaps.missing == 1:
        return ["no value at all"]
    about, where = "about " if gaps.about else "", " where ever seen" if gaps.never else ""
    lost = [absent, f"{about}{_steps(gaps.empty)} empty" if gaps.empty else ""]
    said = [f"{about}{percent(gaps.missing or 0.0)} missing{where}"]
    if not gaps.missing:
        said = [f"{about}complete{where}"]
    elif gaps.scattered and not any(lost):
        said = [f"{said[0]}, {_scattered(gaps)}"]
    elif any(lost):
        said.append(f"{', '.join(filter(None, lost))}, longest run {gaps.longest}")
        if gaps.scattered:
            said.append(f"{percent(gaps.scattered)} of the rest {_scattered(gaps)}")
    if gaps.never:
        cells, why = ("cells", " (land, edges)") if gaps.on_grid else ("series", "")
        said.append(f"{percent(gaps.never)} of the {cells} never seen{why}")
    return said


def _scattered(gaps: Gaps) -> str:
    if not gaps.long:
        return "scattered (clouds)" if gaps.on_grid else "scattered"
    size = _steps(gaps.long)
    if gaps.wide:
        across = " x ".join(map(str, gaps.wide))
        cells = across + (" cell" if across == "1" else " cells")
        return f"scattered (clouds), typically for {size} and over {cells}"
    return f"scattered, typically for {size}"


def _steps(count: int) -> str:
    return f"{count} step{'s' * (count != 1)}"


def percent(share: float) -> str:
    """Return a share in percent; what is little is not none, and what is nearly all is not all."""
    if 0 < share < 0.0005:
        return "under 0.1%"
    return "over 99.9%" if 0.9995 <= share < 1 else f"{share:.1%}"


def strip_of(strip: Strip) -> str:
    """Return a line of blocks along time, as high as the share that is observed."""
    count = len(strip.seen)
    every = -(-count // _COLUMNS)
    blocks = []
    for start in range(0, count, every):
        columns = slice(start, start + every)
        seen, absent = (sum(s[columns]) / len(s[columns]) for s in (strip.seen, strip.absent))
        if seen == 0:
            blocks.append(_ABSENT if absent > 0 else " ")
        else:
            # The full block is for what is complete.
            full = len(_BLOCKS) - 1
            blocks.append(_BLOCKS[full if seen > 1 - 1e-9 else int(seen * full)])
    return "".join(blocks)


def score_facts(scores: Scores) -> Iterator[tuple[str, str]]:
    """Yield what was tried and what came out, as labels and texts."""
    yield "evaluation", " of ".join(filter(None, (scores.task, scores.variable)))
    count = len(scores.hidden)
    if scores.holdout:
        times = f", {count} time{'s' * (count != 1)}" if count else ""
        yield "hidden", scores.holdout + times
    if count:
        least, most = min(scores.hidden), max(scores.hidden)
        yield "values hidden", f"{least:,}" if least == most else f"{least:,} to {most:,} a time"
    lead = scores.rows[0] if scores.rows else None
    if lead is None or lead.mean is None:
        yield "best", "none: every model failed"
        return
    value = " ".join(filter(None, (scores.score, _pair(lead), scores.units)))
    others = any(r.mean is not None for r in scores.rows[1:])
    if others and 0 < count <= _TOO_FEW:
        yield "best", f"{lead.model}, {value}"
        yield "differences", f"not to be judged by {_times(count)}; type repeats=4 or more"
        return
    near = [r.model for r in scores.rows[1:] if r.undecided]
    doubt = f"; not surely better than {', '.join(near)}" if near else ""
    clear = "; better than all others beyond doubt" if _is_clear(scores.rows) else ""
    yield "best", f"{lead.model}, {value}{doubt}{clear}"
    if others and count:
        yield "intervals", f"of 95 %, from {_times(count)}"


def _times(count: int) -> str:
    return "1 repeat" if count == 1 else f"{count} repeats"


def _is_clear(rows: tuple[Score, ...]) -> bool:
    others = [r for r in rows[1:] if r.mean is not None]
    return bool(others) and all(r.difference and not r.undecided for r in others)


def score_table(scores: Scores) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return the head and the rows of a table of scores."""
    units = f" [{scores.units}]" if scores.units else ""
    head = ("model", f"{scores.score}{units}", "to the best [95 %]", *scores.beside)
    rows = [
        (plain(r.model), _pair(r), _difference(r), *map(_number, r.beside)) for r in scores.rows
    ]
    return tuple(map(plain, head)), rows


def _pair(row: Score) -> str:
    if row.mean is None:
        return "failed" if row.failed else "-"
    return f"{row.mean:.4g}" + ("" if row.error is None else f" ± {row.error:.2g}")


def _difference(row: Score) -> str:
    if row.difference is None or row.difference == (0, 0, 0):
        return "-"
    middle, low, high = (f"{d:+.3g}" for d in row.difference)
    return f"{middle} [{low}, {high}]"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}"


def _wrapped(start: str, text: str) -> list[str]:
    """Return a label and a text in lines that are not too long."""
    inside = " " * (len(start) - len(start.lstrip()) + 2)
    whole = start + _CONTROL.sub(" ", text)
    return wrap(whole, _WIDTH, subsequent_indent=inside, break_on_hyphens=False) or [start]
