"""Records of made-up earthquakes, and what inverts them, for tests."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xgeoml.models.waveforms import Gather

SAMPLES, LENGTH, STEP = 128, 48, 0.1


def pulses(seed=0, count=LENGTH, signed=False):
    """Return a source of two pulses, of which the second may be negative."""
    rng = np.random.default_rng(seed)
    lag = np.arange(count)[:, None]
    middle, width = rng.uniform(12, count - 12, 2), rng.uniform(2.5, 4.0, 2)
    height = rng.uniform(0.5, 1.0, 2) * np.array([1.0, -1.0 if signed else 1.0])
    return (height * np.exp(-0.5 * ((lag - middle) / width) ** 2)).sum(1)


def paths(seed=0, stations=3, count=SAMPLES):
    """Return Green's functions: two arrivals, each with a coda."""
    rng = np.random.default_rng(1000 + seed)
    number = np.arange(count)
    made = np.zeros((stations, count))
    for path in made:
        first = rng.integers(4, 12)
        second = first + rng.integers(12, 30)
        coda = rng.standard_normal(count) * (rng.random(count) < 0.3)
        for onset, strength in ((first, 1.0), (second, -0.8)):
            after = number - onset
            path += np.where(after > 0, 0.3 * coda * np.exp(-after / 20.0), 0.0)
            path[onset] += strength
    return made


def records(greens, source, noise=0.0, seed=0):
    """Return records with noise of this share of their standard deviation, each of its own."""
    rng = np.random.default_rng(2000 + seed)
    made = np.stack([np.convolve(g, source)[: greens.shape[-1]] for g in greens])
    level = np.broadcast_to(noise, len(made))[:, None] * made.std(-1, keepdims=True)
    return made + level * rng.standard_normal(made.shape)


def gather(stations=3, noise=0.0, events=1, seed=0, signed=False, **changes):
    """Return events for a model, and their sources."""
    sources = np.stack([pulses(seed + e, signed=signed) for e in range(events)])
    greens = np.stack([paths(seed + e, stations) for e in range(events)])
    made = [
        records(g, s, noise, seed + e) for e, (g, s) in enumerate(zip(greens, sources, strict=True))
    ]
    given = {"length": LENGTH, "positive": not signed, **changes}
    return Gather(np.stack(made), greens, **given), sources


def waves(stations=3, noise=0.02, seed=0, dtype=np.float32, signed=False):
    """Return a Dataset of records, Green's functions and their source, one sample every 0.1 s."""
    source, greens = pulses(seed, signed=signed), paths(seed, stations)
    shape, units = ("station", "time"), {"units": "m s-1"}
    return xr.Dataset(
        {
            "record": (shape, records(greens, source, noise, seed).astype(dtype), units),
            "greens": (shape, greens.astype(dtype), units),
            "source": ("lag", source),
        },
        {
            "station": [f"S{number}" for number in range(stations)],
            "distance": ("station", 10.0 * np.arange(1.0, stations + 1)),
            "time": ("time", STEP * np.arange(SAMPLES), {"units": "s", "long_name": "time"}),
        },
    )


def invert(obj, model="nnls", **options):
    """Invert without a bar."""
    return obj.geoml.invert_waveform(model, progress=False, **options)


def off(made, expected):
    """Return how far sources are off, over the size of those expected; (event,) of arrays."""
    made, expected = (np.asarray(a, np.float64) for a in (made, expected))
    expected = np.pad(expected, [(0, 0)] * (expected.ndim - 1) + [(0, made.shape[-1])])
    expected = expected[..., : made.shape[-1]]
    return np.sqrt(((made - expected) ** 2).sum(-1) / (expected**2).sum(-1))


def eq_tf(moved=0.02, seed=0, **options):
    """Return the network of the catalogue, its parameters moved from where they begin."""
    import torch

    from xgeoml.models.eq_tf import EqTf

    torch.manual_seed(seed)
    made = EqTf(**{**spec().options, **options})
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(moved * torch.randn_like(parameter))
    return made.eval()


def spec():
    """Return the description of the network of the catalogue."""
    from xgeoml.registry import get_model

    return get_model("eq_tf", "invert_waveform").replace(weights=None)


def weights(path, moved=0.02, path_learnt=None):
    """Write weights of the network, and the paths that it has learnt; return the file."""
    from xgeoml.weights.files import write_weights

    arrays = {} if path_learnt is None else path_learnt.arrays()
    tensors = {k: v.numpy() for k, v in eq_tf(moved).state_dict().items()}
    return write_weights(path, {**tensors, **arrays}, spec())
