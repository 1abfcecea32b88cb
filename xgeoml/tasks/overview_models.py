"""Which models fit an object, what they lack, and what to type next."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import xarray as xr

from xgeoml.axes import Axes
from xgeoml.spec import ModelSpec, Task
from xgeoml.tasks import interpolating, inverting, refining
from xgeoml.tasks.choose import automatic
from xgeoml.tasks.filling import gives_months
from xgeoml.tasks.fit_models import learns
from xgeoml.tasks.inspect import Stamps, lacking, specs_for
from xgeoml.tasks.overview_gaps import Gaps
from xgeoml.tasks.samples import Samples
from xgeoml.weights.availability import availability

# A step between those of a record, where one is a matter of course.
_FINER = {"daily": "6h", "6-hourly": "1h", "3-hourly": "1h", "hourly": "15min"}
# Covariates that are named in a call, at most.
_COVARIATES = 4
# Dims whose records have one source.
_TOGETHER = ("station", "stations")
_FIT = "to be fitted first"
_MONTHS = 'makes months with freq="MS"'


@dataclass(frozen=True)
class ModelFact:
    """A model that fits an object.

    Attributes
    ----------
    name, summary : str
    network : bool
        Whether it is one.
    state : str
        What it lacks or needs, and whether its weights are here; empty of a model without either.
    automatic : bool
        Whether ``model="auto"`` takes it.
    enough : bool
        Whether the object has as many steps and cells as it needs.
    """

    name: str
    summary: str
    network: bool
    state: str
    automatic: bool
    enough: bool = True


@dataclass(frozen=True)
class TaskModels:
    """The models of one task that fit an object, those of a kind together."""

    task: Task
    models: tuple[ModelFact, ...]

    def kinds(self) -> Iterator[tuple[str, tuple[ModelFact, ...]]]:
        """Yield what models are or lack, and those of which it is so; classical ones first."""
        states = dict.fromkeys((m.network, m.state) for m in self.models)
        for network, state in sorted(states, key=lambda s: (s[1].startswith(_FIT), s)):
            kind = "networks" if network else "classical"
            same = tuple(m for m in self.models if (m.network, m.state) == (network, state))
            yield ", ".join(filter(None, (kind, state))), same


def models_of(
    sizes: Mapping[Hashable, int],
    axes: Axes,
    waves: Samples | None,
    gaps: Sequence[Gaps],
    stamps: Stamps,
) -> tuple[TaskModels, ...]:
    """Return the models that fit an object of these sizes, axes and steps, task by task."""
    specs = specs_for(axes, waves, stamps)
    # Of maps of two cells or more, and of how many steps: the rules ask for no more.
    grid = all(sizes.get(axes.names.get(a, ""), 0) > 1 for a in ("Y", "X"))
    steps = max((g.steps for g in gaps), default=0)
    chosen = {
        "fill_gaps": automatic(steps, 0, grid)[0],
        "downscale": refining.DEFAULT,
        "interp_time": interpolating.ON_GRIDS if grid else interpolating.ELSEWHERE,
        "invert_waveform": inverting.DEFAULT,
    }
    found = []
    for task in get_args(Task):
        facts = [
            _fact(s, chosen[task] == s.name, lacking(s, sizes, axes, stamps))
            for s in specs
            if s.task == task
        ]
        if facts:
            ordered = sorted(facts, key=lambda f: (not f.automatic, f.name))
            found.append(TaskModels(task, tuple(ordered)))
    return tuple(found)


def _fact(spec: ModelSpec, taken: bool, lacks: str) -> ModelFact:
    """Return what is told of a model, given whether `auto` takes it, and what the object lacks."""
    told = [lacks, _MONTHS if gives_months(spec) else "", availability(spec)]
    told += [_FIT] if _lacks_fit(spec) else []
    return ModelFact(
        name=spec.name,
        summary=spec.summary,
        network=spec.backend == "torch",
        state=", ".join(filter(None, reversed(told))),
        automatic=taken,
        enough=not lacks,
    )


def _lacks_fit(spec: ModelSpec) -> bool:
    """Whether a model learns from data and comes without weights."""
    if spec.weights is not None:
        return False
    if spec.task == "interp_time":
        return learns(spec)
    return spec.backend == "torch" or spec.bound


def calls_for(
    obj: xr.DataArray | xr.Dataset,
    axes: Axes,
    freq: str,
    gaps: Sequence[Gaps],
    models: Iterable[TaskModels],
) -> tuple[str, ...]:
    """Return calls of methods of ``.geoml`` that make sense for an object.

    Parameters
    ----------
    obj : DataArray or Dataset
    axes : Axes
        Its axes.
    freq : str
        Its time step, such as ``"daily"``; empty if it has none, or no dates.
    gaps : sequence of Gaps
        Of its variables of real numbers.
    models : iterable of TaskModels
        That fit it.
    """
    tasks = {m.task for m in models}
    if "invert_waveform" in tasks:
        broken = any(g.fillable for g in gaps)
        told = _waves(obj, axes, broken)
        if broken:
            return (*_with(told, "invert_waveform", "plan"), ".geoml.plot.gaps()")
        return _with(told, "invert_waveform", "plan", "evaluate")
    named = isinstance(obj, xr.Dataset)
    if isinstance(obj, xr.Dataset):
        kinds = {str(n): v.dtype.kind for n, v in obj.data_vars.items()}
    else:
        kinds = dict.fromkeys((g.variable for g in gaps), obj.dtype.kind)
    floats = [g for g in gaps if kinds[g.variable] == "f"]
    dated = [g for g in floats if g.steps]
    lacking = [g for g in dated if g.fillable is not False]
    if "fill_gaps" in tasks and lacking and freq:
        told = _variables(lacking, dated) if named else {}
        drawn = "" if lacking[0] is dated[0] else f"variable={_quoted(lacking[0].variable)}"
        return (*_with(told, "fill_gaps", "plan", "evaluate"), f".geoml.plot.gaps({drawn})")
    calls: tuple[str, ...] = ()
    maps = [g for g in floats if min((g.sizes.get(d, 0) for d in axes.space), default=0) > 1]
    if "downscale" in tasks and maps:
        calls += _with({"factor": "4"}, "downscale", "plan", "evaluate")
    if "interp_time" in tasks and freq in _FINER and any(g.steps > 1 for g in dated):
        calls += _with({"freq": _quoted(_FINER[freq])}, "interp_time", "plan")
        calls += _with({}, "interp_time", "evaluate")[1:]
    return calls


def _variables(lacking: Sequence[Gaps], dated: Sequence[Gaps]) -> dict[str, str]:
    """Return what to fill, and what may help: complete variables on the same cells and steps."""
    sizes = lacking[0].sizes
    beside = [g for g in dated if g.fillable is False and g.sizes == sizes]
    alike = all(g.sizes == sizes for g in lacking)
    drivers = beside if alike and len(beside) <= _COVARIATES else []
    told = {}
    if len(lacking) + len(drivers) < len(dated):
        told["variables"] = _listed(lacking)
    if drivers:
        told["covariates"] = _listed(drivers)
    return told


def _listed(gaps: Sequence[Gaps]) -> str:
    names = [g.variable for g in gaps]
    return _quoted(names[0]) if len(names) == 1 else f"[{', '.join(map(_quoted, names))}]"


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def _waves(obj: xr.DataArray | xr.Dataset, axes: Axes, broken: bool) -> dict[str, str]:
    """Return what an inversion is given: Green's functions, and which records belong together."""
    variables = obj.data_vars if isinstance(obj, xr.Dataset) else {}
    paths = [str(n) for n in variables if "green" in str(n).lower()]
    told = {"greens": _quoted(paths[0]) if paths else "..."}
    together = [d for d in axes.others if d.lower() in _TOGETHER]
    if together:
        told["dim"] = _quoted(together[0])
    if broken:
        # Missing samples are refused unless one asks.
        told["gaps"] = _quoted("window")
    return told


def _with(told: dict[str, str], task: str, *others: str) -> tuple[str, ...]:
    """Return calls of the method of a task, and of others, which take its name and one variable."""
    one = {k.removesuffix("s") if k == "variables" else k: v for k, v in told.items()}
    if one.get("variable", "").startswith("["):
        one["variable"] = _quoted(json.loads(one["variable"])[0])
    given, after = (", ".join(f"{k}={v}" for k, v in t.items()) for t in (told, one))
    also = f", {after}" if after else ""
    return (f".geoml.{task}({given})", *(f'.geoml.{o}("{task}"{also})' for o in others))
