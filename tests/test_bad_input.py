"""Every wrong input gives one clear GeoMLError, and leaves what was given as it was."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import toys
import xarray as xr

import xgeoml
from xgeoml.exceptions import (
    AxisError,
    GeoMLError,
    InputError,
    ModelNotFoundError,
    SpecError,
    TimeAxisError,
    WeightsError,
)
from xgeoml.spec import Channel, ModelSpec
from xgeoml.tasks.dispatch import NothingToDoError

NAME = "lwe_thickness"
NETWORK = ModelSpec(
    name="toy",
    task="fill_gaps",
    factory=toys.SeriesNet,
    inputs=(Channel("value"),),
    options={"channels": 1},
)


def record() -> xr.Dataset:
    return xgeoml.datasets.grace_like(nlat=4, nlon=5).isel(time=slice(0, 40))


def driver() -> xr.DataArray:
    return xgeoml.datasets.grace_like_drivers(nlat=4, nlon=5)["tp"]


def array() -> xr.DataArray:
    return record()[NAME]


def with_time(stamps) -> xr.DataArray:
    return array().assign_coords(time=stamps)


def twisted(**changes) -> xr.DataArray:
    return driver().assign_coords(**changes)


def time() -> np.ndarray:
    return array()["time"].values.copy()


def swap(values, first, second):
    values[[first, second]] = values[[second, first]]
    return values


def repeat(values):
    values[4] = values[3]
    return values


def nat(values):
    values[7] = np.datetime64("NaT")
    return values


def metres() -> xr.DataArray:
    return array().assign_coords(lat=("lat", np.arange(4) * 5e5, {"units": "degrees_north"}))


def two_times() -> xr.DataArray:
    whole = array().transpose("time", "lat", "lon").values
    stamps = pd.date_range("2001", periods=4)
    return xr.DataArray(whole, {"a": time(), "b": stamps}, ("a", "b", "c"), attrs={"units": "cm"})


# What is given, the keywords, the error, and what its message must say: found, expected, cure.
CASES = {
    "no axes at all": (
        lambda: xr.DataArray(np.ones((3, 4)), dims=("a", "b")),
        {},
        AxisError,
        ["T axis", "'a' (3, no coordinate)", 'dims={"T": "a"}'],
    ),
    "no time axis": (
        lambda: array().isel(time=0, drop=True),
        {},
        AxisError,
        ["T axis", "'lat' is Y", "dims="],
    ),
    "no variable with time": (
        lambda: record().isel(time=0, drop=True),
        {},
        NothingToDoError,
        ["no floating-point variable with a time axis", "float32", "variables="],
    ),
    "time without a coordinate": (
        lambda: array().drop_vars("time"),
        {},
        TimeAxisError,
        ["'time' has no coordinate", "expected dates", "assign_coords"],
    ),
    "time out of order": (
        lambda: with_time(swap(time(), 3, 4)),
        {},
        TimeAxisError,
        ["not in order", "expected increasing", 'sortby("time")'],
    ),
    "a stamp twice": (
        lambda: with_time(repeat(time())),
        {},
        TimeAxisError,
        ["duplicate", "expected each once", "drop_duplicates"],
    ),
    "no stamp": (
        lambda: with_time(nat(time())),
        {},
        TimeAxisError,
        ["no date at 1 of 40", "expected a date", "isel(time="],
    ),
    "time as bare numbers": (
        lambda: with_time(np.arange(40.0)),
        {},
        TimeAxisError,
        ["float64", "expected datetime64 or cftime", "decode_cf"],
    ),
    "time as text": (
        lambda: with_time([str(t)[:10] for t in time()]),
        {},
        TimeAxisError,
        ["expected datetime64", "pd.to_datetime"],
    ),
    "missing everywhere": (
        lambda: array() * np.nan,
        {},
        InputError,
        ["missing everywhere", "_FillValue"],
    ),
    "text": (lambda: array().astype(str), {}, InputError, ["dtype <U", "expected real numbers"]),
    "more precision than is kept": (
        lambda: array().astype(np.longdouble),
        {},
        InputError,
        ["float128", "expected float64", "astype('float64')"],
    ),
    "dates in another coordinate": (
        lambda: array().assign_coords(step=("time", np.arange(40))).swap_dims(time="step"),
        {},
        TimeAxisError,
        ["'step'", "'time'", "swap_dims"],
    ),
    "complex": (
        lambda: array().astype(complex),
        {},
        InputError,
        ["complex128", "expected real numbers"],
    ),
    "times without a date": (
        lambda: array().fillna(0).astype("m8[s]"),
        {},
        InputError,
        ["timedelta64", "expected real numbers", "np.timedelta64(1, 'D')"],
    ),
    "numbers of pandas": (
        lambda: pd.Series(pd.array([1.5, None]), pd.Index(time()[:2], name="time")).to_xarray(),
        {},
        InputError,
        ["Float64", "expected real numbers", "astype('float64')"],
    ),
    "integers that float64 would round": (
        lambda: array().fillna(0).astype("i8") + (2**60 + 1),
        {},
        InputError,
        ["1152921504606846", "expected whole numbers up to 2**53", "astype('float64')"],
    ),
    "a dim that is no text": (
        lambda: array().isel(lon=0).drop_vars("lat").rename(lat=0),
        {},
        AxisError,
        ["0, of type int", "expected text", "rename({0: 'my_name'})"],
    ),
    "stamps that are too close": (
        lambda: with_time(np.datetime64("2001-01-01", "ns") + np.arange(40)),
        {},
        TimeAxisError,
        ["000000001", "expected stamps at least 0.01 ms apart", "pd.date_range"],
    ),
    "no cells": (lambda: array().isel(lat=[]), {}, InputError, ["empty", "'lat': 0"]),
    "latitude in metres": (metres, {}, InputError, ["'lat'", "1.5e+06", "expected", "degrees"]),
    "unknown variable": (
        record,
        {"variables": "lwe_thicknes"},
        InputError,
        ["'lwe_thicknes' is not in", "did you mean", NAME],
    ),
    "no variables": (record, {"variables": []}, InputError, ["variables=[]", "expected a name"]),
    "variables that are no names": (
        record,
        {"variables": 5},
        InputError,
        ["variables=5", "expected"],
    ),
    "variables in lists in a list": (
        record,
        {"variables": [[NAME]]},
        InputError,
        [f"variables=[['{NAME}']]", "expected a name"],
    ),
    "variables of a DataArray": (
        array,
        {"variables": NAME},
        InputError,
        ["goes with a Dataset", NAME],
    ),
    "no xarray object": (lambda: np.ones((3, 4)), {}, InputError, ["ndarray", "expected", "xr."]),
    "a tree without data": (
        lambda: xr.DataTree.from_dict({"/a": xr.Dataset()}),
        {},
        InputError,
        ["DataTree", "no data"],
    ),
    "variables in no group": (
        lambda: xr.DataTree.from_dict({"/a": record()}),
        {"variables": "nothing"},
        InputError,
        ["'nothing'", "no group"],
    ),
    "unknown covariate": (
        lambda: record().assign(rain=driver().isel(time=slice(0, 1), drop=True)),
        {"covariates": "rian"},
        InputError,
        ["'rian'", "did you mean", "'rain'"],
    ),
    "covariate of another length": (
        array,
        {"covariates": driver().drop_vars("time")},
        InputError,
        ["265 steps", "expected 43", "give it the coordinate"],
    ),
    "covariate on another grid": (
        array,
        {"covariates": driver().isel(lat=slice(0, 3))},
        InputError,
        ["3 cells along 'lat'", "expected 4", 'cov.interp(lat=obj["lat"])'],
    ),
    "covariate elsewhere": (
        array,
        {"covariates": twisted(lat=np.arange(4.0))},
        InputError,
        ["lies elsewhere", "0.0 ... 3.0", "expected", 'cov.interp(lat=obj["lat"])'],
    ),
    "covariate without time": (
        array,
        {"covariates": driver().isel(time=0, drop=True)},
        InputError,
        ["expected 'time' among them"],
    ),
    "covariate of another age": (
        array,
        {"covariates": driver().isel(time=slice(200, None))},
        InputError,
        ["covers 2018-12", "none of", "2002-04"],
    ),
    "covariate out of order": (
        array,
        {"covariates": driver().isel(time=slice(None, None, -1))},
        TimeAxisError,
        ["not in order", "sortby"],
    ),
    "covariate of text": (
        array,
        {"covariates": driver().astype(str)},
        InputError,
        ["covariate 'tp'", "expected real numbers"],
    ),
    "covariate of times without a date": (
        array,
        {"covariates": driver().astype("m8[s]")},
        InputError,
        ["covariate 'tp'", "timedelta64", "np.timedelta64(1, 'D')"],
    ),
    "covariate that is complex": (
        array,
        {"covariates": driver().astype(complex)},
        InputError,
        ["covariate 'tp'", "complex128", "expected real numbers", "obj.real"],
    ),
    "covariate that is no DataArray": (
        array,
        {"covariates": [driver().values]},
        InputError,
        ["ndarray", "expected a variable's name or a DataArray"],
    ),
    "covariates as a number": (array, {"covariates": 3}, InputError, ["int", "expected"]),
    "covariate with a dim too many": (
        array,
        {"covariates": driver().expand_dims(member=2)},
        InputError,
        ["member", "lacks", "expected none", "cov.isel({'member': 0})"],
    ),
    "the variable as its own covariate": (
        record,
        {"covariates": NAME, "variables": NAME},
        InputError,
        ["is the variable to be filled itself"],
    ),
    "covariates to a model without use for them": (
        array,
        {"model": "dineof", "covariates": driver()},
        SpecError,
        ["no use of covariates", "kalman", "'tp'"],
    ),
    "unknown model": (
        array,
        {"model": "kalmann"},
        ModelNotFoundError,
        ["'kalmann'", "Did you mean 'kalman'", "xgeoml.list_models()"],
    ),
    "unknown version": (
        array,
        {"model": "kalman@9.9"},
        ModelNotFoundError,
        ["kalman@9.9", "kalman@1.0"],
    ),
    "a spec for another task": (
        array,
        {"model": NETWORK.replace(task="invert_waveform")},
        SpecError,
        ["for invert_waveform", "cannot do fill_gaps"],
    ),
    "a model that is neither": (array, {"model": 3}, InputError, ["model=3", "expected a name"]),
    "weights that are not there": (
        array,
        {"model": "missing.safetensors"},
        WeightsError,
        ["missing.safetensors", "does not exist", "expected"],
    ),
    "a folder as weights": (array, {"model": Path("/")}, WeightsError, ["expected"]),
    "unknown option of the model": (
        array,
        {"model": "dineof", "model_options": {"nmodes": 3}},
        SpecError,
        ["'nmodes'", "expected one of"],
    ),
    "options that are no mapping": (
        array,
        {"model": "dineof", "model_options": 3},
        InputError,
        ["model_options=3", "expected"],
    ),
    "dims of an unknown axis": (array, {"dims": {"Q": "lat"}}, AxisError, ["'Q'", "expected X, Y"]),
    "dims of an unknown dim": (
        array,
        {"dims": {"T": "tiem"}},
        AxisError,
        ["'tiem'", "did you mean 'time'"],
    ),
    "dims that are no mapping": (array, {"dims": "time"}, AxisError, ["dims='time'", "expected"]),
    "two candidates for time": (two_times, {}, AxisError, ["'a'", "'b'", "T axis", "dims="]),
    "mask of floats": (
        array,
        {"mask": array().isel(time=0)},
        InputError,
        ["mask has dtype float32", "expected True where"],
    ),
    "mask of another shape": (
        array,
        {"mask": xr.DataArray(np.ones(7, bool), dims="lat")},
        InputError,
        ["mask has sizes {'lat': 7}", "'lat': 4"],
    ),
    "mask over an unknown dim": (
        array,
        {"mask": xr.DataArray(np.ones(7, bool), dims="basin")},
        InputError,
        ["'basin': 7", "'lat': 4"],
    ),
    "unknown mask": (
        lambda: record().assign(land=array().isel(time=0, drop=True) > 0),
        {"mask": "lnad"},
        InputError,
        ["mask 'lnad'", "did you mean", "land"],
    ),
    "mask that is no DataArray": (
        array,
        {"mask": np.ones((4, 5), bool)},
        InputError,
        ["mask is a ndarray", "expected"],
    ),
}
OPTIONS = {
    "max_gap": ["3 parsecs", "3", 0, -1, True, 2.5, "-3D", timedelta(0), "NaT", [3]],
    "batch_size": [0, -4, 1.5, "many", True],
    "device": ["gpu", "cuda:x", 0],
    "precision": ["double", "float64", 32],
    "seed": [-1, "0", 1.5],
    "progress": ["yes"],
    "spread": ["yes", 1],
}


def same(one, other) -> bool:
    if isinstance(one, np.ndarray):
        return np.array_equal(one, other)
    if isinstance(one, xr.DataTree):
        return one.identical(other)
    return one.identical(other) and one.encoding == other.encoding


def refused(obj, keywords, error) -> str:
    """Return the message of the one error of a call, whose input must not change."""
    objects = [obj, *(v for v in keywords.values() if isinstance(v, xr.DataArray))]
    before = [v.copy() if isinstance(v, np.ndarray) else v.copy(deep=True) for v in objects]
    with pytest.raises(error) as caught:
        xgeoml.fill_gaps(obj, **keywords)
    assert type(caught.value) is error, type(caught.value)
    assert issubclass(error, GeoMLError)
    assert all(same(*pair) for pair in zip(objects, before, strict=True)), "the input was changed"
    return str(caught.value)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.replace(" ", "_"))
def test_a_wrong_input_is_one_clear_error(case):
    make, keywords, error, told = CASES[case]
    text = refused(make(), keywords, error)
    missing = [part for part in told if part not in text]
    assert not missing, f"{missing} not in: {text}"
    assert len(text) < 1500


@pytest.mark.parametrize(
    ("name", "value"), [(name, value) for name, values in OPTIONS.items() for value in values]
)
def test_a_wrong_option_is_one_clear_error(name, value):
    text = refused(array(), {name: value}, InputError)
    assert f"{name}={value!r}: expected" in text


def test_a_model_of_another_task_by_name(monkeypatch):
    from xgeoml import registry

    other = NETWORK.replace(name="finer", task="invert_waveform")
    monkeypatch.setattr(registry, "_registered", {(other.task, other.name): other})
    text = refused(array(), {"model": "finer"}, SpecError)
    assert "invert_waveform" in text
    assert "fill_gaps" in text


def test_a_device_that_is_not_here():
    text = refused(array(), {"model": NETWORK, "device": "cuda:99"}, InputError)
    assert "'cuda:99' is not here; found ['cpu'" in text
    assert "device='auto'" in text


def test_a_spread_of_a_model_without_one():
    text = refused(array(), {"model": NETWORK, "spread": True}, SpecError)
    assert "no spread" in text


def test_the_plan_complains_as_the_call_does():
    for keywords, error in (
        ({"model": "kalmann"}, ModelNotFoundError),
        ({"covariates": driver().isel(lat=slice(0, 3))}, InputError),
        ({"batch_size": 0}, InputError),
        ({"variable": "nothing"}, InputError),
        ({"variable": ["nothing"]}, InputError),
    ):
        with pytest.raises(error):
            record().geoml.plan(**keywords)
    with pytest.raises(InputError, match="expected one of 'fill_gaps'"):
        record().geoml.plan("fill_gap")
    with pytest.raises(AxisError):
        record().isel(time=0, drop=True)[NAME].geoml.plan()


def test_an_error_in_a_tree_names_the_group():
    tree = xr.DataTree.from_dict({"/good": record(), "/bad": record().isel(time=[1, 0])})
    with pytest.raises(TimeAxisError) as caught:
        tree.geoml.fill_gaps("linear")
    assert "'/bad'" in "".join(caught.value.__notes__)
