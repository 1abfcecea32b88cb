"""What `.geoml` tells of an evaluation."""

import numpy as np
import pytest
import xarray as xr

from xgeoml.tasks.overview_scores import is_evaluation, scores_of

MODELS = ["linear", "kalman", "grace_tf", "oi"]


def evaluation(**attrs):
    """Return the Dataset of an evaluation: oi is best, kalman near it, a network failed."""
    rmse = np.array([[4.0, 4.4], [2.2, 2.0], [np.nan, np.nan], [2.0, 2.1]])
    made = xr.Dataset(
        {
            "rmse": (("model", "repeat"), rmse, {"units": "cm"}),
            "bias": (("model", "repeat"), 0.1 * rmse),
            "coverage": (("model", "repeat"), np.full((4, 2), np.nan)),
            "my_own": (("model", "repeat"), 100 * rmse),
            "rmse_by_season": (("model", "repeat", "season"), rmse[..., None]),
            "difference": ("model", [2.15, 0.05, np.nan, 0.0]),
            "difference_low": ("model", [1.5, -0.3, np.nan, 0.0]),
            "difference_high": ("model", [2.8, 0.4, np.nan, 0.0]),
            "error": ("model", np.array(["", "", "WeightsError: not here", ""], "U400")),
            "hidden": ("repeat", [1200, 1300]),
        },
        {"model": MODELS, "repeat": [0, 1], "season": ["DJF"]},
    )
    told = {
        "xgeoml_evaluation": "1",
        "task": "fill_gaps",
        "variable": "lwe",
        "units": "cm",
        "holdout": "runs of 6 steps",
        "score": "rmse",
        "best": "oi",
    }
    return made.assign_attrs({**told, **attrs})


def test_a_row_for_each_model_the_best_first():
    scores = scores_of(evaluation())
    assert [row.model for row in scores.rows] == ["oi", "kalman", "linear", "grace_tf"]
    assert scores.rows[0].mean == pytest.approx(2.05)
    assert scores.rows[0].error == pytest.approx(0.05), "0.0707 over the root of two repeats"
    assert [row.undecided for row in scores.rows] == [True, True, False, False]
    assert scores.rows[-1].failed == "WeightsError: not here"
    assert scores.beside == ("bias", "my_own"), "nothing is known of coverage"
    assert (scores.units, scores.hidden) == ("cm", (1200, 1300))


def test_the_text():
    text = repr(evaluation().geoml)
    for told in (
        "evaluation: fill_gaps of lwe\n",
        "hidden: runs of 6 steps, 2 times\n",
        "values hidden: 1,200 to 1,300 a time\n",
        "best: oi, rmse 2.05 ± 0.05 cm\n",
        "differences: not to be judged by 2 repeats; type repeats=4 or more\n",
        "grace_tf failed: WeightsError: not here\n",
        "next:\n    .geoml.plot.skill()",
    ):
        assert told in text
    lines = [line.split() for line in text.splitlines()]
    assert ["model", "rmse", "[cm]", "to", "the", "best", "[95", "%]", "bias", "my_own"] in lines
    assert ["kalman", "2.1", "±", "0.1", "+0.05", "[-0.3,", "+0.4]", "0.21", "210"] in lines
    assert ["grace_tf", "failed", "-", "-", "-"] in lines


def test_a_winner_beyond_doubt_and_none():
    several = evaluation().isel(repeat=[0, 1, 0, 1])
    sure = several.isel(model=[0, 2, 3])
    assert "better than all others beyond doubt\n  intervals: of 95 %, from 4" in repr(sure.geoml)
    assert "; not surely better than kalman\n" in repr(several.geoml)
    assert "beyond doubt" not in repr(several.isel(model=[3]).geoml)
    lost = evaluation().isel(model=[2])
    assert "best: none: every model failed" in repr(lost.geoml)


def test_scores_that_are_better_when_higher():
    higher = evaluation(score="my_own", best="linear")
    assert [row.model for row in scores_of(higher).rows] == ["linear", "kalman", "oi", "grace_tf"]


def test_one_repeat_has_no_error():
    once = evaluation().isel(repeat=[0])
    assert scores_of(once).rows[0].error is None
    assert "oi, rmse 2 cm" in repr(once.geoml)
    assert "values hidden: 1,200\n" in repr(once.geoml)


def test_many_scores_are_cut_to_the_line():
    many = evaluation().assign({f"a_longer_name_{i}": evaluation().bias for i in range(9)})
    text = repr(many.geoml)
    assert max(map(len, text.splitlines())) <= 100
    assert "a_longer_name_8" in many.geoml._repr_html_()


@pytest.mark.parametrize(
    "other",
    [
        evaluation().drop_attrs(),
        evaluation(score="none"),
        evaluation().isel(model=0),
        evaluation().chunk(),
        evaluation().astype(str),
        evaluation().rmse,
    ],
    ids=["no mark", "no score", "one model", "lazy", "text", "DataArray"],
)
def test_what_is_no_evaluation(other):
    assert not is_evaluation(other)
    assert "evaluation" not in repr(other.geoml)
