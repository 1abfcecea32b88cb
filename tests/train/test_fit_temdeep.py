"""temdeep fitted to a record: what it starts from, what its file holds, how it is used."""

from __future__ import annotations

import numpy as np
import pytest
from toy_in_time import OneNumber

import xgeoml
from xgeoml.engine import in_time_network
from xgeoml.engine.handle import ModelHandle
from xgeoml.exceptions import InputError
from xgeoml.spec import AxisSpec, Channel, ModelSpec
from xgeoml.tasks.choose import make_handle

QUICK = {
    "max_epochs": 2,
    "steps": 4,
    "batch_size": 4,
    "model_options": {"width": 8, "dilations": [1]},
    "progress": False,
    "device": "cpu",
}


@pytest.fixture(scope="module")
def record():
    made = xgeoml.datasets.hourly_temperature(hours=144, nlat=6, nlon=8).t2m
    return made.assign_attrs(title="made up")


@pytest.fixture(scope="module")
def own(record):
    return record[:120].geoml.fit("temdeep", **QUICK)


# A few steps may bring nothing, and say so.
pytestmark = pytest.mark.filterwarnings("ignore:training did not lower the validation loss")


def rmse(made, truth):
    return float(np.sqrt(((made - truth) ** 2).mean()))


def between(record, model):
    """Show every sixth step, and ask for those between."""
    times = record.time[: 6 * ((len(record) - 1) // 6) + 1]
    return record[::6].geoml.interp_time(times=times, model=model, progress=False)


def test_it_starts_from_the_shipped_network_and_fitted_models(own):
    shipped = xgeoml.get_model("temdeep")
    assert own.spec.bases == ("optical_flow", "diurnal", "ridge", shipped.key)
    assert own.spec.options["bases"] == 6  # of the motion three
    assert own.spec.fitted_with == ()
    names = set(ModelHandle(own.spec, str(own.path)).arrays())
    assert any(n.startswith("base:ridge:") for n in names)
    assert any(n.startswith("base:diurnal:cycle") for n in names)
    assert "grid:y" in names
    assert "enter.weight" in names


def test_it_is_better_than_a_line(record, own):
    late = record[115:]
    truth = late[: 6 * ((len(late) - 1) // 6) + 1]
    assert rmse(between(late, own), truth) < 0.9 * rmse(between(late, "linear"), truth)


def test_its_card_has_the_errors_of_what_it_is_made_of(own):
    assert own.card.data[0].name == "made up"
    assert own.card.skill
    for row in own.card.skill:
        assert {"temdeep", "temdeep before", "linear", "akima", "ridge", "diurnal"} <= set(
            row.values
        )
        assert row.hidden.startswith("steps within")


def test_saved_and_lazy_it_is_the_same(record, own, tmp_path):
    plain = between(record, own)
    path = own.save(tmp_path / "own.safetensors")
    assert between(record, path).equals(plain)
    assert between(record.chunk(time=36), own).compute().equals(plain)


def test_it_is_bound_to_its_grid(record, own):
    with pytest.raises(InputError):
        between(record[:, 1:], own)
    turned = record[:, ::-1]
    np.testing.assert_allclose(between(turned, own)[:, ::-1], between(record, own), atol=1e-4)


def test_of_coarse_steps_alone(record):
    own = record[:120:6].geoml.fit("temdeep", **QUICK)
    made = between(record[102:], own)
    assert np.isfinite(made).all()
    assert rmse(made, record[102:139]) < 1.3 * rmse(
        between(record[102:], "linear"), record[102:139]
    )


def test_an_interrupted_fit_goes_on(record, tmp_path):
    whole = record[:60].geoml.fit("temdeep", logdir=tmp_path / "a", **QUICK)
    again = record[:60].geoml.fit("temdeep", resume=tmp_path / "a", **QUICK)
    assert again.path.read_bytes() == whole.path.read_bytes()


def test_shipped_weights_are_trained_on(record):
    options = {k: v for k, v in QUICK.items() if k != "model_options"}
    own = record[:60].geoml.fit("temdeep", start="temdeep", **options)
    assert own.spec.bases == ("optical_flow",)


def test_a_vector_is_one(record):
    wind = record.rename("u").to_dataset()
    wind["v"] = -wind.u.roll(time=3)
    own = wind.isel(time=slice(0, 60)).geoml.fit("temdeep", vectors=[("u", "v")], **QUICK)
    coarse = wind.isel(time=slice(0, 60, 6))
    made = coarse.geoml.interp_time("1h", own, vectors=[("u", "v")], progress=False)
    assert np.isfinite(made.u).all()
    assert np.isfinite(made.v).all()


def test_motion_is_looked_for_once(record, monkeypatch):
    asked = []
    usual = in_time_network._asked

    def counted(base, *rest):
        asked.append(base.spec.name)
        return usual(base, *rest)

    monkeypatch.setattr(in_time_network, "_asked", counted)
    handle = make_handle(xgeoml.get_model("temdeep"), "interp_time", None, 0)
    assert [b.spec.name for b in handle.bases] == ["optical_flow"]
    between(record[:13], "temdeep")
    assert asked.count("optical_flow") == 1


def test_a_plain_network_is_fitted_too(record):
    """One that knows nothing of what ours begins with."""
    spec = ModelSpec(
        name="one_number",
        task="interp_time",
        factory=OneNumber,
        axes=(AxisSpec("T", "tile", 8, halo=4), AxisSpec("Y"), AxisSpec("X")),
        inputs=(Channel("value"),),
    )
    options = {k: v for k, v in QUICK.items() if k != "model_options"}
    own = record[:60].geoml.fit(spec, learning_rate=0.05, **options)
    assert {"one_number", "linear", "akima"} <= set(own.card.skill[0].values)
    assert np.isfinite(between(record, own)).all()
