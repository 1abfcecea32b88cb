"""Rows of weights files that print as a table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import overload

from xgeoml import markup


@dataclass(frozen=True)
class WeightsRow:
    """One weights file.

    Attributes
    ----------
    model, version : str
        Of the model, ``"?"`` if the file does not tell.
    where : str
        ``"wheel"`` (an installed package), ``"folder"`` (of ``XGEOML_WEIGHTS_PATH``),
        ``"cache"`` or ``"not here"``.
    size : int or None
        In bytes, if known.
    path : Path or None
        The file, if it is here.
    state : str
        ``"sound"``, ``"damaged"``, ``"removed"``, why not to use it, or empty.
    """

    model: str
    version: str
    where: str
    size: int | None
    path: Path | None
    state: str = ""


class WeightsTable(Sequence[WeightsRow]):
    """Weights files in a row; print it."""

    def __init__(self, rows: Sequence[WeightsRow]) -> None:
        self._rows = tuple(rows)

    def __len__(self) -> int:
        """Return the number of files."""
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> WeightsRow: ...

    @overload
    def __getitem__(self, index: slice) -> WeightsTable: ...

    def __getitem__(self, index: int | slice) -> WeightsRow | WeightsTable:
        """Return a row, or a table of some."""
        return WeightsTable(self._rows[index]) if isinstance(index, slice) else self._rows[index]

    def __repr__(self) -> str:
        """Return the table as text."""
        if not self:
            return "no weights files"
        return "\n".join(aligned(list(self._cells())))

    def _repr_html_(self) -> str:
        """Return the table for a notebook."""
        head, *body = self._cells()
        shown = markup.table(body, head) if body else "none"
        return markup.page("", shown, kind="xgeoml weights")

    def _cells(self) -> Iterator[list[str]]:
        states = any(row.state for row in self)
        yield ["model", "version", "where", "size", *(["state"] if states else []), "file"]
        for row in self:
            size = "-" if row.size is None else f"{row.size / 1e6:.1f} MB"
            path = "-" if row.path is None else str(row.path)
            state = [row.state or "-"] if states else []
            yield [row.model, row.version, row.where, size, *state, path]


def aligned(table: list[list[str]]) -> list[str]:
    """Return the rows of a table as lines, their columns below one another."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip() for row in table
    ]
