"""Whether what is called before a task is its result."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from xgeoml.exceptions import InputError
from xgeoml.plot._choose import Chosen
from xgeoml.plot._grid import grid_of, same_cells

_SWAP = "swap them: compare(gappy, filled), or gappy.geoml.plot.compare(filled)"


def check_order(early: Chosen, late: Chosen) -> None:
    """Check that the data before are not the result, as far as that is known without computing.

    Raises
    ------
    InputError
        If the history of the data before goes on where that of those after ends; or if on the same
        cells those before have no missing value where those after have one, or have the steps
        filled that those after have not.
    """
    first, second = _history(early), _history(late)
    added = first.removeprefix(second)
    if second and first != second and first.startswith(second) and "xgeoml" in added:
        last = added.strip().splitlines()[-1]
        raise InputError(f"before was made from after, its history says: {last!r}; {_SWAP}")
    if _is_filled(late) or early.data.size == 0 or late.data.size == 0:
        return
    if not same_cells(grid_of(early.data, early.axes), grid_of(late.data, late.axes)):
        return
    if _is_filled(early):
        _check_steps(early, late)
    if all(c.data.variable._in_memory for c in (early, late)):
        _check_values(early, late)


def check_step(before: NDArray[np.float64], after: NDArray[np.float64]) -> None:
    """Check values at the same places and times.

    Raises
    ------
    InputError
        If before has no missing value where after has one.
    """
    lost = int((np.isfinite(before) & np.isnan(after)).sum())
    if lost and not (np.isnan(before) & np.isfinite(after)).any():
        raise InputError(f"after lacks {lost:,} values that before has, and has no more; {_SWAP}")


def _check_steps(early: Chosen, late: Chosen) -> None:
    """Check the steps of data before that were filled."""
    old, new = (c.data.coords.get(c.time) for c in (early, late))
    if old is None or new is None or new.dtype != old.dtype or new.size < 2:
        return
    here = np.isin(old.values, new.values)
    within = np.flatnonzero(here)
    if here.sum() == new.size and not here[within[0] : within[-1]].all():
        absent = int((~here[within[0] : within[-1]]).sum())
        raise InputError(f"before is filled, and has {absent} steps that after has not; {_SWAP}")


def _check_values(early: Chosen, late: Chosen) -> None:
    """Check the values at the steps that both have."""
    first, second = (c.data.notnull().drop_vars(list(c.data.coords)) for c in (early, late))
    if early.time is not None and late.time is not None:
        old, new = (c.data.coords.get(c.time) for c in (early, late))
        if old is None or new is None or old.dtype != new.dtype:
            return
        _, at, then = np.intersect1d(old.values, new.values, return_indices=True)
        first, second = first.isel({early.time: at}), second.isel({late.time: then})
    if set(first.dims) == set(second.dims) and first.sizes == second.sizes:
        second = second.transpose(*first.dims)
        check_step(*(np.where(known.values, 0.0, np.nan) for known in (first, second)))


def _is_filled(chosen: Chosen) -> bool:
    """Whether a variable has flags, or had them before it was taken out of its Dataset."""
    named = str(chosen.data.attrs.get("ancillary_variables", "")).split()
    return chosen.flag is not None or f"{chosen.name}_fill_flag" in named


def _history(chosen: Chosen) -> str:
    """Return what the data say of how they were made."""
    told = (chosen.dataset.attrs.get("history"), chosen.data.attrs.get("history"))
    return next((str(text).strip() for text in told if text), "")
