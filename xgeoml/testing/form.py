"""Checks of everything around the numbers: dims, coordinates, attributes, dtypes, laziness."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.testing import records
from xgeoml.testing.compare import (
    FLAG,
    SPREAD,
    CheckSkippedError,
    Subject,
    close,
    expect,
    identical,
    same_bits,
    small_tiles,
)
from xgeoml.testing.lazy import assert_lazy, raise_if_computes

CHUNKINGS: tuple[dict[str, Any], ...] = (
    {"time": -1, "lat": -1, "lon": -1},
    {"time": 1, "lat": -1, "lon": -1},
    {"time": -1, "lat": 1, "lon": 1},
    {"time": -1, "lat": 2, "lon": 3},
    {"time": 7, "lat": (1, 5), "lon": (4, 2, 1)},
)
BYTES_A_TASK = 2_000


def dim_orders(subject: Subject) -> None:
    """Permute the dims: they come back in this order, with the same values."""
    data = records.record()
    expected = subject.fill(data)
    for order in itertools.permutations(data.dims):
        full = subject.fill(data.transpose(*order))
        same_bits(full, expected.transpose(*order), f"dims {order}")
        expect(full[FLAG].dims == order, f"flag of dims {order} has dims {full[FLAG].dims}")


def metadata(subject: Subject) -> None:
    """Find name, attributes, encoding and every coordinate kept."""
    data = records.record().assign_coords(
        member=3,
        basin=(("lat", "lon"), np.arange(42).reshape(6, 7), {"long_name": "basin"}),
        season=("time", np.arange(57) // 3),
    )
    data.encoding.update(complevel=4, scale_factor=0.01, dtype="int16", _FillValue=-1)
    full = subject.fill(data)
    expect(full.name == data.name, f"name {full.name!r}, expected {data.name!r}")
    kept = {k: full.attrs.get(k) for k in data.attrs}
    expect(kept == data.attrs, f"attributes {kept}, expected {data.attrs}")
    expect("history" in full.attrs, "no history was written")
    for name in ("lat", "lon", "basin", "member"):
        identical(full[name].variable, data[name].variable, f"coordinate {name!r}")
    there = full.indexes["time"].get_indexer(data.indexes["time"])
    expect((there >= 0).all(), "a time step is lost")
    again = full.isel(time=there)
    identical(again["time"].variable, data["time"].variable, "coordinate 'time'")
    np.testing.assert_array_equal(again["season"].values, data["season"].values)
    expect(full.encoding.get("complevel") == 4, "the encoding that still holds is lost")
    left = {"scale_factor", "dtype", "_FillValue"} & set(full.encoding)
    expect(not left, f"encoding {sorted(left)} is kept, and cannot hold filled values")
    unnamed = subject.fill(data.rename(None))
    expect(unnamed.name is None, f"a DataArray without a name came back as {unnamed.name!r}")


def dtypes(subject: Subject) -> None:
    """Change precision, byte order and strides of the floats."""
    data = records.record()
    expected = subject.fill(data)
    double = subject.fill(data.astype(np.float64))
    expect(double.dtype == np.float64, f"float64 came back as {double.dtype}")
    close(double, expected, "float64 beside float32")
    swapped = subject.fill(data.astype(data.dtype.newbyteorder()))
    same_bits(swapped, expected, "the other byte order")
    backward = data.copy(data=np.asfortranarray(data.values[::-1])[::-1])
    same_bits(subject.fill(backward), expected, "negative strides")


def datasets(subject: Subject) -> None:
    """Find what is not filled in a Dataset or DataTree untouched."""
    data = records.record()
    alone = subject.fill(data, spread=subject.spec.gives_spread)
    dataset = data.to_dataset().assign_attrs(title="made up")
    dataset["count"] = data.notnull().sum("time")
    dataset["place"] = ("lat", list("abcdef"))
    full = subject.fill(dataset, spread=subject.spec.gives_spread)
    same_bits(full["storage"], alone, "in a Dataset")
    for name in ("count", "place"):
        identical(full[name], dataset[name], f"variable {name!r}")
    expect(full.attrs["title"] == "made up", "attributes of the Dataset are lost")
    expect("history" in full.attrs, "no history was written")
    expected = {*dataset.data_vars, FLAG} | ({SPREAD} if subject.spec.gives_spread else set())
    expect(set(full.data_vars) == expected, f"variables {set(full.data_vars)}, expected {expected}")
    other = xr.Dataset({"place": ("n", [1, 2])})
    tree = xr.DataTree.from_dict({"/": xr.Dataset(attrs={"a": 1}), "/a/b": dataset, "/c": other})
    grown = subject.fill(tree.filter(lambda node: "place" in node.data_vars and node.name == "b"))
    same_bits(grown["/a/b/storage"], alone, "in a DataTree")  # type: ignore[arg-type]
    expect(isinstance(grown, xr.DataTree), f"a DataTree came back as {type(grown).__name__}")


def chunks(subject: Subject) -> None:
    """Use NumPy and five chunkings of dask, on threads too: the same bits."""
    data = records.record()
    wanted = subject.spec.gives_spread
    with small_tiles():
        expected = subject.fill(data, spread=wanted)
        for sizes in CHUNKINGS:
            lazy = subject.fill(data.chunk(sizes), spread=wanted)
            _same_all(lazy.compute(scheduler="threads"), expected, f"chunks {sizes}")
        _same_all(lazy.compute(scheduler="synchronous"), expected, "in one thread")


def processes(subject: Subject) -> None:
    """Use two other processes, of dask alone and of distributed: the same bits."""
    import dask

    data = records.record()
    with small_tiles():
        expected = subject.fill(data)
        lazy = subject.fill(data.chunk(lat=2, lon=3))
    with dask.config.set(scheduler="processes", num_workers=2):
        _same_all(lazy.compute(), expected, "two processes")
    try:
        from distributed import Client, LocalCluster
    except ImportError:
        raise CheckSkippedError("distributed is not installed") from None
    cluster = LocalCluster(  # type: ignore[no-untyped-call]
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address="127.0.0.1:0"
    )
    with cluster, Client(cluster):  # type: ignore[no-untyped-call]
        _same_all(lazy.compute(), expected, "two workers of distributed")


def batches(subject: Subject) -> None:
    """Fill few series at a time, and many: the same to 1e-5 of the standard deviation."""
    data = records.record()
    many = subject.fill(data, batch_size=64)
    with small_tiles(series=1):
        close(subject.fill(data), many, "series by series, and all at once", 1e-5)
    if subject.is_torch:
        close(subject.fill(data, batch_size=1), many, "batch_size=1 beside 64", 1e-5)


def lazy(subject: Subject) -> None:
    """Give lazy data: nothing is computed before it is asked for."""
    data = records.record().chunk(lat=3, lon=4)
    wanted = subject.spec.gives_spread
    with raise_if_computes():
        full = subject.fill(data, spread=wanted, max_gap=3)
        assert_lazy(full)
        within = subject.fill(data.to_dataset(), spread=wanted)
        assert_lazy(within)


def graph_size(subject: Subject) -> None:
    """Measure the graph: it grows by less than 2 kB a task, since no model travels in it."""
    import dask.base

    def measured(n: int) -> tuple[int, int]:
        wide = records.daily(n)
        (made,) = dask.base.optimize(subject.fill(wide).variable)
        graph = dict(made.__dask_graph__())
        # One by one, as tasks travel to workers: together they would share what is in each.
        return sum(len(pickle.dumps(task)) for task in graph.values()), len(graph)

    with small_tiles(series=6 * 8, steps=records.N_DAYS):
        (bytes_1, tasks_1), (bytes_2, tasks_2) = measured(2), measured(8)
    growth = (bytes_2 - bytes_1) / max(1, tasks_2 - tasks_1)
    expect(
        growth < BYTES_A_TASK,
        f"{growth:.0f} bytes a task ({tasks_1} and {tasks_2} tasks), expected < {BYTES_A_TASK}",
    )


def _same_all(found: xr.DataArray, expected: xr.DataArray, what: str) -> None:
    same_bits(found, expected, what)
    for name in (FLAG, SPREAD):
        if name in expected.coords:
            same_bits(found[name], expected[name], f"{name}, {what}")
