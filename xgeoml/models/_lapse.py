"""What static covariates, such as elevation, tell of the fine field: local regression.

Around each cell the coarse field is regressed on the block means of the covariates, beside a plane.
What they explain there, they explain within the cell. Coefficients are shrunk as James and Stein
(1961) do, by how little of what they explain may be chance.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from xgeoml.models._around import OFFSETS, Cells, neighbours

# Distance, in cells, with which neighbours count.
_SCALE = 1.6
# Shares of a covariate's variance that its coefficient is held back by: of what a plane leaves of
# it, and of all of it, so that a covariate that is all but a plane explains nothing.
_HELD, _HELD_PLANE = 0.2, 1e-3
_RIDGE, _TINY = 1e-6, 1e-12


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


def sensitivity(around: Cells, fine: Tensor, factor: int) -> Lapse:
    """Return what covariates explain.

    Parameters
    ----------
    around : Cells
        The coarse field.
    fine : Tensor, (batch, covariate, y * factor, x * factor)
        Covariates; NaN where missing.
    factor : int
    """
    batch, count, rows, columns = fine.shape
    blocks = fine.reshape(batch, count, rows // factor, factor, columns // factor, factor)
    blocks = blocks.transpose(3, 4).flatten(4)
    known = torch.isfinite(blocks)
    blocks = torch.where(known, blocks, 0.0)
    n = known.sum(-1)
    mean = blocks.sum(-1) / n.clamp(min=1)
    within = torch.where(known, blocks - mean[..., None], 0.0).transpose(0, 1).flatten(1, 3)
    valid = (n > 0).to(mean)
    each = [neighbours(mean[:, k], valid[:, k]) for k in range(count)]
    covariates = torch.stack([cells.differences for cells in each], dim=1)
    both = around.valid * valid.amin(1).reshape(-1, 1)
    for cells in each:
        both = both * cells.valid
    slope = _regress(around.differences, covariates * both[:, None], both)
    explained = torch.einsum("ck,ckn->cn", slope, covariates)
    return Lapse(explained, torch.einsum("ck,kcf->cf", slope, within))


def _regress(field: Tensor, covariates: Tensor, valid: Tensor) -> Tensor:
    """Return the change of the field per unit of each covariate, (cell, covariate)."""
    place = torch.tensor(OFFSETS).to(field)
    weight = torch.exp(-place.square().sum(1) / (2 * _SCALE**2)) * valid
    # The cell itself is the origin of all differences.
    weight, field, covariates = _with_cell(weight, 1.0), _with_cell(field), _with_cell(covariates)
    plane = torch.cat([torch.ones_like(place[:, :1]), place], dim=1)
    plane = torch.cat([plane.new_tensor([[1.0, 0.0, 0.0]]), plane])
    y, x = (_without(plane, weight, v) for v in (field[:, None], covariates))
    count = weight.sum(1)
    squares = torch.einsum("cn,cin,cjn->cij", weight, x, x) / count[:, None, None]
    along = torch.einsum("cn,cin,cn->ci", weight, x, y[:, 0]) / count[:, None]
    all_of_it = torch.einsum("cn,cin->ci", weight, covariates**2) / count[:, None]
    held = _HELD * squares.diagonal(dim1=1, dim2=2) + _HELD_PLANE * all_of_it + _TINY
    slope: Tensor = torch.linalg.solve(squares + torch.diag_embed(held), along)
    left = (weight * (y[:, 0] - torch.einsum("ci,cin->cn", slope, x)) ** 2).sum(1) / count
    samples = count**2 / (weight**2).sum(1)
    freedom = (samples - 3 - x.shape[1]).clamp(min=0.5)
    chance = x.shape[1] * left / freedom
    sure = 1.0 - chance / ((slope * along).sum(1) + _TINY)
    return slope * sure.clamp(0.0, 1.0)[:, None]


def _with_cell(around: Tensor, value: float = 0.0) -> Tensor:
    return torch.cat([torch.full_like(around[..., :1], value), around], dim=-1)


def _without(plane: Tensor, weight: Tensor, fields: Tensor) -> Tensor:
    """Return fields, (cell, field, neighbour), without their planes."""
    squares = torch.einsum("cn,ni,nj->cij", weight, plane, plane)
    ridge = _RIDGE * torch.eye(3).to(squares)
    along = torch.einsum("cn,ni,ckn->cik", weight, plane, fields)
    fitted = torch.linalg.solve(squares + ridge, along)
    return fields - torch.einsum("ni,cik->ckn", plane, fitted)
