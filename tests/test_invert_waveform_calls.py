"""Bad arguments and bad data of invert_waveform: each error says what to type."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from toy_in_time import Refuses
from toy_waves import SAMPLES, STEP, eq_tf, invert, spec, waves, weights

import xgeoml
from xgeoml.exceptions import (
    AxisError,
    InputError,
    ModelNotFoundError,
    SpecError,
    TimeAxisError,
    WeightsError,
)
from xgeoml.tasks.invert_waveform import invert_waveform
from xgeoml.tasks.trained_path import TrainedPath
from xgeoml.weights.files import write_weights


@pytest.fixture
def data():
    return waves()


def refuse(obj, error, told, model="nnls", **options):
    with pytest.raises(error, match=told) as found:
        invert(obj, model, **options)
    return str(found.value)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"dim": 1}, "dim=1: expected the name of a dim, or several, each once, such as 'station'"),
        ({"dim": {"station"}}, "dim={'station'}: expected the name"),
        ({"dim": ["station", "station"]}, "each once"),
        ({"dim": ["station", None]}, "expected the name"),
        ({"dim": "sta"}, r"dim='sta': .*'record' has the dims \['station'\] beside .*expected one"),
        ({"dim": "time"}, r"dim='time': .* has the dims \['station'\] beside its time axis"),
        ({"positive": 1}, "positive=1: expected True or False"),
        ({"resample": "yes"}, "resample='yes': expected True or False"),
        ({"spread": None}, "spread=None: expected True or False"),
        ({"amplitudes": "fre"}, "amplitudes='fre': expected 'given' or 'free'"),
        ({"amplitudes": "free"}, "one source: name their dim, dim='station'"),
        ({"impulse": "s"}, "impulse='s': expected 'sample' or 'second'"),
        ({"gaps": "fill"}, "gaps='fill': expected 'raise' or 'window'"),
        ({"gaps": ["raise"]}, r"gaps=\['raise'\]: expected 'raise' or 'window'"),
        (
            {"spread": True},
            "nnls@1.0 does not tell how sure it is; leave it out, or use model='eq_",
        ),
        ({"length": 129}, "length=129 is 129 samples; expected 2 to 128, those of the record"),
        ({"length": 3.5}, "length=3.5: expected a whole number of samples, or a length of time"),
        ({"greens": "other"}, "variable 'other' is not in the Dataset: found"),
        ({"greens": 3}, "greens is a int; expected a DataArray with the time axis and dims"),
        ({"variables": "record"}, "goes with a Dataset; a DataArray is one variable already"),
        ({"model_options": ["ridge"]}, "model_options=.* expected a mapping"),
        ({"batch_size": 0}, "batch_size"),
        ({"precision": "float8"}, "precision"),
        ({"device": "tpu"}, "device"),
        ({"seed": "s"}, "seed"),
    ],
    ids=str,
)
def test_arguments_that_are_wrong(data, given, told):
    refuse(data["record"], InputError, told, **{"greens": data["greens"], **given})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"dims": "time"}, r"dims='time': expected a mapping, such as \{'T': 'time'\}"),
        ({"dims": {"T": "tim"}}, "did you mean 'time'?"),
        ({"dims": {"time": "T"}}, "the letter first"),
        ({"dims": {"T": "station"}}, "coordinate 'station' has dtype <U2; expected dates"),
    ],
    ids=str,
)
def test_axes_that_are_wrong(data, given, told):
    refuse(data["record"], AxisError, told, greens=data["greens"], **given)


def test_models_that_cannot_do_it(data, tmp_path):
    record, greens = data["record"], data["greens"]
    refuse(record, ModelNotFoundError, "Did you mean 'nnls'?", "nnl", greens=greens)
    refuse(record, SpecError, "it is a model for fill_gaps", "kalman", greens=greens)
    refuse(record, SpecError, "'ridg': expected one of", greens=greens, model_options={"ridg": 1})
    refuse(record, WeightsError, "no.safetensors", tmp_path / "no.safetensors", greens=greens)
    refuse(
        record, SpecError, r"has no weight: own = .*fit\('eq_tf'.*model=own", spec(), greens=greens
    )
    refuse(record, InputError, "expected a name such as", 3, greens=greens)
    with pytest.raises(TypeError, match="lenght"):
        invert(record, greens=greens, lenght=3)
    other = eq_tf(width=8).state_dict()
    path = write_weights(
        tmp_path / "a.safetensors", {k: v.numpy() for k, v in other.items()}, spec()
    )
    refuse(record, WeightsError, "does not fit the network", path, greens=greens)


def test_options_of_models(data):
    made = invert(data["record"], greens=data["greens"], model_options={"ridge": 0.1})
    assert not made.equals(invert(data["record"], greens=data["greens"]))
    assert "model_options={'ridge': 0.1}" in made.attrs["history"]


def test_greens_functions_are_needed(data):
    told = refuse(data["record"], InputError, "nnls@1.0 needs the Green's functions: greens=...")
    assert "fit('eq_tf', target=sources)" in told


def test_nothing_to_invert(data):
    told = r"no floating-point variable with a time axis to invert; found \{'n': \"int.*'sta"
    integers = data[["record"]].astype(int).rename(record="n")
    refuse(integers, InputError, told, greens=data["greens"])
    refuse(data[["greens"]], InputError, "no floating-point variable", greens="greens")
    refuse(data[["greens"]], InputError, "no floating-point variable", greens=data["greens"])
    refuse(data, InputError, r"did you mean 'record'", greens="greens", variables="recrd")
    refuse(data[["record"]].mean("time"), InputError, "no floating", greens=data["greens"])
    told = r"has the dims \(\), none of which is known to be the time axis; type dims="
    given = {"greens": "greens", "variables": "one"}
    refuse(data.assign(one=3.0), AxisError, told, **given)
    refuse(xr.DataTree(), InputError, "DataTree", greens=data["greens"])
    tree = xr.DataTree.from_dict({"/a": data.drop_vars("source")})
    with pytest.raises(InputError, match="'gren' is not in the Dataset") as found:
        invert(tree, greens="gren")
    assert found.value.__notes__ == ["in the group '/a' of the DataTree"]
    with pytest.raises(InputError, match="found a ndarray; expected an xarray DataArray, Dataset"):
        invert_waveform(data["record"].values, "nnls", greens=data["greens"])


def test_records_that_are_no_numbers(data):
    record, greens = data["record"], data["greens"]
    refuse(record + 1j, InputError, "complex.*expected real numbers.*obj.real", greens=greens)
    refuse(record > 0, InputError, "dtype bool; expected real numbers", greens=greens)
    refuse(record[:0], InputError, "is empty", greens=greens[:0])
    refuse(record[0, 0], AxisError, "type dims=", greens=greens)
    refuse(record[:, :1], TimeAxisError, "'record' has 1 sample along 'time'", greens=greens)


def test_times_that_are_no_samples(data):
    record, greens = data["record"], data["greens"]
    refuse(record[:, ::-1], TimeAxisError, "variable 'record'.*descend", greens=greens)
    lost = record.isel(time=np.delete(np.arange(SAMPLES), 40))
    refuse(lost, TimeAxisError, "variable 'record'.*not evenly spaced", greens=greens)
    refuse(record, TimeAxisError, "^greens: times along 'time' desc", greens=greens[:, ::-1])
    refuse(record, TimeAxisError, "greens has 1 sample along", greens=greens[:, :1])
    bare = record.rename(time="n").drop_vars("n")
    refuse(bare, AxisError, r"'record' has the dims \('station', 'n'\)", greens=greens)


def test_lengths_of_time_along_an_axis_of_no_unit(data):
    none = data["record"].drop_vars("time")
    numbers = data["record"].assign_coords(time=data["time"].values)
    for record in (none, numbers):
        for given in ({"length": "3s"}, {"impulse": "second"}):
            told = r"in no unit of time.*obj\['time'\].attrs\['units'\] = 's' first"
            refuse(record, InputError, told, greens=data["greens"], **given)


def test_gaps_that_are_not_asked_for(data):
    events = xr.concat([data["record"]] * 3, "event").copy()
    events[1, 0, 5] = events[2, 1, 9] = np.nan
    told = "2 of 3 events have records with missing samples; expected none: gaps='window' uses"
    refuse(events, InputError, told, greens=data["greens"], dim="station")
    refuse(events, InputError, "2 of 9 events", greens=data["greens"])


def test_a_greens_function_that_speaks_where_the_record_is_missing(data):
    record = data["record"].copy()
    record[1, :20] = np.nan
    told = r"miss their first 20 samples, where a Green's function has \d+\.\d% .*records.fillna\(0"
    refuse(record, InputError, told, greens=data["greens"], dim="station", gaps="window")
    # That of a station which is missing altogether may.
    record[2] = np.nan
    late = data["greens"].copy()
    late[:2, :20] = 0.0
    assert invert(record, greens=late, dim="station", gaps="window").notnull().sum() == SAMPLES - 20


def test_infinite_samples(data):
    wrong = data["record"].copy()
    wrong[1, 3] = np.inf
    told = refuse(
        wrong, InputError, "a record has infinite samples; expected numbers", greens=data["greens"]
    )
    mended = eval(told.rpartition(": ")[2], {"records": wrong, "np": np})
    assert mended.isnull().sum() == 1
    refuse(data["record"], InputError, r"Green's function has.*greens.fillna\(0\)", greens=wrong)


def test_sources_that_the_dtype_does_not_hold(data):
    loud, small = np.float32(1e30) * data["record"], np.float32(1e-30) * data["greens"]
    told = refuse(loud, InputError, r"sources reach \d\.\d+e\+\d+, which float32", greens=small)
    wide = eval(told.rpartition("records = ")[2], {"records": loud})
    assert np.isfinite(invert(wide, greens=small)).all()


def test_what_is_wrong_is_told_before_anything_is_computed(data):
    import dask

    lazy = data.chunk(time=-1)
    dates = np.datetime64("2001", "ns") + np.arange(SAMPLES) * np.timedelta64(100, "ms")
    with dask.config.set(scheduler=Refuses()):
        for greens, error, told in (
            (lazy["greens"][:2], InputError, "no station S2"),
            (lazy["greens"][:, :99], TimeAxisError, "99 samples, the records 128"),
            (
                lazy["greens"].assign_coords(time=dates),
                TimeAxisError,
                "have dates, the records num",
            ),
            (lazy["greens"].expand_dims("depth"), InputError, "which the records have not"),
        ):
            refuse(lazy["record"], error, told, greens=greens, dim="station")


def test_dates_of_greens_functions_are_refused_before_the_work(data, monkeypatch):
    dates = np.datetime64("2001", "ns") + np.arange(SAMPLES) * np.timedelta64(100, "ms")
    monkeypatch.setattr("xgeoml.tasks.inverting.inverted", Refuses())
    told = r"greens = greens.assign_coords\(time=...\)"
    refuse(data["record"], TimeAxisError, told, greens=data["greens"].assign_coords(time=dates))


def test_paths_that_a_model_has_not_learnt(data, tmp_path):
    path = TrainedPath(
        data["greens"].values.astype(float),
        ("station",),
        {"station": ["S0", "S1", "S2"]},
        STEP,
        0.0,
        ("m s-1", "N m s-1"),
    )
    own = weights(tmp_path / "own.safetensors", path_learnt=path)
    record = data["record"]
    told = "no path to station X, Y; it has learnt those to S0, S1, S2: select these"
    refuse(record.assign_coords(station=["X", "S1", "Y"]), InputError, told, own)
    told = "have 2 along 'station', the model has learnt paths to 3; expected as many, or labels"
    refuse(record[:2].drop_vars("station"), InputError, told, own)
    told = (
        r"have the dims \['time'\]; expected 'station' among them: records.expand_dims\('station'"
    )
    refuse(record[0], InputError, told, own)
    slow = record.assign_coords(time=("time", 2 * data["time"].values, {"units": "s"}))
    told = "have a sample every 0.2 s, those .* from one every 0.1 s; expected the same: resample"
    refuse(slow, TimeAxisError, told, own)
    told = "impulse='second' .*the model has learnt its own; leave it out, or give greens="
    refuse(record, InputError, told, own, impulse="second")
    pytest.importorskip("pint")
    told = (
        "in 'm', those that the model has learnt from in 'm s-1'; expected units of the same kind"
    )
    refuse(record.assign_attrs(units="m"), InputError, told, own)


def test_the_task_lists_its_models():
    found = xgeoml.list_models("invert_waveform")
    assert {"eq_tf", "iterative", "landweber", "nnls", "water_level", "wiener"} <= set(found)


@pytest.mark.parametrize(
    ("what", "options"), [("moment", {}), ("each_misfit", {"dim": "station"})], ids=str
)
def test_no_variable_is_lost(data, what, options):
    name = f"record_{what}"
    told = rf"the data hold \['{name}'\].*drop_vars"
    other = data.assign({name: ("station", np.zeros(3))})
    refuse(other, InputError, told, greens="greens", **options)
