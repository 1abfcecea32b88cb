"""Vectors: which variables are two components of one, and that models are given both."""

import numpy as np
import pytest
import xarray as xr
from toy_in_time import interp, look, record

from xgeoml.exceptions import InputError
from xgeoml.tasks.vectors import in_groups

BOTH = look("components", whole=True)


@pytest.fixture
def wind():
    """Return a wind, and a temperature."""
    data = record(12)
    return xr.Dataset(
        {
            "u10": data.assign_attrs(standard_name="eastward_wind"),
            "t2m": data.assign_attrs(standard_name="air_temperature"),
            "v10": (2 * data).assign_attrs(standard_name="northward_wind"),
        }
    )


def components(made):
    """Return how many components each variable was interpolated with."""
    return {str(n): int(v[1, 0, 0]) for n, v in made.data_vars.items()}


def named(*names, dims=None):
    """Return a Dataset of variables with these standard names."""
    data = record(3)
    return xr.Dataset(
        {n: data.isel((dims or {}).get(n, {})).assign_attrs(standard_name=s) for n, s in names}
    )


def test_standard_names_make_pairs(wind):
    made = interp(wind, "1h", BOTH)
    assert components(made) == {"u10": 2, "t2m": 1, "v10": 2}
    assert list(made.data_vars) == ["u10", "t2m", "v10"]
    told = made.attrs["history"]
    assert "u10 and v10 by toy@1.0, t2m by toy@1.0" in told
    with pytest.warns(UserWarning, match=r"left out: variables \['v10'\]"):
        alone = interp(wind, "1h", BOTH, variables=["u10", "t2m"])
    assert components(alone) == {"u10": 1, "t2m": 1}
    assert components(interp(wind.drop_attrs(), "1h", BOTH)) == dict.fromkeys(wind, 1)


def test_each_component_has_its_own_values(wind):
    made = interp(wind, "1h", "cubic")
    for name in wind:
        assert made[name].drop_attrs().equals(interp(wind[name], "1h", "cubic").drop_attrs())
        assert made[name].attrs == wind[name].attrs
    swapped = interp(wind, "3h", look("other", whole=True))
    np.testing.assert_array_equal(swapped["u10"][1::2], wind["v10"][:-1])
    np.testing.assert_array_equal(swapped["v10"][1::2], wind["u10"][:-1])
    np.testing.assert_array_equal(swapped["t2m"][1::2], wind["t2m"][:-1])


def test_pairs_that_are_named(wind):
    pair = [("u10", "t2m")]
    assert components(interp(wind, "1h", BOTH, vectors=pair)) == {"u10": 2, "t2m": 2, "v10": 1}
    made = interp(wind, "1h", BOTH, vectors=pair)
    assert "vectors=[('u10', 't2m')]" in made.attrs["history"]
    other = wind.assign(v10=wind["v10"].transpose("lon", "time", "lat"))
    made = interp(other, "3h", look("other", whole=True))
    assert made["v10"].dims == ("lon", "time", "lat")
    np.testing.assert_array_equal(made["u10"][1::2], wind["v10"][:-1])


def test_components_of_other_dtypes_and_chunks(wind):
    wind["v10"] = wind["v10"].astype(np.float64)
    made = interp(wind, "1h")
    assert made["u10"].dtype == np.float32
    assert made["v10"].dtype == np.float64
    mixed = wind.assign(u10=wind["u10"].chunk(time=5, lat=1), v10=wind["v10"].chunk(time=3, lon=2))
    lazy = interp(mixed, "1h")
    assert lazy["u10"].chunks is not None
    for name in wind:
        assert lazy[name].compute().variable.equals(made[name].variable)
    half = wind.assign(u10=wind["u10"].chunk(time=5))
    assert interp(half, "1h", BOTH)["v10"].compute().dtype == np.float64


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        ([("u10", "w10")], "'w10', which is not in the data"),
        ([("u10", "v11")], "did you mean"),
        ([("u10",)], "expected pairs of names"),
        ("u10", "expected pairs of names"),
        ([], "expected pairs of names"),
        ([("u10", "v10"), ("v10", "t2m")], "'v10' twice"),
        ([("u10", "u10")], "'u10' twice"),
        ([(["u10"], "v10")], "expected pairs of names"),
    ],
)
def test_pairs_that_are_none(wind, vectors, told):
    with pytest.raises(InputError, match=told):
        interp(wind, "1h", vectors=vectors)


def test_pairs_that_do_not_fit(wind):
    with pytest.raises(InputError, match="'v10', which is not to be interpolated"):
        interp(wind, "1h", vectors=[("u10", "v10")], variables=["u10"])
    flat = wind.assign(v10=wind["v10"][:, 0])
    with pytest.raises(InputError, match="expected the same dims of both"):
        interp(flat, "1h", vectors=[("u10", "v10")])
    assert components(interp(flat[["u10"]], "1h", BOTH)) == {"u10": 1}


@pytest.mark.parametrize(
    ("names", "pairs"),
    [
        ([("a", "x_wind"), ("b", "y_wind")], [("a", "b")]),
        ([("b", "y_wind"), ("a", "x_wind")], [("a", "b")]),
        ([("a", "surface_downward_eastward_stress"), ("b", "y_wind")], []),
        (
            [
                ("a", "surface_downward_eastward_stress"),
                ("b", "surface_downward_northward_stress"),
            ],
            [("a", "b")],
        ),
        ([("a", "sea_ice_x_velocity"), ("b", "sea_ice_y_velocity")], [("a", "b")]),
        ([("a", "northward_wind"), ("b", "northward_wind")], []),
        (
            [
                ("u10", "eastward_wind"),
                ("u100", "eastward_wind"),
                ("v100", "northward_wind"),
                ("v10", "northward_wind"),
            ],
            [("u10", "v10"), ("u100", "v100")],
        ),
        (
            [("p", "eastward_wind"), ("q", "eastward_wind"), ("r", "northward_wind")],
            [],  # it is not clear whose r is
        ),
        ([("ua", "eastward_wind"), ("va", "northward_wind"), ("ub", "eastward_wind")], "ua va"),
    ],
)
def test_which_names_are_pairs(names, pairs):
    pairs = [tuple(pairs.split())] if isinstance(pairs, str) else pairs
    groups = in_groups(named(*names), [n for n, _ in names], None)
    assert [g for g in groups if len(g) == 2] == pairs
    assert sorted(n for g in groups for n in g) == sorted(n for n, _ in names)


def test_names_on_other_dims_are_no_pair():
    data = named(("u", "x_wind"), ("v", "y_wind"), dims={"v": {"lat": 0}})
    assert in_groups(data, ["u", "v"], None) == [("u",), ("v",)]


def test_totals_of_vectors():
    stress = record(8, "1D", np.float64) - 280.0
    both = xr.Dataset(
        {
            "x": stress.assign_attrs(standard_name="surface_downward_x_stress"),
            "y": (-stress).assign_attrs(standard_name="surface_downward_y_stress"),
        }
    )
    made = interp(both, "6h", "cubic", accumulated=True)
    for name in both:
        sums = made[name].values.reshape(8, 4, 3, 4).sum(1)
        np.testing.assert_allclose(sums, both[name], atol=1e-12)
