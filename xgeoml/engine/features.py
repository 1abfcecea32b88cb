"""Input channels of a network on time series, and the way back to the user's units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from xgeoml.models.series import Bools, Estimate, Floats, Series
from xgeoml.spec import Channel, Scale

SMALLEST_SPREAD, LARGEST_SPREAD = -6.0, 3.0


def standard(values: Floats, usable: Bools) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of each row of `values`, (row, time), where `usable`.

    A row with no usable value has mean 0; a constant or empty row has standard deviation 0.
    """
    count = np.maximum(usable.sum(-1), 1)
    mean = np.where(usable, values, 0.0).sum(-1) / count
    residual = np.where(usable, values - mean[..., None], 0.0)
    deviation = np.sqrt((residual**2).sum(-1) / count)
    constant = deviation <= 1e-12 * np.abs(mean)
    return mean, np.where(constant, 0.0, deviation)


def _scaled(values: Floats, mean: Floats, deviation: Floats) -> Floats:
    divisor = np.where(deviation > 0, deviation, np.inf)[..., None]
    scaled: Floats = (values - mean[..., None]) / divisor
    scaled[~np.isfinite(scaled)] = 0.0
    return scaled


def centred_years(years: Floats) -> Floats:
    """Return decimal years minus the whole year in the middle: phase kept, size small."""
    middle = np.floor((years[0] + years[-1]) / 2)
    return np.asarray(years - middle)


def series_channels(
    block: Series,
    estimates: Mapping[str, Estimate],
    channels: Sequence[Channel],
    scale: Scale | None = None,
    given: Mapping[str, Floats] | None = None,
) -> tuple[NDArray[np.float32], Floats, Floats]:
    """Return a network's input for a block of series, and the scaling it was made with.

    Parameters
    ----------
    block : Series
        The series.
    estimates : mapping
        What each base model says of them.
    channels : sequence of Channel
        The channels wanted, in order.
    scale : Scale, optional
        What all series are scaled by. By default each is by its own observed values.
    given : mapping, optional
        What a task says of every step, each (series, time): ``"share"``, how much of it was
        observed, and ``"clock"``, its decimal year, NaN where the calendar has no such step. NaN
        beyond the edge of the domain.

    Returns
    -------
    input : ndarray of float32, (series, channel, time)
    mean, deviation : ndarray, (series,)
        In the user's units; `deviation` is 0 for a constant series.
    """
    usable = block.usable()
    shape = block.values.shape
    if scale is None:
        mean, deviation = standard(block.values, usable)
    else:
        mean, deviation = (np.full(shape[0], v[0]) for v in (scale.mean, scale.deviation))
    given = given or {}
    made: list[Floats | Bools] = []
    for channel in channels:
        if channel.role == "value":
            made.append(np.where(usable, _scaled(block.values, mean, deviation), 0.0))
        elif channel.role == "validity":
            made.append(np.where(usable, given["share"], 0.0) if "share" in given else usable)
        elif channel.role == "years" and "clock" in given:
            made.append(np.where(np.isfinite(given["clock"]), given["clock"], 0.0))
        elif channel.role == "years":
            made.append(np.broadcast_to(centred_years(block.years), shape))
        elif channel.role == "exists":
            made.append(np.isfinite(given["clock"]) if "clock" in given else np.ones(shape, bool))
        elif channel.role == "estimate":
            made.append(_scaled(estimates[channel.name].mean, mean, deviation))
        elif channel.role == "spread":
            relative = _scaled(estimates[channel.name].spread, np.zeros_like(mean), deviation)
            floor = np.exp(SMALLEST_SPREAD)
            made.append(np.log(np.clip(relative, floor, np.exp(LARGEST_SPREAD))))
        else:
            for i, driver in enumerate(block.covariates, start=1):
                known = np.isfinite(driver)
                if scale is None:
                    middle, size = standard(driver, known)
                else:
                    middle, size = (np.full(shape[0], v[i]) for v in (scale.mean, scale.deviation))
                made.append(np.where(known, _scaled(driver, middle, size), 0.0))
    stacked = np.empty((shape[0], len(made), shape[1]), np.float32)
    for i, channel_values in enumerate(made):
        stacked[:, i] = channel_values
    return stacked, mean, deviation


def series_estimate(
    output: NDArray[np.float32],
    outputs: Sequence[str],
    mean: Floats,
    deviation: Floats,
    base: Estimate | None,
) -> Estimate:
    """Return a network's `output`, (series, output, time), in the user's units.

    A model without `log_spread` gives a NaN spread.
    """
    first = output[:, 0].astype(np.float64) * deviation[:, None]
    if outputs[0] == "residual":
        assert base is not None
        first = first + base.mean
    else:
        first = first + mean[:, None]
    if "log_spread" in outputs:
        spread = np.exp(output[:, 1].astype(np.float64)) * deviation[:, None]
    else:
        spread = np.full_like(first, np.nan)
    return Estimate(first, spread)
