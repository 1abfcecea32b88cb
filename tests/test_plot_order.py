"""Data before and after a task, given the wrong way round; and lazy data that are read in part."""

import numpy as np
import pytest
import xarray as xr
from toy_pictures import drawn, titles, watched

from xgeoml import plot
from xgeoml.exceptions import InputError
from xgeoml.plot import _choose
from xgeoml.plot._choose import choose, in_pieces
from xgeoml.testing import records

pytest.importorskip("matplotlib")

SWAP = r"swap them: compare\(gappy, filled\), or gappy.geoml.plot.compare\(filled\)"


@pytest.fixture(scope="module")
def record():
    return records.record().to_dataset()


@pytest.fixture(scope="module")
def full(record):
    return record.geoml.fill_gaps("linear", spread=True)


def bare(data):
    """Return data that tell nothing of how they were made."""
    return data.storage.drop_attrs().drop_vars("storage_fill_flag", errors="ignore")


def test_filled_steps_that_after_has_not(record, full):
    with pytest.raises(InputError, match=f"before is filled, and has 3 steps .*{SWAP}"):
        plot.compare(full, record)
    with pytest.raises(InputError, match=SWAP):
        full.geoml.plot.compare(record)
    with pytest.raises(InputError, match=SWAP):
        plot.compare(full.storage, record.storage)
    # The right way round, by both ways of the accessor.
    assert titles(record.geoml.plot.compare(full)) == titles(full.geoml.plot.compare(before=record))


def test_missing_values_where_before_has_none(record, full):
    same = full.sel(time=record.time)
    lost = int((same.storage.notnull() & record.storage.isnull()).sum())
    with pytest.raises(InputError, match=f"after lacks {lost:,} values that before has"):
        plot.compare(bare(same), bare(record))
    drawn(plot.compare(bare(record), bare(same)))


def test_a_history_that_goes_on(record, full):
    told = record.assign_attrs(history="read by hand")
    made = told.geoml.fill_gaps("linear", max_gap=1)
    with pytest.raises(InputError, match=r"before was made from after, .*fill_gaps\(.*" + SWAP):
        plot.compare(made, told)
    drawn(plot.compare(told, made))


def test_what_may_be_the_right_way_round_is_drawn(record, full):
    # Each has values that the other has not.
    one = bare(full).where(full.lat < -16)
    other = bare(full).where(full.lat > -18)
    drawn(plot.compare(one, other))
    # A filled record beside another estimate.
    drawn(plot.compare(full, bare(full) * 1.1))
    # Fields without an axis of time.
    first, second = (d.isel(time=0, drop=True) for d in (record, full))
    drawn(plot.compare(first, second))
    with pytest.raises(InputError, match=SWAP):
        plot.compare(second.storage.drop_attrs(), first.storage.drop_attrs())


def test_of_lazy_data_the_step_that_is_drawn_is_checked(record, full):
    lazy, read = watched(bare(full), time=1)
    other, other_read = watched(bare(record), time=1)
    with pytest.raises(InputError, match=SWAP):
        plot.compare(lazy, other, time="2001-03-15")
    assert len(set(read)) == len(set(other_read)) == 1


def test_with_a_time_only_that_step_of_both_is_read(record, full):
    before, read = watched(record.storage, time=1)
    after, after_read = watched(full.storage, time=1)
    drawn(plot.compare(before, after, time="2003-01"))
    assert len(set(read)) == len(set(after_read)) == 1


def test_nothing_but_missing_values(record):
    none = record.storage * np.nan
    assert titles(drawn(plot.compare(none, none)))[-1] == "difference"


def test_large_open_files_are_read_in_pieces(record, tmp_path, monkeypatch):
    pytest.importorskip("netCDF4")
    path = tmp_path / "record.nc"
    record.to_netcdf(path)
    monkeypatch.setattr(_choose, "PIECE", record.storage.size // 4)
    with xr.open_dataset(path) as opened:
        chosen = in_pieces(choose(opened, purpose="a test"))
        assert chosen.data.chunksizes["time"] == (14, 14, 14, 14, 1)
        assert chosen.data.notnull().sum() == record.storage.notnull().sum()
        expected = [p.get_title() for p in plot.gaps(record).axes]
        assert [p.get_title() for p in plot.gaps(opened).axes] == expected
        assert not opened.storage.variable._in_memory
        plot.compare(opened, record + 1, time="2001-03")
        plot.series(opened, lat=-18, lon=303)
        assert not opened.storage.variable._in_memory
    # Of what is in memory, and of small files, the whole.
    assert in_pieces(choose(record, purpose="a test")).data.chunks is None
