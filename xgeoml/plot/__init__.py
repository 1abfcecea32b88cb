"""Pictures of results. They need matplotlib (``pip install "xgeoml[plot]"``)."""

from xgeoml.plot.downscaling import downscaled, error_by, rank_histogram, spectra
from xgeoml.plot.gaps import error_by_count, filled_record
from xgeoml.plot.training import loss_curve

__all__ = [
    "downscaled",
    "error_by",
    "error_by_count",
    "filled_record",
    "loss_curve",
    "rank_histogram",
    "spectra",
]
