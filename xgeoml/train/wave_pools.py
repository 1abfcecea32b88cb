"""Given events as pools to learn from: with known sources, or from the records alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.fft import irfft, rfft

from xgeoml.exceptions import InputError
from xgeoml.models._path import learn_path
from xgeoml.models.series import Floats
from xgeoml.models.waveforms import Deconvolution, Gather
from xgeoml.train.simulated_waves import Examples
from xgeoml.train.waves import Pool, prepared

# Parts of the events, each of which is shown paths that were learnt from the others.
_FOLDS = 4
# How strong the noise is that records are given, over their own: the more, the less of it is in
# what they are scored by.
_MORE_NOISE = 0.7
# Events that are prepared at a time.
_SOME = 64


def pool_of(learnt: Examples, kept: Examples | None, bases: Sequence[Deconvolution]) -> Pool:
    """Return events to learn from, and others that are kept for validation."""
    parts = [learnt] if kept is None else [learnt, kept]
    made = [
        prepared(part.some(slice(i, i + _SOME)), bases)
        for part in parts
        for i in range(0, len(part.record), _SOME)
    ]
    arrays = {name: np.concatenate([one[name] for one in made]) for name in made[0]}
    return Pool(arrays, len(learnt.record))


def with_paths(
    record: Floats, source: Floats, positive: bool, learnt: NDArray[np.bool_]
) -> tuple[Examples, Floats]:
    """Return events with the Green's functions that they tell of, and these.

    Events that are learnt from are shown what the others of them tell, as events to come will be:
    with their own records in it, paths would look better known than they are.

    Parameters
    ----------
    record : ndarray, (event, path, sample)
    source : ndarray, (event, lag)
    positive : bool
    learnt : ndarray of bool, (event,)
        Which are learnt from.

    Returns
    -------
    examples : Examples
        Stations are the paths.
    paths : ndarray, (path, sample)
        What all events that are learnt from tell.
    """
    rows = np.flatnonzero(learnt)
    if len(rows) < 2:
        raise InputError(f"{len(rows)} events to learn paths from; expected 2 or more")
    path = learn_path(record[rows], source[rows])
    greens = np.broadcast_to(path, record.shape).copy()
    folds = min(_FOLDS, len(rows))
    for fold in range(folds):
        own, others = rows[fold::folds], np.delete(rows, np.s_[fold::folds])
        greens[own] = learn_path(record[others], source[others])
    return Examples(record, greens, source, record, greens, positive), path


def recorrupted(random: np.random.Generator, examples: Examples, draws: int) -> Examples:
    """Return events, several draws of each, that can be learnt from without knowing the source.

    A record is given more noise, of the colour that it seems to have, and scored by itself less as
    much: the noise of the two is independent, so that it is as good a guide as a record without.

    Parameters
    ----------
    random : Generator
    examples : Examples
    draws : int
        Of each event.

    Notes
    -----
    After Pang et al. (2021), CVPR, 2043-2052.
    """
    n = examples.record.shape[-1]
    many = examples.some(np.tile(np.arange(len(examples.record)), draws))
    gather = Gather(examples.record, examples.greens, examples.source.shape[-1], examples.positive)
    power = np.tile(gather.coloured.noise, (draws, 1, 1)) / n
    white = rfft(random.standard_normal(many.record.shape), gather.padded)
    noise = irfft(white * np.sqrt(power), gather.padded)[..., :n]
    return replace(
        many,
        record=many.record + _MORE_NOISE * noise,
        target=many.record - noise / _MORE_NOISE,
        path=many.greens,
        source=np.full_like(many.source, np.nan),
    )
