"""One of several processes that train a job: ``python -m xgeoml.train.worker FOLDER``."""

from __future__ import annotations

import sys
from pathlib import Path

from xgeoml.train.loop import run
from xgeoml.train.settings import Settings


def main(folder: str) -> None:
    """Take part in the training in `folder`."""
    path = Path(folder)
    run(path, Settings.from_json((path / "settings.json").read_text()))


if __name__ == "__main__":
    main(sys.argv[1])
