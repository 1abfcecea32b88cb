"""What a file is that cannot be opened: told from its first bytes, not from guesses."""

from __future__ import annotations

import importlib.util
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from xgeoml.exceptions import MissingExtraError

_EXPECTED = "expected netCDF (*.nc), a zarr folder (*.zarr), or zarr in a zip file (*.zip)"
_CLASSIC, _HDF5 = b"CDF", b"\x89HDF\r\n\x1a\n"
# Kinds that are taken for netCDF most, by their first bytes.
_OTHERS: Final[Mapping[bytes, str]] = {
    b"GRIB": "a GRIB file, which xarray opens with the package cfgrib: pip install cfgrib",
    b"II*\0": "a TIFF file; write it as netCDF first, with the package rioxarray",
    b"MM\0*": "a TIFF file; write it as netCDF first, with the package rioxarray",
    b"PK": "a zip file; expected a name that ends in .zip of zarr, or what is packed in it",
    b"\x1f\x8b": "packed by gzip; type gunzip first",
}
# Of what a folder of zarr has one.
_OF_ZARR = ("zarr.json", ".zgroup", ".zmetadata")
# Bytes that tell a kind, and characters that tell a text.
_LOOKED_AT, _TOLD = 512, 40


def need_zarr(path: Path) -> None:
    """Raise if a name stands for zarr, and the package is not here.

    Raises
    ------
    MissingExtraError
    """
    if path.suffix in (".zarr", ".zip") and importlib.util.find_spec("zarr") is None:
        raise MissingExtraError("io", str(path), "zarr")


def what_is_wrong(path: Path) -> str | None:
    """Return why nothing can be read from a file, or None if the fault is elsewhere.

    Raises
    ------
    MissingExtraError
        If it needs a package that is not here.
    """
    need_zarr(path)
    if path.is_dir():
        is_zarr = any((path / name).exists() for name in _OF_ZARR)
        return None if is_zarr else f"it is a folder without {' or '.join(_OF_ZARR)}; {_EXPECTED}"
    with path.open("rb") as file:
        start = file.read(_LOOKED_AT)
    if not start:
        return f"it is empty; {_EXPECTED}"
    if path.suffix == ".zip" and start.startswith(b"PK"):
        return None if zipfile.is_zipfile(path) else f"it is cut short: {_size(path)}"
    if start.startswith((_CLASSIC, _HDF5)):
        return _netcdf(path, start)
    told = next((told for magic, told in _OTHERS.items() if start.startswith(magic)), None)
    if told is not None:
        return f"it is {told}"
    return f"it is {_text(start) or 'of a kind that is not known'}; {_EXPECTED}"


def _netcdf(path: Path, start: bytes) -> str | None:
    engines = ("netCDF4", "h5netcdf")
    if start.startswith(_HDF5) and not any(map(importlib.util.find_spec, engines)):
        raise MissingExtraError("io", f"{path}, of netCDF 4,", "netCDF4")
    import xarray as xr

    try:
        xr.open_dataset(path, decode_cf=False).close()
    except (OSError, ValueError, TypeError, RuntimeError, KeyError):
        return (
            f"it begins as netCDF does, and cannot be read: cut short or damaged ({_size(path)}). "
            "Fetch or write it again"
        )
    return None


def _size(path: Path) -> str:
    return f"{path.stat().st_size:,} bytes are here"


def _text(start: bytes) -> str:
    """Return what a text begins with; nothing if it is none."""
    words = start.decode("utf-8", errors="ignore")
    # The last character may be cut.
    whole = len(words.encode()) > len(start) - 4
    line = words.strip().partition("\n")[0].strip()
    is_text = whole and line and "".join(words.split()).isprintable()
    return f"text, which begins with {line[:_TOLD]!r}" if is_text else ""
