"""Networks of waveform inversion fitted to the user's own records."""

import numpy as np
import pytest
import xarray as xr

import xgeoml
from xgeoml.exceptions import InputError, SpecError, TimeAxisError
from xgeoml.tasks.trained_path import TrainedPath

pytest.importorskip("lightning")

QUICK = {"max_epochs": 2, "steps": 4, "device": "cpu", "progress": False}


@pytest.fixture(scope="module")
def pairs():
    return xgeoml.datasets.station_pairs(
        events=20, stations=3, samples=256, source_samples=64, variation=0.1, signal_to_noise=10.0
    )


@pytest.fixture(scope="module")
def own(pairs):
    """A model of pairs, stations joined; it knows the paths."""
    learnt = pairs.isel(event=slice(16))
    return learnt.record.geoml.fit("eq_tf", target=learnt.source, dim="station", **QUICK)


def error(made, truth):
    lags = truth.sizes["lag"]
    made, truth = made.values[..., :lags], truth.values
    return float(np.sqrt(((made - truth) ** 2).sum(-1) / (truth**2).sum(-1)).mean())


def test_a_model_of_pairs_needs_no_greens_functions(pairs, own):
    held = pairs.isel(event=slice(16, None))
    made = held.record.geoml.invert_waveform(own, dim="station", length=64)
    assert made.dims == ("event", "time")
    assert made.sizes == {"event": 4, "time": 64}
    np.testing.assert_allclose(made["time"], pairs["lag"])
    assert error(made, held.source) < 0.3
    assert made.attrs["units"] == "1"  # those of the sources that it learnt from


def test_the_card_tells_the_skill_beside_deconvolutions(own):
    (row,) = own.card.skill
    assert set(row.values) == {
        *("eq_tf", "nnls", "iterative", "landweber", "wiener", "water_level"),
    }
    assert row.hidden == "the sources of the last 2 events"
    assert own.spec.task == "invert_waveform"


def test_a_saved_model_gives_the_same_bits(pairs, own, tmp_path):
    path = own.save(tmp_path / "own.safetensors")
    made, again = (
        pairs.record.geoml.invert_waveform(m, dim="station", length=64) for m in (own, str(path))
    )
    np.testing.assert_array_equal(made.values, again.values)


def test_paths_are_found_by_label_in_any_order(pairs, own):
    both = pairs.record.isel(station=[2, 0])
    made = both.geoml.invert_waveform(own, dim="station", length=64)
    back = both.isel(station=[1, 0]).geoml.invert_waveform(own, dim="station", length=64)
    np.testing.assert_allclose(made.values, back.values, atol=1e-5 * float(made.max()))
    with pytest.raises(InputError, match="knows no path to station QQ"):
        both.assign_coords(station=["QQ", "XG00"]).geoml.invert_waveform(own, dim="station")
    with pytest.raises(TimeAxisError, match="resample the records"):
        both.assign_coords(time=2 * both.time).geoml.invert_waveform(own, dim="station")


def test_paths_that_are_learnt_are_those_of_the_records(pairs, own):
    learnt = TrainedPath.of(xgeoml.tasks.choose.make_handle(own, "invert_waveform", None, 0))
    true = pairs.greens.values
    for one, other in zip(learnt.values, true, strict=True):
        assert np.corrcoef(one, other)[0, 1] > 0.8


def test_every_record_may_have_a_source_of_its_own(pairs):
    own = pairs.record.geoml.fit("eq_tf", target=pairs.source, **QUICK)
    made = pairs.record.geoml.invert_waveform(own, length=64)
    assert made.dims == ("event", "station", "time")
    assert np.isfinite(made).all()


def test_greens_functions_may_be_known_as_well(pairs):
    own = pairs.record.geoml.fit("eq_tf", target=pairs.source, greens=pairs.greens, **QUICK)
    with pytest.raises(InputError, match="needs the Green's functions"):
        pairs.record.geoml.invert_waveform(own)
    made = pairs.record.geoml.invert_waveform(own, greens=pairs.greens, length=64)
    assert np.isfinite(made).all()


def test_signed_sources_are_asked_for(pairs):
    signed = pairs.source - pairs.source.mean("lag")
    with pytest.raises(InputError, match="positive=False"):
        pairs.record.geoml.fit("eq_tf", target=signed, **QUICK)
    own = pairs.record.geoml.fit("eq_tf", target=signed, dim="station", positive=False, **QUICK)
    made = pairs.record.geoml.invert_waveform(own, dim="station", positive=False, length=64)
    assert float(made.min()) < 0


def test_the_same_seed_gives_the_same_bits(pairs, own):
    learnt = pairs.isel(event=slice(16))
    again = learnt.record.geoml.fit("eq_tf", target=learnt.source, dim="station", **QUICK)
    one, other = (
        pairs.record.geoml.invert_waveform(m, dim="station", length=64) for m in (own, again)
    )
    np.testing.assert_array_equal(one.values, other.values)


@pytest.mark.filterwarnings("ignore:training did not lower")
def test_the_sources_of_kept_events_teach_nothing(pairs):
    """The last events are validation: the parameters do not depend on them."""
    learnt = pairs.isel(event=slice(16))
    other = learnt.source.copy(deep=True)
    other[-2:] = other[-2:, ::-1].values
    options = {"dim": "station", **QUICK, "max_epochs": 1}
    models = [learnt.record.geoml.fit("eq_tf", target=t, **options) for t in (learnt.source, other)]
    paths = [
        TrainedPath.of(xgeoml.tasks.choose.make_handle(m, "invert_waveform", None, 0)).values
        for m in models
    ]
    np.testing.assert_array_equal(*paths)


def test_events_with_missing_samples_are_left_out(pairs):
    record = pairs.record.copy(deep=True)
    record[3, 1, 40] = np.nan
    with pytest.warns(UserWarning, match="1 of 20 events have missing samples"):
        record.geoml.fit("eq_tf", target=pairs.source, dim="station", **QUICK)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({}, "give their sources, target=..., their Green's functions, greens=..., or both"),
        ({"target": "source"}, "expected a DataArray of sources"),
        ({"dim": "lag"}, "expected one of these but 'time'"),
        ({"amplitudes": "free", "dim": "station"}, "give them, greens=..."),
        ({"amplitudes": "loud"}, "expected 'given' or 'free'"),
        ({"validation": 0.45, "events": 4}, "set validation=0, or give more"),
    ],
)
def test_what_does_not_fit_is_told(pairs, arguments, told):
    arguments = dict(arguments)
    data = pairs.isel(event=slice(arguments.pop("events", None)))
    if arguments and "target" not in arguments:
        arguments["target"] = data.source
    with pytest.raises(InputError, match=told):
        data.record.geoml.fit("eq_tf", **arguments, **QUICK)


def test_a_target_of_another_step_or_with_other_dims_is_refused(pairs):
    with pytest.raises(TimeAxisError, match="interpolate target"):
        pairs.record.geoml.fit(
            "eq_tf", target=pairs.source.assign_coords(lag=3 * pairs.lag), **QUICK
        )
    with pytest.raises(InputError, match=r"target has the dims \['depth'\]"):
        pairs.record.geoml.fit("eq_tf", target=pairs.source.expand_dims(depth=2), **QUICK)
    with pytest.raises(InputError, match="target has no event"):
        pairs.record.geoml.fit(
            "eq_tf", target=pairs.source.assign_coords(event=np.arange(20) + 5), **QUICK
        )


def test_deconvolutions_have_nothing_to_learn(pairs):
    with pytest.raises(SpecError, match="no parameters to train"):
        pairs.record.geoml.fit("nnls", target=pairs.source)


def test_arguments_of_waveforms_are_refused_elsewhere():
    record = xgeoml.datasets.grace_like(nlat=4, nlon=5)["lwe_thickness"]
    with pytest.raises(InputError, match="dim=: for models of waveform inversion"):
        record.geoml.fit("grace_tf", dim="station")


def test_a_dataset_names_its_records(pairs):
    with pytest.raises(InputError, match="variables='record'"):
        pairs.geoml.fit("eq_tf", target=pairs.source, **QUICK)
    own = pairs.geoml.fit(
        "eq_tf", variables="record", greens="greens", target=pairs.source, dim="station", **QUICK
    )
    made = pairs.geoml.invert_waveform(
        own, variables="record", greens="greens", dim="station", length=64
    )
    assert isinstance(made, xr.Dataset)
    assert made.record.dims == ("event", "time")


@pytest.mark.filterwarnings("ignore:training did not lower")
def test_records_alone_teach_with_greens_functions(pairs):
    """The shipped weight is where it begins, and how well records are explained what it is told."""
    options = {"greens": pairs.greens, "dim": "station", "patterns": 40, **QUICK}
    own = pairs.record.geoml.fit("eq_tf", **options, learning_rate=1e-3, validation=0)
    shipped, made = (
        pairs.record.geoml.invert_waveform(m, greens=pairs.greens, dim="station")
        for m in ("eq_tf", own)
    )
    assert not np.allclose(made, shipped, atol=1e-3 * float(shipped.max()))
    assert error(made, pairs.source) < 1.5 * error(shipped, pairs.source)
    assert not own.card.skill
    assert any("spread is that of the weights" in limit for limit in own.card.limits)


def test_amplitudes_that_are_free_are_found_in_training_too(pairs):
    factor = xr.DataArray([0.3, 1.0, 3.0], dims="station")
    wrong = pairs.greens * factor
    options = {"target": pairs.source, "dim": "station", "greens": wrong, **QUICK}
    given, free = (
        pairs.record.geoml.fit("eq_tf", amplitudes=a, **options).card.skill[0].values
        for a in ("given", "free")
    )
    assert free["nnls"] < 0.7 * given["nnls"]


def test_weights_to_begin_with_keep_their_axis_and_others_take_that_of_the_sources(pairs, own):
    assert own.spec.options["room"] == 1
    learnt = pairs.isel(event=slice(16))
    options = {"target": learnt.source, "dim": "station", "start": "eq_tf", **QUICK}
    begun = learnt.record.geoml.fit("eq_tf", **options)
    assert "room" not in begun.spec.options
    made = pairs.record.geoml.invert_waveform(begun, dim="station")
    assert made.sizes["time"] == 64  # as long as the sources that it has learnt from
    assert error(made, pairs.source) < 0.2


def test_an_epoch_is_a_pass_over_the_events(pairs, tmp_path):
    options = {**QUICK, "steps": None, "max_epochs": 1, "validation": 0, "batch_size": 8}
    own = pairs.record.geoml.fit("eq_tf", target=pairs.source, dim="station", **options)
    assert own.history[-1]["step"] == 3  # 20 events, 8 at a time
