"""A package of a third party, installed, is used by the name of its model: the worked example.

The package is `third_party_package`: a pure network, a dozen lines of spec, one entry point.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).with_name("third_party_package")

USE = """
import sys
import numpy as np
import xgeoml

assert "torch" not in sys.modules and "their_nets" not in sys.modules
assert "their_net" in xgeoml.list_models("fill_gaps")
assert "torch" not in sys.modules, "the spec alone needs no torch"

record = xgeoml.datasets.grace_like(nlat=4, nlon=5).isel(time=slice(0, 40))
assert "their_net" in record.geoml.models("fill_gaps")
full = record.geoml.fill_gaps("their_net", spread=True)
assert full.sizes["time"] == 43
assert "their_net" in full.attrs["history"]
base = record.geoml.fill_gaps("climatology")
assert not full["lwe_thickness"].equals(base["lwe_thickness"])
lazy = record.chunk(lat=2).geoml.fill_gaps("their_net", spread=True).compute(scheduler="processes")
for name in ("lwe_thickness", "lwe_thickness_spread", "lwe_thickness_fill_flag"):
    np.testing.assert_array_equal(lazy[name], full[name])
assert record.geoml.plan(model="their_net@0.3").bases == ("climatology@1.0",)
print("used")
"""

CHECK = """
from xgeoml.testing import check_model

report = check_model("their_net")
assert report["weights_file"] == report["chunks"] == report["units"] == "passed"
print(len(report), "checked")
"""

BROKEN = """
import xgeoml

try:
    xgeoml.list_models()
except xgeoml.SpecError as error:
    assert "their_net" in str(error) and "no_such_module" in str(error)
    print("told")
"""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Return a folder into which the package is installed, as pip would."""
    work = tmp_path_factory.mktemp("third_party")
    source, target = work / "source", work / "site"
    shutil.copytree(PACKAGE, source, ignore=shutil.ignore_patterns("__pycache__"))
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    command += ["--no-build-isolation", "--disable-pip-version-check", "--target", str(target)]
    done = subprocess.run([*command, str(source)], capture_output=True, text=True, check=False)
    if done.returncode:
        _install_by_hand(source, target)
    return target


def _install_by_hand(source: Path, target: Path) -> None:
    """Write what an installer writes, for environments without pip or hatchling."""
    import tomllib

    project = tomllib.loads((source / "pyproject.toml").read_text())["project"]
    shutil.copytree(source / "their_nets", target / "their_nets")
    info = target / f"their_nets-{project['version']}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    points = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in named.items())
        for group, named in project["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(points))


def run(code: str, site: Path, cwd: Path) -> str:
    path = os.pathsep.join(filter(None, [str(site), os.environ.get("PYTHONPATH", "")]))
    script = cwd / "use.py"  # a file: worker processes start by importing it
    body = "\n".join("    " + line for line in code.strip().splitlines())
    script.write_text(f'if __name__ == "__main__":\n{body}\n')
    done = subprocess.run(
        [sys.executable, "-W", "error::RuntimeWarning", str(script)],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": path},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_an_installed_network_is_used_by_its_name(site, tmp_path):
    assert run(USE, site, tmp_path) == "used"


def test_an_installed_network_passes_the_battery(site, tmp_path):
    assert run(CHECK, site, tmp_path).endswith("checked")


def test_a_broken_entry_point_is_told_by_name(site, tmp_path):
    broken = tmp_path / "site"
    shutil.copytree(site, broken)
    (points,) = broken.glob("their_nets-*.dist-info/entry_points.txt")
    points.write_text(points.read_text().replace("their_nets.spec", "no_such_module"))
    assert run(BROKEN, broken, tmp_path) == "told"


def test_installing_by_hand_writes_the_same_entry_point(site, tmp_path):
    _install_by_hand(PACKAGE, tmp_path / "site")
    (ours,) = tmp_path.glob("site/their_nets-*.dist-info/entry_points.txt")
    (theirs,) = site.glob("their_nets-*.dist-info/entry_points.txt")
    assert ours.read_text().split() == theirs.read_text().split()


def test_the_spec_is_about_a_dozen_lines():
    text = (PACKAGE / "their_nets" / "spec.py").read_text()
    statement = text[text.index("SPEC = ") :].strip().splitlines()
    assert len(statement) <= 18
