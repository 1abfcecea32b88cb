"""Options of a model: told of when the call is made, and never against its weights."""

import numpy as np
import pytest
from xarray import DataArray

import xgeoml
from xgeoml.exceptions import InputError, WeightsError
from xgeoml.spec import Channel, ModelSpec
from xgeoml.testing import raise_if_computes

pytest.importorskip("torch")


@pytest.fixture(scope="module")
def record() -> DataArray:
    return xgeoml.datasets.grace_like(nlat=4, nlon=4)["lwe_thickness"].isel(time=slice(0, 40))


@pytest.fixture
def untrained() -> ModelSpec:
    return xgeoml.get_model("grace_tf").replace(name="untrained", weights=None)


@pytest.mark.parametrize(
    ("options", "trained"),
    [
        ({"causal": True}, "causal=False"),
        ({"attention": "logsparse"}, "attention='full'"),
        ({"attention": "logsparse", "layers": 2, "heads": 2}, "attention='full', layers=3"),
    ],
)
def test_options_that_the_weight_was_not_trained_with(record, options, trained):
    with pytest.raises(InputError) as caught, raise_if_computes():
        record.chunk().geoml.fill_gaps("grace_tf", model_options=options)
    text = str(caught.value)
    assert f"the weight of grace_tf was trained with {trained};" in text
    assert "needs a weight trained so: pass its file" in text
    assert ("'heads'" in text) is False
    with pytest.raises(InputError, match="was trained with"):
        record.geoml.plan(model="grace_tf", model_options=options)


def test_a_weights_file_knows_its_own_options(record):
    from xgeoml.weights.store import find

    path = find(xgeoml.get_model("grace_tf").weights)
    with pytest.raises(InputError, match="was trained with attention='full'"):
        record.geoml.fill_gaps(path, model_options={"attention": "logsparse"})


def test_options_that_are_those_of_the_weight(record):
    own = {"attention": "full", "dropout": 0.25}
    plain = record.geoml.fill_gaps("grace_tf")
    np.testing.assert_array_equal(record.geoml.fill_gaps("grace_tf", model_options=own), plain)


def test_a_network_without_weights_takes_any_option(record, untrained):
    made = record.geoml.fill_gaps(untrained, model_options={"attention": "logsparse", "layers": 1})
    assert bool(np.isfinite(made.isel(lat=1)).any())


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ({"attention": "sparse"}, "attention='sparse': expected 'full' or 'logsparse'"),
        ({"dropout": "x"}, "'dropout': 0.25"),
        ({"heads": 0}, "'heads': 2"),
        ({"causal": "yes"}, "causal='yes': expected True or False"),
    ],
)
def test_a_wrong_value_is_one_error_that_names_it(record, untrained, option, told):
    with pytest.raises(InputError) as caught, raise_if_computes():
        record.chunk().geoml.fill_gaps(untrained, model_options=option)
    text = str(caught.value)
    assert f"model 'untrained' cannot be made with model_options={option!r}" in text
    assert told in text
    assert "expected" in text


@pytest.mark.parametrize(
    ("model", "option", "told"),
    [
        ("dineof", {"seed": "x"}, "seed='x': expected a whole number, 0 or above"),
        ("dineof", {"seed": -1}, "seed=-1: expected a whole number, 0 or above"),
        ("kalman", {"drivers": "no"}, "drivers='no': expected True or False"),
    ],
)
def test_a_wrong_value_of_a_classical_model(record, model, option, told):
    with pytest.raises(InputError) as caught, raise_if_computes():
        record.chunk().geoml.fill_gaps(model, model_options=option)
    assert f"model '{model}' cannot be made with model_options={option!r}: {told}" in str(
        caught.value
    )


def test_what_a_third_party_raises_is_inside():
    spec = ModelSpec("toy", "fill_gaps", "toys:SeriesNet", inputs=(Channel("value"),))
    data = xgeoml.datasets.grace_like(nlat=4, nlon=4)
    with pytest.raises(
        InputError, match=r"model 'toy' cannot be made with.*'channels': 'two'.*Error"
    ):
        data.geoml.fill_gaps(spec, model_options={"channels": "two"})


def test_weights_of_another_size_are_still_told_of(record, untrained):
    weights = xgeoml.get_model("grace_tf").weights
    with pytest.raises(WeightsError, match="does not fit"):
        record.geoml.fill_gaps(untrained.with_options({"layers": 1}).replace(weights=weights))
