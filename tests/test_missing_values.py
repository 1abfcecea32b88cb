"""What stands for missing: in data that were not decoded, and in whatever else lies along time."""

import numpy as np
import pytest

NAME = "lwe_thickness"


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize(
    ("dtype", "told"),
    [
        ("i2", {"_FillValue": np.int16(-9999)}),
        ("f4", {"missing_value": np.float64(1e20)}),
        ("f8", {"_FillValue": 1e20, "missing_value": [1e20, np.nan]}),
    ],
)
def test_missing_values_that_were_not_decoded(series, dtype, told, lazy):
    fill = -9999 if dtype == "i2" else 1e20
    given = series.fillna(fill).astype(dtype).assign_attrs(told)
    full = (given.chunk(time=4) if lazy else given).geoml.fill_gaps("linear")
    expected = series.geoml.fill_gaps("linear")
    assert full.dtype == ("f8" if dtype == "i2" else dtype)
    np.testing.assert_allclose(full, expected)
    np.testing.assert_array_equal(full["level_fill_flag"], expected["level_fill_flag"])
    assert given.dtype == dtype


def test_integers_become_float64(record):
    whole = (record[NAME].fillna(0) * 100).round().astype("i2")
    assert whole.geoml.fill_gaps("linear").dtype == np.float64
    assert whole.isel(time=slice(4, 8)).geoml.fill_gaps("linear").dtype == np.float64


def test_whatever_else_lies_along_time(record):
    quality = ("time", np.arange(60, dtype="i1") % 3, {"flag_values": [0, 1, 2]})
    kept = (*quality[:2], {**quality[2], "_FillValue": np.int8(-1)})
    silent = record.assign(kept=kept).geoml.fill_gaps("linear")
    assert silent["kept"].dtype == np.int8
    assert silent["kept"].attrs == kept[2]
    assert (silent["kept"] == -1).sum() == 3
    told = record.assign(kept=kept, quality=quality, fine=("time", np.arange(60) > 5))
    with pytest.warns(UserWarning, match=r"^'quality' \(int8\), 'fine' \(bool\) became"):
        full = told.geoml.fill_gaps("linear")
    for name in ("quality", "fine"):
        assert full[name].isnull().sum() == 3
        np.testing.assert_array_equal(full[name].sel(time=record["time"]), told[name])
