"""How near the waveform of a source is to the true one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import xarray as xr
from scipy.fft import irfft, next_fast_len, rfft

from xgeoml.exceptions import AxisError, InputError
from xgeoml.metrics._pairs import Floats, pair
from xgeoml.metrics._traces import TimeAxis, steps_apart, time_axis

_MEANING = {
    "correlation": "correlation coefficient",
    "best_correlation": "correlation coefficient at the best lag",
    "lag": "best lag: how much later the estimate is",
    "variance_reduction": "variance reduction",
    "nrmse": "root mean square error over the root mean square of the truth",
    "spectral_misfit": "root mean square misfit of the amplitude spectrum, log10",
    "moment_error": "relative error of the moment",
    "duration_error": "error of the time between 5 and 95 % of the moment",
}
_IN_TIME = ("lag", "duration_error")
# Those that are right at zero: their means are of their sizes.
_SIGNED = ("lag", "moment_error", "duration_error")
# The frequencies that are compared hold so much of the truth's power, and amplitudes below so much
# of its greatest one count as that.
_POWER, _FLOOR = 0.95, 1e-3
_EARLY, _LATE = 0.05, 0.95
# Below this share of what is there a sum is rounding, and so are differences of correlations.
_NOTHING, _EQUAL = 1e-6, 1e-9


@dataclass(frozen=True, repr=False, eq=False)
class WaveformSkill:
    """Scores of waveforms, mean over events; see `waveform_skill`.

    Attributes
    ----------
    correlation : float
        Correlation coefficient, the estimate where it is.
    best_correlation : float
        The greatest that a shift of the estimate gives.
    lag : float
        Size of that shift, in `unit`, in whole samples.
    variance_reduction : float
        1 is perfect, 0 as good as no source at all.
    nrmse : float
        Root mean square error over the root mean square of the truth.
    spectral_misfit : float
        0 is right, 1 means amplitudes ten times too large or too small.
    moment_error : float
        Size of the relative error of the sum.
    duration_error : float
        Size of the error of the time between 5 and 95 % of the moment, in `unit`.
    scored, skipped : int
        Number of events that were scored, and of those that were not: samples are missing, or the
        truth is zero throughout.
    unit : str
        "s", what numbers in no unit of time say of themselves, or "samples".
    events : Dataset
        The scores of each event, NaN where it was skipped. Here `lag`, `moment_error` and
        `duration_error` have signs: positive where the estimate is late, large or long.
    """

    correlation: float
    best_correlation: float
    lag: float
    variance_reduction: float
    nrmse: float
    spectral_misfit: float
    moment_error: float
    duration_error: float
    scored: int
    skipped: int
    unit: str
    events: xr.Dataset

    def __repr__(self) -> str:
        """Return a table: means, and from where to where the events reach."""
        many = "1 event" if self.scored == 1 else f"{self.scored} events"
        lines = [f"<xgeoml waveform skill: {many}>"]
        lines.append(f"{'':27}{'mean':>10}{'least':>10}{'greatest':>10}")
        for key in _MEANING:
            name = key.replace("_", " ") + f" ({self.unit})" * (key in _IN_TIME and self.unit != "")
            values = self.events[key].values
            known = values[np.isfinite(values)]
            ends = (known.min(), known.max()) if known.size else (np.nan, np.nan)
            shown = "".join(f"{v:10.3f}" for v in (getattr(self, key), *ends))
            lines.append(f"  {name + ', size' * (key in _SIGNED):25}{shown}")
        if self.skipped:
            lines.append(
                f"  {self.skipped} skipped: the truth is zero, or samples are missing: "
                "estimate.fillna(0) counts them as zero"
            )
        return "\n".join(lines)


def waveform_skill(
    truth: xr.DataArray, estimate: xr.DataArray, dim: str | None = None
) -> WaveformSkill:
    r"""Score waveforms, such as source time functions, against the true ones.

    Parameters
    ----------
    truth, estimate : DataArray
        With a time axis each, of any name, and the same other dims, along which events are; a truth
        that lacks some of them is that of all. Loaded if they are lazy. The axes have one step, and
        may begin and end at different times: where an axis ends a source is zero.
    dim : str, optional
        The time axis of both, or of one of them, where it cannot be found out.

    Returns
    -------
    WaveformSkill

    Raises
    ------
    AxisError, TimeAxisError
        If a time axis is not found, is not evenly spaced, or is not that of the other.
    InputError
        If the events are not the same.

    Notes
    -----
    With the truth d and the estimate s, of each event:

    - The correlation coefficient is that of Pearson, over the time that either axis covers; an
      estimate that does not vary has 0. The best lag is that of its maximum over all shifts by
      whole samples with which the axes meet.
    - The variance reduction is 1 - Σ (d - s)² / Σ d², not about a mean (Sokos and
      Zahradnik 2008, Comput. Geosci. 34, 967-977); the NRMSE is the root of that ratio.
    - The spectral misfit is the root mean square of log10 abs(S) - log10 abs(D), a log
      spectral distance (Gray and Markel 1976, IEEE Trans. ASSP 24, 380-391), from zero to the
      frequency below which 95 % of the truth's power lie. Spectra are those of sources padded with
      zeros; amplitudes below a thousandth of the truth's greatest count as that.
    - The moment is the sum. The duration is the time between 5 and 95 % of it, as Trifunac and
      Brady (1975, Bull. Seismol. Soc. Am. 65, 581-626) define that of shaking by its energy.

    Scores that have no meaning are NaN and not in the mean: moment and duration of sources that sum
    to zero, duration of an estimate of zeros, and the lag where no correlation is positive.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> time = xr.DataArray(0.5 * np.arange(40), dims="time", attrs={"units": "s"})
    >>> truth = xr.DataArray(np.hanning(40), {"time": time}, ("time",))
    >>> made = waveform_skill(truth, 1.1 * truth.assign_coords(time=time + 2.0))
    >>> round(made.best_correlation, 6), made.lag, round(made.moment_error, 6)
    (1.0, 2.0, 0.1)
    """
    if dim is not None and dim not in (*truth.dims, *estimate.dims):
        raise AxisError(
            f"dim={dim!r}: expected the time axis, one of {tuple(map(str, truth.dims))} of the "
            f"truth or {tuple(map(str, estimate.dims))} of the estimate"
        )
    axes = time_axis(truth, dim, "truth"), time_axis(estimate, dim, "estimate")
    apart = steps_apart(*axes, ("truth", "estimate"))
    if not -axes[1].size < apart < axes[0].size:
        raise InputError(
            f"estimate begins {apart} samples after truth, which has {axes[0].size}, and has "
            f"{axes[1].size}: they share none; expected times of one clock: "
            f"estimate.assign_coords({axes[1].dim}=...)"
        )
    truth = _without_times(truth, axes[0], axes[0].dim)
    estimate = _without_times(estimate, axes[1], axes[0].dim)
    new = {d: estimate.sizes[d] for d in estimate.dims if d not in truth.dims}
    truth = truth.expand_dims(new) if new else truth
    time = axes[0].dim
    # Complains of other events. Time axes may differ: of each a sample will do.
    pair(truth.isel({time: [0]}), estimate.isel({time: [0]}), area=xr.DataArray(1.0))
    events = [d for d in truth.dims if d != time]
    right, made = (
        a.transpose(*events, time).values.astype(np.float64).reshape(-1, a.sizes[time])
        for a in (truth, estimate)
    )
    step, unit = _unit_of(axes)
    rows = [_scores(a, b, apart, step) for a, b in zip(right, made, strict=True)]
    labels = {d: estimate[d] for d in new if d in estimate.coords}
    return _described(rows, truth.isel({time: 0}).assign_coords(labels), unit)


def _without_times(array: xr.DataArray, axis: TimeAxis, name: str) -> xr.DataArray:
    """Return waveforms without what lies along their time axis, which gets this name."""
    along = [n for n, c in array.coords.items() if axis.dim in c.dims]
    return array.drop_vars(along).rename({axis.dim: name} if name != axis.dim else {})


def _unit_of(axes: tuple[TimeAxis, TimeAxis]) -> tuple[float, str]:
    """Return the step of two axes, and its unit: of one that has times, if there is one."""
    one, other = axes
    known = other if one.dated is None or (other.unit == "s" and not one.unit) else one
    return known.step, known.unit


def _scores(truth: Floats, estimate: Floats, apart: int, step: float) -> dict[str, float]:
    """Return the scores of one event.

    Parameters
    ----------
    truth, estimate : ndarray, (time,)
        Of any lengths.
    apart : int
        By how many steps the first sample of the estimate is later.
    step : float
        Of the time axes.
    """
    made = dict.fromkeys(_MEANING, float("nan"))
    if not (np.isfinite(truth).all() and np.isfinite(estimate).all() and truth.any()):
        return made
    # Scores do not depend on units, but squares of moments in N m leave what floats can hold.
    size = float(np.abs(truth).max())
    truth, estimate = truth / size, estimate / size
    power = float((truth**2).sum())
    first, last = min(0, apart), max(len(truth), apart + len(estimate))
    off = np.zeros(last - first)
    off[-first : len(truth) - first] -= truth
    off[apart - first : apart - first + len(estimate)] += estimate
    left = float((off**2).sum()) / power
    count = int(next_fast_len(len(truth) + len(estimate), real=True))
    right_wave, wave = rfft(truth, count), rfft(estimate, count)
    both, shifts = _correlations(
        truth, estimate, np.asarray(irfft(wave * right_wave.conj(), count))
    )
    # As near as others, but for rounding, is the smallest shift.
    late = shifts + apart
    if np.isfinite(both).any():
        best = both >= np.nanmax(both) - _EQUAL
        at = int(np.abs(np.where(best, late, np.iinfo(np.int64).max)).argmin())
        made["correlation"] = float(both[late == 0][0])
        made["best_correlation"] = float(both[at])
        if both[at] > 0.0:
            made["lag"] = float(late[at]) * step
    made["variance_reduction"] = 1.0 - left
    made["nrmse"] = left**0.5
    made["spectral_misfit"] = _spectral_misfit(np.abs(right_wave), np.abs(wave), count)
    moments = [float(v.sum()) for v in (truth, estimate)]
    if abs(moments[0]) > _NOTHING * np.abs(truth).sum():
        made["moment_error"] = moments[1] / moments[0] - 1.0
    made["duration_error"] = (_duration(estimate) - _duration(truth)) * step
    return made


def _correlations(truth: Floats, estimate: Floats, cyclic: Floats) -> tuple[Floats, np.ndarray]:
    """Return the correlation coefficients at each shift, and the shifts in samples.

    With a shift of zero both begin together.

    Parameters
    ----------
    truth, estimate : ndarray, (time,)
    cyclic : ndarray
        Their cross-correlation, shifts below zero at the end.
    """
    shift = np.arange(1 - len(truth), len(estimate))
    together = cyclic[shift]
    # So long is the time that either of the two covers.
    covered = np.maximum(len(truth), len(estimate) - shift) + np.maximum(0, shift)
    sums, squares = ([float(f(v)) for v in (truth, estimate)] for f in (np.sum, _power))
    about = [p - s**2 / covered for p, s in zip(squares, sums, strict=True)]
    varies = [a > _EQUAL * p for a, p in zip(about, squares, strict=True)]
    size = np.sqrt(np.maximum(about[0], 0.0)) * np.sqrt(np.maximum(about[1], 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        made = (together - sums[0] * sums[1] / covered) / size
    made = np.where(varies[1], np.clip(made, -1.0, 1.0), 0.0)
    return np.where(varies[0], made, np.nan), shift


def _power(values: Floats) -> float:
    return float((values**2).sum())


def _spectral_misfit(truth: Floats, estimate: Floats, count: int) -> float:
    """Return the misfit of amplitudes, (frequency,), of transforms of `count` samples."""
    power = truth**2
    # All others but zero and the highest have a twin.
    power[1 : (count + 1) // 2] *= 2.0
    share = np.cumsum(power) / power.sum()
    stop = int(np.searchsorted(share, _POWER)) + 1
    floor = _FLOOR * truth.max()
    one, other = (np.log10(np.maximum(a[:stop], floor)) for a in (truth, estimate))
    return float(np.sqrt(((other - one) ** 2).mean()))


def _duration(rate: Floats) -> float:
    """Return the time in steps between 5 and 95 % of the moment, NaN where there is none."""
    # Beyond its axis it is zero.
    rate = np.pad(rate, 1)
    moment = np.concatenate([[0.0], np.cumsum(0.5 * (rate[1:] + rate[:-1]))])
    if abs(moment[-1]) <= _NOTHING * np.abs(rate).sum():
        return float("nan")
    share = moment / moment[-1]
    early, late = (_first_at(share, level) for level in (_EARLY, _LATE))
    return late - early


def _first_at(share: Floats, level: float) -> float:
    """Return where what begins at zero and ends at one first reaches a level."""
    at = int((share >= level).argmax())
    return float(at - (share[at] - level) / (share[at] - share[at - 1]))


def _described(rows: list[dict[str, float]], of_events: xr.DataArray, unit: str) -> WaveformSkill:
    """Return means, and the scores of each event in the form of an array over events."""
    events = xr.Dataset(coords=of_events.coords)
    means: dict[str, float] = {}
    for key, meaning in _MEANING.items():
        values = np.array([row[key] for row in rows])
        attrs = {"long_name": meaning, "units": (unit or "1") if key in _IN_TIME else "1"}
        events[key] = (of_events.dims, values.reshape(of_events.shape), attrs)
        finite = values[np.isfinite(values)]
        finite = np.abs(finite) if key in _SIGNED else finite
        means[key] = float(finite.mean()) if finite.size else float("nan")
    skipped = int(np.isnan(events["nrmse"]).sum())
    return WaveformSkill(
        **means, scored=len(rows) - skipped, skipped=skipped, unit=unit, events=events
    )
