"""Patterns of hidden values: what a network sees of part of a record, and what it should say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from xgeoml.engine.features import series_channels
from xgeoml.engine.kernel import of_each
from xgeoml.engine.threads import one_blas_thread
from xgeoml.models.screen import suspect_steps
from xgeoml.models.series import Bools, Estimate, Series, SeriesModel
from xgeoml.spec import Channel, Scale

Single = NDArray[np.float32]


@dataclass(frozen=True)
class Pattern:
    """Samples with some values hidden.

    Attributes
    ----------
    x : ndarray of float32, (sample, channel, *axes)
        The network's input.
    truth : ndarray of float32, (sample, *axes)
        Scaled as the input is; NaN wherever nothing is to be learnt. Of a network that coarsens an
        axis, that axis is one of its output.
    area, deviation : ndarray of float32, (sample,)
        Relative area, and what scaled values are to be multiplied with.
    compared : mapping of ndarray of float32, (sample, *axes)
        Estimates to compare with by name, as the truth is.
    hidden : str
        What was hidden, in words.
    clouds : ndarray of bool, (sample, *axes of the input), optional
        What is not hidden yet: each batch hides what it likes of them.
    """

    x: Single
    truth: Single
    area: Single
    deviation: Single
    compared: Mapping[str, Single] = field(default_factory=dict)
    hidden: str = ""
    clouds: Bools | None = None

    def __len__(self) -> int:
        """Return the number of samples."""
        return len(self.x)

    @property
    def n_wanted(self) -> int:
        """How many hidden values there are to learn."""
        return int(np.isfinite(self.truth).sum())

    def save(self, folder: Path) -> None:
        """Write the arrays into a folder, which appears when all of it is there."""
        made = folder.with_name(folder.name + ".new")
        made.mkdir(parents=True, exist_ok=True)
        np.save(made / "x.npy", self.x)
        np.save(made / "truth.npy", self.truth)
        np.save(made / "rows.npy", np.stack([self.area, self.deviation]))
        save_file(
            {k: np.ascontiguousarray(v) for k, v in self.compared.items()},
            made / "compared.safetensors",
        )
        (made / "hidden.txt").write_text(self.hidden)
        if self.clouds is not None:
            np.save(made / "clouds.npy", self.clouds)
        made.rename(folder)

    @classmethod
    def load(cls, folder: Path) -> Pattern:
        """Return what `save` wrote; input and truth stay on disk until they are asked for."""
        area, deviation = np.load(folder / "rows.npy")
        x = np.load(folder / "x.npy", mmap_mode="r")
        truth = np.load(folder / "truth.npy", mmap_mode="r")
        compared = load_file(folder / "compared.safetensors")
        hidden = (folder / "hidden.txt").read_text()
        there = folder / "clouds.npy"
        clouds = np.load(there, mmap_mode="r") if there.exists() else None
        return cls(x, truth, area, deviation, compared, hidden, clouds)


@dataclass(frozen=True)
class Ingredients:
    """What turns series into a network's input.

    Attributes
    ----------
    channels : tuple of Channel
        Of the network.
    bases : mapping
        The classical models whose estimates are among the channels, by name.
    baselines : tuple of str
        Those of `bases` that the network is compared with, for validation patterns.
    scale : Scale, optional
        What all series are scaled by; by default each by its own observed values.
    """

    channels: tuple[Channel, ...]
    bases: Mapping[str, Any]
    baselines: tuple[str, ...] = ()
    scale: Scale | None = None


def cut(series: Series, steps: slice, rows: NDArray[np.intp], drivers: Sequence[int]) -> Series:
    """Return some steps, series and drivers of `series`."""
    covariates = series.covariates[list(drivers)][:, rows][:, :, steps]
    values = series.values[rows, steps]
    return Series(values, series.years[steps], series.trusted[steps], covariates, series.area[rows])


def series_pattern(
    series: Series,
    hidden: Bools,
    rows: NDArray[np.intp],
    ingredients: Ingredients,
    drivers: Sequence[int] | None = None,
) -> Pattern:
    """Return the pattern of whole series with some of their values taken away.

    Parameters
    ----------
    series : Series
        The base models learn from all of them.
    hidden : ndarray of bool, (series, time)
        What to take away.
    rows : ndarray of int
        The series to keep of the pattern. Those left without any value are dropped.
    ingredients : Ingredients
    drivers : sequence of int, optional
        The covariates that are known, all by default. The channels of the others are 0, so that
        each driver keeps its place.
    """
    left = replace(series, values=np.where(hidden, np.nan, series.values))
    with one_blas_thread():
        left = replace(left, trusted=~suspect_steps(left))
        rows = rows[left.usable()[rows].any(1)]
        known = list(range(len(left.covariates)) if drivers is None else drivers)
        left = replace(left, covariates=left.covariates[known])
        block = cut(left, slice(None), rows, range(len(known)))

        def estimate(_: str, model: SeriesModel) -> Estimate:
            return model.predict(block, model.summarise(left))

        estimates = of_each(ingredients.bases, estimate)
    covariates = np.full((len(series.covariates), *block.values.shape), np.nan)
    covariates[known] = block.covariates
    block = replace(block, covariates=covariates)
    truth = np.where(hidden[rows], series.values[rows], np.nan)
    return _pattern(block, truth, estimates, ingredients)


def window_pattern(
    block: Series, hidden: Bools, shape: Sequence[int], ingredients: Ingredients
) -> Pattern:
    """Return the pattern of windows with some of their values taken away.

    Parameters
    ----------
    block : Series
        Windows, each a row.
    hidden : ndarray of bool, (sample, cell)
        What to take away.
    shape : sequence of int
        Cells of a window along each of its axes.
    ingredients : Ingredients
    """
    left = replace(block, values=np.where(hidden, np.nan, block.values))
    truth = np.where(hidden, block.values, np.nan)
    flat = _pattern(left, truth, {}, ingredients)
    x = flat.x.reshape(*flat.x.shape[:2], *shape)
    truth = flat.truth.reshape(len(flat), *shape)
    return replace(flat, x=x, truth=truth, hidden="parts of fields")


def _pattern(
    block: Series, truth: Any, estimates: Mapping[str, Estimate], ingredients: Ingredients
) -> Pattern:
    baselines = tuple(Channel("estimate", name) for name in ingredients.baselines)
    channels = (*ingredients.channels, *baselines)
    x, mean, deviation = series_channels(block, estimates, channels, ingredients.scale)
    kept = x.shape[1] - len(baselines)
    compared = {name: x[:, kept + i] for i, name in enumerate(ingredients.baselines)}
    scale = np.where(deviation > 0, deviation, np.nan)[:, None]
    scaled = ((truth - mean[:, None]) / scale).astype(np.float32)
    area, unit = block.area.astype(np.float32), deviation.astype(np.float32)
    return Pattern(x[:, :kept], scaled, area, unit, compared)
