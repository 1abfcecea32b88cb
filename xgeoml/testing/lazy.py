"""Whether a call computed what it should have left lazy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import xarray as xr


@contextmanager
def raise_if_computes() -> Iterator[None]:
    """Let nothing of dask be computed inside the ``with`` block.

    Raises
    ------
    AssertionError
        From the line that computes.

    Examples
    --------
    >>> import xgeoml
    >>> from xgeoml.testing import raise_if_computes
    >>> record = xgeoml.datasets.grace_like(nlat=4, nlon=5).chunk(lat=2)
    >>> with raise_if_computes():
    ...     full = record.geoml.fill_gaps("linear")
    """
    import dask

    def refuse(*_: object, **__: object) -> NoReturn:
        raise AssertionError("a dask graph was computed where everything should stay lazy")

    with dask.config.set(scheduler=refuse):
        yield


def assert_lazy(obj: xr.DataArray | xr.Dataset | xr.DataTree) -> None:
    """Raise unless every data variable of `obj` is a dask array.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Of a DataArray, what lies beside it (a flag, a spread) counts too; coordinates that index
        a dimension, and scalars, do not.

    Raises
    ------
    AssertionError
        Naming those that are in memory.
    """
    loaded = []
    if isinstance(obj, xr.DataTree):
        for node in obj.subtree:
            loaded += [f"{node.path}:{name}" for name, v in node.data_vars.items() if not v.chunks]
    elif isinstance(obj, xr.Dataset):
        loaded += [str(name) for name, v in obj.data_vars.items() if not v.chunks]
    else:
        beside = {n: c for n, c in obj.coords.items() if str(n).endswith(("_fill_flag", "_spread"))}
        named = {obj.name: obj, **beside}
        loaded += [str(name) for name, v in named.items() if not v.chunks]
    if loaded:
        raise AssertionError(f"in memory, expected lazy: {', '.join(loaded)}")
