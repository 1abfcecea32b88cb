"""On an accelerator training gives the network that a processor gives, to rounding."""

import numpy as np
import pytest
import torch
from toy_training import FIELD, SERIES, cycles, fit

import xgeoml

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no accelerator here"),
]


@pytest.mark.parametrize("spec", [SERIES, FIELD], ids=["series", "windows"])
def test_the_accelerator_trains_what_the_processor_trains(spec):
    record = cycles(10, 12)
    here, there = (fit(record, spec, device=device) for device in ("cpu", "auto"))
    losses = [[row["val_loss"] for row in model.history] for model in (here, there)]
    np.testing.assert_allclose(*losses, rtol=1e-3)


@pytest.mark.parametrize("precision", ["bfloat16", "float16"])
def test_mixed_precision_trains_and_fills(precision):
    record = cycles(4, 5)
    own = fit(record, device="auto", precision=precision)
    exact = fit(record, device="auto")
    assert own.history[-1]["val_loss"] == pytest.approx(exact.history[-1]["val_loss"], rel=0.1)
    full = record.where(record.time.dt.year != 2003).geoml.fill_gaps(own, device="auto")
    assert np.isfinite(full).all()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_waveforms_are_learnt_and_inverted(precision):
    ds = xgeoml.datasets.station_pairs(events=12, stations=2, samples=256, source_samples=64)
    options = {"device": "auto", "precision": precision}
    own = ds.record.geoml.fit(
        "eq_tf", target=ds.source, dim="station", max_epochs=2, progress=False, **options
    )
    there = ds.record.geoml.invert_waveform(own, dim="station", length=64, **options)
    here = ds.record.geoml.invert_waveform(own, dim="station", length=64, device="cpu")
    tolerance = 1e-3 if precision == "float32" else 0.1
    np.testing.assert_allclose(there, here, atol=tolerance * float(here.max()))
