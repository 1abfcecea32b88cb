"""All checks over one model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from xgeoml.exceptions import InputError, did_you_mean
from xgeoml.model import load
from xgeoml.registry import get_model
from xgeoml.spec import ModelSpec, Task
from xgeoml.tasks.choose import ModelLike, make_handle
from xgeoml.testing import (
    between_form,
    between_grids,
    between_values,
    finer_form,
    finer_grids,
    finer_values,
    form,
    geometry,
    months,
    sources_clocks,
    sources_form,
    sources_stations,
    sources_values,
    values,
)
from xgeoml.testing.between import Between
from xgeoml.testing.compare import CheckSkippedError, Subject
from xgeoml.testing.finer import Finer
from xgeoml.testing.sources import Inverter
from xgeoml.weights.address import kind_of

Check = Callable[[Any], None]

CHECKS: dict[str, Check] = {
    check.__name__: check
    for check in (
        values.no_leak,
        values.observed,
        values.gaps_filled,
        values.unfilled,
        values.units,
        values.spread,
        values.suspect,
        values.covariates,
        values.repeatable,
        values.spec_json,
        values.weights_file,
        values.card,
        values.parameters,
        form.chunks,
        form.processes,
        form.batches,
        form.dim_orders,
        form.metadata,
        form.dtypes,
        form.datasets,
        form.lazy,
        form.graph_size,
        geometry.latitude_order,
        geometry.longitude_convention,
        geometry.global_roll,
        geometry.curvilinear,
        geometry.stations,
        geometry.calendars,
        geometry.time_errors,
        geometry.one_step,
        geometry.few_steps,
        geometry.zero_size,
        geometry.constant_cell,
        geometry.integers,
        geometry.infinities,
        geometry.input_kept,
    )
}
"""Name -> check, in the order in which they run; each takes the model under test."""

OF_MONTHS: dict[str, Check] = {
    check.__name__: check
    for check in (
        months.no_leak,
        months.observed,
        months.gaps_filled,
        months.units,
        months.spread,
        values.repeatable,
        values.spec_json,
        values.weights_file,
        values.card,
        values.parameters,
        months.order_of_days,
        months.chunks,
        months.batches,
        months.dim_orders,
        months.metadata,
        months.calendars,
    )
}
"""The same for models that make months of days."""

OF_GRIDS: dict[str, Check] = {
    check.__name__: check
    for check in (
        finer_values.no_leak,
        finer_values.far_cells,
        finer_values.seams,
        finer_values.unseen_truth,
        finer_values.units,
        finer_values.planes,
        finer_values.means_kept,
        finer_values.missing,
        finer_values.near_missing,
        finer_values.all_missing,
        finer_values.constant,
        finer_values.repeatable,
        finer_values.members,
        finer_values.covariates,
        finer_values.spec_json,
        finer_values.weights_file,
        finer_values.card,
        finer_values.parameters,
        finer_form.chunks,
        finer_form.processes,
        finer_form.batches,
        finer_form.dim_orders,
        finer_form.other_dims,
        finer_form.metadata,
        finer_form.dtypes,
        finer_form.integers,
        finer_form.datasets,
        finer_form.lazy,
        finer_form.graph_size,
        finer_form.input_kept,
        finer_form.like,
        finer_form.other_grid,
        finer_grids.latitude_order,
        finer_grids.longitude_convention,
        finer_grids.global_roll,
        finer_grids.curvilinear,
        finer_grids.projection,
        finer_grids.calendars,
        finer_grids.one_step,
        finer_grids.small_grids,
        finer_grids.zero_size,
        finer_grids.infinities,
        finer_grids.far_values,
    )
}
"""The same for models of downscaling."""

OF_TIMES: dict[str, Check] = {
    check.__name__: check
    for check in (
        between_values.no_leak,
        between_values.ends,
        between_values.units,
        between_values.somewhere_between,
        between_values.missing_cells,
        between_values.missing_fields,
        between_values.all_missing,
        between_values.gaps,
        between_values.infinities,
        between_values.constant,
        between_values.far_values,
        between_values.totals,
        between_values.vectors_flip,
        between_values.repeatable,
        between_values.learns_again,
        between_values.spec_json,
        between_values.weights_file,
        between_values.card,
        between_values.parameters,
        between_form.chunks,
        between_form.processes,
        between_form.batches,
        between_form.passes,
        between_form.dim_orders,
        between_form.other_dims,
        between_form.metadata,
        between_form.dtypes,
        between_form.integers,
        between_form.datasets,
        between_form.vectors,
        between_form.lazy,
        between_form.graph_size,
        between_form.input_kept,
        between_values.other_grid,
        between_grids.latitude_order,
        between_grids.longitude_convention,
        between_grids.global_roll,
        between_grids.curvilinear,
        between_grids.stations,
        between_grids.calendars,
        between_grids.irregular,
        between_grids.far_dates,
        between_grids.time_errors,
        between_grids.one_step,
        between_grids.few_steps,
        between_grids.small_grids,
        between_grids.zero_size,
    )
}
"""The same for models of interpolation in time."""

OF_SOURCES: dict[str, Check] = {
    check.__name__: check
    for check in (
        sources_values.no_leak,
        sources_values.units,
        sources_values.signs,
        sources_values.forward,
        sources_values.lengths,
        sources_values.longer_greens,
        sources_values.spread,
        sources_values.free_amplitudes,
        sources_values.impulse,
        sources_values.repeatable,
        sources_values.spec_json,
        sources_values.weights_file,
        sources_values.card,
        between_values.parameters,
        sources_stations.stations,
        sources_stations.missing_stations,
        sources_stations.silent,
        sources_stations.all_missing,
        sources_stations.gaps,
        sources_stations.infinities,
        sources_form.chunks,
        sources_form.processes,
        sources_form.batches,
        sources_form.dim_orders,
        sources_form.other_dims,
        sources_form.labels,
        sources_form.metadata,
        sources_form.dtypes,
        sources_form.integers,
        sources_form.datasets,
        sources_form.lazy,
        sources_form.graph_size,
        sources_form.input_kept,
        sources_clocks.clocks,
        sources_clocks.resampled,
        sources_clocks.time_errors,
        sources_clocks.one_event,
    )
}
"""The same for models of waveform inversion."""


class ModelCheckError(AssertionError):
    """A model does not pass.

    Parameters
    ----------
    model : str
        Name and version of the model.
    failures : mapping
        Name of each check that failed -> what was wrong.
    """

    def __init__(self, model: str, failures: Mapping[str, str]) -> None:
        self.model = model
        self.failures = dict(failures)
        lines = "".join(f"\n  - {name}: {text}" for name, text in self.failures.items())
        super().__init__(f"model {model} fails {len(self.failures)} checks:{lines}")


def list_checks(task: Task = "fill_gaps", *, months: bool = False) -> list[str]:
    """Return the names of the checks, in the order in which they run.

    Parameters
    ----------
    task : {"fill_gaps", "downscale", "interp_time", "invert_waveform"}
        What the models do.
    months : bool
        Those of models that make months of days, such as `climanet`.

    Examples
    --------
    >>> "no_leak" in list_checks()
    True
    """
    usual = OF_MONTHS if months else CHECKS
    others = {"downscale": OF_GRIDS, "interp_time": OF_TIMES, "invert_waveform": OF_SOURCES}
    return list(others.get(task, usual))


def check_model(
    model: ModelLike,
    *,
    task: Task | None = None,
    checks: Iterable[str] | None = None,
    processes: bool = False,
) -> dict[str, str]:
    """Run every check over a model, for models of other packages too.

    Parameters
    ----------
    model : str, path or ModelSpec
        As for `xgeoml.fill_gaps`, `xgeoml.downscale`, `xgeoml.interp_time` or
        `xgeoml.invert_waveform`. A spec must be importable by its factory's name. A model of
        downscaling or of interpolation in time that learns is fitted to small made-up data first;
        a network for two steps only, for which Lightning is needed. A network of waveform
        inversion without weights is given random ones.
    task : str, optional
        Of a name that models of several tasks have, which one is meant.
    checks : iterable of str, optional
        Names from `list_checks`; all by default.
    processes : bool
        Also run on worker processes, which takes some seconds to start them.

    Returns
    -------
    dict
        Name of each check -> ``"passed"``, or ``"skipped: ..."`` and why.

    Raises
    ------
    ModelCheckError
        Listing all that is wrong.
    InputError
        If a name in `checks` is no check.

    Examples
    --------
    >>> from xgeoml.testing import check_model
    >>> check_model("linear", checks=["observed", "units"])
    {'observed': 'passed', 'units': 'passed'}
    """
    subject, known = _under_test(model, task)
    chosen = _chosen(checks, processes, known)
    report: dict[str, str] = {}
    failures: dict[str, str] = {}
    for name in chosen:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", RuntimeWarning)
                known[name](subject)
        except CheckSkippedError as reason:
            report[name] = f"skipped: {reason}"
        except AssertionError as error:
            failures[name] = str(error)
        except Exception as error:  # a model may fail in any way: all of them go into the report
            failures[name] = f"{type(error).__name__}: {error}"
        else:
            report[name] = "passed"
    if failures:
        raise ModelCheckError(subject.spec.key, failures)
    return report


def _under_test(
    model: ModelLike, task: Task | None
) -> tuple[Subject | Finer | Between | Inverter, Mapping[str, Check]]:
    """Return a model with the checks that are for it."""
    spec = getattr(model, "spec", model)
    if not isinstance(spec, ModelSpec):
        by_name = isinstance(model, str) and kind_of(model) == "name"
        spec = get_model(model, task) if by_name else load(model).spec  # type: ignore[arg-type]
    if spec.task == "downscale":
        return Finer(model, make_handle(model, "downscale", None, 0).spec), OF_GRIDS
    if spec.task == "interp_time":
        return Between(model, make_handle(model, "interp_time", None, 0).spec), OF_TIMES
    if spec.task == "invert_waveform":
        return Inverter(model, make_handle(model, "invert_waveform", None, 0).spec), OF_SOURCES
    subject = Subject(model, make_handle(model, "fill_gaps", None, 0).spec)
    return subject, OF_MONTHS if subject.gives_months else CHECKS


def _chosen(checks: Iterable[str] | None, processes: bool, known: Mapping[str, Check]) -> list[str]:
    if checks is None:
        return [name for name in known if processes or name != "processes"]
    chosen = [checks] if isinstance(checks, str) else list(checks)
    for name in chosen:
        if name not in known:
            near = did_you_mean(name, known)
            hint = f"did you mean {near}?" if near else f"expected some of {list(known)}"
            raise InputError(f"there is no check {name!r}: {hint}")
    return chosen
