"""Names that are none: of models, variables, covariates, axes and steps, in every task."""

from datetime import timedelta

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xgeoml
from xgeoml.exceptions import InputError, ModelNotFoundError, did_you_mean, instead_of
from xgeoml.tasks.frequencies import is_freq, read_freq

NAME = "lwe_thickness"
WAVE = xgeoml.datasets.wavefield(stations=2, samples=256)

# Each task, given the record: a call with something in the place of the model.
CALLS = {
    "fill_gaps": lambda obj, name: obj.geoml.fill_gaps(name),
    "downscale": lambda obj, name: obj.geoml.downscale(2, name),
    "interp_time": lambda obj, name: obj.geoml.interp_time("1D", name),
    "invert_waveform": lambda obj, name: obj.geoml.invert_waveform(name),
    "fit": lambda obj, name: obj.geoml.fit(name),
    "evaluate": lambda obj, name: obj.geoml.evaluate("fill_gaps", [name]),
    "evaluate one": lambda obj, name: obj.geoml.evaluate("fill_gaps", name),
    "plan": lambda obj, name: obj.geoml.plan("fill_gaps", name),
}
ONE_AT_A_TIME = ("evaluate", "evaluate one", "plan")


@pytest.mark.parametrize("task", CALLS)
def test_a_variable_in_the_place_of_the_model(record, task):
    keyword = "variable" if task in ONE_AT_A_TIME else "variables"
    for obj in (record, xr.DataTree.from_dict({"/a": record})):
        for name in (NAME, "lwe"):
            with pytest.raises(ModelNotFoundError) as found:
                CALLS[task](obj, name)
            assert f'type {keyword}="{NAME}".' in str(found.value)
            assert "Did you mean" not in str(found.value)
    with pytest.raises(ModelNotFoundError, match="is the DataArray itself: leave it out"):
        CALLS[task](record[NAME], NAME)


@pytest.mark.parametrize("task", CALLS)
def test_a_model_that_is_misspelt(record, task):
    wrong, right = {
        "downscale": ("bicubc", "bicubic"),
        "interp_time": ("Linear", "linear"),
        "invert_waveform": ("nlls", "nnls"),
        "fit": ("rigde", "ridge"),
    }.get(task, ("kalmann", "kalman"))
    with pytest.raises(ModelNotFoundError, match=f"Did you mean '{right}'") as found:
        CALLS[task](record, wrong)
    assert "kalman_alone" not in str(found.value), "a base of others is no choice"


def test_a_version_of_a_model_is_its_name(record):
    record.geoml.fill_gaps("linear@1.0")
    with pytest.raises(ModelNotFoundError, match=r"linear@1\.0"):
        record.geoml.fill_gaps("linear@7.0")


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda g: g.interp_time("linear"), "'linear' is a model: type model=\"linear\""),
        (lambda g: g.interp_time(NAME), f'is a variable: type variables="{NAME}"'),
        (lambda g: g.downscale("bicubic"), "'bicubic' is a model: type model=\"bicubic\""),
        (lambda g: g.downscale(NAME), f'is a variable: type variables="{NAME}"'),
    ],
)
def test_names_in_the_place_of_another_argument(record, call, told):
    with pytest.raises(InputError, match=told):
        call(record.geoml)


def test_a_variable_may_be_called_as_a_step_is(record):
    hourly = record.rename({NAME: "D"})
    assert hourly.geoml.interp_time("D", "linear").sizes["time"] > 1000


@pytest.mark.parametrize(
    ("call", "what"),
    [
        (lambda g: g.fill_gaps("linear", variables="lwe"), "variable 'lwe'"),
        (lambda g: g.fill_gaps("kalman", covariates="lwe"), "covariate 'lwe'"),
        (lambda g: g.fill_gaps("kalman", mask="lwe"), "mask 'lwe'"),
        (lambda g: g.downscale(2, "bicubic", variables=["lwe"]), "variable 'lwe'"),
        (lambda g: g.interp_time("1D", "linear", variables="lwe"), "variable 'lwe'"),
        (lambda g: g.interp_time("1D", vectors=[(NAME, "lwe")]), "vectors= name 'lwe'"),
        (lambda g: g.invert_waveform("nnls", greens=WAVE["greens"], variables="lwe"), "'lwe'"),
        (lambda g: g.fit("ridge", variables="lwe"), "variable 'lwe'"),
        (lambda g: g.evaluate("fill_gaps", ["linear"], variable="lwe"), "variable 'lwe'"),
        (lambda g: g.plan("fill_gaps", "linear", variable="lwe"), "variable 'lwe'"),
    ],
)
def test_a_name_that_is_nearly_there(record, call, what):
    with pytest.raises(InputError) as found:
        call(record.geoml)
    assert what in str(found.value)
    assert f"did you mean '{NAME}'? found ['{NAME}'" in str(found.value)


def test_a_name_that_is_in_no_group(record):
    tree = xr.DataTree.from_dict({"/a": record})
    with pytest.raises(InputError, match=f"no group .*: did you mean '{NAME}'[?] found"):
        tree.geoml.fill_gaps("linear", variables="lwe")


def test_long_lists_are_cut():
    names = [f"v{i}" for i in range(50)]
    assert instead_of("zzz", names).endswith("'v19'] and 30 more")
    assert instead_of("V7", names).startswith("did you mean 'v7'? ")


@pytest.mark.parametrize(
    ("name", "known", "expected"),
    [
        ("lwe", ["lwe_thickness", "time"], ["lwe_thickness"]),
        ("temperature", ["temp", "rain"], ["temp"]),
        ("thickness", ["lwe_thickness_water"], ["lwe_thickness_water"]),
        ("Kalman", ["kalman", "kalman_alone"], ["kalman"]),
        ("t", ["time", "total"], []),
        ("xyz", ["time"], []),
    ],
)
def test_what_is_near(name, known, expected):
    assert did_you_mean(name, known) == expected


# ---------------------------------------------------------------------------- steps in time


@pytest.mark.parametrize(
    ("freq", "right"),
    [
        *(("1hr", "1h"), ("hourly", "1h"), ("daily", "1D"), ("6-hourly", "6h"), ("6 hours", "6h")),
        *(("1 day", "1D"), ("monthly", "MS"), ("3 months", "3MS"), ("yearly", "YS")),
        *(("2 weeks", "14D"), ("weekly", "7D"), ("10 minutes", "10min"), ("0.5 hour", "0.5h")),
    ],
)
def test_steps_as_people_write_them(freq, right):
    with pytest.raises(InputError) as found:
        read_freq(freq)
    assert f"freq={freq!r}" in str(found.value)
    assert str(found.value).endswith(f"type freq='{right}'")
    assert is_freq(right)
    read_freq(right)


@pytest.mark.parametrize(
    ("freq", "told"),
    [
        ("60", "has no unit; expected one, such as '60min' or '60h'; or factor=60"),
        (6, "'6min' or '6h'; or factor=6 for equal parts"),
        (-1.5, "has no unit; expected one, such as '-1.5min'"),
        ("1m", "minutes or months; type freq='1min' or freq='1MS'"),
        ("-1h", "no step forward in time; expected one above zero"),
        ("0h", "no step forward in time; expected one above zero"),
        (timedelta(hours=-1), "no step forward in time"),
        *(
            (x, "expected one such as '1h', '30min', '1D' or 'MS'")
            for x in ("", "soon", "1x", True)
        ),
        *((x, "expected one such as '1h'") for x in (None, [], "1h 2")),
    ],
    ids=str,
)
def test_what_is_no_step(freq, told):
    with pytest.raises(InputError) as found:
        read_freq(freq)
    assert told in str(found.value)


@pytest.mark.parametrize(
    "freq",
    ["1h", "h", "1 h", "30min", "1.5h", "1h30min", "MS", "2MS", "7D", "YS"],
)
def test_steps_of_pandas(freq):
    assert is_freq(freq)
    assert read_freq(freq) == pd.tseries.frequencies.to_offset(freq)


def test_lengths_of_time_are_steps():
    for freq in (timedelta(hours=1), np.timedelta64(1, "h"), pd.offsets.Hour(1)):
        assert read_freq(freq) == pd.offsets.Hour(1)


def test_the_call_says_so():
    days = xr.DataArray(
        np.arange(3.0), {"time": pd.date_range("2001-01-01", periods=3)}, ["time"], "t"
    )
    with pytest.raises(InputError, match="freq='1hr' is not how pandas writes a step"):
        days.geoml.interp_time("1hr", "linear")
