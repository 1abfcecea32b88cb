"""A toy weight, and a server that has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from loopback import Server
from toy_weights import TOY, Weight, tensors

from xgeoml import registry
from xgeoml.weights import download, releases
from xgeoml.weights.files import write_weights


@pytest.fixture
def weight(tmp_path: Path) -> Weight:
    """Return a sound weights file, outside all folders that are searched."""
    (tmp_path / "origin").mkdir()
    return Weight(write_weights(tmp_path / "origin" / "toy-1.0.safetensors", tensors(), TOY))


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the cache of this test, which is not made before there is something to keep."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("XGEOML_CACHE_DIR", str(folder))
    return folder


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give mirrors half a second."""
    monkeypatch.setattr(download, "PATIENCE", 0.5)


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def released(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, Weight]]:
    """Return what makes releases of a toy, of more channels each, the last one in the catalogue."""

    def make(*versions: str, bad: tuple[str, ...] = ()) -> dict[str, Weight]:
        lines, made = [f'[mirrors]\nurls = ["{server.url}/mirror/"]'], {}
        for i, version in enumerate(versions):
            spec = TOY.replace(version=version, summary=f"toy {version}")
            path = tmp_path / "origin" / f"toy-{version}.safetensors"
            made[version] = one = Weight(write_weights(path, tensors(seed=i), spec))
            server.give(f"/mirror/{path.name}", one.content)
            lines.append(
                f'[[weight]]\nmodel = "toy"\nversion = "{version}"\nfile = "{path.name}"\n'
                f'sha256 = "{one.sha256}"\nsize = {len(one.content)}'
            )
            if version in bad:
                lines.append('warning = "learnt from the future"')
        toml = tmp_path / "registry.toml"
        toml.write_text("\n".join(lines))
        monkeypatch.setattr(releases, "REGISTRY", toml)
        newest = releases.latest("toy")
        assert newest is not None
        spec = TOY.replace(version=newest.version, weights=newest.ref)
        monkeypatch.setitem(registry._registered, (spec.task, "toy"), spec)
        return made

    return make
