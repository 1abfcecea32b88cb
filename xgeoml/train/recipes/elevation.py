"""Make the map of elevation: ``python -m xgeoml.train.recipes.elevation --altitude A --etopo5 E``.

It is that of pvlib (Altitude.h5 in its wheel), which is right all over the Earth but in two places.
It has the bedrock under Greenland's ice, and nothing south of 85 degrees: there it is ETOPO5
(etopo5.cdf in Debian's package ferret-datasets), where that is higher.
"""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from xgeoml import terrain

# South, north, west and east of Greenland with all its ice; Ellesmere and Iceland have theirs in
# pvlib's map, and the mean difference there is small.
_GREENLAND = (59.5, 84.0, -74.0, -10.0)
_SOUTH = -85.0
# Degrees over which the two maps' difference is averaged, and metres by which ice lifts it.
_WINDOW, _ICE = 1.0, 250.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the map and say its hash."""
    parser = argparse.ArgumentParser(prog="python -m xgeoml.train.recipes.elevation")
    parser.add_argument("--altitude", type=Path, required=True, help="pvlib's Altitude.h5")
    parser.add_argument("--etopo5", type=Path, required=True, help="Ferret's etopo5.cdf")
    parser.add_argument("--out", type=Path, default=Path(terrain.__file__).parent / terrain.FILE)
    given = parser.parse_args(arguments)
    relief = _on_cells(_read(given.etopo5, "ROSE").astype(np.float64))
    made = merged(_read(given.altitude, "Altitude").astype(np.uint8), relief)
    np.savez_compressed(given.out, along_rows=terrain.encoded(made))
    print(given.out, digest(made))  # noqa: T201


def digest(table: NDArray[np.uint8]) -> str:
    """Return the hash of a map."""
    return hashlib.sha256(table.tobytes()).hexdigest()


def merged(altitude: NDArray[np.uint8], relief: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return pvlib's map with ETOPO5 where ice or the pole asks for it."""
    lat = 90.0 - (np.arange(terrain.ROWS) + 0.5) / terrain.PER_DEGREE
    lon = -180.0 + (np.arange(terrain.COLUMNS) + 0.5) / terrain.PER_DEGREE
    land = altitude != terrain.SEA
    height = np.where(land, terrain.STEP * altitude + terrain.LOWEST, 0.0)
    lift = uniform_filter(np.where(land, relief - height, 0.0), int(_WINDOW * terrain.PER_DEGREE))
    south, north, west, east = _GREENLAND
    inside = ((lat > south) & (lat < north))[:, None] & ((lon > west) & (lon < east))
    ice = land & inside & (lift > _ICE)
    beyond = (lat < _SOUTH)[:, None] & ~land
    steps = ((relief - terrain.LOWEST) / terrain.STEP).round().clip(0, terrain.SEA - 1)
    made = np.where(ice, np.maximum(steps, altitude), altitude)
    return np.where(beyond, steps, made).astype(np.uint8)


def _on_cells(relief: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return ETOPO5, which has values at corners from the south pole and Greenwich, on the map."""
    corners = np.roll(relief[::-1], terrain.COLUMNS // 2, axis=1)
    corners = np.concatenate([corners, corners[:, :1]], axis=1)
    rows = 0.5 * (corners[1:] + corners[:-1])
    return np.asarray(0.5 * (rows[:, 1:] + rows[:, :-1]))


def _read(path: Path, name: str) -> NDArray[Any]:
    with netCDF4.Dataset(path) as file:
        file.set_auto_mask(False)
        values: NDArray[Any] = file[name][:]
        return values


if __name__ == "__main__":
    main()
