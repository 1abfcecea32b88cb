"""The code that the README and the documentation show runs as it stands, and says what is true."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
MADE = ("_build", "generated", "notebooks")
PAGES = [
    ROOT / "README.md",
    *(p for p in sorted(DOCS.rglob("*.md")) if p.relative_to(DOCS).parts[0] not in MADE),
]
SHOWN = {str(page.relative_to(ROOT)): BLOCK.findall(page.read_text("utf-8")) for page in PAGES}


def run(block: str, page: str, names: dict[str, object]) -> object:
    """Run a block, and return the value of its last line."""
    tree = ast.parse(block, page)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, page, "exec"), names)
    return last and eval(compile(ast.Expression(last.value), page, "eval"), names)


# Trainings of a few steps may bring nothing, and say so.
@pytest.mark.filterwarnings("ignore:training did not lower the validation loss")
@pytest.mark.parametrize("page", [page for page, blocks in SHOWN.items() if blocks])
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pytest.importorskip("matplotlib").use("agg")
    names: dict[str, object] = {}
    for block in SHOWN[page]:
        said = run(block, page, names)
        # What a page shows as a comparison is meant to hold.
        if isinstance(said, (bool, np.bool_)):
            assert said, block
