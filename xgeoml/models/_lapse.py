"""What covariates, such as elevation, tell of the fine field: local regression.

Each cell departs from the plane through the cells beside it, in the field and in the block means of
the covariates. Around each cell the former departures are regressed on the latter, and what
covariates explain there, they explain within the cell. These departures are next in scale to what
lies within a cell, and in smooth fields they have little to do with each other, so that chance can
be told: coefficients are shrunk by it, as James and Stein (1961) do, and where little is explained.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as fn

from xgeoml.models._around import REACH, neighbours

# The cells beside one, and what those at its corners count for in the plane.
_RING = tuple((y, x) for y in (-1, 0, 1) for x in (-1, 0, 1) if y or x)
_CORNER = 0.5
# Departures within so many rows and columns are regressed; those nearby count most (in cells).
_WITHIN, _SCALE = 2, 3.0
# Where the determinant of its equations is smaller, cells are too few or in a line for a plane.
_PLANE = 1e-3
# Share of a covariate's variance that its coefficient is held back by.
_HELD = 0.03
# Departures that are smaller, beside the covariate itself, are those of rounding.
_ROUNDING, _TINY = 1e-5, 1e-20
# Cells with less land than that are sea; with more than half of it they are land.
_SEA, _LAND = 0.01, 0.5


class Caution(NamedTuple):
    """How much has to be explained.

    Attributes
    ----------
    chance : float
        How many times what chance explains is taken off.
    none, all : float
        Share that is explained, up to which it counts for nothing, and from which on in full.
    free : float
        Degrees of freedom that must be exceeded; they are sums of weights.
    """

    chance: float
    none: float
    all: float
    free: float


# Of covariates that someone gives, who will know why; and of terrain under any field.
_GIVEN, _ANY = Caution(1.5, 0.0, 0.3, 2.01), Caution(5.0, 0.3, 0.8, 3.01)


class Lapse(NamedTuple):
    """What covariates explain of the field around each cell, and within it.

    Attributes
    ----------
    explained : Tensor, (cell, neighbour)
        Of the neighbours' differences from the cell.
    within : Tensor, (cell, factor**2)
        Of the fine values' departures from the cell's mean; their mean is 0.
    """

    explained: Tensor
    within: Tensor


class Seen(NamedTuple):
    """Covariates as each cell sees them; of one step, if it is the same for all.

    Attributes
    ----------
    departures : Tensor, (batch, cell, covariate, neighbour)
        Of the cells around from the planes through those beside them.
    differences : Tensor, (batch, cell, covariate, neighbour)
        Of the neighbours from the cell.
    within : Tensor, (batch, cell, covariate, factor**2)
        Of the fine values from the cell's mean; 0 where missing.
    size : Tensor, (batch, cell, covariate)
        Of the mean itself.
    """

    departures: Tensor
    differences: Tensor
    within: Tensor
    size: Tensor


class Plane(NamedTuple):
    """The planes through the cells beside each, at it.

    Attributes
    ----------
    share : Tensor, (batch, 8, y, x)
        What each of the cells beside counts for.
    weight : Tensor, (batch, y, x)
        Of the departure, by how it adds up errors; 0 where there is no plane.
    """

    share: Tensor
    weight: Tensor

    def departures(self, fields: Tensor) -> Tensor:
        """Return those of fields, (batch, field, y, x)."""
        differences = torch.stack([b - fields for b in _beside(fields)], dim=2)
        known = (self.weight > 0)[:, None]
        return torch.where(known, -(self.share[:, None] * differences).sum(2), 0.0)


def of_covariates(value: Tensor, valid: Tensor, fine: Tensor, factor: int) -> Lapse:
    """Return what covariates explain.

    Parameters
    ----------
    value, valid : Tensor, (batch, y, x)
        The coarse field and its validity (1 or 0).
    fine : Tensor, (batch or 1, covariate, y * factor, x * factor)
        Covariates; NaN where missing.
    factor : int
    """
    mean, within, known = _means(fine, factor)
    both = _one(valid) * known.amin(1)
    plane = _plane(both)
    return _lapse(value, both, plane, _seen(plane, mean, within), _GIVEN)


def of_terrain(value: Tensor, valid: Tensor, fine: Tensor, factor: int) -> Lapse:
    """Return what elevation and the share of land explain.

    Where a field exists at sea, it is the height with 0 for the sea, and the share of land; where
    it is missing there, the height of the land alone; where it is missing on land, nothing. Which
    of these it is, shows in the cells within three rows and columns.

    Parameters
    ----------
    value, valid : Tensor, (batch, y, x)
        As in `of_covariates`.
    fine : Tensor, (batch or 1, 2, y * factor, x * factor)
        Elevation of the land, NaN where there is none, and its share; both NaN beyond the grid.
    factor : int
    """
    height, land = fine[:, :1], fine[:, 1:]
    with_sea = torch.where(land > 0, height * land, land)
    mean, within, known = _means(torch.cat([height, with_sea, land], dim=1), factor)
    valid, inside, share = _one(valid), known[:, 2], mean[:, 2]
    sea, mixed, ground = (inside * at for at in (share < _SEA, share < _LAND, share > _LAND))
    alone = (_near(mixed * (1 - valid)) > 0) & (_near(sea * valid) == 0)
    exists = _near(ground * valid) > 0
    plane = _plane(valid * inside)
    seen = _seen(plane, mean, within)

    def chosen(part: Tensor) -> Tensor:
        ours, some = (v.flatten(1)[(..., *[None] * (part.ndim - 3))] for v in (alone, exists))
        both = (torch.where(ours, part[:, :, 0], part[:, :, 1]), part[:, :, 2] * ~ours)
        return torch.stack(both, dim=2) * some[:, :, None]

    return _lapse(value, valid * inside, plane, Seen(*(chosen(part) for part in seen)), _ANY)


def _means(fine: Tensor, factor: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return block means, (batch, covariate, y, x), departures from them, and validity."""
    batch, count, rows, columns = fine.shape
    blocks = fine.reshape(batch, count, rows // factor, factor, columns // factor, factor)
    blocks = blocks.transpose(3, 4).flatten(4)
    known = torch.isfinite(blocks)
    blocks = torch.where(known, blocks, 0.0)
    n = known.sum(-1)
    mean = blocks.sum(-1) / n.clamp(min=1)
    return mean, torch.where(known, blocks - mean[..., None], 0.0), (n > 0).to(mean)


def _one(valid: Tensor) -> Tensor:
    """Return the first step's validity where it is that of all, which saves the same work."""
    return valid[:1] if bool((valid == valid[:1]).all()) else valid


def _plane(valid: Tensor) -> Plane:
    """Return planes through the valid cells beside each valid cell, the cell itself left out."""
    corner = torch.tensor([_CORNER if y and x else 1.0 for y, x in _RING]).to(valid)
    weight = torch.stack(_beside(valid), dim=1) * corner[:, None, None]
    place = torch.tensor([(1.0, y, x) for y, x in _RING]).to(valid)
    squares = torch.einsum("bnyx,ni,nj->byxij", weight, place, place)
    known = (torch.linalg.det(squares) > _PLANE) & (valid > 0)
    unit = torch.eye(3).to(squares)
    squares = torch.where(known[..., None, None], squares, unit)
    level = torch.linalg.solve(squares, unit[0].expand(squares.shape[:-1]))
    share = torch.einsum("byxi,ni,bnyx->bnyx", level, place, weight)
    return Plane(share, known / (1.0 + share.square().sum(1)))


def _seen(plane: Plane, mean: Tensor, within: Tensor) -> Seen:
    """Return what all covariates have in common; those of a batch or of one step."""
    each = [neighbours(field, torch.ones_like(field)) for field in mean.unbind(1)]
    differences = torch.stack([cells.differences for cells in each], dim=1)
    return Seen(
        _window(plane.departures(mean)).transpose(1, 2),
        differences.reshape(len(mean), -1, *differences.shape[1:]),
        within.flatten(2, 3).transpose(1, 2),
        mean.flatten(2).transpose(1, 2),
    )


def _lapse(value: Tensor, valid: Tensor, plane: Plane, seen: Seen, caution: Caution) -> Lapse:
    """Return what covariates, as they are seen, explain of a field."""
    y, weight, valid = (
        _window(field[:, None])[:, 0]
        for field in (plane.departures((value * valid)[:, None])[:, 0], plane.weight, valid)
    )
    slope = _regress(y, weight, valid, seen, caution)[..., None]
    made = [(slope * part).sum(2) for part in (seen.differences, seen.within)]
    return Lapse(*(part.expand(len(value), -1, -1).flatten(0, 1) for part in made))


def _regress(y: Tensor, weight: Tensor, valid: Tensor, seen: Seen, caution: Caution) -> Tensor:
    """Return the change of the field per unit of each covariate, (batch, cell, covariate).

    Parameters
    ----------
    y : Tensor, (batch, cell, neighbour)
        The departures of the field.
    weight, valid : Tensor, (batch, cell, neighbour)
        Of the departures, and of the cells.
    seen : Seen
    caution : Caution
    """
    near = torch.from_numpy(_nearness()).to(y)
    weight, valid = weight * near, valid * near
    # Departures that share cells are fewer than they seem: planes take three values away.
    samples = torch.minimum(_number(weight), _number(valid) - 3)
    weight = (weight / weight.sum(-1, keepdim=True).clamp(min=_TINY))[:, :, None]
    x = seen.departures
    variance = (weight * x.square()).sum(-1)
    least = (_ROUNDING * seen.size).square() + _TINY
    varies = variance > least
    size = (variance + least).sqrt()
    x = torch.where(varies[..., None], x / size[..., None], 0.0)
    squares = (weight[:, :, None] * x[:, :, :, None] * x[:, :, None]).sum(-1)
    held = squares + _HELD * torch.eye(x.shape[2]).to(x)
    along = (weight * x * y[:, :, None]).sum(-1)
    slope = torch.linalg.solve(held.expand(*along.shape, -1), along)
    explained = (slope * along).sum(-1)
    left = (weight[:, :, 0] * (y - (slope[..., None] * x).sum(2)).square()).sum(-1)
    everything = (weight[:, :, 0] * y.square()).sum(-1)
    count = varies.sum(-1)
    free = samples - count
    chance = caution.chance * count * left / free.clamp(min=caution.free)
    sure = (1.0 - chance / (explained + _TINY)).clamp(0.0, 1.0)
    share = (explained / (everything + _TINY) - caution.none) / (caution.all - caution.none)
    sure = torch.where(free > caution.free, sure * share.clamp(0.0, 1.0), 0.0)
    made: Tensor = slope * (sure[..., None] / size)
    return made


def _number(weight: Tensor) -> Tensor:
    """Return how many values of equal weight would count the same."""
    return weight.sum(-1).square() / weight.square().sum(-1).clamp(min=_TINY)


def _near(field: Tensor) -> Tensor:
    """Return the largest value within reach."""
    return fn.max_pool2d(field, 2 * REACH + 1, stride=1, padding=REACH)


def _beside(field: Tensor) -> list[Tensor]:
    """Return the field at the cells beside each; 0 beyond the edges."""
    rows, columns = field.shape[-2:]
    padded = fn.pad(field, [1] * 4)
    return [padded[..., 1 + y : 1 + y + rows, 1 + x : 1 + x + columns] for y, x in _RING]


def _window(fields: Tensor) -> Tensor:
    """Return fields at the cells around each one, (batch, field, cell, neighbour)."""
    size = 2 * _WITHIN + 1
    padded = fn.pad(fields, [_WITHIN] * 4)
    return padded.unfold(2, size, 1).unfold(3, size, 1).flatten(4).flatten(2, 3)


@lru_cache(maxsize=1)
def _nearness() -> NDArray[np.float32]:
    """Return weights of the cells around, (neighbour,)."""
    along = np.arange(-_WITHIN, _WITHIN + 1)
    square = along[:, None] ** 2 + along**2
    return np.exp(-square / (2 * _SCALE**2)).ravel().astype(np.float32)
