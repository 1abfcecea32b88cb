"""The paths from source to stations that a model has learnt from pairs, kept in its file."""

from __future__ import annotations

import json
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.engine.handle import ModelHandle
from xgeoml.exceptions import InputError, TimeAxisError
from xgeoml.models.series import Floats
from xgeoml.tasks.greens import Greens
from xgeoml.tasks.samples import Samples

PREFIX = "path:"
# By how much the steps of two records may differ, in samples over their length.
_DRIFT = 0.1


@dataclass(frozen=True)
class TrainedPath:
    """Green's functions that were learnt from pairs of records and sources.

    Attributes
    ----------
    values : ndarray, (*dims, sample)
    dims : tuple of str
        Dims of the records along which each has a path of its own.
    labels : mapping
        Labels along these dims, as text, where they have any.
    step : float
        Seconds, see `Samples.step`.
    late : float
        Seconds from the first sample of a record to that of its source.
    units : tuple of str or None
        Of record and source.
    lags : int
        Samples of the sources.
    """

    values: Floats
    dims: tuple[str, ...]
    labels: Mapping[str, Sequence[str]]
    step: float
    late: float
    units: tuple[str | None, str | None]
    lags: int = 0

    @classmethod
    def of(cls, handle: ModelHandle) -> TrainedPath | None:
        """Return the paths in a model's file; None if there are none."""
        if handle.weights is None and handle.spec.weights is None:
            return None
        arrays = handle.arrays()
        if f"{PREFIX}about" not in arrays:
            return None
        about = json.loads(arrays[f"{PREFIX}about"].tobytes())
        return cls(
            arrays[f"{PREFIX}values"],
            tuple(about["dims"]),
            about["labels"],
            about["step"],
            about["late"],
            (about["units"][0], about["units"][1]),
            about["lags"],
        )

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a file keeps of the paths."""
        about = {
            "dims": list(self.dims),
            "labels": {k: list(v) for k, v in self.labels.items()},
            "step": self.step,
            "late": self.late,
            "units": list(self.units),
            "lags": self.lags,
        }
        return {
            f"{PREFIX}about": np.frombuffer(json.dumps(about).encode(), np.uint8).copy(),
            f"{PREFIX}values": np.ascontiguousarray(self.values, np.float64),
        }

    def greens(self, record: xr.DataArray, samples: Samples) -> Greens:
        """Return the Green's functions for records of the same stations.

        Raises
        ------
        InputError
            If the records are of other stations.
        TimeAxisError
            If their step is another one.
        """
        told = samples.clock != "none"
        if told and abs(self.step / samples.step - 1.0) * samples.count > _DRIFT:
            raise TimeAxisError(
                f"the records have a sample every {samples.step:.6g} s, those that the model has "
                f"learnt from one every {self.step:.6g} s; expected the same: resample the records"
            )
        lost = [d for d in self.dims if d not in record.dims]
        if lost:
            raise InputError(
                f"the model has learnt paths along {list(self.dims)}, and the records have the "
                f"dims {list(map(str, record.dims))}; expected {lost[0]!r} among them: "
                f"records.expand_dims({lost[0]!r}), where they are of one"
            )
        values = self.values
        for axis, dim in enumerate(self.dims):
            values = np.take(values, self._places(record, dim, values.shape[axis]), axis)
        # Beyond what it has learnt a path is silent.
        count = samples.count
        short = max(0, count - values.shape[-1])
        values = np.pad(values, [(0, 0)] * len(self.dims) + [(0, short)])[..., :count]
        coords: dict[Hashable, Any] = {d: record.coords[d] for d in self.dims if d in record.coords}
        array = xr.DataArray(values, dims=(*self.dims, samples.dim), coords=coords)
        own = Samples(samples.dim, "numbers", -self.late, self.step, 1.0, count, None)
        return Greens(array, own, self.units, self.lags)

    def _places(self, record: xr.DataArray, dim: str, count: int) -> NDArray[np.intp]:
        """Return which of the paths the records are of."""
        if dim in self.labels and dim in record.coords:
            have = {label: i for i, label in enumerate(self.labels[dim])}
            want = [str(v) for v in record.coords[dim].values]
            lost = [v for v in want if v not in have]
            if lost:
                raise InputError(
                    f"the model knows no path to {dim} {', '.join(lost[:5])}; it has learnt those "
                    f"to {', '.join(self.labels[dim][:5])}{', ...' * (len(have) > 5)}: select these"
                )
            return np.array([have[v] for v in want], np.intp)
        if record.sizes[dim] != count:
            raise InputError(
                f"the records have {record.sizes[dim]} along {dim!r}, the model has learnt paths "
                f"to {count}; expected as many, or labels by which to find them"
            )
        return np.arange(count)
