"""Configuration of the documentation: ``make docs``."""

import shutil
from importlib.metadata import version as installed
from pathlib import Path

import sphinx_autosummary_accessors

import xgeoml  # noqa: F401 - registers the accessors that api.md documents

here = Path(__file__).resolve().parent

project = "xgeoml"
author = "The xgeoml developers"
copyright = author
release = version = installed("xgeoml")

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_autosummary_accessors",
]
templates_path = [sphinx_autosummary_accessors.templates_path]
exclude_patterns = ["_build", "**.ipynb_checkpoints", "models/*_card.md"]  # cards are included

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

# The notebooks run under nbmake, which fails on an error in any cell; here they are only shown.
nb_execution_mode = "off"
executed = here.parent / "build" / "notebooks"
shown = here / "notebooks"
shutil.rmtree(shown, ignore_errors=True)
shown.mkdir()
for notebook in sorted((here.parent / "notebooks").glob("*.ipynb")):
    run = executed / notebook.name
    shutil.copy(run if run.exists() else notebook, shown)

# Only the reference has enough pages below it to list them at the left; those pages have one entry
# each, which needs no list at the right, and titles that need the width.
pages = (
    "index",
    "get-started",
    "notebooks/*",
    "downscaling",
    "interpolation-in-time",
    "models",
    "models/*",
    "training",
    "extending",
    "datasets",
    "architecture",
    "benchmarks",
    "whats-new",
)
html_theme = "pydata_sphinx_theme"
html_title = "xgeoml"
html_static_path = ["_static"]
html_css_files = ["xgeoml.css"]
html_theme_options = {
    "navbar_align": "left",
    "show_toc_level": 2,
    "secondary_sidebar_items": {page: ["page-toc"] for page in (*pages, "api")},
    "use_edit_page_button": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
html_sidebars = {page: [] for page in pages}
html_show_sourcelink = False
