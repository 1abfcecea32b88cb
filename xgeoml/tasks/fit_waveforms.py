"""Fit a network of waveform inversion: to records of known sources, or to records alone."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.inversion import Amplitudes, room_of
from xgeoml.exceptions import InputError
from xgeoml.model import Model
from xgeoml.models.series import Bools, Floats
from xgeoml.spec import ModelSpec
from xgeoml.tasks.known_records import Known, known_records
from xgeoml.tasks.trained_path import TrainedPath
from xgeoml.weights.card import Card, SkillRow, TrainingData
from xgeoml.weights.files import write_weights

if TYPE_CHECKING:
    from xgeoml.train.settings import Settings
    from xgeoml.train.simulated_waves import Examples
    from xgeoml.train.waves import Pool

NOT_STATED = "not stated"
MODEL_FILE = "model.safetensors"
_FEWEST = 4  # events to learn from
# Draws of the noise of each event that is kept for validation.
_KEPT_DRAWS = 4


def fit_waveforms(
    obj: xr.DataArray | xr.Dataset | xr.DataTree,
    target: xr.DataArray | xr.Dataset | None,
    greens: xr.DataArray | str | None,
    handle: ModelHandle,
    begin: bool,
    variables: Sequence[Hashable] | None,
    dims: Mapping[str, str] | None,
    join: tuple[str, ...],
    positive: bool,
    amplitudes: Amplitudes,
    validation: float,
    settings: Settings,
    one_pass: bool,
    folder: Path,
    resume: bool,
    call: str,
) -> Model:
    """Return a network of waveform inversion fitted to records, written into a folder.

    Parameters
    ----------
    obj, target, greens, variables, dims, positive, amplitudes
        As in `xgeoml.fit`.
    handle : ModelHandle
        What is fitted.
    begin : bool
        Whether training begins with the weights of `handle`.
    join : tuple of str
        Dims along which records have one source.
    validation : float
        Share of the events, the last ones, that are set aside.
    settings : Settings
    one_pass : bool
        Whether an epoch is one pass over the events, whatever `settings` say.
    folder : Path
    resume : bool
    call : str
        For the card.
    """
    from xgeoml.train.wave_fitting import fit_waves

    found = known_records(obj, target, greens, variables, dims, join)
    spec = handle.spec.replace(weights=None)
    if found.source is not None:
        spec, found = _with_room(spec, found, begin)
    count = len(found.record)
    learnt = np.arange(count) < count - round(validation * count)
    if learnt.sum() < min(_FEWEST, count):
        raise InputError(
            f"{int(learnt.sum())} events are left to learn from; expected {_FEWEST} or more: set "
            "validation=0, or give more"
        )
    examples, paths = _examples(found, learnt, positive, amplitudes)
    pool = _pool(examples, np.repeat(learnt, found.record.shape[1]), spec, settings)
    if one_pass:
        settings = replace(settings, steps=-(-pool.learnt // settings.batch_size))
    trained = fit_waves(
        pool,
        spec,
        settings,
        folder,
        name=_name(found),
        start=handle.network("cpu").state_dict() if begin else None,
        resume=resume,
    )
    rows = _skill(found, examples, learnt, spec, trained.state)
    arrays: dict[str, NDArray[Any]] = dict(trained.state)
    if paths is not None:
        arrays |= _trained_path(found, paths, join).arrays()
    card = _card(spec, found, rows, call)
    path = write_weights(folder / MODEL_FILE, arrays, spec, card, history=trained.whole_history)
    if not trained.improved:
        warnings.warn(
            "training did not lower the validation loss: the model is what it began with. Try "
            "more epochs, another learning_rate=, or more data",
            stacklevel=4,
        )
    return Model(path)


def _with_room(spec: ModelSpec, found: Known, begin: bool) -> tuple[ModelSpec, Known]:
    """Return network and sources on the axis that it is to work on.

    Weights to begin with are used to one that is longer than the source; a network from scratch
    learns where sources end, and needs no longer one.
    """
    assert found.source is not None
    if "room" not in inspect.signature(spec.load_factory()).parameters:
        return spec, found
    if not begin:
        return spec.replace(options={**spec.options, "room": 1}), found
    room = room_of(spec)
    lags, n = found.source.shape[-1], found.samples.count
    source = np.pad(found.source, [(0, 0), (0, min(room * lags, n) - lags)])
    return spec, replace(found, source=source)


def _name(found: Known) -> str:
    return "records" if found.array.name is None else str(found.array.name)


def _examples(
    found: Known, learnt: Bools, positive: bool, amplitudes: Amplitudes
) -> tuple[Examples, Floats | None]:
    """Return events at stations, and the paths that were learnt, (path, station, sample)."""
    from xgeoml.train.simulated_waves import Examples
    from xgeoml.train.wave_pools import with_paths

    events, several, stations, n = found.record.shape
    if found.source is None:
        assert found.greens is not None
        source = np.full((events, n), np.nan)
    else:
        source = found.source
        if positive and source.min() < -1e-6 * np.abs(source).max():
            raise InputError(
                f"target has values down to {source.min():.3g}; expected none below zero: type "
                "positive=False, here and in invert_waveform"
            )
    flat = (events * several, stations, n)
    of_each = np.repeat(source, several, axis=0)
    record = found.record.reshape(flat)
    if found.greens is not None:
        greens = found.greens.reshape(flat)
        free = amplitudes == "free"
        return Examples(record, greens, of_each, record, greens, positive, free), None
    together, paths = with_paths(found.record.reshape(events, -1, n), source, positive, learnt)
    greens = together.greens.reshape(flat)
    made = Examples(record, greens, of_each, record, greens, positive)
    return made, paths.reshape(several, stations, n)


def _pool(examples: Examples, learnt: Bools, spec: ModelSpec, settings: Settings) -> Pool:
    """Return what is learnt from, and what is kept for validation."""
    from xgeoml.train.wave_module import base_models
    from xgeoml.train.wave_pools import pool_of, recorrupted

    parts = [examples.some(np.flatnonzero(which)) for which in (learnt, ~learnt)]
    if np.isnan(examples.source).all():
        random = np.random.default_rng([settings.seed, 22])
        draws = max(1, round(settings.patterns / max(1, int(learnt.sum()))))
        parts = [
            recorrupted(random, part, many) if len(part.record) else part
            for part, many in zip(parts, (draws, _KEPT_DRAWS), strict=True)
        ]
    kept = parts[1] if len(parts[1].record) else None
    return pool_of(parts[0], kept, base_models(spec))


def _skill(
    found: Known,
    examples: Examples,
    learnt: Bools,
    spec: ModelSpec,
    state: Mapping[str, NDArray[Any]],
) -> tuple[SkillRow, ...]:
    """Return the errors on the events that were set aside, beside those of deconvolutions."""
    import torch

    from xgeoml.train.wave_skill import wave_skill

    if learnt.all() or found.source is None:
        return ()
    network = spec.load_factory()(**spec.options)
    network.load_state_dict({k: torch.from_numpy(np.array(v)) for k, v in state.items()})
    kept = examples.some(np.flatnonzero(np.repeat(~learnt, found.record.shape[1])))
    values, coverage = wave_skill(network, spec, kept)
    row = SkillRow(
        data=_name(found),
        hidden=f"the sources of the last {int((~learnt).sum())} events",
        unit="1",
        metric="NRMSE",
        values=values,
        coverage=coverage,
    )
    return (row,)


def _trained_path(found: Known, paths: Floats, join: tuple[str, ...]) -> TrainedPath:
    """Return the paths as a model's file keeps them."""
    dims = (*found.apart, *join)
    sizes = [found.array.sizes[d] for d in dims]
    labels = {
        d: [str(v) for v in found.array.coords[d].values] for d in dims if d in found.array.coords
    }
    values = paths.reshape(*sizes, found.samples.count)
    return TrainedPath(
        values, dims, labels, found.samples.step, found.late, found.units, found.lags
    )


def _card(spec: ModelSpec, found: Known, rows: tuple[SkillRow, ...], call: str) -> Card:
    attrs = found.array.attrs

    def first(*names: str) -> str:
        return next((str(attrs[n]).strip() for n in names if str(attrs.get(n, "")).strip()), "")

    how = (
        "fitted on pairs of records and sources"
        if found.source is not None
        else "fitted on records alone, by how well they are explained"
    )
    limits = ["Knows the stations and sources that it was fitted on: elsewhere it is untried."]
    if not rows:
        limits.append("Its skill is not known: no sources were set aside.")
    if found.source is None:
        limits.append("The spread is that of the weights it began with.")
    return Card(
        model=spec.key,
        summary=f"{spec.summary}; {how}" if spec.summary else how,
        data=(
            TrainingData(
                name=first("title", "long_name") or _name(found),
                period=f"{len(found.record)} events",
                extent=" x ".join(f"{n} {d}" for d, n in found.array.sizes.items()),
                license=first("license", "licence") or NOT_STATED,
                attribution=first("attribution", "source", "institution", "references")
                or NOT_STATED,
            ),
        ),
        valid="records of the same stations" if found.greens is None else "records like these",
        skill=rows,
        limits=tuple(limits),
        license=spec.license or NOT_STATED,
        citation=spec.citation or NOT_STATED,
        recipe=call,
        created=datetime.now(UTC).strftime("%Y-%m-%d"),
    )
