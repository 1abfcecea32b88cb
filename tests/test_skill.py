"""Does a model earn its place? Errors at hidden steps, beside those of simpler models."""

import numpy as np
import pytest
import torch
import xarray as xr
from safetensors.torch import load_file, save_file

import xgeoml
from xgeoml.registry import get_model
from xgeoml.train.masks import hide_singles
from xgeoml.weights.store import find

LONG = 11


def hide(truth, seed):
    """Return the record without eleven observed steps in a row and six single ones."""
    random = np.random.default_rng(seed)
    observed = truth.notnull().any([d for d in truth.dims if d != "time"]).values
    steps = np.flatnonzero(observed)
    start = random.integers(len(steps) // 4, 3 * len(steps) // 4 - LONG)
    hidden = np.zeros(len(observed), dtype=bool)
    hidden[steps[start : start + LONG]] = True
    hidden |= hide_singles(observed & ~hidden, random, 6)
    hidden = xr.DataArray(hidden, dims="time")
    return truth.where(~hidden), hidden


def error(truth, blind, hidden, model, covariates=None):
    """Return the root mean square error at the hidden steps, weighted by area."""
    filled = xgeoml.fill_gaps(blind, model, covariates=covariates, progress=False)
    wrong = (filled.sel(time=truth.time) - truth).where(hidden) ** 2
    if "lat" in truth.dims:
        wrong = wrong.weighted(np.cos(np.deg2rad(truth.lat)))
    return float(np.sqrt(wrong.mean()))


@pytest.fixture(scope="module")
def synthetic():
    truth = xgeoml.datasets.grace_like().lwe_thickness
    return truth, *hide(truth, 0)


def test_shipped_network_is_no_worse_than_what_it_corrects(synthetic):
    kalman, network = (error(*synthetic, model) for model in ("kalman", "grace_tf"))
    # It has never seen records like this one.
    assert network < 1.05 * kalman


def test_a_network_that_has_learnt_nothing_is_found_out(synthetic, tmp_path):
    spec = get_model("grace_tf")
    weights = load_file(find(spec.weights))
    torch.manual_seed(0)
    weights["head.weight"] = torch.randn_like(weights["head.weight"])
    path = tmp_path / "random.safetensors"
    save_file(weights, path, {"spec": spec.replace(weights=None).to_json()})
    assert error(*synthetic, path) > 1.1 * error(*synthetic, "kalman")


def test_drivers_tell_what_the_record_cannot(synthetic):
    corner = {"lat": slice(6), "lon": slice(8)}
    truth, blind, hidden = (a.isel(corner, missing_dims="ignore") for a in synthetic)
    drivers = list(xgeoml.datasets.grace_like_drivers().isel(corner).data_vars.values())
    for model in ("kalman", "regression", "grace_tf"):
        without = error(truth, blind, hidden, model)
        assert error(truth, blind, hidden, model, drivers) < 0.9 * without


@pytest.mark.realdata
def test_skill_on_sea_surface_temperature(data_path):
    with xr.open_dataset(data_path / "sst" / "sst_pacific_197001-200303_2deg.nc") as ds:
        truth = ds.ssta.isel(time=slice(0, 299)).load()  # before the last quarter
    runs = [(truth, *hide(truth, seed)) for seed in (0, 1, 2)]
    kalman, linear = (
        np.mean([error(*run, model) for run in runs]) for model in ("kalman", "linear")
    )
    assert kalman < 0.93 * linear


@pytest.mark.realdata
@pytest.mark.parametrize("model", ["kalman", "regression", "grace_tf"])
def test_skill_of_drivers_on_water_storage(data_path, model):
    with xr.open_dataset(data_path / "grace" / "grace_era5_southern_brazil_1deg_train.nc") as ds:
        ds = ds.load()
    truth = ds.lwe_thickness
    runs = [(truth, *hide(truth, seed)) for seed in (100, 101)]
    with_drivers = np.mean([error(*run, model, [ds.tp, ds.t2m]) for run in runs])
    assert with_drivers < 0.9 * np.mean([error(*run, model) for run in runs])
    assert with_drivers < 0.8 * np.mean([error(*run, "climatology") for run in runs])
