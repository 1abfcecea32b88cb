"""Cards: complete or not, through JSON and back, and shown without doing harm."""

import json

import pytest

from xgeoml.exceptions import WeightsError
from xgeoml.weights import Card, SkillRow, TrainingData

DATA = TrainingData(
    "CSR mascons", "2002-04 to 2016-12", "land, 1 degree", ("tp", "t2m"), "open", "CSR, Austin"
)
SKILL = SkillRow(
    data="CSR mascons, South America",
    hidden="run of 11 months",
    unit="cm",
    metric="RMSE",
    values={"toy": 2.5, "kalman": 3.125},
    coverage=0.912,
    crps={"toy": 1.5},
)
FULL = Card(
    model="toy@1.0",
    summary="fills months",
    data=(DATA,),
    valid="monthly series of 24 steps or more",
    skill=(SKILL,),
    limits=("not for daily series",),
    license="Apache-2.0",
    citation="nobody (2026)",
    recipe="python -m toys",
    created="2026-01-31",
)


def changed(**changes):
    return Card.from_json(json.dumps({**json.loads(FULL.to_json()), **changes}))


def test_a_full_card_is_complete():
    assert FULL.problems() == []


def test_json_and_back():
    again = Card.from_json(FULL.to_json())
    assert again == FULL
    assert hash(again) == hash(FULL)
    assert again.to_json() == FULL.to_json()
    assert Card("toy@1.0", "a toy") == Card.from_json(Card("toy@1.0", "a toy").to_json())


def test_lists_are_taken_for_tuples():
    card = Card("toy@1.0", "a toy", data=[DATA], limits=["none"])
    assert (card.data, card.limits) == ((DATA,), ("none",))
    hash(card)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"model": "toy"}, "expected name@version"),
        ({"summary": ""}, "summary: is empty"),
        ({"data": []}, "data: is empty"),
        ({"skill": []}, "skill: is empty"),
        ({"limits": []}, "limits: is empty"),
        ({"valid": ""}, "valid: is empty"),
        ({"license": ""}, "license: is empty"),
        ({"recipe": ""}, "recipe: is empty"),
        ({"created": "31.1.2026"}, "expected a date"),
        ({"created": "20260131"}, "expected a date"),
        ({"data": [{"name": "", "period": "", "extent": ""}]}, "data[0].license: is empty"),
        ({"model": "other@1.0"}, "the model itself beside its baselines"),
    ],
)
def test_what_is_missing_is_told(changes, told):
    found = changed(**changes).problems()
    assert any(told in problem for problem in found), found


def test_skill_that_makes_no_sense():
    alone = SkillRow("d", "h", "cm", "RMSE", {"toy": float("nan")}, coverage=91.2)
    found = Card("toy@1.0", "a toy", skill=(alone,)).problems()
    for told in ("toy = nan", "a share between 0 and 1", "beside its baselines"):
        assert any(told in problem for problem in found), found
    with pytest.raises(WeightsError, match="cannot be written"):
        Card("toy@1.0", "a toy", skill=(alone,)).to_json()


@pytest.mark.parametrize(
    "text",
    [
        *("", "[]", "3", "null", "{", '{"model": "toy@1.0"}', "[" * 100_000),
        '{"model": 3, "summary": "s"}',
        '{"model": "toy@1.0", "summary": "s", "more": 1}',
        '{"model": "toy@1.0", "summary": "s", "data": 5}',
        '{"model": "toy@1.0", "summary": "s", "data": {"a": 1}}',
        '{"model": "toy@1.0", "summary": "s", "data": [5]}',
        '{"model": "toy@1.0", "summary": "s", "data": [{}]}',
        '{"model": "toy@1.0", "summary": "s", "limits": "one"}',
        '{"model": "toy@1.0", "summary": "s", "limits": [1]}',
        '{"model": "toy@1.0", "summary": "s", "skill": [{"data": "d"}]}',
        '{"model": "toy@1.0", "summary": "s", "skill": [{"data": "d", "hidden": "h", "unit": "u",'
        ' "metric": "m", "values": {"toy": "low"}}]}',
        '{"model": "toy@1.0", "summary": "s", "skill": [{"data": "d", "hidden": "h", "unit": "u",'
        ' "metric": "m", "values": {"toy": true}}]}',
        '{"model": "toy@1.0", "summary": "\\u001b[2J"}',
    ],
)
def test_what_is_no_card(text):
    with pytest.raises(WeightsError, match="card"):
        Card.from_json(text)


def test_the_text_shows_all_of_it():
    text = repr(FULL)
    for told in (
        *("toy@1.0", "fills months", "CSR mascons; 2002-04 to 2016-12", "with tp, t2m", "24 steps"),
        *("run of 11 months", "91.2%", "RMSE (cm)", "2.5", "3.125", "CRPS", "not for daily"),
        *("Apache-2.0", "nobody (2026)", "python -m toys", "2026-01-31"),
    ):
        assert told in text
        assert told in FULL.to_markdown()
        assert told in FULL._repr_html_()
    assert "Warning" not in FULL.to_markdown()


def test_the_tables_are_tables():
    assert (
        "| model | RMSE (cm) | CRPS (cm) |\n| --- | --- | --- |\n| toy | 2.5 | 1.5 |\n"
        "| kalman | 3.125 | - |\n"
    ) in FULL.to_markdown()
    lines = repr(FULL).splitlines()
    at = next(i for i, line in enumerate(lines) if "RMSE (cm)" in line)
    assert lines[at].index("RMSE") == lines[at + 1].index("2.5") == lines[at + 2].index("3.125")


def test_a_warning_is_not_overlooked():
    bad = changed(warning="learnt from the future")
    for text in (repr(bad), bad.to_markdown(), bad._repr_html_()):
        assert "learnt from the future" in text
        assert "warning" in text.lower()


def test_a_strangers_text_does_no_harm():
    evil = "<script>alert(1)</script> | a\n\n# head"
    card = Card(
        "toy@1.0",
        evil,
        data=(TrainingData(evil, evil, evil),),
        skill=(SkillRow(evil, evil, evil, evil, {evil: 1.0}),),
        limits=(evil, evil),
        warning=evil,
    )
    assert "<script" not in card._repr_html_()
    assert "<script" not in card.to_markdown()
    assert "\n# head" not in card.to_markdown()
    assert "| &lt;script&gt;alert(1)&lt;/script&gt; \\| a # head |" in card.to_markdown()


def test_a_card_is_no_file():
    with pytest.raises(WeightsError, match=r"SkillRow.values of a card"):
        SkillRow("d", "h", "cm", "RMSE", None)  # type: ignore[arg-type]
