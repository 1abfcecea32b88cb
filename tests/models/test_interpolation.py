"""Interpolation from a coarse grid to finer points."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xgeoml.models.downscaling import Clock, Placement, Window
from xgeoml.models.interpolation import Bicubic, Bilinear, Conservative, Nearest

SMOOTH = [Bilinear, Bicubic, Conservative]
ALL = [Nearest, *SMOOTH]


def window(value, factor=4, halo=12, placement=None):
    """Return the fields with nothing known around them, to be made `factor` times as fine."""
    rows, columns = value.shape[1:]
    at = placement or Placement.refined(rows, columns, factor)
    around = np.pad(value, ((0, 0), (halo, halo), (halo, halo)), constant_values=np.nan)
    unknown = np.full(len(value), np.nan)
    moved = Placement(at.rows + halo, at.columns + halo, at.factor)
    return Window(around, moved, (0, halo, halo), Clock(unknown, unknown, unknown))


def predict(model, value, factor=4, **options):
    return model().predict(window(value, factor, **options), {})


def means(fine, factor):
    steps, rows, columns = fine.shape
    parts = fine.reshape(steps, rows // factor, factor, columns // factor, factor)
    return parts.mean((2, 4))


def plane(rows, columns):
    return np.stack([3.0 - 2.0 * rows + 0.5 * columns, 300.0 + rows + columns])


def noise(shape, seed=0):
    return np.random.default_rng(seed).normal(280.0, 10.0, shape)


def holes(shape, share=0.3, seed=1):
    return np.random.default_rng(seed).random(shape) < share


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
@pytest.mark.parametrize("model", SMOOTH)
def test_a_plane_comes_back_to_the_edges_of_the_domain(model, factor):
    made = predict(model, plane(*np.mgrid[:6, :9].astype(float)), factor)
    at = Placement.refined(6, 9, factor)
    expected = plane(at.rows[:, None], at.columns)
    np.testing.assert_allclose(made, expected, rtol=0, atol=3e-13)


@pytest.mark.parametrize("model", SMOOTH)
def test_a_plane_comes_back_beside_missing_cells(model):
    value = plane(*np.mgrid[:12, :15].astype(float))
    value[:, 4:7, 5:12] = np.nan
    value[:, :4, :3] = np.nan
    made = predict(model, value)
    at = Placement.refined(12, 15, 4)
    expected = plane(at.rows[:, None], at.columns)
    seen = np.isfinite(value).repeat(4, 1).repeat(4, 2)
    np.testing.assert_allclose(made[seen], expected[seen], rtol=0, atol=3e-13)


@pytest.mark.parametrize("model", ALL)
def test_a_constant_comes_back_from_the_smallest_grids(model):
    for shape in ((1, 1), (1, 7), (7, 1), (2, 2)):
        made = predict(model, np.full((3, *shape), 7.25))
        np.testing.assert_allclose(made, 7.25, rtol=0, atol=1e-14)


@pytest.mark.parametrize("model", ALL)
def test_it_follows_the_units(model):
    value = noise((5, 7, 9))
    value[:, holes((7, 9))] = np.nan
    celsius = predict(model, value - 273.15)
    fahrenheit = predict(model, 1.8 * (value - 273.15) + 32.0)
    np.testing.assert_allclose(fahrenheit, 1.8 * celsius + 32.0, rtol=0, atol=1e-10)


@pytest.mark.parametrize("model", ALL)
def test_directions_are_alike(model):
    value = noise((4, 8, 8))
    value[:, holes((8, 8))] = np.nan
    made = predict(model, value)
    np.testing.assert_allclose(predict(model, value[:, ::-1]), made[:, ::-1], atol=1e-10)
    turned = predict(model, value.transpose(0, 2, 1))
    np.testing.assert_allclose(turned, made.transpose(0, 2, 1), atol=1e-10)


@pytest.mark.parametrize("factor", [2, 3, 5, 8])
def test_the_conservative_one_keeps_the_means(factor):
    value = noise((6, 9, 11))
    np.testing.assert_allclose(means(predict(Conservative, value, factor), factor), value)
    value[:, holes((9, 11))] = np.nan
    value[2, 4] = np.nan
    back = means(predict(Conservative, value, factor), factor)
    seen = np.isfinite(value)
    np.testing.assert_allclose(back[seen], value[seen])


def test_the_conservative_surface_hardly_jumps_between_cells():
    value = noise((20, 12, 12))
    step = np.diff(predict(Conservative, value, 8), axis=2)
    jump = step[..., 7::8] - 0.5 * (step[..., 6:-1:8] + step[..., 8::8])
    differ = np.diff(value, axis=2)
    assert np.sqrt((jump**2).mean()) < 0.05 * np.sqrt((differ**2).mean())


def test_each_is_nearer_to_a_wave_than_the_one_before():
    def wave(rows, columns):
        return np.sin(0.7 * rows)[:, None] * np.cos(0.5 * columns)

    fine = Placement.refined(16, 20, 8)
    truth = wave(fine.rows, fine.columns)[None]
    value = means(truth, 8)
    wrong = [np.abs(predict(model, value, 8) - truth).mean() for model in ALL]
    assert (np.diff(wrong) < -0.2 * np.array(wrong[:-1])).all()


def test_nearest_takes_the_cell_that_a_point_lies_in():
    value = noise((3, 4, 5))
    value[:, 1, 2] = np.nan
    np.testing.assert_array_equal(predict(Nearest, value, 3), value.repeat(3, 1).repeat(3, 2))


def test_nearest_on_the_border_of_cells():
    value = np.array([[[1.0, 2.0, np.nan, 4.0]]])
    at = Placement(np.array([-0.5, 0.0, 0.5]), np.array([-0.5, 0.5, 1.5, 2.5, 3.5]))
    made = predict(Nearest, value, placement=at)
    np.testing.assert_array_equal(made, np.broadcast_to([1.0, 1.0, 2.0, 4.0, 4.0], (1, 3, 5)))


@pytest.mark.parametrize("model", SMOOTH)
def test_missing_cells_do_not_spread(model):
    value = noise((4, 10, 12))
    value[:, holes((10, 12))] = np.nan
    value[1:3] = np.where(holes((2, 10, 12), seed=5), np.nan, value[1:3])
    seen = np.isfinite(value).repeat(4, 1).repeat(4, 2)
    assert np.isfinite(predict(model, value)[seen]).all()


@pytest.mark.parametrize("model", SMOOTH)
def test_nothing_is_said_far_from_what_is_known(model):
    value = np.full((1, 30, 30), np.nan)
    value[:, :3, :3] = noise((1, 3, 3))
    made = predict(model, value)
    assert np.isfinite(made[:, :12, :12]).all()
    assert np.isnan(made[:, 60:]).all()
    assert np.isnan(predict(model, np.full((2, 3, 3), np.nan))).all()


@settings(max_examples=30, deadline=None)
@given(
    st.sampled_from(SMOOTH),
    st.tuples(st.integers(0, 20), st.integers(0, 20)),
    st.tuples(st.integers(1, 6), st.integers(1, 6)),
    st.integers(0, 10**6),
)
def test_only_the_halo_counts(model, corner, size, seed):
    """A tile with its halo gives what the whole domain does."""
    value = noise((2, 26, 26), seed)
    value[holes(value.shape, 0.4, seed)] = np.nan
    halo = model().halo
    whole = window(value, 4, halo)
    made = model().predict(whole, {})
    (y, x), (rows, columns) = corner, size
    cut = whole.value[:, y : y + rows + 2 * halo, x : x + columns + 2 * halo]
    at = Placement.refined(cut.shape[1] - 2 * halo, cut.shape[2] - 2 * halo, 4)
    at = Placement(at.rows + halo, at.columns + halo, 4)
    part = model().predict(Window(cut, at, whole.halo, whole.clock), {})
    same = made[:, 4 * y : 4 * (y + rows), 4 * x : 4 * (x + columns)]
    np.testing.assert_allclose(part, same, rtol=0, atol=1e-9)


@pytest.mark.parametrize("model", ALL)
def test_a_step_does_not_depend_on_those_that_come_along(model):
    value = noise((9, 6, 8))
    value[4:, holes((6, 8))] = np.nan
    made = predict(model, value)
    for steps in (slice(0, 1), slice(3, 6), slice(4, 9)):
        np.testing.assert_array_equal(predict(model, value[steps]), made[steps])


@pytest.mark.parametrize("model", ALL)
def test_points_anywhere_get_what_rows_and_columns_give(model):
    value = noise((3, 9, 10))
    value[:, 5:7, 2:4] = np.nan
    random = np.random.default_rng(3)
    rows, columns = random.uniform(-0.5, 8.5, 17), random.uniform(-0.5, 9.5, 23)
    lines = predict(model, value, placement=Placement(rows, columns))
    both = np.meshgrid(rows, columns, indexing="ij")
    np.testing.assert_allclose(
        predict(model, value, placement=Placement(*both)), lines, rtol=0, atol=1e-10
    )


@pytest.mark.parametrize("model", ALL)
def test_points_beyond_the_domain_get_nothing(model):
    at = Placement(np.array([1.0, 40.0]), np.array([-30.0, 2.0]))
    made = predict(model, noise((2, 5, 5)), placement=at)
    assert np.isfinite(made[:, 0, 1]).all()
    assert np.isnan(made[:, 1]).all()
    assert np.isnan(made[:, :, 0]).all()


def test_surroundings_in_time_are_left_out():
    value = noise((5, 4, 4))
    given_steps = window(value)
    around = Window(given_steps.value, given_steps.placement, (1, 12, 12), given_steps.clock)
    for model in ALL:
        np.testing.assert_array_equal(model().predict(around, {}), predict(model, value)[1:4])
