"""Pictures of finer fields, beside the coarse ones and the truth."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from xgeoml import metrics
from xgeoml.axes import find_axes, require
from xgeoml.exceptions import InputError
from xgeoml.plot._figures import draw_map, name_axes, picture_class

if TYPE_CHECKING:
    from matplotlib.figure import Figure

# Width of one map, in inches.
_WIDTH = 2.6
# Power below this share of the greatest is rounding.
_NOTHING = 1e-12


def downscaled(
    coarse: xr.DataArray,
    estimates: Mapping[str, xr.DataArray],
    truth: xr.DataArray | None = None,
    *,
    step: int = 0,
) -> Figure:
    """Draw maps of one step side by side, and the errors of the estimates below them.

    Parameters
    ----------
    coarse : DataArray
        What was downscaled.
    estimates : mapping
        Name -> DataArray on the finer grid. Of an ensemble (dim ``member``) the first is drawn.
    truth : DataArray, optional
        On the finer grid. Without it there are no errors.
    step : int
        Which step, counted along the axis T; negative ones from the end.

    Returns
    -------
    matplotlib.figure.Figure
        All fields have one scale of colours, and all errors another.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    InputError
        If there are no estimates, or if dims other than these are left.
    """
    picture = picture_class()
    _some(estimates)
    first = _one_map(coarse, step)
    fields = {"coarse": first}
    if truth is not None:
        fields["truth"] = _one_map(truth, step)
    made = {name: _one_map(field, step) for name, field in estimates.items()}
    fields |= made
    rows = 1 if truth is None else 2
    height = _WIDTH * min(max(first.shape[0] / first.shape[1], 0.4), 1.6)
    size = (_WIDTH * len(fields) + 1.2, (height + 0.5) * rows + 0.5)
    figure = picture(figsize=size, layout="constrained")
    panels = figure.subplots(rows, len(fields), squeeze=False, sharex=True, sharey=True)
    values = fields.get("truth", first).values
    limits = (float(np.nanmin(values)), float(np.nanmax(values)))
    signed = limits[0] < 0.0 < limits[1]
    if signed:
        limits = (-max(-limits[0], limits[1]), max(-limits[0], limits[1]))
    for panel, (name, field) in zip(panels[0], fields.items(), strict=True):
        mesh = draw_map(panel, field, limits, "RdBu_r" if signed else "viridis")
        panel.set_title(name)
    figure.colorbar(mesh, ax=list(panels[0]), label=_short(coarse.name, coarse), extend="both")
    for panel in panels[0, : len(fields) - (0 if truth is None else len(made))]:
        name_axes(panel, first)
        panel.xaxis.set_tick_params(labelbottom=True)
    for panel in panels[0, 1:]:
        panel.set_ylabel("")
    if truth is not None:
        _draw_errors(figure, panels, made, fields["truth"])
    figure.suptitle(_when(coarse, step))
    return figure


def _draw_errors(
    figure: Figure, panels: np.ndarray, made: Mapping[str, xr.DataArray], truth: xr.DataArray
) -> None:
    """Draw what the estimates are off, in the panels below them."""
    errors = [field.copy(data=field.values - truth.values) for field in made.values()]
    limit = max(float(np.nanpercentile(np.abs(e.values), 99)) for e in errors) or 1.0
    below = panels[1, -len(made) :]
    for panel in panels[1, : -len(made)]:
        panel.set_axis_off()
    for panel, error in zip(below, errors, strict=True):
        mesh = draw_map(panel, error, (-limit, limit), "RdBu_r")
        panel.set_title(f"error, rms {float((error**2).mean() ** 0.5):.3g}", fontsize="medium")
        name_axes(panel, truth)
        panel.set_ylabel("")
    below[0].yaxis.set_tick_params(labelleft=True)
    figure.colorbar(mesh, ax=list(panels[1]), label=_short("error", truth), extend="both")


def spectra(
    truth: xr.DataArray,
    estimates: Mapping[str, xr.DataArray],
    *,
    factor: int | None = None,
) -> Figure:
    """Draw the power of fields at each wavelength along their rows, see `metrics.zonal_spectrum`.

    Parameters
    ----------
    truth : DataArray
    estimates : mapping
        Name -> DataArray on the same cells. Of an ensemble (dim ``member``) the power is the mean
        of that of the members: their mean is smoother than any of them.
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
    picture = picture_class()
    _some(estimates)
    known = truth.notnull()
    figure = picture(figsize=(6.5, 4.5), layout="constrained")
    panel = figure.subplots()
    for name, field in {"truth": truth, **estimates}.items():
        members = [field.isel(member=k) for k in range(field.sizes.get("member", 0))] or [field]
        powers = [metrics.zonal_spectrum(m.transpose(*truth.dims), where=known) for m in members]
        power = np.mean([p.values for p in powers], axis=0)
        style = {"color": "k", "lw": 2} if name == "truth" else {"lw": 1.3}
        # Some waves are not in a field at all, such as those of blocks that are all alike.
        there = np.where(power > _NOTHING * power.max(), power, np.nan)
        panel.plot(powers[0]["wavelength"], there, label=name, **style)
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.invert_xaxis()
    if factor:
        panel.axvspan(2.0 * factor, 2.0, color="0.92", zorder=0, label="too short for coarse cells")
    units = powers[0].attrs.get("units")
    panel.set(xlabel="wavelength (cells)", ylabel="power" + (f" ({units})" if units else ""))
    longest = float(powers[0]["wavelength"].max())
    ticks = [t for k in range(6) for t in (2 * 10**k, 5 * 10**k, 10 ** (k + 1)) if t <= longest]
    panel.set_xticks(ticks, [str(t) for t in ticks])
    panel.xaxis.set_minor_formatter("")
    panel.legend(frameon=False)
    return figure


def rank_histogram(truth: xr.DataArray, ensembles: Mapping[str, xr.DataArray]) -> Figure:
    """Draw how often the truth has each rank among the members, see `metrics.rank_histogram`.

    Parameters
    ----------
    truth : DataArray
    ensembles : mapping
        Name -> DataArray with the dim ``member``.

    Returns
    -------
    matplotlib.figure.Figure
        A panel for each ensemble; the line is that of an honest one.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    InputError
        If there are no ensembles.
    """
    picture = picture_class()
    _some(ensembles)
    figure = picture(figsize=(3.4 * len(ensembles) + 0.6, 3.2), layout="constrained")
    panels = figure.subplots(1, len(ensembles), squeeze=False)[0]
    for panel, (name, ensemble) in zip(panels, ensembles.items(), strict=True):
        share = metrics.rank_histogram(truth, ensemble)
        panel.bar(share["rank"], share * len(share), color="#4878a8", width=0.9)
        panel.axhline(1.0, color="k", lw=1, ls="--")
        ratio = metrics.spread_skill(truth, ensemble)
        panel.set_title(f"{name}: spread / error {ratio:.2f}", fontsize="medium")
        panel.set_xlabel("members below the truth")
    panels[0].set_ylabel("frequency, honest = 1")
    return figure


def error_by(
    truth: xr.DataArray,
    estimates: Mapping[str, xr.DataArray],
    by: str | xr.DataArray = "hour",
    *,
    score: str = "rmse",
) -> Figure:
    """Draw a score by hour, month or kind of cell, a line for each estimate.

    Parameters
    ----------
    truth, estimates
        As for `metrics.downscaling_skill`.
    by : str or DataArray
        "hour", "month" or "season", or a DataArray such as a land-sea mask.
    score : str
        A variable of the table of `metrics.downscaling_skill`.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    InputError
        If there are no estimates, or no such score.
    """
    picture = picture_class()
    table = metrics.downscaling_skill(truth, estimates, by=by)
    if score not in table:
        raise InputError(f"score={score!r}: expected one of {list(table.data_vars)}")
    label = by if isinstance(by, str) else str(table[score].dims[1])
    groups = table[label].values
    figure = picture(figsize=(6.5, 3.6), layout="constrained")
    panel = figure.subplots()
    if groups.dtype.kind in "iu" and isinstance(by, str):
        for name in table["model"].values:
            panel.plot(groups, table[score].sel(model=name), ".-", label=name)
        panel.set_xticks(groups)
    else:
        width = 0.8 / len(table["model"])
        for k, name in enumerate(table["model"].values):
            place = np.arange(len(groups)) - 0.4 + (k + 0.5) * width
            panel.bar(place, table[score].sel(model=name), 0.92 * width, label=name)
        panel.set_xticks(np.arange(len(groups)), [str(g) for g in groups])
        panel.axhline(0.0, color="k", lw=0.8)
    if score != "bias" and float(table[score].min()) >= 0.0:
        panel.set_ylim(bottom=0.0)
    units = table[score].attrs.get("units")
    meaning = str(table[score].attrs["long_name"])
    panel.set_ylabel(meaning + (f" ({units})" if units else ""))
    panel.set_xlabel({"hour": "hour (UTC)"}.get(label, label))
    figure.legend(loc="outside upper center", frameon=False, ncols=4, fontsize="small")
    return figure


def _short(name: object, field: xr.DataArray) -> str:
    """Return a name with its units, without the long name, which may not fit beside a map."""
    units = field.attrs.get("units")
    return f"{name} ({units})" if units else str(name)


def _some(estimates: Mapping[str, xr.DataArray]) -> None:
    if not estimates:
        raise InputError("estimates={}: expected a mapping of names to DataArrays")


def _one_map(field: xr.DataArray, step: int) -> xr.DataArray:
    """Return one step as a map, (y, x)."""
    axes = find_axes(field)
    y, x = require(axes, "Y", "X", purpose="a map")
    if "member" in field.dims:
        field = field.isel(member=0)
    time = axes.get("T")
    if time in field.dims:
        field = field.isel({time: step})
    left = [d for d in field.dims if d not in (y, x)]
    if left:
        raise InputError(f"{left} besides the axes of a map: choose one position, as in isel(...)")
    return field.transpose(y, x)


def _when(field: xr.DataArray, step: int) -> str:
    time = find_axes(field).get("T")
    if time not in field.coords:
        return ""
    return str(np.atleast_1d(field[time].values)[step if field[time].ndim else 0])[:16]
