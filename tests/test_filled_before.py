"""Filling what was filled before: values that a model made up are not taken for observed."""

import numpy as np
import pytest
import xarray as xr

import xgeoml
from xgeoml.exceptions import InputError
from xgeoml.provenance import FILLED, OBSERVED, SUSPECT, UNFILLED
from xgeoml.testing import assert_lazy, raise_if_computes

NAME = "lwe_thickness"
FLAG, SPREAD = f"{NAME}_fill_flag", f"{NAME}_spread"


@pytest.fixture(scope="module")
def record():
    return xgeoml.datasets.grace_like(nlat=4, nlon=5)


@pytest.fixture(scope="module")
def short(record):
    """Return the record with its short gaps filled."""
    return record.geoml.fill_gaps("linear", max_gap=2)


@pytest.fixture(scope="module")
def direct(record):
    return record.geoml.fill_gaps("kalman", spread=True)


def check_second(again, short, direct):
    """Check a second filling, by kalman, of what the first one left."""
    filled, left = (short[FLAG] == k for k in (FILLED, UNFILLED))
    assert int(filled.sum()) > 50
    assert int((short[FLAG] == SUSPECT).sum()) > 0
    for name in (NAME, FLAG):
        np.testing.assert_array_equal(again[name].where(~left), short[name].where(~left))
        # As if the first call had not been: nothing was learnt from what it filled.
        np.testing.assert_array_equal(again[name].where(left), direct[name].where(left))
        assert again[name].dtype == short[name].dtype
    assert again[NAME].attrs["ancillary_variables"].split()[0] == FLAG


def test_cells_filled_before_stay_and_nothing_is_learnt_from_them(short, direct):
    again = short.geoml.fill_gaps("kalman")
    check_second(again, short, direct)
    assert SPREAD not in again


@pytest.mark.parametrize("chunks", [{"lat": 2}, {"time": 40, "lon": 3}, {"time": 1}])
def test_lazy(short, direct, chunks):
    with raise_if_computes():
        again = short.chunk(chunks).geoml.fill_gaps("kalman", spread=True)
        assert_lazy(again[[NAME, FLAG, SPREAD]])
    check_second(again.compute(), short, direct)
    # Chunks of even size, as Zarr wants them.
    for name in (NAME, FLAG, SPREAD):
        assert all(len(set(c[:-1])) <= 1 for c in again[name].chunks)


def test_lazy_flags_beside_data_in_memory(short, direct):
    mixed = short.assign({FLAG: short[FLAG].chunk(lat=1)})
    check_second(mixed.geoml.fill_gaps("kalman").compute(), short, direct)


def test_arrays_and_trees(short, direct):
    array = short[NAME].assign_coords({FLAG: short[FLAG]})
    again = array.geoml.fill_gaps("kalman")
    check_second(again.to_dataset(promote_attrs=True).reset_coords(FLAG), short, direct)
    tree = xr.DataTree.from_dict({"/a": short}).geoml.fill_gaps("kalman")
    check_second(tree["/a"].to_dataset(), short, direct)


def test_dims_in_another_order(short, direct):
    turned = short.assign({FLAG: short[FLAG].transpose("lon", "time", "lat")})
    check_second(turned.geoml.fill_gaps("kalman"), short, direct)


def test_the_spread_stays_where_the_value_does(record):
    first = record.geoml.fill_gaps("kalman", max_gap=2, spread=True)
    before = first[SPREAD].notnull()
    without = first.geoml.fill_gaps("climatology")
    np.testing.assert_array_equal(without[SPREAD], first[SPREAD])
    assert SPREAD in without[NAME].attrs["ancillary_variables"]
    new = (without[FLAG] == FILLED) & ~before
    assert int(new.sum()) > 100
    with_spread = first.geoml.fill_gaps("climatology", spread=True)
    np.testing.assert_array_equal(with_spread[SPREAD].where(before), first[SPREAD])
    other = record.geoml.fill_gaps("climatology", spread=True)
    np.testing.assert_array_equal(with_spread[SPREAD].where(new), other[SPREAD].where(new))
    # A first call without spread: a second model knows none of the values that it did not make.
    bare = first.drop_vars(SPREAD).geoml.fill_gaps("climatology", spread=True)
    np.testing.assert_array_equal(bare[SPREAD].notnull(), new)


def test_values_taken_out_again_are_gaps_again(record, direct):
    holed = direct.assign({NAME: direct[NAME].where(direct[FLAG] != FILLED)})
    again = holed.geoml.fill_gaps("kalman")
    np.testing.assert_array_equal(again[NAME], direct[NAME])
    np.testing.assert_array_equal(again[FLAG], direct[FLAG])
    assert not bool(again[SPREAD].notnull().any())


def test_suspect_values_stay_so_in_a_part_that_would_not_show_it(direct):
    suspect = (direct[FLAG] == SUSPECT).any(("lat", "lon"))
    at = int(np.flatnonzero(suspect)[0])
    part = direct.isel(time=slice(at, at + 40))  # the first step has one neighbour
    part = part.assign({NAME: part[NAME].where(part[FLAG] != FILLED)})
    again = part.geoml.fill_gaps("kalman")
    np.testing.assert_array_equal(again[FLAG].isel(time=0), part[FLAG].isel(time=0))
    np.testing.assert_array_equal(again[NAME].isel(time=0), part[NAME].isel(time=0))
    hidden = part[[NAME]].assign({NAME: part[NAME].where(part[FLAG] == OBSERVED)})
    expected = hidden.geoml.fill_gaps("kalman")[NAME]
    np.testing.assert_array_equal(again[NAME][1:], expected[1:])


def test_gaps_are_as_long_as_if_nothing_had_been_filled(record, short):
    for longest in (1, 3, 12, "100D"):
        again = short.geoml.fill_gaps("linear", max_gap=longest)
        direct = record.geoml.fill_gaps("linear", max_gap=longest)
        filled = (direct[FLAG] == FILLED) | (short[FLAG] == FILLED)
        np.testing.assert_array_equal(again[FLAG] == FILLED, filled)


@pytest.mark.parametrize("fill", [{}, {"_FillValue": -1}])
def test_steps_that_are_absent_again_are_added_again(short, direct, fill):
    known = short.isel(time=np.setdiff1d(np.arange(265), np.arange(100, 110)))
    known[FLAG].encoding = fill
    again = known.geoml.fill_gaps("kalman")
    gone = np.isin(np.arange(265), np.arange(100, 110))
    assert again.sizes["time"] == 265
    np.testing.assert_array_equal(again[FLAG][~gone], direct[FLAG][~gone])
    land = direct[NAME].notnull().all("time")
    assert bool((again[FLAG][gone] == FILLED).where(land, True).all())


def test_a_plan_counts_what_is_left(short):
    plan = short.geoml.plan(model="kalman")
    assert plan.missing == pytest.approx(float(short[NAME].isnull().mean()))


@pytest.mark.parametrize("lazy", [False, True])
def test_flags_that_do_not_fit(short, lazy):
    other = {
        "holds 0.5; expected 0, 1, 2 and 3": short[FLAG] * 0.5,
        "holds 7; expected": short[FLAG].where(short[FLAG] != 1, 7).astype("i1"),
        r"dims \('time',\); expected numbers over": short[FLAG].isel(lat=0, lon=0),
        "dtype <U": short[FLAG].astype(str),
    }
    attrs = short[FLAG].attrs
    for text, flag in other.items():
        wrong = short.assign({FLAG: flag.assign_attrs(attrs)})
        with pytest.raises(InputError, match=text):
            (wrong.chunk(lat=2) if lazy else wrong).geoml.fill_gaps("linear").compute()
    foreign = short.assign({FLAG: short[FLAG].assign_attrs(flag_meanings="good bad")})
    with pytest.raises(InputError, match=r"flag_meanings 'good bad'; expected 'observed"):
        foreign.geoml.fill_gaps("linear")
    bare = short.assign({FLAG: short[FLAG].drop_attrs()})
    with pytest.raises(InputError, match=r"has no flag_meanings; expected 'obs.*obj\.drop_vars"):
        bare.geoml.fill_gaps("linear")
    dropped = short.drop_vars(FLAG).geoml.fill_gaps("linear")
    assert not bool((dropped[FLAG] == FILLED).where(short[FLAG] == FILLED, False).any())


def test_no_variable_is_lost_to_a_spread(short):
    other = short[[NAME]].assign({f"{NAME}_spread": short[NAME] * 2})
    with pytest.raises(InputError, match=rf"{NAME}_spread'.*has no '{FLAG}' beside it.*drop_vars"):
        other.geoml.fill_gaps("climatology", variables=[NAME], spread=True)
    kept = other.geoml.fill_gaps("climatology", variables=[NAME])
    xr.testing.assert_identical(kept[f"{NAME}_spread"], other[f"{NAME}_spread"])


def test_nothing_was_observed(short):
    at = int(np.flatnonzero((short[FLAG] == FILLED).any(("lat", "lon")))[0])
    step = short.isel(time=[at])
    with pytest.raises(InputError, match=f"missing everywhere but where '{FLAG}' says filled"):
        step.geoml.fill_gaps("linear")
