"""Checks of everything around the numbers that a model of waveform inversion makes."""

from __future__ import annotations

import itertools
import pickle
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.testing import sources
from xgeoml.testing.compare import close, expect, identical, near, raises, same_bits
from xgeoml.testing.form import BYTES_A_TASK
from xgeoml.testing.lazy import assert_lazy, raise_if_computes
from xgeoml.testing.sources import EVENTS, SAMPLES, STATIONS, Inverter

CHUNKINGS: tuple[dict[str, Any], ...] = (
    {"event": 1, "station": -1, "time": 50},
    {"event": (1, 4), "station": 2, "time": -1},
)
# Networks may take another way through the processor for another number of events.
ROUNDING = 1e-5


def chunks(subject: Inverter) -> None:
    """Use NumPy and two chunkings of dask, on threads: the same bits of NumPy models."""
    data = _holes()
    for dim in ("station", None):
        given = {"dim": dim, "gaps": "window"}
        expected = subject.invert(data.record, greens=data.greens, **given)
        # Of single records both would do the same.
        for sizes in CHUNKINGS if dim else CHUNKINGS[-1:]:
            greens = data.greens if sizes["event"] == 1 else data.greens.chunk(sizes)
            with sources.small_groups():  # or chunks of few events would be joined
                lazy = subject.invert(data.record.chunk(sizes), greens=greens, **given)
            made = lazy.compute(scheduler="threads")
            _alike(subject, made, expected, f"chunks {sizes}, dim={dim!r}")
            for told in ("record_moment", "record_misfit"):
                near(made[told], expected[told], f"{told!r} of chunks {sizes}", ROUNDING)
    with sources.small_groups():
        few = sources.quakes()
        lazy = subject.invert(few.record, greens=few.greens.chunk(event=1))
    _alike(subject, lazy.compute(), subject.usual, "lazy Green's functions of loaded records")


def processes(subject: Inverter) -> None:
    """Use two other processes: the same bits of NumPy models."""
    import dask

    data = _holes()
    expected = subject.invert(data.record, greens=data.greens, gaps="window")
    with sources.small_groups():
        lazy = subject.invert(data.record.chunk(event=2), greens=data.greens, gaps="window")
    with dask.config.set(scheduler="processes", num_workers=2):
        _alike(subject, lazy.compute(), expected, "two processes")


def batches(subject: Inverter) -> None:
    """Take one event at a time, and many: the same bits of NumPy models."""
    data = sources.quakes(3, events=5)
    many = subject.invert(data.record, greens=data.greens, batch_size=64)
    with sources.small_groups():
        made = subject.invert(data.record, greens=data.greens)
    _alike(subject, made, many, "one event at a time")
    few = subject.invert(data.record, greens=data.greens, batch_size=1)
    _alike(subject, few, many, "batch_size=1 beside 64")


def dim_orders(subject: Inverter) -> None:
    """Permute the dims of records and Green's functions: sources have the order of records."""
    data = sources.quakes()
    expected = subject.usual
    each = subject.invert(data.record, dim=None)
    for order in list(itertools.permutations(data.record.dims))[1:]:
        record = data.record.transpose(*order)
        left = [d for d in order if d != "station"]
        turned = data.greens.transpose(*order[::-1])
        made = subject.invert(record, greens=turned)
        same_bits(made, expected.transpose(*left), f"dims {order}")
    order = ("station", "time", "event")
    made = subject.invert(data.record.transpose(*order), dim=None)
    expect(made.dims == order, f"dims {order} came back as {made.dims}")
    close(made, each.transpose(*order), f"dims {order}, each record alone", ROUNDING)


def other_dims(subject: Inverter) -> None:
    """Add members: each is what it is alone; or stations along two dims: as along one."""
    data = sources.quakes()
    expected = subject.usual
    members = xr.concat([data.record, 10.0 * data.record], xr.DataArray([3, 4], dims="member"))
    for order in (("member", *data.record.dims), ("event", "time", "station", "member")):
        made = subject.invert(members.transpose(*order))
        left = tuple(d for d in order if d != "station")
        expect(made.dims == left, f"dims {order} came back as {made.dims}")
        expect(made["member"].equals(members["member"]), "the members were changed")
        first = made.isel(member=0).transpose(*expected.dims)
        close(first, expected, f"the first of two members, dims {order}", ROUNDING)
    # Four stations, and the same as two with two components.
    four = sources.quakes(4, stations=4)
    plain = subject.invert(four.record, greens=four.greens)
    pairs = {"station": ("site", "component")}
    index = {"site": [0, 1], "component": ["N", "E"]}
    split = four.drop_vars("station").coarsen(station=2).construct(pairs).assign_coords(index)
    made = subject.invert(split.record, greens=split.greens, dim=["site", "component"])
    same_bits(made, plain, "stations along two dims")


def labels(subject: Inverter) -> None:
    """Give Green's functions of more stations, in another order, or the same for all events."""
    data = sources.quakes()
    expected = subject.usual
    other = data.greens.isel(station=[0]).assign_coords(station=["XG99"])
    more = xr.concat([data.greens, other], "station").isel(event=[1, 0], station=[2, 3, 0, 1])
    same_bits(subject.invert(data.record, greens=more), expected, "Green's functions by label")
    shared = data.greens.isel(event=0, drop=True)
    copies = shared.expand_dims(event=data.event)
    made = subject.invert(data.record, greens=shared)
    same_bits(made, subject.invert(data.record, greens=copies), "one set for all events")
    lost = data.greens.isel(station=[0, 1])
    text = raises(InputError, lambda: subject.invert(data.record, greens=lost), "a lost station")
    expect("XG02" in text, f"the message does not name the station that is not there: {text}")


def metadata(subject: Inverter) -> None:
    """Find name, coordinates and what is told beside the source, with units and history."""
    data = sources.quakes()
    km = np.arange(float(EVENTS * STATIONS)).reshape(EVENTS, STATIONS)
    data = data.assign_coords(
        run=3,
        magnitude=("event", np.linspace(5.0, 6.0, EVENTS), {"units": "1"}),
        azimuth=("station", np.linspace(10.0, 300.0, STATIONS), {"units": "degree"}),
        distance=(("event", "station"), km, {"units": "km"}),
        window=("time", np.arange(SAMPLES) // 10),
    )
    data["event"].attrs["long_name"] = "name"
    data.record.encoding.update(scale_factor=0.01, dtype="int16", _FillValue=-1)
    made = subject.invert(data.record)
    expect(made.name == "record", f"name {made.name!r}, expected 'record'")
    expect(made.dims == ("event", "time"), f"dims {made.dims}, expected event, time")
    right = {"long_name": "source time function of ground velocity", "units": "1"}
    attrs = {k: made.attrs.get(k) for k in right}
    expect(attrs == right, f"attributes {attrs}, expected {right}")
    expect("invert_waveform" in str(made.attrs.get("history")), "no history was written")
    left = {"scale_factor", "dtype", "_FillValue"} & set(made.encoding)
    expect(not left, f"encoding {sorted(left)} is kept, and cannot hold the source")
    for name in ("event", "run", "magnitude"):
        identical(made[name].variable, data[name].variable, f"coordinate {name!r}")
    gone = {"azimuth", "distance", "station", "window"} & set(made.coords)
    expect(not gone, f"coordinates {sorted(gone)} of what is gone are kept")
    expect(made["time"].attrs == data["time"].attrs, "attributes of time are lost")
    for name in ("record_moment", "record_misfit"):
        expect(name in made.coords, f"{name!r} is not there")
        expect(made[name].dims == ("event",), f"{name!r} has dims {made[name].dims}")
        expect({"long_name", "units"} <= set(made[name].attrs), f"{name!r} is not described")
    whole = subject.invert(data, greens="greens", variables="record")
    told = whole["record_each_misfit"]
    expect(told.dims == ("event", "station"), f"misfits have dims {told.dims}")
    for name in ("event", "station", "run", "magnitude", "azimuth", "distance"):
        identical(told[name].variable, data[name].variable, f"coordinate {name!r} of misfits")
    each = subject.invert(data.record, dim=None)
    for name in ("station", "azimuth", "distance"):
        identical(each[name].variable, data[name].variable, f"coordinate {name!r}, no dim=")
    unnamed = subject.invert(data.record.rename(None))
    expect(unnamed.name is None, f"a DataArray without a name came back as {unnamed.name!r}")


def dtypes(subject: Inverter) -> None:
    """Change precision, byte order and strides of the floats."""
    data = sources.quakes()
    expected = subject.usual
    expect(expected.dtype == np.float32, f"float32 came back as {expected.dtype}")
    double = subject.invert(data.record.astype(np.float64), greens=data.greens.astype(np.float64))
    expect(double.dtype == np.float64, f"float64 came back as {double.dtype}")
    close(double, expected, "float64 beside float32", 1e-3)
    for what, changed in (
        ("the other byte order", {n: data[n].astype(">f4") for n in ("record", "greens")}),
        ("negative strides", {n: _backward(data[n]) for n in ("record", "greens")}),
        ("another order in memory", {"record": _other_order(data.record), "greens": data.greens}),
    ):
        same_bits(subject.invert(changed["record"], greens=changed["greens"]), expected, what)


def integers(subject: Inverter) -> None:
    """Give counts: floats come back."""
    data = sources.quakes()
    counts = (1e5 * data.record).round()
    greens = (1e5 * data.greens).round()
    made = subject.invert(counts.astype(np.int32), greens=greens.astype(np.int32))
    expect(made.dtype == np.float64, f"integers came back as {made.dtype}, expected float64")
    floats = subject.invert(counts.astype(np.float64), greens=greens.astype(np.float64))
    close(made, floats, "integers beside floats", ROUNDING)


def datasets(subject: Inverter) -> None:
    """Find what is not inverted in a Dataset or DataTree untouched, or left out with a word."""
    data = sources.quakes()
    alone = subject.usual
    dataset = data.assign_attrs(title="made up").assign(
        depth=("event", np.linspace(5.0, 9.0, EVENTS)),
        count=("time", np.arange(SAMPLES)),
    )
    made = subject.invert(dataset, greens="greens")
    same_bits(made["record"], alone, "in a Dataset")
    for name in ("depth", "source"):
        identical(made[name].variable, dataset[name].variable, f"variable {name!r}")
    left = {"greens", "count"} & set(made)
    expect(not left, f"{sorted(left)} are kept, along the time axis of the records")
    expect(made.attrs["title"] == "made up", "attributes of the Dataset are lost")
    expect("history" in made.attrs, "no history was written")
    each = subject.invert(dataset, greens="greens", dim=None)
    same_bits(each["record"], subject.invert(data.record, dim=None), "in a Dataset, no dim=")
    both = dataset.assign(second=2.0 * data.record)
    made = subject.invert(both, greens="greens")
    same_bits(made["record"], alone, "beside other records")
    close(made["second"], 2.0 * alone, "other records", ROUNDING)
    tree = xr.DataTree.from_dict(
        {"/": xr.Dataset(attrs={"a": 1}), "/a/b": dataset, "/c": xr.Dataset({"n": ("k", [1, 2])})}
    )
    grown = subject.invert(tree, greens=data.greens, variables="record")
    expect(isinstance(grown, xr.DataTree), f"a DataTree came back as {type(grown).__name__}")
    same_bits(grown["/a/b/record"], alone, "in a DataTree")  # type: ignore[arg-type]
    identical(grown["/c"].to_dataset(), tree["/c"].to_dataset(), "a group without time")
    raises(InputError, lambda: subject.invert(dataset, variables="rain"), "a variable not there")


def lazy(subject: Inverter) -> None:
    """Give lazy data: nothing is computed before it is asked for."""
    data = sources.quakes().chunk(event=1, time=100)
    with raise_if_computes():
        made = subject.invert(data.record, greens=data.greens)
        assert_lazy(made)
        assert_lazy(made.to_dataset())
        for told in ("record_moment", "record_misfit"):
            expect(made[told].chunks, f"{told!r} was computed")
        assert_lazy(subject.invert(data, greens="greens", variables="record")[["record"]])
        assert_lazy(subject.invert(data.record, dim=None, amplitudes="given", gaps="window"))


def graph_size(subject: Inverter) -> None:
    """Measure the graph: it grows by less than 2 kB a task, since no model travels in it."""
    import dask.base

    def measured(events: int) -> tuple[int, int]:
        # Of few samples, since those of a chunk of NumPy data lie in its task.
        many = sources.quakes(events=events).isel(time=slice(16, 32)).chunk(event=1)
        lazy = subject.invert(many.record, greens=many.greens, length=8)
        (made,) = dask.base.optimize(lazy.variable)
        graph = dict(made.__dask_graph__())
        # One by one, as tasks travel to workers: together they would share what is in each.
        return sum(len(pickle.dumps(task)) for task in graph.values()), len(graph)

    (bytes_1, tasks_1), (bytes_2, tasks_2) = measured(8), measured(40)
    growth = (bytes_2 - bytes_1) / max(1, tasks_2 - tasks_1)
    expect(
        growth < BYTES_A_TASK,
        f"{growth:.0f} bytes a task ({tasks_1} and {tasks_2} tasks), expected < {BYTES_A_TASK}",
    )


def input_kept(subject: Inverter) -> None:
    """Find the objects given as they were."""
    data = _holes()
    before, encoding = data.copy(deep=True), dict(data.record.encoding)
    subject.invert(data.record, greens=data.greens, gaps="window", amplitudes="free")
    subject.invert(data, greens="greens", variables="record", gaps="window")
    expect(data.identical(before), "the input was changed")
    expect(data.record.encoding == encoding, "the encoding of the input was changed")


def _alike(subject: Inverter, made: xr.DataArray, expected: xr.DataArray, what: str) -> None:
    if subject.is_torch:
        close(made, expected, what, ROUNDING)
    else:
        same_bits(made, expected, what)


def _backward(array: xr.DataArray) -> xr.DataArray:
    return array.copy(data=array.values[:, ::-1, ::-1].copy()[:, ::-1, ::-1])


def _other_order(array: xr.DataArray) -> xr.DataArray:
    return array.copy(data=np.asfortranarray(array.values))


def _holes() -> xr.Dataset:
    """Return five events: one without its end, one without a station, one without anything."""
    data = sources.quakes(3, events=5).copy(deep=True)
    data["record"][{"event": 1, "time": slice(200, None)}] = np.nan
    data["record"][{"event": 2, "station": 0}] = np.nan
    data["record"][{"event": 4}] = np.nan
    return data
