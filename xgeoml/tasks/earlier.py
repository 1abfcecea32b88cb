"""What an earlier call left: values that it filled stay, and no model takes them for observed."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.exceptions import InputError
from xgeoml.insert import fill_value
from xgeoml.provenance import FILLED, MEANINGS, OBSERVED, SUSPECT
from xgeoml.tasks.values import in_numbers

__all__ = ["Earlier", "check_no_spread", "find_earlier", "flag_name", "spread_name"]


def flag_name(name: Hashable) -> str:
    """Return the name of the variable that tells observed from filled cells of `name`."""
    return f"{name}_fill_flag"


def spread_name(name: Hashable) -> str:
    """Return the name of the variable that holds the spread of the filled cells of `name`."""
    return f"{name}_spread"


@dataclass(frozen=True)
class Earlier:
    """A variable as an earlier call returned it, absent steps added; dims in the data's order.

    Attributes
    ----------
    value : Variable
        Observed, filled and suspect values; NaN elsewhere.
    flag : Variable of int8
        See `xgeoml.provenance`; `OBSERVED` where it says nothing.
    spread : Variable or None
        NaN but where `value` was filled; None if there is none.
    """

    value: xr.Variable
    flag: xr.Variable
    spread: xr.Variable | None

    @property
    def kept(self) -> xr.Variable:
        """Where value, flag and spread stay, and nothing is learnt: filled or suspect cells."""
        stays = (self.flag == FILLED) | (self.flag == SUSPECT)
        kept: xr.Variable = stays & self.value.notnull()
        return kept

    @property
    def seen(self) -> xr.Variable:
        """The values that were observed, suspect ones too; NaN elsewhere."""
        seen: xr.Variable = self.value.where(self.flag != FILLED)
        return seen

    def put_back(
        self, value: xr.Variable, flag: xr.Variable, spread: xr.Variable | None
    ) -> tuple[xr.Variable, xr.Variable, xr.Variable | None]:
        """Return what a model made of the other cells, with the kept cells as they were.

        Where only the earlier call gave a spread, that of newly filled cells is missing.
        """
        kept = _chunked_like(self.kept, value)
        both = spread
        if spread is not None:
            other = np.nan if self.spread is None else _chunked_like(self.spread, spread)
            both = spread.where(~kept, other)
        elif self.spread is not None:
            both = self.spread
        return (
            value.where(~kept, _chunked_like(self.value, value)),
            flag.where(~kept, _chunked_like(self.flag, flag)),
            both,
        )


def find_earlier(dataset: xr.Dataset, name: Hashable) -> Earlier | None:
    """Return what an earlier call says of the variable `name`, None if there was none.

    Parameters
    ----------
    dataset : Dataset
        Absent steps added.
    name : hashable

    Raises
    ------
    InputError
        If there is a variable of the flag's or the spread's name that no earlier call made; of
        lazy flags, the values are looked at once they are computed.
    """
    value = dataset[name].variable
    flag = flag_name(name)
    if flag not in dataset.variables:
        return None
    told = dataset[flag].attrs.get("flag_meanings")
    if told != MEANINGS:
        found = "no flag_meanings" if told is None else f"flag_meanings {told!r}"
        raise _foreign(flag, name, f"has {found}; expected {MEANINGS!r}")
    given = dataset[flag]
    if fill_value(given.variable) is not None:  # which is what the added steps hold
        given = in_numbers(given, f"variable {flag!r}")
    flags = xr.apply_ufunc(
        _checked,
        _like(given.variable, value, flag, name),
        kwargs={"flag": flag, "name": name},
        dask="parallelized",
        output_dtypes=[np.int8],
    )
    old = dataset.variables.get(spread_name(name))
    if old is not None:
        filled = (flags == FILLED) & value.notnull()
        old = _like(old, value, spread_name(name), name).where(filled)
    return Earlier(value.to_base_variable(), flags, old)


def check_no_spread(dataset: xr.Dataset, name: Hashable) -> None:
    """Raise InputError if a spread would replace a variable that no earlier call made."""
    spread = spread_name(name)
    if spread in dataset.variables and flag_name(name) not in dataset.variables:
        raise _foreign(spread, name, f"has no {flag_name(name)!r} beside it")


def _like(extra: xr.Variable, value: xr.Variable, label: str, name: Hashable) -> xr.Variable:
    """Return a flag or a spread with dims in the order of those of `value`."""
    real = isinstance(extra.dtype, np.dtype) and extra.dtype.kind in "iuf"
    if not real or set(extra.dims) != set(value.dims):
        found = f"has dtype {extra.dtype} and dims {extra.dims}"
        raise _foreign(label, name, f"{found}; expected numbers over {value.dims}")
    return extra.transpose(*value.dims).to_base_variable()


def _checked(flags: NDArray[np.generic], flag: str, name: Hashable) -> NDArray[np.int8]:
    """Return flags as int8; where they are missing, in added steps, they say nothing."""
    known = np.where(np.isnan(flags), OBSERVED, flags)
    wrong = known[~np.isin(known, (0, 1, 2, 3))]
    if wrong.size:
        raise _foreign(flag, name, f"holds {wrong[0]}; expected 0, 1, 2 and 3, {MEANINGS!r}")
    return known.astype(np.int8)


def _foreign(label: str, name: Hashable, problem: str) -> InputError:
    return InputError(
        f"variable {label!r}, by its name what an earlier call says of {name!r}, {problem}. "
        f"Rename it, or drop it, obj.drop_vars({label!r}): then all values count as observed"
    )


def _chunked_like(variable: xr.Variable, made: xr.Variable) -> xr.Variable:
    """Return a variable in the chunks of another, so that the result has no others."""
    return variable if made.chunks is None else variable.chunk(made.chunksizes)
