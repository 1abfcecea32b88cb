"""The repr of ``.geoml`` for notebooks: sound markup, the same facts, nothing of a stranger's."""

from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr
from test_formatting import days
from test_overview_scores import evaluation

import xgeoml
from xgeoml import markup
from xgeoml.weights import Card

EVIL = '<script>alert(\'x\')<i>" onload="y" & <b>'


class Balance(HTMLParser):
    """Complain of a tag that is not closed, and gather texts, tags and attributes."""

    def __init__(self, page):
        super().__init__()
        self.open, self.tags, self.names, self.texts = [], [], set(), []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.open.append(tag)
        self.tags.append((tag, dict(attrs)))
        self.names |= {name for name, _ in attrs}

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(data)

    def count(self, kind):
        return sum(attrs.get("class") == kind for _, attrs in self.tags)


def read(obj):
    """Return what a browser would make of a page."""
    found = Balance(obj._repr_html_())
    assert found.tags[0][1] == {"class": "xgeoml-repr"}
    known = {"div", "style", "span", "p", "b", "code", "details", "summary", "ul", "li"}
    known |= {"table", "caption", "thead", "tbody", "tr", "th", "td", "svg", "g", "rect", "title"}
    assert {tag for tag, _ in found.tags} <= known
    assert not {name for name in found.names if name.startswith("on")}
    return found


def test_the_same_facts_as_in_text():
    made = days()
    made[10:12] = np.nan
    made = made.drop_isel(time=[20, 21]).to_dataset()
    page = read(made.geoml)
    text = " ".join(page.texts)
    for told in (
        *("Dataset · daily · 4 x 5 cells · regional", "10 to 13", "guessed from the name"),
        *("1 x 1 deg, regular", "proleptic_gregorian", "2 of 30 steps", "sst [K]", "2 steps empty"),
        *("networks, weights here", "grace_tf", ".geoml.fill_gaps()", '.geoml.plan("fill_gaps")'),
    ):
        assert told in text
    assert [a["open"] for tag, a in page.tags if tag == "details" and "open" in a] == [""] * 3
    assert not any("http" in t for t in page.texts), "a page needs nothing from elsewhere"


def test_the_picture_is_made_of_shares():
    made = days().isel(lat=slice(1, None))
    made[10:12] = np.nan
    page = read(made.drop_isel(time=[20, 21]).geoml)
    rects = [attrs for tag, attrs in page.tags if tag == "rect"]
    kinds = {kind: [r for r in rects if r["class"] == f"xgeoml-{kind}"] for kind in markup_kinds()}
    assert {kind: len(found) for kind, found in kinds.items()} == {
        "seen": 5,
        "cloud": 1,
        "empty": 1,
        "absent": 1,
    }
    (cloud,), (empty,), (absent,) = kinds["cloud"], kinds["empty"], kinds["absent"]
    assert (float(cloud["x"]), float(cloud["width"])) == (60.0, 60.0)
    # Four of fifteen cells: what is seen stands below.
    assert float(cloud["height"]) == pytest.approx(30 * 4 / 15, abs=0.01)
    assert (empty["x"], empty["height"], absent["x"], absent["width"]) == ("200", "30", "400", "40")
    assert "2001-01-21 to 2001-01-22: 100% absent step" in page.texts
    assert page.count("xgeoml-key xgeoml-absent") == 1


def markup_kinds():
    return ("seen", "cloud", "empty", "absent")


def test_only_colours_that_are_there_have_a_key():
    page = read(days().isel(lat=slice(1, None)).geoml)
    found = [page.count(f"xgeoml-key xgeoml-{kind}") for kind in markup_kinds()]
    assert found == [1, 1, 0, 0]
    complete = days().isel(lat=slice(1, None)).fillna(0)
    assert not any(tag == "svg" for tag, _ in read(complete.geoml).tags)


def test_texts_of_strangers_are_texts():
    odd = days().rename(EVIL).rename(lat=EVIL + "y").to_dataset()
    odd[EVIL].attrs["units"] = odd.lon.attrs["units"] = EVIL
    for obj in (odd, odd[EVIL], xr.DataTree.from_dict({f"/{EVIL}": odd})):
        page = read(obj.geoml)
        assert any(EVIL in text for text in page.texts)
        assert not any(tag == "script" for tag, _ in page.tags)
    tree = read(xr.DataTree.from_dict({"/a": odd, "/b": odd}).geoml)
    assert next(a for tag, a in tree.tags if tag == "details") == {"open": ""}


def test_models_that_need_more_are_not_counted():
    few, many = (read(days()[:n].geoml).texts for n in (12, 30))
    (fewer,), (all_of_them,) = ([t for t in p if "that fit these data" in t] for p in (few, many))
    assert int(fewer.split()[0]) == int(all_of_them.split()[0]) - 1
    assert "networks, weights here, needs 24 steps" in few
    assert 'networks, weights here, makes months with freq="MS"' in many


def test_a_tree_shows_its_first_group():
    tree = xr.DataTree.from_dict({f"/g{i}": days(i).to_dataset() for i in range(10)})
    page = read(tree.geoml)
    assert "and 2 more groups" in page.texts
    assert page.texts.count("daily · 4 x 5 cells · regional") == 8
    assert "no data variables" in read(xr.DataTree().geoml).texts


def test_problems_are_told():
    page = read(days()[[0, 2, 1]].geoml)
    assert page.count("xgeoml-bad") == 1
    assert any("is not in order" in text for text in page.texts)
    assert "no T axis found" in read(days().isel(time=0, drop=True).geoml).texts
    assert not any("axis found" in text for text in read(xgeoml.datasets.wavefield().geoml).texts)


def test_an_evaluation():
    scores = evaluation()
    scores["error"].loc["grace_tf"] = EVIL
    page = read(scores.geoml)
    assert "Dataset · evaluation of fill_gaps" in page.texts
    assert page.count("xgeoml-good") == 1
    assert EVIL in page.texts
    tree = xr.DataTree.from_dict({"/a": scores, "/b": days().to_dataset()})
    assert "group /a" in read(tree.geoml).texts
    assert '["/a"].geoml.plot.skill()' in read(tree.geoml).texts


@pytest.mark.parametrize(
    ("task", "given"),
    [
        ("fill_gaps", {}),
        ("downscale", {"factor": 2, "model": "bicubic"}),
        ("interp_time", {"factor": 2, "model": "linear"}),
    ],
)
def test_plans_are_tables(task, given):
    plan = days().geoml.plan(task, **given)
    page, text = read(plan), repr(plan)
    assert text.startswith(f"<xgeoml plan: {task}>\n  model ")
    for line in text.splitlines()[1:]:
        assert line.split(maxsplit=1)[1].split("  ")[-1].strip() in " ".join(page.texts)
    # A label that is that above is not repeated.
    assert page.texts.count("axis") == 1


def test_a_plan_of_waves_is_one_too():
    wave = xgeoml.datasets.wavefield(stations=2, samples=256)
    page = read(wave.geoml.plan("invert_waveform", "nnls", greens="greens", dim="station"))
    assert {"xgeoml plan", "invert_waveform", "nnls@1.0 (as asked)"} <= set(page.texts)


def test_models_and_cards_in_the_same_look():
    spec = xgeoml.get_model("grace_tf")
    assert {spec.key, "network", "kalman, regression, kalman_alone"} <= set(read(spec).texts)
    assert "classical" in read(xgeoml.get_model("kalman")).texts
    shipped = xgeoml.load("grace_tf")
    for page in map(read, (shipped, shipped.card)):
        assert {"Skill", "Limits", "RMSE (cm)", "run of 11 months"} <= set(page.texts)
    assert "grace_tf" in read(xgeoml.weights.list()).texts
    bare = read(Card("toy@1.0", EVIL))
    assert EVIL in bare.texts
    assert not any(tag == "details" for tag, _ in bare.tags)


def test_the_least_error_of_a_card_is_in_bold():
    page = read(xgeoml.load("climanet"))
    bold = [page.texts[i] for i in range(len(page.texts)) if page.texts[i] == "0.01665"]
    assert len(bold) == 1
    assert sum(tag == "b" for tag, _ in page.tags) >= 6


def test_pieces_of_markup():
    assert markup.join("<", markup.Html("<b>")) == "&lt;<b>"
    assert markup.tag("a", "x", class_="y", shape_rendering='"') == (
        '<a class="y" shape-rendering="&quot;">x</a>'
    )
    assert "xgeoml-number" not in markup.table([["a", "1"]])
    assert markup.table([["a", "1"]], numbers=1).count("xgeoml-number") == 1
    assert "<tbody></tbody>" in markup.table([])
    assert markup.section("t", opened=False).startswith("<details><summary>t")


def test_the_style_follows_light_and_dark():
    page = days().geoml._repr_html_()
    for theme in (
        *('html[theme="dark"]', 'html[data-theme="dark"]', "body.vscode-dark"),
        *('body[data-jp-theme-light="false"]', "--jp-content-font-color0", "--pst-color-text-base"),
    ):
        assert theme in page
    rules = page.partition("<style>")[2].partition("</style>")[0]
    selectors = [line for line in rules.splitlines() if line.rstrip().endswith("{")]
    assert all("xgeoml-repr" in line for line in selectors), "no rule reaches beyond our own"
