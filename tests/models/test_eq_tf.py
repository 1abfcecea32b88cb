"""The network of waveform inversion: shapes, what it begins with, what it must not depend on."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import torch
from toy_waves import LENGTH, eq_tf, gather, spec

from xgeoml.models.eq_tf import EqTf
from xgeoml.models.waveforms import ABOUT, fast_length, shown
from xgeoml.registry import base_model

N_ESTIMATES = len(spec().bases)


def given(stations=3, samples=128, lags=None, events=2, seed=0):
    """Return what the network is given, made of noise: record, greens, estimates, about."""
    random = torch.Generator().manual_seed(seed)
    lags = samples if lags is None else lags
    shapes = [
        (events, stations, samples),
        (events, stations, samples),
        (events, N_ESTIMATES, lags),
        (events, ABOUT),
    ]
    made = [torch.randn(s, generator=random) for s in shapes]
    made[2] = made[2].abs()
    made[3][:, -1] = 1.0
    return made


def real(events=2, stations=3, **changes):
    """Return what the engine gives of made-up records, and the sources."""
    made, source = gather(stations, 0.05, events, **changes)
    seen = shown(made)
    bases = [base_model(n, "invert_waveform").load_factory()() for n in spec().bases]
    estimates = np.stack([b.invert(made) for b in bases], 1).astype(np.float32)
    return [torch.from_numpy(a) for a in (seen.record, seen.greens, estimates, seen.about)], source


@pytest.fixture(scope="module")
def network():
    return eq_tf()


def close(one, other, share=1e-4):
    size = float(other.detach().abs().max())
    torch.testing.assert_close(one, other, rtol=0, atol=share * size)


@pytest.mark.parametrize("samples", [128, 129, 131, 250, 511, 1024, 2048])
def test_any_length(network, samples):
    for lags in (samples, samples // 2, 33):
        with torch.inference_mode():
            made = network(*given(2, samples, lags, 1))
        assert made.shape == (1, 2, lags)
        assert made.dtype == torch.float32
        assert made.isfinite().all()


@pytest.mark.parametrize("lags", [2, 3, 5])
def test_the_shortest_sources(network, lags):
    for samples in (lags, 128):
        assert network(*given(2, samples, lags)).isfinite().all()


def test_there_are_few_parameters():
    parameters = sum(p.numel() for p in eq_tf().parameters())
    assert 50_000 < parameters < 200_000


def test_an_untrained_network_returns_what_it_begins_with():
    untrained = eq_tf(moved=0.0)
    made, _ = real()
    source = untrained(*made)[:, 0]
    close(source, made[2][:, 0], 1e-5)
    signed = [*made[:3], made[3].clone()]
    signed[2] = signed[2] - 0.5 * signed[2].amax()
    cut = untrained(*signed)[:, 0]
    close(cut, signed[2][:, 0].relu(), 1e-5)
    signed[3][:, -1] = 0.0
    close(untrained(*signed)[:, 0], signed[2][:, 0], 1e-5)


def test_a_source_is_nowhere_negative_unless_it_may_be(network):
    made = given()
    assert network(*made)[:, 0].min() >= 0
    made[2] = made[2] - 1.0
    assert network(*made)[:, 0].min() >= 0
    made[3][:, -1] = 0.0
    assert network(*made)[:, 0].min() < 0


def test_it_says_something_of_its_own(network):
    made, _ = real()
    source = network(*made)[:, 0].detach()
    assert float((source - made[2][:, 0]).abs().max() / source.abs().max()) > 1e-3
    for which in range(3):
        other = [a.clone() for a in made]
        # The first event only: none has anything of another.
        other[which][0] *= 1.0 + 0.2 * torch.randn(other[which][0].shape)
        changed = network(*other)[:, 0]
        assert not torch.equal(changed[0], source[0])
        close(changed[1], source[1], 1e-6)


def test_stations_have_no_order_and_silent_ones_say_nothing(network):
    record, greens, estimates, about = given(5)
    made = network(record, greens, estimates, about)
    order = [3, 0, 4, 2, 1]
    close(network(record[:, order], greens[:, order], estimates, about), made)
    more = [torch.cat([a, torch.zeros_like(a[:, :2])], 1) for a in (record, greens)]
    close(network(*more, estimates, about), made)


def test_records_have_no_unit(network):
    made, _ = real()
    source = network(*made)
    for size in (1e-6, 1e6):
        record, greens, estimates, about = made
        louder = network(size * record, greens, size * estimates, about)
        close(louder[:, 0], size * source[:, 0])
        torch.testing.assert_close(louder[:, 1], source[:, 1] + np.log(size), rtol=0, atol=1e-3)
        quieter = network(record, size * greens, estimates / size, about)
        close(quieter[:, 0], source[:, 0] / size)


def test_it_is_the_same_each_time_and_in_any_batch(network):
    made = given(events=5)
    whole = network(*made)
    assert torch.equal(network(*made), whole)
    for event in range(5):
        close(network(*(a[event : event + 1] for a in made))[0], whole[event], 1e-5)
    assert torch.equal(eq_tf()(*made), whole)
    assert not torch.equal(eq_tf(seed=1)(*made), whole)


@pytest.mark.parametrize("precision", [torch.bfloat16, torch.float16])
def test_half_precision(network, precision):
    made, _ = real()
    whole = network(*made)
    with torch.autocast("cpu", dtype=precision):
        half = network(*made)
    assert half.dtype == torch.float32
    assert half.isfinite().all()
    close(half[:, 0], whole[:, 0], 0.05)


@pytest.mark.parametrize("nothing", ["record", "greens", "estimates", "all"])
def test_nothing_makes_numbers(network, nothing):
    made, _ = real()
    for which, name in enumerate(("record", "greens", "estimates")):
        if nothing in (name, "all"):
            made[which] = torch.zeros_like(made[which])
    assert network(*made).isfinite().all()


def test_a_record_of_the_wrong_sign(network):
    """No positive source explains it: estimates are nothing, the record is not."""
    made, _ = real()
    made[0], made[2] = -made[0], torch.zeros_like(made[2])
    assert network(*made).isfinite().all()


@pytest.mark.parametrize("moved", [0.0, 0.02])
def test_gradients_reach_every_parameter(moved):
    training = eq_tf(moved).train()
    made, source = real()
    target = torch.from_numpy(source).float()
    sources, spread = training.unrolled(*made)
    assert len(sources) == len(training.steps)
    loss = sum((s - target[:, :LENGTH]).square().mean() for s in sources) + spread.mean()
    loss.backward()
    for name, parameter in training.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        if moved:
            assert parameter.grad.abs().max() > 0, name
    # Layers that begin at zero are moved first.
    assert training.steps[-1].leave.weight.grad.abs().max() > 0


def test_what_is_cut_off_can_come_back_in_training():
    made = given()
    made[2] = made[2] - 5.0  # negative throughout
    training = eq_tf(moved=0.0).train()
    training(*made)[:, 0].sum().backward()
    assert training.steps[0].leave.bias.grad.abs()[0] > 0
    assert training(*made)[:, 0].max() < 0
    assert eq_tf(moved=0.0)(*made)[:, 0].abs().max() == 0


def test_it_learns_a_little():
    torch.manual_seed(0)
    training = eq_tf(moved=0.0).train()
    made, source = real(8)
    target = torch.from_numpy(source).float()
    optimizer = torch.optim.AdamW(training.parameters(), 3e-3)
    losses = []
    for _ in range(40):
        sources, _ = training.unrolled(*made)
        loss = (sources[-1] - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.7 * losses[0]


def test_options():
    small = EqTf(width=8, dim=16, heads=2, layers=2, steps=1, stride=2, estimates=N_ESTIMATES)
    assert small(*given(samples=130)).shape == (2, 2, 130)
    assert len(small.steps) == 1
    assert len(small.steps[0].blocks) == 2


def test_nothing_wraps_around():
    for samples in (1, 2, 127, 128, 500, 2048):
        assert fast_length(samples) >= 2 * samples


def test_classical_models_need_no_torch():
    code = """
import sys
from toy_waves import invert, waves
data = waves()
for model in ("water_level", "wiener", "iterative", "landweber", "nnls"):
    invert(data, model, greens="greens", dim="station", amplitudes="free")
print("torch" in sys.modules)
"""
    path = [*sys.path]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:] = {path!r}\n{code}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "False"
