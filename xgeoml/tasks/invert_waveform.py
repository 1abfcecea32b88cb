"""Source waveforms from the records of stations."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import xarray as xr

from xgeoml import provenance
from xgeoml.engine.inversion import Amplitudes, Gaps
from xgeoml.exceptions import InputError
from xgeoml.options import get_options
from xgeoml.tasks.best import resolve_best
from xgeoml.tasks.choose import ModelLike, WeightsLike, check_name
from xgeoml.tasks.dispatch import GeoObject, on_object
from xgeoml.tasks.fill_gaps import describe_call, listed
from xgeoml.tasks.filling import told
from xgeoml.tasks.greens import Impulse
from xgeoml.tasks.inverting import (
    GreensLike,
    Length,
    Wish,
    inverted,
    make_ready,
    records_of,
    resolve,
    without_records,
)
from xgeoml.tasks.joined import joined
from xgeoml.tasks.quantities import plain


def invert_waveform(
    obj: GeoObject,
    model: ModelLike = "auto",
    *,
    greens: GreensLike | None = None,
    dim: str | Sequence[str] | None = None,
    positive: bool = True,
    length: Length | None = None,
    amplitudes: Amplitudes = "given",
    impulse: Impulse = "sample",
    resample: bool = False,
    gaps: Gaps = "raise",
    spread: bool = False,
    weights: WeightsLike | None = None,
    variables: str | Sequence[Hashable] | None = None,
    dims: Mapping[str, str] | None = None,
    model_options: Mapping[str, Any] | None = None,
    device: str | None = None,
    batch_size: int | None = None,
    precision: str | None = None,
    progress: bool | None = None,
    seed: int | None = None,
) -> GeoObject:
    """Invert the records of stations for the waveform of their source.

    A record is the source convolved with the Green's function of the path, plus noise. Each record
    is inverted by itself, or with `dim` those of several stations together. Amplitudes do not
    matter: a record twice as large has a source twice as large, whatever the units.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Records with an evenly spaced time axis (dates, lengths of time, numbers, or no coordinate)
        and any other axes. Lazy (dask) in, lazy out.
    model : str, path or ModelSpec
        A name from ``xgeoml.list_models("invert_waveform")``, a model that `xgeoml.fit` returned,
        or its file. ``"auto"``: the network `eq_tf`. ``"best"``: `xgeoml.evaluate` first, with some
        of the stations left out, and the model that explains their records best.
    greens : DataArray or str, optional
        The Green's functions, or the name of a variable that holds them: with the time axis of the
        records, as long or longer, and some of their dims, found by label. The source begins where
        the Green's function does: its times are those of the record, counted from the first of the
        Green's function. Without them, the model must have learnt the paths from pairs
        (``fit(records, "eq_tf", target=sources)``).
    dim : str or sequence of str, optional
        Dims along which the records are of one source, such as ``"station"``: they are inverted
        together, and count by their noise. A station may be missing altogether.
    positive : bool
        Whether the source is nowhere negative.
    length : int, str or timedelta, optional
        Length of the source: samples, or such as ``"30s"``. By default that of the record, or of
        the sources that the model has learnt the paths with. A source that is known to be short is
        found better.
    amplitudes : {"given", "free"}
        With `dim`: `free` finds a factor for each Green's function along with the source, their
        geometric mean being 1 (but for records that are not explained at all), and trusts stations
        by how well their records are explained. For Green's functions of the right shape but
        uncertain size.
    impulse : {"sample", "second"}
        What a Green's function is the response to: a source of 1 in one sample, so that the record
        is the plain sum ``np.convolve(greens, source)``; or one of area 1, so that the source comes
        out per second.
    resample : bool
        Bring Green's functions of another sampling rate to that of the records.
    gaps : {"raise", "window"}
        What becomes of events with missing samples: an error, or only the longest stretch that all
        of its records have is used. Of the source beyond it nothing is known: NaN.
    spread : bool
        Also return how sure the model is, if it can tell.
    weights : str or path, optional
        Other weights than the model's own, as in `xgeoml.fill_gaps`.
    variables : str or sequence of str, optional
        Which variables of a Dataset to invert. By default every floating-point one with a time axis
        and the dims of Green's functions in the Dataset, but for these. Others along the time axis
        are left out, with a warning.
    dims : mapping, optional
        Which dim is the time axis, such as ``{"T": "sample"}``, where it cannot be found out.
    model_options : mapping, optional
        Options of the model itself.
    device, batch_size, precision, progress, seed : optional
        For this call, in place of `xgeoml.set_options`.

    Returns
    -------
    same type as `obj`
        The sources under the names of the records, dims in their order, those of `dim` gone. Beside
        each (coordinates of a DataArray): NAME_moment; NAME_misfit, the root mean square of what it
        leaves of the records over that of the records; with `spread` NAME_spread, one standard
        deviation. With `dim` a Dataset also gets NAME_each_misfit, that of each record, and with
        free amplitudes NAME_factor, which a DataArray without the dim cannot hold.

    Raises
    ------
    InputError, AxisError, TimeAxisError, SpecError
        If records, Green's functions or the model do not fit.
    MissingExtraError
        If units have to be converted, without pint.
    ModelNotFoundError, WeightsError, ExecutionError
        If the model or its weights are not there, or it fails.

    Examples
    --------
    >>> import xgeoml
    >>> ds = xgeoml.datasets.wavefield(stations=4)
    >>> source = ds.record.geoml.invert_waveform("nnls", greens=ds.greens, dim="station")
    >>> source.dims, bool(abs(source.record_moment - 1) < 0.1)
    (('time',), True)
    """
    greens = plain(greens)
    options = get_options(
        device=device, batch_size=batch_size, precision=precision, progress=progress, seed=seed
    )
    usual = {"amplitudes": "given", "impulse": "sample", "gaps": "raise"}
    chosen = {"amplitudes": amplitudes, "impulse": impulse, "gaps": gaps}
    check_name(model, "invert_waveform", obj)
    model, won = resolve_best(
        model,
        weights,
        obj,
        "invert_waveform",
        options,
        apart={"model_options": model_options},
        needs={"spread": spread or None},
        variable=None if variables is None else listed(variables)[0],
        greens=greens,
        dim=dim,
        length=length,
        dims=dims,
        arguments={
            **{k: v for k, v in chosen.items() if v != usual[k]},
            "positive": None if positive else False,
            "resample": resample or None,
        },
    )
    call = describe_call(
        "invert_waveform",
        options,
        model=model,
        greens=_named(greens),
        dim=dim,
        positive=None if positive else False,
        length=length,
        **{k: v for k, v in chosen.items() if v != usual[k]},
        resample=resample or None,
        spread=spread or None,
        weights=weights,
        variables=variables,
        covariates=None,
        dims=dims,
        model_options=model_options,
    )
    wish = Wish(
        model=model,
        weights=weights,
        greens=greens,
        join=joined(dim),
        positive=positive,
        length=length,
        amplitudes=amplitudes,
        impulse=impulse,
        resample=resample,
        gaps=gaps,
        spread=spread,
        dims=dims,
        model_options=model_options,
        options=options,
        call=call + won,
    )
    wanted = None if variables is None else listed(variables)
    return on_object(obj, wanted, partial(_invert_dataset, wish=wish), _without)


def _named(greens: GreensLike | None) -> str | None:
    """Return what a history calls the Green's functions."""
    if greens is None or isinstance(greens, str):
        return greens
    return str(getattr(greens, "name", None) or "DataArray")


def _invert_dataset(
    dataset: xr.Dataset,
    names: list[Hashable] | None,
    above: Sequence[xr.Dataset],
    wish: Wish,
) -> tuple[xr.Dataset, dict[Hashable, list[str]]]:
    """Return the Dataset with sources in place of records."""
    if isinstance(wish.greens, str) and wish.greens not in dataset.data_vars:
        found = next((g[wish.greens] for g in above if wish.greens in g.data_vars), wish.greens)
        wish = replace(wish, greens=found)
    handle = resolve(wish)
    readies = [make_ready(dataset, n, handle, wish) for n in records_of(dataset, names, wish)]
    result = without_records(dataset, readies, wish.greens)
    taken = [n for ready in readies for n in ready.beside if n in result.variables]
    if taken:
        raise InputError(
            f"the data hold {taken}, names that the result has for what it tells of the sources; "
            f"rename them, or drop them: obj = obj.drop_vars({taken})"
        )
    added: dict[Hashable, list[str]] = {}
    for ready in readies:
        made = inverted(ready)
        # Levels of a MultiIndex cannot be assigned once more.
        known = result.coords
        result = result.assign(
            {n: a.drop_vars([c for c in a.coords if c in known]) for n, a in made.items()}
        )
        dims = set(made[ready.name].dims)
        added[ready.name] = [str(n) for n, a in made.items() if dims >= set(a.dims)][1:]
    if wish.options.keep_history:
        used = ", ".join(f"{r.name} by {told(handle)}" for r in readies)
        line = provenance.history_line(f"{wish.call}: {used}")
        result.attrs = provenance.with_history(result.attrs, line)
    return result, added


def _without(dataset: xr.Dataset, dim: str, _before: xr.Dataset, _after: xr.Dataset) -> xr.Dataset:
    """Return a group of a DataTree without the time axis of records of another group."""
    return dataset.drop_dims(dim)
