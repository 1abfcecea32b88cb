"""What all pictures share."""

from __future__ import annotations

import io
import re
import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeAlias

import xarray as xr

from xgeoml.exceptions import InputError, MissingExtraError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# A Figure, or with interactive=True an object of HoloViews, which has no types.
Drawn: TypeAlias = Any

# What is observed and what is filled, in every picture; both can be told apart by all eyes.
OBSERVED_COLOUR, FILLED_COLOUR, ABSENT_COLOUR, MISSING_COLOUR = (
    "#4878a8",
    "#d95f02",
    "#7b3294",
    "#d9d9d9",
)
# Half the width of the interval that holds 90 % of a normal distribution, in deviations.
HALF_90 = 1.645

# Letters of a label that go into an inch of it.
_LETTERS = 13
_DEGREES = {"degc": "°C", "celsius": "°C", "deg_c": "°C", "degrees_c": "°C", "degree_celsius": "°C"}
_DEGREES |= {
    "degrees_celsius": "°C",
    "kelvin": "K",
    "degk": "K",
    "deg_k": "K",
    "degree": "°",
    "degrees": "°",
    "percent": "%",
}
_POWER = re.compile(r"(?<=[A-Za-z)°])(?:\*\*|\^)?(-?\d+)(?![\d.])")
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def label_of(data: xr.DataArray) -> str:
    """Return what a variable is, with its units."""
    return with_units(words_of(data), data.attrs)


def broken(label: str, inches: float) -> str:
    """Return a label in lines that are no longer than so many inches."""
    return textwrap.fill(label, max(int(_LETTERS * inches), 12))


def words_of(data: xr.DataArray) -> str:
    """Return the long name, else the standard name in words, else the name."""
    standard = str(data.attrs.get("standard_name", "")).replace("_", " ")
    name = "values" if data.name is None else data.name
    return str(data.attrs.get("long_name") or standard or name)


def with_units(words: str, attrs: Mapping[Any, Any]) -> str:
    """Return words with the units that attributes tell."""
    units = pretty_units(attrs.get("units"))
    return f"{words} ({units})" if units else words


def pretty_units(units: object) -> str:
    """Return units as they are printed: ``m s⁻¹``, ``°C``; nothing for ``1``."""
    text = str("" if units is None else units).strip()
    if text in ("", "1"):
        return ""
    text = _DEGREES.get(text.lower(), text)
    return _POWER.sub(lambda found: found[1].translate(_RAISED), text)


def several_of(fields: object, name: str) -> dict[str, xr.DataArray]:
    """Return a mapping of names to DataArrays, or raise."""
    if not isinstance(fields, Mapping) or isinstance(fields, xr.Dataset) or not fields:
        raise InputError(f"{name}={fields!r:.60}: expected a mapping of names to DataArrays")
    for key, field in fields.items():
        if not isinstance(field, xr.DataArray):
            raise InputError(
                f"{name} has {key!r}, a {type(field).__name__}; expected a DataArray: of a Dataset "
                "one variable, ds['t2m']"
            )
    return dict(fields)


def picture_class() -> type[Figure]:
    """Return the class of figures that notebooks show, whether pyplot was used before or not."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("plot", "drawing", "matplotlib") from error

    class Picture(Figure):
        def _repr_png_(self) -> bytes:
            made = io.BytesIO()
            self.savefig(made, format="png")
            return made.getvalue()

    return Picture
