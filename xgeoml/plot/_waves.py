"""What pictures of seismograms compute: sources, and the records that they make."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import fftconvolve

from xgeoml import metrics
from xgeoml.exceptions import GeoMLError, InputError
from xgeoml.metrics._pairs import Floats
from xgeoml.metrics._traces import TimeAxis, check_steps, time_axis
from xgeoml.plot._figures import HALF_90

if TYPE_CHECKING:
    from matplotlib.axes import Axes as Panel

COLOURS = ("#b2182b", "#2166ac", "#e08214", "#1b7837", "#762a83", "#8c6d31")
# Inches of a row of a record section, and of all rows at most.
_ROW, _HIGHEST = 0.5, 12.0
# Of the height of a row, what the largest amplitude of its record reaches: neighbours do not cross.
_PEAK = 0.5
# Points between a trace and its misfit, and between the misfits of two sources.
_GAP, COLUMN = 8, 34
# Where what a source makes is so many times too large or too small, units differ.
_UNITS = 1e3


class _Curve(NamedTuple):
    """A source that is drawn: its values, and one standard deviation if it is known."""

    axis: TimeAxis
    values: Floats
    spread: Floats | None


def draw_sources(
    panel: Panel,
    made: Mapping[str, xr.DataArray],
    known: Mapping[str, xr.DataArray],
    *,
    normalise: bool,
    dim: str | None,
) -> None:
    """Draw waveforms of sources, and the true or a published one behind them."""
    if not made:
        raise InputError("source={}: expected a DataArray, or a mapping of names to DataArrays")
    if len(known) > 1:
        raise InputError(f"truth has {list(known)}; expected one: draw the others as sources")
    curves = {name: _curve(array, name, dim, normalise) for name, array in made.items()}
    since = next(iter(curves.values())).axis
    for name, array in known.items():
        curve = _curve(array, name, dim, normalise)
        seconds = _seconds(curve.axis, since)
        panel.fill_between(seconds, curve.values, color="0.88", lw=0, zorder=0)
        panel.plot(seconds, curve.values, color="0.4", lw=1.2, label=name, zorder=1)
    for k, (name, curve) in enumerate(curves.items()):
        colour, seconds = COLOURS[k % len(COLOURS)], _seconds(curve.axis, since)
        label = name + "".join(_likeness(t, made[name], dim) for t in known.values())
        panel.plot(seconds, curve.values, color=colour, lw=1.5, label=label, zorder=3)
        if curve.spread is not None:
            low, high = (curve.values + s * HALF_90 * curve.spread for s in (-1.0, 1.0))
            # The interval of a source that is nowhere negative is not, either.
            low = np.maximum(low, 0.0) if np.nanmin(curve.values) >= 0.0 else low
            band = "90 % interval" if len(made) == 1 else None
            panel.fill_between(seconds, low, high, color=colour, alpha=0.25, lw=0, label=band)
    panel.axhline(0.0, color="0.6", lw=0.6, zorder=0)
    panel.margins(x=0.0)
    panel.set_xlabel(_time_label(since))
    panel.set_ylabel(_rate_label(next(iter(made.values())), since.unit, normalise))
    panel.legend(frameon=False, fontsize="small")


class Section:
    """Records below each other, and what sources make of them.

    Attributes
    ----------
    inches : float
        Height of its panel.
    waves : dict
        Name of a source -> the records that it makes, (station, sample).
    """

    def __init__(
        self,
        record: xr.DataArray,
        made: Mapping[str, xr.DataArray],
        greens: xr.DataArray | None,
        *,
        factor: xr.DataArray | None,
        impulse: str,
        sort: str | None,
        dim: str | None,
    ) -> None:
        if made and greens is None:
            raise InputError(
                "greens=None: a source makes records with Green's functions; give greens="
            )
        self.record, self.sort = record, sort
        self.axis = time_axis(record, dim, "record")
        others = [d for d in record.dims if d != self.axis.dim]
        if len(others) > 1:
            raise InputError(f"record has the dims {others}; expected one: choose, as in isel(...)")
        self.station = others[0] if others else None
        values = _by_station(record, self.axis.dim, record, self.station, "record")
        self.order = _order(values, record, self.station, sort)
        self.values = values[self.order]
        self.waves: dict[str, Floats] = {}
        if greens is not None:
            paths = _Paths(record, self.axis, self.station, greens, factor, impulse, dim)
            self.waves = {n: paths.records(array, n)[self.order] for n, array in made.items()}
        for name, wave in self.waves.items():
            _check_size(self.values, wave, name)
        self.inches = min(_ROW * len(values[self.order]), _HIGHEST)

    def draw(self, panel: Panel) -> None:
        values = self.values
        peak = np.nanmax(np.abs(values), axis=1, keepdims=True)
        scale = _PEAK / np.where(peak > 0.0, peak, 1.0)
        middle = np.arange(len(values), dtype=np.float64)[:, None]
        seconds = _seconds(self.axis, self.axis)
        # Rows are counted downwards, amplitudes upwards.
        thick = 1.7 if self.inches == _ROW * len(values) else 1.2
        panel.plot(seconds, (middle - scale * values).T, color="0.1", lw=thick)
        for k, wave in enumerate(self.waves.values()):
            # Thinner, so that the record can be seen below.
            colour = COLOURS[k % len(COLOURS)]
            panel.plot(seconds, (middle - scale * wave).T, color=colour, lw=0.6 * thick)
        for line, name in zip(panel.lines[:: len(values)], ["record", *self.waves], strict=True):
            line.set_label(name)
        font = min(9.0, 0.8 * 72 * self.inches / len(values))
        _write_misfits(panel, values, self.waves, font)
        panel.set_ylim(len(values) - 0.4, -0.6)
        names = _labels(self.record, self.station, self.sort, self.order)
        panel.set_yticks(np.arange(len(values)), names)
        panel.tick_params(axis="y", length=0, labelsize=font)
        panel.spines[["top", "left", "right"]].set_visible(False)
        panel.margins(x=0.0)
        panel.set_xlabel(_time_label(self.axis))


def several(
    given: xr.DataArray | Mapping[str, xr.DataArray] | None, name: str
) -> dict[str, xr.DataArray]:
    """Return what is given by name."""
    if given is None:
        return {}
    found: dict[str, Any] = {name: given}
    # A Dataset is a mapping, too, of much that is no source.
    if isinstance(given, Mapping) and not isinstance(given, xr.Dataset):
        found = dict(given)
    for key, array in found.items():
        if not isinstance(array, xr.DataArray):
            raise InputError(
                f"{key} is a {type(array).__name__}; expected a DataArray, or a mapping of names "
                "to DataArrays; of a Dataset one variable, ds['record']"
            )
    return found


def _curve(array: xr.DataArray, name: str, dim: str | None, normalise: bool) -> _Curve:
    """Return what is drawn of a source."""
    axis = time_axis(array, dim, name)
    left = [d for d in array.dims if d != axis.dim]
    if left:
        raise InputError(
            f"{name} has the dims {left} besides its time axis: choose one source, as in isel(...)"
        )
    values = array.values.astype(np.float64)
    area = float(np.nansum(values)) * axis.step if normalise else 1.0
    spread = array.coords.get(f"{array.name}_spread")
    deviation = None if spread is None else spread.values.astype(np.float64) / abs(area or 1.0)
    return _Curve(axis, values / (area or 1.0), deviation)


def _likeness(truth: xr.DataArray, estimate: xr.DataArray, dim: str | None) -> str:
    """Return the correlation for the legend, where both have the same samples."""
    try:
        found = metrics.waveform_skill(truth.fillna(0.0), estimate.fillna(0.0), dim).correlation
    except GeoMLError:
        return ""
    return f", correlation {found:.3f}" if np.isfinite(found) else ""


def _seconds(axis: TimeAxis, since: TimeAxis) -> Floats:
    """Return the times of samples; dates after the first one of another axis, or its own."""
    first = axis.first
    if axis.dated:
        first -= since.first if since.dated else axis.first
    return np.asarray(1e-9 * first + axis.step * np.arange(axis.size), np.float64)


def _time_label(axis: TimeAxis) -> str:
    if axis.dated is None:
        return "sample"
    name = "time"
    if axis.dated:
        name += f" after {str(np.datetime64(axis.first, 'ns'))[:22].rstrip('0').rstrip('.')}"
    return f"{name} ({axis.unit})" if axis.unit else name


def _rate_label(source: xr.DataArray, unit: str, normalise: bool) -> str:
    if normalise:
        return "source time function / moment" + (f" (1/{unit})" if unit == "s" else "")
    units = str(source.attrs.get("units", "1"))
    return "source time function" + (f" ({units})" if units != "1" else "")


def _by_station(
    array: xr.DataArray, time: str, record: xr.DataArray, station: Hashable | None, what: str
) -> Floats:
    """Return values (station, sample) of the stations of the records, found by label."""
    strange = [d for d in array.dims if d not in (time, station)]
    if strange:
        raise InputError(
            f"{what} has the dims {strange}, which the records have not: choose, as in isel(...)"
        )
    if station is None or station not in array.dims:
        many = 1 if station is None else record.sizes[station]
        return np.broadcast_to(array.values.astype(np.float64), (many, *array.shape))
    if station in array.indexes and station in record.indexes:
        have, want = array.indexes[station], record.indexes[station]
        if not have.equals(want):
            array = array.isel({station: _places(have, want, what, station)})
    elif array.sizes[station] != record.sizes[station]:
        raise InputError(
            f"{what} has {array.sizes[station]} along {station!r}; expected "
            f"{record.sizes[station]}, as the records have"
        )
    return np.asarray(array.transpose(station, ...).values, np.float64)


def _places(have: pd.Index, want: pd.Index, what: str, station: Hashable) -> NDArray[np.intp]:
    """Return where labels are."""
    if not have.is_unique:
        raise InputError(
            f"{what} has labels twice along {station!r}; expected each once: "
            f"{what}.drop_duplicates({station!r})"
        )
    places = have.get_indexer(want)
    lost = list(map(str, want[places < 0]))
    if lost:
        raise InputError(
            f"{what} has no {station} {', '.join(lost[:5])}; expected one for each of the records"
        )
    return places


def _order(
    values: Floats, record: xr.DataArray, station: Hashable | None, sort: str | None
) -> NDArray[np.intp]:
    """Return which stations are drawn, the first uppermost."""
    there = np.flatnonzero(np.isfinite(values).any(-1))
    if not there.size:
        raise InputError("record has no sample that is known; expected one station or more")
    along = None if station is None else _along(record, station, sort)
    return there if along is None else there[np.argsort(along[there], kind="stable")]


def _along(record: xr.DataArray, station: Hashable, name: str | None) -> np.ndarray | None:
    """Return a numeric coordinate of the stations, if there is such a one."""
    coord = record.coords.get(name)
    found = coord is not None and coord.dims == (station,) and coord.dtype.kind in "iuf"
    return coord.values if coord is not None and found else None


class _Paths:
    """Green's functions of records: `records` returns what a source makes of them."""

    def __init__(
        self,
        record: xr.DataArray,
        axis: TimeAxis,
        station: Hashable | None,
        greens: xr.DataArray,
        factor: xr.DataArray | None,
        impulse: str,
        dim: str | None,
    ) -> None:
        self.record, self.axis, self.station, self.dim = record, axis, station, dim
        self.own = time_axis(greens, dim, "greens")
        cure = f"expected the same step: greens.interp({self.own.dim}=...)"
        check_steps(axis, self.own, ("record", "greens"), cure)
        self.values = np.nan_to_num(_by_station(greens, self.own.dim, record, station, "greens"))
        if factor is not None:
            of_each = np.atleast_1d(_by_station(factor, "", record, station, "factor"))
            self.values = self.values * of_each.reshape(-1, 1)
        if impulse == "second":
            self.values = self.values * axis.step

    def records(self, source: xr.DataArray, name: str) -> Floats:
        """Return records, (station, sample), that a source makes."""
        axis = time_axis(source, self.dim, name)
        cure = f"expected the same step, as invert_waveform returns it: interp({axis.dim}=...)"
        check_steps(self.axis, axis, ("record", name), cure)
        rates = _by_station(source, axis.dim, self.record, self.station, name)
        wave = fftconvolve(self.values, np.nan_to_num(rates), axes=-1)
        late = self._late(axis)
        made = np.zeros((len(wave), self.axis.size))
        first, last = max(0, late), min(self.axis.size, late + wave.shape[-1])
        if first < last:
            made[:, first:last] = wave[:, first - late : last - late]
        # What comes after the last sample of a source that is known, nobody knows.
        known = np.isfinite(rates)
        ends = np.where(known.any(-1), axis.size - known[:, ::-1].argmax(-1), 0)
        unknown = (ends < axis.size)[:, None] & (np.arange(self.axis.size) >= ends[:, None] + late)
        return np.where(unknown, np.nan, made)

    def _late(self, source: TimeAxis) -> int:
        """Return the sample of the record with which the convolution begins."""
        record, greens = self.axis, self.own
        if None in (record.dated, greens.dated, source.dated) or (
            greens.dated and not record.dated
        ):
            return 0
        # Dates less dates are a length of time.
        if source.dated != (record.dated and not greens.dated):
            return 0
        return round((source.first + greens.first - record.first) * 1e-9 / record.step)


def _check_size(values: Floats, made: Floats, name: str) -> None:
    """Raise if what a source makes has another order of magnitude than the records."""
    known = np.isfinite(values) & np.isfinite(made)
    size, own = (float(np.sqrt((a[known] ** 2).sum())) for a in (values, made))
    if size > 0.0 and own > 0.0 and not 1.0 / _UNITS < own / size < _UNITS:
        raise InputError(
            f"what {name} makes is {own / size:.1g} times as large as the records; expected the "
            "same units: those of the source times those of greens, of impulse='second' by second; "
            f"type greens = {size / own:.1g} * greens"
        )


def _labels(
    record: xr.DataArray, station: Hashable | None, sort: str | None, order: NDArray[np.intp]
) -> list[str]:
    """Return what is written beside the traces."""
    if station is None:
        return [""]
    names = record[station].values if station in record.coords else np.arange(len(order))
    along = _along(record, station, sort)
    made = []
    for at in order:
        label = str(names[at])
        if along is not None and sort != station:
            unit = str(record[sort].attrs.get("units", ""))
            unit = "°" if unit.startswith("degree") else f" {unit}"
            label += f"   {along[at]:.{1 if abs(along[at]) < 100 else 0}f}{unit}"
        made.append(label.rstrip())
    return made


def _write_misfits(panel: Panel, values: Floats, waves: Mapping[str, Floats], font: float) -> None:
    """Write the misfit of each record at its right, in the colour of the source."""
    beside: dict[str, Any] = {"textcoords": "offset points", "fontsize": font}
    for k, wave in enumerate(waves.values()):
        off = values - wave
        left = np.sqrt(np.nansum(off**2, axis=1))
        size = np.sqrt((values**2).sum(axis=1, where=np.isfinite(off)))
        for row in range(len(values)):
            panel.annotate(
                f"{left[row] / size[row]:.2f}" if size[row] > 0.0 else "-",
                (1.0, row),
                (_GAP + k * COLUMN, 0),
                xycoords=("axes fraction", "data"),
                va="center",
                annotation_clip=False,
                color=COLOURS[k % len(COLOURS)],
                **beside,
            )
    if waves:
        panel.annotate("misfit", (1.0, 1.0), (_GAP, 2), xycoords="axes fraction", **beside)
