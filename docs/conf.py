"""Configuration of the documentation: ``make docs``."""

import shutil
import sys
from importlib.metadata import version as installed
from pathlib import Path

import sphinx_autosummary_accessors

import xgeoml  # noqa: F401 - registers the accessors that api.md documents

here = Path(__file__).resolve().parent
sys.path.insert(0, str(here))

import pictures  # noqa: E402 - beside this file

project = "xgeoml"
author = "The xgeoml developers"
copyright = author
release = version = installed("xgeoml")

extensions = [
    "myst_nb",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.viewcode",
    "sphinx_autosummary_accessors",
    "sphinx_design",
]
templates_path = ["_templates", sphinx_autosummary_accessors.templates_path]
exclude_patterns = ["_build", "**.ipynb_checkpoints", "models/*_card.md"]  # cards are included

autosummary_generate = True
autodoc_typehints = "none"
numpydoc_show_class_members = False
myst_enable_extensions = ["attrs_inline", "colon_fence", "deflist"]
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

pictures.draw_if_older(here / "_build" / "pictures", here.parent / "xgeoml")

# Quotes belong to code, also in the types of arguments.
smartquotes = False

html_theme = "pydata_sphinx_theme"
html_title = "xgeoml"
html_static_path = ["_static"]
html_css_files = ["xgeoml.css"]
html_theme_options = {
    "navbar_align": "left",
    "header_links_before_dropdown": 6,
    "show_toc_level": 2,
    # Pages of the reference have one entry each, which needs no list at the right.
    "secondary_sidebar_items": {
        "*": ["page-toc"],
        "index": [],
        "explanation/*": ["page-toc"],
        "models/*": ["page-toc"],
        "notebooks/*": ["page-toc"],
    },
    "use_edit_page_button": False,
    "footer_start": ["copyright"],
    "footer_end": [],
}
# Pages without others below or beside them.
html_sidebars = {page: [] for page in ("index", "get-started", "whats-new")}
html_show_sourcelink = False
