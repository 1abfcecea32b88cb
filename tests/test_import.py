from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = [
    *("torch", "lightning", "diffusers", "transformers", "matplotlib", "distributed", "pooch"),
    *("dask.array", "scipy", "obspy"),
]


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_import_leaves_the_heavy_packages_alone():
    found = run(f"import sys, xgeoml; print([m for m in {HEAVY} if m in sys.modules])")
    assert found.strip() == "[]"


def test_import_prints_nothing():
    done = subprocess.run(
        [sys.executable, "-c", "import xgeoml"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_import_registers_the_accessor():
    code = "import xgeoml, xarray as xr; print(all(hasattr(c, 'geoml') for c in "
    assert run(code + "(xr.DataArray, xr.Dataset, xr.DataTree)))").strip() == "True"


def test_public_names_exist():
    import xgeoml

    missing = [name for name in xgeoml.__all__ if not hasattr(xgeoml, name)]
    assert missing == []


@pytest.mark.parametrize("name", ["set_options", "show_versions", "datasets"])
def test_the_names_of_the_design_are_public(name):
    import xgeoml

    assert name in xgeoml.__all__


@pytest.mark.parametrize(
    "module", ["xgeoml.models.series", "xgeoml.tasks.fill_gaps", "xgeoml.tasks.plan"]
)
def test_no_function_hides_a_module(module):
    package = module.rpartition(".")[0]
    code = f"import xgeoml, {package} as p, {module} as m; print(type(p).__name__, m.__name__)"
    assert run(code).split() == ["module", module]
