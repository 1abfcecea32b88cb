"""Read lazy data a second time, once something else is done."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

import dask.array as da
from dask._task_spec import GraphNode, Task, TaskRef
from dask.base import clone_key
from dask.blockwise import Blockwise
from dask.delayed import Delayed
from dask.graph_manipulation import bind, chunks
from dask.highlevelgraph import HighLevelGraph, Layer, MaterializedLayer


def read_again(array: da.Array, after: Delayed) -> da.Array:
    """Return `array` under keys of its own, whose sources are not read before `after` is done.

    `dask.graph_manipulation.bind` does this, but leaves keys unchanged inside the tasks of slicing,
    concatenating and rechunking (https://github.com/dask/dask/issues/12127): those layers are
    given a `clone` that does not.
    """
    graph: Any = array.__dask_graph__()
    layers = {
        name: layer if isinstance(layer, Blockwise) else _Cloneable(dict(layer))
        for name, layer in graph.layers.items()
    }
    whole = HighLevelGraph(layers, graph.dependencies)
    return bind(da.Array(whole, array.name, array.chunks, array.dtype, array._meta), after)


class _Cloneable(MaterializedLayer):
    """A layer of single tasks, which can be given other keys."""

    def clone(self, keys: set[Any], seed: Hashable, bind_to: Any = None) -> tuple[Layer, bool]:
        made: dict[Any, Any] = {}
        legacy: dict[Any, Any] = {}
        bound = False
        for key, node in self.mapping.items():
            if not isinstance(node, GraphNode):
                legacy[key] = node
            elif key not in keys:
                made[key] = node
            else:
                renamed = {k: clone_key(k, seed) for k in node.dependencies if k in keys}
                own = clone_key(key, seed)
                made[own] = node.substitute(renamed, key=own)
                if bind_to is not None and not renamed:
                    made[own] = Task(own, chunks.bind, made[own], TaskRef(bind_to))
                    bound = True
        if legacy:
            rest, rest_bound = MaterializedLayer(legacy).clone(keys, seed, bind_to)
            made.update(rest)
            bound = bound or rest_bound
        return MaterializedLayer(made), bound
