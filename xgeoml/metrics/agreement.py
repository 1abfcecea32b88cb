"""How well an estimate varies with the truth, and whether its spread tells how wrong it is."""

from __future__ import annotations

import math

import numpy as np
import xarray as xr
from scipy.special import ndtr, ndtri

from xgeoml.exceptions import InputError
from xgeoml.metrics._pairs import Floats, Pair, like, pair

# Variation below this share of the values is rounding.
_NOTHING = 1e-13


def correlation(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    *,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
) -> float:
    """Return the correlation coefficient over all that counts. Parameters as for `rmse`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> truth = xr.DataArray(np.arange(4.0), dims="time")
    >>> round(correlation(truth, 3 - 2 * truth), 12)
    -1.0
    """
    return correlated(pair(truth, estimate, where, area))


def kge(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    *,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
) -> float:
    """Return the Kling-Gupta efficiency, 1 for a perfect estimate.

    One less the distance of correlation, ratio of deviations and ratio of means from 1 (Gupta,
    Kling, Yilmaz and Martinez 2009, J. Hydrol. 377, 80-91, eq. 9). The ratio of means depends on
    the zero of the unit, and means little for anomalies. Parameters as for `rmse`.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> truth = xr.DataArray(np.arange(1.0, 5.0), dims="time")
    >>> round(kge(truth, 2 * truth), 3)
    -0.414
    """
    return kling_gupta(pair(truth, estimate, where, area))


def crps_normal(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    spread: xr.DataArray,
    *,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
) -> float:
    """Return the mean continuous ranked probability score of normal distributions.

    Parameters
    ----------
    truth, estimate, where, area
        As for `rmse`.
    spread : DataArray
        One standard deviation, on the cells of the truth, in its units. Where it is missing nothing
        counts.

    Returns
    -------
    float
        In the units of the data (Gneiting, Raftery, Westveld and Goldman 2005, Mon. Wea. Rev. 133,
        1098-1118, eq. 5); of a spread of 0 it is the mean absolute error.

    Examples
    --------
    >>> import xarray as xr
    >>> truth = xr.DataArray([0.0], dims="time")
    >>> round(crps_normal(truth, truth, truth + 1), 4)
    0.2337
    """
    return normal_score(*_with_spread(truth, estimate, spread, where, area))


def coverage(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    spread: xr.DataArray,
    *,
    level: float = 0.9,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
) -> float:
    """Return the share of the truth that lies in the interval which should hold `level` of it.

    Parameters
    ----------
    truth, estimate, spread, where, area
        As for `crps_normal`.
    level : float
        Between 0 and 1.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> truth = xr.DataArray(np.arange(4.0), dims="time")
    >>> coverage(truth, truth * 0, truth * 0 + 1)
    0.5
    """
    if not 0.0 < level < 1.0:
        raise InputError(f"level={level!r}: expected a share between 0 and 1, such as 0.9")
    return covered(*_with_spread(truth, estimate, spread, where, area), level)


def _with_spread(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    spread: xr.DataArray,
    where: xr.DataArray | None,
    area: xr.DataArray | None,
) -> tuple[Pair, Floats]:
    both = pair(truth, estimate, where, area)
    width = like(spread, truth).astype(np.float64)
    return Pair(both.truth, both.estimate, np.where(np.isfinite(width), both.weight, 0.0)), width


def correlated(both: Pair) -> float:
    """Return the weighted correlation coefficient; NaN where one of the two does not vary."""
    right, made, share = _known(both)
    return _moments(right, made, share)[0] if right.size else float("nan")


def kling_gupta(both: Pair) -> float:
    """Return the weighted Kling-Gupta efficiency."""
    right, made, share = _known(both)
    if not right.size:
        return float("nan")
    r, deviations, means = _moments(right, made, share)
    if not (deviations[0] and means[0]):
        return float("nan")
    off = r - 1.0, deviations[1] / deviations[0] - 1.0, means[1] / means[0] - 1.0
    return 1.0 - math.hypot(*off)


def normal_score(both: Pair, spread: Floats) -> float:
    """Return the weighted mean score of normal distributions."""
    known = both.weight > 0.0
    if not known.any():
        return float("nan")
    wrong, wide = np.abs(both.estimate[known] - both.truth[known]), spread[known]
    z = wrong / np.where(wide > 0.0, wide, 1.0)
    density = np.exp(-0.5 * z**2) / np.sqrt(2.0 * np.pi)
    score = wide * (z * (2.0 * ndtr(z) - 1.0) + 2.0 * density - np.pi**-0.5)
    score = np.where(wide > 0.0, score, wrong)
    return float(np.average(score, weights=both.weight[known]))


def covered(both: Pair, spread: Floats, level: float) -> float:
    """Return the weighted share of the truth within the interval."""
    known = both.weight > 0.0
    if not known.any():
        return float("nan")
    half = float(ndtri(0.5 + 0.5 * level))
    within = np.abs(both.estimate[known] - both.truth[known]) <= half * spread[known]
    return float(np.average(within, weights=both.weight[known]))


def _known(both: Pair) -> tuple[Floats, Floats, Floats]:
    known = both.weight > 0.0
    weight = both.weight[known]
    return both.truth[known], both.estimate[known], weight / (weight.sum() or 1.0)


def _moments(
    right: Floats, made: Floats, share: Floats
) -> tuple[float, tuple[float, float], tuple[float, float]]:
    """Return correlation, deviations and means of truth and estimate."""
    means = float(share @ right), float(share @ made)
    a, b = right - means[0], made - means[1]
    deviations = tuple(
        float(share @ v**2) ** 0.5 * bool(np.ptp(whole) > _NOTHING * np.abs(whole).max())
        for v, whole in ((a, right), (b, made))
    )
    product = deviations[0] * deviations[1]
    r = float(share @ (a * b)) / product if product else float("nan")
    return r, (deviations[0], deviations[1]), means
