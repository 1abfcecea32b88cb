"""A model that was fitted to values in some units is given no others."""

import importlib.util

import bad_refiners
import numpy as np
import pytest
import toy_training
from toy_in_time import LEARNER, interp, record

from xgeoml.exceptions import InputError
from xgeoml.spec import ModelSpec
from xgeoml.testing import finer

OTHER = "and model .* was fitted to values in 'cm'; expected the same: convert them"


def in_units(array, units):
    return array.assign_attrs(units=units)


@pytest.fixture(scope="module")
def months():
    return toy_training.cycles(4)


@pytest.fixture(scope="module")
def driven(months):
    """Return a network with scales of its own, trained with rain in millimetres."""
    rain = in_units(months.rename("rain") * 10.0, "mm")
    model = toy_training.DRIVEN.replace(options={"channels": 3})
    own = toy_training.fit(months, model, scaling="training", covariates=[rain])
    return own, rain


def test_networks_with_a_scale_of_their_own(months, driven):
    own, rain = driven
    assert own.spec.units == ("cm", "mm")
    months.geoml.fill_gaps(own, covariates=[rain])
    with pytest.raises(InputError, match=f"variable 'tws' is in 'm', {OTHER}"):
        in_units(months / 100, "m").geoml.fill_gaps(own, covariates=[rain])
    with pytest.raises(InputError, match=r"covariate 'rain' is in 'm', .* values in 'mm'"):
        months.geoml.fill_gaps(own, covariates=[in_units(rain / 1000, "m")])
    with pytest.raises(InputError, match="is in 'm'"):
        in_units(months / 100, "m").geoml.plan("fill_gaps", own, covariates=[rain])
    with pytest.raises(InputError, match="is in 'm'"):
        toy_training.fit(in_units(months, "m"), own, covariates=[rain])


def test_units_that_are_not_told_are_not_known(months, driven):
    own, rain = driven
    expected = months.geoml.fill_gaps(own, covariates=[rain])
    made = months.drop_attrs().geoml.fill_gaps(own, covariates=[rain.drop_attrs()])
    np.testing.assert_array_equal(made, expected)
    bare = toy_training.fit(months.drop_attrs(), scaling="training")
    assert bare.spec.units == ()
    months.geoml.fill_gaps(bare)


def test_networks_that_scale_each_series_serve_any_units(months):
    own = toy_training.fit(months)
    assert own.spec.units == ()
    in_units(months / 100, "m").geoml.fill_gaps(own)


def test_one_scale_is_for_one_unit(months):
    both = months.to_dataset().assign(other=in_units(months, "m"))
    with pytest.raises(InputError, match=f"variable 'other' is in 'm', {OTHER}"):
        toy_training.fit(both, scaling="training")


def test_models_fitted_on_pairs():
    coarse, fine = finer.pairs()
    model = bad_refiners.learner(bad_refiners.Learner, name="quick")
    coarse, fine = (in_units(a[:20], "cm") for a in (coarse, fine))
    own = coarse.geoml.fit(model, target=fine, validation=0)
    coarse.geoml.downscale(model=own)
    with pytest.raises(InputError, match=f"is in 'K', {OTHER}"):
        in_units(coarse, "K").geoml.downscale(model=own)


def test_models_fitted_to_a_record():
    data = record(40, "1h", units="cm")
    own = data.geoml.fit(LEARNER, progress=False)
    interp(data, "30min", own)
    with pytest.raises(InputError, match=f"is in 'm', {OTHER}"):
        interp(in_units(data, "m"), "30min", own)


@pytest.mark.skipif(importlib.util.find_spec("pint") is None, reason="pint tells what is the same")
def test_units_may_be_spelt_in_another_way(months, driven):
    own, rain = driven
    for cm, mm in (("centimetre", "mm"), ("cm", "kg"), (" cm ", "millimeter")):
        given = in_units(months, cm), in_units(rain, mm)
        if mm == "kg":
            with pytest.raises(InputError, match="covariate 'rain' is in 'kg'"):
                given[0].geoml.fill_gaps(own, covariates=[given[1]])
        else:
            given[0].geoml.fill_gaps(own, covariates=[given[1]])


def test_without_pint_only_the_same_text_is_the_same(months, driven, monkeypatch):
    own, rain = driven
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *a: None if name == "pint" else find(name, *a)
    )
    with pytest.raises(InputError, match="is in 'centimetre'"):
        in_units(months, "centimetre").geoml.fill_gaps(own, covariates=[rain])


def test_the_file_says_it(driven):
    spec = driven[0].spec
    assert ModelSpec.from_json(spec.to_json()).units == ("cm", "mm")
