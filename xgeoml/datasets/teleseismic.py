"""Responses of teleseismic P to a point source: direct P, pP and sP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Literal

import numpy as np
import xarray as xr
from numpy.typing import ArrayLike

from xgeoml.datasets.fields import SOURCE, Floats, check
from xgeoml.exceptions import InputError

COMPONENTS = ("Mrr", "Mtt", "Mpp", "Mrt", "Mrp", "Mtp")
# Depth of a layer's bottom, km; speeds of P and S, km/s.
CRUST = ((35.0, 6.3, 3.6), (np.inf, 8.05, 4.5))
# Slowness of P in IASP91 from a source at the surface, s/degree, by TauP; 89 degrees is there
# because the slope changes where P meets the core.
# fmt: off
_DISTANCE = (30.0, 35.0, 40.0, 45.0, 50.0, 55.0, 60.0, 65.0, 70.0, 75.0, 80.0, 85.0, 89.0, 90.0,
             95.0)
_SLOWNESS = (8.846, 8.616, 8.304, 7.961, 7.603, 7.241, 6.876, 6.515, 6.150, 5.779, 5.404, 5.015,
             4.692, 4.639, 4.549)
# fmt: on
_DEGREE = 111.19  # km
_FASTEST = 12.0  # km/s; from 12.6 on the flattest ray would turn above the source
# Seconds. The pulse's tail falls off as 1/t²: what comes around the end of a transform that long is
# a millionth of the peak.
_LENGTH = 1024.0


def teleseismic_greens(
    azimuth: xr.DataArray | ArrayLike,
    distance: xr.DataArray | ArrayLike,
    *,
    depth: float,
    moment_tensor: Mapping[str, float] | ArrayLike | None = None,
    strike: float | None = None,
    dip: float | None = None,
    rake: float | None = None,
    step: float,
    samples: int,
    onset: float = 0.0,
    attenuation: float = 1.0,
    quantity: Literal["velocity", "displacement"] = "velocity",
    crust: Sequence[tuple[float, float, float]] | None = None,
) -> xr.DataArray:
    """Return responses of teleseismic P, vertical component, to a point source.

    Direct P, and what left upwards as P or S and came down from the surface as P: pP and sP. There
    is no site response and no geometrical spreading: between stations only the radiation pattern
    and the angles of the rays differ, and the common scale means nothing.

    Parameters
    ----------
    azimuth : DataArray or array-like, (station,)
        From the epicentre, degrees clockwise from north. The dim of a DataArray may have any name;
        it and its coordinates are kept.
    distance : DataArray or array-like, (station,)
        From the epicentre, 30 to 95 degrees.
    depth : float
        0.1 to 100 km. The slowness is that of a source at the surface; deeper, it is too far off.
    moment_tensor : mapping or array-like of six floats, optional
        Mrr, Mtt, Mpp, Mrt, Mrp, Mtp (up, south, east), in any unit.
    strike, dip, rake : float, optional
        In place of `moment_tensor`: a double couple of unit scalar moment, degrees, in the
        convention of Aki and Richards.
    step : float
        Time step, 0.001 to 10 s.
    samples : int
        Number of steps, at least 1.
    onset : float
        Seconds from the first sample to the arrival of P at 1 Hz, 0 to 3600. Higher frequencies
        come earlier: for t* up to 2 s the rise begins within the second before, and an onset of
        less than that cuts it off.
    attenuation : float
        t* of P, 0.1 to 10 s. It is that of sP as well, which is S only above the source.
    quantity : {"velocity", "displacement"}
        What the stations record.
    crust : sequence of (float, float, float), optional
        Layers from the surface down: depth of the bottom (km), speeds of P and S (km/s). By default
        ``(35, 6.3, 3.6), (inf, 8.05, 4.5)``.

    Returns
    -------
    DataArray, (station, time)
        Response to a moment rate of 1 in one sample and 0 in the others, float64: the record is the
        plain sum ``np.convolve(greens, source)``. Up is positive; velocity is the derivative in
        time, per second, of displacement. `azimuth` and `distance` are coordinates.

    Raises
    ------
    InputError
        If azimuth and distance do not go together, the source is given twice or not at all, or a
        number lies outside its range.

    Notes
    -----
    Slowness from IASP91 (Kennett and Engdahl, 1991); delays of pP and sP from the vertical slowness
    in the layers above the source; radiation pattern and reflection at the free surface after Aki
    and Richards (2002), chapters 4 and 5; attenuation by the operator of Futterman (1962), without
    delay at 1 Hz. Boundaries below the surface let everything through. PcP, which follows P closely
    from some 80 degrees on, is left out.

    Examples
    --------
    >>> from xgeoml import datasets
    >>> greens = datasets.teleseismic_greens(
    ...     azimuth=[10.0, 100.0], distance=[40.0, 60.0], depth=30.0, strike=0.0, dip=45.0,
    ...     rake=90.0, step=0.1, samples=400, onset=5.0, quantity="displacement",
    ... )
    >>> greens.time[greens.argmax("time")].values.round(1)  # P of a thrust goes up
    array([5.2, 5.2])
    """
    check("samples", samples, 1)
    depth = _number("depth", depth, 0.1, 100, "km")
    step = _number("step", step, 0.001, 10, "s")
    onset = _number("onset", onset, 0, 3600, "s")
    attenuation = _number("attenuation", attenuation, 0.1, 10, "s")
    if quantity not in ("velocity", "displacement"):
        raise InputError(f"quantity={quantity!r}: expected 'velocity' or 'displacement'")
    tensor = _tensor(moment_tensor, {"strike": strike, "dip": dip, "rake": rake})
    layers = _layers(CRUST if crust is None else crust, depth)
    places = _places(azimuth, distance)
    where = {name: places[f"_{name}"].values for name in ("azimuth", "distance")}
    strength, delay = _phases(tensor, where["azimuth"], where["distance"], layers)
    values = _series(
        strength, onset + delay, step, samples, attenuation, derived=quantity == "velocity"
    )
    dim = next(iter(places.dims))
    made = xr.DataArray(values, dims=(dim, "time"), name="greens").assign_coords(places.coords)
    for name, known in where.items():
        made.coords[name] = (dim, known)
        made.coords[name].attrs = {"long_name": f"{name} from the epicentre", "units": "degree"}
    made.coords["time"] = ("time", step * np.arange(samples))
    made.coords["time"].attrs = {"long_name": "time", "units": "s"}
    return made.assign_attrs(
        long_name=f"ground {quantity} for a moment rate of 1 in one sample",
        units="1",
        source=SOURCE,
        comment="P, pP and sP by ray theory, vertical, up is positive; without site response and"
        " geometrical spreading: amplitudes are relative, their scale means nothing",
    )


def double_couple(strike: float, dip: float, rake: float) -> Floats:
    """Return Mrr, Mtt, Mpp, Mrt, Mrp, Mtp of a double couple of unit scalar moment.

    The angles are in degrees, in the convention of Aki and Richards (2002), chapter 4: the fault
    dips to the right of the strike, and the hanging wall slips at the rake, up from the strike.
    """
    phi, delta, turn = np.deg2rad((strike, dip, rake))
    up, along, right = np.array(  # up, south, east
        [[1.0, 0.0, 0.0], [0.0, -np.cos(phi), np.sin(phi)], [0.0, np.sin(phi), np.cos(phi)]]
    )
    normal = np.cos(delta) * up + np.sin(delta) * right
    slip = np.cos(turn) * along + np.sin(turn) * (np.sin(delta) * up - np.cos(delta) * right)
    tensor = np.outer(slip, normal) + np.outer(normal, slip)
    six: Floats = tensor[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
    return six


def surface(slowness: Floats, fast: float, slow: float) -> tuple[Floats, Floats]:
    """Return the P that a free surface sends down, over the P and over the SV that went up.

    Ratios of displacements: P is positive along its ray, SV where it moves away from the source.
    Slowness is horizontal, s/km; speeds are in km/s (Aki and Richards, 2002, chapter 5).
    """
    eta_p, eta_s = (np.sqrt(speed**-2 - slowness**2) for speed in (fast, slow))
    shear = slow**-2 - 2 * slowness**2
    crossed = 4 * slowness**2 * eta_p * eta_s
    total = shear**2 + crossed
    return (crossed - shear**2) / total, 4 * slow / fast * slowness * eta_s * shear / total


def _tensor(
    moment_tensor: Mapping[str, float] | ArrayLike | None, angles: dict[str, float | None]
) -> Floats:
    """Return the source as a matrix, (3, 3), of up, south and east."""
    given = [name for name, value in angles.items() if value is not None]
    found = [*([] if moment_tensor is None else ["moment_tensor"]), *given]
    if found not in (["moment_tensor"], list(angles)):
        raise InputError(
            f"the source is given by {', '.join(found) or 'nothing'}: expected either"
            f" moment_tensor=[{', '.join(COMPONENTS)}] or strike=, dip= and rake="
        )
    if moment_tensor is None:
        six = double_couple(*(_number(name, angles[name], -360, 360, "degrees") for name in given))
    else:
        if isinstance(moment_tensor, Mapping):
            if set(moment_tensor) != set(COMPONENTS):
                names = ", ".join(map(str, moment_tensor)) or "no component"
                raise InputError(f"moment_tensor has {names}: expected {', '.join(COMPONENTS)}")
            moment_tensor = [moment_tensor[name] for name in COMPONENTS]
        six = _numbers("moment_tensor", moment_tensor)
        if six.shape != (6,) or not np.isfinite(six).all():
            raise InputError(
                f"moment_tensor={moment_tensor!r}: expected six numbers, {', '.join(COMPONENTS)}"
            )
    return six[[[0, 3, 4], [3, 1, 5], [4, 5, 2]]]


def _layers(crust: Sequence[tuple[float, float, float]], depth: float) -> Floats:
    """Return thickness and speeds, (layer, 3), of the layers down to the source."""
    rows = _numbers("crust", crust)
    sound = rows.ndim == 2 and rows.shape[1] == 3 and len(rows) > 0
    if sound:
        bottom, fast, slow = rows.T
        # An S speed above 0.866 of that of P is that of a body that swells under pressure.
        layered = (slow > 0) & (slow < np.sqrt(0.75) * fast) & (fast < _FASTEST)
        sound = bool((layered & (bottom > [0.0, *bottom[:-1]])).all()) and bottom[-1] >= depth
    if not sound:
        raise InputError(
            f"crust={crust!r}: expected rows of bottom depth (km), P speed and S speed (km/s), from"
            f" the surface down to the source at {depth:g} km or to inf; P speed below"
            f" {_FASTEST:g}, S speed above 0 and below 0.866 of it"
        )
    above = rows[: np.searchsorted(rows[:, 0], depth) + 1].copy()
    above[:, 0] = np.diff(np.minimum(above[:, 0], depth), prepend=0.0)
    return above


def _places(azimuth: xr.DataArray | ArrayLike, distance: xr.DataArray | ArrayLike) -> xr.Dataset:
    """Return `_azimuth` and `_distance` along one dim, with the other coordinates they had."""
    named = {"azimuth": (azimuth, -360.0, 360.0), "distance": (distance, 30.0, 95.0)}
    arrays = [given for given in (azimuth, distance) if isinstance(given, xr.DataArray)]
    dims = arrays[0].dims if arrays else ("station",)
    parts = []
    for name, (given, low, high) in named.items():
        values = _numbers(name, given)
        if values.ndim != 1:
            raise InputError(f"{name} has {values.ndim} dims: expected one, that of the stations")
        outside = values[~((values >= low) & (values <= high))]
        if outside.size:
            raise InputError(
                f"{name} is {outside[0]:g} at {outside.size} of {values.size} stations: expected"
                f" {low:g} to {high:g} degrees; leave the others out"
            )
        part = given if isinstance(given, xr.DataArray) else xr.DataArray(values, dims=dims)
        part = part.drop_vars(named, errors="ignore").copy(data=values)
        parts.append(part.rename(f"_{name}"))
    try:
        places = xr.merge(parts, join="exact", compat="equals", combine_attrs="drop")
    except ValueError as error:
        raise InputError(f"azimuth and distance are not of the same stations: {error}") from error
    if len(places.dims) > 1 or "time" in {*places.dims, *places.coords}:
        raise InputError(
            f"azimuth and distance have the dims {', '.join(map(str, places.dims))} and the"
            f" coordinates {', '.join(map(str, places.coords)) or 'none'}: expected the same one"
            " dim, and none called 'time'; rename() or drop_vars() what is in the way"
        )
    return places


def _phases(
    tensor: Floats, azimuth: Floats, distance: Floats, layers: Floats
) -> tuple[Floats, Floats]:
    """Return amplitude, and seconds behind P, of P, pP and sP, each (station, phase)."""
    slowness = np.interp(distance, _DISTANCE, _SLOWNESS)[:, None] / _DEGREE
    thickness, fast, slow = layers.T
    # Vertical slowness, (station, layer).
    eta_p, eta_s = (np.sqrt(speed**-2.0 - slowness**2) for speed in (fast, slow))
    angle = np.deg2rad(azimuth)
    up = np.array([1.0, 0.0, 0.0])
    level = np.stack([np.zeros_like(angle), -np.cos(angle), np.sin(angle)], axis=1)
    ray_p, ray_s = (slowness * level + eta[:, -1:] * up for eta in (eta_p, eta_s))
    ray_p, ray_s = ray_p * fast[-1], ray_s * slow[-1]
    down_p = ray_p * [-1.0, 1.0, 1.0]
    moves_s = slow[-1] * (eta_s[:, -1:] * level - slowness * up)
    pairs = ((down_p, down_p), (ray_p, ray_p), (moves_s, ray_s))
    radiated = [np.einsum("si,ij,sj->s", moves, tensor, ray) for moves, ray in pairs]
    of_p, of_s = surface(slowness[:, 0], fast[0], slow[0])
    # In plane waves a point source has 1 / (vertical slowness * speed³) of either kind.
    excess = fast[-1] ** 3 * eta_p[:, -1] / (slow[-1] ** 3 * eta_s[:, -1])
    strength = np.stack([radiated[0], radiated[1] * of_p, radiated[2] * of_s * excess], axis=1)
    behind = [np.zeros_like(angle), 2 * eta_p @ thickness, (eta_p + eta_s) @ thickness]
    return strength, np.stack(behind, axis=1)


def _series(
    strength: Floats, arrival: Floats, step: float, samples: int, attenuation: float, derived: bool
) -> Floats:
    """Return attenuated pulses at the times of arrival, summed over phases, (station, time)."""
    from scipy.fft import irfft, next_fast_len, rfftfreq
    from scipy.special import xlogy

    # Inside, steps are so short that attenuation leaves nothing beyond their highest frequency: a
    # coarse result is a fine one sampled, without ringing before the onset.
    parts = int(np.ceil(10 * step / attenuation))
    seconds = max(2 * step * samples, 2 * arrival.max(initial=0.0), _LENGTH)
    length = next_fast_len(int(np.ceil(seconds * parts / step)), real=True)
    omega = 2 * np.pi * rfftfreq(length, step / parts)
    late = xlogy(omega, omega / (2 * np.pi)) / np.pi
    pulse = np.exp(attenuation * (1j * late - omega / 2))
    # The moment of a sample is released evenly during its step.
    pulse *= parts * np.sinc(omega * step / (2 * np.pi))
    if derived:
        pulse *= 1j * omega
    series = np.empty((len(arrival), samples))
    # One station at a time: the spectra of all would be large.
    for row, weight, at in zip(series, strength, arrival, strict=True):
        spectrum = pulse * (weight @ np.exp(-1j * at[:, None] * omega))
        row[:] = irfft(spectrum, length)[: samples * parts : parts]
    return series


def _numbers(name: str, values: object) -> Floats:
    try:
        return np.array(values, np.float64)
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}={values!r}: expected numbers") from error


def _number(name: str, value: object, low: float, high: float, units: str) -> float:
    known = np.nan
    if not isinstance(value, bool) and isinstance(value, Real):
        known = float(value)
    if not low <= known <= high:
        raise InputError(f"{name}={value!r}: expected a number, {low:g} to {high:g} {units}")
    return known
