"""What an evaluation of waveform inversion tries models on: known sources, or records left out."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from scipy.signal import oaconvolve

from xgeoml.exceptions import InputError
from xgeoml.metrics import waveform_skill
from xgeoml.metrics._pairs import Pair
from xgeoml.metrics.agreement import correlated
from xgeoml.model import Model
from xgeoml.spec import ModelSpec
from xgeoml.tasks.choose import ModelLike
from xgeoml.tasks.dispatch import check_named
from xgeoml.tasks.fit import fit
from xgeoml.tasks.greens import aligned, on_labels
from xgeoml.tasks.invert_waveform import invert_waveform
from xgeoml.tasks.samples import sample_dim, samples_of
from xgeoml.tasks.scoring import Outcome, Round
from xgeoml.tasks.trials import Wish
from xgeoml.tasks.units import quotient
from xgeoml.tasks.values import as_floats

# The time axis of a source beside that of records.
_LAG = "xgeoml_lag"
_TOLD = {
    "nrmse": "nrmse",
    "best_correlation": "r",
    "lag": "lag",
    "moment_error": "moment_error",
    "duration_error": "duration_error",
}


def source_rounds(dataset: xr.Dataset, name: Hashable, wish: Wish) -> Iterator[Round]:
    """Yield the repeats of an evaluation against known sources: parts of the events."""
    target = wish.target
    assert target is not None
    record, greens = _arrays(dataset, name, wish)
    said = (wish.dims or {}).get("T")
    own = sample_dim(target, None if said not in target.dims else {"T": str(said)})
    events = [d for d in target.dims if d != own and d in record.dims]
    for dim in events:
        target = on_labels(target, record, str(dim), "target")
    target = as_floats(target).compute()
    many = record.sizes[events[0]] if events else 1
    for part in np.array_split(np.arange(many), min(wish.repeats, many)):
        inside = dict.fromkeys(events[:1], part)
        rest = dict.fromkeys(events[:1], np.setdiff1d(np.arange(many), part))
        truth = target.isel(inside)

        def score(
            model: ModelLike,
            _spec: ModelSpec,
            truth: xr.DataArray = truth,
            inside: dict[Any, Any] = inside,
        ) -> Outcome:
            made = invert_waveform(
                record.isel(inside),
                model,
                greens=_part(greens, inside, record),
                dim=wish.join or None,
                length=wish.length,
                dims=wish.dims,
                **wish.arguments,
                **wish.run,
            )
            found = waveform_skill(truth, made, said)
            scores = {to: float(getattr(found, of)) for of, to in _TOLD.items()}
            scores["misfit"] = _mean(made.coords[f"{name}_misfit"].values)
            return Outcome(scores, {}, found.unit)

        def teach(model: str, settings: Mapping[str, Any], rest: dict[Any, Any] = rest) -> Model:
            if not rest or not len(next(iter(rest.values()))):
                raise InputError(
                    f"fit={model!r}: there is one part of the events, and nothing is left to learn "
                    "from; expected sources of several events, or leave fit= out"
                )
            return fit(
                record.isel(rest),
                model,
                target=target.isel(rest),
                greens=_part(greens, rest, record),
                dim=wish.join or None,
                **wish.fitted({**_of_fit(wish), **settings}),
            )

        yield Round("the known sources", int(truth.size), score, teach)


def record_rounds(dataset: xr.Dataset, name: Hashable, wish: Wish) -> Iterator[Round]:
    """Yield the repeats of an evaluation without known sources: some of the stations left out.

    A model is given the others, and what its source makes of the Green's functions of those left
    out is compared with their records.
    """
    record, greens = _arrays(dataset, name, wish)
    if not wish.join or greens is None:
        raise InputError(
            "an evaluation of waveform inversion needs known sources, target=..., or Green's "
            "functions and several stations of one event, some of which are left out: greens=..., "
            f"dim='station'; found greens={'none' if greens is None else 'given'}, "
            f"dim={wish.join or None}"
        )
    dim = wish.join[0]
    # Of a station that is silent throughout nothing can be explained.
    heard = ((record != 0) & record.notnull()).any([d for d in record.dims if d != dim])
    some = np.flatnonzero(heard.values)
    if len(some) < 2:
        raise InputError(
            f"dim={dim!r}: {len(some)} of {record.sizes[dim]} records hold a signal; expected 2 or "
            "more, to leave some out"
        )
    for part in np.array_split(some, min(max(wish.repeats, 2), len(some))):
        rest = {dim: np.setdiff1d(np.arange(record.sizes[dim]), part)}
        left_out = record.isel({dim: part})

        def score(
            model: ModelLike,
            _spec: ModelSpec,
            part: NDArray[np.int64] = part,
            rest: dict[Any, Any] = rest,
            left_out: xr.DataArray = left_out,
        ) -> Outcome:
            made = invert_waveform(
                record.isel(rest),
                model,
                greens=_part(greens, rest, record),
                dim=wish.join,
                length=wish.length,
                dims=wish.dims,
                **wish.arguments,
                **wish.run,
            )
            paths = _part(greens, {dim: part}, record)
            assert paths is not None
            misfit, r = explained(left_out, paths, made, wish)
            return Outcome({"misfit": misfit, "r": r}, {})

        def teach(model: str, settings: Mapping[str, Any], rest: dict[Any, Any] = rest) -> Model:
            return fit(
                record.isel(rest),
                model,
                greens=_part(greens, rest, record),
                dim=wish.join,
                **wish.fitted({**_of_fit(wish), **settings}),
            )

        yield Round(f"the records of some of the {dim}s", int(left_out.size), score, teach)


def _arrays(
    dataset: xr.Dataset, name: Hashable, wish: Wish
) -> tuple[xr.DataArray, xr.DataArray | None]:
    """Return records and Green's functions, loaded."""
    record = as_floats(dataset[name]).compute()
    time = samples_of(record, wish.dims).dim
    lost = [d for d in wish.join if d not in record.dims or d == time]
    if lost:
        raise InputError(
            f"dim={lost[0]!r}: variable {name!r} has the dims "
            f"{[str(d) for d in record.dims if d != time]} beside its time axis; expected one of "
            "these, along which records have one source"
        )
    greens = wish.greens
    if isinstance(greens, str):
        check_named(dataset, [greens])
        greens = dataset[greens]
    return record, None if greens is None else greens.compute()


def _part(
    greens: xr.DataArray | None, chosen: Mapping[Any, Any], record: xr.DataArray
) -> xr.DataArray | None:
    """Return the Green's functions of some records: by label they are found anyway."""
    if greens is None:
        return None
    bare = {
        d: at
        for d, at in chosen.items()
        if d in greens.dims and not (d in greens.indexes and d in record.indexes)
    }
    return greens.isel(bare)


def _of_fit(wish: Wish) -> dict[str, Any]:
    """Return the arguments of an inversion that `fit` has, too."""
    return {k: v for k, v in wish.arguments.items() if k in ("positive", "amplitudes")}


def explained(
    record: xr.DataArray, greens: xr.DataArray, source: xr.DataArray, wish: Wish
) -> tuple[float, float]:
    """Return misfit and correlation of records with what sources make of Green's functions.

    Each record counts alike, however large it is, and each event however many records it has: the
    misfit is the root mean square over the records of an event, as `invert_waveform` tells it,
    and its mean over events.

    Parameters
    ----------
    record : DataArray
        Those that were left out, (*events, *stations, sample) in any order.
    greens : DataArray
    source : DataArray
        (*events, lag); NaN where nothing is known of it.
    wish : Wish

    Raises
    ------
    InputError
        If the records are zero or missing throughout.
    """
    samples = samples_of(record, wish.dims)
    resample = bool(wish.arguments.get("resample", False))
    impulse = wish.arguments.get("impulse", "sample")
    paths = aligned(greens, record, samples, wish.dims, resample, impulse).array
    factor, _ = quotient(*(str(a.attrs.get("units", "")).strip() or None for a in (record, greens)))
    factor = factor / samples.step if impulse == "second" else factor
    time = samples.dim
    record, paths = (a.drop_vars(list(a.coords)) for a in (record, paths))
    rates = source.drop_vars(list(source.coords)).rename({time: _LAG}) / factor
    made: xr.DataArray = xr.apply_ufunc(
        _convolved,
        paths,
        rates.fillna(0.0),
        input_core_dims=[[time], [_LAG]],
        output_core_dims=[[time]],
    )
    # What comes of a part of the source that is not known is not known either.
    told = rates.notnull().pad({_LAG: (0, max(record.sizes[time] - rates.sizes[_LAG], 0))}, "edge")
    told = told.isel({_LAG: slice(0, record.sizes[time])}).rename({_LAG: time})
    finite = record.copy(data=np.isfinite(record.values))
    right, wrong, known = xr.broadcast(record, made, finite & told)
    if wish.arguments.get("amplitudes") == "free":
        # How large the Green's functions of these stations should be nobody knows.
        product, energy = ((v * wrong).where(known).sum(time) for v in (right, wrong))
        wrong = wrong * (product.clip(min=0.0) / energy.where(energy > 0.0, 1.0))
    size = (right**2).where(known).sum(time)
    misfit = ((right - wrong) ** 2).where(known).sum(time) / size.where(size > 0.0)
    if not bool(misfit.notnull().any()):
        raise InputError("the records left out are zero or missing throughout")
    stations = [d for d in wish.join if d in misfit.dims]
    dims = [d for d in right.dims if d != time]
    traces = (v.transpose(*dims, time).values for v in (right, wrong, known))
    flat = [v.reshape(-1, v.shape[-1]).astype(np.float64) for v in traces]
    each = [correlated(Pair(*trace)) for trace in zip(*flat, strict=True)]
    r = misfit.transpose(*dims).copy(data=np.reshape(each, [misfit.sizes[d] for d in dims]))
    return _mean((misfit.mean(stations) ** 0.5).values), _mean(r.mean(stations).values)


def _mean(values: NDArray[Any]) -> float:
    """Return the mean of what is known; NaN without any."""
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _convolved(greens: NDArray[Any], source: NDArray[Any]) -> NDArray[Any]:
    """Return records, (..., sample), of sources, (..., lag), with dims that broadcast."""
    more = greens.ndim - source.ndim
    greens = greens.reshape((1,) * max(-more, 0) + greens.shape)
    source = source.reshape((1,) * max(more, 0) + source.shape)
    made: NDArray[Any] = oaconvolve(greens, source, axes=-1)
    return made[..., : greens.shape[-1]]
