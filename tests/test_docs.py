"""The code that the README and the documentation show runs as it stands."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
SHOWN = {str(page.relative_to(ROOT)): BLOCK.findall(page.read_text("utf-8")) for page in PAGES}


# Trainings of a few steps may bring nothing, and say so.
@pytest.mark.filterwarnings("ignore:training did not lower the validation loss")
@pytest.mark.parametrize("page", [page for page, blocks in SHOWN.items() if blocks])
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in SHOWN[page]:
        exec(compile(block, page, "exec"), names)
