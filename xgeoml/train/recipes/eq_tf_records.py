"""The real records that eq_tf learns from: paths and noise."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr
from scipy.signal import butter, sosfiltfilt

from xgeoml.train.simulated_waves import Seismogram

LOCAL = "seismic/local_seismograms_50hz.nc"
THREE_COMPONENTS = "seismic/ncedc_local_3c_100hz_ps_picks.nc"
# The traces before this one are what the benchmark scores with: nothing is learnt from their
# events at their stations, be it in the other file.
FIRST = 120
# The bands, in Hz, and the rate of the first file, to which the other is brought.
_BAND, _RATE, _DECIMATE = (1.0, 20.0), 100.0, 2


def read_seismograms(path: Path, before: int | None = None) -> Iterator[Seismogram]:
    """Return the records to learn from.

    Parameters
    ----------
    path : Path
    before : int, optional
        Of the first file, learn from the traces before this one only, to see what is known of the
        others.
    """
    with xr.open_dataset(path / LOCAL) as held:
        names = [_event(name) for name in held["trace"].values]
        some = held.isel(trace=slice(FIRST, before))
        for values, onset in zip(some["waveform"].values, some["onset"].values, strict=True):
            yield Seismogram(values.astype(np.float64), int(onset))
    # The other file holds the same events at the same stations, and others.
    seen = set(names)
    band = butter(3, _BAND, "band", fs=_RATE, output="sos")
    with xr.open_dataset(path / THREE_COMPONENTS) as held:
        for name, components, onset in zip(
            held["trace"].values, held["waveform"].values, held["p_sample"].values, strict=True
        ):
            if _event(name) in seen:
                continue
            for component in components.astype(np.float64):
                if component.std() == 0:
                    continue
                values = sosfiltfilt(band, component - component.mean())[::_DECIMATE]
                yield Seismogram(values / np.abs(values).max(), int(onset) // _DECIMATE)


def read_others(path: Path, first: int = 0, last: int = FIRST) -> list[Seismogram]:
    """Return traces of the first file, by default those that nothing is learnt from."""
    with xr.open_dataset(path / LOCAL) as held:
        some = held.isel(trace=slice(first, last))
        return [
            Seismogram(values.astype(np.float64), int(onset))
            for values, onset in zip(some["waveform"].values, some["onset"].values, strict=True)
        ]


def _event(name: object) -> str:
    """Return the event and the station that a trace is of."""
    return str(name).split(".")[0]
