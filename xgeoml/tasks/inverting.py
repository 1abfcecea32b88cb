"""Records of a Dataset inverted: Green's functions found, arrays arranged, results described."""

from __future__ import annotations

import math
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Final, get_args

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.engine.execute import check_device, is_lazy, warn_of_progress
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.inversion import Amplitudes, Gaps, Inversion, events_at_once, invert
from xgeoml.engine.passes import processors
from xgeoml.exceptions import AxisError, InputError, SpecError
from xgeoml.insert import bounds_name
from xgeoml.options import Options
from xgeoml.provenance import with_ancillary
from xgeoml.tasks.choose import ModelLike, WeightsLike, make_handle
from xgeoml.tasks.dispatch import NothingToDoError, check_named
from xgeoml.tasks.earlier import spread_name
from xgeoml.tasks.event_chunks import in_passes
from xgeoml.tasks.greens import Greens, Impulse, aligned
from xgeoml.tasks.joined import check_amplitudes
from xgeoml.tasks.samples import Clock, Samples, count_of, sample_dim, samples_of
from xgeoml.tasks.trained_path import TrainedPath
from xgeoml.tasks.units import quotient
from xgeoml.tasks.values import as_floats, float_dtype, kinds_of

TASK: Final = "invert_waveform"
DEFAULT = "eq_tf"
# The sample axis of a source while it is made.
_LAG = "xgeoml_lag"

GreensLike = xr.DataArray | str
Length = int | str | timedelta | np.timedelta64


@dataclass(frozen=True)
class Wish:
    """What a user asks of `invert_waveform`; see there."""

    model: ModelLike
    weights: WeightsLike | None
    greens: GreensLike | None
    join: tuple[str, ...]
    positive: bool
    length: Length | None
    amplitudes: Amplitudes
    impulse: Impulse
    resample: bool
    gaps: Gaps
    spread: bool
    dims: Mapping[str, str] | None
    model_options: Mapping[str, Any] | None
    options: Options
    call: str

    def __post_init__(self) -> None:
        """Complain of arguments that are wrong whatever the data."""
        for name in ("positive", "resample", "spread"):
            if not isinstance(getattr(self, name), (bool, np.bool_)):
                raise InputError(f"{name}={getattr(self, name)!r}: expected True or False")
        choices = {"amplitudes": Amplitudes, "impulse": Impulse, "gaps": Gaps}
        for name, kind in choices.items():
            if getattr(self, name) not in get_args(kind):
                raise InputError(
                    f"{name}={getattr(self, name)!r}: expected "
                    f"{' or '.join(map(repr, get_args(kind)))}"
                )
        check_amplitudes(self.amplitudes, self.join, greens=True)
        if self.dims is not None and not isinstance(self.dims, Mapping):
            raise AxisError(f"dims={self.dims!r}: expected a mapping, such as {{'T': 'time'}}")


@dataclass(frozen=True)
class Ready:
    """A variable, its Green's functions, and how it is inverted.

    Attributes
    ----------
    name : Hashable
    record : DataArray
        In floats.
    samples : Samples
        Its time axis.
    greens : Greens
    join : tuple of str
        Dims along which records have one source.
    job : Inversion
    factor, units
        What sources are multiplied by, and their units, None where they cannot be told.
    area : float or None
        Seconds that a sample of the source counts for in its moment; None: it counts as it is.
    spread : bool
        Whether the spread is asked for.
    times : tuple of str and ndarray or None
        The clock of the sources, see `Samples`, and their times.
    """

    name: Hashable
    record: xr.DataArray
    samples: Samples
    greens: Greens
    join: tuple[str, ...]
    job: Inversion
    factor: float
    units: str | None
    area: float | None
    spread: bool
    times: tuple[Clock, NDArray[Any] | None]

    @property
    def beside(self) -> list[str]:
        """Names of the variables that tell of the sources."""
        made = {
            "moment": True,
            "misfit": True,
            "each_misfit": bool(self.join),
            "spread": self.spread,
            "factor": self.job.amplitudes == "free",
        }
        return [f"{self.name}_{what}" for what, there in made.items() if there]


def resolve(wish: Wish) -> ModelHandle:
    """Return the model asked for.

    Raises
    ------
    SpecError
        If it has to be trained first.
    """
    automatic = isinstance(wish.model, str) and wish.model == "auto" and wish.weights is None
    handle = make_handle(
        DEFAULT if automatic else wish.model,
        TASK,
        wish.model_options,
        wish.options.seed,
        weights=wish.weights,
        progress=wish.options.progress,
    )
    spec = handle.spec
    if spec.backend == "torch" and handle.weights is None and spec.weights is None:
        raise SpecError(
            f"it has no weight: own = records.geoml.fit({spec.name!r}, greens=...), then model=own",
            f"model {spec.key} cannot be used yet",
        )
    networks = [base.spec.key for base in handle.bases if base.spec.backend == "torch"]
    if networks:
        raise SpecError(
            f"its base models {networks} are networks; expected deconvolutions, such as 'nnls'",
            f"model {spec.key} cannot be used",
        )
    if wish.spread and (spec.backend == "numpy" or not spec.gives_spread):
        raise InputError(
            f"spread=True: {spec.key} does not tell how sure it is; leave it out, or use "
            f"model={DEFAULT!r}"
        )
    return handle


def records_of(dataset: xr.Dataset, names: Sequence[Hashable] | None, wish: Wish) -> list[Hashable]:
    """Return the variables to invert, named or found.

    Raises
    ------
    InputError
        If a name is not there, or no variable fits.
    """
    if names is not None:
        check_named(dataset, names)
        return list(names)
    apart: set[object] = {
        n for v in dataset.variables.values() if (n := bounds_name(v)) is not None
    }
    apart |= {spread_name(v) for v in dataset.variables}
    if isinstance(wish.greens, str):
        apart.add(wish.greens)
    found: list[Hashable] = []
    for name, array in dataset.data_vars.items():
        usable = {k: d for k, d in (wish.dims or {}).items() if d in array.dims}
        if array.dtype.kind == "f" and name not in apart:
            dim = sample_dim(array, usable or None)
            # A source beside the records has an axis of its own.
            if dim is not None and set(wish.join) <= set(array.dims):
                found.append(name)
    # What Green's functions that lie beside the records cannot be of, such as a source.
    if isinstance(wish.greens, str) and wish.greens in dataset:
        paths = dataset[wish.greens]
        named = (wish.dims or {}).get("T")
        needed = set(paths.dims) - {named if named in paths.dims else sample_dim(paths, None)}
        found = [n for n in found if needed <= set(dataset[n].dims)] or found
    # Those given as an array may come from here, with a change or two.
    found = [n for n in found if n != _greens_name(wish.greens)] or [
        n for n in found if not _same(dataset[n], wish.greens)
    ]
    if not found:
        raise NothingToDoError(
            f"no floating-point variable with a time axis{_and(wish.join)} to invert; found "
            f"{kinds_of(dataset)}: name one with variables=, and its time axis with "
            "dims={'T': ...}"
        )
    return found


def _and(join: tuple[str, ...]) -> str:
    return f" and the dims {list(join)} of dim=" if join else ""


def _greens_name(greens: GreensLike | None) -> Hashable | None:
    return greens.name if isinstance(greens, xr.DataArray) else greens


def _same(array: xr.DataArray, greens: GreensLike | None) -> bool:
    """Whether an array is that of the Green's functions; nothing is computed."""
    if not isinstance(greens, xr.DataArray) or array.dims != greens.dims:
        return False
    if is_lazy(array.data) or is_lazy(greens.data):
        return getattr(array.data, "name", None) == getattr(greens.data, "name", "")
    return bool(array.variable.equals(greens.variable))


def make_ready(dataset: xr.Dataset, name: Hashable, handle: ModelHandle, wish: Wish) -> Ready:
    """Return a variable with its Green's functions; nothing is computed.

    Raises
    ------
    InputError, AxisError, TimeAxisError
        If data, Green's functions and arguments do not fit.
    """
    original = dataset[name]
    label = f"variable {name!r}"
    samples = samples_of(original, wish.dims, label)
    lost = [d for d in wish.join if d not in original.dims or d == samples.dim]
    if lost:
        others = [str(d) for d in original.dims if d != samples.dim]
        raise InputError(
            f"dim={lost[0]!r}: {label} has the dims {others} beside its time axis; expected one of "
            "these, along which records have one source"
        )
    record = as_floats(original)
    greens = _greens_of(dataset, record, samples, handle, wish)
    factor, units = _units_of_source(_units(original), greens)
    area: float | None = None
    if wish.impulse == "second":
        if greens.learnt is not None:
            raise InputError(
                "impulse='second' tells what given Green's functions are responses to, and the "
                "model has learnt its own; leave it out, or give greens="
            )
        if samples.unit is None:
            raise InputError(
                f"impulse='second': the time axis {samples.dim!r} of {label} is in no unit of "
                f"time; type obj[{samples.dim!r}].attrs['units'] = 's' first"
            )
        area = samples.step
        factor /= samples.step
        units = None if units is None else "s-1" if units == "1" else f"{units} s-1"
    length = wish.length
    if length is None and greens.lags:
        # As long as the sources that the model has learnt from.
        length = min(greens.lags, samples.count)
    job = Inversion(
        handle,
        count_of(length, samples),
        bool(wish.positive),
        wish.amplitudes,
        wish.gaps,
        wish.options,
    )
    clock, first = samples.since(greens.samples)
    return Ready(
        name,
        record,
        samples,
        greens,
        wish.join,
        job,
        factor,
        units,
        area,
        bool(wish.spread),
        (clock, samples.stamps(clock, first, job.length)),
    )


def _units_of_source(record: str | None, greens: Greens) -> tuple[float, str | None]:
    """Return what sources are multiplied by, and their units."""
    if greens.learnt is None:
        return quotient(record, _units(greens.array))
    before, units = greens.learnt
    factor, other = quotient(record, before)
    if other not in (None, "1"):
        raise InputError(
            f"the records are in {record!r}, those that the model has learnt from in {before!r}; "
            "expected units of the same kind"
        )
    return factor, units


def _units(array: xr.DataArray) -> str | None:
    text = str(array.attrs.get("units", "")).strip()
    return text or None


def _greens_of(
    dataset: xr.Dataset, record: xr.DataArray, samples: Samples, handle: ModelHandle, wish: Wish
) -> Greens:
    """Return the Green's functions that were given, or that a model has learnt."""
    given = wish.greens
    if isinstance(given, str):
        check_named(dataset, [given])
        given = dataset[given]
    if given is None:
        learnt = TrainedPath.of(handle)
        if learnt is None:
            raise InputError(
                f"model {handle.spec.key} needs the Green's functions: greens=..., a DataArray or "
                "the name of a variable; or a model that has learnt from pairs, own = "
                "records.geoml.fit('eq_tf', target=sources), then model=own"
            )
        return learnt.greens(record, samples)
    return aligned(given, record, samples, wish.dims, wish.resample, wish.impulse)


def inverted(ready: Ready) -> dict[Hashable, xr.DataArray]:
    """Return the sources of a variable, and what is told of them, by name; lazy if it is."""
    record, greens = ready.record, ready.greens.array
    dim, join = ready.samples.dim, ready.join
    along = [str(c) for c, v in record.coords.items() if dim in v.dims]
    record = record.drop_vars(along)
    job = ready.job
    if is_lazy(record.data) or is_lazy(greens.data):
        warn_of_progress(job.options)
        check_device(job.options)
        job = replace(job, options=replace(job.options, progress=False))
        core = (*join, dim)
        of_event = math.prod(record.sizes[d] for d in core)
        at_once = events_at_once(of_event, job.handle, job.options)
        record, greens = in_passes(record, greens, core, at_once)
    else:
        job = replace(job, threads=processors())
    # Labels are found: where other coordinates differ, those of the records stay.
    greens = greens.drop_vars(list(greens.coords))
    missing = [d for d in join if d not in greens.dims]
    if missing:
        greens = greens.expand_dims({d: record.sizes[d] for d in missing})
    dtype = float_dtype(record)
    made: Sequence[xr.DataArray] = xr.apply_ufunc(
        _run,
        record,
        greens,
        kwargs={"job": job, "stations": len(join), "factor": ready.factor, "dtype": dtype},
        input_core_dims=[[*join, dim], [*join, dim]],
        output_core_dims=[[_LAG], [_LAG], list(join), list(join)],
        dask="parallelized",
        dask_gufunc_kwargs={"output_sizes": {_LAG: job.length}},
        output_dtypes=[dtype] * 4,
        join="override",
    )
    source, spread, misfit, factor = made
    return _described(ready, source, spread, misfit, factor)


def _run(
    record: NDArray[Any],
    greens: NDArray[Any],
    *,
    job: Inversion,
    stations: int,
    factor: float,
    dtype: np.dtype[Any],
) -> tuple[NDArray[Any], ...]:
    """Return source, spread, misfit and factors of a block, (*loop, *stations, sample)."""
    core = stations + 1
    loop = np.broadcast_shapes(record.shape[:-core], greens.shape[:-core])
    of_event = record.shape[-core:]
    flat = loop or (1,)
    record, greens = (np.broadcast_to(a, (*flat, *of_event)) for a in (record, greens))
    shape = (-1, int(np.prod(of_event[:-1], dtype=int)), of_event[-1])

    def greens_of(events: NDArray[np.intp]) -> NDArray[Any]:
        # Of some events only: Green's functions that many have in common are not copied for all.
        return greens[np.unravel_index(events, flat)].reshape(shape)

    made = invert(record.reshape(shape), greens_of, job)
    source, spread = (a.reshape(*loop, job.length) * factor for a in (made.source, made.spread))
    others = (a.reshape((*loop, *of_event[:-1])) for a in (made.misfit, made.factor))
    largest = np.nanmax(np.abs(source), initial=0.0)
    if largest > np.finfo(dtype).max:
        raise InputError(
            f"the sources reach {largest:.3g}, which {dtype} does not hold; expected other units, "
            "or records = records.astype('float64')"
        )
    return tuple(a.astype(dtype) for a in (source, spread, *others))


def _described(
    ready: Ready,
    source: xr.DataArray,
    spread: xr.DataArray,
    misfit: xr.DataArray,
    factor: xr.DataArray,
) -> dict[Hashable, xr.DataArray]:
    """Return sources and what is told of them with dims in order, coordinates and attributes."""
    name, samples, job = ready.name, ready.samples, ready.job
    dims = [d for d in ready.record.dims if d not in ready.join]
    clock, stamps = ready.times

    def on_time(array: xr.DataArray) -> xr.DataArray:
        array = array.rename({_LAG: samples.dim}).transpose(*dims)
        if stamps is None or samples.coord is None:
            return array
        attrs = dict(samples.coord.attrs)
        attrs.pop("bounds", None)
        if clock == "lengths":
            attrs.pop("standard_name", None)
            attrs["long_name"] = "time since the onset"
        return array.assign_coords({samples.coord.name: (samples.dim, stamps, attrs)})

    units: dict[Hashable, Any] = {} if ready.units is None else {"units": ready.units}
    label = str(ready.record.attrs.get("long_name", name))
    source = on_time(source)
    area = 1.0 if ready.area is None else ready.area
    moment = source.sum(samples.dim, skipna=True, min_count=1) * area
    moment_units = {} if ready.units is None else {"units": _of_moment(ready)}
    moment.attrs = {"long_name": "moment of the source, its sum over time", **moment_units}
    misfit = misfit.transpose(*(d for d in ready.record.dims if d != samples.dim))
    left = "root mean square of what the source leaves of the record, over the record's"
    # A DataArray holds nothing along dims that it has not.
    of_event = (misfit**2).mean(list(ready.join)) ** 0.5 if ready.join else misfit
    of_event.attrs = {"long_name": left, "units": "1"}
    made: dict[Hashable, xr.DataArray] = {f"{name}_moment": moment, f"{name}_misfit": of_event}
    if ready.join:
        misfit.attrs = {"long_name": f"{left}, of each", "units": "1"}
        made[f"{name}_each_misfit"] = misfit
    if ready.spread:
        spread = on_time(spread)
        spread.attrs = {"long_name": "spread of the source: one standard deviation", **units}
        made[spread_name(name)] = spread
    if job.amplitudes == "free":
        factor.attrs = {
            "long_name": "what the Green's function was multiplied by",
            "units": "1",
        }
        made[f"{name}_factor"] = factor.transpose(*misfit.dims)
    attrs: dict[Hashable, Any] = {"long_name": f"source time function of {label}", **units}
    beside = [str(n) for n, a in made.items() if set(a.dims) <= set(source.dims)]
    source.attrs = with_ancillary(attrs, beside)
    return {name: source, **made}


def _of_moment(ready: Ready) -> str:
    """Return the units of the sum."""
    assert ready.units is not None
    if ready.area is None:
        return ready.units
    return ready.units.removesuffix("s-1").strip() or "1"


def without_records(
    dataset: xr.Dataset, readies: Sequence[Ready], greens: GreensLike | None
) -> xr.Dataset:
    """Return the Dataset without all that lies along the time axes of records.

    A warning tells of other variables that are left out.
    """
    dims = list(dict.fromkeys(r.samples.dim for r in readies))
    treated = {r.name for r in readies} | {_greens_name(greens)}
    lost = [
        str(name)
        for name, variable in dataset.data_vars.items()
        if set(dims) & set(variable.dims) and name not in treated
    ]
    if lost:
        warnings.warn(
            f"left out: variables {lost}, along the time axis of the records, which the sources "
            "have not; name variables= to invert them",
            stacklevel=7,
        )
    return dataset.drop_dims(dims)
