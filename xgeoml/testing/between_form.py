"""Checks of everything around the numbers that a model of interpolation in time makes."""

from __future__ import annotations

import itertools
import pickle
import warnings
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.testing import between
from xgeoml.testing.between import FACTOR, Between
from xgeoml.testing.compare import CheckSkippedError, close, expect, identical, raises, same_bits
from xgeoml.testing.form import BYTES_A_TASK
from xgeoml.testing.lazy import assert_lazy, raise_if_computes

CHUNKINGS: tuple[dict[str, Any], ...] = (
    {"time": -1, "lat": -1, "lon": -1},
    {"time": 1, "lat": -1, "lon": -1},
    {"time": -1, "lat": 1, "lon": 1},
    {"time": 5, "lat": 4, "lon": 3},
    {"time": (2, 13, 7), "lat": -1, "lon": 5},
)
# Networks may take another way through the processor for another number of fields.
ROUNDING = 1e-5


def chunks(subject: Between) -> None:
    """Use NumPy and five chunkings of dask, on threads too: the same bits."""
    data = _holes()
    with between.small_passes():
        expected = subject.interp(data, model=subject.in_passes)
        for sizes in CHUNKINGS:
            lazy = subject.interp(data.chunk(sizes), model=subject.in_passes)
            same_bits(lazy.compute(scheduler="threads"), expected, f"chunks {sizes}")
        same_bits(lazy.compute(scheduler="synchronous"), expected, "in one thread")


def processes(subject: Between) -> None:
    """Use two other processes: the same bits."""
    import dask

    data = _holes()
    with between.small_passes():
        expected = subject.interp(data, model=subject.in_passes)
        lazy = subject.interp(data.chunk(time=3), model=subject.in_passes)
    with dask.config.set(scheduler="processes", num_workers=2):
        same_bits(lazy.compute(), expected, "two processes")


def batches(subject: Between) -> None:
    """Take few samples at a time, and many: the same to 1e-5 of the standard deviation."""
    if not subject.is_torch:
        raise CheckSkippedError("it is no network, which alone has batches")
    # In float64: one unit of float32 is more than that of temperatures in kelvin.
    data = between.record().astype(np.float64)
    many = subject.interp(data, batch_size=64)
    close(subject.interp(data, batch_size=1), many, "batch_size=1 beside 64", ROUNDING)


def passes(subject: Between) -> None:
    """Ask for some times alone, and cut the record into short passes: hardly anything changes."""
    data = between.record().astype(np.float64)
    made = subject.interp(data)
    some = made[{"time": [1, 8, 9, 31, 40]}]
    close(subject.interp(data, times=some.time), some, "some of the times", ROUNDING)
    if subject.halo >= 4:
        short = subject.interp(data, model=subject.in_passes)
        off = float(np.sqrt(((short - made) ** 2).mean()))
        allowed = 0.02 * float(data.std())
        expect(off < allowed, f"short passes differ by {off:.3g} (rms), expected < {allowed:.3g}")


def dim_orders(subject: Between) -> None:
    """Permute the dims: they come back in this order, with the same values."""
    data = between.record()
    expected = subject.interp(data)
    for order in itertools.permutations(data.dims):
        made = subject.interp(data.transpose(*order))
        same_bits(made, expected.transpose(*order), f"dims {order}")


def other_dims(subject: Between) -> None:
    """Add levels, before time and behind it: each is what it is alone."""
    data = between.record()
    expected = subject.interp(data)
    levels = xr.concat([data, data + 10.0], xr.DataArray([850, 500], dims="level"))
    for order in (("level", *data.dims), ("time", "lat", "level", "lon")):
        made = subject.interp(levels.transpose(*order))
        expect(made.dims == order, f"dims {order} came back as {made.dims}")
        expect(made["level"].equals(levels["level"]), "the levels were changed")
        first = made.isel(level=0).transpose(*data.dims)
        close(first, expected, f"the first of two levels, dims {order}", ROUNDING)


def metadata(subject: Between) -> None:
    """Find name, attributes and coordinates kept, and those along time interpolated."""
    data = between.record().assign_coords(
        run=3,
        lead=("time", np.arange(between.N_STEPS, dtype=np.float32)),
        season=("time", np.arange(between.N_STEPS)),
        basin=(("lat", "lon"), np.zeros((between.N_LAT, between.N_LON), int)),
    )
    data.encoding.update(complevel=4, scale_factor=0.01, dtype="int16", _FillValue=-1)
    data["time"].attrs["long_name"] = "valid time"
    made = subject.interp(data)
    expect(made.name == data.name, f"name {made.name!r}, expected {data.name!r}")
    expect(made.dims == data.dims, f"dims {made.dims}, expected {data.dims}")
    kept = {k: made.attrs.get(k) for k in data.attrs}
    expect(kept == data.attrs, f"attributes {kept}, expected {data.attrs}")
    expect("history" in made.attrs, "no history was written")
    for name in ("lat", "lon", "run", "basin"):
        identical(made[name].variable, data[name].variable, f"coordinate {name!r}")
    expect(made["time"].attrs == data["time"].attrs, "attributes of time are lost")
    right = np.arange((between.N_STEPS - 1) * FACTOR + 1, dtype=np.float32) / FACTOR
    off = float(np.abs(made["lead"].values - right).max())
    expect(off < 1e-5, f"a coordinate along time is {off:.3g} from the straight line")
    expect("season" not in made.coords, "integers along time are kept for times between")
    expect(made.encoding.get("complevel") == 4, "the encoding that still holds is lost")
    left = {"scale_factor", "dtype", "_FillValue"} & set(made.encoding)
    expect(not left, f"encoding {sorted(left)} is kept, and cannot hold the new values")
    unnamed = subject.interp(data.rename(None))
    expect(unnamed.name is None, f"a DataArray without a name came back as {unnamed.name!r}")


def dtypes(subject: Between) -> None:
    """Change precision, byte order and strides of the floats."""
    data = between.record()
    expected = subject.interp(data)
    expect(expected.dtype == np.float32, f"float32 came back as {expected.dtype}")
    double = subject.interp(data.astype(np.float64))
    expect(double.dtype == np.float64, f"float64 came back as {double.dtype}")
    close(double, expected, "float64 beside float32")
    swapped = subject.interp(data.astype(data.dtype.newbyteorder()))
    same_bits(swapped, expected, "the other byte order")
    backward = data.copy(data=np.asfortranarray(data.values[::-1])[::-1])
    same_bits(subject.interp(backward), expected, "negative strides")


def integers(subject: Between) -> None:
    """Give integers: floats come back."""
    data = between.record().round()
    made = subject.interp(data.astype(np.int16))
    expect(made.dtype == np.float64, f"integers came back as {made.dtype}, expected float64")
    close(made, subject.interp(data.astype(np.float64)), "integers beside floats")


def datasets(subject: Between) -> None:
    """Find what is not interpolated in a Dataset or DataTree untouched, or left out with a word."""
    data = between.record()
    alone = subject.interp(data)
    dataset = data.to_dataset().assign_attrs(title="made up")
    dataset["height"] = data.isel(time=0, drop=True).rename("height")
    dataset["count"] = ("time", np.arange(between.N_STEPS))
    early = data.time.values - np.timedelta64(between.STEP, "h")
    dataset["time_bnds"] = (("time", "bnds"), np.stack([early, data.time.values], axis=1))
    dataset["time"].attrs["bounds"] = "time_bnds"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        made = subject.interp(dataset)
    del told
    same_bits(made["air"], alone, "in a Dataset")
    identical(made["height"], dataset["height"], "variable 'height'")
    expect("count" not in made, "integers along time are kept")
    expect(made.attrs["title"] == "made up", "attributes of the Dataset are lost")
    expect("history" in made.attrs, "no history was written")
    late = made["time_bnds"].values[:, 1]
    expect(np.array_equal(late, made.time.values), "bounds do not run along with time")
    tree = xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs={"a": 1}), "/a/b": dataset, "/c": xr.Dataset({"n": ("k", [1, 2])})}
    )
    grown = subject.interp(tree)
    expect(isinstance(grown, xr.DataTree), f"a DataTree came back as {type(grown).__name__}")
    same_bits(grown["/a/b/air"], alone, "in a DataTree")  # type: ignore[arg-type]
    identical(grown["/c"].to_dataset(), tree["/c"].to_dataset(), "a group without time")
    raises(InputError, lambda: subject.interp(dataset, variables="rain"), "a variable not there")


def vectors(subject: Between) -> None:
    """Interpolate both components of a wind at once: each comes back under its own name."""
    both = between.wind()
    if subject.bound:
        own = subject.fit(between.wind(steps=120, hours=2))
        made = subject.interp(both, model=own)
    else:
        made = subject.interp(both)
    for name in both:
        steps = made[name][{"time": slice(None, None, FACTOR)}]
        same_bits(steps, both[name], f"the given steps of {name!r}")
        expect(bool(np.isfinite(made[name]).all()), f"some values of {name!r} are missing")
        attrs = {k: made[name].attrs.get(k) for k in both[name].attrs}
        expect(attrs == both[name].attrs, f"attributes of {name!r} are {attrs}")


def lazy(subject: Between) -> None:
    """Give lazy data: nothing is computed before it is asked for."""
    data = between.record().chunk(time=5, lat=3)
    subject.interp(between.record())  # fits the model, if it learns
    with raise_if_computes():
        assert_lazy(subject.interp(data))
        assert_lazy(subject.interp(data.to_dataset(), freq="1h"))
        assert_lazy(subject.interp(data, accumulated=True))


def graph_size(subject: Between) -> None:
    """Measure the graph: it grows by less than 2 kB a task, since no model travels in it."""
    import dask.base

    def measured(steps: int) -> tuple[int, int]:
        long = between.record(steps=steps).chunk(time=1)
        (made,) = dask.base.optimize(subject.interp(long, model=subject.in_passes).variable)
        graph = dict(made.__dask_graph__())
        # One by one, as tasks travel to workers: together they would share what is in each. The
        # times, which are in one task, grow with the record.
        sizes = sorted(len(pickle.dumps(task)) for task in graph.values())
        return sum(sizes[:-1]), len(graph)

    with between.small_passes():
        (bytes_1, tasks_1), (bytes_2, tasks_2) = measured(40), measured(160)
    growth = (bytes_2 - bytes_1) / max(1, tasks_2 - tasks_1)
    expect(
        growth < BYTES_A_TASK,
        f"{growth:.0f} bytes a task ({tasks_1} and {tasks_2} tasks), expected < {BYTES_A_TASK}",
    )


def input_kept(subject: Between) -> None:
    """Find the object given as it was."""
    data = _holes()
    before, encoding = data.copy(deep=True), dict(data.encoding)
    subject.interp(data)
    expect(data.identical(before), "the input was changed")
    expect(data.encoding == encoding, "the encoding of the input was changed")


def _holes() -> xr.DataArray:
    """Return the record with values missing here and there, and a whole field."""
    data = between.record().copy()
    hidden = np.random.default_rng(6).random(data.shape) < 0.05
    hidden[9] = True
    return data.where(~hidden)
