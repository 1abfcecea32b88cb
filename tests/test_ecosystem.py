"""Stores, units, trees and pictures of other packages."""

import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import xgeoml
from xgeoml import datasets
from xgeoml.exceptions import InputError

NAME = "lwe_thickness"


def record():
    return datasets.grace_like(nlat=4, nlon=5).isel(time=slice(0, 40))


def coarse():
    return datasets.mountain_temperature(steps=5)[["t2m"]].coarsen(lat=8, lon=8).mean()


def hourly():
    data = datasets.hourly_temperature().isel(latitude=slice(0, 4), longitude=slice(0, 5))
    return data.isel(time=slice(0, 42, 6))


def pairs():
    return datasets.station_pairs(events=5, stations=2, samples=256, source_samples=32)


def invert(data, model="wiener", **options):
    given = {"greens": "greens", "variables": "record"} | options
    return data.geoml.invert_waveform(model, dim="station", **given)


TASKS = {
    "fill_gaps": (record, lambda d: d.geoml.fill_gaps("kalman", spread=True)),
    "downscale": (coarse, lambda d: d.geoml.downscale(3, "bicubic")),
    "interp_time": (hourly, lambda d: d.geoml.interp_time("1h", "linear")),
    "invert_waveform": (pairs, invert),
}
tasks = pytest.mark.parametrize("task", TASKS)
# Of zarr, about names of stations.
texts = pytest.mark.filterwarnings("ignore:The data type .FixedLengthUTF32")


def same(one, other):
    assert set(one.variables) == set(other.variables)
    for name, variable in other.variables.items():
        if variable.dtype.kind == "f":
            np.testing.assert_allclose(one[name], variable, rtol=1e-4, atol=1e-5)
        else:
            np.testing.assert_array_equal(one[name], variable)


# ------------------------------------------------------------------------------------------ stores
@tasks
@texts
@pytest.mark.parametrize("size", [1, 3])
def test_zarr_in_and_zarr_out(task, size, tmp_path):
    pytest.importorskip("zarr")
    make, run = TASKS[task]
    data = make()
    whole = {"station", "lag"} | ({"time"} if task == "invert_waveform" else set())
    sizes = {d: -1 if d in whole else size for d in data.dims}
    data.chunk(sizes).to_zarr(tmp_path / "a.zarr", consolidated=False)
    expected = run(data)
    for i, chunks in enumerate(({}, {"time": -1 if "time" in whole else 7, "lat": 2, "event": 2})):
        lazy = xr.open_zarr(tmp_path / "a.zarr", consolidated=False)
        made = run(lazy.chunk({d: n for d, n in chunks.items() if d in lazy.dims}))
        made.to_zarr(tmp_path / f"{i}.zarr", consolidated=False)
        same(xr.open_zarr(tmp_path / f"{i}.zarr", consolidated=False).load(), expected)


def test_a_region_and_an_append(tmp_path):
    pytest.importorskip("zarr")
    full = coarse().chunk(time=1).geoml.downscale(2, "bicubic").chunk(time=1)
    out = tmp_path / "a.zarr"
    full.isel(time=slice(0, 3)).to_zarr(out, consolidated=False)
    full.isel(time=slice(3, 5)).to_zarr(out, append_dim="time", consolidated=False)
    again = full[["t2m"]].isel(time=slice(1, 2)).drop_vars(["lat", "lon"])
    again.to_zarr(out, region={"time": slice(1, 2)}, consolidated=False)
    same(xr.open_zarr(out, consolidated=False).load(), full)


@tasks
@texts
def test_icechunk_in_and_out(task, tmp_path):
    icechunk = pytest.importorskip("icechunk")
    make, run = TASKS[task]
    storage = icechunk.local_filesystem_storage(str(tmp_path / "store"))
    repository = icechunk.Repository.create(storage)
    session = repository.writable_session("main")
    make().to_zarr(session.store, consolidated=False)
    session.commit("the data")
    store = repository.readonly_session("main").store
    made = run(xr.open_zarr(store, consolidated=False))
    session = repository.writable_session("main")
    made.to_zarr(session.store, group="result", consolidated=False)
    session.commit("the result")
    store = repository.readonly_session("main").store
    same(xr.open_zarr(store, group="result", consolidated=False).load(), run(make()))


# ------------------------------------------------------------------------------------------- units
@pytest.fixture
def pint_xarray():
    pytest.importorskip("cf_xarray.units", exc_type=ImportError)
    return pytest.importorskip("pint_xarray")


def test_packages_are_imported_only_by_those_who_use_them():
    # pint itself is imported by xarray, where it is installed.
    code = (
        "import xgeoml, sys\n"
        "assert 'pint' not in sys.modules\n"
        "data = xgeoml.datasets.grace_like(nlat=4, nlon=5).isel(time=slice(0, 30))\n"
        "data.geoml.fill_gaps('linear'), data.geoml.models(), repr(data.geoml)\n"
        "print([m for m in ('pint_xarray', 'icechunk', 'hvplot') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@tasks
@pytest.mark.parametrize("lazy", [False, True])
def test_units_of_pint_are_kept(pint_xarray, task, lazy):
    import pint

    make, run = TASKS[task]
    data = make().chunk() if lazy else make()
    with_units = data.pint.quantify()
    made = run(with_units)
    expected = run(data)
    assert set(made.variables) == set(expected.variables)
    for name, variable in expected.variables.items():
        told = variable.attrs.get("units")
        is_quantity = isinstance(made[name].data, pint.Quantity)
        # Of what is new, only that which has a unit.
        assert is_quantity == (told is not None and (told != "1" or name in data)), name
        if not is_quantity:
            assert made[name].attrs.get("units") == told
        if lazy and name in ("t2m", NAME, "record"):
            assert made[name].chunks is not None
    same(made.pint.dequantify(format="~cf"), expected)
    assert set(with_units.variables) == set(data.variables)


def test_units_of_an_array_and_of_a_tree(pint_xarray):
    data = record()
    expected = data[NAME].geoml.fill_gaps("kalman", spread=True)
    made = data[NAME].pint.quantify().geoml.fill_gaps("kalman", spread=True)
    assert made.name == NAME
    assert f"{made.pint.units:~cf}" == f"{made[f'{NAME}_spread'].pint.units:~cf}" == "cm"
    assert f"{made.lat.pint.units:~cf}" == "degrees_north"
    np.testing.assert_array_equal(made.pint.dequantify(), expected)
    unnamed = data[NAME].rename(None).pint.quantify().geoml.fill_gaps("linear")
    assert unnamed.name is None
    assert f"{unnamed.pint.units:~cf}" == "cm"
    tree = xr.DataTree.from_dict({"/a": data.pint.quantify(), "/b/c": data}, name="both")
    full = tree.geoml.fill_gaps("linear")
    assert full.name == "both"
    assert f"{full['a'][NAME].pint.units:~cf}" == "cm"
    assert full["b/c"][NAME].attrs["units"] == "cm"
    np.testing.assert_array_equal(full["b/c"][NAME], full["a"][NAME].pint.dequantify())


def test_what_is_told_of_data_with_units(pint_xarray):
    data = record()
    with_units = data.pint.quantify()
    assert with_units.geoml.models() == data.geoml.models()
    assert with_units.geoml.axes == data.geoml.axes
    assert repr(with_units.geoml) == repr(data.geoml)
    assert with_units.geoml.plan(model="linear") == data.geoml.plan(model="linear")
    scores = with_units.geoml.evaluate("fill_gaps", ["linear"], repeats=1, baselines=False)
    assert scores.attrs["units"] == "cm"


def test_covariates_masks_and_grids_with_units(pint_xarray):
    data, weather = record(), datasets.grace_like_drivers(nlat=4, nlon=5)
    drivers = weather.pint.quantify()
    with_units = data.pint.quantify()
    expected = data.geoml.fill_gaps("regression", covariates=[weather.tp, weather.t2m])
    made = with_units.geoml.fill_gaps("regression", covariates=[drivers.tp, drivers.t2m])
    np.testing.assert_allclose(made[NAME].pint.dequantify(), expected[NAME], rtol=1e-6)
    fine = datasets.mountain_temperature(steps=2)
    made = coarse().pint.quantify().geoml.downscale(like=fine.pint.quantify(), model="bilinear")
    same(made.pint.dequantify(format="~cf"), coarse().geoml.downscale(like=fine, model="bilinear"))


def test_units_of_a_quotient_are_converted(pint_xarray):
    waves = pairs()
    nanometres = waves["greens"].pint.quantify().pint.to("nm / s")
    made = invert(waves[["record"]].pint.quantify(), greens=nanometres)
    expected = invert(waves[["record"]], greens=waves["greens"])
    assert made.record.pint.units.dimensionless
    np.testing.assert_allclose(made.record.pint.dequantify(), expected.record, rtol=1e-4)


def test_a_target_in_other_units_is_converted(pint_xarray):
    fine = datasets.mountain_temperature(steps=40)["t2m"]
    data = fine.coarsen(lat=4, lon=4).mean()
    own = data.geoml.fit("delta", target=fine)
    celsius = fine.pint.quantify().pint.to("degC")
    for target in (celsius, celsius.pint.dequantify(format="~cf")):
        other = data.pint.quantify().geoml.fit("delta", target=target)
        made = data.geoml.downscale(model=other)
        np.testing.assert_allclose(made, data.geoml.downscale(model=own), atol=2e-3)
    with pytest.raises(InputError, match=r"'degC'|'°C'.* a target in 'dB'|not turned into"):
        data.geoml.fit("delta", target=fine.assign_attrs(units="dB"))


def test_without_pint_xarray_it_is_told_what_to_type(pint_xarray, monkeypatch):
    with_units = record().pint.quantify()
    monkeypatch.setitem(sys.modules, "pint_xarray", None)
    with pytest.raises(InputError, match="Type: pip install pint-xarray"):
        with_units.geoml.fill_gaps("linear")


# ------------------------------------------------------------------------------------------- trees
@tasks
@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.filterwarnings("ignore:left out")
def test_every_task_takes_trees(task, lazy):
    make, run = TASKS[task]
    data = make().chunk() if lazy else make()
    about = xr.Dataset(attrs={"title": "two"})
    tree = xr.DataTree.from_dict({"/": about, "/a": data, "/b/c": data.isel(**_part(data))})
    made = run(tree)
    assert [node.path for node in made.subtree] == [node.path for node in tree.subtree]
    assert made.attrs == about.attrs
    same(made["a"].to_dataset().load(), run(data))
    same(made["b/c"].to_dataset().load(), run(data.isel(**_part(data))))
    assert tree.geoml.models(task) == data.geoml.models(task)
    given = {"greens": "greens", "dim": "station"} if task == "invert_waveform" else {}
    given |= {"factor": 3} if task == "downscale" else {}
    given |= {"freq": "1h"} if task == "interp_time" else {}
    model = {"fill_gaps": "kalman", "downscale": "bicubic", "invert_waveform": "wiener"}
    plan = {"task": task, "model": model.get(task, "linear"), **given}
    name = "record" if task == "invert_waveform" else None
    assert tree.geoml.plan(variable=name, **plan) == data.geoml.plan(variable=name, **plan)


def _part(data):
    """Return a part of the data along the first dim that is not time, samples or stations."""
    dim = next(d for d in data.dims if d not in ("time", "station", "lag"))
    return {dim: slice(0, 3)}


@pytest.mark.parametrize("task", ["fill_gaps", "downscale", "interp_time"])
def test_coordinates_that_groups_inherit(task):
    make, run = TASKS[task]
    data = make()
    coords = data.coords.to_dataset()
    bare = data.drop_vars(list(data.coords))
    tree = xr.DataTree.from_dict({"/": coords, "/a": bare, "/a/b": bare})
    made = run(tree)
    for path in ("a", "a/b"):
        same(made[path].to_dataset(), run(data))
    assert set(made["a"].to_dataset(inherit=True).coords) == set(data.coords)


def test_an_evaluation_of_a_tree():
    tree = xr.DataTree.from_dict({"/a": record()})
    given = {"repeats": 1, "baselines": False}
    ours = tree.geoml.evaluate("fill_gaps", ["linear"], **given)
    theirs = record().geoml.evaluate("fill_gaps", ["linear"], **given)
    np.testing.assert_array_equal(ours["rmse"], theirs["rmse"])


# ---------------------------------------------------------------------------------------- pictures
@tasks
@pytest.mark.filterwarnings("ignore")
def test_hvplot_draws_every_result(task):
    pytest.importorskip("hvplot.xarray")
    make, run = TASKS[task]
    made = run(make())
    for name in {NAME, "t2m", "record", f"{NAME}_spread", f"{NAME}_fill_flag"} & set(made):
        assert made[name].hvplot() is not None


@tasks
def test_results_have_what_pictures_are_labelled_with(task):
    make, run = TASKS[task]
    made = run(make())
    for name, variable in made.variables.items():
        if name not in ("station",):
            assert {"long_name", "standard_name"} & set(variable.attrs), name
    assert xgeoml.__version__ in made.attrs["history"]
