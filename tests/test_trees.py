"""DataTrees: every group that fits is filled, and groups that share a time axis stay together."""

from contextlib import nullcontext

import numpy as np
import pytest
import xarray as xr

import xgeoml
from xgeoml.exceptions import InputError

NAME = "lwe_thickness"
FLAG = f"{NAME}_fill_flag"


def test_a_tree(record):
    tree = xr.DataTree.from_dict(
        {
            "/": xr.Dataset(attrs={"title": "two basins"}),
            "/a": record,
            "/b/c": record.isel(lat=slice(0, 2)),
            "/c": xr.Dataset(attrs={"empty": "yes"}),
        }
    )
    full = tree.geoml.fill_gaps("linear")
    assert isinstance(full, xr.DataTree)
    assert [n.path for n in full.subtree] == [n.path for n in tree.subtree]
    assert full.attrs == tree.attrs
    assert full["/c"].attrs == {"empty": "yes"}
    np.testing.assert_array_equal(full["/a"][NAME], record.geoml.fill_gaps("linear")[NAME])
    assert full["/b/c"][NAME].sizes == {"time": 63, "lat": 2, "lon": 5}


def test_a_tree_with_groups_that_have_nothing_to_fill(record):
    static = xr.Dataset({"area": ("lat", np.ones(4))})
    tree = xr.DataTree.from_dict({"/a": record, "/static": static})
    full = tree.geoml.fill_gaps("linear")
    assert full["/static"].to_dataset().identical(static)
    assert FLAG in full["/a"]
    with pytest.raises(InputError, match="no floating-point variable"):
        xr.DataTree.from_dict({"/static": static}).geoml.fill_gaps("linear")


@pytest.mark.parametrize("where", ["above", "below", "beside"])
def test_groups_that_share_the_time_axis_grow_together(record, where):
    count = xr.Dataset({"count": ("time", np.arange(60))}, coords={"time": record["time"]})
    paths = {"above": ("/", "/a"), "below": ("/a/b", "/a"), "beside": ("/b", "/a")}[where]
    tree = xr.DataTree.from_dict(dict(zip(paths, (count, record), strict=True)))
    said = nullcontext() if where == "beside" else pytest.warns(UserWarning, match="'count'")
    with said:
        full = tree.geoml.fill_gaps("linear")
    assert full["/a"].sizes["time"] == 63
    there = full[paths[0]].to_dataset()
    assert there.sizes["time"] == (60 if where == "beside" else 63)
    np.testing.assert_array_equal(there["count"].sel(time=record["time"]), np.arange(60))
    bare = xr.DataTree.from_dict({"/": xr.Dataset(coords={"time": record["time"]}), "/a": record})
    assert bare.geoml.fill_gaps("linear").sizes["time"] == 63


def test_groups_that_share_a_time_axis_above_them_grow_together(record):
    shared = xr.Dataset(coords={"time": record["time"]})
    count = xr.Dataset({"count": ("time", np.arange(60), {"_FillValue": -1})})
    bare = record.drop_vars("time")
    tree = xr.DataTree.from_dict({"/": shared, "/a": bare, "/b": count, "/b/c": count})
    full = tree.geoml.fill_gaps("linear")
    for path in ("/b", "/b/c"):
        there = full[path].to_dataset()
        assert there["count"].dtype == np.int64
        np.testing.assert_array_equal(there["count"].sel(time=record["time"]), np.arange(60))
        assert int((there["count"] == -1).sum()) == 3


@pytest.mark.parametrize("lazy", [False, True])
def test_masks_and_drivers_of_a_group_above(record, lazy):
    drivers = xgeoml.datasets.grace_like_drivers(nlat=4, nlon=5)
    mask = record[NAME].isel(time=0, drop=True).notnull()
    mask[0] = False
    given = record.chunk(lat=2) if lazy else record
    tree = xr.DataTree.from_dict({"/": xr.Dataset({"land": mask}), "/a/b": given})
    plain = record.geoml.fill_gaps("linear", mask=mask)
    full = tree.geoml.fill_gaps("linear", mask="land")
    for name in (NAME, FLAG):
        np.testing.assert_array_equal(full["/a/b"][name], plain[name])
    assert full["land"].identical(tree["land"])
    with pytest.raises(InputError, match=r"mask 'lnad' .* nor in a group above it: did you mean"):
        tree.geoml.fill_gaps("linear", mask="lnad")
    below = tree["/a"].geoml.fill_gaps("linear", mask="land")
    np.testing.assert_array_equal(below["b"][FLAG], plain[FLAG])

    tree = xr.DataTree.from_dict({"/": drivers.rename(time="t"), "/a": given})
    assert tree.geoml.plan(covariates=["tp", "t2m"]).model == "oi@1.0"
    full = tree.geoml.fill_gaps("regression", covariates=["tp", "t2m"])
    arrays = record.geoml.fill_gaps("regression", covariates=[drivers["tp"], drivers["t2m"]])
    np.testing.assert_array_equal(full["/a"][NAME], arrays[NAME])
    assert full["tp"].identical(tree["tp"])
    assert "covariates=['tp', 't2m']" in full["/a"].attrs["history"]


def test_a_plan_is_for_the_first_group_that_is_treated(record):
    tree = xr.DataTree.from_dict({"/": xr.Dataset({"land": ("lat", np.ones(4))}), "/a": record})
    assert tree.geoml.plan(model="linear") == record.geoml.plan(model="linear")
    assert tree.geoml.plan(model="linear", variable=NAME).variable == NAME
    with pytest.raises(InputError, match="no floating-point variable"):
        tree.drop_nodes("a").geoml.plan()
    with pytest.raises(InputError, match="no group"):
        tree.geoml.plan(variable="nothing")
