"""Records of earthquakes at several stations, and what made them."""

from __future__ import annotations

import numpy as np
import xarray as xr

from xgeoml.datasets.fields import SOURCE, Floats, check, generator
from xgeoml.exceptions import InputError

_STEP = 0.1  # seconds
_SINCE_ONSET = {"long_name": "time since the onset", "units": "s"}
_P_SPEED, _S_SPEED = 6.0, 3.4  # km/s, of the upper crust


def wavefield(
    seed: int = 0,
    *,
    stations: int = 12,
    samples: int = 512,
    source_samples: int = 128,
    signal_to_noise: float = 10.0,
) -> xr.Dataset:
    """Return synthetic records of an earthquake, with its Green's functions and its source.

    Parameters
    ----------
    seed : int
        The same seed gives the same records.
    stations : int
        Number of stations, at least 1.
    samples : int
        Length of the records and of the Green's functions, at least 256.
    source_samples : int
        Length of the source, at least 32 and at most `samples`.
    signal_to_noise : float
        Standard deviation of the record over that of the noise; ``inf`` for none.

    Returns
    -------
    Dataset
        `record` (station, time): the plain sum ``np.convolve(greens, source)``, cut to `samples`,
        plus noise. `greens` (station, time): response to a unit impulse, of unit energy.
        `source` (lag): positive, summing to 1. All float32, sampled at 10 Hz; `distance` and
        `azimuth` of each station are coordinates.

    Raises
    ------
    InputError
        If a length is too short.

    Examples
    --------
    >>> import numpy as np
    >>> from xgeoml import datasets
    >>> ds = datasets.wavefield(signal_to_noise=np.inf)
    >>> made = np.convolve(ds.greens[0], ds.source)[: ds.sizes["time"]]
    >>> bool(np.allclose(made, ds.record[0], atol=1e-5))
    True
    """
    check("stations", stations, 1)
    check("samples", samples, 256)
    check("source_samples", source_samples, 32)
    random = generator("waves", seed)
    source = _source(random, source_samples)
    azimuth = np.sort(random.uniform(0, 360, stations))
    distance = random.uniform(15, 70, stations)
    greens = np.stack(
        [_response(random, *at, samples) for at in zip(distance, azimuth, strict=True)]
    )
    record = np.stack([np.convolve(green, source)[:samples] for green in greens])
    noise = _coloured(random, (stations, samples))
    record = record + noise * (record.std(axis=1, keepdims=True) / signal_to_noise)

    shape = ("station", "time")
    seconds = {"long_name": "time", "units": "s"}
    return xr.Dataset(
        {
            "record": (
                shape,
                record.astype(np.float32),
                {"long_name": "ground velocity", "units": "m s-1"},
            ),
            "greens": (
                shape,
                greens.astype(np.float32),
                {"long_name": "Green's function", "units": "m s-1"},
            ),
            "source": (
                "lag",
                source.astype(np.float32),
                {"long_name": "moment rate, normalised", "units": "1"},
            ),
        },
        coords={
            "station": [f"XG{number:02d}" for number in range(stations)],
            "time": ("time", _STEP * np.arange(samples), seconds),
            "lag": ("lag", _STEP * np.arange(source_samples), _SINCE_ONSET),
            "distance": (
                "station",
                distance,
                {"long_name": "distance from the epicentre", "units": "km"},
            ),
            "azimuth": (
                "station",
                azimuth,
                {"long_name": "azimuth from the epicentre", "units": "degree"},
            ),
        },
        attrs={
            "Conventions": "CF-1.11",
            "title": "Synthetic records of an earthquake",
            "source": SOURCE,
            "comment": "synthetic: looks like real records, says nothing of a real event",
        },
    )


def station_pairs(
    seed: int = 0,
    *,
    events: int = 100,
    stations: int = 10,
    samples: int = 1500,
    source_samples: int = 300,
    variation: float = 0.3,
    signal_to_noise: float = 4.0,
) -> xr.Dataset:
    """Return synthetic records of many earthquakes of one site, with the source of each.

    The paths to the stations are nearly the same for all events, as they are for those of one
    fault: what a network can learn from pairs of records and sources.

    Parameters
    ----------
    seed : int
        The same seed gives the same records.
    events, stations : int
        Numbers of earthquakes and stations, at least 1.
    samples : int
        Length of the records, at least 256.
    source_samples : int
        Length of the sources, at least 32 and at most `samples`.
    variation : float
        How much the path of each event differs from those of the others: the root mean square of
        what is its own, over that of the path.
    signal_to_noise : float
        Standard deviation of a record over that of the noise; ``inf`` for none.

    Returns
    -------
    Dataset
        `record` (event, station, time), `source` (event, lag), positive and summing to 1, and
        `greens` (station, time), the paths that events have in common, each of unit energy; see
        `wavefield`. All float32, sampled at 10 Hz.

    Raises
    ------
    InputError
        If a number is too small.

    Examples
    --------
    >>> from xgeoml import datasets
    >>> ds = datasets.station_pairs(events=4, stations=2)
    >>> dict(ds.record.sizes)
    {'event': 4, 'station': 2, 'time': 1500}
    """
    check("events", events, 1)
    if not variation >= 0:
        raise InputError(f"variation={variation!r}: expected a number, 0 or above")
    site = wavefield(
        seed,
        stations=stations,
        samples=samples,
        source_samples=source_samples,
        signal_to_noise=np.inf,
    )
    greens = site["greens"].values.astype(np.float64)
    random = generator("station pairs", seed)
    source = np.stack([_source(random, source_samples) for _ in range(events)])
    # What is an event's own comes with the waves that it belongs to.
    envelope = np.sqrt(_smooth_power(greens))
    own = envelope * random.standard_normal((events, *greens.shape))
    own *= variation * np.sqrt((greens**2).mean(-1) / (own**2).mean(-1))[..., None]
    record = np.stack(
        [
            [np.convolve(path, one)[:samples] for path in greens + extra]
            for one, extra in zip(source, own, strict=True)
        ]
    )
    noise = _coloured(random, (events * stations, samples)).reshape(record.shape)
    record = record + noise * (record.std(axis=-1, keepdims=True) / signal_to_noise)
    made = site.drop_vars(["record", "source"])
    made["record"] = (
        ("event", "station", "time"),
        record.astype(np.float32),
        site["record"].attrs,
    )
    made["source"] = (("event", "lag"), source.astype(np.float32), site["source"].attrs)
    title = "Synthetic records of earthquakes of one site, and their sources"
    number = xr.Variable("event", np.arange(events), {"long_name": "number of the earthquake"})
    return made.assign_coords(event=number).assign_attrs(title=title)


def _smooth_power(greens: Floats) -> Floats:
    """Return the power of paths, (station, sample), over about a second."""
    width = np.hanning(23)[1:-1]
    smooth = [np.convolve(path**2, width / width.sum(), mode="same") for path in greens]
    return np.stack(smooth)


def _source(random: np.random.Generator, samples: int) -> Floats:
    """Draw a rupture in one to three bursts: each starts fast and dies out slowly."""
    lag = np.arange(samples) / samples
    source = np.zeros(samples)
    for _ in range(random.integers(1, 4)):
        since = np.clip(lag - random.uniform(0.02, 0.4), 0, None) / random.uniform(0.02, 0.08)
        source += random.uniform(0.3, 1.0) * since**1.5 * np.exp(-since)
    source *= np.clip((1 - lag) * 8, 0, 1)
    normalised: Floats = source / source.sum()
    return normalised


def _response(random: np.random.Generator, distance: float, azimuth: float, samples: int) -> Floats:
    """Draw a response of the crust: P and S as a double couple sends them out, each with coda."""
    angle = np.deg2rad(azimuth)
    # A strike-slip fault: P is strongest between the nodal planes, S on them. No node is silent.
    strength = {"P": 0.35 * (np.sin(2 * angle) + 0.3), "S": np.cos(2 * angle) + 0.3}
    step = np.arange(samples)
    response = np.zeros(samples)
    start = random.integers(8, 24)  # the records start a little before P
    for phase, speed, fade in (("P", _P_SPEED, 45.0), ("S", _S_SPEED, 80.0)):
        delay = distance / speed - distance / _P_SPEED
        onset = min(int(start + delay / _STEP), samples - 2)
        after = np.clip(step - onset, 0, None)
        coda = np.where(step > onset, np.exp(-after / fade), 0.0)
        sparse = random.standard_normal(samples) * (random.random(samples) < 0.3)
        response[onset] += strength[phase]
        response += 0.35 * abs(strength[phase]) * coda * sparse
    # The crust takes the highest frequencies out.
    width = np.arange(-4, 5)
    pulse = np.exp(-0.5 * (width / 1.1) ** 2)
    response = np.convolve(response, pulse / pulse.sum(), mode="same")
    unit: Floats = response / np.sqrt((response**2).sum())
    return unit


def _coloured(random: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Draw noise, (station, sample), that falls off towards the high frequencies as the Earth's."""
    spectrum = np.fft.rfft(random.standard_normal(shape), axis=1)
    frequency = np.fft.rfftfreq(shape[1], _STEP)
    noise = np.fft.irfft(spectrum / np.sqrt(1 + (frequency / 0.8) ** 2), shape[1], axis=1)
    unit: Floats = noise / noise.std(axis=1, keepdims=True)
    return unit
