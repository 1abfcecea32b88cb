"""Pictures of how much fields vary at each scale."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xgeoml.axes import find_axes, require
from xgeoml.exceptions import InputError
from xgeoml.grid import longitude, spacing, unwrap
from xgeoml.plot._choose import PIECE, GeoData, choose, in_pieces
from xgeoml.plot._figures import picture_class, pretty_units, several_of, shortened

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel
    from matplotlib.figure import Figure

# Spellings of metres, and from how many on the width of a grid is told in kilometres.
_METRES, _KILOMETRES = ("m", "metre", "metres", "meter", "meters"), 1e4
# Power below this share of the greatest is rounding.
_NOTHING = 1e-12
# Of the width of the first field: others are as wide, or their powers do not compare.
_AS_WIDE = 0.05


def spectrum(
    fields: GeoData | Mapping[str, xr.DataArray],
    variable: Hashable | None = None,
    *,
    factor: int | None = None,
    group: str | None = None,
    dims: Mapping[str, str] | None = None,
) -> Figure:
    """Draw the power of fields at each wavelength along their rows, see `metrics.zonal_spectrum`.

    Parameters
    ----------
    fields : DataArray, Dataset, DataTree or mapping
        One object, or several, name -> DataArray, over the same area; grids may differ. Fields on
        the cells of the first count where that is known. Of an ensemble (dim ``member``) the power
        is the mean of that of the members: their mean is smoother than any of them. All of lazy
        (dask) data is read, a few chunks at a time, since the power is a mean over all steps.
    variable : str, optional
        Of a Dataset; by default the first with an axis X.
    factor : int, optional
        How many times as fine as the coarse fields the first is: waves that those cannot hold are
        shaded.
    group : str, optional
        Of a DataTree; by default the first with such a variable.
    dims : mapping, optional
        Which dim is X, such as ``{"X": "i"}``, where it cannot be found out.

    Returns
    -------
    matplotlib.figure.Figure
        Wavelengths are in degrees of longitude, or in the units of the coordinate; in cells where
        it has no even steps. A field called ``truth`` is black.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    AxisError
        If there is no axis X.
    InputError
        If there is no field, or fields are not as wide as each other.

    Examples
    --------
    >>> import xgeoml
    >>> fine = xgeoml.datasets.mountain_temperature(steps=8)
    >>> fine.geoml.plot.spectrum("t2m").axes[0].get_xlabel()
    'wavelength (° of longitude)'
    """
    if isinstance(fields, (xr.DataArray, xr.Dataset, xr.DataTree)):
        chosen = choose(fields, variable, group, dims, needs=("X",), purpose="a spectrum")
        given = {chosen.name: in_pieces(chosen).data}
    else:
        if variable is not None or group is not None:
            raise InputError("variable= and group= go with one object; a mapping has DataArrays")
        given = several_of(fields, "fields")
    picture = picture_class()
    first = next(iter(given.values()))
    known = first.notnull()
    reference = _rows(first, dims)
    figure = picture(figsize=(6.5, 4.5), layout="constrained")
    panel = figure.subplots()
    longest, units = 0.0, ""
    for name, field in given.items():
        rows = _rows(field, dims)
        if reference[0] and rows[0] and abs(rows[1] / reference[1] - 1.0) > _AS_WIDE:
            raise InputError(
                f"{name!r} is {rows[1]:.4g} wide and {next(iter(given))!r} {reference[1]:.4g}; "
                "expected fields over the same area: cut the wider one, as in sel(...)"
            )
        same = set(first.dims) == set(field.dims) - {"member"} and all(
            field.sizes[d] == first.sizes[d] for d in first.dims
        )
        lengths, power, units = _power(field, known if same else None, first, dims)
        lengths = lengths * (reference[2] if same or not rows[0] else rows[2])
        style = {"color": "k", "lw": 2} if name == "truth" else {"lw": 1.3}
        panel.plot(lengths, power, label=name, **style)
        longest = max(longest, float(lengths.max()))
    if factor:
        cell = reference[2]
        panel.axvspan(
            2.0 * factor * cell,
            2.0 * cell,
            color="0.92",
            zorder=0,
            label="too short for coarse cells",
        )
    if not any(np.isfinite(line.get_ydata()).any() for line in panel.lines):
        raise InputError(
            f"{' and '.join(map(repr, given))} vary nowhere along rows, or have no value; expected "
            "fields with waves"
        )
    _name(panel, longest, reference[0], units)
    if len(given) > 1 or factor:
        panel.legend(frameon=False)
    else:
        panel.set_title(f"{shortened(next(iter(given)))}: power along rows", fontsize="medium")
    return figure


def spectra(
    truth: xr.DataArray,
    estimates: Mapping[str, xr.DataArray],
    *,
    factor: int | None = None,
) -> Figure:
    """Draw the power of fields at each wavelength beside that of the truth, see `spectrum`.

    Parameters
    ----------
    truth : DataArray
    estimates : mapping
        Name -> DataArray on the same cells, or an ensemble with the dim ``member``.
    factor : int, optional
        How many times as fine as the coarse fields they are: waves that those cannot hold are
        shaded.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    AxisError
        If there is no axis X.
    InputError
        If there are no estimates.
    """
    return spectrum({"truth": truth, **several_of(estimates, "estimates")}, factor=factor)


def _rows(field: xr.DataArray, dims: Mapping[str, str] | None) -> tuple[str, float, float]:
    """Return what rows are measured in, how long they are, and how wide a cell is."""
    own = {k: v for k, v in (dims or {}).items() if v in field.dims}
    axes = find_axes(field, own)
    (x,) = require(axes, "X", purpose="a spectrum along rows")
    count = field.sizes[x]
    lon = longitude(field, axes)
    if lon is not None and lon.ndim == 1:
        step, units = spacing(unwrap(lon.values)), "° of longitude"
    elif x in field.coords:
        step, units = spacing(field[x].values), pretty_units(field[x].attrs.get("units"))
    else:
        step, units = None, ""
    if step is None or not units:
        return "", float(count), 1.0
    if units in _METRES and abs(step) * count >= _KILOMETRES:
        step, units = 1e-3 * step, "km"
    return units, abs(step) * count, abs(step)


def _power(
    field: xr.DataArray,
    known: xr.DataArray | None,
    first: xr.DataArray,
    dims: Mapping[str, str] | None,
) -> tuple[np.ndarray, np.ndarray, str]:
    """Return wavelengths in cells, the power at each, and its units."""
    own = {k: v for k, v in (dims or {}).items() if v in field.dims}
    (x,) = require(find_axes(field, own), "X", purpose="a spectrum along rows")
    if own:
        # The metric finds the axis by itself.
        field = field.assign_coords({x: field[x].assign_attrs(axis="X")})
    members = [field.isel(member=k) for k in range(field.sizes.get("member", 0))] or [field]
    if known is not None:
        members = [m.transpose(*first.dims) for m in members]
    several = [_in_pieces(m, known, x) for m in members]
    power = np.mean([p.values for p in several], axis=0)
    # Some waves are not in a field at all, such as those of blocks that are all alike.
    there = np.where(power > _NOTHING * power.max(), power, np.nan)
    return several[0]["wavelength"].values, there, str(several[0].attrs.get("units", ""))


def _in_pieces(field: xr.DataArray, known: xr.DataArray | None, x: str) -> xr.DataArray:
    """Return the mean power of rows; lazy data are read a few chunks at a time."""
    from xgeoml import metrics

    parts, rows = [], []
    for piece in _pieces(field, x):
        part = field.isel(piece)
        where = None if known is None else known.isel(piece, missing_dims="ignore")
        parts.append(metrics.zonal_spectrum(part, where=where))
        rows.append(part.size // part.sizes[x])
    return parts[0].copy(data=np.average([p.values for p in parts], axis=0, weights=rows))


def _pieces(field: xr.DataArray, x: str) -> list[dict[str, slice]]:
    """Return parts of a lazy field with whole rows, made of whole chunks."""
    several = {str(d): c for d, c in field.chunksizes.items() if d != x and len(c) > 1}
    if not several:
        return [{}]
    dim = max(several, key=lambda d: len(several[d]))
    most = max(PIECE * field.sizes[dim] // field.size, 1)
    made, start, stop = [], 0, 0
    for length in several[dim]:
        if stop > start and stop + length - start > most:
            made.append({dim: slice(start, stop)})
            start = stop
        stop += length
    return [*made, {dim: slice(start, stop)}]


def _name(panel: Panel, longest: float, unit: str, units: str) -> None:
    """Write the axes, long waves at the left."""
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.invert_xaxis()
    squared = pretty_units(units)
    panel.set_xlabel(f"wavelength ({unit or 'cells'})")
    panel.set_ylabel("power" + (f" ({squared})" if squared else ""))
    low, high = sorted(panel.get_xlim())
    powers = range(int(np.floor(np.log10(low))), int(np.ceil(np.log10(high))) + 1)
    ticks = [n * 10.0**k for k in powers for n in (1, 2, 5)]
    inside = [t for t in ticks if low <= t <= max(high, longest)]
    panel.set_xticks(inside, [f"{t:g}" for t in inside])
    panel.xaxis.set_minor_formatter("")
