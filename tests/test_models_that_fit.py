"""Every model that ``.geoml`` says fits an object runs on it, or lacks what is said."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

import xgeoml
from xgeoml.exceptions import GeoMLError, InputError
from xgeoml.models.catalog import BUILT_IN
from xgeoml.tasks.inspect import lacking
from xgeoml.tasks.overview import overview

GREENS = {"greens": "greens", "dim": "station"}


def maps(steps, freq, **dims):
    """Return a record of small maps with gaps."""
    values = np.random.default_rng(0).random((steps, 3, 4)).astype(np.float32)
    values[steps // 3, 1:, 1] = values[-1:, 0, 0] = np.nan
    coords = {
        "time": pd.date_range("2001-01-01", periods=steps, freq=freq),
        "lat": [10.0, 11.0, 12.0],
        "lon": [20.0, 21.0, 22.0, 23.0],
    }
    return xr.DataArray(values, coords, ("time", "lat", "lon"), "sst", {"units": "K"}).isel(dims)


def stations(steps):
    """Return the same at places in no order."""
    made = maps(steps, "D").isel(lat=0).drop_vars(["lat", "lon"]).rename(lon="station")
    return made.assign_coords(lat=("station", [1.0, 2, 3, 4]), lon=("station", [5.0, 6, 7, 8]))


OBJECTS = {
    "12 months": maps(12, "MS"),
    "36 months": maps(36, "MS"),
    "daily": maps(62, "D"),
    "hourly": maps(72, "h"),
    "yearly": maps(30, "YS"),
    "months of 30 days": maps(36, "MS").assign_coords(
        time=xr.date_range("2001-01-01", periods=36, freq="MS", calendar="360_day")
    ),
    "uneven": maps(60, "D", time=[0, 1, 4, 9, 10, 15, 22, 30, 31, 33, 40, 41, 50]),
    "one step": maps(1, "D"),
    "no time": maps(1, "D", time=0).drop_vars("time"),
    "one row": maps(30, "D", lat=[0]),
    "one cell": maps(30, "D", lat=0, lon=1).drop_vars(["lat", "lon"]),
    "a short series": maps(12, "MS", lat=0, lon=1).drop_vars(["lat", "lon"]),
    "stations": stations(40),
    "seismograms": xgeoml.datasets.wavefield(stations=2, samples=256),
    "no coordinates": maps(3, "D").drop_vars(["time", "lat", "lon"]),
}


def run(obj, task, name, state):
    """Run a model as its state says."""
    if task == "fill_gaps":
        return obj.geoml.fill_gaps(name, freq="MS" if 'freq="MS"' in state else None)
    if task == "downscale":
        return obj.geoml.downscale(2, name)
    if task == "interp_time":
        return obj.geoml.interp_time(factor=2, model=name)
    return obj.geoml.invert_waveform(name, **GREENS)


@pytest.mark.parametrize("obj", OBJECTS.values(), ids=OBJECTS)
def test_models_run_or_lack_what_is_said(obj):
    (part,) = overview(obj).parts
    for listed in part.models:
        # Models that other tests have registered may be anything.
        for model in (m for m in listed.models if m.name in BUILT_IN):
            short = "needs " in model.state or (part.problems and listed.task != "downscale")
            if short or "to be fitted first" in model.state:
                told = "expected|learns from" if short else "learns from"
                with pytest.raises(GeoMLError, match=told):
                    run(obj, listed.task, model.name, model.state)
            else:
                assert type(run(obj, listed.task, model.name, model.state)) is type(obj)
        ready = {m.name for m in listed.models if m.enough}
        assert ready == set(obj.geoml.models(listed.task))


def states(obj):
    (part,) = overview(obj).parts
    return {(t.task, m.name): m.state for t in part.models for m in t.models}


def test_what_is_said():
    few, many = states(OBJECTS["12 months"]), states(OBJECTS["36 months"])
    assert few["fill_gaps", "grace_tf"] == "weights here, needs 24 steps"
    assert many["fill_gaps", "grace_tf"] == "weights here"
    for record in ("12 months", "36 months", "yearly", "months of 30 days"):
        assert ("fill_gaps", "climanet") not in states(OBJECTS[record])
    told = 'weights here, makes months with freq="MS"'
    for record in ("daily", "hourly", "uneven"):
        assert states(OBJECTS[record])["fill_gaps", "climanet"] == told
    assert states(OBJECTS["one step"])["interp_time", "akima"] == "needs 2 steps"
    assert states(OBJECTS["one row"])["downscale", "bicubic"] == "needs 2 rows"
    assert "networks, weights here, needs 24 steps: grace_tf\n" in repr(OBJECTS["12 months"].geoml)


def test_absent_steps_count_where_they_are_filled():
    lacking_some = OBJECTS["36 months"].isel(time=[*range(10), *range(30, 36)])
    assert states(lacking_some)["fill_gaps", "grace_tf"] == "weights here"


def test_cells_count_too():
    spec = xgeoml.get_model("grace_tf")
    axes = tuple(xgeoml.AxisSpec(a, minimum=n) for a, n in (("T", 3), ("Y", 5)))
    wide = spec.replace(axes=axes, inputs=spec.inputs[:2], outputs=("value",), weights=None)
    obj = OBJECTS["one step"]
    found = lacking(wide, obj.sizes, obj.geoml.axes)
    assert found == "needs 3 steps, needs 5 rows"


def test_why_months_are_not_made_of_months():
    with pytest.raises(GeoMLError, match="these are months already, or longer: use another model"):
        OBJECTS["36 months"].geoml.fill_gaps("climanet")
    with pytest.raises(GeoMLError, match="type freq='MS'"):
        OBJECTS["daily"].geoml.fill_gaps("climanet")


def test_no_such_task():
    for ask in (xgeoml.list_models, OBJECTS["daily"].geoml.models):
        with pytest.raises(InputError, match="no task 'fillgaps': did you mean 'fill_gaps'"):
            ask("fillgaps")


@pytest.mark.parametrize("order", [[0, 0, 1, 2], [0, 2, 1, 3], [0, 1, 3, 2]])
def test_steps_that_no_task_can_use_say_nothing_of_models(order):
    obj = maps(4, "D").isel(time=order)
    assert obj.geoml.models("downscale") == maps(4, "D").geoml.models("downscale")


def test_a_step_without_a_date_says_nothing_of_models():
    stamps = maps(4, "D").time.values.copy()
    stamps[2] = np.datetime64("NaT")
    assert "bicubic" in maps(4, "D").assign_coords(time=stamps).geoml.models()
