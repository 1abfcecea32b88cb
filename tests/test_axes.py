"""Which dimension is which, on the shapes that files come in."""

from __future__ import annotations

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xgeoml.axes import Axes, find_axes, is_cftime, require
from xgeoml.exceptions import (
    AxisError,
    GeoMLError,
    MissingExtraError,
    ModelNotFoundError,
    SpecError,
    TimeAxisError,
    did_you_mean,
)

DAYS = pd.date_range("2000-01-01", periods=4)


def field(dims, coords=None, **sizes) -> xr.DataArray:
    shape = [sizes.get(d, 4) for d in dims]
    return xr.DataArray(np.zeros(shape, dtype="f4"), dims=dims, coords=coords or {}, name="v")


@pytest.mark.parametrize("order", list(itertools.permutations(("time", "lat", "lon"))))
def test_names_under_every_order(order):
    a = find_axes(field(order, {"time": DAYS, "lat": np.arange(4.0), "lon": np.arange(4.0)}))
    assert a.names == {"X": "lon", "Y": "lat", "T": "time"}
    assert a.how["T"] == "datetime64 dtype"
    assert a.how["X"] == "guessed from the name"
    assert a.space == ("lat", "lon")
    assert a.others == ()


def test_attributes_beat_names():
    da = field(("x", "y"), {"x": np.arange(4.0), "y": np.arange(4.0)})
    da.x.attrs["axis"], da.y.attrs["standard_name"] = "Y", "projection_x_coordinate"
    a = find_axes(da)
    assert a.names == {"X": "y", "Y": "x"}
    assert a.how == {"X": "standard_name", "Y": "CF axis attribute"}


@pytest.mark.parametrize("units", ["degrees_north", "degreesN", "degrees North", "Degree_north"])
def test_units(units):
    da = field(("a", "b"), {"a": ("a", np.arange(4.0), {"units": units})})
    a = find_axes(da)
    assert a.names == {"Y": "a"}
    assert a.how["Y"] == "units"
    assert a.others == ("b",)


def test_dims_beat_everything():
    da = field(("time", "date"), {"time": DAYS, "date": DAYS + pd.Timedelta("1h")})
    assert find_axes(da, {"T": "date"}).names == {"T": "date"}
    assert find_axes(da, {"T": "date"}).how["T"] == "dims="
    assert find_axes(da).names == {"T": "time"}


@pytest.mark.parametrize(
    ("dims", "message"),
    [
        ({"T": "tme"}, "did you mean 'time'"),
        ({"t": "time"}, r'dims=\{"T": "time"\}'),
        ({"time": "T"}, "the letter first"),
        ({"Q": "time"}, "expected X, Y, Z or T"),
        ({"T": "time", "X": "time"}, "two axes"),
    ],
)
def test_wrong_dims(dims, message):
    with pytest.raises(AxisError, match=message):
        find_axes(field(("time", "lat")), dims)


@pytest.mark.parametrize("dim", ["valid_time", "date", "month", "anything"])
def test_dates_are_time_whatever_the_name(dim):
    a = find_axes(field((dim, "lat"), {dim: DAYS}))
    assert a.names == {"Y": "lat", "T": dim}
    assert a.how["T"] == "datetime64 dtype"


@pytest.mark.parametrize("calendar", ["noleap", "360_day", "julian", "standard"])
def test_cftime_is_time(calendar):
    stamps = xr.date_range("2000-01-01", periods=4, calendar=calendar, use_cftime=True)
    a = find_axes(field(("step",), {"step": stamps}))
    assert a.names == {"T": "step"}
    assert a.how["T"] == "cftime dtype"
    assert is_cftime(stamps.values)
    assert not is_cftime(np.array([1, "a"], dtype=object))


def test_bare_dims_go_by_name():
    a = find_axes(field(("member", "time", "Level", "y", "x")))
    assert a.names == {"X": "x", "Y": "y", "Z": "Level", "T": "time"}
    assert a.coords == {}
    assert a.others == ("member",)


@pytest.mark.parametrize("name", ["index", "item", "zone", "minimum", "id", "latent", "timing"])
def test_beginnings_of_words_are_no_names(name):
    assert find_axes(field((name,), {name: np.arange(4)})).names == {}


def test_month_and_date_of_two_kinds():
    da = field(("month", "date"), {"month": np.arange(1, 5), "date": DAYS})
    assert find_axes(da).names["T"] == "date"


def test_ambiguity_lists_both_and_two_ways_out():
    da = field(("init", "verif"), {"init": DAYS, "verif": DAYS})
    with pytest.raises(AxisError) as caught:
        find_axes(da)
    text = str(caught.value)
    for part in ("'init'", "'verif'", 'dims={"T": "init"}', 'attrs["axis"] = "T"'):
        assert part in text
    da.verif.attrs["axis"] = "T"
    assert find_axes(da).names == {"T": "verif"}


def test_stations_are_no_grid():
    labels = ["a", "b", "c", "d"]
    coords = {
        "station": labels,
        "lat": ("station", [4.0, 1.0, 2.0, 3.0], {"units": "degrees_north"}),
        "lon": ("station", [1.0, 2.0, 3.0, 4.0], {"units": "degrees_east"}),
        "altitude": ("station", [1.0, 2.0, 3.0, 4.0], {"standard_name": "altitude"}),
        "installed": ("station", DAYS),
        "time": DAYS,
    }
    a = find_axes(field(("station", "time"), coords))
    assert a.names == {"T": "time"}
    assert a.others == ("station",)
    bare = find_axes(
        field(("station", "time"), {k: v for k, v in coords.items() if k != "station"})
    )
    assert bare.names == {"T": "time"}


def test_stacked_cells_are_no_axis():
    da = field(("time", "lat", "lon"), {"time": DAYS, "lat": np.arange(4), "lon": np.arange(4)})
    a = find_axes(da.stack(cell=("lat", "lon")))
    assert a.names == {"T": "time"}
    assert a.others == ("cell",)


def test_one_dimensional_coordinates_of_other_names():
    a = find_axes(
        field(
            ("r", "c", "step"),
            {
                "lat": ("r", np.arange(4.0)[::-1]),
                "lon": ("c", np.arange(4.0)),
                "valid_time": ("step", DAYS, {"standard_name": "time"}),
            },
        )
    )
    assert a.names == {"X": "c", "Y": "r", "T": "step"}
    assert a.coords == {"X": "lon", "Y": "lat", "T": "valid_time"}


@pytest.mark.parametrize("dims", [("y", "x"), ("nj", "ni"), ("a", "b")])
@pytest.mark.parametrize("flip", [False, True])
def test_curvilinear(dims, flip):
    lat, lon = np.meshgrid(np.linspace(10, 20, 4), np.linspace(350, 371, 5) % 360, indexing="ij")
    da = field(
        ("time", *dims),
        {"time": DAYS, "nav_lat": (dims, lat), "nav_lon": (dims, lon)},
        **{dims[1]: 5},
    )
    if flip:
        da = da.transpose(dims[1], "time", dims[0])
    a = find_axes(da)
    assert a.curvilinear
    assert a.names == {"X": dims[1], "Y": dims[0], "T": "time"}
    assert find_axes(da.chunk()).names == a.names or dims == ("a", "b")


def test_bounds_make_no_curvilinear_grid():
    ds = xr.Dataset(
        {"v": field(("lat", "lon"))},
        coords={
            "lat": ("lat", np.arange(4.0), {"units": "degrees_north"}),
            "lon": ("lon", np.arange(4.0), {"units": "degrees_east"}),
            "lat_bnds": (("lat", "nv"), np.zeros((4, 2)), {"units": "degrees_north"}),
            "lon_bnds": (("lon", "nv"), np.zeros((4, 2)), {"units": "degrees_east"}),
        },
    )
    a = find_axes(ds)
    assert not a.curvilinear
    assert a.names == {"X": "lon", "Y": "lat"}
    assert a.others == ("nv",)


def test_nothing_is_computed():
    import dask.array

    def fail(block):
        raise AssertionError("computed")

    lazy = dask.array.zeros((4, 4), chunks=2).map_blocks(fail, dtype="f8", meta=np.zeros((0, 0)))
    da = field(("y", "x"), {"lat": (("y", "x"), lazy), "lon": (("y", "x"), lazy)})
    assert find_axes(da).curvilinear


def test_require():
    a = find_axes(field(("station", "time"), {"time": DAYS}))
    assert require(a, "T") == ("time",)
    with pytest.raises(AxisError) as caught:
        require(a, "T", "X", purpose="downscaling")
    for part in (
        "downscaling needs an X axis",
        "'station' (4, no coordinate)",
        "'time' is T",
        "Tried",
        'dims={"X": "station"}',
        'attrs["axis"] = "X"',
    ):
        assert part in str(caught.value)


def test_text_and_scalar():
    assert "T: time (datetime64 dtype)" in str(find_axes(field(("time",), {"time": DAYS})))
    assert find_axes(xr.DataArray(1.0)) == Axes(names={}, how={})


def test_undecoded_time_is_recognised_as_time():
    da = field(("n",), {"n": ("n", np.arange(4), {"units": "days since 2000-01-01"})})
    assert find_axes(da).names == {"T": "n"}


def test_real_records(data_path):
    for file in sorted(data_path.glob("*/*.nc")):
        with xr.open_dataset(file) as ds:
            names = find_axes(ds).names
            assert ("time" in ds.dims) == ("T" in names)
            assert ({"lat", "lon"} <= set(ds.dims)) <= ({"X", "Y"} <= set(names))


@pytest.mark.parametrize("name", [0, ("a", 1)])
def test_a_name_that_is_no_text(name):
    bare = xr.DataArray(np.zeros((2, 3)), dims=("time", name))
    scalar = xr.DataArray(np.zeros(2), {name: 1.0}, ("time",))
    for obj in (bare, scalar, bare.to_dataset(name="x")):
        with pytest.raises(AxisError, match=r"expected text. Type obj = obj.rename"):
            find_axes(obj)
    assert find_axes(xr.DataArray(np.zeros(2), dims=("time",), name=name)).names == {"T": "time"}


def test_chunks_of_unknown_size():
    import dask.array

    lazy = dask.array.zeros((4, 2))[dask.array.ones(4, dtype=bool)]
    unknown = xr.DataArray(lazy, dims=("time", "x"))
    with pytest.raises(AxisError, match=r"'time' is of unknown length.*compute\(\)"):
        find_axes(unknown)
    assert "unknown length" in repr(unknown.geoml)


def test_errors():
    spec = SpecError(["one", "two"], "the model does not fit")
    assert str(spec) == "the model does not fit:\n  - one\n  - two"
    assert SpecError("one").problems == ["one"]
    missing = ModelNotFoundError("gracetf", ["kalman", "grace_tf"])
    assert "Did you mean 'grace_tf'?" in str(missing)
    assert isinstance(missing, KeyError)
    extra = MissingExtraError("train", "fit()", "lightning")
    assert 'pip install "xgeoml[train]"' in str(extra)
    assert isinstance(extra, ImportError)
    for error in (spec, missing, extra, TimeAxisError("t")):
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back)) == (type(error), str(error))
        assert isinstance(back, GeoMLError)
    assert did_you_mean("tme", ["time", "lat"]) == ["time"]


def test_the_repr_is_short_and_readable():
    axes = find_axes(xr.DataArray([[1.0]], dims=("lat", "station")))
    assert (
        repr(axes)
        == str(axes)
        == "\n".join(["X: -", "Y: lat (guessed from the name)", "Z: -", "T: -", "others: station"])
    )


def test_text_along_points_is_no_axis():
    points = field(("point",), {"lat": ("point", ["a", "b", "c", "d"])})
    assert find_axes(points).names == {}


def test_a_coordinate_that_lies_along_another_dim():
    obj = xr.Dataset(
        {"a": ("point", np.zeros(3)), "b": ("time", np.zeros(4))},
        {"time": ("point", DAYS[:3])},
    )
    with pytest.raises(AxisError, match=r"'time' has the dims \('point',\).*rename_dims"):
        find_axes(obj)
