"""How good a network of downscaling is at steps that it never saw, and how wide it spreads."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xgeoml.engine.regrid import conserve
from xgeoml.models.series import Floats
from xgeoml.train.job import Job
from xgeoml.train.pair_batches import Cutter, Piece
from xgeoml.train.pairs import PairField
from xgeoml.train.skill import Skill

# Steps and members that the spread is fitted to, how often, and its bounds.
_STEPS, _MEMBERS, _ROUNDS, _NARROWEST, _WIDEST = 48, 8, 2, 0.25, 4.0
# Steps in one pass, steps that the skill is taken of, and members of an ensemble for it.
_AT_A_TIME, _MOST, _ENSEMBLE = 16, 128, 16
_OWN = 2**30


def fit_spread(network: Any, job: Job, pairs: PairField) -> None:
    """Set ``network.spread`` such that members differ from their mean as the truth does.

    What a network has learnt by heart it is too sure of: the validation part tells, or without one
    what was learnt from.
    """
    steps = _some(pairs.kept if len(pairs.kept) else pairs.learnt, _STEPS)
    for k in range(_ROUNDS):
        error, variance = 0.0, 0.0
        for start in range(0, len(steps), _AT_A_TIME):
            drawn = _Drawn(network, job, pairs, steps[start : start + _AT_A_TIME])
            members = drawn.members(_MEMBERS, k)
            known = np.isfinite(drawn.truth)
            off = np.where(known, members.mean(0) - drawn.truth, 0.0)
            error += float((off**2).sum())
            variance += float(np.where(known, members.var(0, ddof=1), 0.0).sum())
        if variance <= 0.0 or error <= 0.0:
            return
        # The mean of a few members is off by what they differ, too.
        ratio = np.sqrt(max(error - variance / _MEMBERS, 0.0) / variance)
        widened = float(network.spread) * float(np.clip(ratio, 0.5, 2.0))
        network.spread.fill_(float(np.clip(widened, _NARROWEST, _WIDEST)))


def pair_skill(network: Any, job: Job, pairs: PairField) -> Skill:
    """Return the scores over the validation part, of base models too, all as the engine ends them.

    Of a network that draws random numbers: the error of the mean of 16 members, and the score of
    these as an ensemble (Gneiting and Raftery, 2007); without a spread that is the absolute error.
    """
    squares: dict[str, float] = {}
    crps: dict[str, float] = {}
    count = 0
    steps = scored_steps(pairs.kept)
    for start in range(0, len(steps), _AT_A_TIME):
        drawn = _Drawn(network, job, pairs, steps[start : start + _AT_A_TIME])
        known = np.isfinite(drawn.truth)
        count += int(known.sum())
        made = {job.spec.name: drawn.members(_ENSEMBLE, _ROUNDS)}
        made |= {name: each[None] for name, each in drawn.estimates().items()}
        for name, members in made.items():
            off = np.where(known, members.mean(0) - drawn.truth, 0.0)
            squares[name] = squares.get(name, 0.0) + float((off**2).sum())
            score = np.where(known, ensemble_crps(members, drawn.truth), 0.0)
            crps[name] = crps.get(name, 0.0) + float(score.sum())
    rmse = {name: float(np.sqrt(total / max(count, 1))) for name, total in squares.items()}
    scores = {name: total / max(count, 1) for name, total in crps.items()}
    return Skill(rmse, scores if hasattr(network, "sample") else {}, None)


def scored_steps(kept: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return the steps of the validation part that the skill is taken of."""
    return _some(kept, _MOST)


def ensemble_crps(members: Floats, truth: Floats) -> Floats:
    """Return the continuous ranked probability score of ensembles, (member, ...), at each point."""
    n = len(members)
    ordered = np.sort(members, axis=0)
    rank = (2.0 * np.arange(1, n + 1) - n - 1.0).reshape(-1, *(1,) * truth.ndim)
    score: Floats = np.abs(members - truth).mean(0) - (rank * ordered).sum(0) / n**2
    return score


class _Drawn:
    """What a network makes of some steps, in the units of the data."""

    def __init__(self, network: Any, job: Job, pairs: PairField, steps: NDArray[np.intp]) -> None:
        self.network, self.job, self.pairs, self.steps = network, job, pairs, steps
        cutter = Cutter(pairs, job.spec)
        corner = cutter.corner(np.random.default_rng([job.settings.seed, int(steps[0])]))
        self.piece: Piece = cutter.piece(steps, corner)
        self.unit = self.piece.deviation[:, None, None]
        self.truth = self.piece.truth[:, 0] * self.unit

    def members(self, count: int, which: int) -> Floats:
        """Return an ensemble, (member, step, y, x), of one member for a network without noise."""
        device = next(p.device for p in self.network.parameters())
        coarse, fine = (
            torch.from_numpy(a).to(device) for a in (self.piece.coarse, self.piece.fine)
        )
        residual = self.job.spec.outputs[0] == "residual"
        first = self.piece.fine[:, 0] if residual else np.zeros((1, 1, 1))
        made = []
        with torch.inference_mode():
            for member in range(count if hasattr(self.network, "sample") else 1):
                if not hasattr(self.network, "sample"):
                    output = self.network(coarse, fine, self.pairs.factor)
                else:
                    output = self.network.sample(
                        coarse, fine, self.pairs.factor, self._noise(which, member, device)
                    )
                made.append(self._ended(first + output.float().cpu().numpy()[:, 0]))
        return np.stack(made)

    def estimates(self) -> dict[str, Floats]:
        """Return what the base models say."""
        names = self.job.spec.bases
        return {name: self._ended(self.piece.fine[:, i]) for i, name in enumerate(names)}

    def _noise(self, which: int, member: int, device: torch.device) -> Any:
        seed, shape = self.job.settings.seed, self.truth.shape[1:]

        def noise(draw: int) -> torch.Tensor:
            keys = [[seed, _OWN, which, member, draw, int(s)] for s in self.steps]
            each = [np.random.default_rng(k).standard_normal(shape, np.float32) for k in keys]
            return torch.from_numpy(np.stack(each)[:, None]).to(device)

        return noise

    def _ended(self, made: NDArray[np.floating]) -> Floats:
        """Return fields in units, with the means of coarse cells kept where those of pairs are."""
        fields = np.asarray(made, np.float64) * self.unit
        share, factor = self.piece.share, self.pairs.factor
        if not self.pairs.share.any():
            return fields
        # The truth has these means, wherever it is whole.
        known = np.where(np.isfinite(self.truth), share, 0.0)
        blocks = [
            (a.reshape(len(a), a.shape[1] // factor, factor, -1, factor) * 1.0).sum((2, 4))
            for a in (known * np.nan_to_num(self.truth), known)
        ]
        with np.errstate(invalid="ignore", divide="ignore"):
            means = blocks[0] / blocks[1]
        return conserve(np.where(np.isfinite(self.truth), fields, np.nan), means, factor, share)


def _some(steps: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    at = np.linspace(0, len(steps) - 1, min(most, len(steps)))
    return steps[at.astype(np.intp)]
