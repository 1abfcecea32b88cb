"""Pieces of the pages that notebooks show: tables and sections in one look, everything escaped."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

__all__ = ["Html", "code", "join", "labelled", "page", "section", "table", "tag"]


class Html(str):
    """A text that is markup already; every other text is escaped where it is put in."""

    __slots__ = ()


def join(*parts: str) -> Html:
    """Return texts one after another, those escaped that are no markup."""
    return Html("".join(p if isinstance(p, Html) else html.escape(p) for p in parts))


def tag(name: str, *parts: str, **attributes: str | float) -> Html:
    """Return an element; an attribute called ``class_`` is its class."""
    told = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
    )
    return Html(f"<{name}{told}>{join(*parts)}</{name}>")


def code(text: str) -> Html:
    """Return what is to be typed."""
    return tag("code", text)


def table(
    rows: Iterable[Sequence[str]],
    head: Sequence[str] = (),
    *,
    caption: str = "",
    numbers: int | None = None,
) -> Html:
    """Return a table.

    Parameters
    ----------
    rows : iterable of sequences of str
        Cells.
    head : sequence of str
        Above the columns.
    caption : str
        Above the table.
    numbers : int, optional
        The first column of numbers, which stand right, as all after it.
    """

    def line(cells: Sequence[str], kind: str) -> Html:
        right = [{"class_": "xgeoml-number"} if k >= first else {} for k in range(len(cells))]
        return tag("tr", *(tag(kind, c, **r) for c, r in zip(cells, right, strict=True)))

    rows = list(rows)
    first = len(rows[0]) if numbers is None and rows else numbers or 0
    parts = [tag("caption", caption)] if caption else []
    if head:
        parts.append(tag("thead", line(head, "th")))
    parts.append(tag("tbody", *(line(row, "td") for row in rows)))
    return tag("div", tag("table", *parts, class_="xgeoml-table"), class_="xgeoml-wide")


def labelled(rows: Iterable[tuple[str, str]]) -> Html:
    """Return a table of labels and texts; a label that is that above is not repeated."""
    lines, above = [], None
    for label, text in rows:
        lines.append(tag("tr", tag("th", "" if label == above else label), tag("td", text)))
        above = label
    return tag("table", tag("tbody", *lines), class_="xgeoml-table xgeoml-labelled")


def section(title: str, *parts: str, summary: str = "", opened: bool = True) -> Html:
    """Return a part that can be folded."""
    head = tag("summary", title, tag("span", summary, class_="xgeoml-muted"))
    state = {"open": ""} if opened else {}
    return tag("details", head, tag("div", *parts, class_="xgeoml-body"), **state)


def page(title: str, *parts: str, kind: str = "") -> Html:
    """Return a whole repr: its style, its head and its parts.

    Parameters
    ----------
    title : str
        What the object is, or is called.
    *parts : str
        Below the head.
    kind : str
        Before the title, such as ``"xgeoml card"``.
    """
    head = tag("div", tag("span", kind, class_="xgeoml-kind"), title, class_="xgeoml-head")
    return tag("div", Html(f"<style>{_style()}</style>"), head, *parts, class_="xgeoml-repr")


@lru_cache(maxsize=1)
def _style() -> str:
    return Path(__file__).with_name("markup.css").read_text("utf-8")
