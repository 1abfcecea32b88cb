"""The specs of our models of waveform inversion."""

from __future__ import annotations

from xgeoml.spec import Channel, ModelSpec
from xgeoml.weights.releases import release

WAVEFORMS = (
    ModelSpec(
        name="water_level",
        task="invert_waveform",
        factory="xgeoml.models.deconvolution:WaterLevel",
        backend="numpy",
        summary="spectral division with a water level",
        citation="after Clayton and Wiggins (1976), Geophys. J. R. Astron. Soc. 47, 151-177",
    ),
    ModelSpec(
        name="wiener",
        task="invert_waveform",
        factory="xgeoml.models.deconvolution:Wiener",
        backend="numpy",
        summary="Wiener's filter, its spectra found by maximum likelihood",
        citation="Wiener (1949), Extrapolation, Interpolation, and Smoothing ..., MIT Press",
    ),
    ModelSpec(
        name="iterative",
        task="invert_waveform",
        factory="xgeoml.models.deconvolution:Iterative",
        backend="numpy",
        summary="iterative deconvolution in time: pulse after pulse",
        citation="after Ligorria and Ammon (1999), Bull. Seismol. Soc. Am. 89, 1395-1400",
    ),
    ModelSpec(
        name="landweber",
        task="invert_waveform",
        factory="xgeoml.models.deconvolution:Landweber",
        backend="numpy",
        summary="projected Landweber iteration, stopped at the noise",
        citation="after Bertero et al. (1997), Inverse Probl. 13, 411-431",
    ),
    ModelSpec(
        name="nnls",
        task="invert_waveform",
        factory="xgeoml.models.deconvolution:NonNegative",
        backend="numpy",
        summary="non-negative least squares of smooth pulses",
        citation="Lawson and Hanson (1974), Solving Least Squares Problems, Prentice-Hall",
    ),
    ModelSpec(
        name="eq_tf",
        task="invert_waveform",
        factory="xgeoml.models.eq_tf:EqTf",
        inputs=(
            Channel("value"),
            Channel("estimate", "iterative"),
            Channel("estimate", "nnls"),
            Channel("estimate", "wiener"),
        ),
        outputs=("value", "log_spread"),
        options={"estimates": 3},
        weights=release("eq_tf@1.0").ref,
        summary="transformer that corrects a positive deconvolution, asking the forward problem",
        citation="after Vaswani et al. (2017), NeurIPS 30, 5998-6008",
        license="Apache-2.0",
    ),
)
