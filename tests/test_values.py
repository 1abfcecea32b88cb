"""What the numbers of a variable are."""

from __future__ import annotations

import pytest
import xarray as xr

from xgeoml.tasks.values import is_temperature


@pytest.mark.parametrize(
    ("units", "right"),
    [
        ("K", True),
        ("degK", True),
        ("degC", True),
        ("deg_C", True),
        ("degrees Celsius", True),
        ("°C", True),
        ("degF", True),
        ("kelvin", True),
        ("m", False),
        ("kg", False),
        ("%", False),
        ("K s-1", False),
        ("degrees_north", False),
        ("", False),
    ],
)
def test_temperatures_are_known_by_their_units(units, right):
    assert is_temperature(xr.DataArray(0.0, attrs={"units": units})) is right


def test_without_units_nothing_is_a_temperature():
    assert not is_temperature(xr.DataArray(0.0))
