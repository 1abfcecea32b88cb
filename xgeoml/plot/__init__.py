"""Pictures of data and results. They need matplotlib (``pip install "xgeoml[plot]"``)."""

from xgeoml.plot.at_a_place import series
from xgeoml.plot.comparing import compare
from xgeoml.plot.downscaling import downscaled, error_by, rank_histogram
from xgeoml.plot.evaluation import skill
from xgeoml.plot.filled import error_by_count, filled_record
from xgeoml.plot.missing import gaps
from xgeoml.plot.scales import spectra, spectrum
from xgeoml.plot.seismograms import record_section, source_time_function, waveforms
from xgeoml.plot.training import loss_curve

__all__ = [
    "compare",
    "downscaled",
    "error_by",
    "error_by_count",
    "filled_record",
    "gaps",
    "loss_curve",
    "rank_histogram",
    "record_section",
    "series",
    "skill",
    "source_time_function",
    "spectra",
    "spectrum",
    "waveforms",
]
