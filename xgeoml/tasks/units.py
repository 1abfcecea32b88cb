"""Units of a quotient, values in other units, and those that a model was fitted to."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from typing import Any

import xarray as xr

from xgeoml.exceptions import InputError, MissingExtraError
from xgeoml.spec import ModelSpec
from xgeoml.tasks.covariates import names_of


def units_of(*arrays: xr.DataArray) -> tuple[str, ...]:
    """Return the units of arrays, empty where they are not told; nothing if none are."""
    told = tuple(str(array.attrs.get("units", "")).strip() for array in arrays)
    return told if any(told) else ()


def check_units(spec: ModelSpec, data: xr.DataArray, beside: Iterable[xr.DataArray] = ()) -> None:
    """Raise if data are in other units than those that a model was fitted to.

    Of data that do not tell their units that is not known.

    Parameters
    ----------
    spec : ModelSpec
    data : DataArray
        The variable.
    beside : iterable of DataArray
        The covariates.

    Raises
    ------
    InputError
    """
    # A model that was trained without covariates has one unit at most.
    expected = dict(zip(("", *spec.covariate_names), spec.units, strict=False))
    for name, array in [("", data), *((names_of([c])[0], c) for c in beside)]:
        wanted, found = expected.get(name, ""), "".join(units_of(array))
        if wanted and found and not _are_same(wanted, found):
            told = f"covariate {name!r}" if name else f"variable {data.name!r}"
            raise InputError(
                f"{told} is in {found!r}, and model {spec.key} was fitted to values in {wanted!r}; "
                f"expected the same: convert them, and say so with attrs['units'] = {wanted!r}"
            )


def _are_same(one: str, other: str) -> bool:
    """Whether units are the same, spelt alike or, as far as pint is installed, not."""
    if one.split() == other.split():
        return True
    if importlib.util.find_spec("pint") is None:
        return False
    from cf_xarray.units import units as registry

    try:
        low, high = (registry.Quantity(n, other).to(one).magnitude for n in (0.0, 1.0))
    except Exception:  # whatever pint raises for what is no unit, or one of another kind
        return False
    return bool(abs(low) < 1e-9 and abs(high - 1.0) < 1e-9)


def quotient(record: str | None, greens: str | None) -> tuple[float, str | None]:
    """Return the units of a record over those of its Green's functions.

    Parameters
    ----------
    record, greens : str or None
        Such as ``"m s-1"``; None where they are not told.

    Returns
    -------
    float
        What the quotient of the values is to be multiplied by.
    str or None
        Its units, ``"1"`` where it has none; None where they cannot be told.

    Raises
    ------
    InputError
        If units are none that are known.
    MissingExtraError
        Without pint, unless the two are the same.
    """
    if record is None or greens is None:
        return 1.0, None
    if record.split() == greens.split():
        return 1.0, "1"
    _require_pint(record, greens)
    upper, lower = (_parsed(text) for text in (record, greens))
    made = (upper / lower).to_reduced_units()
    if made.dimensionless:
        return float(made.to("dimensionless").magnitude), "1"
    return float(made.magnitude), f"{made.units:~cf}"


def converted(array: xr.DataArray, units: str) -> xr.DataArray:
    """Return an array in other units of the same kind.

    Parameters
    ----------
    array : DataArray
        Its units are an attribute. Lazy in, lazy out.
    units : str
        Such as ``"K"``.

    Raises
    ------
    InputError
        If its units are of another kind, or either are none that are known.
    MissingExtraError
        Without pint.
    """
    own = str(array.attrs["units"])
    _require_pint(own, units)
    from cf_xarray.units import units as registry

    try:
        zero, one, two = (registry.Quantity(n, own).to(units).magnitude for n in (0.0, 1.0, 2.0))
    except Exception as error:  # whatever pint raises for what is no unit
        raise InputError(f"{own!r} is not turned into {units!r}: {error}") from error
    if abs((two - one) - (one - zero)) > 1e-9 * abs(one - zero):
        raise InputError(f"{own!r} is not turned into {units!r}: one is a logarithm")
    # A difference of offsets such as 273.15 is no round number.
    made = array * float(f"{one - zero:.12g}") + float(zero)
    return made.astype(array.dtype, copy=False).assign_attrs({**array.attrs, "units": units})


def _require_pint(one: str, other: str) -> None:
    if importlib.util.find_spec("pint") is None:
        raise MissingExtraError("seismic", f"units as different as {one!r} and {other!r}", "pint")


def _parsed(text: str) -> Any:
    from cf_xarray.units import units

    try:
        one, two = (units.Quantity(n, units(text).units).to_base_units() for n in (1.0, 2.0))
        if abs(two.magnitude - 2.0 * one.magnitude) > 1e-9 * abs(two.magnitude):
            raise ValueError("they do not count from zero")
        return 1.0 * units(text)
    except Exception as error:  # whatever pint raises for what is no unit
        raise InputError(
            f"units {text!r} are not known ({error}); expected such as 'm s-1', 'nm', 'counts': "
            "obj.attrs['units'] = 'm s-1', or the same text for record and Green's function"
        ) from error
