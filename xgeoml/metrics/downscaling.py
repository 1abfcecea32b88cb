"""A table of scores of finer fields, beside the simple answers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import xarray as xr

from xgeoml.axes import find_axes, require
from xgeoml.exceptions import InputError
from xgeoml.metrics._pairs import Floats, Pair, like, pair, units
from xgeoml.metrics.ensembles import ranked_score, spread_ratio
from xgeoml.metrics.fields import (
    explained,
    limits,
    mean_error,
    peak_ratio,
    rms_error,
    similarity,
)
from xgeoml.metrics.spectra import power_error, row_power

_MEANING = {
    "rmse": "root mean square error",
    "mae": "mean absolute error",
    "bias": "mean error",
    "r2": "share of the variance explained",
    "psnr": "peak signal-to-noise ratio",
    "ssim": "mean structural similarity",
    "spectrum": "error of the zonal spectrum, log10",
    "spectrum_fine": "the same of waves that the coarse grid cannot hold",
    "crps": "continuous ranked probability score, fair",
    "spread_skill": "spread over error of the ensemble",
    "made": "share of the true values that have an estimate",
    "gain": "one less the root mean square error over that of the first row",
}
_IN_UNITS = ("rmse", "mae", "bias", "crps")


def downscaling_skill(
    truth: xr.DataArray,
    estimates: Mapping[str, xr.DataArray],
    *,
    by: str | xr.DataArray | None = None,
    reference: str | Sequence[str] = (),
    factor: int | None = None,
    where: xr.DataArray | None = None,
    area: xr.DataArray | None = None,
    member: str = "member",
) -> xr.Dataset:
    """Score finer fields against the true ones.

    Parameters
    ----------
    truth : DataArray
        With the axes X and Y. Loaded if it is lazy.
    estimates : mapping
        Name -> DataArray on the same cells, maybe with the dim `member`: then its mean is scored,
        and the ensemble by `crps` and `spread_skill`. The `crps` of one answer is its mean absolute
        error.
    by : str or DataArray, optional
        "hour" (UTC), "month" or "season": of the time stamps, a row of scores for each. Or a
        DataArray over dims of the truth, such as a land-sea mask: a row for each of its values.
    reference : str or sequence of str
        Names of estimates that come first in the table, such as "bicubic". `gain` compares with
        the first row.
    factor : int, optional
        How many times as fine as the coarse fields these are, for `spectrum_fine`.
    where, area : DataArray, optional
        As for `rmse`.
    member : str
        The dim of members.

    Returns
    -------
    Dataset
        (model,) or (model, group), one variable for each score; ``.to_dataframe()`` prints as a
        table. `ssim` and `psnr` refer to the range of all true values. Spectra are those of whole
        rows, and so are missing from groups of cells.

    Raises
    ------
    AxisError
        If the truth lacks an axis.
    InputError
        If there are no estimates, if one is on other cells, or if `by` or `reference` is not one of
        the above.

    Examples
    --------
    >>> import xgeoml
    >>> truth = xgeoml.datasets.hourly_temperature(hours=48).t2m
    >>> smooth = truth.rolling(longitude=3, center=True, min_periods=1).mean()
    >>> table = downscaling_skill(truth, {"smooth": smooth, "flat": truth.mean("longitude")
    ...                                   .broadcast_like(truth)}, reference="flat")
    >>> table.model.values.tolist()
    ['flat', 'smooth']
    """
    first = [reference] if isinstance(reference, str) else list(reference)
    unknown = [name for name in first if name not in estimates]
    if not estimates or unknown:
        raise InputError(
            f"reference={unknown}: expected names of estimates, which are {list(estimates)}"
            if unknown
            else "estimates={}: expected a mapping of names to DataArrays"
        )
    dims = require(find_axes(truth), "Y", "X", purpose="the table of scores")
    truth = truth.transpose(..., *dims)
    names = [*first, *(name for name in estimates if name not in first)]
    groups = list(_groups(truth, by))
    rows = [_rows(truth, estimates[n], groups, factor, where, area, member) for n in names]
    return _table(names, groups, rows, by, units(truth))


class _Group:
    """Values that are scored together: `label`, and which they are."""

    def __init__(self, label: object, mask: xr.DataArray | None, in_space: bool) -> None:
        self.label, self.mask, self.in_space = label, mask, in_space


def _groups(truth: xr.DataArray, by: str | xr.DataArray | None) -> Iterator[_Group]:
    if by is None:
        yield _Group("all", None, in_space=False)
        return
    if isinstance(by, str):
        (time,) = require(find_axes(truth), "T", purpose=f"by={by!r}")
        if by not in ("hour", "month", "season"):
            raise InputError(f"by={by!r}: expected 'hour', 'month', 'season' or a DataArray")
        by = xr.DataArray(getattr(truth[time].dt, by).values, dims=(time,))
    extra = [d for d in by.dims if d not in truth.dims]
    if extra:
        raise InputError(f"by= has the dims {tuple(by.dims)}; expected dims of {truth.dims}")
    values = by.values
    known = values[~np.isnan(values)] if values.dtype.kind == "f" else values
    in_space = bool(set(by.dims) & set(truth.dims[-2:]))
    for label in np.unique(known):
        yield _Group(label, by == label, in_space)


def _rows(
    truth: xr.DataArray,
    estimate: xr.DataArray,
    groups: Sequence[_Group],
    factor: int | None,
    where: xr.DataArray | None,
    area: xr.DataArray | None,
    member: str,
) -> list[dict[str, float]]:
    """Return the scores of one estimate, for each group."""
    drawn = None
    if member in estimate.dims:
        drawn = pair(truth, estimate, where, area, member)
        estimate = estimate.mean(member, skipna=False)
    both = pair(truth, estimate, where, area)
    known = pair(truth, truth, where, area).weight > 0.0
    low, high = limits(both)
    alike = similarity(both, low, high - low)
    right, made = (row_power(np.where(known, v, np.nan)) for v in (both.truth, both.estimate))
    rows = []
    for group in groups:
        inside = np.ones(truth.shape, bool)
        if group.mask is not None:
            inside = like(group.mask, truth)
        part = both._replace(weight=np.where(inside, both.weight, 0.0))
        row = _scores(part, high - low, alike)
        row["made"] = float((part.weight > 0.0).sum() / max((inside & known).sum(), 1))
        row["spectrum"] = row["spectrum_fine"] = float("nan")
        if not group.in_space:
            steps = inside.all(axis=(-2, -1))
            of_truth, of_made = (power[steps].mean(axis=(0, 1)) for power in (right, made))
            row["spectrum"], row["spectrum_fine"] = power_error(of_truth, of_made, factor)
        if drawn is not None and len(drawn.estimate) > 1:
            members = drawn._replace(weight=np.where(inside, drawn.weight, 0.0))
            row["crps"], row["spread_skill"] = ranked_score(members, True), spread_ratio(members)
        rows.append(row)
    return rows


def _scores(part: Pair, data_range: float, alike: Floats) -> dict[str, float]:
    """Return the scores of one answer."""
    total = part.weight.sum()
    absolute = mean_error(part, np.abs)
    return {
        "rmse": rms_error(part),
        "mae": absolute,
        "bias": mean_error(part),
        "r2": explained(part),
        "psnr": peak_ratio(part, data_range),
        "ssim": float((alike * part.weight).sum() / total) if total else float("nan"),
        "crps": absolute,
        "spread_skill": float("nan"),
    }


def _table(
    names: Sequence[str],
    groups: Sequence[_Group],
    rows: Sequence[Sequence[Mapping[str, float]]],
    by: str | xr.DataArray | None,
    given: Mapping[str, str],
) -> xr.Dataset:
    """Return the scores as a Dataset."""
    label = by if isinstance(by, str) else str(getattr(by, "name", None) or "group")
    table = xr.Dataset(coords={"model": list(names), label: [g.label for g in groups]})
    for key, meaning in _MEANING.items():
        if key == "gain":
            errors = table["rmse"].values
            with np.errstate(divide="ignore", invalid="ignore"):
                values = 1.0 - errors / errors[:1]
        else:
            values = np.array([[row[key] for row in model] for model in rows])
        attrs = {"long_name": meaning}
        if key in _IN_UNITS:
            attrs |= given
        elif key == "psnr":
            attrs["units"] = "dB"
        table[key] = (("model", label), values, attrs)
    return table if by is not None else table.squeeze(label, drop=True)
