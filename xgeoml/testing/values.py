"""Checks of what a model makes of the numbers."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import xarray as xr

from xgeoml.engine.handle import ModelHandle
from xgeoml.exceptions import SpecError
from xgeoml.provenance import FILLED, OBSERVED, SUSPECT, UNFILLED
from xgeoml.spec import ModelSpec
from xgeoml.tasks.choose import make_handle
from xgeoml.testing import records
from xgeoml.testing.compare import (
    FLAG,
    SPREAD,
    CheckSkippedError,
    Subject,
    close,
    expect,
    identical,
    raises,
    same_bits,
)
from xgeoml.weights.files import read_card
from xgeoml.weights.store import find

_UNITS = ((1000.0, 0.0), (0.01, -3.0), (1.0, 273.15))


def observed(subject: Subject) -> None:
    """Find observed values bit for bit, on their own steps."""
    data = records.record()
    full = subject.fill(data)
    there = full.isel(time=full.indexes["time"].get_indexer(data.indexes["time"]))
    known = data.notnull()
    same_bits(there.where(known), data, "observed values")
    flag = there[FLAG].values[known.values]
    expect(
        np.isin(flag, (OBSERVED, SUSPECT)).all(),
        f"flags of observed values: found {np.unique(flag)}, expected {OBSERVED} or {SUSPECT}",
    )


def gaps_filled(subject: Subject) -> None:
    """Find every gap of a series with data filled, flagged, and within reason."""
    data = records.record()
    full = subject.fill(data)
    expect(full.sizes["time"] == records.N_TIME, f"{full.sizes['time']} steps, expected 60")
    values, flag = full.drop_sel(time=[]), full[FLAG]
    expect(not bool((values.isnull() & (flag == FILLED)).any()), "a cell flagged filled is missing")
    some = values.notnull().any("time") if subject.whole else values.notnull()
    missing = values.where(some, 0.0).isnull()
    expect(not bool(missing.any()), f"{int(missing.sum())} gaps of series with data are not filled")
    if subject.whole:
        for step in (*records.MISSING_STEPS, *records.ABSENT_STEPS):
            left = flag.isel(time=step) != FILLED
            left[records.EMPTY_CELL] = False
            expect(not bool(left.any()), f"step {step}, without any data, is not flagged filled")
    far = float(abs(values - data.mean()).max() / data.std())
    expect(far < 20, f"a filled value lies {far:.0f} standard deviations from the mean")


def no_leak(subject: Subject) -> None:
    """Change what is hidden, and what was filled before: no bit may change."""
    whole, data = records.record(gaps=False), records.record()
    hidden = xr.full_like(whole, False, dtype=bool)
    hidden[{"time": list(records.MISSING_STEPS)}] = True
    hidden[{"time": slice(40, 43), "lat": slice(2, 5)}] = True
    other = whole.where(~hidden, 99.0 - whole)
    first = subject.fill(whole.where(~hidden))
    subject.fill(whole)
    subject.fill(records.record(seed=7))
    subject.fill(other)
    same_bits(subject.fill(other.where(~hidden)), first, "the same gaps with another truth")
    beside = data.to_dataset().assign(truth=whole.isel(time=0, drop=True), again=3 * data)
    alone = subject.fill(data)
    within = subject.fill(beside, variables="storage")["storage"]
    same_bits(within, alone, "another variable beside it")


def units(subject: Subject) -> None:
    """Use other units: f(a x + b) = a f(x) + b, to 1e-3 of the standard deviation."""
    if subject.spec.scaling == "training":
        raise CheckSkippedError("it is scaled by the data that it was trained on")
    data = records.record().astype(np.float64)
    spread = subject.spec.gives_spread
    plain = subject.fill(data, spread=spread)
    for a, b in _UNITS:
        scaled = subject.fill(a * data + b, spread=spread)
        close(scaled, a * plain + b, f"{a:g} x + {b:g}")
        if spread:
            close(scaled[SPREAD], a * plain[SPREAD], f"the spread of {a:g} x + {b:g}", 1e-2)


def repeatable(subject: Subject) -> None:
    """Call twice: the same bits."""
    data = subject.record()
    same_bits(subject.fill(data, seed=3), subject.fill(data, seed=3), "the second of two calls")


def spread(subject: Subject) -> None:
    """Find the spread positive where filled, missing elsewhere; else an error that says so."""
    data = records.record()
    if not subject.spec.gives_spread:
        raises(SpecError, lambda: subject.fill(data, spread=True), "spread=True")
        return
    full = subject.fill(data, spread=True)
    filled = (full[FLAG] == FILLED).values
    sigma = full[SPREAD].values
    expect(np.isfinite(sigma[filled]).all(), "the spread of some filled values is not finite")
    expect((sigma[filled] > 0).all(), "the spread of some filled values is not positive")
    expect(np.isnan(sigma[~filled]).all(), "there is a spread where nothing was filled")
    expect(full[SPREAD].dtype == data.dtype, f"the spread is {full[SPREAD].dtype}")
    same_bits(full.drop_vars(SPREAD), subject.fill(data), "values with spread=True")


def suspect(subject: Subject) -> None:
    """Find a bad step flagged and kept; it may teach nothing."""
    if not subject.whole:
        raise CheckSkippedError("it sees no whole series, so that no step is screened")
    step = 25
    data = records.record()
    good = data.indexes["time"].get_loc("2003-02-15")
    random = np.random.default_rng(5)
    bad = data.copy()
    bad[{"time": good}] += 60 * random.standard_normal(bad.shape[1:]).astype(np.float32)
    full = subject.fill(bad)
    cells = bad.isel(time=good).notnull().values
    at = full.isel(time=step)
    expect(
        (at[FLAG].values[cells] == SUSPECT).all(),
        f"flags of a bad step: found {np.unique(at[FLAG].values[cells])}, expected {SUSPECT}",
    )
    kept = (at.values == bad.isel(time=good).values)[cells]
    expect(kept.all(), "the values of a bad step were changed")
    without = data.copy()
    without[{"time": good}] = np.nan
    others = np.arange(full.sizes["time"]) != step
    expected = subject.fill(without)
    close(full[others], expected[others], "filled values beside a bad step, and without the step")


def covariates(subject: Subject) -> None:
    """Find drivers used, whatever their units; else an error that says so."""
    data, given = records.record(), records.drivers()
    names = list(given.data_vars)
    drivers = [given[name] for name in names]
    if not subject.spec.covariates:
        raises(SpecError, lambda: subject.fill(data, covariates=drivers), "covariates=")
        return
    if subject.spec.scaling == "training":
        raise CheckSkippedError("it is scaled by the covariates that it was trained on")
    plain, full = subject.fill(data), subject.fill(data, covariates=drivers)
    expect(bool((full.notnull() == plain.notnull()).all()), "with drivers other cells are filled")
    expect(not full.equals(plain), "drivers change nothing")
    scaled = subject.fill(data, covariates=[1000.0 * d + 5.0 for d in drivers])
    close(scaled, full, "drivers in other units")
    gone = [d.where(d["time"].dt.year != 2003) for d in drivers]
    some = subject.fill(data, covariates=gone)
    expect(bool((some.notnull() == full.notnull()).all()), "missing drivers leave gaps unfilled")
    lazy = [d.chunk(lat=2) for d in drivers]
    same_bits(subject.fill(data.chunk(lon=3), covariates=lazy), full, "lazy data and drivers")


def spec_json(subject: Subject) -> None:
    """Send the spec through JSON: it is equal, and does the same."""
    again = ModelSpec.from_json(subject.spec.to_json())
    expect(again == subject.spec, f"from JSON: found {again}, expected {subject.spec}")
    expect(hash(again) == hash(subject.spec), "the hash is another after a trip through JSON")
    if _from_file(subject):
        return  # its parameters are in the file, not in the spec
    data = subject.record()
    same_bits(subject.fill(data, model=again), subject.fill(data), "the spec from JSON")


def weights_file(subject: Subject) -> None:
    """Write the parameters to a file and read them: they do the same."""
    if not subject.is_torch:
        raise CheckSkippedError("it has no weights")
    from safetensors.torch import save_file

    handle: ModelHandle = make_handle(subject.model, "fill_gaps", None, 0)
    state = {k: v.contiguous() for k, v in handle.network("cpu").state_dict().items()}
    if not state:
        raise CheckSkippedError("it has no weights")
    spec = subject.spec.replace(weights=None)
    data = subject.record()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.safetensors")
        save_file(state, path, metadata={"spec": spec.to_json()})
        again = subject.fill(data, model=path)
        same_bits(again, subject.fill(data), "the model from a file")
        identical(subject.fill(data, model=str(path)).drop_attrs(), again.drop_attrs(), "str path")


def card(subject: Subject) -> None:
    """Read in the spec what the model is; of trained weights, in their card, what they are."""
    expect(subject.spec.summary.strip(), "the spec has no summary")
    path = _file_of(subject)
    if path is None:
        return
    found = read_card(path)
    expect(found is not None, f"weights file {path.name} has no card; write_weights(..., card=)")
    assert found is not None
    problems = found.problems()
    expect(not problems, f"the card is not complete: {'; '.join(problems)}")
    expect(found.model == subject.spec.key, f"the card is that of {found.model}")


def parameters(subject: Subject) -> None:
    """Find every parameter a finite number, and of trained weights some that are not zero."""
    if not subject.is_torch:
        raise CheckSkippedError("it has no weights")
    handle = make_handle(subject.model, "fill_gaps", None, 0)
    state = {k: v.numpy() for k, v in handle.network("cpu").state_dict().items()}
    wrong = [k for k, v in state.items() if not np.isfinite(v).all()]
    expect(not wrong, f"parameters {wrong} hold values that are no finite numbers")
    if _file_of(subject) is not None:
        expect(any(v.any() for v in state.values()), "every parameter is zero: was it trained?")


def unfilled(subject: Subject) -> None:
    """Find a cell without a single value still missing, and flagged so."""
    full = subject.fill(records.record()).isel(records.EMPTY_CELL)
    if not subject.whole:
        raise CheckSkippedError("it may fill a cell from its neighbours")
    expect(bool(full.isnull().all()), "a cell without any data was filled")
    expect(bool((full[FLAG] == UNFILLED).all()), f"its flags are not all {UNFILLED}")


def _from_file(subject: Subject) -> bool:
    return make_handle(subject.model, "fill_gaps", None, 0).weights is not None


def _file_of(subject: Subject) -> Path | None:
    """Return the file of the model's weights; None if it has none."""
    handle = make_handle(subject.model, "fill_gaps", None, 0)
    if handle.weights is not None:
        return Path(handle.weights)
    return None if handle.spec.weights is None else find(handle.spec.weights)
