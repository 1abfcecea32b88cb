"""What `fit` makes of its arguments, and what the models that it made ask for."""

import numpy as np
import pytest
from toy_training import DRIVEN, DROPPING, cycles, fit, same, weights

from xgeoml.exceptions import InputError, SpecError
from xgeoml.tasks import fit_settings


@pytest.fixture(scope="module")
def record():
    """Return six years of monthly cycles, with a gap."""
    made = cycles(3, 4)
    made[20:23] = np.nan
    return made


def test_covariates_are_bound_by_their_names(record):
    rain = (0.1 * record**2).rename("rain")
    warmth = (record.shift(time=3).fillna(0.0) + 280.0).rename("warmth")
    own = fit(record, DRIVEN, covariates=[rain, warmth], steps=20)
    assert own.spec.covariate_names == ("rain", "warmth")
    full = record.geoml.fill_gaps(own, covariates=[rain, warmth], progress=False)
    other = record.geoml.fill_gaps(own, covariates=[warmth, rain], progress=False)
    assert other.values.tobytes() == full.values.tobytes()
    for given in (None, [rain], [rain, warmth.rename("heat")]):
        with pytest.raises(SpecError, match=r"trained with \['rain', 'warmth'\], found"):
            record.geoml.fill_gaps(own, covariates=given, progress=False)
    with pytest.raises(SpecError, match="needs its own covariates"):
        record.geoml.plan(model=own, covariates=[rain])
    with pytest.raises(SpecError, match="needs its own covariates"):
        fit(record, own, covariates=[rain])
    both = ([rain, warmth], [warmth, rain])
    ours, theirs = (fit(record, own, covariates=c, validation=0) for c in both)
    assert not same(weights(ours.path), weights(own.path))
    assert theirs.spec.covariate_names == ("rain", "warmth")
    assert same(weights(ours.path), weights(theirs.path))


@pytest.mark.parametrize(("given", "seconds"), [("90", 90.0), (" 5 ", 5.0), ("2min", 120.0)])
def test_a_text_without_a_unit_means_seconds(given, seconds):
    assert fit_settings.seconds(given) == seconds


@pytest.mark.parametrize("given", ["NaT", "nan", "soon"])
def test_a_text_that_is_no_time_is_refused(given):
    with pytest.raises(InputError, match="max_time"):
        fit_settings.seconds(given)


def test_a_folder_that_cannot_be_made_is_told(record, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be made"):
        fit(record, logdir=tmp_path / "file")


def test_the_recipe_in_the_card_names_every_argument(record):
    recipe = fit(record, clip=0.5, warm_up=2, schedule="constant").card.recipe
    for said in ("clip=0.5", "warm_up=2", "schedule='constant'", "steps=3", "patterns=3"):
        assert said in recipe


def test_a_record_without_neighbouring_steps_is_filled(record):
    other = record.where(np.arange(record.sizes["time"])[:, None, None] % 2 == 0)
    full = other.geoml.fill_gaps("kalman", progress=False)
    assert np.isfinite(full).all()


def test_weights_of_a_network_with_other_options_are_refused(record):
    own = fit(record, DROPPING, validation=0)
    other = DROPPING.replace(options={"width": 5})
    with pytest.raises(InputError, match="options differ"):
        fit(record, other, start=own)


def test_values_whose_squares_single_precision_does_not_hold(record):
    own = fit((record * 1e36).astype(np.float32), max_epochs=1, validation=0.3)
    assert own.card is not None


def coarse_and_fine(steps=12):
    fine = cycles(6, 6, steps=steps)
    return fine.coarsen(lat=2, lon=2).mean(), fine


def test_pairs_of_one_step_whose_time_is_no_axis():
    coarse, fine = (f.isel(time=3) for f in coarse_and_fine())
    stamps = ("lat", np.repeat(coarse.time.values, coarse.sizes["lat"]))
    with pytest.raises(InputError, match="at 1 of 1 steps both"):
        coarse.drop_vars("time").assign_coords(time=stamps).geoml.fit("delta", target=fine)


def test_pairs_without_steps():
    coarse, fine = coarse_and_fine()
    with pytest.raises(InputError, match="the data have 0 steps, the target 12"):
        coarse[:0].geoml.fit("delta", target=fine)


def test_pairs_with_what_stands_for_missing():
    coarse, fine = coarse_and_fine()
    fine[3, 1, 1] = 9.97e36
    with pytest.raises(InputError, match=r"'tws' holds 9.97e\+36.*what stands for missing"):
        coarse.geoml.fit("delta", target=fine)


def test_pairs_of_which_never_both_have_a_value():
    coarse, fine = coarse_and_fine()
    coarse[:6], fine[6:] = np.nan, np.nan
    with pytest.raises(InputError, match="at 0 of 12 steps both"):
        coarse.geoml.fit("delta", target=fine)
