"""Networks of downscaling: their channels, their ensembles, and the way back to the units."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.noise import Spot, noise_at
from xgeoml.engine.runner import resolve_device, run_network
from xgeoml.models.downscaling import Clock, Placement, Window
from xgeoml.models.series import Floats
from xgeoml.options import Options
from xgeoml.spec import Channel, ModelSpec

Single = NDArray[np.float32]

# Coarse cells in a pass on a processor, unless told otherwise: what its caches hold of their
# features (730 fields of 6 x 13 cells take as long in batches of 105 as in larger ones).
_CELLS = 8192


def run_refiner(
    window: Window,
    spots: list[Spot],
    handle: ModelHandle,
    options: Options,
    members: int,
    terrain: bool = False,
) -> Floats:
    """Return what a network makes of a window, ``(member, step, y', x')``, without the halo.

    Parameters
    ----------
    window : Window
        Without steps of a halo.
    spots : list of Spot
        Where each step's fine cells lie, halo included.
    handle : ModelHandle
    options : Options
    members : int
        0: a single answer, the first member of a network that draws random numbers.
    terrain : bool
        Whether the static covariates are elevation and share of land, which a network that knows
        what they are is given as they are, once for all steps.
    """
    spec, factor = handle.spec, window.placement.factor
    around, rows, columns = window.halo[0], *window.value.shape[1:]
    own = slice(around, len(window.value) - around)
    whole = Placement.refined(rows, columns, factor)
    # Base models see the steps before and after, and every fine cell, those of the halo too.
    seen = Window(window.value, whole, (around, 0, 0), window.clock, window.covariates, window.fine)
    estimates = {name: _estimate(name, seen, handle) for name in spec.bases}
    now = Window(
        window.value[own], whole, (0, 0, 0), window.clock.steps(own), window.covariates[:, own]
    )
    mean, deviation = scale_of(now.value, spec)
    coarse = coarse_channels(now, spec, mean, deviation)
    if terrain:
        fine = window.fine[None].astype(np.float32)
    else:
        fine = fine_channels(estimates, _static(window), spec, mean, deviation)
    shape = (rows * factor, columns * factor)
    if options.batch_size is None and resolve_device(options.device) == "cpu":
        options = replace(options, batch_size=max(1, _CELLS // (rows * columns)))

    def call(network: Any, given: Any, which: slice, member: int) -> Any:
        import torch

        beside = torch.from_numpy(fine if terrain else fine[which]).to(given.device)
        if terrain:
            return network(given, beside, factor, terrain=True)
        if not hasattr(network, "sample"):
            return network(given, beside, factor)

        def noise(draw: int) -> Any:
            each = [noise_at(spot, options.seed, member, draw) for spot in spots[which]]
            return torch.from_numpy(np.stack(each)[:, None]).to(given.device)

        return network.sample(given, beside, factor, noise)

    cut = tuple(
        slice(h * factor, n - h * factor) for h, n in zip(window.halo[1:], shape, strict=True)
    )
    residual = spec.outputs[0] == "residual"
    first = estimates[spec.bases[0]][(slice(None), *cut)] if residual else mean[:, None, None]
    sizes = (c.stop - c.start for c in cut)
    made = np.empty((max(1, members), len(coarse), *sizes))
    for member, field in enumerate(made):
        output = run_network(handle, coarse, options, shape, partial(call, member=member))
        np.multiply(output[:, 0][(slice(None), *cut)], deviation[:, None, None], out=field)
        field += first
    return made


def scale_of(value: Floats, spec: ModelSpec) -> tuple[Floats, Floats]:
    """Return mean and deviation, (step,), that a network's input is scaled by."""
    if spec.scale is not None:
        return (
            np.full(len(value), spec.scale.mean[0]),
            np.full(len(value), spec.scale.deviation[0]),
        )
    flat = value.reshape(len(value), -1)
    known = np.isfinite(flat)
    count = np.maximum(known.sum(1), 1)
    mean = np.where(known, flat, 0.0).sum(1) / count
    square = np.where(known, flat - mean[:, None], 0.0) ** 2
    deviation = np.sqrt(square.sum(1) / count)
    return mean, np.where(deviation <= 1e-12 * np.abs(mean), 1.0, deviation)


def coarse_channels(window: Window, spec: ModelSpec, mean: Floats, deviation: Floats) -> Single:
    """Return a network's coarse input, ``(step, channel, y, x)``."""
    known = np.isfinite(window.value)
    shape = window.value.shape
    made: list[NDArray[Any]] = []
    for channel in spec.inputs:
        if channel.role == "value":
            scaled = (window.value - mean[:, None, None]) / deviation[:, None, None]
            made.append(np.where(known, scaled, 0.0))
        elif channel.role == "validity":
            made.append(known)
        elif channel.role in ("season", "day"):
            made += [
                np.broadcast_to(wave[:, None, None], shape) for wave in waves(window.clock, channel)
            ]
        elif channel.role == "covariates":
            for i, field in enumerate(window.covariates, start=1):
                made.append(_scaled(field, spec, i))
    stacked = np.empty((shape[0], len(made), *shape[1:]), np.float32)
    for i, values in enumerate(made):
        stacked[:, i] = values
    return stacked


def waves(clock: Clock, channel: Channel) -> tuple[Floats, Floats]:
    """Return sine and cosine of the season or the time of day; 0 where it is not known."""
    phase = 2 * np.pi * (clock.season if channel.role == "season" else clock.day)
    return np.nan_to_num(np.sin(phase)), np.where(np.isfinite(phase), np.cos(phase), 0.0)


def fine_channels(
    estimates: dict[str, Floats], static: Floats, spec: ModelSpec, mean: Floats, deviation: Floats
) -> Single:
    """Return a network's fine input, ``(step, channel, y', x')``.

    Missing values are 0; of static covariates they stay NaN for a network whose class says
    ``takes_missing = True``.
    """
    steps = len(mean)
    scaled = [
        (estimates[c.name] - mean[:, None, None]) / deviation[:, None, None]
        for c in spec.inputs
        if c.role == "estimate"
    ]
    # Coarse covariates come before static ones in the scale of the training.
    n_scaled = len(spec.scale.mean) if spec.scale else 0
    first = n_scaled - len(static)
    fixed = [_scaled(field, spec, first + i) for i, field in enumerate(static)]
    shape = scaled[0].shape[1:] if scaled else static.shape[1:]
    made = np.zeros((steps, len(scaled) + len(fixed), *shape), np.float32)
    keeps_missing = getattr(spec.load_factory(), "takes_missing", False)
    for i, field in enumerate([*scaled, *fixed]):
        known = np.isfinite(static[i - len(scaled)]) if i >= len(scaled) else np.isfinite(field)
        made[:, i] = np.where(known, field, np.nan if keeps_missing and i >= len(scaled) else 0.0)
    return made


def _scaled(field: Floats, spec: ModelSpec, i: int) -> Floats:
    """Return a covariate in the scale of the training, or else in its own; 0 where missing."""
    known = np.isfinite(field)
    if spec.scale is not None and 0 < i < len(spec.scale.mean):
        mean, deviation = spec.scale.mean[i], spec.scale.deviation[i]
    elif known.any():
        mean, deviation = float(field[known].mean()), float(field[known].std())
    else:
        return np.zeros_like(field)
    return np.where(known, (field - mean) / (deviation or 1.0), 0.0)


def _estimate(name: str, window: Window, handle: ModelHandle) -> Floats:
    """Return what a base model says at every fine cell of a window, halo included."""
    model, state = handle.with_state(name)
    return np.asarray(model.predict(window, state), np.float64)


def _static(window: Window) -> Floats:
    """Return the static covariates; none in the shape of the fine cells."""
    if len(window.fine):
        return window.fine
    rows, columns = (n * window.placement.factor for n in window.value.shape[1:])
    return np.empty((0, rows, columns))
