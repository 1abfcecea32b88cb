"""The path from a source to a station, learnt from records of known sources."""

from __future__ import annotations

import numpy as np

from xgeoml.models.series import Floats
from xgeoml.models.waveforms import fast_length

# Penalties that are tried, as shares of the sources' mean power.
_PENALTIES = np.geomspace(1e-6, 10.0, 22)


def learn_path(record: Floats, source: Floats) -> Floats:
    """Return the Green's functions of paths that sources have in common, (path, sample).

    Least squares in the frequency domain, with a penalty of their squares that is found by
    predicting one half of the records from the other.

    Parameters
    ----------
    record : ndarray, (event, path, sample)
    source : ndarray, (event, lag)
        On the axis of the records, at most as long.
    """
    from scipy.fft import irfft, rfft

    n = record.shape[-1]
    padded = fast_length(n)
    d, s = rfft(record, padded), rfft(source, padded)

    def solved(which: slice, penalty: float) -> Floats:
        power = (np.abs(s[which]) ** 2).sum(0)
        cross = (np.conj(s[which])[:, None] * d[which]).sum(0)
        made: Floats = irfft(cross / (power + penalty * power.mean()), padded)[..., :n]
        return made

    if len(record) < 2:
        return solved(slice(None), float(_PENALTIES[len(_PENALTIES) // 2]))
    halves = (slice(0, None, 2), slice(1, None, 2))
    left = []
    for penalty in _PENALTIES:
        total = 0.0
        for learnt, held in (halves, halves[::-1]):
            known = rfft(solved(learnt, float(penalty)), padded)
            made = irfft(known * s[held][:, None], padded)[..., :n]
            total += float(((record[held] - made) ** 2).sum())
        left.append(total)
    return solved(slice(None), float(_PENALTIES[int(np.argmin(left))]))
