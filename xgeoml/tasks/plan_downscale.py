"""What a downscaling would do: tiles, chunks, device and memory, without doing it."""

from __future__ import annotations

import math
from collections.abc import Hashable
from dataclasses import dataclass

from xgeoml.engine.plan import Plan
from xgeoml.engine.refine_run import chunks_of
from xgeoml.rows import Rows
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.downscale import variables_with_a_grid
from xgeoml.tasks.inspect import first_treated
from xgeoml.tasks.refining import Ready, Wish, make_ready

# Work arrays of one pass in float64, over its fine values: measured with the interpolators.
_WORK_ARRAYS = 6


@dataclass(frozen=True, repr=False)
class GridPlan(Rows):
    """What a downscaling would do. Print it.

    Attributes
    ----------
    model : str
        As name@version.
    variable : str
    dims : tuple of str
        In the engine's order.
    axes : tuple of str
        One line for each axis: how it was found.
    engine : Plan
        Tiles and halos along each of `dims`, in coarse cells.
    factor : int
        Parts of a cell along each axis that the model makes; 0 for one that knows its own grids.
    sizes : dict
        Of the result.
    regrids : bool
        Whether the result is interpolated to the points of another grid in the end.
    chunks : tuple of tuple of int
        Of the coarse data, along each of `dims`.
    members : int
        Of an ensemble; 0 for one answer.
    terrain : bool
        Whether the model is given the package's own map of elevation.
    device : str
        Where a network runs.
    memory : int
        Estimate of the bytes needed beyond the input: a chunk of the result, all of it if the data
        are in memory, and the work on one pass.
    """

    model: str
    variable: str
    dims: tuple[str, ...]
    axes: tuple[str, ...]
    engine: Plan
    factor: int
    sizes: dict[str, int]
    regrids: bool
    chunks: tuple[tuple[int, ...], ...]
    members: int
    terrain: bool
    device: str
    memory: int

    def _title(self) -> str:
        return "plan: downscale"

    def _rows(self) -> list[tuple[str, str]]:
        shape = ", ".join(f"{d}: {n}" for d, n in zip(self.dims, self.engine.shape, strict=True))
        n_chunks = math.prod(len(c) for c in self.chunks)
        tiles = [
            f"{d}: {a.unit} cells at a time, which see {a.halo} around"
            + (", closed around the Earth" if a.periodic else "")
            for d, a in list(zip(self.dims, self.engine.axes, strict=True))[-2:]
            if a.mode == "tile"
        ]
        how = f"each cell into {self.factor} x {self.factor}" if self.factor else "its own grids"
        return [
            ("model", self.model),
            ("variable", f"{self.variable} ({shape})"),
            *(("axis", line) for line in self.axes),
            ("refines", how + (", then to the points of the other grid" * self.regrids)),
            ("result", ", ".join(f"{d}: {n}" for d, n in self.sizes.items())),
            *(("tiles", line) for line in tiles),
            *([("covariates", "the package's own map of elevation")] if self.terrain else []),
            ("members", str(self.members or "-")),
            ("output", f"{n_chunks} chunk{'s' * (n_chunks != 1)}"),
            ("device", self.device),
            ("memory", f"about {self.memory / 1e6:.0f} MB beyond the input"),
        ]


def plan_downscale(obj: GeoObject, variable: Hashable | None, wish: Wish) -> GridPlan:
    """Return what a downscaling of the first variable that fits would do."""
    dataset, above, name = first_treated(
        obj,
        None if variable is None else [variable],
        lambda group, named: variables_with_a_grid(
            group, named, wish.covariates, wish.mask, wish.dims
        ),
    )
    ready: Ready = make_ready(dataset, name, above, wish)
    job, spec = ready.job, ready.handle.spec
    time = ready.axes.names.get("T")
    value = ready.arrays[0] if time in ready.dims else ready.arrays[0][..., None, :, :]
    cut = chunks_of(value, job)
    largest = [max(c, default=0) for c in cut]
    fine = job.fine_sizes(largest[-2], largest[-1])
    elements = job.n_fields * math.prod(largest[:-2]) * math.prod(fine)
    work = min(math.prod(largest[:-2]), job.plan.axes[-3].unit) * math.prod(fine) * 8
    device = "cpu"
    if spec.backend == "torch":
        from xgeoml.engine.runner import resolve_device

        device = resolve_device(wish.options.device)
    dims = ready.dims if time in ready.dims else (*ready.dims[:-2], "-", *ready.dims[-2:])
    found = ready.axes
    names = dict(zip(ready.grid.dims, ready.target.dims, strict=True))
    result = dict(zip(ready.target.dims, job.result.shape, strict=True))
    return GridPlan(
        model=spec.key,
        variable=str(name),
        dims=dims,
        axes=tuple(f"{axis}: {found.names[axis]} ({how})" for axis, how in found.how.items()),
        engine=job.plan,
        factor=ready.target.factor,
        sizes={
            names.get(str(d), str(d)): result.get(names.get(str(d), ""), n)
            for d, n in ready.original.sizes.items()
        },
        regrids=job.regrid is not None,
        chunks=tuple(cut),
        members=wish.members or 0,
        terrain=job.terrain,
        device=device,
        memory=elements * value.dtype.itemsize + work * _WORK_ARRAYS,
    )
