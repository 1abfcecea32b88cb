"""A model's description: checked at once, frozen, the same after JSON."""

import json

import pytest
import toys

from xgeoml.exceptions import SpecError
from xgeoml.registry import all_models, get_model
from xgeoml.spec import AxisSpec, Channel, ModelSpec, WeightsRef

VALUE = (Channel("value"), Channel("validity"))


def spec(**changes):
    given = {"name": "toy", "task": "fill_gaps", "factory": "toys:SeriesNet", "inputs": VALUE}
    return ModelSpec(**{**given, **changes})


FULL = spec(
    axes=(AxisSpec("T", minimum=12),),
    inputs=(
        *VALUE,
        Channel("years"),
        Channel("estimate", "kalman"),
        Channel("spread", "kalman"),
        Channel("estimate", "linear"),
        Channel("covariates"),
    ),
    outputs=("residual", "log_spread"),
    options={"width": 8, "dilations": [1, 2], "causal": False, "note": "é", "none": None},
    weights=WeightsRef("toy.safetensors", "0" * 64),
    covariates=True,
    version="2.10",
    summary="s",
    citation="c",
    license="Apache-2.0",
)
FIELD = spec(
    factory="toys:FieldNet", axes=(AxisSpec("Y", "window", 16, 8), AxisSpec("X", "window", 16, 4))
)
BETWEEN = (AxisSpec("T", "tile", 8, halo=2),)
WAVES = {"task": "invert_waveform", "inputs": VALUE[:1]}


@pytest.mark.parametrize("one", [spec(), FULL, FIELD, *all_models()], ids=repr)
def test_json_and_back(one):
    text = one.to_json()
    again = ModelSpec.from_json(text)
    assert again == one
    assert hash(again) == hash(one)
    assert again.to_json() == text
    json.loads(text)


def test_a_spec_is_frozen_and_hashed_by_content():
    assert {spec(), spec()} == {spec()}
    assert spec(options={"a": 1}) != spec(options={"a": 2})
    assert hash(spec(options={"a": 1})) != hash(spec(options={"a": 2}))
    with pytest.raises(AttributeError):
        spec().name = "other"


def test_what_follows_from_a_spec():
    assert FULL.key == "toy@2.10"
    assert FULL.bases == ("kalman", "linear")
    assert FULL.gives_spread
    assert not spec().gives_spread
    assert get_model("linear").gives_spread
    assert FULL.axis("T").minimum == 12
    assert FULL.axis("Y") == AxisSpec("Y", "pointwise")
    assert FIELD.axis("X").window == 16


def test_models_of_interpolation_in_time_see_single_cells_or_whole_grids():
    plane = (AxisSpec("Y"), AxisSpec("X"))
    for axes in (BETWEEN, (*BETWEEN, *plane)):
        for backend in ("numpy", "torch"):
            made = spec(task="interp_time", axes=axes, backend=backend)
            assert not made.bound
            assert not made.tiled
    terrain = spec(task="interp_time", axes=(*BETWEEN, *plane), terrain=True)
    assert ModelSpec.from_json(terrain.to_json()) == terrain
    several = (*VALUE, Channel("estimate", "linear"))
    assert spec(task="interp_time", axes=BETWEEN, inputs=several).bases == ("linear",)


def test_models_of_waveform_inversion_see_whole_records():
    made = [spec(task="invert_waveform", inputs=VALUE[:1], outputs=("value", "log_spread"))]
    made.append(spec(task="invert_waveform", backend="numpy", inputs=()))
    several = (*VALUE[:1], Channel("estimate", "nnls"), Channel("estimate", "wiener"))
    made.append(spec(task="invert_waveform", inputs=several))
    for one in made:
        assert not one.bound
        assert not one.tiled
        assert ModelSpec.from_json(one.to_json()) == one
    assert made[-1].bases == ("nnls", "wiener")


def test_a_factory_may_be_the_class_itself():
    assert spec(factory=toys.SeriesNet).factory == "toys:SeriesNet"
    assert spec(factory=toys.SeriesNet).load_factory() is toys.SeriesNet

    class Local:
        pass

    for factory in (Local, lambda: None):
        with pytest.raises(SpecError, match="top of a module"):
            spec(factory=factory)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"name": "Grace TF"}, "name 'Grace TF'"),
        ({"name": "3d"}, "name '3d'"),
        ({"task": "paint"}, "task 'paint'"),
        ({"backend": "jax"}, "backend 'jax'"),
        ({"factory": "toys.SeriesNet"}, "expected 'package.module:Class'"),
        ({"version": "one"}, "version 'one'"),
        ({"inputs": ()}, "needs a Channel('value')"),
        ({"inputs": (Channel("mass"),)}, "channel role 'mass'"),
        ({"inputs": (*VALUE, Channel("estimate"))}, "a model name goes with"),
        ({"inputs": (*VALUE, Channel("years", "kalman"))}, "a model name goes with"),
        ({"inputs": (Channel("covariates"), *VALUE), "covariates": True}, "must come last"),
        ({"inputs": (*VALUE, Channel("covariates"))}, "goes with covariates=True"),
        ({"terrain": True}, "terrain=True: goes with networks of downscaling"),
        ({"outputs": ("residual",)}, "a 'residual' needs"),
        ({"outputs": ("log_spread",)}, "outputs ('log_spread',)"),
        ({"outputs": ()}, "outputs ()"),
        ({"axes": (AxisSpec("Q"),)}, "axis 'Q'"),
        ({"axes": (AxisSpec("T"), AxisSpec("T"))}, "named twice"),
        ({"axes": (AxisSpec("T", "part"),)}, "mode 'part'"),
        ({"axes": (AxisSpec("X", "window"),)}, "needs window= and stride="),
        ({"axes": (AxisSpec("X", "window", 16, 5),)}, "not a multiple of stride 5"),
        ({"axes": (AxisSpec("X", "whole", 16, 8),)}, "goes with mode 'window' only"),
        ({"axes": (AxisSpec("T", minimum=0),)}, "minimum 0"),
        ({"axes": FIELD.axes, "backend": "numpy"}, "whole time series"),
        (
            {"axes": FIELD.axes, "inputs": (*VALUE, Channel("estimate", "linear"))},
            "estimates of other models",
        ),
        ({"task": "interp_time"}, "takes T in mode 'tile'"),
        ({"task": "interp_time", "axes": (*BETWEEN, AxisSpec("Y"))}, "both in mode 'whole' or"),
        (
            {"task": "interp_time", "axes": BETWEEN, "backend": "numpy", "terrain": True},
            "terrain=True: goes with networks",
        ),
        ({**WAVES, "axes": (AxisSpec("T", minimum=8),)}, "takes T whole"),
        ({**WAVES, "axes": FIELD.axes, "backend": "numpy"}, "takes T whole"),
        ({**WAVES, "inputs": VALUE}, "nothing else"),
        ({**WAVES, "inputs": (*VALUE[:1], Channel("spread", "nnls"))}, "nothing else"),
        (
            {**WAVES, "inputs": (*VALUE[:1], Channel("covariates")), "covariates": True},
            "nothing else",
        ),
        (
            {
                **WAVES,
                "inputs": (*VALUE[:1], Channel("estimate", "nnls")),
                "outputs": ("residual",),
            },
            "returns the source",
        ),
        ({**WAVES, "scaling": "training"}, "no scale to be trained on"),
        ({**WAVES, "terrain": True}, "terrain=True: goes with networks of downscaling"),
        ({**WAVES, "fitted_with": ("nnls",)}, "fitted_with: goes with"),
        ({"options": {"f": print}}, "expected plain JSON values"),
        ({"weights": WeightsRef("toy.pt", "0" * 64)}, "expected a .safetensors file"),
        ({"weights": WeightsRef("toy.safetensors", "abc")}, "64 hexadecimal digits"),
    ],
)
def test_a_wrong_spec_says_what_is_wrong(changes, told):
    with pytest.raises(SpecError) as caught:
        spec(**changes)
    assert told in str(caught.value)
    assert len(caught.value.problems) >= 1


def test_all_problems_come_at_once():
    with pytest.raises(SpecError) as caught:
        spec(name="A", version="x", task="paint", inputs=(), axes=(AxisSpec("Q"),))
    assert len(caught.value.problems) == 5


def test_options_are_those_of_the_factory():
    assert spec().with_options({"channels": 3}).options == {"channels": 3}
    both = spec(options={"seed": 1}).with_options({"channels": 3})
    assert both.options == {"seed": 1, "channels": 3}
    with pytest.raises(SpecError, match="'chanels': expected one of"):
        spec().with_options({"chanels": 3})


@pytest.mark.parametrize(
    ("factory", "told"),
    [("no_such_module:Net", "no_such_module"), ("toys:NoSuchNet", "NoSuchNet")],
)
def test_a_factory_that_is_not_there(factory, told):
    with pytest.raises(SpecError, match=told):
        spec(factory=factory).load_factory()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "not JSON"),
        ("[1, 2]", "expected a JSON object"),
        ('{"name": "toy"}', "'task' is missing"),
        (spec().to_json()[:-1] + ', "colour": "red"}', "unknown field 'colour'"),
        (spec().to_json().replace('"axis"', '"axes_"'), "axes_"),
    ],
)
def test_a_text_that_is_no_spec(text, told):
    with pytest.raises(SpecError, match=told):
        ModelSpec.from_json(text)


@pytest.mark.parametrize("value", [3, None, {"a": 1}, "x", [1]])
@pytest.mark.parametrize("key", ["axes", "inputs", "outputs", "options", "weights", "factory"])
def test_a_field_of_the_wrong_kind_is_a_spec_error(key, value):
    raw = json.loads(spec().to_json())
    raw[key] = value
    try:
        made = ModelSpec.from_json(json.dumps(raw))
    except SpecError:
        return
    assert ModelSpec.from_json(made.to_json()) == made
