"""The parts of a model's description: its axes, what it is fed, where its weights are."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal, get_args

Mode = Literal["whole", "window", "tile", "pointwise"]
Role = Literal[
    "value", "validity", "years", "exists", "season", "day", "estimate", "spread", "covariates"
]

NAME = re.compile(r"[a-z][a-z0-9_]*")
VERSION = re.compile(r"\d+(\.\d+)*")
_KEY = re.compile(rf"{NAME.pattern}(@{VERSION.pattern})?")
_FILE = re.compile(r"\w[\w.+-]*\.safetensors")


@dataclass(frozen=True)
class AxisSpec:
    """How a model treats one axis.

    Parameters
    ----------
    axis : {"T", "Y", "X"}
        The axis meant. Axes that a spec does not name are pointwise.
    mode : {"whole", "window", "tile", "pointwise"}
        `whole`: the model needs every step at once. `window`: it sees `window` cells at a time,
        and windows that overlap are blended. `tile`: it treats `window` cells at a time and sees
        `halo` cells around them. `pointwise`: each position is a sample of its own.
    window, stride : int, optional
        In cells; `stride` for `window` only. `window` must be a multiple of `stride`; the halo,
        the overlap of neighbouring windows, is their difference.
    minimum : int
        The fewest cells that the model can work on.
    halo : int, optional
        For `tile` only, in cells.
    coarsen : int
        For `window` only: so many cells of the input are one of the output.
    """

    axis: str
    mode: Mode = "whole"
    window: int | None = None
    stride: int | None = None
    minimum: int = 1
    halo: int | None = None
    coarsen: int = 1

    def problems(self) -> list[str]:
        """Return what is wrong with this spec, in words."""
        found = []
        if self.axis not in ("T", "Y", "X"):
            found.append(f"axis {self.axis!r}: expected one of 'T', 'Y', 'X'")
        if self.mode not in get_args(Mode):
            found.append(f"axis {self.axis}: mode {self.mode!r}, expected one of {get_args(Mode)}")
        if self.mode == "window":
            if not self.window or not self.stride or self.window < 1 or self.stride < 1:
                found.append(f"axis {self.axis}: mode 'window' needs window= and stride=, both > 0")
            elif self.window % self.stride:
                found.append(
                    f"axis {self.axis}: window {self.window} is not a multiple of stride "
                    f"{self.stride}"
                )
            elif self.coarsen < 1 or self.stride % self.coarsen:
                found.append(
                    f"axis {self.axis}: stride {self.stride} is not a multiple of coarsen "
                    f"{self.coarsen}"
                )
        elif self.mode == "tile":
            if not self.window or self.halo is None or self.window < 1 or self.halo < 0:
                found.append(f"axis {self.axis}: mode 'tile' needs window= > 0 and halo= >= 0")
        elif self.window is not None:
            found.append(f"axis {self.axis}: window= goes with the modes 'window' and 'tile' only")
        for name, mode, unset in (
            ("stride", "window", None),
            ("coarsen", "window", 1),
            ("halo", "tile", None),
        ):
            if self.mode != mode and getattr(self, name) != unset:
                found.append(f"axis {self.axis}: {name}= goes with mode {mode!r} only")
        if self.minimum < 1:
            found.append(f"axis {self.axis}: minimum {self.minimum}, expected at least 1")
        return found


@dataclass(frozen=True)
class Channel:
    """One kind of input channel of a network, in the order in which it receives them.

    Parameters
    ----------
    role : str
        `value`: the scaled data, 0 where missing. `validity`: 1 where observed, in a network that
        gives months the share of the day that was observed. `years`: decimal years around the
        middle of the record. `exists`: 1 where the calendar has the step, see
        `xgeoml.tasks.monthly`. `season`, `day`: sine and cosine of the time of the year, and of
        the day, two channels each. `estimate`, `spread`: what the model `name`
        says, scaled as the value is (the spread as a logarithm). `covariates`: every driver
        given in the call, each standardised; must come last.
    name : str
        The model whose estimate this is; empty for the other roles.
    """

    role: Role
    name: str = ""

    def problems(self) -> list[str]:
        """Return what is wrong with this channel, in words."""
        if self.role not in get_args(Role):
            return [f"channel role {self.role!r}: expected one of {get_args(Role)}"]
        if (self.role in ("estimate", "spread")) != bool(self.name):
            return [f"channel {self.role!r}: a model name goes with 'estimate' and 'spread' only"]
        # A name only: with a path, one file could have others read.
        if self.name and not _KEY.fullmatch(self.name):
            return [f"channel {self.role!r}: {self.name!r} is no model name, such as 'kalman'"]
        return []


@dataclass(frozen=True)
class WeightsRef:
    """Where a model's parameters are, and what they must hash to.

    Parameters
    ----------
    file : str
        File name of the safetensors file, without a folder.
    sha256 : str
        Its hash, 64 hexadecimal digits.
    size : int, optional
        Its size in bytes.
    package : str
        The installed package in whose folder the file lies, such as ``"their_nets.data"``; empty
        if no package brings it.
    urls : tuple of str
        Whence it can be downloaded, tried in turn: ``https://``, ``http://``, ``doi:`` or
        ``hf://``.
    """

    file: str
    sha256: str
    size: int | None = None
    package: str = ""
    urls: tuple[str, ...] = ()

    def problems(self) -> list[str]:
        """Return what is wrong with this reference, in words."""
        found = []
        if not _FILE.fullmatch(self.file):
            found.append(f"weights file {self.file!r}: expected a .safetensors file, by its name")
        if not re.fullmatch(r"[0-9a-f]{64}", self.sha256):
            found.append(f"weights sha256 {self.sha256!r}: expected 64 hexadecimal digits")
        if self.size is not None and self.size < 1:
            found.append(f"weights size {self.size}: expected bytes, above 0")
        if not re.fullmatch(r"(\w+(\.\w+)*)?", self.package):
            found.append(f"weights package {self.package!r}: expected a name such as 'their_nets'")
        found += [
            f"weights url {url!r}: expected https://, http://, doi: or hf://"
            for url in self.urls
            if not re.match(r"(https?|hf)://\S+$|doi:\S+$", url)
        ]
        return found


@dataclass(frozen=True)
class Scale:
    """Means and deviations of the data that a network was trained on.

    Parameters
    ----------
    mean, deviation : tuple of float
        Of the value, then of each covariate, in their units.
    """

    mean: tuple[float, ...]
    deviation: tuple[float, ...]

    def problems(self) -> list[str]:
        """Return what is wrong with the scale, in words."""
        if not self.mean or len(self.mean) != len(self.deviation):
            return [f"scale: {len(self.mean)} means and {len(self.deviation)} deviations"]
        if not all(map(math.isfinite, (*self.mean, *self.deviation))) or min(self.deviation) <= 0:
            return [f"scale {self.mean}, {self.deviation}: expected numbers, deviations above 0"]
        return []
