"""The documentation names everything that there is: public names, models, commands."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import click
import pytest

import xgeoml
from xgeoml.accessor import GeoMLAccessor
from xgeoml.accessor_plot import PlotMethods
from xgeoml.cli import main
from xgeoml.registry import all_models

DOCS = Path(__file__).resolve().parent.parent / "docs"
API = (DOCS / "api.md").read_text("utf-8")
MODULE = re.compile(r"^\.\. currentmodule:: (\S+)$")
LISTED = re.compile(r"^   ([\w.]+)$")


def listed() -> set[str]:
    """Return the full names of what the tables of the reference list."""
    found, module = set(), ""
    for line in API.splitlines():
        if at := MODULE.match(line):
            module = at[1]
        elif at := LISTED.match(line):
            found.add(f"{module}.{at[1]}")
    return found


def public(module: str) -> list[str]:
    loaded = importlib.import_module(module)
    return [name for name in loaded.__all__ if not isinstance(getattr(loaded, name), type(xgeoml))]


@pytest.mark.parametrize(
    "module",
    [
        "xgeoml",
        "xgeoml.datasets",
        "xgeoml.metrics",
        "xgeoml.plot",
        "xgeoml.terrain",
        "xgeoml.testing",
        "xgeoml.weights",
    ],
)
def test_the_reference_has_every_public_name(module):
    found = listed()
    loaded = importlib.import_module(module)
    for name in public(module):
        constant = not callable(getattr(loaded, name))
        told = f"{module.removeprefix('xgeoml.')}.{name}" in API
        assert told if constant else f"{module}.{name}" in found, f"{module}.{name} is missing"


def test_the_reference_lists_nothing_that_is_not_there():
    for name in listed():
        module, _, attribute = name.rpartition(".")
        if ".geoml." not in name:
            assert hasattr(importlib.import_module(module), attribute), name


def test_the_reference_has_every_method():
    found = listed()
    methods = {name for name in dir(GeoMLAccessor) if not name.startswith("_")}
    # Pictures are properties of a property, which no table can reach.
    assert {f"xarray.Dataset.geoml.{name}" for name in methods - {"plot"}} <= found
    for name in dir(PlotMethods):
        assert name.startswith("_") or f".geoml.plot.{name}()" in API, name


def test_the_table_of_models_has_every_model():
    page = (DOCS / "models.md").read_text("utf-8")
    titles = {
        "fill_gaps": "## Fill gaps",
        "downscale": "## Downscale",
        "interp_time": "## Interpolate in time",
        "invert_waveform": "## Invert waveforms",
    }
    for task, title in titles.items():
        table = page.split(f"{title}\n")[1].split("\n## ")[0]
        # The toys of other tests are registered, too.
        own = [s for s in all_models() if s.task == task and s.factory.startswith("xgeoml.models.")]
        for spec in own:
            assert not spec.listed or f"`{spec.name}`" in table, f"{task}: {spec.name} is missing"


def test_every_model_has_a_page():
    pages = "".join(p.read_text("utf-8") for p in (DOCS / "models").glob("*.md"))
    for spec in all_models():
        if spec.listed and spec.factory.startswith("xgeoml.models."):
            assert f"`{spec.name}`" in pages or f"# {spec.name}\n" in pages, spec.name


def test_the_page_of_the_command_line_has_every_command():
    page = (DOCS / "command-line.md").read_text("utf-8")
    for name, command in main.commands.items():
        assert f"`xgeoml {name}" in page, name
        for below in getattr(command, "commands", {}):
            assert f"`xgeoml {name} {below}" in page, f"{name} {below}"
    assert isinstance(main, click.Group)


def test_the_version_to_cite_is_that_of_the_package():
    cff = (DOCS.parent / "CITATION.cff").read_text("utf-8")
    assert f"version: {xgeoml.__version__}\n" in cff
    assert f"version {xgeoml.__version__}" in (DOCS / "citing.md").read_text("utf-8")


def test_the_links_of_the_readme_lead_somewhere():
    readme = DOCS.parent / "README.md"
    links = re.findall(r"\]\(([^)#:]+)\)", readme.read_text("utf-8"))
    assert len(links) > 5
    for link in links:
        assert (DOCS.parent / link).exists(), link
