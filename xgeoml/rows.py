"""What is told in rows of a label and a text, at a terminal and in a notebook alike."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable

from xgeoml import markup


class Rows(ABC):
    """An object that prints as a title above labelled rows."""

    @abstractmethod
    def _title(self) -> str:
        """Return what it is, such as ``"plan: fill_gaps"``."""

    @abstractmethod
    def _rows(self) -> Iterable[tuple[str, str]]:
        """Yield labels and texts."""

    def __repr__(self) -> str:
        """Return the rows as text."""
        return "\n".join([f"<xgeoml {self._title()}>", *lines(self._rows())])

    def _repr_html_(self) -> str:
        """Return the rows for a notebook."""
        kind, _, name = self._title().partition(": ")
        return markup.page(name, markup.labelled(self._rows()), kind=f"xgeoml {kind}")


def lines(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return labelled rows as lines, their texts below one another."""
    table = list(rows)
    width = max((len(label) for label, _ in table), default=0)
    return [f"  {label:<{width}}  {text}" for label, text in table]
