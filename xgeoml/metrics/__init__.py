"""Scores of an estimate against the truth: gaps, fields, spectra, ensembles, waveforms."""

from xgeoml.metrics.agreement import correlation, coverage, crps_normal, kge
from xgeoml.metrics.downscaling import downscaling_skill
from xgeoml.metrics.ensembles import crps, rank_histogram, spread_skill
from xgeoml.metrics.fields import bias, mae, psnr, r2, rmse, ssim
from xgeoml.metrics.gaps import Skill, error_by_count, skill
from xgeoml.metrics.spectra import SpectrumError, spectrum_error, zonal_spectrum
from xgeoml.metrics.waveforms import WaveformSkill, waveform_skill

__all__ = [
    "Skill",
    "SpectrumError",
    "WaveformSkill",
    "bias",
    "correlation",
    "coverage",
    "crps",
    "crps_normal",
    "downscaling_skill",
    "error_by_count",
    "kge",
    "mae",
    "psnr",
    "r2",
    "rank_histogram",
    "rmse",
    "skill",
    "spectrum_error",
    "spread_skill",
    "ssim",
    "waveform_skill",
    "zonal_spectrum",
]
