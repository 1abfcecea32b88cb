"""What a call would do: windows, chunks, device and memory, without doing it."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import xarray as xr

from xgeoml.engine.execute import BLOCK_ELEMENTS, is_lazy, output_chunks
from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.inversion import Amplitudes, Gaps
from xgeoml.engine.plan import Plan
from xgeoml.exceptions import InputError
from xgeoml.months import Freq, check_freq
from xgeoml.options import get_options
from xgeoml.rows import Rows
from xgeoml.spec import Task
from xgeoml.tasks.best import BEST
from xgeoml.tasks.choose import ModelLike, WeightsLike, automatic, check_name
from xgeoml.tasks.covariates import Covariates
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.downscale import check_wish
from xgeoml.tasks.fill_gaps import listed, variables_to_fill, with_named
from xgeoml.tasks.filling import (
    TASK,
    Request,
    gives_months,
    in_order,
    is_automatic,
    make_job,
    resolve,
)
from xgeoml.tasks.inspect import first_treated
from xgeoml.tasks.instants import Times, TimeStep
from xgeoml.tasks.interp_time import check_wish as check_times
from xgeoml.tasks.interpolating import Wish as TimeWish
from xgeoml.tasks.inverting import GreensLike, Length
from xgeoml.tasks.inverting import Wish as WaveWish
from xgeoml.tasks.joined import joined
from xgeoml.tasks.monthly import Monthly, in_chunks, in_slots, prepare_months
from xgeoml.tasks.plan_downscale import GridPlan, plan_downscale
from xgeoml.tasks.plan_in_time import TimePlan, plan_in_time
from xgeoml.tasks.plan_waveforms import WaveformPlan, plan_waveforms
from xgeoml.tasks.prepare import Prepared, prepare
from xgeoml.tasks.quantities import plain
from xgeoml.tasks.refining import Wish

# Work arrays of one tile in float64, over the tile itself: measured with the classical models.
_WORK_ARRAYS = 12
# What each task knows of the arguments that not all of them have.
_OWN = {
    "fill_gaps": ("covariates", "freq", "spread"),
    "downscale": ("covariates", "factor", "like", "members"),
    "interp_time": ("freq", "factor", "times", "accumulated"),
    "invert_waveform": ("spread", "greens", "dim", "length", "amplitudes", "resample", "gaps"),
}


@dataclass(frozen=True, repr=False)
class TaskPlan(Rows):
    """What a call would do. Print it.

    Attributes
    ----------
    task, model, reason : str
        The job, the model as name@version, and why it was taken.
    variable : str
        The variable treated.
    dims : tuple of str
        Dims in the engine's order; pointwise ones first.
    axes : tuple of str
        One line for each axis: how it was found.
    engine : Plan
        Windows, stride, halo and tiles along each of `dims`.
    time_step : str
        Sampling found, such as ``"monthly"``.
    n_added : int
        Absent time steps that will be added.
    missing : float or None
        Share of missing cells after that; None if the data are lazy.
    chunks : tuple of tuple of int
        Chunks of the result along each of `dims`; of NumPy data, one.
    bases : tuple of str
        Classical models that run first.
    device : str
        Where the network runs; the classical models run on the processor.
    batch_size : int or None
        Series or windows in one pass, if set.
    memory : int
        Estimate of the bytes needed beyond the input: the result, and the work on one block.
    months : int or None
        Number of months of the result, with ``freq=``.
    """

    task: str
    model: str
    reason: str
    variable: str
    dims: tuple[str, ...]
    axes: tuple[str, ...]
    engine: Plan
    time_step: str
    n_added: int
    missing: float | None
    chunks: tuple[tuple[int, ...], ...]
    bases: tuple[str, ...]
    device: str
    batch_size: int | None
    memory: int
    months: int | None = None

    def _title(self) -> str:
        return f"plan: {self.task}"

    def _rows(self) -> list[tuple[str, str]]:
        sizes = ", ".join(f"{d}: {n}" for d, n in zip(self.dims, self.engine.shape, strict=True))
        n_chunks = math.prod(len(c) for c in self.chunks)
        tiles = " x ".join(str(a.unit) for a in self.engine.across) or "-"
        windows = [
            f"{d}: window {a.window}, stride {a.stride}, halo {a.halo}"
            + (", periodic" if a.periodic else "")
            for d, a in zip(self.dims, self.engine.axes, strict=True)
            if a.mode == "window"
        ]
        windows += [
            f"{d}: tiles of {a.unit}, which see {a.halo} cells around"
            for d, a in zip(self.dims, self.engine.axes, strict=True)
            if a.mode == "tile"
        ]
        missing = "unknown (lazy)" if self.missing is None else f"{self.missing:.1%} of the cells"
        made = "" if self.months is None else f", {self.months} months"
        return [
            ("model", f"{self.model} ({self.reason})"),
            ("runs first", ", ".join(self.bases) or "-"),
            ("variable", f"{self.variable} ({sizes})"),
            *(("axis", line) for line in self.axes),
            ("time steps", f"{self.time_step}, {self.n_added} absent ones to add"),
            ("missing", missing),
            *(("windows", line) for line in windows),
            ("samples", f"{self.engine.n_samples}, in tiles of {tiles}"),
            ("output", f"{n_chunks} chunk{'s' * (n_chunks != 1)}{made}"),
            ("device", f"{self.device}, batch of {self.batch_size or 'its own choice'}"),
            ("memory", f"about {self.memory / 1e6:.0f} MB beyond the input"),
        ]


AnyPlan = TaskPlan | GridPlan | TimePlan | WaveformPlan


def plan(
    obj: GeoObject,
    task: Task = "fill_gaps",
    model: ModelLike = "auto",
    *,
    weights: WeightsLike | None = None,
    variable: Hashable | None = None,
    covariates: Covariates = None,
    freq: Freq | TimeStep | None = None,
    spread: bool = False,
    factor: int | None = None,
    like: xr.DataArray | xr.Dataset | None = None,
    members: int | None = None,
    times: Times | None = None,
    accumulated: bool = False,
    greens: GreensLike | None = None,
    dim: str | Sequence[str] | None = None,
    length: Length | None = None,
    amplitudes: Amplitudes = "given",
    resample: bool = False,
    gaps: Gaps = "raise",
    dims: Mapping[str, str] | None = None,
    model_options: Mapping[str, Any] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
) -> AnyPlan:
    """Return what a call of `task` would do, without running the model.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        The data; of a DataTree, the first group that the task would treat is planned for.
    task : {"fill_gaps", "downscale", "interp_time", "invert_waveform"}
        The job.
    model, weights, covariates, dims, model_options, device, batch_size : optional
        As in the method of that name.
    freq, spread : optional
        As in `fill_gaps`; `freq` also as in `interp_time`, `spread` as in `invert_waveform`.
    factor, like, members : optional
        As in `downscale`; `factor` also as in `interp_time`.
    times, accumulated : optional
        As in `interp_time`.
    greens, dim, length, amplitudes, resample, gaps : optional
        As in `invert_waveform`.
    variable : str, optional
        Which variable of a Dataset; by default the first that the task would treat.

    Returns
    -------
    TaskPlan, GridPlan, TimePlan or WaveformPlan

    Raises
    ------
    GeoMLError
        Whatever the call itself would raise before it computes.

    Examples
    --------
    >>> import xgeoml
    >>> record = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    >>> record.geoml.plan(model="kalman").time_step
    'monthly'
    """
    like, covariates, greens = plain((like, covariates, greens))
    options = get_options(device=device, batch_size=batch_size)
    if task not in _OWN:
        raise InputError(f"task={task!r}: expected one of {', '.join(map(repr, _OWN))}")
    check_name(model, task, obj, "variable")
    given: dict[str, Any] = {
        "covariates": covariates,
        "freq": freq,
        "spread": spread or None,
        "factor": factor,
        "like": like,
        "members": members,
        "times": times,
        "accumulated": accumulated or None,
        "greens": greens,
        "dim": dim,
        "length": length,
        "amplitudes": None if amplitudes == "given" else amplitudes,
        "resample": resample or None,
        "gaps": None if gaps == "raise" else gaps,
    }
    wrong = [f"{k}=" for k, v in given.items() if v is not None and k not in _OWN[task]]
    if wrong:
        raise InputError(f"{', '.join(wrong)}: not of task={task!r}; leave it out")
    if isinstance(model, str) and model == BEST:
        raise InputError(
            "model='best' compares models by running them, and a plan runs none; plan one of them, "
            f"or compare first: obj.geoml.evaluate({task!r}).attrs['best']"
        )
    if task == "invert_waveform":
        wanted = WaveWish(
            model=model,
            weights=weights,
            greens=greens,
            join=joined(dim),
            positive=True,
            length=length,
            amplitudes=amplitudes,
            impulse="sample",
            resample=resample,
            gaps=gaps,
            spread=spread,
            dims=dims,
            model_options=model_options,
            options=options,
            call="",
        )
        return plan_waveforms(obj, variable, wanted)
    if task == "interp_time":
        check_times(freq, factor, times, accumulated, True, None, dims)
        return plan_in_time(
            obj,
            variable,
            TimeWish(
                freq=freq,
                factor=factor,
                times=times,
                accumulated=accumulated,
                model=model,
                weights=weights,
                terrain=True,
                max_gap=None,
                dims=dims,
                model_options=model_options,
                options=options,
                call="",
            ),
        )
    if task == "downscale":
        check_wish(factor, like, True, None, "auto", None, members, dims)
        wish = Wish(
            factor=factor,
            model=model,
            like=like,
            weights=weights,
            covariates=covariates,
            terrain=True,
            mask=None,
            conserve="auto",
            minimum=None,
            members=members,
            dims=dims,
            model_options=model_options,
            options=options,
            call="",
        )
        return plan_downscale(obj, variable, wish)
    request = Request(
        model=model,
        weights=weights,
        model_options=model_options,
        covariates=covariates,
        mask=None,
        max_gap=None,
        spread=spread,
        dims=dims,
        options=options,
        call="",
        freq=check_freq(freq),  # type: ignore[arg-type]
    )
    named = None if variable is None else listed([variable])
    dataset, above, name = first_treated(obj, named, partial(variables_to_fill, request=request))
    request = with_named(request, dataset, above)
    if request.freq is not None:
        monthly, handle = prepare_months(dataset, name, request)
        n_before = dataset[name].sizes[monthly.time]
        return _plan_of(monthly.prepared, handle, n_before, request, monthly)
    _, prepared = prepare(dataset, name, request.covariates, dims)
    handle = resolve(prepared, request)
    prepared = in_order(prepared, handle.spec, request.covariates)
    return _plan_of(prepared, handle, dataset[name].sizes[prepared.time], request)


def _plan_of(
    prepared: Prepared,
    handle: ModelHandle,
    n_before: int,
    request: Request,
    monthly: Monthly | None = None,
) -> TaskPlan:
    n_steps = prepared.data.sizes[prepared.time]
    lazy = is_lazy(prepared.data.variable.data)
    missing = None if lazy else float(prepared.data.isnull().mean()) - _share_kept(prepared)
    made = prepared
    if monthly is not None and gives_months(handle.spec):
        # Lazy, so that nothing is arranged by months here.
        some = made.data if lazy else made.data.chunk()
        ready = in_slots(replace(monthly, prepared=replace(made, data=some)))
        made, _ = in_chunks(*ready, handle.spec)
    job = make_job(made, handle, request)
    dims = made.canonical_dims(handle.spec)
    value = made.data.transpose(*dims).variable.data
    reason = "as asked"
    if is_automatic(request):
        reason = automatic(n_steps, len(prepared.covariates), prepared.on_grid)[1]
    cut = output_chunks(value, job.plan) if lazy else tuple((n,) for n in value.shape)
    chunks = _chunks_of(cut, job.plan, dims.index(made.time), monthly)
    block = min(job.plan.n_samples * job.plan.sample_elements, BLOCK_ELEMENTS)
    elements = math.prod(max(c) for c in chunks) * (job.n_outputs + len(prepared.covariates))
    device = "cpu"
    if handle.spec.backend == "torch":
        from xgeoml.engine.runner import resolve_device

        device = resolve_device(request.options.device)
    return TaskPlan(
        task=TASK,
        model=handle.spec.key,
        reason=reason,
        variable=str(prepared.data.name),
        dims=dims,
        axes=tuple(
            f"{axis}: {prepared.axes.names[axis]} ({how})"
            for axis, how in prepared.axes.how.items()
        ),
        engine=job.plan,
        time_step=prepared.steps.freq,
        n_added=n_steps - n_before,
        missing=missing,
        chunks=chunks,
        bases=tuple(h.spec.key for h in handle.bases),
        device=device,
        batch_size=request.options.batch_size,
        memory=elements * value.dtype.itemsize + block * 8 * _WORK_ARRAYS,
        months=None if monthly is None else int(np.count_nonzero(monthly.months.n_steps)),
    )


def _chunks_of(
    chunks: tuple[tuple[int, ...], ...], engine: Plan, time: int, monthly: Monthly | None
) -> tuple[tuple[int, ...], ...]:
    """Return the chunks of the result: in months, if it has them."""
    made = [
        tuple(n // axis.coarsen for n in lengths)
        for lengths, axis in zip(chunks, engine.axes, strict=True)
    ]
    if monthly is not None and engine.axes[time].coarsen == 1:
        made[time] = (monthly.months.number.size,)  # of whole series
    return tuple(made)


def _share_kept(prepared: Prepared) -> float:
    """Return the share of cells that an earlier call filled, or found suspect."""
    return 0.0 if prepared.earlier is None else float(prepared.earlier.kept.values.mean())
