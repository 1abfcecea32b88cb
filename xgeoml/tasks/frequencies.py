"""Steps in time as users write them, and what to type in place of those that are none."""

from __future__ import annotations

import re
from datetime import timedelta

import numpy as np
import pandas as pd

from xgeoml.exceptions import InputError

__all__ = ["fixed_length", "is_freq", "read_freq"]

# What people write, by what pandas calls it.
_WRITTEN = {
    "s": "s sec secs second seconds",
    "min": "t min mins minute minutes",
    "h": "h hr hrs hour hours hourly",
    "D": "d day days daily",
    "7D": "w wk wks week weeks weekly",
    "MS": "mo mon month months monthly",
    "QS": "q quarter quarters quarterly seasonal",
    "YS": "a y yr yrs year years yearly annual annually",
}
_UNITS = {word: unit for unit, words in _WRITTEN.items() for word in words.split()}
# A number and a word, such as "6 hours" and "6-hourly".
_NUMBER = r"[+-]?\d+(?:\.\d+)?"
_STEP = re.compile(rf"({_NUMBER})?[\s-]*([a-z]+)", re.IGNORECASE)


def is_freq(freq: object) -> bool:
    """Whether something is a step in time."""
    return _offset(freq) is not None


def read_freq(freq: object) -> pd.offsets.BaseOffset:
    """Return a frequency.

    Parameters
    ----------
    freq : str, timedelta or offset of pandas

    Raises
    ------
    InputError
        If it is none, or no step forward; the message tells what to type.

    Examples
    --------
    >>> read_freq("6h")
    <6 * Hours>
    >>> read_freq("6 hours")
    Traceback (most recent call last):
    xgeoml.exceptions.InputError: freq='6 hours' is not how pandas writes a step; type freq='6h'
    """
    offset = _offset(freq)
    if offset is None:
        raise InputError(f"freq={freq!r} {_what_to_type(freq)}")
    fixed = fixed_length(offset)
    if offset.n < 1 or (fixed is not None and fixed <= pd.Timedelta(0)):
        raise InputError(
            f"freq={freq!r} is no step forward in time; expected one above zero, such as '1h'"
        )
    return offset


def fixed_length(offset: pd.offsets.BaseOffset) -> pd.Timedelta | None:
    """Return how long a frequency is; None for months and others that the calendar decides."""
    if isinstance(offset, pd.offsets.Day):  # of pandas 3 no longer a Tick
        return pd.Timedelta(days=offset.n)
    return pd.Timedelta(offset) if isinstance(offset, pd.offsets.Tick) else None


def _offset(freq: object) -> pd.offsets.BaseOffset | None:
    known = (str, timedelta, np.timedelta64, pd.offsets.BaseOffset)
    if isinstance(freq, bool) or not isinstance(freq, known):
        return None
    try:
        step = pd.Timedelta(freq) if isinstance(freq, np.timedelta64) else freq
        return pd.tseries.frequencies.to_offset(step)
    except (TypeError, ValueError):
        return None


def _what_to_type(freq: object) -> str:
    """Return what is wrong with a frequency that is none, and what to type."""
    text = str(freq).strip()
    if not isinstance(freq, bool) and re.fullmatch(_NUMBER, text):
        parts = f"; or factor={text} for equal parts of every step" if text.isdigit() else ""
        return f"has no unit; expected one, such as '{text}min' or '{text}h'{parts}"
    written = _STEP.fullmatch(text)
    number, word = written.groups(default="") if written else ("", "")
    if word in ("m", "M"):
        return f"may be minutes or months; type freq='{number or 1}min' or freq='{number}MS'"
    unit = _UNITS.get(word.lower(), "")
    if unit == "7D" and number.isdigit():
        number, unit = str(7 * int(number)), "D"
    if unit in ("s", "min", "h", "D"):
        number = number or "1"
    if not unit:
        return (
            "is no step forward in time; expected one such as '1h', '30min', '1D' or 'MS', the "
            "first of each month, or factor=6 for six parts of every step"
        )
    return f"is not how pandas writes a step; type freq='{number}{unit}'"
