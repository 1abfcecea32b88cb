"""The weights that were released, as ``registry.toml`` lists them."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from xgeoml.exceptions import WeightsError
from xgeoml.spec import WeightsRef

REGISTRY = Path(__file__).with_name("registry.toml")


@dataclass(frozen=True)
class Release:
    """One version of a model's weights.

    Parameters
    ----------
    model, version : str
        Name and version of the model.
    ref : WeightsRef
        The file.
    warning : str
        Why not to use it; empty for a sound release.
    """

    model: str
    version: str
    ref: WeightsRef
    warning: str = ""

    @property
    def key(self) -> str:
        """Name and version, ``name@version``."""
        return f"{self.model}@{self.version}"


def releases() -> tuple[Release, ...]:
    """Return all releases, those of a model from the oldest to the newest."""
    return _read(REGISTRY)


def release(key: str) -> Release:
    """Return the release ``name@version``.

    Raises
    ------
    WeightsError
        If there is none.
    """
    found = next((r for r in releases() if r.key == key), None)
    if found is None:
        known = ", ".join(r.key for r in releases())
        raise WeightsError(f"no weight {key} was released; this xgeoml knows {known}")
    return found


def latest(model: str) -> Release | None:
    """Return the newest sound release of a model; None if it has none."""
    sound = [r for r in releases() if r.model == model and not r.warning]
    return sound[-1] if sound else None


def warning_of(sha256: str) -> str:
    """Return why not to use the file of this hash; empty for a sound or unknown one."""
    return next((r.warning for r in releases() if r.ref.sha256 == sha256), "")


@lru_cache(maxsize=8)
def _read(path: Path) -> tuple[Release, ...]:
    raw = tomllib.loads(path.read_text("utf-8"))
    mirrors = raw.get("mirrors", {}).get("urls", [])
    found = []
    for entry in raw.get("weight", []):
        model, version = entry.pop("model"), entry.pop("version")
        warning = entry.pop("warning", "")
        urls = [*entry.pop("urls", []), *(f"{m.rstrip('/')}/{entry['file']}" for m in mirrors)]
        ref = WeightsRef(**entry, urls=tuple(urls))
        if problems := ref.problems():
            raise WeightsError(f"{path}: {model}@{version}: {'; '.join(problems)}")
        found.append(Release(model, version, ref, warning))
    return tuple(sorted(found, key=lambda r: (r.model, *map(int, r.version.split(".")))))
