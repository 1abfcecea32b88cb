"""Train a network on the user's own data."""

from __future__ import annotations

import atexit
import importlib.util
import inspect
import os
import shutil
import tempfile
import warnings
from collections.abc import Hashable, Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import xarray as xr

from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.inversion import Amplitudes
from xgeoml.exceptions import InputError, MissingExtraError
from xgeoml.model import TEMPORARY, Model
from xgeoml.options import get_options, shows_progress
from xgeoml.spec import Scaling, Task
from xgeoml.tasks.choose import ModelLike, check_name
from xgeoml.tasks.covariates import Covariates, names_of
from xgeoml.tasks.dispatch import GeoObject
from xgeoml.tasks.fill_gaps import describe_call, listed
from xgeoml.tasks.filling import Request
from xgeoml.tasks.fit_models import fitted_task, resolve_fitted
from xgeoml.tasks.fit_settings import (
    check_in_one_go,
    check_of_waveforms,
    seconds,
    usual_settings,
)
from xgeoml.tasks.inverting import GreensLike
from xgeoml.tasks.quantities import plain
from xgeoml.tasks.units import check_units, units_of
from xgeoml.tasks.vectors import Vectors, check_vectors
from xgeoml.train.settings import Schedule, Settings
from xgeoml.weights.files import write_weights
from xgeoml.weights.store import find

if TYPE_CHECKING:
    from xgeoml.tasks.learn import Lesson

# What is fitted on pairs where no model is named.
DEFAULT_LEARNER = "gaussian_process"


def fit(
    obj: GeoObject,
    model: ModelLike,
    *,
    target: xr.DataArray | xr.Dataset | None = None,
    greens: GreensLike | None = None,
    dim: str | Sequence[str] | None = None,
    positive: bool = True,
    amplitudes: Amplitudes = "given",
    variables: str | Sequence[Hashable] | None = None,
    covariates: Covariates = None,
    vectors: Vectors | None = None,
    start: ModelLike | None = None,
    validation: float = 0.15,
    max_epochs: int | None = None,
    max_time: float | str | timedelta | None = None,
    patience: int | None = None,
    learning_rate: float | None = None,
    schedule: Schedule = "cosine",
    warm_up: int | None = None,
    clip: float | None = 1.0,
    accumulate: int = 1,
    steps: int | None = None,
    patterns: int = 200,
    scaling: Scaling | None = None,
    devices: int | Literal["auto"] = "auto",
    nodes: int = 1,
    logdir: str | os.PathLike[str] | None = None,
    resume: str | os.PathLike[str] | None = None,
    dims: Mapping[str, str] | None = None,
    model_options: Mapping[str, Any] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
    seed: int | None = None,
) -> Model:
    """Fit a model to these data: train a network, or learn from pairs of coarse and fine fields.

    Networks that fill gaps: values are hidden in random patterns, like the gaps that the data have,
    and the network learns to say what they were. A part of the record, in blocks of time (and of
    space, where there are 400 cells or more), is set aside: no training step sees it, and it
    decides which of the networks along the way is kept, and whether any is better than what
    training began with.

    With `target`, for downscaling: what lies between the data and the finer fields of the same
    times is learnt. Classical models are fitted in one go, to all pairs; networks are trained as
    above, the last part of the record set aside.

    Models of interpolation in time learn from a record what lies between its steps. Classical
    models are fitted in one go and then know the grid; networks are trained on intervals of
    several multiples of the step and on cycles, blocks of time set aside.

    Models of waveform inversion learn from records with their sources, `target`; with Green's
    functions, `greens`, or without: then the paths are learnt from the pairs, too, and kept in the
    model. From records with `greens` and no sources they learn to explain the records.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Data with a time axis, with gaps or without. Lazy (dask) data larger than memory are read
        piece by piece: soon, if they are in chunks of space.
    model : str, path, ModelSpec or Model
        A network of ``xgeoml.list_models("fill_gaps")`` or a spec: trained from scratch, unless
        `start` says otherwise. A weights file or a `Model`: trained on from its weights. With
        `target`, a model of ``xgeoml.list_models("downscale")`` that learns; ``"auto"`` is
        `gaussian_process`. Or a model of ``xgeoml.list_models("interp_time")`` that learns, or
        `eq_tf`.
    target : DataArray or Dataset, optional
        The fine fields, of one variable. Steps are matched by their stamps. Its grid may be of any
        kind that has a place on that of `obj`; networks need one whose cells divide those of
        `obj`. Cells that are always missing stay missing. For waveform inversion the sources, with
        a time axis of the records' step and those dims along which each record has one of its own.
    greens, dim, positive, amplitudes : optional
        For waveform inversion, as in `invert_waveform`. Without sources training begins with the
        shipped weight.
    variables : str or sequence of str, optional
        Which variables of a Dataset to learn from. By default all that `fill_gaps` would fill,
        drivers among them that are not named as covariates. With `target`, and for interpolation
        in time, it must be one.
    covariates : str, DataArray or sequence of these, optional
        Drivers, as in `fill_gaps`, or with `target` as in `downscale`.
    vectors : sequence of tuple of str, optional
        For interpolation in time: the two variables that are the components of a vector, as in
        `interp_time`, to learn from both.
    start : str, path or Model, optional
        Weights to begin with, such as ``"grace_tf"`` for those that are shipped: fine-tuning.
    validation : float
        Share of the observed steps that is set aside, at most half. 0: all is learnt from, and the
        network after the last step is kept. With `target` the last steps, as for classical models
        of interpolation in time; a classical model learns from all in the end, and the skill on
        its card is that of one that has not seen these. For waveform inversion the last events.
    max_epochs : int, optional
        20 by default, 40 with `target` and for waveform inversion, 6 for interpolation in time;
        each has `steps` steps.
    max_time : float, str or timedelta, optional
        Seconds, or such as ``"5min"``, for all of the call. Whichever of the two comes first ends
        the training.
    patience : int, optional
        Stop after so many epochs without a lower validation loss.
    learning_rate : float, optional
        8e-4 by default, 1e-3 with `target`, 1e-4 with weights to begin with.
    schedule : {"cosine", "plateau", "constant"}
        How the learning rate falls.
    warm_up : int, optional
        Steps over which it rises from zero at the beginning: 200 by default, and never more than a
        fifth of all.
    clip : float or None
        Largest norm of the gradient.
    accumulate : int
        Passes that a step is made of, each with a part of the batch: for small memories.
    steps : int, optional
        Optimiser steps in an epoch. By default 50; for waveform inversion one pass over the events.
    patterns : int
        Patterns of hidden values drawn from each variable before training starts.
    scaling : {"sample", "training"}, optional
        `sample`: each series or window is scaled by its own observed values, so that the network
        serves data in any unit. `training`: all by the mean and deviation of what is learnt from,
        which are kept in the model. By default as the model's spec says.
    devices : int or "auto"
        Processes that share each step, one a device: by default every GPU, or one process.
    nodes : int
        Machines, where the same program was started on each with torchrun or srun.
    logdir : str or path, optional
        Folder for checkpoints, the history and TensorBoard's files. By default they are temporary.
    resume : str or path, optional
        Folder of a training that was interrupted: go on from the last epoch that it finished. Give
        the same data and arguments as before; `max_time`, `patience`, `devices` and `precision` may
        be others.
    dims : mapping, optional
        Which dim is which axis, such as ``{"T": "month"}``, where it cannot be found out.
    model_options : mapping, optional
        Options of the network, such as ``{"layers": 2}``. Not with weights to begin with.
    device, batch_size, precision, progress, seed : optional
        For this call, in place of `xgeoml.set_options`. `batch_size` is 96 by default, 8 for
        networks that make months, whose windows are hundreds of days, 16 with `target` and for
        interpolation in time, 8 for waveform inversion.

    Returns
    -------
    Model
        Goes wherever a model's name goes. Save it, `Model.save`: without `logdir` it is gone when
        the process ends. Its card tells the
        data, the period, and its skill on what was set aside beside the baselines.

    Raises
    ------
    InputError, SpecError, AxisError, TimeAxisError
        If data, model or arguments do not fit.
    MissingExtraError
        Without Lightning: ``pip install "xgeoml[train]"``.
    ExecutionError
        If the network fails, its loss is no number, or a process of several fails.

    Notes
    -----
    The same seed and data give the same network, interrupted or not; shared among several devices
    it differs by rounding, as long as what is random in it is `torch.nn.Dropout`. Only a limit in
    time makes it depend on the machine.

    Examples
    --------
    >>> import xgeoml
    >>> record = xgeoml.datasets.grace_like(nlat=4, nlon=5)
    >>> own = record.geoml.fit("grace_tf", validation=0, max_epochs=1, steps=2, patterns=2)
    >>> full = record.geoml.fill_gaps(model=own)
    """
    if resume is not None and logdir is not None and Path(resume) != Path(logdir):
        raise InputError(
            f"resume={os.fspath(resume)!r} and logdir={os.fspath(logdir)!r}: a training goes on in "
            "its own folder; leave logdir= out"
        )
    obj, target, greens, covariates = plain((obj, target, greens, covariates))
    options = get_options(
        device=device, batch_size=batch_size, precision=precision, progress=progress, seed=seed
    )
    if target is not None and isinstance(model, str) and model == "auto":
        model = DEFAULT_LEARNER
    check_name(model, None, obj)
    task = fitted_task(model, target is not None)
    join = check_of_waveforms(task, target, greens, dim, positive, amplitudes)
    if task == "invert_waveform" and target is None and start is None and isinstance(model, str):
        start = model
    handle, begin = resolve_fitted(model, start, model_options, scaling, options, task)
    _check_task(task, handle, vectors, covariates)
    classical = handle.spec.backend == "numpy"
    if not classical:
        _require_lightning()
    asked = {
        "max_epochs": max_epochs,
        "batch_size": options.batch_size,
        "learning_rate": learning_rate,
        "warm_up": warm_up,
        "max_time": seconds(max_time),
        "steps": steps,
    }
    given = usual_settings(handle.spec, begin) | {k: v for k, v in asked.items() if v is not None}
    settings = Settings(
        validation=validation,
        patience=patience,
        schedule=schedule,
        clip=clip,
        accumulate=accumulate,
        patterns=patterns,
        precision=options.precision,
        seed=options.seed,
        progress=shows_progress(options.progress),
        nodes=nodes,
        **given,
    )
    wanted = None if variables is None else listed(variables)
    told = {
        "validation": validation,
        "max_epochs": max_epochs,
        "max_time": max_time,
        "patience": patience,
        "learning_rate": given.get("learning_rate"),
        "schedule": schedule,
        "warm_up": warm_up,
        "clip": clip,
        "accumulate": accumulate,
        "steps": steps,
        "patterns": patterns,
        "scaling": scaling,
        "dims": dims,
        "model_options": model_options,
    }
    usual = {k: p.default for k, p in inspect.signature(fit).parameters.items()}
    unusual = {k: v for k, v in told.items() if v != usual[k]}
    call = describe_call(
        "fit",
        options,
        model=model,
        target=_label(target),
        greens=None if greens is None else getattr(greens, "name", None) or "DataArray",
        dim=dim,
        positive=None if positive else False,
        amplitudes=None if amplitudes == "given" else amplitudes,
        variables=variables,
        covariates=covariates,
        vectors=vectors,
        start=start,
        **unusual,
    )
    going_on = resume is not None
    if classical:
        check_in_one_go({**unusual, "resume": resume, "start": start, "devices": devices}, handle)
    else:
        from xgeoml.train.loop import settled

        settings = settled(settings, options.device, devices)
    folder = _folder(resume if going_on else logdir, settings, going_on, classical)
    if task == "invert_waveform":
        from xgeoml.tasks.fit_waveforms import fit_waveforms

        return fit_waveforms(
            obj,
            target,
            greens,
            handle,
            begin,
            wanted,
            dims,
            join,
            positive,
            amplitudes,
            validation,
            settings,
            steps is None,
            folder,
            going_on,
            call,
        )
    if target is not None:
        from xgeoml.tasks.fit_pairs import fit_on_pairs

        return fit_on_pairs(
            obj,
            target,
            handle,
            begin,
            wanted,
            covariates,
            dims,
            validation,
            options,
            settings,
            folder,
            going_on,
            call,
        )
    if task == "interp_time":
        from xgeoml.tasks.fit_in_time import fit_in_time

        return fit_in_time(
            obj,
            handle,
            begin,
            wanted,
            check_vectors(vectors),
            dims,
            validation,
            options,
            settings,
            folder,
            going_on,
            call,
        )
    from xgeoml.tasks.learn import lessons

    request = Request(
        model, None, None, covariates, None, None, spread=False, dims=dims, options=options, call=""
    )
    found = lessons(obj, wanted, request, handle.spec, validation, options.seed)
    return _train(found, handle, begin, settings, folder, going_on, call)


def _check_task(
    task: Task, handle: ModelHandle, vectors: Vectors | None, covariates: Covariates
) -> None:
    """Complain of arguments that are of another task."""
    pairs = check_vectors(vectors)
    if pairs is not None and task != "interp_time":
        raise InputError(
            f"vectors={vectors!r}: for models of interpolation in time, which {handle.spec.key} is "
            "not; leave it out"
        )
    if pairs is not None and len(pairs) > 1:
        raise InputError(f"vectors={vectors!r}: one model learns from one pair; name one")
    if covariates is not None and task == "interp_time":
        raise InputError(
            f"covariates={names_of(covariates)}: {handle.spec.key} makes no use of them; leave "
            "them out"
        )


def _label(target: xr.DataArray | xr.Dataset | None) -> str | None:
    """Return what a call says of its target."""
    if target is None:
        return None
    # A Dataset may have a variable that is called name.
    name = target.name if isinstance(target, xr.DataArray) else None
    return "Dataset" if name is None else str(name)


def _require_lightning() -> None:
    if importlib.util.find_spec("lightning") is None:
        raise MissingExtraError("train", "training", "lightning")
    with warnings.catch_warnings():
        # Its progress bars are text where a notebook has no widgets, which is no fault.
        warnings.filterwarnings("ignore", message="IProgress not found")
        importlib.import_module("lightning.pytorch")


def _file_of(handle: ModelHandle) -> Path:
    """Return the file of the weights to begin with."""
    if handle.weights is not None:
        return Path(handle.weights)
    assert handle.spec.weights is not None
    return find(handle.spec.weights, handle.spec.key)


def _make_folder(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"the folder {str(path)!r} cannot be made: {error.strerror or error}; name another one "
            "with logdir="
        ) from error


def _folder(
    given: str | os.PathLike[str] | None, settings: Settings, resume: bool, in_one_go: bool
) -> Path:
    """Return the folder of the training; a temporary one lasts as long as this process."""
    if given is not None:
        path = Path(given)
        if not resume:
            _make_folder(path)
        return path
    if not in_one_go:
        from xgeoml.train.loop import launched

        if launched():
            raise InputError(
                f"training on {settings.world} processes of a launcher needs logdir=, a folder "
                "that all of them see"
            )
    folder = Path(tempfile.mkdtemp(prefix=TEMPORARY))
    atexit.register(_remove_if_done, folder)
    return folder


def _remove_if_done(folder: Path) -> None:
    """Remove a temporary folder, unless a training in it can be gone on with."""
    from xgeoml.train.job import LAST, MODEL_FILE

    if (folder / MODEL_FILE).exists() or not (folder / LAST).exists():
        shutil.rmtree(folder, ignore_errors=True)


def _train(
    found: list[Lesson],
    handle: ModelHandle,
    begin: bool,
    settings: Settings,
    folder: Path,
    resume: bool,
    call: str,
) -> Model:
    """Train, and write the model's file."""
    from xgeoml.tasks.report import make_card
    from xgeoml.train.fields import scale_of
    from xgeoml.train.fitting import fit_network
    from xgeoml.train.job import MODEL_FILE

    fields = [lesson.field for lesson in found]
    spec = handle.spec.replace(weights=None)
    first = found[0].prepared
    if spec.scaling == "training" and spec.scale is None:
        units = units_of(first.data, *first.covariates)
        spec = spec.replace(scale=scale_of(fields), units=units)
    for lesson in found:
        check_units(spec, lesson.prepared.data, lesson.prepared.covariates)
    n_covariates = max(len(lesson.prepared.covariates) for lesson in found)
    trained = fit_network(
        fields,
        spec,
        handle.series_models(drivers=n_covariates > 0),
        settings,
        folder,
        start=handle.network("cpu").state_dict() if begin else None,
        resume=resume,
    )
    if any(c.role == "covariates" for c in spec.inputs):
        spec = spec.replace(covariate_names=names_of(first.covariates))
    card = make_card(spec, trained, found, call, _file_of(handle) if begin else None)
    path = folder / MODEL_FILE
    write_weights(path, trained.state, spec, card, history=trained.whole_history)
    if not trained.improved:
        warnings.warn(
            "training did not lower the validation loss: the model is what it began with. Try "
            "more epochs, another learning_rate=, or more data",
            stacklevel=3,
        )
    return Model(path)
