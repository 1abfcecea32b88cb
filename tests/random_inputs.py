"""Random xarray objects: what users hold, and one in some that nobody should.

What is usual is taken most of the time, so that calls get beyond the first check. Everything
follows from one seed: drawn one by one, choices would come in groups of nearly the same calls.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from hypothesis import strategies as st

# Up to 24 bits hypothesis draws all integers alike.
SEEDS = st.integers(0, 2**24 - 1)

ODD_ATTRIBUTES: list[dict[Any, Any]] = [
    {},
    {"units": "cm", "long_name": "water"},
    {"units": "K", "standard_name": "air_temperature", "cell_methods": "time: mean"},
    {"units": "mm", "cell_methods": "time: sum", "history": "made", "cell_measures": "area: area"},
    {"units": ""},
    {"units": 1},
    {"units": "furlongs\x1b[2J per <b>", "long_name": None},
    {"units": np.array([1, 2]), "flag": np.nan, "list": [1, "a"], "nested": {"a": {"b": b"c"}}},
    {"history": 5, 3: "three", "valid_range": np.array([0.0, 1.0]), "_FillValue": -9.0},
    {"missing_value": np.array([-9.0, 5.0]), "coordinates": "lat lon", "grid_mapping": "crs"},
    {"ancillary_variables": "nothing", "bounds": "nowhere", "units": "1"},
]
NAMES: list[Hashable] = ["tas", "lwe_thickness", None, 3, ("a", 1), "a/b", "", "time", "<i>\n"]
# Of Y and X; some need attributes to be known.
PLANES = [
    ("lat", "lon"),
    ("latitude", "longitude"),
    ("y", "x"),
    ("rlat", "rlon"),
    ("north", "east"),
    ("lon", "lat"),
]


@dataclass(frozen=True)
class Dice:
    """Choices that follow from a seed; where all is `calm` few are odd."""

    random: Random
    calm: bool = False

    def pick(self, choices: Sequence[Any]) -> Any:
        return self.random.choice(list(choices))

    def odd(self, usual: Any, *others: Any, one_in: int = 12) -> Any:
        """Return what is usual, and one time in some another."""
        return self.pick(others) if self.chance(one_in * (20 if self.calm else 1)) else usual

    def chance(self, one_in: int = 12) -> bool:
        return self.random.randrange(one_in) == 0

    def number(self, low: int, high: int) -> int:
        return self.random.randint(low, high)

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.random.getrandbits(32))

    def attrs(self) -> dict[Any, Any]:
        return dict(self.odd(self.pick(ODD_ATTRIBUTES[:4]), *ODD_ATTRIBUTES))


@dataclass
class Frame:
    """Dims and coordinates, before there are values."""

    sizes: dict[Hashable, int] = field(default_factory=dict)
    coords: dict[Hashable, Any] = field(default_factory=dict)
    bounds: dict[Hashable, Any] = field(default_factory=dict)


def dates(dice: Dice, size: int) -> Any:
    """Return that many stamps, in order."""
    freq = dice.pick(["MS", "D", "6h", "h", "ME", "YS", "5D", "30min"])
    more = dice.odd(0, 1, 3, one_in=3)
    calendar = dice.odd(None, "noleap", "360_day", "julian", "standard", "all_leap")
    start = dice.odd("2001-01-01", "1850-01-16 12:00", "2000-02-28", "0004-02-28")
    made = xr.date_range(
        start,
        periods=size + more,
        freq=freq,
        calendar=calendar or "standard",
        use_cftime=calendar is not None,
        **({} if calendar else {"unit": "s"}),
    )
    kept = np.sort(dice.rng().permutation(size + more)[:size])
    values = made.values[kept]
    unit = dice.pick(["ns", "s", "ms", "us"])
    return values if calendar or start < "1" else values.astype(f"M8[{unit}]")


def spoilt(dice: Dice, stamps: Any) -> Any:
    """Return stamps as they are, and one time in some not."""
    n = len(stamps)
    how = dice.odd("", "down", "twice", "missing", "shuffled", "jitter", one_in=8)
    if how == "down":
        return stamps[::-1]
    if how == "twice" and n > 1:
        return stamps[np.maximum(np.arange(n) - 1, 0)]
    if how == "missing" and n and stamps.dtype.kind == "M":
        return np.where(np.arange(n) == n // 2, np.datetime64("NaT"), stamps)
    if how == "shuffled":
        return stamps[dice.rng().permutation(n)]
    if how == "jitter" and stamps.dtype.kind == "M":
        shifts = (dice.rng().random(n) * 3000).astype("m8[s]")
        return stamps + shifts.astype(f"m8[{np.datetime_data(stamps.dtype)[0]}]")
    return stamps


def time_axis(dice: Dice, frame: Frame, size: int) -> str:
    """Add an axis of time, with or without what tells that it is one; return its name."""
    name = str(dice.odd("time", "date", "t", "valid_time", "step", "foo"))
    stamps = spoilt(dice, dates(dice, size))
    kind = dice.odd(
        "dates", "none", "numbers", "text", "lengths", "periods", "undecoded", "zone", one_in=8
    )
    attrs = dice.odd({}, {"standard_name": "time"}, {"axis": "T"}, {"long_name": 3}, one_in=2)
    if kind == "numbers":
        stamps = np.arange(float(size))
    elif kind == "text":
        stamps = np.array([str(s)[:16] for s in stamps], dtype=str)
    elif kind == "lengths":
        stamps = np.arange(size).astype("m8[h]").astype("m8[ns]")
    elif kind == "periods":
        stamps = pd.period_range("2001-01", periods=size, freq="M")
    elif kind == "zone":
        stamps = pd.date_range("2001-01", periods=size, tz="Asia/Tokyo")
    elif kind == "undecoded":
        stamps, attrs = np.arange(size), {"units": "days since 2000-01-01", "calendar": "noleap"}
    frame.sizes[name] = size
    if kind != "none":
        frame.coords[name] = (name, stamps, attrs)
    if kind == "dates" and size > 1 and dice.chance() and stamps.dtype.kind == "M":
        attrs["bounds"] = "time_bnds"
        step = np.diff(stamps)[:1]
        frame.bounds["time_bnds"] = ((name, "bnds"), np.stack([stamps, stamps + step], 1))
    return name


def degrees(dice: Dice, size: int, north: bool) -> Any:
    """Return latitudes, or longitudes, one to some of which are none."""
    step = dice.pick([1.0, 0.25, 5.0, 2.5])
    start = 60.0 - step * size if north else dice.pick([0.0, -10.0, 172.0, -180.0, 359.0])
    values = start + step * (0.5 + np.arange(size))
    how = dice.odd("", "down", "around", "far", "uneven", "missing", "twice", "radians", "tiny")
    if how == "down":
        values = values[::-1]
    elif how == "around":
        values = np.linspace(-90, 90, size) if north else np.arange(size) * 360.0 / max(size, 1)
    elif how == "far":
        values = values * 1e5
    elif how == "uneven":
        values = values + step * 0.3 * dice.rng().random(size)
    elif how == "missing":
        values = np.where(np.arange(size) == size // 2, np.nan, values)
    elif how == "twice":
        values = values[np.maximum(np.arange(size) - 1, 0)]
    elif how == "radians":
        values = np.radians(values)
    elif how == "tiny":
        values = values * 1e-9
    if not north and dice.chance():
        values = (values + 180.0) % 360.0 - 180.0
    # Of the halves of NumPy pandas makes no index.
    return values.astype(dice.odd("f8", "f4", "i4", ">f8"))


def plane(dice: Dice, frame: Frame, rows: int, columns: int) -> None:
    """Add rows and columns, with or without coordinates."""
    names = dice.odd(PLANES[0], *PLANES, one_in=3)
    frame.sizes.update(zip(names, (rows, columns), strict=True))
    kind = dice.odd("flat", "none", "curved", "text", one_in=5)
    if kind == "none":
        return
    lat, lon = degrees(dice, rows, north=True), degrees(dice, columns, north=False)
    unit = dice.odd("degrees", "radian", "m", None)
    tell = {"degrees": ("degrees_north", "degrees_east"), None: (None, None)}.get(
        unit, (unit, unit)
    )
    attrs = [{} if u is None or dice.chance(3) else {"units": u} for u in tell]
    if kind == "curved":
        tilted = np.meshgrid(lat, lon, indexing="ij")
        frame.coords["lat2"] = (names, tilted[0] + 0.1 * tilted[1], {"units": "degrees_north"})
        frame.coords["lon2"] = (names, tilted[1] - 0.1 * tilted[0], {"units": "degrees_east"})
        return
    if kind == "text":
        frame.coords[names[0]] = (names[0], [f"r{n}" for n in range(rows)])
        return
    for name, values, said in zip(names, (lat, lon), attrs, strict=True):
        frame.coords[name] = (name, values, said)
        if dice.chance(8):
            said["bounds"] = f"{name}_bnds"
            half = 0.5 * (values[1] - values[0]) if len(values) > 1 else 0.5
            frame.bounds[f"{name}_bnds"] = (
                (name, "bnds"),
                np.stack([values - half, values + half], 1),
            )


def further(dice: Dice, frame: Frame) -> None:
    """Add dims and coordinates that no task asks for."""
    if dice.chance(4):
        dim = dice.pick(["station", "level", "member", "basin", "z"])
        size = dice.odd(2, 1, 0, 3)
        frame.sizes[dim] = size
        label = dice.pick(["none", "text", "numbers", "places"])
        if label == "text":
            frame.coords[dim] = (dim, [f"s{n}" for n in range(size)])
        elif label == "numbers":
            frame.coords[dim] = (dim, np.arange(size) * 10)
        elif label == "places":
            frame.coords["lat_of"] = (dim, np.arange(size) * 1.0, {"standard_name": "latitude"})
            frame.coords["lon_of"] = (dim, np.arange(size) * 1.0, {"standard_name": "longitude"})
    dims = list(frame.sizes)
    if dice.chance(4):
        frame.coords["height"] = dice.pick(
            [((), 2.0), ((), "text"), ((), np.datetime64("NaT", "s"))]
        )
    if dims and dice.chance(4):
        dim = dice.pick(dims)
        n = frame.sizes[dim]
        text = np.array(["a"] * n, dtype=object)
        values = dice.pick([np.arange(n), np.arange(n) / 2, text, np.arange(n) > 1])
        frame.coords["extra"] = (dim, values, dice.attrs())
    if len(dims) > 1 and dice.chance(5):
        shape = [frame.sizes[d] for d in dims[-2:]]
        frame.coords["area"] = (tuple(dims[-2:]), np.ones(shape), {"units": "m2"})


def sized(dice: Dice, high: int) -> int:
    """Return a size, most often one that calls can work with."""
    return int(dice.odd(dice.number(min(3, high), high), 0, 1, 2, one_in=7))


def framed(dice: Dice, steps: int = 60, cells: int = 12, maps: bool = False) -> Frame:
    """Return dims and coordinates of a record, most often of maps."""
    frame = Frame()
    if not dice.chance(12):
        time_axis(dice, frame, sized(dice, steps))
    kind = "plane" if maps else dice.pick(["plane", "plane", "plane", "none", "points"])
    if kind == "plane":
        plane(dice, frame, sized(dice, cells), sized(dice, cells))
    elif kind == "points":
        frame.sizes["station"] = sized(dice, 4)
    if "station" not in frame.sizes:
        further(dice, frame)
    return frame


def numbers(dice: Dice, shape: tuple[int, ...]) -> Any:
    """Return values, the first axis most often time."""
    rng = dice.rng()
    kind = dice.odd("cycles", "noise", "constant", "zeros", "huge", "tiny", "offset", "steps")
    made = rng.standard_normal(shape)
    if kind == "cycles" and shape:
        phase = 0.5 * np.arange(shape[0]).reshape(shape[0], *(1 for _ in shape[1:]))
        made = 280.0 + 5.0 * np.sin(phase + rng.uniform(0, 6, shape[1:])) + 0.3 * made
    factors = {"huge": 1e37, "tiny": 1e-38, "zeros": 0.0}
    made = made * factors.get(kind, 1.0) + (1e7 if kind == "offset" else 0.0)
    if kind == "constant":
        made = np.full(shape, 3.25)
    return np.round(made) if kind == "steps" else made


def with_gaps(dice: Dice, values: Any) -> Any:
    """Return values of which some are missing."""
    how = dice.pick(
        ["none", "few", "steps", "clouds", "edges", "one", "few", "cell", "steps", "all", "but one"]
    )
    rng, shape = dice.rng(), values.shape
    missing = np.zeros(shape, bool)
    if how == "few":
        missing = rng.random(shape) < 0.3
    elif how == "steps" and shape:
        missing[rng.random(shape[0]) < 0.3] = True
    elif how == "clouds" and len(shape) > 1:
        low = rng.random([n // 3 + 1 for n in shape]) < 0.4
        for axis, n in enumerate(shape):
            low = low.repeat(3, axis).take(np.arange(n), axis)
        missing = low
    elif how == "edges" and shape:
        missing[:2] = missing[-2:] = True
        missing[..., :1] = True
    elif how == "one" and values.size:
        missing.flat[values.size // 2] = True
    elif how == "cell" and len(shape) > 1 and values.size:
        missing[(slice(None), *(0 for _ in shape[1:]))] = True
    elif how in ("all", "but one"):
        missing[...] = True
        missing.flat[: how == "but one" and 1] = False
    made = np.where(missing, np.nan, values)
    if made.size and dice.chance(10):
        made.flat[rng.integers(made.size)] = dice.pick([np.inf, -np.inf, 3e38, -9.0])
    return made


def typed(dice: Dice, values: Any) -> Any:
    """Return values in the dtype of a file."""
    dtype = dice.odd(
        dice.pick(["f4", "f8"]),
        *("f2", "i2", "i8", "u1", "?", ">f4", ">f8", "c8", "U", "O", "g", "M8[ns]", "m8[ns]"),
        one_in=7,
    )
    if dtype == "O":
        made = values.astype(object)
        return np.where(np.isnan(values), None, made) if dice.chance(2) else made
    if dtype == "U":
        return values.astype(str)
    if np.dtype(dtype).kind in "iuMm?":
        values = np.nan_to_num(np.clip(values, -300, 300), nan=-9)
        return values.astype("i8").astype(dtype)
    with np.errstate(over="ignore", invalid="ignore"):
        return values.astype(dtype)


def chunked(dice: Dice, obj: Any) -> Any:
    """Return an object as it is, or lazy, in chunks that nobody would choose."""
    how = dice.odd("", "one", "steps", "threes", "uneven", one_in=3)
    if not how:
        return obj
    chunks: dict[Hashable, Any] = {}
    for n, (dim, size) in enumerate(obj.sizes.items()):
        if how == "steps" and n == 0:
            chunks[dim] = 1
        elif how == "threes":
            chunks[dim] = 3
        elif how == "uneven" and size > 2:
            chunks[dim] = (1, size - 2, 1)
    return obj.chunk(chunks)


def array(dice: Dice, frame: Frame, name: Hashable = "tas", stacked: bool = True) -> xr.DataArray:
    """Return values in a frame, dims in any order, two of them in some cases as one."""
    shape = tuple(frame.sizes.values())
    values = typed(dice, with_gaps(dice, numbers(dice, shape)))
    made = xr.DataArray(values, dims=tuple(frame.sizes), name=name, attrs=dice.attrs())
    made = made.assign_coords(frame.coords)
    if dice.chance(10):
        made.encoding = {
            "dtype": np.dtype("int16"),
            "scale_factor": 0.1,
            "add_offset": 3.0,
            "_FillValue": -999,
            "chunksizes": shape,
            "source": "nowhere.nc",
        }
    if len(made.dims) > 1 and dice.chance(3):
        made = made.transpose(*dice.rng().permutation(list(made.dims)))
    zoned = any(hasattr(c.dtype, "tz") for c in made.coords.values())  # which xarray cannot stack
    if len(made.dims) > 1 and made.size and stacked and not zoned and dice.chance(20):
        pair = made.dims[-2:]
        made = made.stack(
            point=pair, create_index=all(d in made.indexes and made[d].dtype.isnative for d in pair)
        )
    return made


def random_object(dice: Dice, steps: int = 60, cells: int = 12, maps: bool = False) -> Any:
    """Return a DataArray, Dataset or DataTree."""
    frame = framed(dice, steps, cells, maps)
    kind = dice.pick(["array", "array", "dataset", "dataset", "tree"])
    if kind == "array":
        name = dice.odd("tas", *NAMES)
        return chunked(dice, array(dice, frame, name))
    made = dataset(dice, frame)
    if kind == "dataset":
        return made
    groups = {"/a": made}
    if dice.chance(3):
        groups["/"] = xr.Dataset(attrs=dice.attrs()) if dice.chance(2) else made
    elif dice.chance(3):
        groups["/b/c"] = dataset(dice, framed(dice, steps, cells, maps))
    return xr.DataTree.from_dict(groups)


def dataset(dice: Dice, frame: Frame) -> xr.Dataset:
    """Return variables in one frame, some of them without one of its dims."""
    first = array(dice, frame)
    made = first.to_dataset(name="tas")
    for n in range(dice.odd(0, 1, 2, one_in=3)):
        name = dice.odd(f"v{n}", "mask", 3, "tas_fill_flag", "tas_spread")
        dims = list(frame.sizes)
        if dims and dice.chance(2):
            dims.remove(dice.pick(dims))
        part = Frame({dim: frame.sizes[dim] for dim in dims})
        made[name] = array(dice, part, name, stacked=False).variable
    for name, (dims, values) in frame.bounds.items():
        made[name] = (dims, values)
    made.attrs = dice.attrs()
    return chunked(dice, made)
