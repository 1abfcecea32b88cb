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

# Letters of a label that go into an inch of it, and of a name within a title.
_LETTERS, _NAME = 13, 40
# Spellings in small letters, without spaces -> as it is printed.
_PRINTED = tuple(
    (re.compile(spelt), printed)
    for spelt, printed in (
        (r"celsius|deg(ree)?s?_?c(elsius)?", "°C"),
        (r"kelvins?|deg(ree)?s?_?k(elvin)?", "K"),
        (r"degrees?", "°"),
        (r"percent", "%"),
        (r"1|dimensionless|unitless", ""),
    )
)
# What is squared, as the power of waves: ``K2``, ``(m s-1)2``.
_SQUARED = re.compile(r"(?:\((?P<several>.+)\)|(?P<one>[^\W\d]+))2")
# The units at the end of a label, and what holds their words together.
_UNITS, _GLUE = re.compile(r" \([^()]*\)$"), "\xa0"
_POWER = re.compile(r"(?<=[A-Za-z)°])(?:\*\*|\^)?(-?\d+)(?![\d.])")
_RAISED = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def label_of(data: xr.DataArray) -> str:
    """Return what a variable is, with its units."""
    return with_units(words_of(data), data.attrs)


def broken(label: str, inches: float, lines: int = 3) -> str:
    """Return a label in lines of about one length, no longer than so many inches if they can be.

    Of words that do not go into so many lines the last are left out; units are kept in one piece.
    """
    letters = max(int(_LETTERS * inches), 12)
    if len(label) <= letters:
        return label
    found = _UNITS.search(label)
    at = len(label) if found is None else found.start()
    words, units = label[:at], label[at:]
    if len(label) > lines * letters:
        words = textwrap.shorten(words, max(lines * letters - len(units), letters), placeholder="…")
    whole = words + (units.replace(" ", _GLUE) if len(units) < letters else units)
    whole = whole.replace(" %", f"{_GLUE}%")
    widest = _lines(whole, letters)
    least = max(-(-len(whole) // len(widest)), *(len(word) for word in whole.split(" ")))
    narrower = (_lines(whole, n) for n in range(least, letters))
    made = next((lines for lines in narrower if len(lines) == len(widest)), widest)
    return "\n".join(made).replace(_GLUE, " ")


def _lines(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width, break_on_hyphens=False)


def shortened(name: str, letters: int = _NAME) -> str:
    """Return a name, of long ones the beginning and the end, such as that of a file."""
    half = (letters - 1) // 2
    return name if len(name) <= letters else f"{name[:half]}…{name[-half:]}"


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
    if squared := _SQUARED.fullmatch(text):
        inner = pretty_units(squared["several"] or squared["one"])
        return f"({inner})²" if " " in inner or "/" in inner else f"{inner}²"
    plain = "_".join(text.lower().split())
    text = next((printed for spelt, printed in _PRINTED if spelt.fullmatch(plain)), text)
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
