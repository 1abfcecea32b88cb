"""Simulated distant earthquakes."""

import numpy as np
import pytest

from xgeoml.train import distant_waves
from xgeoml.train.distant_waves import distant_paths
from xgeoml.train.simulated_waves import rupture

N = 256


def paths(monkeypatch, wrong, seed=3, stations=6):
    monkeypatch.setattr(distant_waves, "_MOST_WRONG", wrong)
    random = np.random.default_rng(seed)
    source = rupture(np.random.default_rng(0), N, 80)
    return source, *distant_paths(random, N, source, stations)


def alike(one, other):
    return np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(one, other, strict=True)])


def test_paths_have_unit_energy_and_known_ones_any(monkeypatch):
    _, path, known, seen = paths(monkeypatch, 1.0)
    assert path.shape == known.shape == seen.shape == (6, N)
    np.testing.assert_allclose((path**2).sum(-1), 1.0)
    assert (known**2).sum(-1).std() > 0.1
    assert np.isfinite(path).all()
    assert np.isfinite(known).all()


def test_what_is_known_well_is_right(monkeypatch):
    """But for attenuation, which is believed to be what it usually is."""
    source, path, known, seen = paths(monkeypatch, 1e-6)
    assert (alike(path, known) > 0.9).all()
    np.testing.assert_allclose(seen, np.broadcast_to(source, seen.shape), atol=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_what_is_known_badly_is_wrong(monkeypatch, seed):
    well = alike(*paths(monkeypatch, 1e-6, seed, 12)[1:3]).mean()
    badly = alike(*paths(monkeypatch, 6.0, seed, 12)[1:3]).mean()
    assert badly < well - 0.1


def test_a_source_has_its_moment_from_every_side(monkeypatch):
    source, _, _, seen = paths(monkeypatch, 1.4)
    np.testing.assert_allclose(seen.sum(-1), source.sum(), rtol=0.05)
    assert np.ptp(seen.argmax(-1)) > 0 or np.ptp(seen.max(-1)) > 0
