"""The methods are the functions: same names, signatures and docstrings on every kind of object."""

import inspect

import pytest
import xarray as xr

import xgeoml
from xgeoml import accessor
from xgeoml.accessor import GeoMLAccessor
from xgeoml.exceptions import InputError
from xgeoml.tasks.inspect import datasets_in

# One name differs: `xgeoml.models` is the package of the models, which a function would hide.
METHODS = {
    "downscale": xgeoml.downscale,
    "fill_gaps": xgeoml.fill_gaps,
    "fit": xgeoml.fit,
    "interp_time": xgeoml.interp_time,
    "invert_waveform": xgeoml.invert_waveform,
    "plan": xgeoml.plan,
    "models": xgeoml.models_for,
}


@pytest.fixture(scope="module")
def record():
    return xgeoml.datasets.grace_like(nlat=4, nlon=5).isel(time=slice(0, 40))


def kinds(record):
    return {
        "DataArray": record["lwe_thickness"],
        "Dataset": record,
        "DataTree": xr.DataTree.from_dict({"/a": record}),
    }


@pytest.mark.parametrize("kind", ["DataArray", "Dataset", "DataTree"])
@pytest.mark.parametrize("name", METHODS)
def test_a_method_is_the_function(record, kind, name):
    obj = kinds(record)[kind]
    method, function = getattr(obj.geoml, name), METHODS[name]
    ours = list(inspect.signature(method).parameters.values())
    theirs = list(inspect.signature(function).parameters.values())[1:]
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]
    unbound = inspect.signature(getattr(GeoMLAccessor, name)).parameters
    assert {k: str(p.annotation) for k, p in unbound.items() if k != "self"} == {
        k: str(p.annotation) for k, p in list(inspect.signature(function).parameters.items())[1:]
    }
    assert method.__doc__ == function.__doc__
    assert method.__doc__


def test_every_function_but_one_is_called_as_its_method():
    assert {n for n, f in METHODS.items() if getattr(xgeoml, n) is not f} == {"models"}


def test_every_public_method_is_compared():
    public = {n for n, v in vars(GeoMLAccessor).items() if not n.startswith("_") and callable(v)}
    assert public == set(METHODS)
    assert isinstance(inspect.getattr_static(GeoMLAccessor, "axes"), property)


def test_only_the_first_argument_is_positional():
    for name, function in METHODS.items():
        kinds = [p.kind for p in inspect.signature(function).parameters.values()]
        positional = kinds.count(inspect.Parameter.POSITIONAL_OR_KEYWORD)
        assert positional <= (3 if name in ("plan", "downscale", "interp_time") else 2)
        assert inspect.Parameter.VAR_KEYWORD not in kinds


def test_methods_hand_over_every_argument(record, monkeypatch):
    for name in ("downscale", "fill_gaps", "fit", "interp_time", "plan"):
        taken = {}
        monkeypatch.setattr(accessor, name, lambda *a, _t=taken, **k: _t.update(k, args=a))
        names = [
            k
            for k, p in inspect.signature(getattr(record.geoml, name)).parameters.items()
            if p.kind is p.KEYWORD_ONLY
        ]
        model = {"model": "<model>"} if name == "fit" else {}
        getattr(record.geoml, name)(**model, **{k: f"<{k}>" for k in names})
        assert taken.pop("args")[0] is record
        assert taken == {k: f"<{k}>" for k in names}


@pytest.mark.parametrize("kind", ["DataArray", "Dataset", "DataTree"])
def test_the_same_kind_comes_back(record, kind):
    obj = kinds(record)[kind]
    full = obj.geoml.fill_gaps("linear")
    assert type(full) is type(obj)
    function = xgeoml.fill_gaps(obj, "linear")
    for one, other in zip(datasets_in(full), datasets_in(function), strict=True):
        assert one.drop_attrs().equals(other.drop_attrs())


@pytest.mark.parametrize("kind", ["DataArray", "Dataset", "DataTree"])
def test_axes_and_models(record, kind):
    obj = kinds(record)[kind]
    assert obj.geoml.axes.names == {"T": "time", "Y": "lat", "X": "lon"}
    assert set(obj.geoml.models("fill_gaps")) == set(xgeoml.list_models("fill_gaps"))
    for task in ("downscale", "interp_time"):
        assert obj.geoml.models(task) == xgeoml.list_models(task)
    single = xr.DataArray([1.0], {"time": record["time"][:1]}, ["time"])
    assert {"linear", "akima"} <= set(single.geoml.models("interp_time"))
    assert not set(single.geoml.models("interp_time")) & {"diurnal", "temdeep"}, "these see grids"


def test_the_repr_says_what_was_found(record):
    text = repr(record.geoml)
    assert "<xgeoml on a Dataset>" in text
    assert "T: time (40), " in text
    assert "Y: lat (4), " in text
    assert "monthly" in text
    assert "3 absent steps" in text
    assert "4 x 5 cells" in text
    assert ".geoml.fill_gaps()" in text
    assert "<xgeoml on a DataTree>" in repr(kinds(record)["DataTree"].geoml)


@pytest.mark.parametrize(
    ("obj", "told"),
    [
        (xr.Dataset(), "T: n/a"),
        (xr.DataTree.from_dict({"/": xr.Dataset()}), "no data variables"),
        (xr.DataArray([[1.0]], dims=("a", "b")), "other dims: a, b"),
        (xr.DataArray([1.0, 2.0], dims="time"), "no coordinate"),
        (xr.DataArray([1.0], {"time": [3]}, ["time"]), "expected datetime64"),
    ],
)
def test_the_repr_never_fails(obj, told):
    assert told in repr(obj.geoml)


def test_the_accessor_keeps_no_state(record):
    before = dict(vars(record.geoml))
    record.geoml.fill_gaps("linear")
    assert list(before) == ["_obj"]
    assert vars(record.geoml).keys() == before.keys()


def test_a_tree_without_data_has_no_axes():
    with pytest.raises(InputError, match="no data variables"):
        xr.DataTree.from_dict({"/a": xr.Dataset()}).geoml.axes  # noqa: B018
