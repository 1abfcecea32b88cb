"""Checks of everything around the numbers that a model of downscaling makes."""

from __future__ import annotations

import itertools
import pickle
import warnings
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.testing import finer
from xgeoml.testing.compare import CheckSkippedError, close, expect, identical, raises, same_bits
from xgeoml.testing.finer import FACTOR, Finer
from xgeoml.testing.form import BYTES_A_TASK
from xgeoml.testing.lazy import assert_lazy, raise_if_computes

CHUNKINGS: tuple[dict[str, Any], ...] = (
    {"time": -1, "lat": -1, "lon": -1},
    {"time": 1, "lat": -1, "lon": -1},
    {"time": -1, "lat": 1, "lon": 1},
    {"time": 2, "lat": 4, "lon": 3},
    {"time": 5, "lat": -1, "lon": 5},
)
# Networks may take another way through the processor for another number of fields.
ROUNDING = 1e-5


def chunks(subject: Finer) -> None:
    """Use NumPy and five chunkings of dask, on threads too: the same bits."""
    data = subject.several()
    with finer.small_passes():
        expected = subject.refine(data, model=subject.in_tiles)
        for sizes in CHUNKINGS:
            lazy = subject.refine(data.chunk(sizes), model=subject.in_tiles)
            same_bits(lazy.compute(scheduler="threads"), expected, f"chunks {sizes}")
        same_bits(lazy.compute(scheduler="synchronous"), expected, "in one thread")


def processes(subject: Finer) -> None:
    """Use two other processes: the same bits."""
    import dask

    data = subject.several()
    with finer.small_passes():
        expected = subject.refine(data, model=subject.in_tiles)
        lazy = subject.refine(data.chunk(time=1), model=subject.in_tiles)
    with dask.config.set(scheduler="processes", num_workers=2):
        same_bits(lazy.compute(), expected, "two processes")


def batches(subject: Finer) -> None:
    """Take few steps at a time, and many: the same to 1e-5 of the standard deviation."""
    data = subject.record()
    many = subject.refine(data, batch_size=64)
    with finer.small_passes():
        close(subject.refine(data), many, "two steps at a time, and all at once", ROUNDING)
    if subject.is_torch:
        close(subject.refine(data, batch_size=1), many, "batch_size=1 beside 64", ROUNDING)


def dim_orders(subject: Finer) -> None:
    """Permute the dims: they come back in this order, with the same values."""
    data = subject.record()
    expected = subject.refine(data)
    for order in itertools.permutations(data.dims):
        made = subject.refine(data.transpose(*order))
        same_bits(made, expected.transpose(*order), f"dims {order}")


def other_dims(subject: Finer) -> None:
    """Add levels, before time and behind it: each is what it is alone."""
    data = subject.record()
    expected = subject.refine(data)
    levels = xr.concat([data, data + 10.0], xr.DataArray([850, 500], dims="level"))
    for order in (("level", *data.dims), ("time", "lat", "level", "lon")):
        made = subject.refine(levels.transpose(*order))
        expect(made.dims == order, f"dims {order} came back as {made.dims}")
        expect(made["level"].equals(levels["level"]), "the levels were changed")
        first = made.isel(level=0).transpose(*data.dims)
        if subject.draws:
            continue  # each level has noise of its own
        close(first, expected, f"the first of two levels, dims {order}", ROUNDING)


def metadata(subject: Finer) -> None:
    """Find name, attributes and coordinates kept, those along Y and X made finer."""
    data = subject.record().assign_coords(
        run=3, season=("time", np.arange(4)), basin=(("lat", "lon"), np.zeros((6, 7), int))
    )
    data.encoding.update(complevel=4, scale_factor=0.01, dtype="int16", _FillValue=-1)
    made = subject.refine(data)
    expect(made.name == data.name, f"name {made.name!r}, expected {data.name!r}")
    expect(made.dims == data.dims, f"dims {made.dims}, expected {data.dims}")
    kept = {k: made.attrs.get(k) for k in data.attrs}
    expect(kept == data.attrs, f"attributes {kept}, expected {data.attrs}")
    expect("history" in made.attrs, "no history was written")
    for name in ("time", "season", "run"):
        identical(made[name].variable, data[name].variable, f"coordinate {name!r}")
    for name in ("lat", "lon"):
        coarse, fine = data[name], made[name]
        expect(fine.attrs == coarse.attrs, f"attributes of {name!r}: {fine.attrs}")
        mean = fine.values.reshape(-1, FACTOR).mean(1)
        off = float(np.abs(mean - coarse.values).max())
        expect(off < 1e-6, f"{name!r}: the means of parts are {off:.3g} from the cells")
    expect("basin" not in made.coords, "a coordinate of coarse cells is kept for parts of them")
    expect(made.encoding.get("complevel") == 4, "the encoding that still holds is lost")
    left = {"scale_factor", "dtype", "_FillValue"} & set(made.encoding)
    expect(not left, f"encoding {sorted(left)} is kept, and cannot hold the fine values")
    unnamed = subject.refine(data.rename(None))
    expect(unnamed.name is None, f"a DataArray without a name came back as {unnamed.name!r}")


def dtypes(subject: Finer) -> None:
    """Change precision, byte order and strides of the floats."""
    data = subject.record()
    expected = subject.refine(data)
    expect(expected.dtype == np.float32, f"float32 came back as {expected.dtype}")
    double = subject.refine(data.astype(np.float64))
    expect(double.dtype == np.float64, f"float64 came back as {double.dtype}")
    close(double, expected, "float64 beside float32")
    swapped = subject.refine(data.astype(data.dtype.newbyteorder()))
    same_bits(swapped, expected, "the other byte order")
    backward = data.copy(data=np.asfortranarray(data.values[::-1])[::-1])
    same_bits(subject.refine(backward), expected, "negative strides")


def integers(subject: Finer) -> None:
    """Give integers: floats come back."""
    data = subject.record().round()
    made = subject.refine(data.astype(np.int16))
    expect(made.dtype == np.float64, f"integers came back as {made.dtype}, expected float64")
    close(made, subject.refine(data.astype(np.float64)), "integers beside floats")


def datasets(subject: Finer) -> None:
    """Find what is not downscaled in a Dataset or DataTree untouched, or left out with a word."""
    data = subject.record()
    alone = subject.refine(data)
    dataset = data.to_dataset().assign_attrs(title="made up")
    dataset["index"] = ("time", np.arange(4.0))
    dataset["count"] = data.notnull().sum("time")
    edges = xr.concat([data["lat"] - 0.5, data["lat"] + 0.5], "bnds").T.drop_vars("lat")
    dataset["lat_bnds"] = edges
    dataset["lat"].attrs["bounds"] = "lat_bnds"
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        made = subject.refine(dataset)
    del told
    same_bits(made["air"], alone, "in a Dataset")
    identical(made["index"], dataset["index"], "variable 'index'")
    expect("count" not in made, "a variable on the coarse grid is kept")
    expect(made.attrs["title"] == "made up", "attributes of the Dataset are lost")
    expect("history" in made.attrs, "no history was written")
    if not subject.spec.bound:
        fine = made["lat_bnds"]
        expect(fine.shape == (made.sizes["lat"], 2), f"bounds of shape {fine.shape}")
        off = np.abs(fine.values.mean(1) - made["lat"].values).max()
        expect(float(off) < 1e-6, f"bounds have their middle {off:.3g} from the parts")
    tree = xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs={"a": 1}), "/a/b": dataset, "/c": xr.Dataset({"n": ("k", [1, 2])})}
    )
    grown = subject.refine(tree)
    expect(isinstance(grown, xr.DataTree), f"a DataTree came back as {type(grown).__name__}")
    same_bits(grown["/a/b/air"], alone, "in a DataTree")  # type: ignore[arg-type]
    identical(grown["/c"].to_dataset(), tree["/c"].to_dataset(), "a group without a grid")
    raises(InputError, lambda: subject.refine(dataset, variables="rain"), "a variable not there")


def lazy(subject: Finer) -> None:
    """Give lazy data: nothing is computed before it is asked for."""
    data = subject.record().chunk(time=2, lat=3)
    subject.refine(subject.record())  # fits the model, if it learns
    with raise_if_computes():
        assert_lazy(subject.refine(data))
        assert_lazy(subject.refine(data.to_dataset()))


def graph_size(subject: Finer) -> None:
    """Measure the graph: it grows by less than 2 kB a task, since no model travels in it."""
    import dask.base

    def measured(times: int) -> tuple[int, int]:
        long = xr.concat([subject.record().chunk(time=1, lat=-1, lon=-1)] * times, "time")
        (made,) = dask.base.optimize(subject.refine(long.drop_vars("time")).variable)
        graph = dict(made.__dask_graph__())
        # One by one, as tasks travel to workers: together they would share what is in each.
        return sum(len(pickle.dumps(task)) for task in graph.values()), len(graph)

    with finer.small_passes():
        (bytes_1, tasks_1), (bytes_2, tasks_2) = measured(3), measured(12)
    growth = (bytes_2 - bytes_1) / max(1, tasks_2 - tasks_1)
    expect(
        growth < BYTES_A_TASK,
        f"{growth:.0f} bytes a task ({tasks_1} and {tasks_2} tasks), expected < {BYTES_A_TASK}",
    )


def input_kept(subject: Finer) -> None:
    """Find the object given as it was."""
    data = subject.record()
    before, encoding = data.copy(deep=True), dict(data.encoding)
    subject.refine(data)
    expect(data.identical(before), "the input was changed")
    expect(data.encoding == encoding, "the encoding of the input was changed")


def like(subject: Finer) -> None:
    """Give the grid of another object: the same values as by the factor, and its coordinates."""
    data = subject.record()
    expected = subject.refine(data)
    grid = expected.isel(time=0, drop=True).rename("mould")
    if subject.spec.bound:
        text = raises(InputError, lambda: subject.refine(data, like=grid), "like=")
        expect("leave like= out" in text, f"the message tells no cure: {text}")
        raises(InputError, lambda: subject.refine(data, factor=FACTOR + 1), "another factor")
        return
    made = subject.refine(data, like=grid)
    same_bits(made, expected, "like= the parts of all cells")
    for name in ("lat", "lon"):
        identical(made[name].variable, grid[name].variable, f"coordinate {name!r}")
    expect(made.name == data.name, f"name {made.name!r}, expected {data.name!r}")
    off = {"lat": 41.0 + 0.35 * np.arange(9), "lon": 369.9 + 0.45 * np.arange(13)}
    other = xr.DataArray(np.zeros((9, 13)), off, ("lat", "lon"))
    there = subject.refine(data, like=other)
    expect(there.shape == (4, 9, 13), f"a grid of 9 x 13 points came back as {there.shape}")
    expect(bool(np.isfinite(there).all()), "points inside the domain have no value")
    spread = float(abs(there.mean() - data.mean()))
    expect(spread < 5 * float(data.std()), f"on another grid the mean is {spread:.3g} away")


def other_grid(subject: Finer) -> None:
    """Give a model of two grids a third one: an error that names it."""
    if not subject.spec.bound:
        raise CheckSkippedError("it serves any grid")
    data = subject.record()
    for what, given in (
        ("a grid beside it", data.assign_coords(lat=data["lat"] + 1.0)),
        ("a smaller grid", data.isel(lon=slice(0, 5))),
    ):
        text = raises(InputError, lambda given=given: subject.refine(given), what)  # type: ignore[misc]
        expect("was fitted on a grid" in text, f"{what}: the message does not say so: {text}")
