"""Tiny pairs of coarse and fine fields, and networks that learn from them in a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from xgeoml.models.downscaling import Clock, Pairs, Placement
from xgeoml.models.interpolation import Bicubic
from xgeoml.spec import AxisSpec, Channel, ModelSpec
from xgeoml.train.fitting import Trained
from xgeoml.train.pair_fitting import fit_pairs
from xgeoml.train.pairs import spec_for
from xgeoml.train.settings import Settings

FACTOR = 2
CONV = ModelSpec(
    name="toy_conv",
    task="downscale",
    factory="xgeoml.models.conv_baseline:ConvBaseline",
    axes=(AxisSpec("Y", "tile", 8, halo=2), AxisSpec("X", "tile", 8, halo=2)),
    inputs=(
        Channel("value"),
        Channel("validity"),
        Channel("estimate", "bicubic"),
        Channel("covariates"),
    ),
    outputs=("residual",),
    covariates=True,
    options={"width": 8},
)
DDPM = CONV.replace(
    name="toy_ddpm",
    factory="xgeoml.models.ddpm:Ddpm",
    axes=(AxisSpec("Y", "whole"), AxisSpec("X", "whole")),
    inputs=(
        Channel("value"),
        Channel("validity"),
        Channel("season"),
        Channel("day"),
        Channel("estimate", "slope"),
        Channel("covariates"),
    ),
    scaling="training",
    options={
        "steps": 4,
        "unet_options": {
            "n_channels": 8,
            "channel_multipliers": [1, 1],
            "is_attention": [False, True],
            "n_blocks": 1,
            "patch": 2,
        },
    },
)
QUICK: dict[str, Any] = {
    "max_epochs": 2,
    "steps": 3,
    "batch_size": 8,
    "learning_rate": 3e-3,
    "validation": 0.2,
}


class Slope:
    """A base model that is fitted: each fine cell is a line of its coarse one."""

    seen: list[list[float]] = []  # noqa: RUF012

    def fit(self, pairs):
        """Return offset and slope of each fine cell."""
        Slope.seen.append([float(v) for v in pairs.clock.years])
        coarse = _repeated(np.asarray(pairs.coarse), pairs.placement.factor)
        fine = np.asarray(pairs.fine)
        mean, middle = coarse.mean(0), fine.mean(0)
        slope = ((coarse - mean) * (fine - middle)).sum(0) / ((coarse - mean) ** 2).sum(0)
        return {"slope": slope, "offset": middle - slope * mean, "count": np.array(len(fine))}

    def predict(self, window, state):
        """Return the fine fields."""
        return state["offset"] + state["slope"] * _repeated(window.value, window.placement.factor)


class OneNumber(torch.nn.Module):
    """A network that returns one number for each step."""

    def __init__(self):
        super().__init__()
        self.number = torch.nn.Parameter(torch.zeros(1))

    def forward(self, coarse, fine, factor):
        """Return it."""
        return self.number.expand(len(coarse), 1, 1, 1)


def _repeated(field, factor):
    return field.repeat(factor, -2).repeat(factor, -1)


def pairs(steps=40, rows=5, columns=6, factor=FACTOR, seed=0, covariates=0, static=0):
    """Return fields with a fixed pattern below the coarse cells, and noise."""
    rng = np.random.default_rng(seed)
    shape = (rows * factor, columns * factor)
    pattern = rng.standard_normal(shape)
    large = rng.standard_normal((steps, rows, columns))
    fine = 280 + 5 * _repeated(large, factor) + pattern + 0.3 * rng.standard_normal((steps, *shape))
    coarse = fine.reshape(steps, rows, factor, columns, factor).mean((2, 4))
    phase = np.arange(steps) / steps
    return Pairs(
        coarse=coarse,
        fine=fine,
        placement=Placement.refined(rows, columns, factor),
        clock=Clock(phase, phase * 4 % 1.0, 2000.0 + np.arange(steps)),
        share=np.ones(shape),
        covariates=rng.standard_normal((covariates, steps, rows, columns)),
        static=np.concatenate([pattern[None]] * static) if static else np.empty((0, *shape)),
    )


def fit(
    data: Pairs, spec: ModelSpec, folder: str | Path, resume: bool = False, **changes: Any
) -> Trained:
    """Train in a second."""
    bases = {"bicubic": Bicubic(), "slope": Slope()}
    settings = Settings(**{**QUICK, **changes})
    return fit_pairs(
        data,
        spec_for(spec, data),
        {name: bases[name] for name in spec.bases},
        settings,
        Path(folder),
        resume=resume,
    )
