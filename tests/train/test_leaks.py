"""Nothing set aside teaches a network, and nothing hidden reaches its input."""

from dataclasses import replace

import numpy as np
import pytest
from toy_training import DRIVEN, FIELD, SERIES, cycles, fields, fit, last_state, same

from xgeoml.spec import AxisSpec, Channel
from xgeoml.tasks.choose import make_handle
from xgeoml.train import fields as fields_module
from xgeoml.train.fields import scale_of
from xgeoml.train.patterns import Ingredients

CORRECTED = SERIES.replace(
    name="toy_corrected",
    inputs=(*SERIES.inputs, Channel("estimate", "kalman"), Channel("spread", "kalman")),
    outputs=("residual",),
    options={"channels": 4},
)
CUBES = FIELD.replace(name="toy_cubes", axes=(AxisSpec("Y", "window", 8, 4), AxisSpec("T")))


def ingredients(spec):
    bases = make_handle(spec, "fill_gaps", None, 0).series_models(drivers=False)
    return Ingredients(spec.inputs, bases, scale=spec.scale)


def spoil(record, kept):
    """Return the record with other values wherever it is kept for validation."""
    dims = ("lat", "lon", "time") if "lat" in record.dims else ("time",)
    values = record.transpose(*dims).values.copy()
    values[..., kept.apart] = 37.5 - 2.0 * values[..., kept.apart] ** 2
    if getattr(kept, "aside", None) is not None:
        values[kept.aside] *= -3.0
    return record.copy(data=record.transpose(*dims).copy(data=values).transpose(*record.dims).data)


def equal(one, other):
    arrays = ("x", "truth", "area", "deviation")
    return all(getattr(one, a).tobytes() == getattr(other, a).tobytes() for a in arrays)


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("spec", [SERIES, CORRECTED], ids=lambda s: s.name)
def test_what_is_set_aside_is_in_no_training_pattern(spec, lazy, monkeypatch):
    record = cycles(20, 20, steps=100)
    if lazy:
        monkeypatch.setattr(fields_module, "IN_MEMORY", 1000)
        record = record.chunk({"lat": 10, "lon": 5})
    (before,) = fields(record, spec)
    assert before.aside.any()
    assert before.in_memory is not lazy
    (after,) = fields(spoil(record.compute(), before).chunk(record.chunksizes), spec)
    assert np.array_equal(before.apart, after.apart)
    assert np.array_equal(before.target & ~before.apart, after.target & ~after.apart)
    for k in range(4):
        one, other = (
            f.training_pattern(40, np.random.default_rng(k), ingredients(spec))
            for f in (before, after)
        )
        assert one.n_wanted
        assert equal(one, other)
    assert scale_of([before]) == scale_of([after])


@pytest.mark.parametrize("spec", [FIELD, CUBES], ids=lambda s: s.name)
def test_what_is_set_aside_is_in_no_window(spec):
    record = cycles(20, 20, steps=60)
    (before,) = fields(record, spec)
    (after,) = fields(spoil(record, before), spec)
    for k in range(3):
        one, other = (
            f.training_pattern(20, np.random.default_rng(k), ingredients(spec))
            for f in (before, after)
        )
        assert one.n_wanted
        assert equal(one, other)
    assert scale_of([before]) == scale_of([after])


@pytest.mark.filterwarnings("ignore:training did not lower")
@pytest.mark.parametrize("spec", [SERIES, FIELD], ids=lambda s: s.name)
def test_what_is_set_aside_changes_no_bit_of_the_network(spec, tmp_path):
    record = cycles(20, 20, steps=48)
    (kept,) = fields(record, spec)
    one, other = tmp_path / "one", tmp_path / "other"
    first = fit(record, spec, logdir=one)
    second = fit(spoil(record, kept), spec, logdir=other)
    assert same(last_state(one), last_state(other))
    losses = [[row["train_loss"] for row in m.history[1:]] for m in (first, second)]
    assert losses[0] == losses[1]
    assert first.history[1]["val_loss"] != second.history[1]["val_loss"]


def test_a_wild_step_set_aside_leaves_the_others_alone():
    record = cycles(20, 20, steps=100)
    (before,) = fields(record)
    wild = np.flatnonzero(before.apart)[2]
    spoilt = record.copy()
    spoilt[wild] += 500.0
    (after,) = fields(spoilt)
    assert not after.target[wild]
    assert np.array_equal(np.delete(before.target, wild), np.delete(after.target, wild))
    wild = np.flatnonzero(~before.apart)[30]
    spoilt = record.copy()
    spoilt[wild] += 500.0
    assert not fields(spoilt)[0].target[wild]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("spec", [SERIES, CORRECTED], ids=lambda s: s.name)
def test_hidden_values_do_not_reach_the_input(spec, training):
    (field,) = fields(cycles(5, 5, steps=100), spec)

    def draw(of):
        if training:
            return of.training_pattern(10, np.random.default_rng(1), ingredients(spec))
        return of.validation_pattern(0, 10, ingredients(spec))

    pattern = draw(field)
    hidden = np.isfinite(pattern.truth).any(0)
    assert hidden.any()
    assert len(hidden) == 100
    assert not pattern.x[:, :2][..., hidden].any()
    other = draw(replace(field, arrays=[np.where(hidden, 50.0 - field.arrays[0], field.arrays[0])]))
    assert np.array_equal(pattern.x, other.x)
    assert not np.array_equal(pattern.truth[:, hidden], other.truth[:, hidden])


def test_validation_hides_one_block_and_sees_the_rest():
    (field,) = fields(cycles(4, 4, steps=100))
    for k, block in enumerate(field.blocks):
        whole = field.validation_pattern(2 * k, 50, ingredients(SERIES))
        assert np.array_equal(np.isfinite(whole.truth).all(0), block)
        assert np.array_equal(whole.x[:, 1].any(0), ~block)
        single = np.isfinite(field.validation_pattern(2 * k + 1, 50, ingredients(SERIES)).truth)
        single = single.any(0)
        assert single.any()
        assert (single & ~block).sum() == 0
        assert not (single[1:] & single[:-1]).any()


def test_validation_is_on_the_cells_set_aside():
    record = cycles(20, 20, steps=60)
    record[:] = np.arange(400).reshape(20, 20) + record * 1e-3
    (field,) = fields(record)
    pattern = field.validation_pattern(0, 500, ingredients(SERIES))
    assert len(pattern) == field.aside.sum()
    assert 0 < field.aside.sum() < 120


def test_drivers_keep_their_places_and_their_scale():
    record = cycles(3, steps=100)
    # So far apart in size that none can be taken for the other.
    rain, heat = (record.rename(n) * f + s for n, f, s in [("p", 2, 50), ("t", 0.1, 1e4)])
    spec = DRIVEN.replace(scaling="training")
    (field,) = fields(record, spec, covariates=[rain, heat])
    scale = scale_of([field])
    assert scale.mean[1] == pytest.approx(50, abs=5)
    assert scale.mean[2] == pytest.approx(1e4, abs=5)
    made = [
        field.training_pattern(3, np.random.default_rng(k), ingredients(spec.replace(scale=scale)))
        for k in range(20)
    ]
    used = np.array([[p.x[:, c].any() for c in (2, 3)] for p in made])
    assert {tuple(u) for u in used.tolist()} == {
        (True, True),
        (True, False),
        (False, True),
        (False, False),
    }
    for pattern, each in zip(made, used, strict=True):
        assert pattern.x.shape[1] == 4
        assert np.abs(pattern.x[:, 2:]).max() < 10
        assert (np.abs(pattern.x[:, 2:]).max((0, 2)) > 0.5)[each].all()


def test_dropped_drivers_are_unknown_to_the_base_models():
    record = cycles(3, steps=100)
    rain = record.rename("p") + 1.0
    spec = CORRECTED.replace(
        inputs=(*CORRECTED.inputs, Channel("covariates")), covariates=True, options={"channels": 5}
    )
    (with_rain,) = fields(record, spec, covariates=[rain])
    (without,) = fields(record, CORRECTED)
    bases = make_handle("kalman", "fill_gaps", None, 0).series_models(drivers=True)
    assert set(bases) == set(spec.bases)
    dropped = [
        p
        for k in range(12)
        for p in [
            with_rain.training_pattern(3, np.random.default_rng(k), Ingredients(spec.inputs, bases))
        ]
        if not p.x[:, 4].any()
    ]
    assert dropped
    alone = Ingredients(CORRECTED.inputs, bases)
    hidden = np.isfinite(dropped[0].truth)
    assert hidden.any()
    assert without.training_pattern(3, np.random.default_rng(0), alone).x.shape[1] == 4
    # The kalman smoother with rain would be all but exact: rain is the record itself.
    errors = [np.nanstd(p.truth - p.x[:, 2]) for p in dropped]
    assert min(errors) > 0.01
