"""What a weight was trained on, how well it does, and what it is not for: its card."""

from __future__ import annotations

import dataclasses
import datetime as dt
import html
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from textwrap import shorten
from types import NoneType
from typing import Any, TypeVar

from xgeoml import markup
from xgeoml.exceptions import WeightsError
from xgeoml.markup import tag
from xgeoml.weights.table import aligned

Part = TypeVar("Part", "TrainingData", "SkillRow", "Card")

_KEY = re.compile(r"[a-z][a-z0-9_]*@\d+(\.\d+)*")
# Characters of a line of text; a notebook and Markdown show all of it.
_WIDEST = 300
# Sections of several entries, in the order of a page.
_LISTS = ("Skill", "Limits", "Training data")
# A card may be a stranger's: characters that steer a terminal do not belong in it.
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


@dataclass(frozen=True)
class TrainingData:
    """One record that a weight was trained on.

    Parameters
    ----------
    name : str
        Such as ``"CSR GRACE/GRACE-FO RL06.2 mascons"``.
    period : str
        First and last step used in training, such as ``"2002-04 to 2016-12"``.
    extent : str
        Region and grid, such as ``"land, 60S to 80N, 0.25 degrees"``.
    covariates : tuple of str
        The drivers given in training.
    license, attribution : str
        Of the record, as its makers ask for.
    """

    name: str
    period: str
    extent: str
    covariates: tuple[str, ...] = ()
    license: str = ""
    attribution: str = ""

    def __post_init__(self) -> None:
        """Take lists for tuples, and refuse values of another type."""
        _settle(self)

    def problems(self) -> list[str]:
        """Return what is missing, in words."""
        return _empty(self, "name", "period", "extent", "license", "attribution")


@dataclass(frozen=True)
class SkillRow:
    """The skill on one set of held-out values: the model beside its baselines.

    Parameters
    ----------
    data : str
        The record that the values were hidden in.
    hidden : str
        What was hidden, such as ``"run of 11 months"``.
    unit : str
        Of the metric.
    metric : str
        Such as ``"RMSE"``; lower is better.
    values : mapping of str to float
        The metric of each model: the model itself beside its baselines.
    coverage : float, optional
        Share of the hidden values within the model's interval of 90 %, 0 to 1.
    crps : mapping of str to float, optional
        Continuous ranked probability score of each model that gives a spread, in `unit`.
    """

    data: str
    hidden: str
    unit: str
    metric: str
    values: Mapping[str, float]
    coverage: float | None = None
    crps: Mapping[str, float] | None = None

    def __post_init__(self) -> None:
        """Refuse values of another type."""
        _settle(self)

    def __hash__(self) -> int:
        """Hash by content, since `values` is a mapping."""
        return hash(json.dumps(dataclasses.asdict(self), sort_keys=True))

    def problems(self) -> list[str]:
        """Return what is missing or makes no sense, in words."""
        found = _empty(self, "data", "hidden", "unit", "metric", "values")
        scores = {**self.values, **{f"crps of {k}": v for k, v in (self.crps or {}).items()}}
        found += [f"{k} = {v}: expected a number" for k, v in scores.items() if not _finite(v)]
        if self.coverage is not None and not 0 <= self.coverage <= 1:
            found.append(f"coverage {self.coverage}: expected a share between 0 and 1")
        return found


@dataclass(frozen=True)
class Card:
    """The card of a weight, in plain values that lie beside the spec in the file's header.

    Parameters
    ----------
    model : str
        ``name@version``.
    summary : str
        What the weight does, in a sentence.
    data : tuple of TrainingData
        What it was trained on.
    valid : str
        What it knows: the resolution, region and kind of series.
    skill : tuple of SkillRow
        Its skill on held-out values, beside its baselines.
    limits : tuple of str
        What it is not for.
    license, citation : str
        Of the weight.
    recipe : str
        The program that trains it anew, such as ``"python -m xgeoml.train.recipes.grace_tf"``.
    created : str
        Date, ``YYYY-MM-DD``.
    warning : str
        Why not to use it; empty for a sound release.

    Raises
    ------
    WeightsError
        If a value has another type.

    Examples
    --------
    >>> from xgeoml.weights import Card
    >>> card = Card("toy@1.0", "a toy", license="CC0-1.0")
    >>> card.problems()[0]
    'valid: is empty'
    >>> Card.from_json(card.to_json()) == card
    True
    """

    model: str
    summary: str
    data: tuple[TrainingData, ...] = ()
    valid: str = ""
    skill: tuple[SkillRow, ...] = ()
    limits: tuple[str, ...] = ()
    license: str = ""
    citation: str = ""
    recipe: str = ""
    created: str = ""
    warning: str = ""

    def __post_init__(self) -> None:
        """Take lists for tuples, and refuse values of another type."""
        _settle(self)

    def problems(self) -> list[str]:
        """Return what is missing for a complete card, in words; empty if nothing is."""
        found = _empty(self, "summary", "valid", "data", "skill", "limits")
        found += _empty(self, "license", "citation", "recipe")
        if not _KEY.fullmatch(self.model):
            found.append(f"model: {self.model!r}, expected name@version, such as 'grace_tf@1.0'")
        if not _is_date(self.created):
            found.append(f"created: {self.created!r}, expected a date, such as '2026-01-31'")
        own = {self.model, self.model.partition("@")[0]}
        for i, record in enumerate(self.data):
            found += [f"data[{i}].{problem}" for problem in record.problems()]
        for i, row in enumerate(self.skill):
            found += [f"skill[{i}].{problem}" for problem in row.problems()]
            if not own & set(row.values) or len(row.values) < 2:
                found.append(f"skill[{i}].values: expected the model itself beside its baselines")
        return found

    def to_json(self) -> str:
        """Return the card as a JSON text that `from_json` reads back.

        Raises
        ------
        WeightsError
            If a number is not finite.
        """
        try:
            return json.dumps(dataclasses.asdict(self), allow_nan=False, ensure_ascii=False)
        except ValueError as error:
            raise WeightsError(f"the card of {self.model} cannot be written: {error}") from error

    @classmethod
    def from_json(cls, text: str) -> Card:
        """Return the card that `to_json` wrote.

        Raises
        ------
        WeightsError
            If the text is no JSON object, or holds unknown or missing fields, or values of
            another type.
        """
        try:
            raw = json.loads(text)
        except (ValueError, TypeError, RecursionError) as error:
            raise WeightsError(f"a card cannot be read: {error}; expected JSON") from error
        raw = _fields_of(cls, raw)
        for name, part in (("data", TrainingData), ("skill", SkillRow)):
            items = raw.get(name, [])
            if not isinstance(items, list):
                raise WeightsError(f"{name} of a card is {items!r:.80}; expected a list")
            raw[name] = tuple(part(**_fields_of(part, item)) for item in items)
        return cls(**raw)

    def to_markdown(self) -> str:
        """Return the card as a page of Markdown, with a table for each row of skill."""
        lines = [f"# {_markdown(self.model)}", "", _markdown(self.summary), ""]
        if self.warning:
            lines += [f"**Warning: {_markdown(self.warning)}**", ""]
        for title, texts in self._sections():
            lines += [f"## {title}", ""]
            lines += [f"- {_markdown(text)}" for text in texts] if len(texts) > 1 else []
            lines += [_markdown(texts[0])] if len(texts) == 1 else []
            lines += [""] if texts else []
            if title == "Skill":
                for row in self.skill:
                    lines += _markdown_table(row)
        return "\n".join(lines).rstrip() + "\n"

    def __repr__(self) -> str:
        """Return the card as text."""
        lines = [f"<xgeoml card: {self.model}>"]
        if self.warning:
            lines.append(f"  WARNING: {_line(self.warning)}")
        lines.append(f"  {_line(self.summary)}")
        for title, texts in self._sections():
            lines.append(f"  {title}:")
            lines += [f"    {shorten(_line(text), _WIDEST)}" for text in texts]
            if title == "Skill":
                for row in self.skill:
                    lines.append(f"    {_line(_title(row))}")
                    lines += [f"      {line}" for line in aligned(_table(row))]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        """Return the card for a notebook; every text of it is escaped."""
        return markup.page(self.model, self.to_markup(), kind="xgeoml card")

    def to_markup(self) -> markup.Html:
        """Return the card as a piece of a page, without its head."""
        parts = [tag("p", self.summary)]
        if self.warning:
            parts.insert(0, tag("p", tag("b", f"Warning: {self.warning}"), class_="xgeoml-bad"))
        lists = {title: texts for title, texts in self._sections() if title in _LISTS}
        told = [(t.lower(), texts[0]) for t, texts in self._sections() if t not in lists]
        parts.append(markup.labelled(told))
        for title in (t for t in _LISTS if t in lists):
            items = [tag("li", text) for text in lists[title]]
            inside = _html_tables(self.skill) if title == "Skill" else [tag("ul", *items)]
            parts.append(markup.section(title, *inside, opened=title != "Training data"))
        return markup.join(*parts)

    def _sections(self) -> Iterator[tuple[str, list[str]]]:
        """Yield titles and texts; what the card does not say is left out."""
        sections = [
            ("Training data", [_described(record) for record in self.data]),
            ("Valid for", [self.valid]),
            ("Skill", []),
            ("Limits", list(self.limits)),
            ("License", [self.license]),
            ("Citation", [self.citation]),
            ("Recipe", [self.recipe]),
            ("Created", [self.created]),
        ]
        for title, texts in sections:
            said = [text for text in texts if text]
            if said or (title == "Skill" and self.skill):
                yield title, said


def _described(record: TrainingData) -> str:
    parts = [record.name, record.period, record.extent]
    if record.covariates:
        parts.append(f"with {', '.join(record.covariates)}")
    if record.license:
        parts.append(f"license {record.license}")
    if record.attribution:
        parts.append(record.attribution)
    return "; ".join(part for part in parts if part)


def _title(row: SkillRow) -> str:
    coverage = "" if row.coverage is None else f"; interval of 90 % holds {row.coverage:.1%}"
    return f"{row.data}, hidden: {row.hidden}{coverage}"


def _table(row: SkillRow) -> list[list[str]]:
    """Return the rows of one table of skill, its head first."""
    crps = row.crps or {}
    head = ["model", f"{row.metric} ({row.unit})", *([f"CRPS ({row.unit})"] if crps else [])]
    models = list(dict.fromkeys([*row.values, *crps]))
    scores = [row.values, *([crps] if crps else [])]
    body = [[m, *(f"{s[m]:.4g}" if m in s else "-" for s in scores)] for m in models]
    return [head, *body]


def _markdown_table(row: SkillRow) -> list[str]:
    head, *body = [[_markdown(cell) for cell in line] for line in _table(row)]
    lines = [f"| {' | '.join(line)} |" for line in (head, ["---"] * len(head), *body)]
    return [_markdown(_title(row)), "", *lines, ""]


def _html_tables(skill: Sequence[SkillRow]) -> Iterator[markup.Html]:
    """Yield a table for each metric and set of models, a row for each record and kind of gap."""
    groups: dict[tuple[str, tuple[str, ...]], list[list[str]]] = {}
    for row in skill:
        holds = "" if row.coverage is None else f"{row.coverage:.1%}"
        for name, values in ((row.metric, row.values), ("CRPS", row.crps or {})):
            last = [holds] if name == row.metric else []
            cells = [row.data, row.hidden, *_best_marked(values), *last]
            groups.setdefault((f"{name} ({row.unit})", tuple(values)), []).append(cells)
    for (caption, models), rows in groups.items():
        head = ("data", "hidden", *models, "in interval of 90 %")[: len(rows[0])]
        if models:
            yield markup.table(rows, head, caption=caption, numbers=2)


def _best_marked(values: Mapping[str, float]) -> list[str]:
    """Return numbers, the least of them in bold."""
    least = min(values.values(), default=0.0)
    return [tag("b", f"{v:.4g}") if v == least else f"{v:.4g}" for v in values.values()]


def _line(text: str) -> str:
    return " ".join(text.split())


def _markdown(text: str) -> str:
    return html.escape(_line(text), quote=False).replace("|", "\\|")


def _empty(part: object, *names: str) -> list[str]:
    return [f"{name}: is empty" for name in names if not getattr(part, name)]


def _finite(value: float) -> bool:
    return math.isfinite(value)


def _is_date(text: str) -> bool:
    try:
        dt.date.fromisoformat(text)
    except ValueError:
        return False
    return len(text) == len("2026-01-31")


def _fields_of(cls: type[Any], raw: Any) -> dict[str, Any]:
    """Return a JSON object whose names are fields of `cls`, none that it needs missing."""
    if not isinstance(raw, dict):
        raise WeightsError(f"a card holds {raw!r:.80}; expected a {cls.__name__} as a JSON object")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    unknown = [name for name in raw if name not in fields]
    needed = [n for n, f in fields.items() if f.default is dataclasses.MISSING and n not in raw]
    if unknown or needed:
        raise WeightsError(
            f"the {cls.__name__} of a card has unknown fields {unknown!r:.200} and lacks {needed}; "
            f"expected {list(fields)}. Was the file written by a later xgeoml? "
            "Type: pip install --upgrade xgeoml"
        )
    return dict(raw)


# What each kind of annotation above admits; numbers are never truth values.
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "float | None": (float, int, NoneType),
    "tuple[str, ...]": (tuple,),
    "tuple[TrainingData, ...]": (tuple,),
    "tuple[SkillRow, ...]": (tuple,),
    "Mapping[str, float]": (Mapping,),
    "Mapping[str, float] | None": (Mapping, NoneType),
}
_ITEMS: dict[str, tuple[type, ...]] = {
    "tuple[str, ...]": (str,),
    "tuple[TrainingData, ...]": (TrainingData,),
    "tuple[SkillRow, ...]": (SkillRow,),
    "Mapping[str, float]": (float, int),
    "Mapping[str, float] | None": (float, int),
}


def _settle(part: Part) -> None:
    """Turn lists into tuples and copy mappings; raise on a value of another type."""
    for field in dataclasses.fields(part):
        kind = str(field.type)
        value: Any = getattr(part, field.name)
        if isinstance(value, list):
            value = tuple(value)
        if isinstance(value, Mapping):
            value = dict(value)
        object.__setattr__(part, field.name, value)
        items: list[Any] = []
        if isinstance(value, dict):
            items = list(value.values())
        elif isinstance(value, tuple):
            items = list(value)
        right = isinstance(value, _TYPES[kind]) and not isinstance(value, bool)
        right &= all(isinstance(i, _ITEMS.get(kind, ())) and i is not True for i in items)
        if not right:
            raise WeightsError(
                f"{type(part).__name__}.{field.name} of a card is {value!r:.80}; expected {kind}"
            )
        texts = [value, *items, *(value if isinstance(value, dict) else ())]
        if any(isinstance(t, str) and _CONTROL.search(t) for t in texts):
            raise WeightsError(
                f"{type(part).__name__}.{field.name} of a card holds control characters"
            )
