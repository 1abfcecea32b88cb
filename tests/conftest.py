"""What every test may use."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from xgeoml import datasets

ROOT = Path(__file__).resolve().parent.parent

# Programs of their own, for make bench.
collect_ignore = ["benchmarks"]

# A shared machine may be slow: a time limit on each example would fail for no fault of the code.
hypothesis.settings.register_profile("xgeoml", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("xgeoml")


@pytest.fixture(scope="session")
def data_path() -> Path:
    """Return the folder of the real records, or skip the test."""
    path = Path(os.environ.get("XGEOML_DATA_PATH", ROOT.parent / "shared" / "data"))
    if not path.is_dir():
        pytest.skip(f"no real records at {path}: set XGEOML_DATA_PATH to their folder")
    return path


@pytest.fixture(autouse=True)
def _alone(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """Keep the user's cache and environment out of a test, and its options out of the next."""
    from xgeoml import options

    for name in [name for name in os.environ if name.startswith("XGEOML_")]:
        if name != "XGEOML_DATA_PATH":
            monkeypatch.delenv(name)
    monkeypatch.setenv("XGEOML_CACHE_DIR", str(tmp_path_factory.getbasetemp() / "xgeoml-cache"))
    before = options._current
    yield
    options._current = before


@pytest.fixture(scope="session")
def record() -> xr.Dataset:
    """Return five years of a record like that of GRACE, three of its months absent."""
    return datasets.grace_like(nlat=4, nlon=5).isel(time=slice(0, 60))


@pytest.fixture(scope="session")
def drivers() -> xr.Dataset:
    """Return the rain and temperature that go with `record`, every month."""
    return datasets.grace_like_drivers(nlat=4, nlon=5)


@pytest.fixture
def series() -> xr.DataArray:
    """Return ten daily values of two stations, with gaps of one, two and three days."""
    values = np.arange(20.0).reshape(2, 10)
    values[0, [1, 4, 5]] = np.nan
    values[1, [0, 5, 6, 7]] = np.nan
    days = pd.date_range("2001-01-01", periods=10)
    return xr.DataArray(values, {"time": days}, ("station", "time"), "level")
