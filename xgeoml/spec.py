"""What a model is, in plain values: frozen, hashable, and the same after a trip through JSON."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import NoneType
from typing import Any, Literal, get_args

from xgeoml.exceptions import SpecError

Task = Literal["fill_gaps", "downscale", "interp_time", "invert_waveform"]
Backend = Literal["numpy", "torch"]
Mode = Literal["whole", "window", "tile", "pointwise"]
Role = Literal["value", "validity", "years", "exists", "estimate", "spread", "covariates"]
Output = Literal["value", "residual", "log_spread"]
Scaling = Literal["sample", "training"]

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_VERSION = re.compile(r"\d+(\.\d+)*")
_KEY = re.compile(rf"{_NAME.pattern}(@{_VERSION.pattern})?")
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
        `xgeoml.tasks.monthly`. `estimate`, `spread`: what the model `name`
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


@dataclass(frozen=True)
class ModelSpec:
    """A model's description: all that the package must know before it loads the model.

    Parameters
    ----------
    name : str
        Lower case letters, digits and underscores.
    task : str
        The task that the model does.
    factory : str or callable
        What makes the model, called with `options`: ``"package.module:Class"``, or the class
        itself (it must be importable, since workers find it by name).
    backend : {"numpy", "torch"}
        `numpy`: the factory returns a `xgeoml.models.series.SeriesModel`, or with tiles of a grid a
        `xgeoml.models.field.FieldModel`. `torch`: it returns an `nn.Module` that maps
        ``(batch, channel, *axes)`` to ``(batch, output, *axes)``.
    axes : tuple of AxisSpec
        How the model treats each axis, in the order in which it is given them; axes not named are
        pointwise.
    inputs : tuple of Channel
        Channels of a torch model.
    outputs : tuple of str
        Outputs of a torch model: `value` or `residual` (on the first `estimate` channel), both in
        scaled units, then optionally `log_spread`.
    options : mapping
        Keyword arguments of the factory, plain JSON values.
    weights : WeightsRef, optional
        The trained parameters.
    covariates : bool
        Whether the model makes use of covariates.
    listed : bool
        Whether `list_models` names it: what only serves as a base of other models is no choice.
    scaling : {"sample", "training"}
        What networks are given values and covariates in: `sample`, each series or window by the
        mean and deviation of its own observed values; `training`, all by those in `scale`.
    scale : Scale, optional
        With scaling `training`: what `xgeoml.fit` found in the data that it trained on.
    covariate_names : tuple of str
        The covariates that the network was trained with, in the order of its channels: those that
        it must be given. Empty: any.
    version, summary, citation, license : str
        For people, and for the model card.

    Raises
    ------
    SpecError
        Listing every problem at once.
    """

    name: str
    task: Task
    factory: str | Callable[..., Any]
    backend: Backend = "torch"
    axes: tuple[AxisSpec, ...] = (AxisSpec("T"),)
    inputs: tuple[Channel, ...] = ()
    outputs: tuple[Output, ...] = ("value",)
    options: Mapping[str, Any] = field(default_factory=dict)
    weights: WeightsRef | None = None
    covariates: bool = False
    listed: bool = True
    scaling: Scaling = "sample"
    scale: Scale | None = None
    covariate_names: tuple[str, ...] = ()
    version: str = "1.0"
    summary: str = ""
    citation: str = ""
    license: str = ""

    def __post_init__(self) -> None:
        """Settle the factory's name, then check everything and complain once."""
        if not isinstance(self.factory, str):
            object.__setattr__(self, "factory", _importable_name(self.factory))
        found = self._problems()
        if found:
            raise SpecError(found, f"the spec of model {self.name!r} has problems")

    def __hash__(self) -> int:
        """Hash by content, since `options` is a mapping."""
        return hash(self.to_json())

    @property
    def key(self) -> str:
        """Name and version, ``name@version``."""
        return f"{self.name}@{self.version}"

    @property
    def bases(self) -> tuple[str, ...]:
        """The models whose estimates this one is fed with, in order."""
        named = [c.name for c in self.inputs if c.name]
        return tuple(dict.fromkeys(named))

    @property
    def gives_spread(self) -> bool:
        """Whether the model says how sure it is."""
        return self.backend == "numpy" or "log_spread" in self.outputs

    def axis(self, axis: str) -> AxisSpec:
        """Return how `axis` is treated: pointwise where the spec does not name it."""
        return next((a for a in self.axes if a.axis == axis), AxisSpec(axis, "pointwise"))

    def replace(self, **changes: Any) -> ModelSpec:
        """Return a copy with `changes`, checked like a new spec."""
        return dataclasses.replace(self, **changes)

    def with_options(self, options: Mapping[str, Any]) -> ModelSpec:
        """Return a copy whose factory gets `options` too.

        Raises
        ------
        SpecError
            If the factory takes no such option.
        """
        known = inspect.signature(self.load_factory()).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in known.values()):
            unknown = [k for k in options if k not in known]
            if unknown:
                raise SpecError(
                    [f"{k!r}: expected one of {sorted(known)}" for k in unknown],
                    f"model {self.name!r} was given options that it does not have",
                )
        return self.replace(options={**self.options, **options})

    def load_factory(self) -> Callable[..., Any]:
        """Import and return the factory.

        Raises
        ------
        SpecError
            If it cannot be imported.
        """
        assert isinstance(self.factory, str)
        module, _, attribute = self.factory.partition(":")
        try:
            found: Any = importlib.import_module(module)
            for part in attribute.split("."):
                found = getattr(found, part)
        except (ImportError, AttributeError) as error:
            raise SpecError(
                f"{self.factory}: {error}",
                f"the factory of model {self.name!r} cannot be imported",
            ) from error
        return found  # type: ignore[no-any-return]

    def to_json(self) -> str:
        """Return the spec as a JSON text that `from_json` reads back."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> ModelSpec:
        """Return the spec that `to_json` wrote.

        Raises
        ------
        SpecError
            If the text is no JSON object, or holds unknown or missing fields.
        """
        try:
            raw = _read(
                json.loads(text),
                cls,
                axes=lambda v: tuple(AxisSpec(**_read(a, AxisSpec)) for a in v),
                inputs=lambda v: tuple(Channel(**_read(c, Channel)) for c in v),
                outputs=tuple,
                covariate_names=tuple,
                scale=lambda v: Scale(**_read(v, Scale, **_TUPLES)) if v else None,
                weights=lambda v: WeightsRef(**_read(v, WeightsRef, urls=tuple)) if v else None,
            )
            made = cls(**raw)
            hash(made)  # which fails on what is nested too deep, and every handle is hashed
        except SpecError:
            raise
        except (ValueError, TypeError, RecursionError) as error:
            raise SpecError(f"not JSON: {error}", "a model spec cannot be read") from error
        return made

    def _problems(self) -> list[str]:
        found = []
        if not _NAME.fullmatch(self.name):
            found.append(f"name {self.name!r}: expected lower case letters, digits, underscores")
        if not _VERSION.fullmatch(self.version):
            found.append(f"version {self.version!r}: expected digits and dots, such as '1.0'")
        if self.task not in get_args(Task):
            found.append(f"task {self.task!r}: expected one of {get_args(Task)}")
        if self.backend not in get_args(Backend):
            found.append(f"backend {self.backend!r}: expected one of {get_args(Backend)}")
        if not re.fullmatch(r"[\w.]+:[\w.]+", str(self.factory)):
            found.append(f"factory {self.factory!r}: expected 'package.module:Class'")
        parts: list[AxisSpec | Channel | Scale | WeightsRef] = [*self.axes, *self.inputs]
        parts += [part for part in (self.scale, self.weights) if part is not None]
        for part in parts:
            found += part.problems()
        if len({a.axis for a in self.axes}) < len(self.axes):
            found.append("axes: an axis is named twice")
        try:
            json.dumps(dict(self.options))
        except (TypeError, ValueError) as error:
            found.append(f"options: {error}; expected plain JSON values in a mapping")
        if self.scaling not in get_args(Scaling):
            found.append(f"scaling {self.scaling!r}: expected one of {get_args(Scaling)}")
        if self.scale is not None and self.scaling != "training":
            found.append("scale: goes with scaling='training' only")
        if self.backend == "torch":
            found += self._network_problems()
        elif tuple((a.axis, a.mode) for a in self.axes) not in (
            (("T", "whole"),),
            (("Y", "tile"), ("X", "tile"), ("T", "whole")),
        ):
            found.append(
                "axes: a numpy model works on whole time series, axes=(AxisSpec('T'),), or on tiles"
                " of them, (AxisSpec('Y', 'tile', ...), AxisSpec('X', 'tile', ...), AxisSpec('T'))"
            )
        return found

    @property
    def tiled(self) -> bool:
        """Whether it is a numpy model of tiles of a grid, a `xgeoml.models.field.FieldModel`."""
        return any(a.mode == "tile" for a in self.axes)

    def _network_problems(self) -> list[str]:
        found = []
        if self.tiled:
            found.append("axes: mode 'tile' is for numpy models")
        roles = [c.role for c in self.inputs]
        if "value" not in roles:
            found.append("inputs: a torch model needs a Channel('value')")
        if "covariates" in roles[:-1]:
            found.append("inputs: Channel('covariates') must come last, its number varies")
        if ("covariates" in roles) and not self.covariates:
            found.append("inputs: Channel('covariates') goes with covariates=True")
        if self.bases and (self.axis("T").mode != "whole" or len(self.axes) != 1):
            found.append("inputs: estimates of other models go with axes=(AxisSpec('T'),) only")
        if self.outputs not in {("value",), ("residual",)} | {
            (first, "log_spread") for first in ("value", "residual")
        }:
            found.append(
                f"outputs {self.outputs}: expected 'value' or 'residual', then at most 'log_spread'"
            )
        if "residual" in self.outputs and "estimate" not in roles:
            found.append("outputs: a 'residual' needs a Channel('estimate', model) to add it to")
        return found


def _importable_name(factory: Callable[..., Any]) -> str:
    """Return ``module:qualified name``: workers in other processes find the factory by it."""
    module, name = getattr(factory, "__module__", None), getattr(factory, "__qualname__", "")
    if not module or "<" in name:
        raise SpecError(
            f"{factory!r} is local or a lambda; put it at the top of a module",
            "a model's factory must be importable",
        )
    return f"{module}:{name}"


# What JSON makes of each kind of field above, and of the items of its lists.
_JSON_TYPES: dict[str, tuple[tuple[type, ...], type | tuple[type, ...]]] = {
    "str": ((str,), object),
    "bool": ((bool,), object),
    "int": ((int,), object),
    "int | None": ((int, NoneType), object),
    "Mode": ((str,), object),
    "Role": ((str,), object),
    "Task": ((str,), object),
    "Backend": ((str,), object),
    "Scaling": ((str,), object),
    "str | Callable[..., Any]": ((str,), object),
    "tuple[str, ...]": ((list,), str),
    "tuple[float, ...]": ((list,), (int, float)),
    "tuple[Output, ...]": ((list,), str),
    "tuple[AxisSpec, ...]": ((list,), dict),
    "tuple[Channel, ...]": ((list,), dict),
    "Mapping[str, Any]": ((dict,), object),
    "Scale | None": ((dict, NoneType), object),
    "WeightsRef | None": ((dict, NoneType), object),
}


_TUPLES: dict[str, Callable[[Any], Any]] = {"mean": tuple, "deviation": tuple}


def _read(raw: Any, cls: type[Any], **convert: Callable[[Any], Any]) -> dict[str, Any]:
    """Return the fields of `cls` in a JSON object, converted; SpecError lists what is wrong."""
    if not isinstance(raw, dict):
        raise SpecError(f"found {raw!r:.80}; expected a JSON object", "a model spec cannot be read")
    fields = {f.name: f for f in dataclasses.fields(cls)}
    found = [f"unknown field {k!r}; known: {sorted(fields)}" for k in raw if k not in fields]
    for name, f in fields.items():
        needed = f.default is f.default_factory is dataclasses.MISSING
        if needed and name not in raw:
            found.append(f"field {name!r} is missing")
        if name not in raw:
            continue
        kinds, item = _JSON_TYPES[str(f.type)]
        value = raw[name]
        right = isinstance(value, kinds) and (bool in kinds or not isinstance(value, bool))
        if isinstance(value, list):
            right &= all(isinstance(i, item) for i in value)
        if not right:
            found.append(f"field {name!r} is {value!r:.80}; expected {f.type}")
    if found:
        raise SpecError(found, "a model spec cannot be read")
    return {k: convert[k](v) if k in convert else v for k, v in raw.items()}
