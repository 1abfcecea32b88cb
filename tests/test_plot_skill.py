"""Pictures of scores: a Dataset as `evaluate` returns it, made by hand."""

import numpy as np
import pytest
import xarray as xr
from toy_pictures import drawn, outside, overlapping, titles

from xgeoml import plot
from xgeoml.exceptions import InputError
from xgeoml.testing import records

pytest.importorskip("matplotlib")

SCORES = {"linear": [3.0, 3.4], "kalman": [1.0, 1.2], "climatology": [2.0, 2.6], "oi": [np.nan] * 2}


@pytest.fixture
def evaluation():
    rmse = np.array(list(SCORES.values()))
    dims = ("model", "repeat")
    attrs = {"long_name": "root mean square error", "units": "cm"}
    table = xr.Dataset(
        {
            "rmse": (dims, rmse, attrs),
            "nse": (dims, 1.0 - rmse / 4.0, {"long_name": "efficiency", "units": "1"}),
            "coverage": (dims, [[0.8] * 2, [0.99] * 2, [0.88] * 2, [np.nan] * 2], {"units": "1"}),
            "difference": ("model", [2.1, 0.0, 1.2, np.nan], {"units": "cm"}),
            "difference_low": ("model", [1.5, 0.0, -0.2, np.nan]),
            "difference_high": ("model", [2.7, 0.0, 2.6, np.nan]),
            "error": ("model", ["", "", "", "SpecError: needs an axis X"]),
            "hidden": ("repeat", [1200, 1300]),
        },
        {"model": list(SCORES), "repeat": [0, 1], "season": ["DJF", "JJA"]},
        {
            "xgeoml_evaluation": "1",
            "task": "fill_gaps",
            "variable": "storage",
            "units": "cm",
            "holdout": "whole months",
            "score": "rmse",
            "best": "kalman",
        },
    )
    table["rmse_by_season"] = ((*dims, "season"), rmse[..., None] * [1.0, 2.0], attrs)
    return table


def rows(panel):
    return [t.get_text() for t in panel.get_yticklabels()]


def told_by(figure):
    """Return the title of a figure in one line."""
    words = " ".join(t.get_text() for sub in figure.subfigs for t in sub.texts)
    return " ".join(words.split())


def large(panel):
    """Return the means: large dots, from the top."""
    return [float(line.get_xdata()[0]) for line in panel.lines if line.get_markersize() > 6]


def test_the_best_is_uppermost(evaluation):
    figure = drawn(evaluation.geoml.plot.skill())
    scores = figure.axes[0]
    assert rows(scores) == ["kalman", "climatology", "linear", "oi"]
    assert scores.get_ylim()[0] > scores.get_ylim()[1]
    assert large(scores) == pytest.approx([1.1, 2.3, 3.2])
    small = [line.get_xdata().tolist() for line in scores.lines if line.get_markersize() < 6]
    assert small == [[1.0, 1.2], [2.0, 2.6], [3.0, 3.4]]
    assert scores.get_xlabel() == "root mean square error (cm)"
    assert scores.get_yticklabels()[0].get_fontweight() == "bold"
    assert overlapping(figure) == []


def test_differences_have_intervals(evaluation):
    panel = drawn(plot.skill(evaluation)).axes[1]
    bars = [line.get_xdata() for line in panel.lines if len(line.get_xdata()) == 2][1:]
    np.testing.assert_allclose(bars, [[-0.2, 2.6], [1.5, 2.7]])
    assert panel.get_xlabel() == "difference from the best (cm)"
    assert titles(panel.figure)[0] == "95 % interval of the mean over repeats"


def test_failures_are_told(evaluation):
    scores = drawn(plot.skill(evaluation)).axes[0]
    assert "failed: SpecError: needs an axis X" in [t.get_text() for t in scores.texts]


def test_the_title_tells_what_was_hidden(evaluation):
    figure = plot.skill(evaluation)
    assert told_by(figure) == (
        "fill gaps of storage; hidden: whole months, 2 times; 1,200 to 1,300 values a time"
    )
    one = plot.skill(evaluation.isel(repeat=[0]))
    assert told_by(one) == "fill gaps of storage; hidden: whole months, 1 time; 1,200 values"


def test_the_title_and_the_table_tell_the_same(evaluation):
    table = " ".join(repr(evaluation.geoml).split())
    assert "hidden: whole months, 2 times" in table
    assert "1,200 to 1,300 a time" in table
    evaluation["hidden"][:] = 1200
    assert "1,200" in told_by(plot.skill(evaluation))
    assert " to " not in told_by(plot.skill(evaluation))


def test_groups_have_panels_of_their_own(evaluation):
    figure = drawn(plot.skill(evaluation))
    panel = figure.axes[2]
    assert panel.get_title() == "by season"
    lines = {line.get_label(): line.get_ydata() for line in panel.lines}
    np.testing.assert_allclose(lines["kalman"], [1.1, 2.2])
    assert [t.get_text() for t in panel.get_xticklabels()] == ["DJF", "JJA"]
    assert panel.get_ylabel().replace("\n", " ") == "root mean square error (cm)"
    colours = {line.get_label(): line.get_color() for line in panel.lines}
    names = figure.axes[0].get_yticklabels()
    assert colours["kalman"] == names[0].get_color()
    assert len(drawn(plot.skill(evaluation.drop_vars("rmse_by_season"))).axes) == 2


def test_one_group_has_no_panel(evaluation):
    figure = drawn(plot.skill(evaluation.isel(season=[0])))
    assert not any("by season" in title for title in titles(figure))
    assert any("by season" in title for title in titles(drawn(plot.skill(evaluation))))


def test_other_scores_have_their_own_order(evaluation):
    figure = drawn(plot.skill(evaluation, score="nse"))
    assert len(figure.axes) == 1, "differences are those of the main score"
    assert rows(figure.axes[0])[0] == "kalman"
    # Nearest to 0.9, which is what an interval of 90 % promises.
    assert rows(plot.skill(evaluation, score="coverage").axes[0])[0] == "climatology"


def test_one_repeat_and_no_intervals(evaluation):
    one = evaluation.isel(repeat=[0]).drop_vars(["difference_low", "difference_high"])
    figure = drawn(plot.skill(one))
    assert large(figure.axes[0]) == [1.0, 2.0, 3.0]
    assert figure.axes[1].get_title() == ""


@pytest.mark.parametrize("units", ["degree Celsius", "kilograms per square metre per second"])
def test_long_units_and_names_are_not_cut_off(evaluation, units):
    evaluation = evaluation.assign_coords(
        season=["North Atlantic subpolar gyre", "Mediterranean Sea"],
        model=["linear", "/home/somebody/models/of/the/sea/kalman.safetensors", "c", "oi"],
    )
    for name in ("rmse", "rmse_by_season", "difference"):
        evaluation[name].attrs["units"] = units
    figure = drawn(plot.skill(evaluation))
    assert outside(figure) == []
    assert overlapping(figure) == []


def test_many_models(evaluation):
    many = xr.concat(
        [evaluation.assign_coords(model=[f"{m} {k}" for m in SCORES]) for k in range(4)],
        "model",
        data_vars="minimal",
    )
    assert len(rows(drawn(plot.skill(many)).axes[0])) == 16


def test_data_take_an_evaluation(evaluation):
    figure = records.record().geoml.plot.skill(evaluation, score="nse")
    assert rows(figure.axes[0])[0] == "kalman"


def test_what_is_no_evaluation_is_refused(evaluation):
    with pytest.raises(InputError, match=r"found a DataArray; expected .*ds.geoml.evaluate"):
        records.record().geoml.plot.skill()
    with pytest.raises(InputError, match=r"found a Dataset with \['storage'\]"):
        records.record().to_dataset().geoml.plot.skill()
    with pytest.raises(InputError, match=r"score='rmsd' is not .* \['rmse'\]"):
        plot.skill(evaluation, score="rmsd")
    with pytest.raises(InputError, match="oi: SpecError"):
        plot.skill(evaluation.where(evaluation.model == "oi").assign(error=evaluation.error))
