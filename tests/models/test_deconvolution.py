"""Deconvolutions: known sources, stations weighed, free amplitudes, spectra of source and noise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from toy_waves import LENGTH, SAMPLES, gather, off, paths, pulses

from xgeoml.models._amplitudes import matched
from xgeoml.models._source_spectrum import smoothed
from xgeoml.models.deconvolution import Iterative, Landweber, NonNegative, WaterLevel, Wiener
from xgeoml.models.waveforms import Gather, shown

MODELS = [WaterLevel(), Wiener(), Iterative(), Landweber(), NonNegative()]
# How far sources of noise-free records may be off: some are made of pulses, or smoothed.
EXACT = {WaterLevel: 0.3, Wiener: 0.03, Iterative: 0.15, Landweber: 0.15, NonNegative: 0.15}

each_model = pytest.mark.parametrize("model", MODELS, ids=lambda m: type(m).__name__)


def stations(given, which):
    """Return some of the stations of events."""
    return Gather(given.record[:, which], given.greens[:, which], given.length, given.positive)


@each_model
@pytest.mark.parametrize("many", [1, 4])
@pytest.mark.parametrize("signed", [False, True])
def test_a_known_source_comes_back(model, many, signed):
    given, source = gather(many, events=5, signed=signed)
    made = model.invert(given)
    assert made.shape == (5, LENGTH)
    assert off(made, source).max() < EXACT[type(model)]
    assert made.sum(-1) == pytest.approx(source.sum(-1), rel=0.03, abs=0.03 * abs(source).sum())


@each_model
def test_sources_are_nowhere_negative_unless_they_may_be(model):
    given, source = gather(4, 0.3, events=3, signed=True)
    assert (model.invert(given) < -0.2).any()
    positive = model.invert(replace(given, positive=True))
    assert positive.min() >= 0.0
    assert (off(positive, source) > off(model.invert(given), source)).all()


@each_model
@pytest.mark.parametrize("positive", [True, False])
@pytest.mark.parametrize("size", [1e-12, 3.0, 1e9])
def test_amplitudes_do_not_matter(model, size, positive):
    given, _ = gather(3, 0.1, events=2, positive=positive)
    made = model.invert(given)
    largest = np.abs(made).max()
    louder = model.invert(replace(given, record=size * given.record))
    np.testing.assert_allclose(louder, size * made, rtol=0, atol=1e-6 * size * largest)
    quieter = model.invert(replace(given, greens=size * given.greens))
    np.testing.assert_allclose(quieter, made / size, rtol=0, atol=1e-6 / size * largest)


@each_model
def test_events_are_inverted_each_by_itself_in_any_order(model):
    given, _ = gather(3, 0.1, events=4)
    made = model.invert(given)
    order = [2, 0, 3, 1]
    turned = Gather(given.record[order], given.greens[order], LENGTH)
    np.testing.assert_allclose(model.invert(turned), made[order], rtol=1e-9, atol=1e-12)
    alone = Gather(given.record[1:2], given.greens[1:2], LENGTH)
    np.testing.assert_allclose(model.invert(alone), made[1:2], rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(model.invert(stations(given, [2, 0, 1])), made, rtol=1e-7, atol=1e-9)


@each_model
def test_several_stations_beat_one(model):
    given, source = gather(8, 0.3, events=6)
    together = off(model.invert(given), source).mean()
    alone = [off(model.invert(stations(given, [k])), source).mean() for k in range(8)]
    assert together < min(alone)
    assert together < (0.9 if isinstance(model, WaterLevel) else 0.75) * np.mean(alone)


@each_model
def test_a_noisy_station_counts_less(model):
    level = np.array([0.05, 0.05, 0.05, 3.0])
    given, source = gather(4, level, events=5)
    with_it = off(model.invert(given), source)
    without = off(model.invert(stations(given, [0, 1, 2])), source)
    alone = off(model.invert(stations(given, [3])), source)
    assert with_it.mean() < 1.1 * without.mean()
    assert with_it.mean() < 0.5 * alone.mean()


@each_model
def test_stations_that_are_not_there(model):
    given, _ = gather(3, 0.1, events=2)
    made = model.invert(given)
    more = [np.pad(a, [(0, 0), (1, 1), (0, 0)]) for a in (given.record, given.greens)]
    silent = Gather(more[0], more[1], LENGTH)
    np.testing.assert_allclose(model.invert(silent), made, rtol=1e-6, atol=1e-9)
    # Neither a record without a Green's function nor one without a record says anything.
    deaf = Gather(more[0].copy(), more[1].copy(), LENGTH)
    deaf.record[:, 0], deaf.greens[:, 4] = 1.0, 1.0
    assert deaf.heard.tolist() == 2 * [[False, True, True, True, False]]
    np.testing.assert_allclose(model.invert(deaf), made, rtol=1e-3, atol=1e-3)


@each_model
def test_nothing_makes_nothing(model):
    given, _ = gather(2, 0.1, events=2)
    for changed in (
        replace(given, record=0.0 * given.record),
        replace(given, greens=0.0 * given.greens),
    ):
        made = model.invert(changed)
        assert made.shape == (2, LENGTH)
        assert not made.any()


@each_model
@pytest.mark.parametrize("length", [2, 17, SAMPLES])
def test_any_length_of_the_source(model, length):
    given, source = gather(3, events=2)
    made = model.invert(replace(given, length=length))
    assert made.shape == (2, length)
    assert np.isfinite(made).all()
    if length == SAMPLES:
        assert off(made, source).max() < 0.3


@each_model
@pytest.mark.parametrize("samples", [1, 2, 3, 7])
def test_the_shortest_records(model, samples):
    record = np.random.default_rng(0).standard_normal((1, 2, samples))
    greens = np.zeros_like(record)
    greens[..., 0] = 1.0
    made = model.invert(Gather(record, greens, samples))
    assert made.shape == (1, samples)
    assert np.isfinite(made).all()


def test_models_differ():
    given, _ = gather(3, 0.1)
    made = [m.invert(given) for m in MODELS]
    for k, one in enumerate(made):
        for other in made[k + 1 :]:
            assert off(one, other).max() > 1e-3


# Options


def test_options_do_what_they_say():
    given, source = gather(3, 0.1, events=3)
    assert (off(Iterative(pulses=3).invert(given), source) > 0.3).all()
    few = off(Landweber(steps=2).invert(given), source)
    assert (few > off(Landweber().invert(given), source)).all()
    strong = NonNegative(ridge=10.0).invert(given).max()
    assert strong < 0.5 * NonNegative().invert(given).max()
    for model in (WaterLevel, Iterative, Landweber, NonNegative):
        rough, smooth = (np.abs(np.diff(model(smooth=s).invert(given))).max() for s in (1, 0.2))
        assert smooth < rough


# Spectra of source and noise


def test_the_level_of_the_noise_is_found():
    level = np.array([0.05, 0.1, 0.2, 0.5])
    given, _ = gather(4, level, events=4)
    clean, _ = gather(4, events=4)
    true = level * clean.record.std(-1)
    found = np.sqrt(given.white.noise[..., 0] / SAMPLES)
    np.testing.assert_allclose(found, true, rtol=0.35)
    np.testing.assert_allclose((found / true).mean(), 1.0, rtol=0.1)


@pytest.mark.parametrize("width", [1.5, 3.0, 6.0])
def test_the_corner_of_the_source_is_found(width):
    lag = np.arange(LENGTH)
    source = np.exp(-0.5 * ((lag - 24) / width) ** 2)
    greens = paths(0, 6)[None]
    record = np.stack([np.convolve(g, source)[:SAMPLES] for g in greens[0]])[None]
    record += 0.02 * np.random.default_rng(0).standard_normal(record.shape)
    corner = float(Gather(record, greens, LENGTH).white.corner[0])
    assert corner == pytest.approx(1 / (2 * np.pi * width), rel=0.3)


def test_the_ratio_tells_good_records_from_bad_ones():
    ratios = [gather(3, level)[0].white.ratio[0] for level in (0.01, 0.1, 1.0)]
    assert ratios[0] > 10 * ratios[1] > 100 * ratios[2]
    given, _ = gather(3)
    silent = replace(given, record=0.0 * given.record)
    assert silent.white.ratio[0] == 0.0


def test_the_colour_of_the_noise_is_found():
    given, _ = gather(3)
    noise = np.random.default_rng(0).standard_normal((1, 3, SAMPLES + 8))
    slow = np.stack([np.convolve(n, np.ones(9) / 9, "valid") for n in noise[0]])[None]
    noisy = replace(given, record=given.record + slow)
    power = noisy.coloured.noise
    low, high = power[..., :8].mean(-1), power[..., -40:].mean(-1)
    assert (low > 5 * high).all()
    white = noisy.white.noise
    np.testing.assert_array_equal(white, white[..., :1] + np.zeros_like(white))


def test_smoothed_spectra():
    power = np.random.default_rng(0).random((2, 3, 130))
    made = smoothed(power)
    np.testing.assert_allclose(made.mean(-1), 1.0)
    assert made.std() < 0.5 * (power / power.mean()).std()
    np.testing.assert_allclose(smoothed(1e30 * power), made)
    assert smoothed(np.zeros((1, 5))).tolist() == [5 * [1.0]]


def test_the_forward_problem():
    given, source = gather(3, events=2)
    np.testing.assert_allclose(given.convolved(source), given.record, atol=1e-12)
    assert given.padded >= 2 * SAMPLES - 1


# Free amplitudes


def scaled(seed, many=6, noise=0.05, events=1):
    """Return events whose Green's functions are off by factors of 0.3 to 3, factors, sources."""
    given, source = gather(many, noise, events, seed)
    rng = np.random.default_rng(seed)
    factor = np.exp(rng.uniform(np.log(0.3), np.log(3.0), (events, many)))
    factor /= np.exp(np.log(factor).mean(-1, keepdims=True))
    return replace(given, greens=given.greens / factor[..., None]), factor, source


@pytest.mark.parametrize("seed", range(0, 60, 10))
def test_amplitudes_are_found(seed):
    given, factor, source = scaled(seed, events=2)
    better, found = matched(given)
    np.testing.assert_allclose(found, factor, rtol=0.1)
    np.testing.assert_allclose(np.exp(np.log(found).mean(-1)), 1.0)
    wrong = off(NonNegative().invert(given), source)
    made = off(NonNegative().invert(better), source)
    assert (made < 0.2).all()
    assert made.mean() < 0.6 * wrong.mean()
    # It is the same equation, record = greens * source, whatever both were divided by.
    ratio = better.greens / np.where(given.greens == 0, 1.0, given.greens)
    size = (better.record / given.record)[..., -1:]
    np.testing.assert_allclose((ratio / size).max(-1), found)


@pytest.mark.parametrize("seed", range(0, 40, 10))
def test_a_station_that_is_wrong_altogether_is_not_trusted(seed):
    given, factor, source = scaled(seed)
    record = given.record.copy()
    record[:, 0] = 3.0 * np.random.default_rng(seed).permutation(record[0, 0])
    given = replace(given, record=record)
    better, found = matched(given)
    noise = better.noise / (better.record**2).mean(-1)
    assert noise[0, 0] > 5 * noise[0, 1:].max()
    others = found[0, 1:] / factor[0, 1:]
    np.testing.assert_allclose(others / others.mean(), 1.0, rtol=0.15)
    # Nor does it blur the source, or change its size.
    made = NonNegative().invert(better)
    assert off(made * np.exp(np.log(others).mean()), source) < 0.25
    assert off(made, source) < 0.6 * off(NonNegative().invert(given), source)


def test_amplitudes_do_not_hang_on_units_or_silent_stations():
    given, _, _ = scaled(0)
    _, found = matched(given)
    _, other = matched(replace(given, record=1e-7 * given.record, greens=1e5 * given.greens))
    np.testing.assert_allclose(other, found, rtol=1e-6)
    more = [np.pad(a, [(0, 0), (0, 1), (0, 0)]) for a in (given.record, given.greens)]
    _, with_silent = matched(Gather(*more, LENGTH))
    np.testing.assert_allclose(with_silent[:, :-1], found, rtol=1e-6)
    assert with_silent[0, -1] == 1.0
    nothing, ones = matched(replace(given, record=0.0 * given.record))
    assert (ones == 1.0).all()
    assert not NonNegative().invert(nothing).any()


# What a network is shown


def test_stations_are_shown_as_large_as_they_count():
    given, _ = gather(3, np.array([0.02, 0.02, 1.0]), events=2)
    seen = shown(given)
    assert seen.record.dtype == seen.greens.dtype == seen.about.dtype == np.float32
    assert seen.about.shape == (2, 3)
    share = np.abs(seen.record).max(-1) / np.abs(given.record).max(-1)
    np.testing.assert_allclose(share.max(-1), 1.0, rtol=1e-6)
    assert (share[:, 2] < 0.2).all()
    np.testing.assert_allclose(seen.greens, given.greens * share[..., None], rtol=1e-4, atol=1e-6)
    assert (seen.about[:, 2] == 1).all()
    assert (shown(replace(given, positive=False)).about[:, 2] == 0).all()
    louder = shown(replace(given, record=1e6 * given.record))
    np.testing.assert_allclose(louder.about, seen.about, rtol=1e-5)
    silent = shown(replace(given, record=0.0 * given.record))
    assert np.isfinite(silent.about).all()
    assert not silent.record.any()


def test_the_toys_are_what_they_are_called():
    given, source = gather(2)
    np.testing.assert_array_equal(given.greens[0], paths(0, 2))
    np.testing.assert_array_equal(source[0], pulses(0))
