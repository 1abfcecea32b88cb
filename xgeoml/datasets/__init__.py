"""Synthetic records that look like real ones: for the demo, the documentation and the tests.

Every generator is seeded, gives the same values for the same seed, takes well under a second and
needs no file and no network. What they return is synthetic: `source` says so in the attributes.
`teleseismic_greens` draws nothing: it computes the responses to a source that is given.
"""

from xgeoml.datasets.air import hourly_temperature
from xgeoml.datasets.grace import (
    GRACE_MISSING,
    grace_like,
    grace_like_drivers,
    grace_like_truth,
)
from xgeoml.datasets.sea import cloudy_sst, cloudy_sst_truth
from xgeoml.datasets.teleseismic import teleseismic_greens
from xgeoml.datasets.terrain import mountain_temperature
from xgeoml.datasets.waves import station_pairs, wavefield

__all__ = [
    "GRACE_MISSING",
    "cloudy_sst",
    "cloudy_sst_truth",
    "grace_like",
    "grace_like_drivers",
    "grace_like_truth",
    "hourly_temperature",
    "mountain_temperature",
    "station_pairs",
    "teleseismic_greens",
    "wavefield",
]
