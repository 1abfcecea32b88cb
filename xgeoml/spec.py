"""What a model is, in plain values: frozen, hashable, and the same after a trip through JSON."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import json
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import NoneType
from typing import Any, Literal, get_args

from xgeoml import markup
from xgeoml.exceptions import SpecError
from xgeoml.spec_parts import NAME, VERSION, AxisSpec, Channel, Scale, WeightsRef

__all__ = ["AxisSpec", "Channel", "ModelSpec", "Scale", "Task", "WeightsRef"]

Task = Literal["fill_gaps", "downscale", "interp_time", "invert_waveform"]
Backend = Literal["numpy", "torch"]
Output = Literal["value", "residual", "log_spread"]
Scaling = Literal["sample", "training"]


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
        ``(batch, channel, *axes)`` to ``(batch, output, *axes)``. For downscaling see
        `xgeoml.models.downscaling`, for interpolation in time `xgeoml.models.in_time`, for waveform
        inversion `xgeoml.models.waveforms`.
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
    terrain : bool
        Of networks of downscaling and of interpolation in time: whether it is given
        `xgeoml.terrain.elevation`, in downscaling where the user gives no covariates.
    fitted_with : tuple of str
        Of networks of interpolation in time: base models that one fitted to a record is given
        besides its own; its own name stands for it as it is shipped.
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
    units : tuple of str
        Of a model whose answer depends on them: those of the values that it was fitted to, then of
        each covariate, empty where they were not told. It is refused data in others.
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
    terrain: bool = False
    fitted_with: tuple[str, ...] = ()
    listed: bool = True
    scaling: Scaling = "sample"
    scale: Scale | None = None
    covariate_names: tuple[str, ...] = ()
    units: tuple[str, ...] = ()
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
        return self._hash

    @cached_property
    def _hash(self) -> int:
        # Kept, so that it must be the same in every process: that of a text is not.
        return zlib.crc32(self.to_json().encode())

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

    def _repr_html_(self) -> str:
        """Return the spec for a notebook: what the model is, not each of its options."""
        modes = {a.axis: a.mode for a in self.axes}
        rows = [
            ("what", self.summary),
            ("task", self.task),
            ("kind", "network" if self.backend == "torch" else "classical"),
            ("axes", ", ".join(f"{axis} {mode}" for axis, mode in modes.items())),
            ("covariates", "makes use of them" if self.covariates else ""),
            ("begins with", ", ".join(self.bases)),
            ("weights", self.weights.file if self.weights else ""),
            ("citation", self.citation),
            ("license", self.license),
        ]
        said = [(label, text) for label, text in rows if text]
        return markup.page(self.key, markup.labelled(said), kind="xgeoml model")

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
                units=tuple,
                fitted_with=tuple,
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
        if not NAME.fullmatch(self.name):
            found.append(f"name {self.name!r}: expected lower case letters, digits, underscores")
        if not VERSION.fullmatch(self.version):
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
        shown = (self.task == "downscale" and not self.bound) or self.task == "interp_time"
        if self.terrain and not (shown and self.backend == "torch"):
            found.append(
                "terrain=True: goes with networks of downscaling that serve any grid, and of "
                "interpolation in time, only"
            )
        if self.fitted_with and (self.task, self.backend) != ("interp_time", "torch"):
            found.append("fitted_with: goes with networks of interpolation in time only")
        if self.task == "downscale":
            found += self._grid_problems()
        elif self.task == "interp_time":
            found += self._time_problems()
        elif self.task == "invert_waveform":
            found += self._waveform_problems()
        elif self.backend == "numpy" and tuple((a.axis, a.mode) for a in self.axes) not in (
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
        return self.task == "fill_gaps" and any(a.mode == "tile" for a in self.axes)

    @property
    def bound(self) -> bool:
        """Whether it is bound to the two grids that it was fitted on."""
        return self.task == "downscale" and self.axis("X").mode == "whole"

    def _grid_problems(self) -> list[str]:
        """Return what is wrong with the axes of a model of downscaling."""
        modes = {a.axis: a.mode for a in self.axes}
        plane = (modes.get("Y"), modes.get("X"))
        if plane not in (("tile", "tile"), ("whole", "whole")) or modes.get("T", "tile") != "tile":
            return [
                "axes: a model of downscaling takes Y and X both in mode 'tile' or both 'whole', "
                "and may take T in mode 'tile'"
            ]
        return []

    def _time_problems(self) -> list[str]:
        """Return what is wrong with the axes of a model of interpolation in time."""
        modes = {a.axis: a.mode for a in self.axes}
        plane = (modes.get("Y"), modes.get("X"))
        if modes.get("T") != "tile" or plane not in ((None, None), ("whole", "whole")):
            return [
                "axes: a model of interpolation in time takes T in mode 'tile', and Y and X both in"
                " mode 'whole' or neither of them"
            ]
        return []

    def _waveform_problems(self) -> list[str]:
        """Return what is wrong with axes, inputs and outputs of a model of waveform inversion."""
        found = []
        if self.axes != (AxisSpec("T"),):
            found.append("axes: a model of waveform inversion takes T whole, axes=(AxisSpec('T'),)")
        if {c.role for c in self.inputs} - {"value", "estimate"}:
            found.append(
                "inputs: a network of waveform inversion takes Channel('value'), which stands for "
                "records and Green's functions, and estimates of other models, nothing else"
            )
        if "residual" in self.outputs:
            found.append("outputs: a network of waveform inversion returns the source, 'value'")
        if self.scaling != "sample":
            found.append("scaling: waveforms have no scale to be trained on, scaling='sample'")
        return found

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
        series = len(self.axes) == 1 and self.axis("T").mode == "whole"
        if self.bases and not series and self.task not in ("downscale", "interp_time"):
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
