"""Motion between fields, and fields made from it."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Place, Stretch
from xgeoml.models.optical_flow import OpticalFlow, flow_between, warp
from xgeoml.models.splines import Linear

SHAPE = (72, 80)


def stretch(value, wanted, days=None, around=False):
    """Return fields, (step, y, x) or (component, step, y, x), at days 0, 1, 2, ..."""
    value = value if value.ndim == 4 else value[None]
    days = np.arange(value.shape[1], dtype=float) if days is None else np.asarray(days, float)
    wanted = np.asarray(wanted, float)
    clocks = [Clock(*np.full((3, n), np.nan)) for n in (len(days), len(wanted))]
    return Stretch(value, days, wanted, *clocks, Place(around=around))


def predict(value, wanted, **options):
    return OpticalFlow().predict(stretch(value, wanted, **options), {})


def linear(value, wanted, **options):
    return Linear().predict(stretch(value, wanted, **options), {})


def texture(seed=0, size=400, width=4.0):
    """Return waves of all directions, deviation 1, far larger than the fields cut from them."""
    made = ndimage.gaussian_filter(
        np.random.default_rng(seed).standard_normal((size, size)), width, mode="wrap"
    )
    return made / made.std()


def moving(velocity, times, shape=SHAPE, rain=False, seed=0):
    """Return pieces of a texture that passes by, (step, y, x); as rain most of it is 0."""
    whole = texture(seed)
    y, x = np.indices(shape) + 150.0
    made = np.stack(
        [
            ndimage.map_coordinates(
                whole, (y - t * velocity[0], x - t * velocity[1]), order=3, mode="grid-wrap"
            )
            for t in times
        ]
    )
    return np.maximum(np.exp(made) - 2.0, 0.0) if rain else made


def ring(steps, columns=96, rows=40, speed=5.0, seed=2):
    """Return a field that goes around the Earth, (step, y, x)."""
    noise = np.random.default_rng(seed).standard_normal((rows, columns))
    waves = ndimage.gaussian_filter(noise, 3.0, mode=("nearest", "wrap"))
    rolled = [ndimage.shift(waves, (0, speed * t), order=3, mode="grid-wrap") for t in steps]
    return np.stack(rolled) / waves.std()


def error(made, right, margin=0):
    cut = slice(margin, -margin or None)
    return float(np.sqrt(((made - right)[..., cut, cut] ** 2).mean()))


@pytest.mark.parametrize("velocity", [(0.0, 0.0), (3.0, -5.0), (-1.4, 2.3), (12.0, 9.0)])
@pytest.mark.parametrize("rain", [False, True])
def test_motion_of_what_passes_is_found(velocity, rain):
    first, second = moving(velocity, (0.0, 1.0), rain=rain)
    flow = flow_between(first, second)
    found = np.median(flow[:, 16:-16, 16:-16], axis=(1, 2))
    np.testing.assert_allclose(found, velocity, atol=0.15)


def test_far_motion_is_found_with_the_steps_around():
    velocity = (-6.0, 19.0)
    before, first, second, after = moving(velocity, (-1, 0, 1, 2), shape=(128, 128), rain=True)
    flow = flow_between(first, second, 0.5, before=before, after=after)
    found = np.median(flow[:, 24:-24, 24:-24], axis=(1, 2))
    np.testing.assert_allclose(found, velocity, atol=0.15)


def test_motion_differs_from_place_to_place():
    whole = texture(3)[:96, :96]
    y, x = np.indices(whole.shape, dtype=float)
    turn = 0.06
    dy, dx = turn * (x - 47.5), -turn * (y - 47.5)
    first = ndimage.map_coordinates(whole, (y + dy / 2, x + dx / 2), order=3, mode="nearest")
    second = ndimage.map_coordinates(whole, (y - dy / 2, x - dx / 2), order=3, mode="nearest")
    flow = flow_between(first, second, 0.5)
    assert error(flow, np.stack([dy, dx]), margin=16) < 0.3


def test_both_ways_are_opposite_and_lead_to_the_other_field():
    first, second = moving((4.0, -3.0), (0.0, 1.0))
    there, back = flow_between(first, second), flow_between(second, first)
    assert error(there, -back, margin=16) < 0.1
    assert error(warp(second, there), first, margin=16) < 0.1
    assert error(warp(first, back), second, margin=16) < 0.1
    late = flow_between(first, second, at=1.0)
    assert error(warp(first, -late), second, margin=16) < 0.1


def test_two_components_have_one_motion():
    both = np.stack([moving((2.0, 3.0), (0.0, 1.0), seed=s) for s in (0, 1)])
    flow = flow_between(both[:, 0], both[:, 1])
    found = np.median(flow[:, 16:-16, 16:-16], axis=(1, 2))
    np.testing.assert_allclose(found, (2.0, 3.0), atol=0.1)


def test_warp_by_nothing_returns_the_field_with_its_gaps():
    field = texture()[:20, :30].copy()
    field[3:7, 4:9] = np.nan
    np.testing.assert_array_equal(warp(field, np.zeros((2, 20, 30))), field)


def test_warp_takes_the_value_that_the_flow_points_to():
    field = np.arange(60.0).reshape(6, 10)
    flow = np.zeros((2, 6, 10))
    flow[0], flow[1] = 1.0, 2.5
    made = warp(field, flow)
    np.testing.assert_allclose(made[:5, :7], field[1:, 2:9] + 0.5)
    np.testing.assert_allclose(made[5, :7], field[5, 2:9] + 0.5)
    np.testing.assert_allclose(made[:5, 9], field[1:, 9])
    around = warp(np.stack([field, field]), flow, around=True)
    np.testing.assert_allclose(around[:, :5, 8], np.broadcast_to(field[1:, [0, 1]].mean(1), (2, 5)))


def test_warp_has_nothing_where_less_than_half_is_known():
    field = np.ones((4, 8))
    field[:, 4] = np.nan
    made = warp(field, np.stack([np.zeros((4, 8)), np.full((4, 8), 0.4)]))
    np.testing.assert_array_equal(np.isnan(made[0]), np.arange(8) == 4)
    np.testing.assert_array_equal(made[0, [3, 5]], 1.0)


@pytest.mark.parametrize("rain", [False, True])
def test_moving_fields_are_much_better_than_linear(rain):
    value = moving((3.0, -6.0), (0, 1, 2, 3), rain=rain)
    wanted = [0.25, 0.5, 1.5, 1.75, 2.4]
    right = moving((3.0, -6.0), wanted, rain=rain)
    assert error(predict(value, wanted)[0], right) < 0.35 * error(linear(value, wanted)[0], right)


def test_rain_does_not_fall_below_nothing():
    value = moving((3.0, -6.0), (0, 1, 2), rain=True)
    made = predict(value, [0.3, 1.5])
    assert made.min() >= 0.0
    assert made.max() <= value.max()


def test_unequal_steps():
    days = [0.0, 1.0, 3.0, 4.5]
    value, wanted = moving((2.0, 3.0), days), [0.5, 2.0, 2.5, 4.0]
    right = moving((2.0, 3.0), wanted)
    made, line = (f(value, wanted, days=days)[0] for f in (predict, linear))
    assert error(made, right) < 0.4 * error(line, right)


def test_two_steps_are_enough():
    value, right = moving((3.0, -5.0), (0, 1)), moving((3.0, -5.0), [0.5])
    assert error(predict(value, [0.5])[0], right) < 0.5 * error(linear(value, [0.5])[0], right)


def test_steps_further_away_change_nothing():
    value = moving((3.0, -5.0), range(6))
    other = value.copy()
    other[[0, 5]] = 7.0 - other[[0, 5]]
    np.testing.assert_array_equal(predict(other, [2.5]), predict(value, [2.5]))


def test_what_does_not_change_comes_back():
    np.testing.assert_allclose(predict(np.full((4, 20, 30), 3.7), [0.5, 2.5]), 3.7, rtol=1e-12)
    still = np.repeat(texture()[None, :60, :60], 4, axis=0)
    np.testing.assert_allclose(predict(still, [0.5, 1.3])[0], still[:2], atol=5e-3)


def test_what_does_not_move_is_left_to_linear_interpolation():
    """Fields without motion: one that swings in place, and steps that have nothing in common."""
    random = np.random.default_rng(0)
    turn = np.cos(0.8 * np.arange(9))[:, None, None]
    swing = texture()[:64, :64] * turn + texture(5)[:64, :64]
    noise = ndimage.gaussian_filter(random.standard_normal((9, 64, 64)), (0, 3, 3))
    for value in (swing, noise):
        known, hidden, wanted = value[::2], value[1::2], [0.5, 1.5, 2.5, 3.5]
        usual = error(linear(known, wanted)[0], hidden)
        assert error(predict(known, wanted)[0], hidden) < 1.02 * usual


@pytest.mark.parametrize("rain", [False, True])
def test_units(rain):
    value = moving((3.0, -5.0), range(4), rain=rain)
    plain = predict(value, [0.5, 1.25])
    for a, b in ((0.01, -3.0), (1000.0, 0.0), (1.0, 273.15)):
        made = predict(a * value + b, [0.5, 1.25])
        np.testing.assert_allclose(made, a * plain + b, rtol=0, atol=1e-6 * a * value.std())


@pytest.mark.parametrize("axis", [-2, -1])
@pytest.mark.parametrize("shape", [(57, 64), (64, 71)])
def test_a_mirrored_field_has_the_mirrored_result(axis, shape):
    value = moving((3.0, -5.0), range(4), shape=shape, rain=True)
    made = predict(np.flip(value, axis), [0.5, 1.25])
    expected = np.flip(predict(value, [0.5, 1.25]), axis)
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-6 * value.std())


def test_a_mirrored_wind_has_the_mirrored_result():
    both = np.stack([moving((2.0, 3.0), range(3), seed=s) for s in (0, 1)])
    sign = np.array([-1.0, 1.0])[:, None, None, None]
    made = predict(sign * both[..., ::-1], [0.5, 1.25])
    expected = sign * predict(both, [0.5, 1.25])[..., ::-1]
    np.testing.assert_allclose(made, expected, rtol=0, atol=1e-6)


def test_time_backwards_has_the_same_result():
    value = moving((3.0, -5.0), range(4), rain=True)
    made = predict(value[::-1], [1.25, 2.5])[:, ::-1]
    np.testing.assert_allclose(made, predict(value, [0.5, 1.75]), rtol=0, atol=1e-6)


def test_around_the_earth_there_is_no_edge():
    wanted = [0.5, 1.5]
    value, right = ring(range(3)), ring(wanted)
    made = predict(value, wanted, around=True)
    assert error(made[0], right) < 0.2 * error(linear(value, wanted)[0], right)
    rolled = predict(np.roll(value, 7, axis=-1), wanted, around=True)
    np.testing.assert_allclose(rolled, np.roll(made, 7, axis=-1), rtol=0, atol=1e-6)


def test_a_missing_field_is_bridged_along_the_motion():
    value = moving((2.0, -3.0), range(4))
    right = moving((2.0, -3.0), [0.5, 1.5])
    value[1] = np.nan
    made = predict(value, [0.5, 1.5])[0]
    assert error(made, right) < 0.4 * error(linear(value, [0.5, 1.5])[0], right)


def test_missing_cells():
    value = moving((3.0, -5.0), range(5), rain=True)
    value[:, :10, :20] = np.nan
    value[2, 40:50, 40:60] = np.nan
    value[3:, 60:, 60:] = np.nan
    wanted = [1.5, 2.5]
    made, line = predict(value, wanted), linear(value, wanted)
    np.testing.assert_array_equal(np.isnan(made), np.isnan(line))
    whole, right = moving((3.0, -5.0), range(5), rain=True), moving((3.0, -5.0), wanted, rain=True)
    there = np.isfinite(made[0])
    off, usual = ((f[0] - right)[there].std() for f in (made, line))
    assert off < 0.6 * usual
    # Far from all gaps nothing changes much.
    near = predict(whole, wanted)[..., 20:34, 20:34]
    assert error(made[..., 20:34, 20:34], near) < 0.1 * whole.std()


def test_vectors_lack_both_components_where_one_is_missing():
    both = np.stack([moving((2.0, 3.0), range(3), seed=s) for s in (0, 1)])
    both[0, :, 30:40, 30:40] = np.nan
    made = predict(both, [0.5])
    assert np.isnan(made[0, 0, 30:40, 30:40]).all()
    np.testing.assert_array_equal(np.isnan(made), np.isnan(linear(both, [0.5])))


def test_nothing_comes_of_nothing():
    assert np.isnan(predict(np.full((3, 20, 20), np.nan), [0.5])).all()
    one = np.full((3, 20, 20), np.nan)
    one[1] = 1.0
    assert np.isnan(predict(one, [0.5, 1.5])).all()
    assert predict(np.ones((3, 20, 20)), []).shape == (1, 0, 20, 20)


@pytest.mark.parametrize("shape", [(1, 1), (5, 40), (40, 7)])
def test_small_grids_are_interpolated_linearly(shape):
    value = np.random.default_rng(0).standard_normal((4, *shape))
    np.testing.assert_array_equal(predict(value, [0.5, 2.25]), linear(value, [0.5, 2.25]))


def test_its_parts_are_the_steps_moved_to_the_time():
    value = moving((1.0, -2.0), range(6))
    made = stretch(value, [2.0 + 1e-9, 2.5])
    model = OpticalFlow()
    mixed, early, late = model.parts(made)
    np.testing.assert_array_equal(mixed, model.predict(made, {}))
    inner = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(early[0, 0], value[2], atol=1e-6)
    for part in (early, late):
        truth = moving((1.0, -2.0), [2.5])[0][inner]
        assert np.abs(part[0, 1][inner] - truth).max() < 0.1 * truth.std()


def test_without_motion_its_parts_are_linear():
    made = stretch(np.random.default_rng(0).standard_normal((3, 4, 4)), [0.5])  # too few cells
    parts = OpticalFlow().parts(made)
    assert len(parts) == OpticalFlow.n_parts
    for part in parts:
        np.testing.assert_array_equal(part, Linear().predict(made, {}))
