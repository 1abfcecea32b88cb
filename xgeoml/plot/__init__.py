"""Pictures of results. They need matplotlib (``pip install "xgeoml[plot]"``)."""

from xgeoml.plot.downscaling import downscaled, error_by, rank_histogram, spectra
from xgeoml.plot.gaps import error_by_count, filled_record
from xgeoml.plot.training import loss_curve
from xgeoml.plot.waveforms import record_section, source_time_function

__all__ = [
    "downscaled",
    "error_by",
    "error_by_count",
    "filled_record",
    "loss_curve",
    "rank_histogram",
    "record_section",
    "source_time_function",
    "spectra",
]
