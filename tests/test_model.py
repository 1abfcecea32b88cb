"""A trained model: what it shows of itself, and everywhere that it goes."""

import pickle

import dask
import matplotlib.figure
import numpy as np
import pytest
from toy_training import SERIES, cycles, fit, same, weights

import xgeoml
from xgeoml.exceptions import InputError, WeightsError
from xgeoml.model import Model
from xgeoml.weights.files import write_weights


@pytest.fixture(scope="module")
def record():
    made = cycles(3, 4)
    made[20:23] = np.nan
    return made


@pytest.fixture(scope="module")
def own(record):
    return fit(record)


@pytest.fixture(scope="module")
def filled(record, own):
    return record.geoml.fill_gaps(own, progress=False)


@pytest.fixture
def bare(own, tmp_path):
    """Return a model without card and history."""
    return Model(write_weights(tmp_path / "bare.safetensors", weights(own.path), SERIES))


def test_what_it_shows(own):
    text = repr(own)
    assert text.startswith("<xgeoml model: toy_series@1.0, fill_gaps>\n  file     /")
    assert "trained  2 epochs, 6 steps, " in text
    assert "RMSE (cm)" in text
    page = own._repr_html_()
    assert page.startswith('<div class="xgeoml-repr">')
    assert "<th>file</th>" in page
    assert "climatology" in page


def test_a_page_holds_no_markup_of_a_stranger(own, tmp_path):
    odd = tmp_path / "<b>bold.safetensors"
    own.save(odd)
    page = xgeoml.load(odd)._repr_html_()
    assert "<b>bold" not in page
    assert "&lt;b&gt;bold" in page


def test_what_a_bare_one_shows(bare):
    assert repr(bare).splitlines()[0] == "<xgeoml model: toy_series@1.0, fill_gaps>"
    assert (bare.card, bare.history) == (None, ())
    assert "<details" not in bare._repr_html_(), "without a card there is nothing to unfold"


def test_saved_and_loaded_it_is_the_same(record, own, filled, tmp_path):
    path = own.save(tmp_path / "new folder" / "own.safetensors")
    assert path.read_bytes() == own.path.read_bytes()
    assert [p.name for p in path.parent.iterdir()] == ["own.safetensors"]
    again = xgeoml.load(path)
    assert (again.spec, again.card, again.history) == (own.spec, own.card, own.history)
    for model in (again, path, str(path)):
        other = record.geoml.fill_gaps(model, progress=False)
        assert other.values.tobytes() == filled.values.tobytes()
    assert "toy_series@1.0, weights sha256" in other.attrs["history"]
    assert own.save(path) == path
    with pytest.raises(WeightsError, match=r"expected a name that ends in .safetensors"):
        own.save(tmp_path / "own.pt")


def test_equal_and_hashable(own):
    assert Model(own.path) == own
    assert len({own, Model(own.path)}) == 1


def test_the_loss_as_a_picture(own, bare):
    figure = own.plot_loss()
    assert isinstance(figure, matplotlib.figure.Figure)
    (panel,) = figure.axes
    labels = [text.get_text() for text in panel.get_legend().get_texts()]
    assert labels == ["training", "validation", "kept"]
    assert panel.get_title() == "toy_series@1.0"
    with pytest.raises(InputError, match="has no record of its training; expected a model that"):
        bare.plot_loss()


def test_the_picture_without_validation(record):
    (panel,) = fit(record, validation=0).plot_loss().axes
    assert [line.get_label() for line in panel.lines] == ["training"]


def test_pickled_it_is_the_same(own):
    again = pickle.loads(pickle.dumps(own))
    assert again == own
    assert same(weights(again.path), weights(own.path))


def same_to_rounding(lazy, filled):
    """Compare what networks made: with other threads torch may give another last bit."""
    np.testing.assert_allclose(lazy.values, filled.values, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("scheduler", ["threads", "processes"])
def test_on_lazy_data(record, own, filled, scheduler):
    lazy = record.chunk({"lat": 2, "lon": 2}).geoml.fill_gaps(own)
    with dask.config.set(scheduler=scheduler, num_workers=2):
        same_to_rounding(lazy, filled)


@pytest.mark.slow
def test_on_a_cluster(record, own, filled):
    from distributed import Client, LocalCluster

    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": "127.0.0.1:0"}
    with LocalCluster(processes=True, **options) as cluster, Client(cluster):
        lazy = record.chunk({"lat": 2}).geoml.fill_gaps(own)
        same_to_rounding(lazy, filled)


def test_everywhere_that_a_name_goes(record, own):
    assert "toy_series" in repr(record.geoml.plan(model=own))
    named = record.geoml.fill_gaps(SERIES, weights=own.path, progress=False)
    assert named.notnull().all()


def test_a_file_that_is_gone(own, tmp_path):
    path = own.save(tmp_path / "a.safetensors")
    model = xgeoml.load(path)
    path.unlink()
    with pytest.raises(WeightsError, match="cannot be read"):
        model.save(tmp_path / "b.safetensors")
    with pytest.raises(WeightsError, match="does not exist"):
        xgeoml.load(path)


def test_shipped_weights_are_models():
    shipped = xgeoml.load("grace_tf")
    assert shipped.spec.name == "grace_tf"
    assert shipped.card is None or shipped.card.problems() == []
