"""temdeep: exact at the steps, blind to units, the same wherever the field lies."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from xgeoml.models._moments import SEEN, Layout, moments
from xgeoml.models.downscaling import Clock
from xgeoml.models.in_time import Place, Stretch
from xgeoml.models.splines import Akima
from xgeoml.models.temdeep import TemDeep, octaves, warp


def _clock(days: np.ndarray) -> Clock:
    return Clock((days / 365.25) % 1.0, days % 1.0, 2001.0 + days / 365.25)


def _stretch(
    seed: int = 0, parts: int = 1, around: bool = False, shape: tuple[int, int] = (9, 12)
) -> Stretch:
    random = np.random.default_rng(seed)
    days = np.arange(8) * 0.25
    value = 280.0 + np.cumsum(random.standard_normal((parts, 8, *shape)), axis=1)
    wanted = np.array([0.75 + 1e-9, 0.8, 0.9, 1.0 - 1e-9])
    lon = np.arange(shape[1]) * (360.0 / shape[1] if around else 1.0)
    lat, east = np.meshgrid(40.0 + np.arange(shape[0]), lon, indexing="ij")
    place = Place(lat, east, np.zeros((2, *shape)), around)
    return Stretch(value, days, wanted, _clock(days), _clock(wanted), place)


def _network(seed: int = 1) -> TemDeep:
    torch.manual_seed(seed)
    network = TemDeep(width=8, bases=0).eval()
    for parameter in network.leave.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def _said(network: TemDeep, stretch: Stretch) -> np.ndarray:
    shown = moments(stretch)
    with torch.inference_mode():
        output = network(torch.from_numpy(shown.channels), stretch.place.around)
    return shown.read(output.numpy())


def test_it_ends_in_the_steps():
    stretch = _stretch()
    made = _said(_network(), stretch)
    np.testing.assert_allclose(made[:, 0], stretch.value[:, 3], atol=1e-4)
    np.testing.assert_allclose(made[:, -1], stretch.value[:, 4], atol=1e-4)
    assert np.abs(made[:, 1] - moments(stretch).offset[:, 1]).max() > 0.05


def test_untrained_it_is_linear():
    stretch = _stretch()
    made = _said(TemDeep(bases=0).eval(), stretch)
    np.testing.assert_allclose(made, moments(stretch).offset, atol=1e-4)


@pytest.mark.parametrize(("a", "b"), [(0.01, -3.0), (1000.0, 0.0), (1.0, -273.15)])
def test_units_do_not_matter(a, b):
    stretch, network = _stretch(), _network()
    plain = _said(network, stretch)
    scaled = _said(network, stretch.with_value(a * stretch.value + b))
    np.testing.assert_allclose(scaled, a * plain + b, atol=1e-3 * a)


def test_a_rolled_globe_gives_the_rolled_result():
    stretch, network = _stretch(around=True, shape=(6, 16)), _network()
    place = stretch.place
    turned = Place(place.lat, np.roll(place.lon, 5, 1), np.roll(place.terrain, 5, 2), True)
    rolled = Stretch(
        np.roll(stretch.value, 5, 3),
        stretch.days,
        stretch.wanted,
        stretch.clock,
        stretch.clock_wanted,
        turned,
    )
    made = _said(network, rolled)
    np.testing.assert_allclose(made, np.roll(_said(network, stretch), 5, 3), atol=1e-3)


def test_the_hidden_future_is_not_seen():
    stretch, network = _stretch(), _network()
    value = stretch.value.copy()
    beyond = 3 + SEEN + 1
    assert beyond >= value.shape[1]
    value[:, 0] += 100.0  # the first of the steps around is seen
    assert np.abs(_said(network, stretch.with_value(value)) - _said(network, stretch)).max() > 0


def test_missing_steps_around_are_told_apart_from_zeros():
    stretch = _stretch()
    value = stretch.value.copy()
    value[:, 1, 2, 3] = np.nan
    shown = moments(stretch.with_value(value))
    known = shown.channels[:, Layout.known : Layout.known + 2 * SEEN, 2, 3]
    assert not known[:, 1].any()
    assert known[:, 2:].all()
    assert np.isfinite(shown.channels).all()


def test_without_a_place_there_is_no_sun():
    stretch = _stretch()
    nowhere = Stretch(
        stretch.value, stretch.days, stretch.wanted, stretch.clock, stretch.clock_wanted
    )
    first = Layout(0).theta + 3
    assert not moments(nowhere).channels[:, first:].any()
    assert moments(stretch).channels[:, first:].any()


def test_the_sun_is_the_same_between_the_steps_as_at_them():
    shown = moments(_stretch()).channels
    sun = shown[:, Layout(0).n_channels - 11 : Layout(0).n_channels - 8]
    np.testing.assert_allclose(sun[0], 0.0, atol=1e-5)
    assert np.abs(sun[1]).max() > 1e-3


def test_a_constant_record_comes_back():
    stretch = _stretch()
    constant = stretch.with_value(np.full_like(stretch.value, 7.0))
    np.testing.assert_array_equal(moments(constant).scale, 0.0)
    np.testing.assert_array_equal(_said(_network(), constant), 7.0)


@pytest.mark.parametrize("around", [False, True])
def test_warping_takes_what_lies_there(around):
    field = torch.arange(30.0).reshape(1, 1, 5, 6)
    flow = torch.zeros(1, 2, 5, 6)
    flow[:, 1] = 1.0
    moved = warp(field, flow, around)
    torch.testing.assert_close(moved[..., :-1], field[..., 1:])
    torch.testing.assert_close(moved[..., -1], field[..., 0 if around else -1])
    flow[:, 0], flow[:, 1] = -0.5, 0.0
    half = warp(field, flow, around)
    torch.testing.assert_close(half[..., 1:, :], 0.5 * (field[..., 1:, :] + field[..., :-1, :]))


def test_it_learns_motion():
    """A blob that jumps two cells from step to step lies between its places at half the time."""
    torch.manual_seed(0)
    network = TemDeep(width=16, bases=0)
    optimiser = torch.optim.Adam(network.parameters(), 1e-2)
    y, x = np.mgrid[:12, :16]

    def record(seed: int) -> tuple[Stretch, np.ndarray]:
        random = np.random.default_rng(seed)
        row, column, sign = random.uniform(4, 8), random.uniform(6, 10), random.choice([-1, 1])

        def blob(t: float) -> np.ndarray:
            return np.exp(-0.5 * ((y - row) ** 2 + (x - column - sign * 2.5 * t) ** 2) / 1.2**2)

        days, wanted = np.array([0.0, 1.0]), np.array([0.5])
        value = np.stack([blob(-0.5), blob(0.5)])[None]
        return Stretch(value, days, wanted, _clock(days), _clock(wanted)), blob(0.0)

    def batch(seeds: range) -> tuple[torch.Tensor, torch.Tensor]:
        shown, truth = [], []
        for seed in seeds:
            stretch, blob = record(seed)
            made = moments(stretch)
            shown.append(made.channels[0])
            truth.append((blob - made.offset[0, 0]) / made.scale[0])
        return torch.from_numpy(np.stack(shown)), torch.from_numpy(np.stack(truth)).float()

    for step in range(80):
        given, truth = batch(range(16 * step, 16 * step + 16))
        loss = (network(given) - truth).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    given, truth = batch(range(100_000, 100_032))
    with torch.inference_mode():
        left = (network(given) - truth).square().mean()
    assert left < 0.2 * truth.square().mean()


def test_it_is_told_of_temperatures():
    stretch = _stretch()
    warm = replace(stretch, thermal=True)
    differs = (moments(warm).channels != moments(stretch).channels).any((0, 2, 3))
    assert differs.sum() == 1


def test_lengths_share_the_octaves_on_both_sides():
    hours = np.array([6.0, 12.0, 12.0 * 2**0.25, 1e-4, 1e6])
    share = octaves(torch.from_numpy(np.log2(hours / 6.0) / 3.0)).numpy()
    np.testing.assert_allclose(share.sum(1), 1.0)
    at = share[0].argmax()
    assert share[0, at] == share[1, at + 1] == 1.0
    np.testing.assert_allclose(share[2, at + 1 : at + 3], [0.75, 0.25])
    assert share[3, 0] == share[4, -1] == 1.0


def test_trust_is_that_of_the_length_and_the_rest_only_what_was_learnt():
    """Of the octave of six hours Akima's curve is trusted, and nothing else is said."""
    stretch, network = _stretch(), _network()
    at = int(octaves(torch.zeros(1)).argmax())
    trust = torch.zeros_like(network.trust)
    trust[0, at] = 1.0
    trust[1] = 5.0 - 5.0 * (torch.arange(trust.shape[1]) == at)
    learnt = torch.ones(trust.shape[1])
    network.begin(trust, learnt)
    more = _said(network, stretch)
    learnt[at] = 0.0
    network.begin(trust, learnt)
    akima = Akima().predict(stretch, {})
    np.testing.assert_allclose(_said(network, stretch), akima, atol=1e-4)
    assert np.abs(more - akima).max() > 0.05
