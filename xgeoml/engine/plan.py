"""Where the windows lie: integers only.

Every window, tile and batch sits on a lattice anchored at the domain's origin, so that the
answer does not depend on how the data happen to be chunked.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xgeoml.spec import AxisSpec
from xgeoml.spec_parts import Mode

# Elements that a tile of whole series may hold: 2 MB in float64, so that a few work arrays of
# its size stay within a processor's cache levels and far below a chunk.
TILE_ELEMENTS = 2**18
# Elements that the sample behind a whole-field summary may hold. On a one-degree monthly record
# every cell, every second and every fourth one gave the same skill (3.322, 3.322, 3.314 cm).
SAMPLE_ELEMENTS = 8_000_000
# Elements of the pieces of a grid, with all their neighbours, that a summary sees of it; and the
# cells on a side and the steps of one, where it is not all of the grid.
PATCH_ELEMENTS, PATCH_SIDE, PATCH_STEPS = 6_000_000, 24, 1000
# Elements that remain of it when series without data are gone (16 MB in float64). The work arrays
# of a summary are many times this.
SUMMARY_ELEMENTS = 2_000_000


@dataclass(frozen=True)
class AxisPlan:
    """How one axis is cut.

    Parameters
    ----------
    size : int
        Number of cells.
    mode : {"whole", "window", "tile", "pointwise"}
        As in `xgeoml.spec.AxisSpec`.
    window, stride : int
        Cells that a sample covers, and the distance of neighbouring samples.
    unit : int
        Chunks start at multiples of this.
    periodic : bool
        Whether the last cell neighbours the first.
    around : int
        Cells that the model sees around a tile.
    coarsen : int
        Cells of the input that are one of the output.
    """

    size: int
    mode: Mode
    window: int
    stride: int
    unit: int
    periodic: bool = False
    around: int = 0
    coarsen: int = 1

    @property
    def halo(self) -> int:
        """Cells beyond a chunk's edge that its windows reach, on either side."""
        return self.window - self.stride if self.mode == "window" else self.around

    def n_windows(self, length: int) -> int:
        """Return how many windows touch a chunk of `length` cells that starts on the lattice."""
        if self.mode == "window":
            return math.ceil(length / self.stride) + self.halo // self.stride
        if self.mode == "tile":
            return math.ceil(length / self.unit)
        return length if self.mode == "pointwise" else 1

    def padded(self, length: int) -> int:
        """Return the cells that those windows cover, halos included."""
        if self.mode == "window":
            return (self.n_windows(length) - 1) * self.stride + self.window
        return length + 2 * self.halo

    def chunks(self, wanted: int) -> tuple[int, ...]:
        """Return chunk lengths near `wanted`, each a multiple of the unit but the last.

        All are equal but the last, which is no longer than the others: zarr has no other chunks.
        """
        if self.mode == "whole" or self.size == 0:
            return (self.size,)
        length = max(1, round(wanted / self.unit), math.ceil(self.halo / self.unit)) * self.unit
        # The last must not be too short to lend its neighbour a halo.
        while length < self.size and 0 < self.size % length < self.halo:
            length += self.unit
        full, rest = divmod(self.size, length)
        return (length,) * full + ((rest,) if rest else ())


@dataclass(frozen=True)
class Plan:
    """How a block of data is cut: first the pointwise axes, then the model's own.

    Parameters
    ----------
    axes : tuple of AxisPlan
        In the order of the data's axes.
    """

    axes: tuple[AxisPlan, ...]

    @property
    def n_pointwise(self) -> int:
        """How many of the leading axes are pointwise."""
        return sum(a.mode == "pointwise" for a in self.axes)

    @property
    def pointwise(self) -> tuple[AxisPlan, ...]:
        """The leading, pointwise axes."""
        return self.axes[: self.n_pointwise]

    @property
    def core(self) -> tuple[AxisPlan, ...]:
        """The axes that the model sees."""
        return self.axes[self.n_pointwise :]

    @property
    def across(self) -> tuple[AxisPlan, ...]:
        """The axes along which there are several series: pointwise ones and those in tiles."""
        return tuple(a for a in self.axes if a.mode in ("pointwise", "tile"))

    @property
    def tiled(self) -> bool:
        """Whether the model sees tiles of a grid."""
        return any(a.mode == "tile" for a in self.axes)

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of the data along each axis."""
        return tuple(a.size for a in self.axes)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Size of the result along each axis."""
        return tuple(a.size // a.coarsen for a in self.axes)

    @property
    def n_samples(self) -> int:
        """How many windows or series the model is run on."""
        return math.prod(a.n_windows(a.size) for a in self.axes)

    @property
    def sample_elements(self) -> int:
        """Elements in one window or series."""
        return math.prod(a.window for a in self.core)

    def sample_steps(self) -> tuple[int, ...]:
        """Return the stride along each axis across of a sample that fits `SAMPLE_ELEMENTS`."""
        steps = [1] * len(self.across)
        sizes = [a.size for a in self.across]
        core = math.prod(self.shape) // max(1, math.prod(sizes))

        def kept() -> list[int]:
            return [math.ceil(n / s) for n, s in zip(sizes, steps, strict=True)]

        while math.prod(kept()) * core > SAMPLE_ELEMENTS and max(kept()) > 1:
            steps[kept().index(max(kept()))] += 1
        return tuple(steps)

    def patches(self) -> list[tuple[slice, ...]]:
        """Return pieces of a grid that together fit `PATCH_ELEMENTS`, spread over the domain.

        The grid as a whole where it fits, at as many positions of the pointwise axes as fit.
        """
        *_, rows, columns, steps = self.shape
        where = np.ndindex(*(a.size for a in self.pointwise))
        positions = [tuple(slice(i, i + 1) for i in index) for index in where]
        plane = rows * columns * steps
        if plane <= PATCH_ELEMENTS:
            kept = _spread(len(positions), PATCH_ELEMENTS // max(1, plane))
            return [(*positions[i], slice(None), slice(None), slice(None)) for i in kept]
        side, long = PATCH_SIDE, min(steps, PATCH_STEPS)
        count = max(1, PATCH_ELEMENTS // (min(side, rows) * min(side, columns) * long))
        down = max(1, min(count, round(math.sqrt(count * rows / columns))))
        corners = list(
            itertools.product(
                _starts(rows, side, down), _starts(columns, side, max(1, count // down))
            )
        )
        made = []
        for k, (y, x) in enumerate(corners):
            # Another part of the record each time, in an order that mixes them.
            first = _starts(steps, long, len(corners))[k * 7 % len(corners)]
            place = positions[k * len(positions) // len(corners)]
            cut = (slice(y, y + side), slice(x, x + side), slice(first, first + long))
            made.append((*place, *cut))
        return made


def _spread(n: int, most: int) -> list[int]:
    """Return at most `most` of n positions, evenly spread."""
    count = min(n, max(1, most))
    return [i * n // count for i in range(count)]


def _starts(size: int, length: int, count: int) -> list[int]:
    """Return the first cells of `count` pieces of an axis, evenly spread, the last at its end."""
    room = max(0, size - length)
    return [
        round(room * (i + 0.5) / count) if count < 2 else room * i // (count - 1)
        for i in range(count)
    ]


def plan_axes(
    sizes: Sequence[int], specs: Sequence[AxisSpec], periodic: Sequence[bool] = ()
) -> Plan:
    """Return the plan for axes of the given sizes.

    Parameters
    ----------
    sizes : sequence of int
        The pointwise axes first.
    specs : sequence of AxisSpec
        How the model treats each axis.
    periodic : sequence of bool, optional
        Which axes close on themselves; none by default.
    """
    periodic = periodic or [False] * len(sizes)
    n_pointwise = sum(s.mode == "pointwise" for s in specs)
    if any(s.mode == "pointwise" for s in specs[n_pointwise:]):
        raise ValueError("pointwise axes must come first")
    core = math.prod(
        (s.window or n) for n, s in zip(sizes[n_pointwise:], specs[n_pointwise:], strict=True)
    )
    tile = tile_lengths(sizes[:n_pointwise], max(1, TILE_ELEMENTS // max(1, core)))
    made = []
    for i, (size, spec, closed) in enumerate(zip(sizes, specs, periodic, strict=True)):
        if spec.mode == "pointwise":
            made.append(AxisPlan(size, "pointwise", 1, 1, tile[i]))
        elif spec.mode == "whole":
            made.append(AxisPlan(size, "whole", size, max(1, size), max(1, size)))
        elif spec.mode == "tile":
            assert spec.window is not None
            assert spec.halo is not None
            cells = _closing_tile(size, spec.window) if closed else spec.window
            made.append(AxisPlan(size, "tile", cells, cells, cells, closed, spec.halo))
        else:
            assert spec.window is not None
            assert spec.stride is not None
            stride = _closing_stride(size, spec) if closed else spec.stride
            made.append(
                AxisPlan(size, "window", spec.window, stride, stride, closed, coarsen=spec.coarsen)
            )
    return Plan(tuple(made))


def tile_lengths(sizes: Sequence[int], n: int) -> list[int]:
    """Return tile lengths, powers of two or the whole axis, whose product is at most `n`.

    The shorter an axis, the sooner it is taken whole; what is left goes to the longer ones.
    """
    lengths = [1] * len(sizes)
    growing = [i for i, size in enumerate(sizes) if size > 1]
    while growing:
        i = min(growing, key=lambda k: (lengths[k], -k))
        if math.prod(lengths) * 2 > n:
            break
        lengths[i] *= 2
        if lengths[i] >= sizes[i]:
            growing.remove(i)
    return lengths


def _closing_tile(size: int, tile: int) -> int:
    """Return tiles that divide a periodic axis, unless that made them tiny."""
    common = math.gcd(size, tile)
    return common if 2 * common >= tile else tile


def _closing_stride(size: int, spec: AxisSpec) -> int:
    """Return the largest stride that divides a periodic axis, so that its lattice closes."""
    assert spec.window is not None
    assert spec.stride is not None
    common = math.gcd(size, spec.window)
    return max(d for d in range(1, spec.stride + 1) if common % d == 0)
