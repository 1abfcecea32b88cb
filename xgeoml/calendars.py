"""Time stamps as whole ticks with calendar fields: one face for datetime64 and all of cftime.

Arithmetic on dates is done in integers here, so that a stamp that goes in comes out unchanged.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from xgeoml.axes import is_cftime
from xgeoml.exceptions import TimeAxisError

__all__ = ["Clock", "read_clock"]

Ints = NDArray[np.int64]
SECONDS_A_DAY = 86_400


class Clock(ABC):
    """Stamps of one calendar.

    Attributes
    ----------
    ticks : ndarray of int64, (time,)
        Time since an epoch of the clock's own.
    month : ndarray of int64, (time,)
        ``12 * year + (month - 1)`` of each stamp, years counted with a year zero.
    day : int
        Ticks a day.
    """

    ticks: Ints
    month: Ints
    day: int

    @abstractmethod
    def month_start(self, month: Ints) -> Ints:
        """Return the tick at which each month starts."""

    @abstractmethod
    def read(self, stamps: NDArray[Any]) -> Ints:
        """Return the ticks of other stamps of the same calendar."""

    @abstractmethod
    def values(self, ticks: Ints) -> NDArray[Any]:
        """Return stamps in the type of those that were read."""

    @property
    def in_month(self) -> Ints:
        """Ticks since the start of the stamp's own month."""
        return self.ticks - self.month_start(self.month)

    @property
    def month_length(self) -> Ints:
        """Ticks in the stamp's own month."""
        return self.month_start(self.month + 1) - self.month_start(self.month)

    @property
    def resolution(self) -> int:
        """Ticks in the coarsest of day, hour, minute, second that all stamps are whole in; or 1."""
        within = self.in_month
        for parts in (1, 24, 1440, SECONDS_A_DAY):
            unit = self.day // parts
            if not (within % unit).any():
                return unit
        return 1


def read_clock(stamps: ArrayLike) -> Clock:
    """Return the clock that reads `stamps`.

    Parameters
    ----------
    stamps : array_like, (time,)
        datetime64 of any unit, or cftime dates of any calendar.

    Raises
    ------
    TimeAxisError
        If they are neither.
    """
    array = np.asarray(stamps)
    if array.dtype.kind == "M":
        return _Datetime64(array)
    if is_cftime(array):
        return _Cftime(array)
    raise TimeAxisError(
        f"time stamps of dtype {array.dtype} were given; expected datetime64 or cftime dates: "
        "decode them with xr.decode_cf(ds)"
    )


class _Datetime64(Clock):
    def __init__(self, stamps: NDArray[Any]) -> None:
        unit = np.datetime_data(stamps.dtype)[0]
        if unit not in ("s", "ms", "us", "ns"):
            stamps = stamps.astype("datetime64[s]")
        self.dtype = stamps.dtype
        self.day = int(np.timedelta64(SECONDS_A_DAY, "s") / np.timedelta64(1, self._unit))
        self.ticks = self.read(stamps)
        # Years 1970 * 12 months before the month zero of NumPy.
        self.month = stamps.astype("datetime64[M]").astype(np.int64) + 1970 * 12

    @property
    def _unit(self) -> Any:
        return np.datetime_data(self.dtype)[0]

    def month_start(self, month: Ints) -> Ints:
        starts = (np.asarray(month, dtype=np.int64) - 1970 * 12).astype("datetime64[M]")
        return starts.astype(self.dtype).astype(np.int64)

    def read(self, stamps: NDArray[Any]) -> Ints:
        return stamps.astype(self.dtype).astype(np.int64)

    def values(self, ticks: Ints) -> NDArray[Any]:
        return np.asarray(ticks, dtype=np.int64).astype(self.dtype)


class _Cftime(Clock):
    def __init__(self, stamps: NDArray[Any]) -> None:
        self.first = stamps.flat[0]
        # replace() keeps the class and the calendar, whichever of cftime's many they are.
        self.epoch = self.first.replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        self.day = SECONDS_A_DAY * 1_000_000
        self.ticks = self.read(stamps)
        self.month = np.array(
            [12 * self._astronomical(stamp.year) + stamp.month - 1 for stamp in stamps],
            dtype=np.int64,
        )

    def read(self, stamps: NDArray[Any]) -> Ints:
        return np.array([self._tick(stamp) for stamp in stamps], dtype=np.int64)

    def _tick(self, stamp: Any) -> int:
        since: timedelta = stamp - self.epoch
        return since // timedelta(microseconds=1)

    def _astronomical(self, year: int) -> int:
        """Year 1 BC is -1 where the calendar lacks a year zero; counting needs it to be 0."""
        return year if year > 0 or self.first.has_year_zero else year + 1

    def _civil(self, year: int) -> int:
        return year if year > 0 or self.first.has_year_zero else year - 1

    def month_start(self, month: Ints) -> Ints:
        numbers, back = np.unique(np.asarray(month, dtype=np.int64), return_inverse=True)
        starts = [
            self._tick(self.epoch.replace(year=self._civil(int(n) // 12), month=int(n) % 12 + 1))
            for n in numbers
        ]
        return np.array(starts, dtype=np.int64)[back].reshape(np.shape(month))

    def values(self, ticks: Ints) -> NDArray[Any]:
        made = np.empty(len(ticks), dtype=object)
        for k, tick in enumerate(ticks):
            made[k] = self.epoch + timedelta(microseconds=int(tick))
        return made
