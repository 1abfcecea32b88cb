"""Pictures of sources inverted from seismograms, and of the records that they make."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Literal, get_args

import xarray as xr

from xgeoml.exceptions import InputError
from xgeoml.plot._choose import GeoData, choose
from xgeoml.plot._figures import picture_class

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Impulse = Literal["sample", "second"]
Sources = xr.DataArray | Mapping[str, xr.DataArray]

# Inches of the panel of a source.
_SOURCE = 2.4


def source_time_function(
    source: Sources,
    truth: Sources | None = None,
    *,
    normalise: bool = False,
    dim: str | None = None,
) -> Figure:
    """Draw the waveform of a source, its 90 % interval, and the true or a published one behind it.

    Parameters
    ----------
    source : DataArray or mapping
        As `invert_waveform` returns it, or several, name -> DataArray. The spread of a source
        called NAME is its coordinate ``NAME_spread``, and drawn as a band; of a Dataset
        ``ds.set_coords("NAME_spread")["NAME"]``.
    truth : DataArray or mapping, optional
        What is known of it. A mapping of one tells what to call it, ``{"published": rate}``. The
        legend tells the correlation with it, where both have samples at the same times; missing
        ones count as zero.
    normalise : bool
        Divide each by its moment, the area below it: for sources in different units.
    dim : str, optional
        The time axis, where it cannot be found out.

    Returns
    -------
    matplotlib.figure.Figure
        Dates are counted from the first one of the first source.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    AxisError, TimeAxisError
        If a time axis is not found or not evenly spaced.
    InputError
        If there is no source, or dims other than the time axis are left.
    """
    picture = picture_class()
    # With scipy: not at the import of the package, which this module is part of.
    from xgeoml.plot import _waves

    made, known = _waves.several(source, "estimate"), _waves.several(truth, "truth")
    figure = picture(figsize=(7, 3.8), layout="constrained")
    _waves.draw_sources(figure.subplots(), made, known, normalise=normalise, dim=dim)
    return figure


def record_section(
    record: xr.DataArray,
    source: Sources | None = None,
    greens: xr.DataArray | None = None,
    *,
    factor: xr.DataArray | None = None,
    impulse: Impulse = "sample",
    sort: str | None = "distance",
    dim: str | None = None,
) -> Figure:
    """Draw the records of stations below each other, with those that a source makes.

    Parameters
    ----------
    record : DataArray
        With a time axis, and maybe one other dim, such as ``station``. Each trace is divided by its
        largest amplitude. Stations of which nothing is known are left out.
    source : DataArray or mapping, optional
        As `invert_waveform` returns it, or several, name -> DataArray; of all stations, or with
        their dim. Convolved with the Green's functions it is drawn over the records, divided by
        what these are divided by, up to where its last samples are missing.
    greens : DataArray, optional
        The Green's functions, as given to `invert_waveform`.
    factor : DataArray, optional
        What they are multiplied by: what ``amplitudes="free"`` has found, the variable
        ``NAME_factor`` of a Dataset.
    impulse : {"sample", "second"}
        What they are responses to, as in `invert_waveform`.
    sort : str or None
        A coordinate of the stations, which is written beside them: that with the least is
        uppermost. Where there is none, or with None, stations keep their order.
    dim : str, optional
        The time axis, where it cannot be found out.

    Returns
    -------
    matplotlib.figure.Figure
        The number at the right of a trace is the misfit, the root mean square of what the source
        leaves of the record over that of the record, as far as both are known.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    AxisError, TimeAxisError
        If a time axis is not found or not evenly spaced, or sampling rates differ.
    InputError
        If Green's functions are lacking, or stations or units do not fit.

    Notes
    -----
    A source begins when its times say so; where its clock cannot be compared with those of records
    and Green's functions, it begins as `invert_waveform` puts it, with the record and the Green's
    function.
    """
    picture = picture_class()
    from xgeoml.plot import _waves

    _check_impulse(impulse)
    section = _waves.Section(
        record,
        _waves.several(source, "synthetic"),
        greens,
        factor=factor,
        impulse=impulse,
        sort=sort,
        dim=dim,
    )
    width = 7.5 + _waves.COLUMN / 72 * len(section.waves)
    figure = picture(figsize=(width, section.inches + 1.2), layout="constrained")
    section.draw(figure.subplots())
    if section.waves:
        figure.legend(loc="outside upper center", frameon=False, fontsize="small", ncols=4)
    return figure


def waveforms(
    obj: GeoData,
    source: Sources | xr.Dataset | None = None,
    *,
    greens: xr.DataArray | str | None = None,
    truth: Sources | None = None,
    factor: xr.DataArray | None = None,
    impulse: Impulse = "sample",
    sort: str | None = "distance",
    variable: Hashable | None = None,
    group: str | None = None,
    dims: Mapping[str, str] | None = None,
) -> Figure:
    """Draw records, the source that was found in them, and what it makes of them.

    Parameters
    ----------
    obj : DataArray, Dataset or DataTree
        Records of stations; or the result of `invert_waveform`, whose source is drawn alone.
    source : DataArray, Dataset or mapping, optional
        What `invert_waveform` made of the records, or several, name -> DataArray. A Dataset also
        tells the spread, the moment, the misfit and the factors of Green's functions.
    greens : DataArray or str, optional
        The Green's functions, or the name of a variable of `obj`; by default one that is called
        ``greens``.
    truth : DataArray or mapping, optional
        What is known of the source, as in `source_time_function`.
    factor, impulse, sort
        As in `record_section`.
    variable : str, optional
        The records in a Dataset; by default the first with a time axis that are no Green's
        functions.
    group : str, optional
        Of a DataTree; by default the first with records.
    dims : mapping, optional
        The time axis, such as ``{"T": "sample"}``, where it cannot be found out.

    Returns
    -------
    matplotlib.figure.Figure
        The source with its 90 % interval above, records and what it makes of them below, as in
        `source_time_function` and `record_section`; records alone without a source.

    Raises
    ------
    MissingExtraError
        Without matplotlib.
    AxisError, TimeAxisError
        If a time axis is not found or not evenly spaced, or sampling rates differ.
    InputError
        If Green's functions are lacking, or stations or units do not fit, or records of several
        events are given.

    Examples
    --------
    >>> import xgeoml
    >>> ds = xgeoml.datasets.wavefield(stations=4)
    >>> made = ds.geoml.invert_waveform("nnls", greens="greens", dim="station", length="6s")
    >>> figure = ds.geoml.plot.waveforms(made)
    >>> len(figure.axes)
    2
    """
    picture = picture_class()
    from xgeoml.plot import _waves

    _check_impulse(impulse)
    name = variable if variable is not None else _record_name(obj, group)
    chosen = choose(obj, name, group, dims, needs=("T",), purpose="a picture of waveforms")
    dim, known = chosen.time, _waves.several(truth, "truth")
    if source is None and _is_source(chosen.dataset, chosen.name):
        figure = picture(figsize=(7, 3.8), layout="constrained")
        made = {"estimate": _with_spread(chosen.dataset, chosen.name)}
        panel = figure.subplots()
        _waves.draw_sources(panel, made, known, normalise=False, dim=dim)
        panel.set_title(_told(chosen.dataset, chosen.name), fontsize="medium")
        return figure
    told = ""
    if isinstance(source, xr.Dataset):
        if chosen.name not in source:
            raise InputError(
                f"source has {list(source.data_vars)}, and no {chosen.name!r} as the records; "
                f"expected the result of invert_waveform, or one variable: source[...]"
            )
        told = _told(source, chosen.name)
        factor = source.get(f"{chosen.name}_factor") if factor is None else factor
        source = {"estimate": _with_spread(source, chosen.name)}
    elif isinstance(source, xr.DataArray):
        told, source = _told(source, str(source.name)), {"estimate": source}
    made = _waves.several(source, "estimate")
    section = _waves.Section(
        chosen.data,
        made,
        greens_of(chosen.dataset, greens),
        factor=factor,
        impulse=impulse,
        sort=sort,
        dim=dim,
    )
    width = 7.5 + _waves.COLUMN / 72 * len(section.waves)
    above = [_SOURCE] if made else []
    figure = picture(figsize=(width, sum(above) + section.inches + 1.2), layout="constrained")
    heights = [*above, section.inches]
    panels = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    if made:
        _waves.draw_sources(panels[0], made, known, normalise=False, dim=dim)
        panels[0].set_title(told, fontsize="medium")
        words = "records (black), and what the source makes of them"
        panels[1].set_title(words, fontsize="small", loc="left")
    section.draw(panels[-1])
    return figure


def _check_impulse(impulse: str) -> None:
    if impulse not in get_args(Impulse):
        raise InputError(f"impulse={impulse!r}: expected 'sample' or 'second'")


def _record_name(obj: GeoData, group: str | None) -> Hashable | None:
    """Return the first variable that may be records or a source, and no Green's functions."""
    if isinstance(obj, xr.DataTree):
        nodes = [node for node in obj.subtree if node.data_vars]
        wanted = None if group is None else f"/{group.strip('/')}"
        fitting = [node for node in nodes if wanted in (None, node.path)]
        if not fitting:
            return None
        obj = fitting[0].to_dataset()
    if not isinstance(obj, xr.Dataset):
        return None
    names = [n for n in obj.data_vars if not _is_greens(obj[n])]
    waves = [n for n in names if _is_source(obj, str(n)) or _is_record(obj[n])]
    # Results before what was passed through; records of stations before a single source.
    found = sorted(waves, key=lambda n: (not _is_source(obj, str(n)), -obj[n].ndim))
    return found[0] if found else None


def _is_record(array: xr.DataArray) -> bool:
    from xgeoml.tasks.samples import sample_dim

    return array.dtype.kind == "f" and sample_dim(array, None) is not None


def _is_greens(array: xr.DataArray) -> bool:
    words = f"{array.name} {array.attrs.get('long_name', '')}".lower()
    return "green" in words


def greens_of(dataset: xr.Dataset, greens: xr.DataArray | str | None) -> xr.DataArray | None:
    """Return the Green's functions that are given or lie beside the records."""
    if isinstance(greens, str):
        if greens not in dataset:
            raise InputError(
                f"greens={greens!r} is not beside the records; found {list(dataset.data_vars)}"
            )
        return dataset[greens]
    if greens is None:
        return next((v for v in dataset.data_vars.values() if _is_greens(v)), None)
    return greens


def _is_source(data: xr.Dataset, name: str) -> bool:
    return f"{name}_misfit" in data and f"{name}_moment" in data


def _with_spread(dataset: xr.Dataset, name: str) -> xr.DataArray:
    """Return a source that has its spread as a coordinate."""
    spread = f"{name}_spread"
    return (dataset.set_coords(spread) if spread in dataset else dataset)[name]


def _told(data: xr.Dataset | xr.DataArray, name: str) -> str:
    """Return moment and misfit of a source in words."""
    there = data.coords if isinstance(data, xr.DataArray) else data.variables
    found = [(word, there.get(f"{name}_{word}")) for word in ("moment", "misfit")]
    return ", ".join(f"{w} {float(v):.3g}" for w, v in found if v is not None and v.ndim == 0)
