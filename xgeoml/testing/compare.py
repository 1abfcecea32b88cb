"""What the checks compare with, and what they say when it does not hold."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, NoReturn

import numpy as np
import xarray as xr

from xgeoml.engine import plan as engine_plan
from xgeoml.exceptions import GeoMLError
from xgeoml.spec import ModelSpec
from xgeoml.tasks.choose import ModelLike
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.fill_gaps import fill_gaps
from xgeoml.tasks.filling import gives_months
from xgeoml.testing import records

_QUIET: dict[str, Any] = {"device": "cpu", "progress": False}
FLAG, SPREAD = "storage_fill_flag", "storage_spread"


class CheckFailedError(AssertionError):
    """One check did not hold."""


class CheckSkippedError(Exception):
    """A check does not apply to a model, or needs a package that is not installed."""


@dataclass(frozen=True)
class Subject:
    """The model under test.

    Attributes
    ----------
    model : str, path or ModelSpec
        As the user gave it.
    spec : ModelSpec
        Its description.
    """

    model: ModelLike
    spec: ModelSpec

    def fill(self, obj: GeoObject, **options: Any) -> GeoObject:
        """Fill the gaps of `obj` with the model, on the processor, without a progress bar."""
        model = options.pop("model", self.model)
        if self.gives_months:
            options.setdefault("freq", "MS")
        if self.n_covariates and "covariates" not in options:
            options["covariates"] = self._drivers(obj)
        with warnings.catch_warnings():
            # The records have a series without a value, which no model fills.
            warnings.filterwarnings("ignore", message=".* stay missing, ")
            made: GeoObject = fill_gaps(obj, model, **{**_QUIET, **options})
        return made

    def record(self) -> xr.DataArray:
        """Return a record that the model can fill."""
        return records.days() if self.gives_months else records.record()

    @property
    def gives_months(self) -> bool:
        """Whether the model makes months of days."""
        return gives_months(self.spec)

    @property
    def n_covariates(self) -> int:
        """How many covariates the model cannot do without: those whose scale it was trained on."""
        return 0 if self.spec.scale is None else len(self.spec.scale.mean) - 1

    def _drivers(self, obj: GeoObject) -> list[xr.DataArray]:
        given = records.drivers()
        found = list(given.data_vars.values())[: self.n_covariates]
        grid = {d: given.sizes[d] for d in ("lat", "lon")}
        on_grid = isinstance(obj, (xr.DataArray, xr.Dataset)) and grid.items() <= obj.sizes.items()
        if len(found) < self.n_covariates or not on_grid:
            raise CheckSkippedError(
                f"it needs {self.n_covariates} covariates; the check has none for these data"
            )
        return found

    @property
    def whole(self) -> bool:
        """Whether the model sees whole series: only then can it fill a step without any data."""
        return self.spec.axis("T").mode == "whole"

    @property
    def is_torch(self) -> bool:
        """Whether the model is a network."""
        return self.spec.backend == "torch"

    def needs(self, *axes: str) -> bool:
        """Whether the model cannot do without one of `axes`."""
        return any(a.axis in axes for a in self.spec.axes)


def fail(message: str) -> NoReturn:
    """Raise a `CheckFailedError`."""
    raise CheckFailedError(message)


def expect(holds: object, message: str) -> None:
    """Raise a `CheckFailedError` with `message` unless `holds`."""
    if not holds:
        fail(message)


def same_bits(found: xr.DataArray, expected: xr.DataArray, what: str) -> None:
    """Raise unless two arrays have the same dims, dtype and values, NaN equal to NaN."""
    expect(
        (found.dims, found.shape, found.dtype) == (expected.dims, expected.shape, expected.dtype),
        f"{what}: found {found.dims} {found.shape} {found.dtype}, expected {expected.dims} "
        f"{expected.shape} {expected.dtype}",
    )
    a, b = found.values, expected.values
    equal = (a == b) | (np.isnan(a) & np.isnan(b))
    if not equal.all():
        fail(f"{what}: {int((~equal).sum())} of {a.size} values differ, by up to {_most(a, b)}")


def close(found: xr.DataArray, expected: xr.DataArray, what: str, tolerance: float = 1e-3) -> None:
    """Raise unless two arrays agree to `tolerance` standard deviations of the second."""
    a, b = found.values.astype(np.float64), expected.values.astype(np.float64)
    expect(a.shape == b.shape, f"{what}: found shape {a.shape}, expected {b.shape}")
    expect(
        np.array_equal(np.isnan(a), np.isnan(b)),
        f"{what}: {int((np.isnan(a) != np.isnan(b)).sum())} values are missing on one side only",
    )
    if np.isfinite(b).any():
        allowed = tolerance * float(np.nanstd(b))
        expect(
            not (np.abs(a - b) > allowed).any(),
            f"{what}: differs by up to {_most(a, b)}, expected at most {allowed:.3g} "
            f"({tolerance:g} standard deviations)",
        )


def near(found: xr.DataArray, expected: xr.DataArray, what: str, tolerance: float) -> None:
    """Raise unless numbers that may all be alike agree to `tolerance` of their largest size."""
    a, b = found.values.astype(np.float64), expected.values.astype(np.float64)
    allowed = tolerance * float(np.nanmax(np.abs(b), initial=0.0))
    expect(
        a.shape == b.shape and bool(np.allclose(a, b, rtol=0.0, atol=allowed, equal_nan=True)),
        f"{what}: {a.tolist()}, expected {b.tolist()} to within {allowed:.3g}",
    )


def raises(kind: type[GeoMLError], call: Callable[[], object], what: str) -> str:
    """Return the message of the error of `kind` that `call` must raise."""
    try:
        call()
    except kind as error:
        return str(error)
    except CheckSkippedError:
        raise
    except Exception as error:
        fail(f"{what}: raised {type(error).__name__} ({error}), expected {kind.__name__}")
    fail(f"{what}: no error, expected {kind.__name__}")


def identical(found: Any, expected: Any, what: str) -> None:
    """Raise unless two xarray objects are identical: values, names and attributes."""
    expect(found.identical(expected), f"{what}: found {found!r}, expected {expected!r}")


@contextmanager
def small_tiles(series: int = 4, steps: int = 60) -> Iterator[None]:
    """Let the engine cut data into tiles of a few series, as it cuts records of many thousands.

    At its usual size a single tile would hold the whole of a small record, and all chunkings of
    it would be one.
    """
    usual = engine_plan.TILE_ELEMENTS
    engine_plan.TILE_ELEMENTS = series * steps
    try:
        yield
    finally:
        engine_plan.TILE_ELEMENTS = usual


def _most(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> str:
    with np.errstate(all="ignore"):
        return f"{np.nanmax(np.abs(a.astype(np.float64) - b.astype(np.float64))):.3g}"
