"""The methods are the functions: same names, signatures and docstrings on every kind of object."""

import gc
import inspect
import weakref

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xgeoml
from xgeoml import accessor, accessor_fit
from xgeoml.accessor import GeoMLAccessor
from xgeoml.exceptions import InputError
from xgeoml.tasks.inspect import datasets_in

# One name differs: `xgeoml.models` is the package of the models, which a function would hide.
METHODS = {
    "downscale": xgeoml.downscale,
    "evaluate": xgeoml.evaluate,
    "fill_gaps": xgeoml.fill_gaps,
    "fit": xgeoml.fit,
    "interp_time": xgeoml.interp_time,
    "invert_waveform": xgeoml.invert_waveform,
    "plan": xgeoml.plan,
    "models": xgeoml.models_for,
}


@pytest.fixture(scope="module")
def record():
    return xgeoml.datasets.grace_like(nlat=4, nlon=5).isel(time=slice(0, 40))


def kinds(record):
    return {
        "DataArray": record["lwe_thickness"],
        "Dataset": record,
        "DataTree": xr.DataTree.from_dict({"/a": record}),
    }


@pytest.mark.parametrize("kind", ["DataArray", "Dataset", "DataTree"])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_the_function(record, kind, name):
    obj = kinds(record)[kind]
    method, function = getattr(obj.geoml, name), METHODS[name]
    ours = list(inspect.signature(method).parameters.values())
    theirs = list(inspect.signature(function).parameters.values())[1:]
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]
    unbound = inspect.signature(getattr(GeoMLAccessor, name)).parameters
    assert {k: str(p.annotation) for k, p in unbound.items() if k != "self"} == {
        k: str(p.annotation) for k, p in list(inspect.signature(function).parameters.items())[1:]
    }
    assert method.__doc__ == function.__doc__
    assert method.__doc__


def test_every_function_but_one_is_called_as_its_method():
    assert {n for n, f in METHODS.items() if getattr(xgeoml, n) is not f} == {"models"}


def test_every_public_method_is_compared():
    public = {n for n in dir(GeoMLAccessor) if not n.startswith("_")}
    assert public == {*METHODS, "axes", "plot"}
    assert isinstance(inspect.getattr_static(GeoMLAccessor, "axes"), property)


def test_only_the_first_argument_is_positional():
    for name, function in METHODS.items():
        kinds = [p.kind for p in inspect.signature(function).parameters.values()]
        positional = kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
        assert positional <= (3 if name in ("plan", "downscale", "interp_time", "evaluate") else 2)
        assert inspect.Parameter.VAR_KEYWORD not in kinds


def test_methods_hand_over_every_argument(record, monkeypatch):
    for name in METHODS.keys() - {"models"}:
        taken = {}
        module = accessor_fit if name in ("fit", "evaluate", "plan") else accessor
        monkeypatch.setattr(module, name, lambda *a, _t=taken, **k: _t.update(k, args=a))
        names = [
            k
            for k, p in inspect.signature(getattr(record.geoml, name)).parameters.items()
            if p.kind is p.KEYWORD_ONLY
        ]
        model = {"fit": {"model": "<model>"}, "evaluate": {"task": "<task>"}}.get(name, {})
        getattr(record.geoml, name)(**model, **{k: f"<{k}>" for k in names})
        assert taken.pop("args")[0] is record
        assert taken == {k: f"<{k}>" for k in names}


@pytest.mark.parametrize("kind", ["DataArray", "Dataset", "DataTree"])
def test_the_same_kind_comes_back(record, kind):
    obj = kinds(record)[kind]
    full = obj.geoml.fill_gaps("linear")
    assert type(full) is type(obj)
    function = xgeoml.fill_gaps(obj, "linear")
    for one, other in zip(datasets_in(full), datasets_in(function), strict=True):
        assert one.drop_attrs().equals(other.drop_attrs())


@pytest.mark.parametrize("kind", ["DataArray", "Dataset", "DataTree"])
def test_axes_and_models(record, kind):
    obj = kinds(record)[kind]
    assert obj.geoml.axes.names == {"T": "time", "Y": "lat", "X": "lon"}
    # Of months none can be made.
    fitting = set(obj.geoml.models("fill_gaps"))
    assert fitting == set(xgeoml.list_models("fill_gaps")) - {"climanet"}
    for task in ("downscale", "interp_time"):
        assert obj.geoml.models(task) == xgeoml.list_models(task)
    single = xr.DataArray([1.0, 2.0], {"time": record["time"][:2]}, ["time"])
    assert {"linear", "akima"} <= set(single.geoml.models("interp_time"))
    assert not set(single.geoml.models("interp_time")) & {"diurnal", "temdeep"}, "these see grids"


def waves(times=None, units=None, name="time", **coords):
    coords |= {} if times is None else {name: (name, times, {"units": units} if units else {})}
    return xr.DataArray(np.zeros((3, 50), np.float32), coords, ("station", name))


@pytest.mark.parametrize(
    ("records", "dates"),
    [
        (waves(0.1 * np.arange(50), "s"), False),
        (waves(1000 * np.arange(50), "ms"), False),
        (waves(pd.timedelta_range("0s", periods=50, freq="10ms")), False),
        (waves(pd.date_range("2001", periods=50, freq="1s")), True),
        (waves(name="sample"), False),
    ],
    ids=["seconds", "milliseconds", "lengths", "dates", "samples"],
)
def test_seismograms_have_models_of_their_own(records, dates):
    assert records.geoml.models("invert_waveform") == xgeoml.list_models("invert_waveform")
    # Other tasks need dates.
    assert ("linear" in records.geoml.models("fill_gaps")) == dates
    for obj in (records, records.to_dataset(name="a"), xr.DataTree(records.to_dataset(name="a"))):
        assert '.geoml.invert_waveform(greens=..., dim="station")' in repr(obj.geoml)
        assert ".geoml.fill_gaps" not in repr(obj.geoml)


def test_numbers_that_may_be_seconds_may_be_anything_else():
    for records in (waves(), waves(0.1 * np.arange(50))):
        assert {"eq_tf", "nnls", "kalman", "akima"} <= set(records.geoml.models())


@pytest.mark.parametrize(
    "other",
    [
        waves(pd.date_range("2001", periods=50, freq="h")),
        waves(pd.date_range("2001", periods=50, freq="MS")),
        waves(np.r_[0.0, np.arange(2.0, 51.0)], "s"),
        waves(np.arange(1950, 2000), name="year"),
        waves().rename(station="lat", time="lon"),
        waves().expand_dims(lat=2, lon=2),
        waves().astype(str),
    ],
    ids=["hourly", "monthly", "uneven", "years", "a map", "maps", "text"],
)
def test_other_things_are_no_seismograms(other):
    assert other.geoml.models("invert_waveform") == []
    assert "invert_waveform" not in repr(other.geoml)


def test_the_accessor_keeps_no_state(record):
    before = dict(vars(record.geoml))
    record.geoml.fill_gaps("linear")
    assert list(before) == ["_obj"]
    assert vars(record.geoml).keys() == before.keys()


@pytest.mark.parametrize("kind", ["DataArray", "Dataset"])
@pytest.mark.parametrize(
    "call",
    [
        lambda obj: obj.geoml.axes,
        lambda obj: repr(obj.geoml),
        lambda obj: obj.geoml.fill_gaps("linear"),
        lambda obj: obj.geoml.downscale(2, "bilinear"),
        lambda obj: obj.geoml.plan(model="kalman"),
    ],
    ids=["axes", "repr", "fill_gaps", "downscale", "plan"],
)
def test_data_are_gone_as_soon_as_nobody_holds_them(record, kind, call):
    given = record[["lwe_thickness"]].copy(deep=True)
    obj = given if kind == "Dataset" else given.lwe_thickness
    held = weakref.ref(given.lwe_thickness.data)
    gc.disable()
    try:
        call(obj)
        del given, obj
        assert held() is None, "the data wait for Python to look for circles"
    finally:
        gc.enable()


def test_a_tree_without_data_has_no_axes():
    with pytest.raises(InputError, match="no data variables"):
        xr.DataTree.from_dict({"/a": xr.Dataset()}).geoml.axes  # noqa: B018
