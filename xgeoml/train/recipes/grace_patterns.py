"""Patterns of hidden months, what the base models make of them, and batches to learn from."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from torch import Tensor

from xgeoml.engine.features import series_channels
from xgeoml.models.catalog import BUILT_IN
from xgeoml.models.screen import suspect_steps
from xgeoml.models.series import Bools, Floats, Series, SeriesModel
from xgeoml.train.masks import hide_cells, hide_steps
from xgeoml.train.recipes.grace_records import Record

log = logging.getLogger(__name__)

_SPEC = BUILT_IN["grace_tf"]
CHANNELS = _SPEC.inputs
BASES: dict[str, SeriesModel] = {
    name: BUILT_IN[name].load_factory()(**BUILT_IN[name].options) for name in _SPEC.bases
}
FIRST_DRIVER = len(CHANNELS) - 1


@dataclass(frozen=True)
class Pattern:
    """What the network sees of a record with some months hidden, and what it should say.

    Attributes
    ----------
    x : ndarray of float32, (series, channel, time)
    truth : ndarray of float32, (series, time)
        Scaled as the input is; NaN wherever nothing is to be learnt.
    area, deviation : ndarray of float32, (series,)
        Relative area, and what scaled values are to be multiplied with.
    """

    x: NDArray[np.float32]
    truth: NDArray[np.float32]
    area: NDArray[np.float32]
    deviation: NDArray[np.float32]


def cut(series: Series, steps: slice, rows: NDArray[np.intp], drivers: Sequence[int]) -> Series:
    """Return some steps, series and drivers of `series`."""
    covariates = series.covariates[list(drivers)][:, rows][:, :, steps]
    values = series.values[rows, steps]
    return Series(values, series.years[steps], series.trusted[steps], covariates, series.area[rows])


def make_pattern(record: Record, hidden: Bools, most: int, rng: Generator) -> Pattern:
    """Return the pattern of a record with the cells `hidden`, (series, time), taken away.

    The bases learn from every series of the record; at most `most` series are kept.
    """
    truth = record.series.values
    left = replace(record.series, values=np.where(hidden, np.nan, truth))
    left = replace(left, trusted=~suspect_steps(left))
    rows = np.flatnonzero(left.usable().any(1))
    if len(rows) > most:
        rows = np.sort(rng.choice(rows, most, replace=False))
    block = cut(left, slice(None), rows, range(len(left.covariates)))
    estimates = {n: model.predict(block, model.summarise(left)) for n, model in BASES.items()}
    x, mean, deviation = series_channels(block, estimates, CHANNELS)
    scale = np.where(deviation > 0, deviation, np.nan)[:, None]
    wanted = np.where(hidden[rows] & record.target, (truth[rows] - mean[:, None]) / scale, np.nan)
    single = np.float32
    return Pattern(x, wanted.astype(single), block.area.astype(single), deviation.astype(single))


def draw_pattern(record: Record, most: int, rng: Generator) -> Pattern:
    """Return a random pattern: part of the record in space and time, some drivers, some months."""
    series, n = record.series, len(record.series.years)
    steps = slice(0, n)
    if rng.random() < 0.3:
        length = int(rng.integers(60, n + 1))
        start = int(rng.integers(0, n - length + 1))
        steps = slice(start, start + length)
    if record.target[steps].sum() < 24:
        steps = slice(0, n)
    rows = np.arange(len(series.values))
    if len(rows) > 3 * most:
        # The bases know as much from every few cells; a part of the world has patterns of its own.
        rows = rows[int(rng.integers(3)) :: 3]
    if len(rows) > 100 and rng.random() < 0.3:
        length = int(len(rows) * rng.uniform(0.05, 0.5))
        start = int(rng.integers(0, len(rows) - length + 1))
        rows = rows[start : start + length]
    available = len(series.covariates)
    drivers: Sequence[int] = range(available)
    if available and rng.random() < 0.5:
        drivers = rng.permutation(available)[: int(rng.integers(0, available))].tolist()
    part = cut(series, steps, rows, drivers)
    if rng.random() < 0.2:
        part = replace(part, values=_spoilt(part, rng))
    target = record.target[steps]
    if rng.random() < 0.08:
        hidden = hide_cells(np.isfinite(part.values) & target, rng)
    else:
        hidden = np.broadcast_to(hide_steps(target, rng), part.values.shape)
    return make_pattern(Record(record.name, part, target), hidden, most, rng)


def _spoilt(series: Series, rng: Generator) -> Floats:
    """Return the values with noise as large as a fifth of their deviation on every step."""
    observed = np.isfinite(series.values)
    deviation = np.nanstd(np.where(observed, series.values, np.nan), axis=1, keepdims=True)
    noise = 0.2 * rng.random() * deviation * rng.standard_normal(series.values.shape)
    spoilt: Floats = series.values + noise
    return spoilt


def make_pool(
    records: Sequence[Record], counts: Sequence[int], most: int, seed: int
) -> list[list[Pattern]]:
    """Return `counts` random patterns of each record, the same for the same seed."""
    pool = []
    for i, (record, count) in enumerate(zip(records, counts, strict=True)):
        start = time.perf_counter()
        draws = (np.random.default_rng([seed, i, k]) for k in range(count))
        pool.append([draw_pattern(record, most, rng) for rng in draws])
        log.info("%s: %d patterns, %.0f s", record.name, count, time.perf_counter() - start)
    return pool


def draw_batch(
    pool: Sequence[Sequence[Pattern]], shares: Floats, size: int, rng: Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Return input, truth and weight of random pieces of random patterns.

    It has pieces of sixteen patterns, all of one length and with one number of drivers;
    those without so many drivers get zeros, which is the same as none.
    """
    groups = 16
    chosen = []
    for _ in range(groups):
        patterns = pool[int(rng.choice(len(pool), p=shares))]
        chosen.append(patterns[int(rng.integers(len(patterns)))])
    shortest = min(p.x.shape[2] for p in chosen)
    # Short pieces mostly: where the absent months are gives the date of a long one away.
    length = shortest if rng.random() < 0.15 else int(rng.integers(30, min(110, shortest) + 1))
    channels = max(p.x.shape[1] for p in chosen)
    x = np.zeros((size, channels, length), np.float32)
    truth = np.full((size, length), np.nan, np.float32)
    weight = np.zeros(size, np.float32)
    for g, pattern in enumerate(chosen):
        part = slice(g * size // groups, (g + 1) * size // groups)
        start = _start(pattern, length, rng)
        mixed = mix(pattern, slice(start, start + length), part.stop - part.start, rng)
        piece, truth[part], weight[part] = mixed
        if piece.shape[1] == FIRST_DRIVER and rng.random() < 0.5:
            # What has no cause among its inputs may run backwards.
            piece, truth[part] = piece[:, :, ::-1].copy(), truth[part, ::-1].copy()
            piece[:, 2] *= -1.0
        x[part, : piece.shape[1]] = piece
        # Absolute time is no clue to what happened.
        x[part, 2] += rng.integers(-8, 9) if rng.random() < 0.5 else rng.uniform(-8, 8)
    return torch.from_numpy(x), torch.from_numpy(truth), torch.from_numpy(weight)


def mix(
    pattern: Pattern, steps: slice, count: int, rng: Generator
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Return input, truth and weight of `count` random sums of up to three series of a pattern.

    The bases are all but linear in the series, so the sum of their estimates is the estimate of the
    sum. A few dozen months that the whole record shares are soon known by heart; sums of far-off
    series, with random signs, are not.
    """
    rows = rng.integers(len(pattern.x), size=(count, 3))
    factor = rng.standard_normal((count, 3)).astype(np.float32)
    factor[:, 1:] *= rng.random((count, 2)) < 0.6
    x = pattern.x[rows[:, 0], :, steps]
    truth = pattern.truth[rows[:, 0], steps]
    if np.ptp(pattern.x[:, 1], axis=0).any():
        # Series with gaps of their own have no sum.
        factor[:, 0], factor[:, 1:] = 1.0, 0.0
    else:
        x = np.einsum("nk,nkct->nct", factor, pattern.x[rows, :, steps])
        truth = np.einsum("nk,nkt->nt", factor, pattern.truth[rows, steps])
        for channel in range(4, FIRST_DRIVER, 2):
            each = np.exp(2.0 * pattern.x[rows, channel, steps])
            total = np.einsum("nk,nkt->nt", factor**2, each)
            x[:, channel] = 0.5 * np.log(np.maximum(total, 1e-6))
        x[:, 1:3] = pattern.x[rows[:, 0], 1:3, steps]
    _rescale(x, truth)
    # Large signals count more than small ones, less than their squares would make them.
    signal = pattern.area * pattern.deviation
    weight = (factor**2 * signal[rows]).sum(1) / ((factor**2).sum(1) * signal.mean())
    return x, truth, weight.astype(np.float32)


def _rescale(x: NDArray[np.float32], truth: NDArray[np.float32]) -> None:
    """Scale pieces of series in place as the engine scales whole ones."""
    known: Bools = x[:, 1].astype(bool)
    size = known.sum(1)
    mean, scale = np.zeros(len(x), np.float32), np.ones(len(x), np.float32)
    for i in np.flatnonzero(size >= 12).tolist():
        values = x[i, 0, x[i, 1] > 0.5]
        mean[i], scale[i] = values.mean(), max(float(values.std()), 1e-3)
    middle, scale = mean[:, None], scale[:, None]
    x[:, 0] = np.where(known, (x[:, 0] - middle) / scale, 0.0)
    truth[:] = (truth - middle) / scale
    for channel in range(3, FIRST_DRIVER, 2):
        x[:, channel] = (x[:, channel] - middle) / scale
        x[:, channel + 1] -= np.log(scale)
    drivers = x[:, FIRST_DRIVER:]
    drivers -= drivers.mean(2, keepdims=True)
    drivers /= np.maximum(drivers.std(2, keepdims=True), 1e-3)


def _start(pattern: Pattern, length: int, rng: Generator) -> int:
    """Return where a piece begins, such that it has something to learn if it can."""
    last = pattern.x.shape[2] - length
    wanted: Bools = np.any(np.isfinite(pattern.truth), axis=0)
    start = 0
    for _ in range(10):
        start = int(rng.integers(last + 1))
        if wanted[start : start + length].any():
            break
    return start
