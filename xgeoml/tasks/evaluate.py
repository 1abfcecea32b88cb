"""How good models are on a user's own data: known values hidden, brought back, and compared."""

from __future__ import annotations

import inspect
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, get_args

import numpy as np
import xarray as xr

from xgeoml.exceptions import AxisError, InputError
from xgeoml.months import Freq, check_freq
from xgeoml.options import get_options
from xgeoml.spec import Task
from xgeoml.tasks.arguments import read_arguments
from xgeoml.tasks.choose import check_name
from xgeoml.tasks.contenders import Fits, Lineup, Metrics, Models, Regions
from xgeoml.tasks.covariates import Covariates
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.holdouts import read_holdout, read_masks
from xgeoml.tasks.inverting import GreensLike, Length
from xgeoml.tasks.joined import joined
from xgeoml.tasks.placing import FACTORS
from xgeoml.tasks.quantities import plain
from xgeoml.tasks.trials import Wish

# Which arguments go with which task only.
_OWN: dict[Task, set[str]] = {
    "fill_gaps": {"holdout", "period", "covariates", "freq", "regions"},
    "downscale": {"period", "covariates", "factor", "target", "regions"},
    "interp_time": {"period", "factor", "regions"},
    "invert_waveform": {"greens", "dim", "length", "target"},
}


def evaluate(
    obj: GeoObject,
    task: Task,
    models: Models = None,
    *,
    holdout: Any = None,
    repeats: int | None = None,
    period: slice | tuple[Any, Any] | None = None,
    fit: Fits = None,
    baselines: bool = True,
    variable: Hashable | None = None,
    covariates: Covariates = None,
    freq: Freq | None = None,
    factor: int | None = None,
    target: xr.DataArray | None = None,
    greens: GreensLike | None = None,
    dim: str | Sequence[str] | None = None,
    length: Length | None = None,
    arguments: Mapping[str, Any] | None = None,
    metrics: Metrics = None,
    regions: Regions = None,
    dims: Mapping[str, str] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
    seed: int | None = None,
) -> xr.Dataset:
    """Hide known values, ask models for them, and score the answers.

    What is hidden is removed before any model sees the data. Every model is given the same data in
    each repeat, so that differences between models are surer than the scores themselves.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        The data. The variable is loaded; choose a part of what is larger than memory.
    task : {"fill_gaps", "downscale", "interp_time", "invert_waveform"}
        `fill_gaps` hides values in the shapes of `holdout`. `downscale` averages the fields to a
        grid `factor` times as coarse and compares what comes back. `interp_time` keeps every
        `factor`-th step and compares the others. `invert_waveform` compares with known sources,
        `target`, or else leaves stations out and compares their records with what the source found
        from the others makes of their Green's functions.
    models : sequence of str, path or Model, or mapping, optional
        What to compare, or labels and what they stand for; ``"auto"`` is the model that the task
        would take. By default all models that fit the data, need no training and have their weights
        here.
    holdout : str, mapping, DataArray of bool or sequence of these, optional
        Of `fill_gaps`. ``"gaps"``, the default: the record's own gaps, moved in time; ``"steps"``:
        single steps; ``"runs"``: runs of steps; ``"clouds"``: shapes in each step; ``"blocks"``:
        boxes in space and time. With a number, ``{"runs": 6}``, ``{"steps": 0.2}``: the steps of a
        run, or the share that is hidden. Masks are True where values are to be hidden, one for each
        repeat.
    repeats : int, optional
        How often other values are hidden; of tasks that hide all in turn, how many blocks of time,
        events or stations they are made of. By default 4, or as many as there are masks.
    period : slice or tuple of dates, optional
        Hide values in this part of the time only, such as ``("2018", None)``: that after the
        training of a model of your own.
    fit : str, sequence of str, or mapping, optional
        Models to train anew in each repeat on what is not hidden, by name, or names and settings of
        `xgeoml.fit`: ``{"ridge": {}, "grace_tf": {"max_epochs": 5}}``.
    baselines : bool
        Whether the usual cheap methods are run beside the models: `linear` and `climatology`,
        `nearest` and `bicubic`, `linear` and `akima`, `wiener` and `nnls`.
    variable : str, optional
        Which variable of a Dataset; by default the first that the task would treat.
    covariates : optional
        As in `xgeoml.fill_gaps` and `xgeoml.downscale`, for models that make use of them.
    freq : {"MS", "ME"}, optional
        Of `fill_gaps`: compare means of months, those that models of months such as `climanet`
        make of what is not hidden, and those of steps that the others fill, with the months of all
        that is known. A month of a cell counts if at least ten times as many of its values are
        hidden as the record itself misses there; these are put between their neighbours in time.
    factor : int, optional
        Of `downscale`, 4 by default; of `interp_time`, 2.
    target : DataArray, optional
        Of `downscale`: the fine fields, the data being the coarse ones. Of `invert_waveform`: the
        known sources.
    greens, dim, length : optional
        As in `xgeoml.invert_waveform`.
    arguments : mapping, optional
        Further arguments of the task for each of its calls, by name, such as ``{"positive":
        False}``: what is compared is then what you would get. Others than these are refused.

        - `fill_gaps`: mask and max_gap; what they leave missing does not count.
        - `downscale`: terrain, mask, conserve and minimum. like: the fields are made as much
          coarser as its grid is finer, and brought back onto their own. members: of models that
          draw random numbers the mean is scored, their standard deviation being the spread.
        - `interp_time`: vectors, terrain and max_gap; a length of time `factor` times as long, as
          the steps are. accumulated: sums of `factor` steps are given, and divided again.
        - `invert_waveform`: positive, impulse, resample and gaps. amplitudes: free ones are also
          those of stations that were left out, so that only the shape of their records counts.
    metrics : sequence or mapping of functions or names, optional
        Further scores: functions of (truth, estimate), those of xskillscore, or names in
        `xgeoml.metrics` or xskillscore. They are given values where they count, NaN elsewhere.
    regions : mapping, optional
        Name -> DataArray of bool, or slices such as ``{"lat": slice(-23, 23)}``, of longitudes from
        the western end to the eastern one. By default bands of latitude where the grid reaches over
        more than one.
    dims : mapping, optional
        Which dim is which axis, where it cannot be found out.
    device, batch_size, precision, progress, seed : optional
        For this call, in place of `xgeoml.set_options`. The seed decides what is hidden.

    Returns
    -------
    Dataset
        Scores by ``(model, repeat)``: `rmse`, `mae` and `bias` in the units of the data, `r`
        (correlation), `nse` (Nash-Sutcliffe), `kge` (Kling-Gupta), of models with a spread `crps`
        and `coverage` (of the interval of 90 %), `spectrum_error` of hidden fields, `made` (share
        of the hidden values that got one), `seconds`; of waveforms `nrmse`, `r`, `lag`,
        `moment_error`, `duration_error` and `misfit`. They are weighted by the area of the cells.
        The first of them is also given by season, region and length of the gap. ``difference``,
        with its interval of 95 %, compares models with the best one, paired over repeats. ``error``
        says why a model failed. ``scores.geoml`` shows a table, ``scores.geoml.plot.skill()`` a
        picture.

    Raises
    ------
    InputError, AxisError, TimeAxisError, SpecError
        If data and arguments do not fit.
    GeoMLError
        If every model failed.

    Examples
    --------
    >>> import xgeoml
    >>> record = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    >>> scores = record.geoml.evaluate("fill_gaps", ["kalman"], repeats=2)
    >>> scores.rmse.sizes["model"], scores.attrs["best"]
    (3, 'kalman')
    """
    covariates, target, greens = plain((covariates, target, greens))
    options = get_options(
        device=device, batch_size=batch_size, precision=precision, progress=progress, seed=seed
    )
    if task not in get_args(Task):
        raise InputError(f"task={task!r}: expected one of {', '.join(map(repr, get_args(Task)))}")
    for model in models if isinstance(models, (list, tuple)) else [models]:
        check_name(model, task, obj, "variable")
    _check_own(
        task,
        holdout=holdout,
        period=period,
        covariates=covariates,
        factor=factor,
        target=target,
        greens=greens,
        dim=dim,
        length=length,
        regions=regions,
        freq=freq,
    )
    further = read_arguments(task, arguments, inspect.signature(evaluate).parameters)
    if "like" in further and (factor is not None or target is not None):
        named = "factor=" if factor is not None else "target="
        raise InputError(f"arguments: 'like' and {named} both say how fine; give one of them")
    if dims is not None and not isinstance(dims, Mapping):
        raise AxisError(f"dims={dims!r}: expected a mapping, such as {{'T': 'time'}}")
    if not isinstance(baselines, (bool, np.bool_)):
        raise InputError(f"baselines={baselines!r}: expected True or False")
    masks = None if holdout is None else read_masks(holdout)
    count = 4 if masks is None else len(masks)
    kind = "gaps" if holdout is None else holdout
    wish = Wish(
        holdout=masks or (read_holdout(kind) if task == "fill_gaps" else None),
        repeats=_count(repeats, count, masks is not None),
        period=_slice(period),
        covariates=covariates,
        factor=factor,
        target=target,
        greens=greens,
        join=joined(dim),
        length=length,
        dims=dims,
        options=options,
        freq=check_freq(freq),
        arguments=further,
    )
    if metrics is not None and task == "invert_waveform":
        raise InputError("metrics=: not of task='invert_waveform'; leave it out")

    lineup = Lineup(models, fit, bool(baselines), freq is not None, covariates is not None, options)
    # Scores need scipy, which `import xgeoml` does without.
    from xgeoml.tasks.evaluating import scores_of

    return scores_of(obj, task, lineup, variable, wish, regions, metrics)


def _check_own(task: Task, **given: Any) -> None:
    """Raise if something was given that is of another task."""
    wrong = [f"{k}=" for k, v in given.items() if v is not None and k not in _OWN[task]]
    if wrong:
        raise InputError(f"{', '.join(wrong)}: not of task={task!r}; leave it out")
    factor, target = given["factor"], given["target"]
    if factor is not None and (isinstance(factor, bool) or not _whole(factor) or factor < 2):
        raise InputError(f"factor={factor!r}: expected a whole number, 2 or more")
    if factor is not None and task == "downscale" and factor not in FACTORS:
        raise InputError(
            f"factor={factor}: expected a whole number, {FACTORS[0]} to {FACTORS[-1]}; for other "
            "ratios give coarse data and the fine fields, target=..."
        )
    greens = given["greens"]
    if greens is not None and not isinstance(greens, (str, xr.DataArray)):
        raise InputError(
            f"greens is a {type(greens).__name__}; expected a DataArray, or the name of a variable"
        )
    drivers = given["covariates"]
    several = drivers if isinstance(drivers, (list, tuple)) else [drivers]
    wrong = [type(c).__name__ for c in several if not isinstance(c, (str, xr.DataArray))]
    if drivers is not None and wrong:
        raise InputError(
            f"covariates hold a {wrong[0]}; expected names in the Dataset or DataArrays, such as "
            "covariates=[orography]"
        )
    if target is not None and not isinstance(target, xr.DataArray):
        raise InputError(f"target is a {type(target).__name__}; expected a DataArray")
    if factor is not None and target is not None:
        raise InputError("factor= and target= both say what is compared; give one of them")


def _whole(value: object) -> bool:
    return isinstance(value, (int, np.integer))


def _count(repeats: int | None, usual: int, masked: bool) -> int:
    if repeats is None:
        return usual
    if isinstance(repeats, bool) or not _whole(repeats) or repeats < 1:
        raise InputError(f"repeats={repeats!r}: expected a whole number, 1 or more")
    if masked and repeats != usual:
        raise InputError(f"repeats={repeats}, and holdout= has {usual} masks, one for each repeat")
    return int(repeats)


def _slice(period: slice | tuple[Any, Any] | None) -> slice | None:
    if period is None or isinstance(period, slice):
        return period
    if isinstance(period, (tuple, list)) and len(period) == 2:
        return slice(*period)
    raise InputError(
        f"period={period!r}: expected two dates, such as ('2018', None), or a slice of them"
    )
