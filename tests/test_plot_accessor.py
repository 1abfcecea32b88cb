"""``.geoml.plot``: the functions as methods, without pyplot, and with matplotlib only if drawn."""

import builtins
import inspect
import subprocess
import sys

import pytest
import xarray as xr

from xgeoml import plot
from xgeoml.accessor_plot import PlotMethods
from xgeoml.exceptions import MissingExtraError
from xgeoml.testing import records

NAMES = ("gaps", "compare", "series", "filled_record", "skill", "spectrum", "waveforms")


@pytest.mark.parametrize("name", NAMES)
def test_a_method_is_the_function(name):
    method, function = getattr(PlotMethods, name), getattr(plot, name)
    assert method.__doc__ == function.__doc__
    ours = list(inspect.signature(method).parameters.values())[1:]
    theirs = list(inspect.signature(function).parameters.values())[1:]
    if name == "compare":
        # The other object, and which of the two it is.
        assert [p.name for p in ours[:3]] == ["after", "variable", "before"]
        ours = [p for p in ours if p.name not in ("after", "before")]
        theirs = theirs[1:]
    if name == "skill":
        ours = ours[1:]
    assert [(p.name, p.kind, p.default) for p in ours] == [
        (p.name, p.kind, p.default) for p in theirs
    ]
    assert [p.annotation for p in ours] == [p.annotation for p in theirs]


def test_every_method_is_compared():
    assert {n for n in dir(PlotMethods) if not n.startswith("_")} == set(NAMES)
    assert set(NAMES) <= set(plot.__all__)


@pytest.mark.parametrize("name", NAMES)
def test_methods_hand_over_every_argument(name, monkeypatch):
    taken = {}
    monkeypatch.setattr(plot, name, lambda *a, **k: taken.update(k, args=a))
    record = records.record()
    parameters = inspect.signature(getattr(record.geoml.plot, name)).parameters
    given = {k: f"<{k}>" for k in parameters if k != "before"}
    getattr(record.geoml.plot, name)(**given)
    args = taken.pop("args")
    positional = [f"<{k}>" for k, p in parameters.items() if p.kind is p.POSITIONAL_OR_KEYWORD]
    first = [] if name == "skill" else [record]
    assert len(args) == len(first) + len(positional)
    for one, other in zip(args, [*first, *positional], strict=True):
        assert one is other or one == other
    assert taken == {k: v for k, v in given.items() if v not in positional}


def test_the_reference_finds_the_methods_on_the_class():
    for kind in (xr.DataArray, xr.Dataset, xr.DataTree):
        assert kind.geoml.plot is PlotMethods


def test_trees_have_pictures():
    tree = xr.DataTree.from_dict({"/a": records.record().to_dataset()})
    assert repr(tree.geoml.plot).startswith("<xgeoml pictures: .gaps(), .compare(), ")


def test_nothing_is_imported_before_it_is_drawn_and_pyplot_never():
    pytest.importorskip("matplotlib")
    code = """
import sys
import xgeoml
from xgeoml.testing import records
record = records.record().to_dataset()
methods = record.geoml.plot
assert not any(m.startswith(("matplotlib", "hvplot", "holoviews")) for m in sys.modules)
full = record.geoml.fill_gaps("linear", spread=True)
for figure in (
    methods.gaps(), methods.compare(full), full.geoml.plot.series(), methods.spectrum(),
    xgeoml.datasets.wavefield(stations=2).geoml.plot.waveforms(),
):
    assert figure._repr_png_().startswith(b"\\x89PNG")
assert "matplotlib.pyplot" not in sys.modules
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def refuse(monkeypatch, package):
    real = builtins.__import__

    def fake(name, *arguments, **options):
        if name.split(".")[0] == package:
            raise ImportError(name)
        return real(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", fake)


def test_without_matplotlib(monkeypatch):
    record = records.record()
    refuse(monkeypatch, "matplotlib")
    for draw in (record.geoml.plot.gaps, record.geoml.plot.series, record.geoml.plot.spectrum):
        with pytest.raises(MissingExtraError, match=r'pip install "xgeoml\[plot\]"'):
            draw()


def test_without_hvplot(monkeypatch):
    record = records.record()
    refuse(monkeypatch, "hvplot")
    for draw in (record.geoml.plot.gaps, record.geoml.plot.series):
        with pytest.raises(MissingExtraError, match="hvplot") as caught:
            draw(interactive=True)
        assert caught.value.__notes__ == ["or: pip install hvplot"]
