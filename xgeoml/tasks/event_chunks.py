"""How events are chunked for an inversion."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

import xarray as xr

from xgeoml.engine.execute import is_lazy

__all__ = ["in_passes"]


def in_passes(
    record: xr.DataArray, greens: xr.DataArray, core: Sequence[Hashable], at_once: int
) -> tuple[xr.DataArray, xr.DataArray]:
    """Return arrays, those that are lazy in chunks of whole events.

    A network takes several events in less time than one after the other: chunks of fewer than are
    treated at once, such as those of a file for each event, are joined.

    Parameters
    ----------
    record, greens : DataArray
        Of which one at least is lazy.
    core : sequence of hashable
        Dims of an event.
    at_once : int
        So many events are treated at once.
    """
    sizes = {d: n for d, n in {**record.sizes, **greens.sizes}.items() if d not in core}
    found = [a.variable.chunksizes for a in (record, greens)]
    lengths = {d: min([n, *(max(f[d]) for f in found if d in f)]) for d, n in sizes.items()}
    wanted: dict[Hashable, int] = dict.fromkeys(core, -1)
    count = math.prod(lengths.values())
    for dim, length in reversed(lengths.items()):
        more = min(sizes[dim], length * (at_once // max(1, count)))
        if more > length:
            wanted[dim] = more
            count = count // length * more

    def chunked(array: xr.DataArray) -> xr.DataArray:
        if not is_lazy(array.data):
            return array
        return array.chunk({d: n for d, n in wanted.items() if d in array.dims})

    return chunked(record), chunked(greens)
