"""The repr of ``.geoml`` for notebooks: the facts of `xgeoml.tasks.overview` as a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import xarray as xr

from xgeoml.formatting import gaps_in_words, in_words, score_facts, score_table, title_of
from xgeoml.markup import Html, code, join, labelled, page, section, table, tag
from xgeoml.tasks.overview import Overview, Part, overview
from xgeoml.tasks.overview_gaps import Gaps, Strip
from xgeoml.tasks.overview_models import TaskModels
from xgeoml.tasks.overview_scores import Scores

# Units of a drawing; it is stretched to the width there is.
_WIDTH, _HEIGHT = 600.0, 30.0
_KEYS = {
    "seen": "observed",
    "cloud": "scattered gaps",
    "empty": "step without values",
    "absent": "absent step",
}


def describe_html(obj: xr.DataArray | xr.Dataset | xr.DataTree) -> str:
    """Return the repr as a page; problems become a line of it, never an error."""
    found = overview(obj)
    parts = [
        _scores(part) if isinstance(part, Scores) else _part(part, first=k == 0)
        for k, part in enumerate(found.parts)
    ]
    if not parts:
        parts = [tag("p", "no data variables")]
    if found.more:
        parts.append(tag("p", f"and {found.more} more groups"))
    return page(f"{found.kind}{_summary(found)}", *parts, kind="xgeoml")


def _summary(found: Overview) -> str:
    """Return the most telling facts of an object that is one part, for the head."""
    part = found.parts[0] if len(found.parts) == 1 else None
    if isinstance(part, Scores):
        return f" · evaluation of {part.task}"
    return "" if part is None else "".join(f" · {told}" for told in _telling(part))


def _telling(part: Part) -> list[str]:
    """Return the most telling facts of an object."""
    told = {label: in_words(label, text) for label, text in (*part.time, *part.grid)}
    return [told[k] for k in ("step", "records", "rate", "cells", "extent") if k in told]


def _part(part: Part, first: bool) -> Html:
    """Return what is told of a DataArray, a Dataset or a group, of which the first is unfolded."""
    told = " · ".join(_telling(part))
    inside = join(
        *(tag("p", problem, class_="xgeoml-bad") for problem in part.problems),
        *_axes(part),
        *_facts(part),
        *_gaps(part),
        *_models(part.models),
        *_calls(part.calls),
    )
    return (
        section(f"group {part.path}", inside, summary=told, opened=first) if part.path else inside
    )


def _axes(part: Part) -> Iterator[Html]:
    if not part.axes:
        return
    rows = [(a.letter, a.dim, str(a.size), a.extent, a.how) for a in part.axes if a.dim]
    # Seismograms have no map, and few maps have a height.
    wanted = "T" if "records" in dict(part.time) else "XYT"
    lost = [a.letter for a in part.axes if not a.dim and a.letter in wanted]
    told = ", ".join(r[1] for r in rows)
    body = [table(rows, ("axis", "dim", "size", "from, to", "found by"))] if rows else []
    if lost:
        body.append(tag("p", f"no {', '.join(lost)} axis found", class_="xgeoml-muted"))
    if part.others:
        body.append(tag("p", f"other dims: {', '.join(part.others)}"))
    yield section("Axes", *body, summary=told)


def _facts(part: Part) -> Iterator[Html]:
    for title, rows in (("Grid", part.grid), ("Time", part.time)):
        if rows:
            told = ", ".join(in_words(*row) for row in rows)
            yield section(title, labelled(rows), summary=told, opened=False)


def _gaps(part: Part) -> Iterator[Html]:
    if not part.gaps:
        return
    body = [join(*map(_variable, part.gaps))]
    if any(gaps.strip is not None and gaps.fillable for gaps in part.gaps):
        body.append(_legend(part.gaps))
    if part.more:
        body.append(tag("p", f"and {part.more} more variables"))
    lacking = [gaps.variable for gaps in part.gaps if gaps.fillable is not False]
    yield section("Gaps", *body, summary=", ".join(lacking) or "none to fill")


def _variable(gaps: Gaps) -> Html:
    words = join(tag("b", title_of(gaps)), " ", "; ".join(gaps_in_words(gaps)))
    drawn = [_drawn(gaps.strip)] if gaps.strip is not None and gaps.fillable else []
    return tag("div", tag("div", words), *drawn, style="margin: 4px 0")


def _drawn(strip: Strip) -> Html:
    """Return the shares of a strip as stacked columns, equal neighbours as one."""
    count = len(strip.seen)
    width = _WIDTH / count
    columns = list(zip(strip.seen, strip.empty, strip.absent, strict=True))
    bars, start = [], 0
    for end in range(1, count + 1):
        if end < count and columns[end] == columns[start]:
            continue
        when = " to ".join(dict.fromkeys([strip.first[start], strip.last[end - 1]]))
        bars.append(_column(columns[start], start * width, (end - start) * width, when))
        start = end
    picture = tag(
        "svg",
        *bars,
        class_="xgeoml-strip",
        viewBox=f"0 0 {_WIDTH:g} {_HEIGHT:g}",
        preserveAspectRatio="none",
        shape_rendering="crispEdges",
        role="img",
    )
    ends = (tag("span", strip.first[0]), tag("span", strip.last[-1]))
    return join(picture, tag("div", *ends, class_="xgeoml-ends"))


def _column(shares: Sequence[float], left: float, width: float, when: str) -> Html:
    """Return one column: what is seen at its foot, then what is scattered, empty and absent."""
    seen, empty, absent = shares
    stack = {"seen": seen, "cloud": 1 - seen - empty - absent, "empty": empty, "absent": absent}
    told = ", ".join(f"{share:.0%} {_KEYS[kind]}" for kind, share in stack.items() if share > 5e-3)
    foot, parts = _HEIGHT, []
    for kind, share in stack.items():
        if share < 1e-6:
            continue
        foot -= share * _HEIGHT
        size = {"x": left, "y": max(foot, 0.0), "width": width, "height": share * _HEIGHT}
        rounded = {k: f"{v:.4g}" for k, v in size.items()}
        parts.append(tag("rect", class_=f"xgeoml-{kind}", **rounded))
    return tag("g", tag("title", f"{when}: {told}"), *parts)


def _legend(gaps: Iterable[Gaps]) -> Html:
    """Return what the colours mean that are there."""
    strips = [g.strip for g in gaps if g.strip is not None]
    there = {
        "seen": True,
        "cloud": any(g.scattered for g in gaps),
        "empty": any(any(s.empty) for s in strips),
        "absent": any(any(s.absent) for s in strips),
    }
    parts = [
        join(tag("span", class_=f"xgeoml-key xgeoml-{kind}"), text)
        for kind, text in _KEYS.items()
        if there[kind]
    ]
    return tag("p", *parts, class_="xgeoml-muted")


def _models(models: Sequence[TaskModels]) -> Iterator[Html]:
    if not models:
        return
    rows = []
    for task in models:
        for kind, same in task.kinds():
            names = join(*_separated(_named(m.name, m.summary, m.automatic) for m in same))
            rows.append((task.task, kind, names))
    shown, above = [], ""
    for task_name, kind, names in rows:
        shown.append(("" if task_name == above else task_name, kind, names))
        above = task_name
    count = sum(model.enough for task in models for model in task.models)
    yield section("Models", table(shown), summary=f"{count} that fit these data", opened=False)


def _named(name: str, summary: str, automatic: bool) -> Html:
    shown = tag("span", name, title=summary)
    return join(shown, tag("span", " auto", class_="xgeoml-good")) if automatic else shown


def _separated(parts: Iterable[Html]) -> Iterator[str]:
    for k, part in enumerate(parts):
        if k:
            yield ", "
        yield part


def _calls(calls: Sequence[str]) -> Iterator[Html]:
    if calls:
        lines = tag("div", *map(code, calls), class_="xgeoml-calls")
        yield section("Next", lines, summary="methods to call")


def _scores(scores: Scores) -> Html:
    """Return the table of an evaluation."""
    head, rows = score_table(scores)
    shown: list[tuple[str, ...]] = [
        (tag("span", r[0], class_="xgeoml-good") if s.model == scores.best else r[0], *r[1:])
        for r, s in zip(rows, scores.rows, strict=True)
    ]
    failed = [
        tag("p", tag("b", f"{row.model} failed: "), row.failed, class_="xgeoml-bad")
        for row in scores.rows
        if row.failed
    ]
    told = labelled(score_facts(scores))
    inside = join(told, table(shown, head, numbers=1), *failed, *_calls(scores.calls))
    return section(f"group {scores.path}", inside) if scores.path else inside
