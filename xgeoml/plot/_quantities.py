"""Colours that go with a quantity, and their limits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from xgeoml.exceptions import InputError, did_you_mean

if TYPE_CHECKING:
    from matplotlib.colors import Colormap

Extend = Literal["neither", "both", "min", "max"]

# Colours reach from and to these percentiles: a few outliers shall not take all of them.
_ROBUST = (1.0, 99.0)
# Values count as signed where the smaller side is at least this share of the larger one.
_SIGNED = 0.05


class Look(NamedTuple):
    """How a quantity is drawn.

    Attributes
    ----------
    cmap : str
        Of matplotlib. Sequential ones are monotone in lightness, diverging ones have no red
        beside green.
    signed : bool or None
        Whether its colours are symmetric about 0; None: where its values have both signs.
    from_zero : bool
        Whether the colours of values without negative ones begin at 0.
    """

    cmap: str
    signed: bool | None = False
    from_zero: bool = False


class Style(NamedTuple):
    """Colours and limits of one scale."""

    cmap: str | Colormap
    low: float
    high: float
    extend: Extend


DIFFERENCE = Look("RdBu_r", signed=True)
SPREAD = Look("YlOrBr", from_zero=True)
_WET_OR_DRY = Look("BrBG", signed=True)
_UNKNOWN = Look("viridis", signed=None)
# What diverging colours replace where nothing is known of a quantity that has both signs.
_UNKNOWN_SIGNED = "RdBu_r"

_WATER = re.compile(
    r"water|precip|rain|moisture|humidity|runoff|\b(tp|pr|lwe|tws|ewh|swe|lwe thickness)\b"
)
# Standard name, long name and name in words, in small letters; the first that is found counts.
_TABLE: tuple[tuple[re.Pattern[str], Look], ...] = tuple(
    (re.compile(words), look)
    for words, look in (
        (r"standard error|\bspread\b|standard deviation|uncertainty", SPREAD),
        (r"anomal|difference|departure|tendency|increment", DIFFERENCE),
        (r"precip|rain|\b(tp|pr|prate|prcp)\b", Look("YlGnBu", from_zero=True)),
        (r"snow|sea ice|\b(swe|snd|siconc)\b", Look("Blues_r", from_zero=True)),
        (r"(sea surface|sea water|sea) .*temperature|\b(sst|tos)\b", Look("plasma")),
        (r"temperature|dew ?point|\b(t2m|d2m|tas|tasmin|tasmax|skt)\b", Look("inferno")),
        (r"wind speed|gust|speed of|\bws(10)?\b", Look("BuPu", from_zero=True)),
        (
            r"(east|north)ward|zonal|meridional|\b[uv] component|\b[uv](10|100|10m|a|as)?\b",
            Look("PuOr_r", signed=True),
        ),
        (r"reflectivity|\bdbzh?\b", Look("inferno")),
        (r"humidity|\b(q|q2m|huss|hurs|rh)\b", Look("GnBu", from_zero=True)),
        (r"soil (moisture|water)|\b(sm|swvl\d)\b", Look("YlGnBu", from_zero=True)),
        (r"water storage|equivalent water|\b(lwe|lwe thickness|tws|ewh)\b", Look("BrBG", None)),
        (r"sea level|sea surface height|\b(ssh|sla|zos)\b", Look("RdBu_r", None)),
        (r"elevation|altitude|orograph|topograph|surface height|\b(dem|orog)\b", Look("YlOrBr")),
        (r"cloud|\b(tcc|clt)\b", Look("Greys_r", from_zero=True)),
        (r"chlorophyll|vegetation|\b(ndvi|lai)\b", Look("YlGn")),
        (r"pressure|\b(sp|msl|psl)\b", Look("cividis")),
    )
)
# What a diverging scale of a water quantity becomes where all of its values have one sign.
_ONE_SIGN = {"BrBG": "YlGnBu", "RdBu_r": "viridis"}


def look_of(data: xr.DataArray) -> Look:
    """Return how a variable is drawn, from its standard name, long name, name and units."""
    told = (
        data.attrs.get("standard_name", ""),
        data.attrs.get("long_name", ""),
        "" if data.name is None else data.name,
    )
    words = " ".join(map(str, told)).lower().replace("_", " ")
    if str(data.attrs.get("units", "")).lower() == "dbz":
        words += " reflectivity"
    found = next((look for pattern, look in _TABLE if pattern.search(words)), _UNKNOWN)
    return _WET_OR_DRY if found is DIFFERENCE and _WATER.search(words) else found


def look_of_difference(data: xr.DataArray) -> Look:
    """Return how differences of a variable are drawn: more water is green, more warmth red."""
    words = " ".join(str(v) for v in (*data.attrs.values(), data.name)).lower().replace("_", " ")
    return _WET_OR_DRY if _WATER.search(words) else DIFFERENCE


def style_of(look: Look, values: Iterable[ArrayLike], cmap: str | None = None) -> Style:
    """Return the colours and the limits that several fields share.

    Parameters
    ----------
    look : Look
    values : iterable of array_like
        All that is drawn with this scale.
    cmap : str, optional
        The user's word.

    Raises
    ------
    InputError
        If matplotlib has no such colours.
    """
    if cmap is not None:
        _check_cmap(cmap)
    flat = [np.asarray(v, np.float64).ravel() for v in values]
    known = np.concatenate([v[np.isfinite(v)] for v in flat] or [np.empty(0)])
    if not known.size:
        return Style(cmap or look.cmap, 0.0, 1.0, "neither")
    least, most = float(known.min()), float(known.max())
    low, high = (float(v) for v in np.percentile(known, _ROBUST))
    if high <= low:
        low, high = least, most
    signed = look.signed
    if signed is None:
        signed = min(-low, high) > _SIGNED * max(-low, high)
    colours = look.cmap
    if signed:
        high = max(-low, high)
        low = -high
        colours = _UNKNOWN_SIGNED if look is _UNKNOWN else colours
    elif look.signed is None:
        colours = _ONE_SIGN.get(colours, colours)
    if look.from_zero and not signed and least >= 0.0:
        low = 0.0
    if high <= low:
        wide = 0.05 * abs(low) or 1.0
        low, high = low - wide, high + wide
    return Style(cmap or colours, low, high, _extend(least < low, most > high))


def _extend(below: bool, above: bool) -> Extend:
    if below and above:
        return "both"
    return "min" if below else "max" if above else "neither"


def _check_cmap(name: str) -> None:
    from matplotlib import colormaps

    if name not in colormaps:
        near = did_you_mean(name, list(colormaps)) or ["viridis", "RdBu_r"]
        raise InputError(
            f"cmap={name!r} is no colour map of matplotlib; expected such as "
            f"{' or '.join(map(repr, near))}"
        )
