"""What a result says of itself."""

import re

import pytest

from xgeoml import provenance


def test_a_history_line_has_time_package_and_call():
    line = provenance.history_line("fill_gaps(model='linear')")
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ xgeoml \S+: fill_gaps\(model='linear'\)", line
    )


@pytest.mark.parametrize(
    ("before", "after"), [({}, "new"), ({"history": ""}, "new"), ({"history": "old"}, "old\nnew")]
)
def test_history_grows_at_the_end(before, after):
    given = dict(before)
    assert provenance.with_history(given, "new") == {"history": after}
    assert given == before


def test_flags_are_cf():
    attrs = provenance.flag_attrs("lwe")
    meanings = attrs["flag_meanings"].split()
    assert dict(zip(meanings, attrs["flag_values"], strict=True)) == {
        "observed": 0,
        "filled": 1,
        "unfilled": 2,
        "suspect": 3,
    }
    assert attrs["flag_values"].dtype == "int8"
    assert attrs["standard_name"] == "status_flag"
    assert "lwe" in attrs["long_name"]


def test_a_spread_has_the_units_of_its_variable():
    bare = provenance.spread_attrs("lwe", {})
    assert set(bare) == {"long_name", "comment"}
    full = provenance.spread_attrs("t", {"units": "K", "standard_name": "air_temperature"})
    assert full["units"] == "K"
    assert full["standard_name"] == "air_temperature standard_error"


def test_ancillary_variables_are_added_once():
    attrs = provenance.with_ancillary({"ancillary_variables": "a b", "units": "m"}, ["b", "c"])
    assert attrs == {"ancillary_variables": "a b c", "units": "m"}
    assert provenance.with_ancillary({}, ["x"]) == {"ancillary_variables": "x"}


def test_an_encoding_loses_what_was_true_of_the_old_bytes():
    before = {
        "zlib": True,
        "complevel": 4,
        "scale_factor": 0.1,
        "add_offset": 2.0,
        "dtype": "int16",
        "_FillValue": -1,
        "source": "in.nc",
        "chunksizes": (1, 2),
        "calendar": "standard",
    }
    assert provenance.encoding_that_holds(before) == {
        "zlib": True,
        "complevel": 4,
        "calendar": "standard",
    }
