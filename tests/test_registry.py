"""Which models there are, and what is said of one that is not there."""

import importlib.metadata

import pytest
import toys

import xgeoml
from xgeoml import registry
from xgeoml.exceptions import ModelNotFoundError, SpecError
from xgeoml.models.catalog import BUILT_IN
from xgeoml.spec import Channel, ModelSpec

TOY = ModelSpec(
    name="toy",
    task="invert_waveform",
    factory=toys.SeriesNet,
    inputs=(Channel("value"),),
    version="1.2",
)


@pytest.fixture(autouse=True)
def fresh(monkeypatch):
    """Keep what a test registers out of the next."""
    monkeypatch.setattr(registry, "_registered", {})
    registry._installed.cache_clear()
    yield
    registry._installed.cache_clear()


def install(monkeypatch, **points):
    class Point:
        def __init__(self, name, value):
            self.name, self.value = name, value

        def load(self):
            if isinstance(self.value, Exception):
                raise self.value
            return self.value

    made = [Point(k, v) for k, v in points.items()]
    monkeypatch.setattr(registry, "entry_points", lambda group: made)
    registry._installed.cache_clear()


def test_our_own_models_are_there():
    assert {"linear", "climatology", "dineof", "kalman"} <= set(xgeoml.list_models("fill_gaps"))
    assert xgeoml.list_models() == sorted(xgeoml.list_models())
    assert "kalman_alone" not in xgeoml.list_models()  # only serves other models
    for name in xgeoml.list_models():
        spec = xgeoml.get_model(name)
        assert spec.name == name
        assert spec.summary
        assert all(registry.base_model(b, spec.task).task == spec.task for b in spec.bases)
        assert xgeoml.get_model(spec.key) is spec


def test_a_model_may_be_registered():
    assert xgeoml.register_model(TOY) is TOY
    assert xgeoml.get_model("toy") is TOY
    assert xgeoml.get_model("toy@1.2", "invert_waveform") is TOY
    assert "toy" in xgeoml.list_models("invert_waveform")
    assert "toy" not in xgeoml.list_models("fill_gaps")


def test_a_name_is_taken_once():
    xgeoml.register_model(TOY)
    with pytest.raises(SpecError, match="overwrite=True"):
        xgeoml.register_model(TOY.replace(version="2.0"))
    xgeoml.register_model(TOY.replace(version="2.0"), overwrite=True)
    assert xgeoml.get_model("toy").version == "2.0"
    with pytest.raises(SpecError, match=r"xgeoml\.models\.linear:Linear"):
        xgeoml.register_model(TOY.replace(name="linear", task="fill_gaps"))


def test_models_of_several_tasks_may_have_one_name():
    mine = xgeoml.register_model(TOY.replace(name="linear"))
    assert xgeoml.get_model("linear", "invert_waveform") is mine
    assert xgeoml.get_model("linear").task == "fill_gaps"
    assert xgeoml.get_model("linear", "interp_time").task == "interp_time"
    assert xgeoml.get_model("linear@1.2") is mine, "the version that only it has"
    assert xgeoml.list_models().count("linear") == 1
    assert "linear" in xgeoml.list_models("invert_waveform")
    keys = {(s.task, s.key) for s in registry.all_models()}
    assert {("fill_gaps", "linear@1.0"), ("interp_time", "linear@1.0")} <= keys
    assert BUILT_IN["linear"].task == "fill_gaps"
    assert BUILT_IN["ridge"].task == "downscale"


def test_base_models_are_of_the_same_task_first():
    assert registry.base_model("linear", "interp_time").task == "interp_time"
    assert registry.base_model("kalman", "interp_time").task == "fill_gaps"
    assert registry.base_model("linear", "fill_gaps").task == "fill_gaps"


def test_bases_must_be_known():
    spec = TOY.replace(task="fill_gaps", inputs=(Channel("value"), Channel("estimate", "kallman")))
    with pytest.raises(SpecError, match="'kallman' is not known"):
        xgeoml.register_model(spec)


def test_bases_of_waveform_inversion_are_of_this_task():
    inputs = (Channel("value"), Channel("estimate", "kalman"))
    with pytest.raises(SpecError, match=r"'kalman' is not known.*nnls"):
        xgeoml.register_model(TOY.replace(inputs=inputs))
    inputs = (Channel("value"), Channel("estimate", "nnls"))
    assert xgeoml.register_model(TOY.replace(inputs=inputs)).bases == ("nnls",)


@pytest.mark.parametrize(
    ("asked", "told"),
    [
        ("kallman", "Did you mean 'kalman'"),
        ("KALMAN", "Did you mean 'kalman'"),
        ("climatolgy", "Did you mean 'climatology'"),
        ("xyzzy", "bicubic, bilinear, climanet"),
        ("kalman@7.7", "kalman@1.0"),
        ("", "Expected one of"),
    ],
)
def test_a_model_that_is_not_there(asked, told):
    with pytest.raises(ModelNotFoundError) as caught:
        xgeoml.get_model(asked)
    assert told in str(caught.value)
    assert "xgeoml.list_models()" in str(caught.value)
    assert isinstance(caught.value, KeyError)


def test_installed_packages_bring_models(monkeypatch):
    second = TOY.replace(name="second")
    install(monkeypatch, one=TOY, several=[second, TOY.replace(name="third")])
    assert {"second", "third", "toy"} <= set(xgeoml.list_models("invert_waveform"))
    assert xgeoml.get_model("second") is second


@pytest.mark.parametrize(
    ("loaded", "told"),
    [
        (ImportError("no module named them"), "no module named them"),
        (AttributeError("no SPEC"), "no SPEC"),
        (42, "42"),
        ([TOY, "text"], "'text' is no ModelSpec"),
        (toys.SeriesNet, "ModelSpec"),
    ],
)
def test_a_broken_package_is_named(monkeypatch, loaded, told):
    install(monkeypatch, broken=loaded)
    with pytest.raises(SpecError, match=told) as caught:
        xgeoml.list_models()
    assert "entry point broken" in str(caught.value)


def test_the_group_is_the_documented_one(monkeypatch):
    asked = []
    monkeypatch.setattr(registry, "entry_points", lambda group: asked.append(group) or [])
    registry._installed.cache_clear()
    xgeoml.list_models()
    assert asked == ["xgeoml.models"]
    assert importlib.metadata.entry_points(group="xgeoml.models") is not None
