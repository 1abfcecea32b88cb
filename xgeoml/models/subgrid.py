"""Downscaling of any field by any factor, without training on it.

Each cell's fine values are its own plus a plane through its neighbours, plus polynomials over the
cell whose means are 0; a network gives their coefficients from the 36 cells around. It sees the
departures of these from the plane in units of their own size, and its answer is in these units:
what it knows holds in any unit, at any resolution, and a plane comes back as it is. All the work is
done at the coarse resolution. What the fine fields of a covariate show is taken from the way in
which the two go together nearby.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import torch
from numpy.polynomial import legendre
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as fn

from xgeoml.models._around import OFFSETS, Cells, neighbours
from xgeoml.models._lapse import Lapse, of_covariates, of_terrain

# Distances, in cells, with which neighbours count for the plane and for the size of departures.
_NEAR, _FAR = 0.6, 1.5
# Keeps the plane finite where all neighbours lie in a line.
_RIDGE = 1e-6
_TINY = 1e-12
# Departures beyond this are squeezed: neighbours may be of another kind, as land is to sea.
_LARGE, _LARGEST = 4.0, 8.0
# Cells that the network is given at once: more gain nothing and need memory.
_AT_ONCE = 2048
# Inputs are centred about what they mostly are.
_VALID, _FACTOR, _LOG = 0.8, 4.0, 0.3


class Shape(NamedTuple):
    """What cells look like among their neighbours.

    Attributes
    ----------
    slope : Tensor, (cell, 2)
        Of the plane through the cell, along rows and columns, per cell.
    departures : Tensor, (cell, neighbour)
        From that plane; 0 where missing.
    size : Tensor, (cell, 1)
        Root mean square of the departures, those nearby counting most.
    """

    slope: Tensor
    departures: Tensor
    size: Tensor


class Subgrid(nn.Module):
    """Estimate fine fields from their block means.

    Parameters
    ----------
    width : int
        Features of a cell.
    layers : int
        Blocks that refine them.
    degree : int
        Of the polynomials along each axis; the degrees of their products sum up to `degree` + 1
        at most.

    Notes
    -----
    Untrained, it returns planes through the neighbours of each cell. The mean over each cell is the
    coarse value, whatever has been learnt.
    """

    # At coasts the mean of a covariate is that of the cells which have it.
    takes_missing = True

    def __init__(self, width: int = 144, layers: int = 3, degree: int = 5) -> None:
        super().__init__()
        n, self.degree = len(OFFSETS), degree
        out = len(_degrees(degree))
        self.embed = nn.Linear(2 * n + 6, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(layers)
        )
        self.head = nn.Linear(width, out)
        self.linear = nn.Linear(n, out, bias=False)
        for weight in (self.head.weight, self.head.bias, self.linear.weight):
            nn.init.zeros_(weight)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(layers + 1))

    def forward(self, coarse: Tensor, fine: Tensor, factor: int, terrain: bool = False) -> Tensor:
        """Return the fine field.

        Parameters
        ----------
        coarse : Tensor, (batch, 2, y, x)
            Value in any unit, and validity (1 or 0).
        fine : Tensor, (batch, covariate, y * factor, x * factor)
            Static covariates; NaN where missing.
        factor : int
        terrain : bool
            Whether the covariates are elevation (m; NaN at sea) and the share of land, of one batch
            for all.

        Returns
        -------
        Tensor, (batch, 1, y * factor, x * factor)
            Its mean over each cell is the coarse value; meaningless where that is missing.
        """
        batch, channels, rows, columns = coarse.shape
        if channels != 2:
            raise ValueError(
                f"got {channels} coarse channels, expected 2: the value and its validity"
            )
        # Differences of neighbours need more digits than half precision has.
        with torch.autocast(coarse.device.type, enabled=False):
            value, valid = coarse.float().unbind(1)
            around = neighbours(value, valid)
            explain = of_terrain if terrain else of_covariates
            lapse = explain(value, valid, fine.float(), factor) if fine.shape[1] else None
        made = [self.within(part, factor) for part in _parts(around, lapse)]
        inside = torch.cat(made)
        if lapse is not None:
            inside = inside + lapse.within
        field = value.reshape(-1, 1) + inside
        field = field.view(batch, rows, columns, factor, factor).transpose(2, 3)
        return field.reshape(batch, 1, rows * factor, columns * factor)

    def within(self, cells: Cells, factor: int) -> Tensor:
        """Return departures of the fine values from their cell's, (cell, factor**2)."""
        shape = shape_of(cells)
        coefficients = self.coefficients(cells.valid, shape, factor)
        with torch.autocast(coefficients.device.type, enabled=False):
            place = torch.from_numpy(places(factor)).to(shape.slope)
            basis = torch.from_numpy(polynomials(factor, self.degree)).to(shape.slope)
            curved = coefficients.to(shape.slope.dtype) @ basis
            # A constant field has no departures, and stays as it is to the last bit.
            return shape.slope @ place + (shape.size - _TINY) * curved

    def coefficients(self, valid: Tensor, shape: Shape, factor: int) -> Tensor:
        """Return those of the polynomials in units of the departures, (cell, polynomial)."""
        relative = shape.departures / shape.size
        total = (shape.slope.square().sum(1, keepdim=True) + shape.size**2).sqrt() + _TINY
        curvature = shape.size / total
        refinement = torch.tensor([_FACTOR / factor - 1, factor / _FACTOR - 1]).to(total)
        x = torch.cat(
            [
                relative * (_LARGE / (_LARGE + relative.abs())),
                valid - _VALID,
                shape.slope / total,
                curvature,
                _LOG * torch.log(curvature + 1e-3),
                refinement.expand(len(valid), 2),
            ],
            dim=1,
        )
        x = self.embed(x)
        for block, norm in zip(self.blocks, self.norms, strict=False):
            x = x + block(norm(x))
        curved: Tensor = self.head(fn.silu(self.norms[-1](x)))
        straight: Tensor = self.linear(relative.clamp(-_LARGEST, _LARGEST))
        return curved + straight


def shape_of(cells: Cells) -> Shape:
    """Return the plane of each cell, and the departures from it."""
    y, x, near, far = torch.from_numpy(_geometry()).to(cells.valid)
    weight = near * cells.valid
    yy = (weight * y * y).sum(1) + _RIDGE
    xx = (weight * x * x).sum(1) + _RIDGE
    xy = (weight * y * x).sum(1)
    along_y = (weight * y * cells.differences).sum(1)
    along_x = (weight * x * cells.differences).sum(1)
    slope = torch.stack([along_y * xx - along_x * xy, along_x * yy - along_y * xy], dim=1)
    slope = slope / (yy * xx - xy**2)[:, None]
    plane = slope[:, :1] * y + slope[:, 1:] * x
    departures = (cells.differences - plane) * cells.valid
    weight = far * cells.valid
    square = (weight * departures**2).sum(1) / (weight.sum(1) + _RIDGE)
    return Shape(slope, departures, square.sqrt()[:, None] + _TINY)


def _parts(around: Cells, lapse: Lapse | None) -> list[Cells]:
    """Return the cells, a few thousand at a time, without what covariates explain of them."""
    differences = around.differences if lapse is None else around.differences - lapse.explained
    differences = differences * around.valid
    starts = range(0, len(differences), _AT_ONCE)
    return [Cells(differences[i : i + _AT_ONCE], around.valid[i : i + _AT_ONCE]) for i in starts]


@lru_cache(maxsize=1)
def _geometry() -> NDArray[np.float32]:
    """Return rows and columns of the neighbours, and their weights of both kinds."""
    y, x = np.array(OFFSETS, np.float64).T
    square = y**2 + x**2
    near, far = (np.exp(-square / (2 * scale**2)) for scale in (_NEAR, _FAR))
    return np.stack([y, x, near, far]).astype(np.float32)


@lru_cache(maxsize=16)
def places(factor: int) -> NDArray[np.float32]:
    """Return rows and columns of the fine cells in their coarse one, (2, factor**2)."""
    along = (np.arange(factor) + 0.5) / factor - 0.5
    return np.stack([np.repeat(along, factor), np.tile(along, factor)]).astype(np.float32)


@lru_cache(maxsize=16)
def polynomials(factor: int, degree: int) -> NDArray[np.float32]:
    """Return means over the fine cells of products of Legendre polynomials over the coarse one.

    ``(polynomial, factor**2)``. Without the constant: the mean over the coarse cell is 0.
    """
    edges = np.linspace(-1, 1, factor + 1)
    means = []
    for k in range(degree + 1):
        integral = legendre.legval(edges, legendre.legint([0.0] * k + [1.0]))
        means.append(np.diff(integral) / np.diff(edges) * np.sqrt(2 * k + 1))
    return np.stack([np.outer(means[a], means[b]).ravel() for a, b in _degrees(degree)]).astype(
        np.float32
    )


def _degrees(degree: int) -> list[tuple[int, int]]:
    """Return the degrees of each product, along rows and columns."""
    every = ((a, b) for a in range(degree + 1) for b in range(degree + 1))
    return [(a, b) for a, b in every if 0 < a + b <= degree + 1]
