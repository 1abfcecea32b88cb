"""All checks over one model."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping

from xgeoml.exceptions import InputError, did_you_mean
from xgeoml.tasks.choose import ModelLike, make_handle
from xgeoml.testing import form, geometry, months, values
from xgeoml.testing.compare import CheckSkippedError, Subject

Check = Callable[[Subject], None]

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


def list_checks(*, months: bool = False) -> list[str]:
    """Return the names of the checks, in the order in which they run.

    Parameters
    ----------
    months : bool
        Those of models that make months of days, such as `climanet`.

    Examples
    --------
    >>> "no_leak" in list_checks()
    True
    """
    return list(OF_MONTHS if months else CHECKS)


def check_model(
    model: ModelLike, *, checks: Iterable[str] | None = None, processes: bool = False
) -> dict[str, str]:
    """Run every check over a model of `fill_gaps`; for models of other packages too.

    Parameters
    ----------
    model : str, path or ModelSpec
        As for `xgeoml.fill_gaps`. A spec must be importable by its factory's name.
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
    subject = Subject(model, make_handle(model, "fill_gaps", None, 0).spec)
    known = OF_MONTHS if subject.gives_months else CHECKS
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
