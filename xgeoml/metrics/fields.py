"""Errors of fields, weighted by area, and how alike their structure is."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import xarray as xr
from scipy.ndimage import gaussian_filter

from xgeoml.axes import find_axes, require
from xgeoml.metrics._pairs import Floats, Pair, pair

# Wang et al. (2004): deviation of the window in cells, where it ends, and what keeps ratios finite.
_WINDOW, _ENDS, _K1, _K2 = 1.5, 3.5, 0.01, 0.03


def rmse(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    *,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
) -> float:
    """Return the root mean square error, in the units of the data.

    Parameters
    ----------
    truth, estimate : DataArray
        On the same cells. Where one of them is missing nothing counts.
    where : DataArray of bool, optional
        The cells or steps that count; broadcast against the truth.
    area : DataArray, optional
        Relative weights, broadcast against the truth; by default the cosine of latitude, or 1
        where there is none.

    Returns
    -------
    float
        NaN if nothing counts.

    Raises
    ------
    InputError
        If the two are not on the same cells.

    Examples
    --------
    >>> import numpy as np, xarray as xr
    >>> truth = xr.DataArray(np.arange(4.0), dims="time")
    >>> rmse(truth, truth + 2)
    2.0
    """
    return rms_error(pair(truth, estimate, where, area))


def mae(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    *,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
) -> float:
    """Return the mean absolute error, in the units of the data. Parameters as for `rmse`."""
    return mean_error(pair(truth, estimate, where, area), np.abs)


def bias(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    *,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
) -> float:
    """Return the mean error, estimate less truth, in the units of the data.

    Parameters as for `rmse`.
    """
    return mean_error(pair(truth, estimate, where, area))


def r2(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    *,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
) -> float:
    """Return the share of the truth's variance, in space and time, that the estimate explains.

    One less the sum of squared errors over that of the truth about its own mean, the mean over all
    that counts: the coefficient of determination, or Nash-Sutcliffe efficiency. Parameters as for
    `rmse`.
    """
    return explained(pair(truth, estimate, where, area))


def psnr(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    *,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
    data_range: float | None = None,
) -> float:
    """Return the peak signal-to-noise ratio, ``20 log10(data_range / rmse)``, in dB.

    Parameters
    ----------
    truth, estimate, where, area
        As for `rmse`.
    data_range : float, optional
        By default from the least to the greatest true value that counts.
    """
    both = pair(truth, estimate, where, area)
    if data_range is None:
        low, high = limits(both)
        data_range = high - low
    return peak_ratio(both, data_range)


def ssim(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    *,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
    data_range: float | None = None,
) -> float:
    """Return the mean structural similarity of the maps, 1 for equal ones.

    Means, deviations and covariance in Gaussian windows of 1.5 cells' deviation, cut off after five
    cells (Wang, Bovik, Sheikh and Simoncelli 2004, IEEE Trans. Image Process. 13, 600-612, eq. 13).
    Values are counted from the least true one, as those of a picture are from black, so that kelvin
    and degrees Celsius score alike. Missing cells have no part in a window, and windows at the
    borders are those parts that exist.

    Parameters
    ----------
    truth, estimate : DataArray
        As for `rmse`, with the axes X and Y.
    where, area : DataArray, optional
        As for `rmse`.
    data_range : float, optional
        From the least to the greatest value, which the two small constants are shares of; by
        default that of the true values that count, of all steps.
    """
    dims = require(find_axes(truth), "Y", "X", purpose="the structural similarity")
    both = pair(truth.transpose(..., *dims), estimate, where, area)
    if not both.weight.any():
        return float("nan")
    low, high = limits(both)
    alike = similarity(both, low, high - low if data_range is None else data_range)
    return float((alike * both.weight).sum() / both.weight.sum())


def mean_error(both: Pair, of: Callable[[Floats], Floats] = np.asarray) -> float:
    """Return the weighted mean of a function of the errors."""
    known = both.weight > 0.0
    if not known.any():
        return float("nan")
    weight = both.weight[known]
    return float((weight * of(both.estimate[known] - both.truth[known])).sum() / weight.sum())


def rms_error(both: Pair) -> float:
    """Return the weighted root mean square error."""
    return float(mean_error(both, np.square) ** 0.5)


def explained(both: Pair) -> float:
    """Return one less the share of the truth's variance that the squared errors make."""
    known = both.weight > 0.0
    if not known.any():
        return float("nan")
    right, weight = both.truth[known], both.weight[known] / both.weight.sum()
    variance = float((weight * (right - (weight * right).sum()) ** 2).sum())
    return 1.0 - mean_error(both, np.square) / variance if variance else float("nan")


def peak_ratio(both: Pair, data_range: float) -> float:
    """Return the ratio of a range to the error, in dB."""
    wrong = rms_error(both)
    return float(20.0 * np.log10(data_range / wrong)) if wrong > 0.0 < data_range else float("nan")


def limits(both: Pair) -> tuple[float, float]:
    """Return the least and the greatest true value that counts."""
    values = both.truth[both.weight > 0.0]
    return (float(values.min()), float(values.max())) if len(values) else (float("nan"),) * 2


def similarity(both: Pair, low: float, data_range: float) -> Floats:
    """Return how alike each cell's surroundings are, in the truth's dims; the last are Y and X."""
    shape = (-1, *both.truth.shape[-2:])
    right, made, weight = (v.reshape(shape) for v in both)
    alike = [_alike(a, b, w, low, data_range) for a, b, w in zip(right, made, weight, strict=True)]
    return np.reshape(alike, both.truth.shape)


def _alike(right: Floats, made: Floats, weight: Floats, low: float, data_range: float) -> Floats:
    """Return the similarity around each cell of one map; 0 where nothing counts."""
    known = weight > 0.0
    if not known.any():
        return np.zeros_like(right)
    share = np.maximum(_smoothed(known.astype(np.float64)), 1e-12)
    # About the mean of the map: variances of windows are small differences of squares.
    level = right[known].mean()
    a, b = (np.where(known, v - level, 0.0) for v in (right, made))
    mean_a, mean_b = _smoothed(a) / share, _smoothed(b) / share
    var_a, var_b = _smoothed(a * a) / share - mean_a**2, _smoothed(b * b) / share - mean_b**2
    together = _smoothed(a * b) / share - mean_a * mean_b
    mean_a, mean_b = mean_a + (level - low), mean_b + (level - low)
    c1, c2 = (_K1 * data_range) ** 2, (_K2 * data_range) ** 2
    light = (2.0 * mean_a * mean_b + c1) / (mean_a**2 + mean_b**2 + c1)
    shape = (2.0 * together + c2) / (var_a + var_b + c2)
    return np.where(known, light * shape, 0.0)


def _smoothed(values: Floats) -> Floats:
    return np.asarray(gaussian_filter(values, _WINDOW, mode="constant", truncate=_ENDS))
