"""Several equally likely fine fields: denoising diffusion, conditioned on a first estimate.

After Ho, Jain and Abbeel (2020), Adv. Neural Inf. Process. Syst. 33, 6840-6851, Song, Meng and
Ermon (2021), ICLR, and, for reanalyses, DeepR (arXiv 2410.12728).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from xgeoml.exceptions import MissingExtraError
from xgeoml.models._unet import UNet, waves

Scheduler = Literal["ddim", "ddpm"]
Prediction = Literal["noise", "velocity"]
Time = Literal["class", "positional", "cyclical", "timestep"]

# Steps of diffusion that a field takes to become noise.
_STEPS = 1000
# Channels of the clock, behind value and validity: sine and cosine of season and day.
_CLOCK = 4
# Ways to tell the time for which there is no vector.
_SHOWN = ("cyclical", None)
# Classes of the clock: months and hours.
_MONTHS, _HOURS = 12, 24
# Units that waves are made of: days of the year and hours of the day.
_DAYS_A_YEAR, _HOURS_A_DAY = 365.25, 24.0
_HAIR, _UNKNOWN = 1e-4, 1e-3
# Examples that outweigh what all cells have in common; the smallest unit of a target.
_BELIEF, _SMALLEST = 10.0, 1e-6
# Deviations that no target is thought to exceed.
_LARGEST = 8.0
# Sizes of the tailored network where none are given.
_SIZES: dict[str, Any] = {
    "patch": 4,
    "n_channels": 64,
    "channel_multipliers": (1, 1),
    "is_attention": (False, True),
    "n_blocks": 1,
}
_BLOCKS: dict[str, dict[str, Any]] = {
    "UNet2DModel": {
        "down_block_types": ("DownBlock2D", "DownBlock2D", "AttnDownBlock2D"),
        "up_block_types": ("AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    },
    "UNet2DConditionModel": {
        "down_block_types": ("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    },
}


class Ddpm(nn.Module):
    """Draw fine fields by denoising, step after step, what begins as noise.

    Parameters
    ----------
    channels : int
        Coarse channels: value, validity, two of the season, two of the day, covariates.
    fine_channels : int
        Fine channels: estimates, then static covariates.
    grid : sequence of int, optional
        Rows and columns of the fine grid: the unit of the target is then one for each cell.
    unet : str
        ``"tailored"``, or a class of `diffusers`: ``"UNet2DModel"`` or ``"UNet2DConditionModel"``.
    unet_options : mapping, optional
        Keyword arguments of it: for the tailored one see `xgeoml.models._unet.UNet`, whose usual
        values hold for what is left out of them.
    time : {"class", "positional", "cyclical", "timestep"}, optional
        How the network is told of season and hour. `class`: by a vector learnt for each month and
        each hour; `positional`: by waves of fixed periods; `timestep`: by such waves through two
        layers of their own; `cyclical`: by channels with sine and cosine. None: not at all.
    scheduler : {"ddim", "ddpm"}
        `ddim` draws at the start only; `ddpm` in every step, which takes more of them.
    steps : int
        Of a drawing, of the 1000 that training knows.
    prediction : {"velocity", "noise"}
        What the network learns, see Salimans and Ho (2022), ICLR, appendix D.
    residual : bool
        Whether what is drawn is the difference to the first estimate, or the field itself. What
        comes out is that difference in either case.
    """

    unit: Tensor
    offset: Tensor
    spread: Tensor

    def __init__(
        self,
        channels: int = 6,
        fine_channels: int = 1,
        grid: Sequence[int] | None = None,
        unet: str = "tailored",
        unet_options: Mapping[str, Any] | None = None,
        time: Time | None = "cyclical",
        scheduler: Scheduler = "ddim",
        steps: int = 20,
        prediction: Prediction = "velocity",
        residual: bool = True,
    ) -> None:
        super().__init__()
        _check(channels, fine_channels, time, scheduler, steps, prediction)
        self.time, self.steps, self.residual = time, steps, residual
        self.eta = 1.0 if scheduler == "ddpm" else 0.0
        self.scheduler = _scheduler(prediction)
        # Beside the channels: what is noisy, the estimate's details, and the unit.
        seen = channels - (0 if time == "cyclical" else _CLOCK) + fine_channels + 3
        self.denoiser = _denoiser(unet, seen, unet_options, time not in _SHOWN)
        self.stamp = None if time in _SHOWN else _Stamp(str(time), self.denoiser.width)
        shape = (1, 1, *grid) if grid else (1, 1, 1, 1)
        self.register_buffer("unit", torch.ones(shape))
        self.register_buffer("offset", torch.zeros(shape))
        self.register_buffer("spread", torch.ones(()))

    def forward(self, coarse: Tensor, fine: Tensor, factor: int) -> Tensor:
        """Return the middle of what may be drawn, as a difference to the first estimate."""
        return self._drawn(coarse, fine, factor, lambda _: torch.zeros_like(fine[:, :1]))

    def sample(
        self, coarse: Tensor, fine: Tensor, factor: int, noise: Callable[[int], Tensor]
    ) -> Tensor:
        """Return one of many equally likely fields, as a difference to the first estimate.

        Parameters
        ----------
        coarse, fine, factor
            See `xgeoml.models.downscaling.Refiner`.
        noise : callable
            Called with 0, and in each step but the last with its number if the scheduler is
            ``"ddpm"``; returns (batch, 1, y * factor, x * factor).
        """
        return self._drawn(coarse, fine, factor, lambda i: self.spread * noise(i))

    def target(self, fine: Tensor, truth: Tensor) -> Tensor:
        """Return what is drawn for a fine field, both (batch, 1, y, x), in the field's scale."""
        return truth - fine[:, :1] if self.residual else truth

    def fit_unit(self, targets: Iterable[Tensor]) -> None:
        """Take mean and deviation of what is drawn from examples of it.

        Those of a cell are drawn to those of all cells where there are few examples.

        Parameters
        ----------
        targets : iterable of Tensor, (example, 1, y, x)
            NaN where missing.
        """
        count, total, square = (torch.zeros_like(self.unit).double() for _ in range(3))
        for each in targets:
            known = torch.isfinite(each)
            value = torch.where(known, each, 0.0).double()
            for sums, part in zip((count, total, square), (known, value, value**2), strict=True):
                sums += part.double().sum(0, keepdim=True).sum_to_size(sums.shape)
        some = count.clamp(min=1.0)
        variance = (square / some - (total / some) ** 2).clamp(min=0.0)
        overall = (count * variance).sum() / count.sum().clamp(min=1.0)
        drawn = count * variance + _BELIEF * overall
        variance = drawn / (count + _BELIEF)
        self.unit.copy_(torch.where(overall > 0, variance.sqrt(), 1.0).clamp(min=_SMALLEST))
        self.offset.copy_(total / (count + _BELIEF))

    def training_loss(
        self, coarse: Tensor, fine: Tensor, factor: int, truth: Tensor, noise: Tensor, at: Tensor
    ) -> Tensor:
        """Return the squared error of what the network says of a noisy field.

        Parameters
        ----------
        coarse, fine, factor
            See `xgeoml.models.downscaling.Refiner`.
        truth : Tensor, (batch, 1, y * factor, x * factor)
            In the scale of the value; NaN where missing.
        noise : Tensor, (batch, 1, y * factor, x * factor)
            Standard normal.
        at : Tensor, (batch,)
            Share of the way to noise, 0 to 1.

        Returns
        -------
        Tensor, (batch, 1, y * factor, x * factor)
            0 where the truth is missing.
        """
        steps = (at * _STEPS).long().clamp(0, _STEPS - 1)
        known = torch.isfinite(truth)
        target = (self.target(fine, truth) - self.offset) / self.unit
        target = torch.where(known, target, 0.0)
        noisy = self.scheduler.add_noise(target, noise, steps)
        wanted = noise
        if self.scheduler.config.prediction_type == "v_prediction":
            wanted = self.scheduler.get_velocity(target, noise, steps)
        said = self._said(noisy, self._condition(coarse, fine, factor), coarse, steps)
        return torch.where(known, (said.float() - wanted) ** 2, 0.0)

    def _drawn(
        self, coarse: Tensor, fine: Tensor, factor: int, noise: Callable[[int], Tensor]
    ) -> Tensor:
        condition = self._condition(coarse, fine, factor)
        self.scheduler.set_timesteps(self.steps)
        x = noise(0).float()
        steps = self.scheduler.timesteps.tolist()
        for i, step in enumerate(steps, start=1):
            said = self._said(x, condition, coarse, torch.full((len(x),), step, device=x.device))
            last = i == len(steps)
            more = {"variance_noise": noise(i)} if self.eta and not last else {}
            eta = 0.0 if last else self.eta
            x = self.scheduler.step(
                said.float(), step, x, eta=eta, use_clipped_model_output=True, **more
            ).prev_sample
        made = x * self.unit + self.offset
        return made if self.residual else made - fine[:, :1]

    def _condition(self, coarse: Tensor, fine: Tensor, factor: int) -> Tensor:
        """Return all that the network is shown beside the noisy field."""
        shown = coarse if self.time == "cyclical" else coarse[:, [0, 1, *_others(coarse)]]
        size = [n * factor for n in coarse.shape[2:]]
        value = nn.functional.interpolate(shown, size, mode="bilinear", align_corners=False)
        detail = (fine[:, :1] - value[:, :1]) / self.unit
        unit = self.unit.log().expand(len(fine), 1, *size)
        return torch.cat([value, fine, detail, unit], dim=1)

    def _said(self, noisy: Tensor, condition: Tensor, coarse: Tensor, steps: Tensor) -> Tensor:
        """Return the output of the network, which wants sizes that can be halved."""
        x = torch.cat([noisy, condition], dim=1)
        rows, columns = x.shape[2:]
        pad = [-n % self.denoiser.multiple for n in (columns, rows)]
        x = nn.functional.pad(x, (0, pad[0], 0, pad[1]), mode="replicate")
        stamp = self.stamp(coarse[:, 2 : 2 + _CLOCK, 0, 0]) if self.stamp is not None else None
        made: Tensor = self.denoiser(x, steps, stamp)
        return made[..., :rows, :columns]


class _Stamp(nn.Module):
    """Season and hour as a vector."""

    def __init__(self, time: str, width: int) -> None:
        super().__init__()
        self.time, self.width = time, width
        made: list[nn.Module] = []
        if time == "class":
            # The last of each stands for a time that is not known.
            made = [nn.Embedding(n + 1, width) for n in (_MONTHS, _HOURS)]
        elif time == "timestep":
            made = [
                nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
                for _ in range(2)
            ]
        self.each = nn.ModuleList(made)

    def forward(self, clock: Tensor) -> Tensor:
        """Return the vector, (batch, width), of sines and cosines of season and day, (batch, 4)."""
        parts: list[Tensor] = []
        for i, (classes, scale) in enumerate(((_MONTHS, _DAYS_A_YEAR), (_HOURS, _HOURS_A_DAY))):
            sine, cosine = clock[:, 2 * i], clock[:, 2 * i + 1]
            known = sine.abs() + cosine.abs() > _UNKNOWN
            share = torch.atan2(sine, cosine) / (2 * math.pi) % 1.0
            if self.time == "class":
                # A hair more: rounding must not put a full hour into the one before.
                found = ((share + _HAIR) % 1.0 * classes).long()
                parts.append(self.each[i](torch.where(known, found, classes)))
                continue
            made = waves(share * scale, self.width)
            made = self.each[i](made) if self.time == "timestep" else made
            parts.append(made * known[:, None])
        return parts[0] + parts[1]


class _Theirs(nn.Module):
    """A U-Net of diffusers, called like the tailored one."""

    def __init__(self, kind: str, seen: int, options: dict[str, Any], stamped: bool) -> None:
        super().__init__()
        made = getattr(_diffusers(), kind)
        options = {
            "block_out_channels": (32, 64, 64),
            "norm_num_groups": 8,
            "layers_per_block": 1,
            **_BLOCKS[kind],
            **options,
        }
        self.width = 4 * options["block_out_channels"][0]
        self.multiple = 2 ** (len(options["block_out_channels"]) - 1)
        self.crossed = kind == "UNet2DConditionModel"
        if self.crossed:
            options.setdefault("cross_attention_dim", self.width)
            self.blank = nn.Parameter(torch.zeros(1, 1, options["cross_attention_dim"]))
        elif stamped:
            options.setdefault("class_embed_type", "identity")
        self.network = made(in_channels=seen, out_channels=1, **options)

    def forward(self, x: Tensor, step: Tensor, stamp: Tensor | None = None) -> Tensor:
        """Return what the network makes of a noisy field."""
        made: Tensor
        if self.crossed:
            told = self.blank.expand(len(x), 1, -1)
            told = told if stamp is None else told + stamp[:, None]
            made = self.network(x, step, encoder_hidden_states=told).sample
        else:
            made = self.network(x, step, class_labels=stamp).sample
        return made


def _denoiser(
    kind: str, seen: int, options: Mapping[str, Any] | None, stamped: bool
) -> UNet | _Theirs:
    if kind == "tailored":
        return UNet(seen, 1, **(_SIZES if options is None else options))
    if kind not in _BLOCKS:
        raise ValueError(f"unet={kind!r}: expected one of {['tailored', *_BLOCKS]}")
    return _Theirs(kind, seen, dict(options or {}), stamped)


def _scheduler(prediction: Prediction) -> Any:
    """Return what knows how noisy each step is.

    In `diffusers` the stochastic drawing of Ho et al. is the case eta = 1 of Song et al.
    """
    names = {"velocity": "v_prediction", "noise": "epsilon"}
    return _diffusers().DDIMScheduler(
        num_train_timesteps=_STEPS,
        beta_schedule="squaredcos_cap_v2",
        prediction_type=names[prediction],
        clip_sample=True,
        clip_sample_range=_LARGEST,
        timestep_spacing="trailing",
    )


def _diffusers() -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise MissingExtraError("diffusion", "model 'ddpm'", "diffusers") from error
    return diffusers


def _others(coarse: Tensor) -> range:
    """Return which coarse channels are covariates."""
    return range(2 + _CLOCK, coarse.shape[1])


def _check(
    channels: int, fine_channels: int, time: str | None, scheduler: str, steps: int, prediction: str
) -> None:
    found = [
        f"{name}={value!r}: expected one of {known}"
        for name, value, known in (
            ("time", time, (*get_args(Time), None)),
            ("scheduler", scheduler, get_args(Scheduler)),
            ("prediction", prediction, get_args(Prediction)),
        )
        if value not in known
    ]
    if channels < 2 + _CLOCK or fine_channels < 1 or not 1 <= steps <= _STEPS:
        found.append(
            f"channels={channels}, fine_channels={fine_channels}, steps={steps}: expected at least "
            f"{2 + _CLOCK}, at least 1, and 1 to {_STEPS}"
        )
    if found:
        raise ValueError("; ".join(found))
