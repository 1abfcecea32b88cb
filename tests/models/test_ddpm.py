import builtins
import math

import pytest
import torch

from xgeoml import get_model
from xgeoml.exceptions import MissingExtraError
from xgeoml.models._unet import UNet, waves
from xgeoml.models.ddpm import Ddpm
from xgeoml.testing import finer

diffusers = pytest.importorskip("diffusers")

TINY = {
    "n_channels": 8,
    "channel_multipliers": [1, 1],
    "is_attention": [False, True],
    "n_blocks": 1,
}
THEIRS = {"block_out_channels": [8, 8, 8]}
FACTOR = 3


def network(**options):
    """Return a network whose quiet layers have learnt something."""
    torch.manual_seed(0)
    options.setdefault("unet_options", TINY if "unet" not in options else THEIRS)
    made = Ddpm(**{"steps": 3, **options}).eval()
    for parameter in made.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return made


def fields(channels=6, fine_channels=1, rows=5, columns=7):
    made = torch.Generator().manual_seed(1)
    coarse = torch.randn(2, channels, rows, columns, generator=made)
    phase = torch.tensor([0.3, 4.0])
    for i, wave in enumerate((phase.sin(), phase.cos(), (2 * phase).sin(), (2 * phase).cos())):
        coarse[:, 2 + i] = wave[:, None, None]
    fine = torch.randn(2, fine_channels, rows * FACTOR, columns * FACTOR, generator=made)
    return coarse, fine


def drawn(seed=0, shape=(2, 1, 15, 21)):
    def noise(i):
        return torch.randn(shape, generator=torch.Generator().manual_seed(100 * seed + i))

    return noise


UNETS = ["tailored", "UNet2DModel", "UNet2DConditionModel"]
TIMES = ["class", "positional", "cyclical", "timestep", None]


@pytest.mark.parametrize("unet", UNETS)
@pytest.mark.parametrize("time", TIMES)
def test_every_network_and_way_to_tell_the_time(unet, time):
    model = network(unet=unet, time=time, unet_options=TINY if unet == "tailored" else THEIRS)
    coarse, fine = fields()
    with torch.inference_mode():
        made = model.sample(coarse, fine, FACTOR, drawn())
        assert made.shape == fine.shape
        assert torch.isfinite(made).all()
        later = coarse.clone()
        later[:, 2:6] = -later[:, [3, 2, 5, 4]]
        moved = model.sample(later, fine, FACTOR, drawn())
    assert torch.equal(made, moved) == (time is None)
    loss = model.training_loss(
        coarse, fine, FACTOR, fine + 1.0, drawn()(0), torch.tensor([0.2, 0.9])
    )
    loss.mean().backward()
    lacking = [k for k, p in model.named_parameters() if p.grad is None]
    assert lacking == []


def test_an_unknown_time_is_no_time():
    model = network(time="class")
    clock = torch.zeros(1, 4)
    known = model.stamp(torch.tensor([[0.0, 1.0, 0.0, 1.0]]))
    assert not torch.equal(model.stamp(clock), known)
    # A full hour is its own, whatever the rounding.
    for hour in range(24):
        angle = torch.tensor(2 * math.pi * hour / 24)
        at = torch.stack([angle * 0, angle * 0 + 1, angle.sin(), angle.cos()])[None]
        expected = model.stamp.each[0].weight[0] + model.stamp.each[1].weight[hour]
        assert torch.equal(model.stamp(at)[0], expected)
    for time in ("positional", "timestep"):
        assert not network(time=time).stamp(clock).any()


@pytest.mark.parametrize("scheduler", ["ddim", "ddpm"])
def test_the_same_noise_gives_the_same_field(scheduler):
    model = network(scheduler=scheduler)
    coarse, fine = fields()
    calls = []

    def noise(i):
        calls.append(i)
        return drawn()(i)

    with torch.inference_mode():
        one = model.sample(coarse, fine, FACTOR, noise)
        torch.manual_seed(7)
        other = model.sample(coarse, fine, FACTOR, drawn())
        assert torch.equal(one, other)
        assert not torch.equal(one, model.sample(coarse, fine, FACTOR, drawn(1)))
        alone = model.sample(coarse[:1], fine[:1], FACTOR, lambda i: drawn()(i)[:1])
    assert calls == ([0] if scheduler == "ddim" else [0, 1, 2])
    torch.testing.assert_close(alone, one[:1])


def test_in_every_step_it_draws_as_ho_et_al_do():
    model = network(scheduler="ddpm", prediction="noise", steps=1000)
    theirs = diffusers.DDPMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        clip_sample_range=8.0,
        timestep_spacing="trailing",
    )
    theirs.set_timesteps(1000)
    ours = model.scheduler
    ours.set_timesteps(1000)
    assert torch.equal(theirs.timesteps, ours.timesteps)
    said, x = torch.randn(2, 1, 15, 21), torch.randn(2, 1, 15, 21)
    for step in (900, 500, 20):
        made = torch.Generator().manual_seed(3)
        expected = theirs.step(said, step, x, generator=made).prev_sample
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(3))
        found = ours.step(
            said, step, x, eta=1.0, use_clipped_model_output=True, variance_noise=noise
        ).prev_sample
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert model.eta == 1.0


def test_a_perfect_network_finds_the_field():
    coarse, fine = fields()
    truth = fine + torch.randn(fine.shape, generator=torch.Generator().manual_seed(5))
    for prediction, residual in (("velocity", True), ("noise", True), ("velocity", False)):
        model = network(prediction=prediction, residual=residual)
        model.unit.fill_(0.7)
        model.offset.fill_(0.1)
        target = (model.target(fine, truth) - 0.1) / 0.7

        def said(noisy, condition, coarse, steps, model=model, target=target):
            share = model.scheduler.alphas_cumprod[steps][:, None, None, None]
            noise = (noisy - share.sqrt() * target) / (1 - share).sqrt()
            if model.scheduler.config.prediction_type == "epsilon":
                return noise
            return share.sqrt() * noise - (1 - share).sqrt() * target

        model._said = said
        made = model.sample(coarse, fine, FACTOR, drawn())
        torch.testing.assert_close(fine + made, truth, rtol=1e-3, atol=2e-2)
        at = torch.tensor([0.1, 0.7])
        loss = model.training_loss(coarse, fine, FACTOR, truth, drawn()(0), at)
        assert float(loss.max()) < 1e-4


def test_missing_cells_cost_nothing():
    model = network()
    coarse, fine = fields()
    truth = fine + 1.0
    truth[:, :, :4] = torch.nan
    at = torch.tensor([0.3, 0.6])
    loss = model.training_loss(coarse, fine, FACTOR, truth, drawn()(0), at)
    assert torch.isfinite(loss).all()
    assert not loss[:, :, :4].any()
    assert loss[:, :, 4:].all()


def test_the_unit_is_that_of_the_target():
    made = torch.Generator().manual_seed(0)
    scale = torch.tensor([0.5, 2.0])[None, None, :, None]
    targets = 3.0 + scale * torch.randn(400, 1, 2, 3, generator=made)
    targets[::2, :, 0, 0] = torch.nan
    one = network()
    one.fit_unit(torch.split(targets, 64))
    assert one.unit.shape == (1, 1, 1, 1)
    known = targets[torch.isfinite(targets)]
    assert one.unit.item() == pytest.approx(known.std().item(), rel=0.02)
    each = network(grid=[2, 3])
    each.fit_unit(torch.split(targets, 64))
    torch.testing.assert_close(each.unit[0, 0], scale[0, 0].expand(2, 3), rtol=0.15, atol=0.0)
    torch.testing.assert_close(each.offset[0, 0], torch.full((2, 3), 3.0), rtol=0.1, atol=0.0)
    few = network(grid=[2, 3])
    few.fit_unit([targets[:2]])
    assert few.unit.std() < 0.5 * each.unit.std()
    constant = network()
    constant.fit_unit([torch.ones(4, 1, 2, 2)])
    assert constant.unit.item() == 1.0


def test_spread_widens_what_is_drawn():
    model = network()
    coarse, fine = fields()
    with torch.inference_mode():
        middle = model(coarse, fine, FACTOR)
        sizes = []
        for spread in (0.5, 2.0):
            model.spread.fill_(spread)
            sizes.append((model.sample(coarse, fine, FACTOR, drawn()) - middle).abs().mean())
    assert sizes[1] > 1.5 * sizes[0]


def test_covariates_and_static_fields_count():
    model = network(channels=7, fine_channels=2)
    coarse, fine = fields(7, 2)
    with torch.inference_mode():
        usual = model.sample(coarse, fine, FACTOR, drawn())
        coarse[:, 6] += 1.0
        moved = model.sample(coarse, fine, FACTOR, drawn())
        assert not torch.allclose(moved, usual)
        fine[:, 1] += 1.0
        assert not torch.allclose(model.sample(coarse, fine, FACTOR, drawn()), moved)


def test_the_published_network():
    model = UNet(
        14,
        n_channels=16,
        channel_multipliers=[1, 2, 2, 4],
        is_attention=[False, False, True, True],
        n_blocks=2,
    )
    assert model.multiple == 8
    assert model(torch.zeros(1, 14, 8, 16), torch.zeros(1)).shape == (1, 1, 8, 16)
    attention = [type(b.attention).__name__ for b in model.down if hasattr(b, "attention")]
    assert attention == ["Identity"] * 4 + ["_Attention"] * 4
    sizes = [b.second[2].out_channels for b in model.down if hasattr(b, "second")]
    assert sizes == [16, 16, 32, 32, 32, 32, 64, 64]


def test_waves():
    made = waves(torch.tensor([0.0, 1.0]), 4)
    assert made[0].tolist() == [0.0, 0.0, 1.0, 1.0]
    expected = [math.sin(1), math.sin(1e-4), math.cos(1), math.cos(1e-4)]
    assert made[1].tolist() == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("unet", UNETS)
def test_a_network_is_chosen_by_its_name(unet):
    spec = get_model("ddpm").with_options({"unet": unet})
    made = spec.load_factory()(**spec.options)
    assert isinstance(made.denoiser, UNet) == (unet == "tailored")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"time": "hour"}, "time='hour': expected one of"),
        ({"scheduler": "euler"}, "scheduler='euler': expected one of"),
        ({"prediction": "epsilon"}, "prediction='epsilon': expected one of"),
        ({"unet": "UNet3D"}, "unet='UNet3D': expected one of"),
        ({"steps": 0}, "steps=0: expected"),
        ({"channels": 2}, "channels=2"),
        ({"unet_options": {"n_channels": 9}}, "n_channels=9"),
    ],
)
def test_options_that_do_not_go(options, told):
    with pytest.raises(ValueError, match=told):
        Ddpm(**options)


def test_without_the_extra(monkeypatch):
    usual = builtins.__import__

    def without(name, *args, **kwargs):
        if name == "diffusers":
            raise ImportError(name)
        return usual(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match=r'pip install "xgeoml\[diffusion\]"'):
        Ddpm(unet_options=TINY)


def test_pairs_without_dates():
    coarse, fine = (fields.drop_vars("time") for fields in finer.pairs())
    options = {"unet_options": TINY, "steps": 2}
    own = coarse.geoml.fit(
        "ddpm", target=fine, model_options=options, max_epochs=1, steps=1, validation=0
    )
    made = coarse.geoml.downscale(model=own, members=2)
    assert made.notnull().all()
    assert float(made.std("member").mean()) > 0.0
