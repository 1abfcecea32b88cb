"""``.geoml.plot``: each method calls the function of `xgeoml.plot` that it is named for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import TYPE_CHECKING, Any, overload

import xarray as xr

from xgeoml import plot
from xgeoml.exceptions import InputError
from xgeoml.plot._choose import GeoData
from xgeoml.plot._figures import Drawn
from xgeoml.plot._places import At
from xgeoml.plot.seismograms import Impulse, Sources

if TYPE_CHECKING:
    from matplotlib.figure import Figure


class PlotMethods:
    """Pictures of an xarray object. Keeps nothing but the object itself."""

    def __init__(self, obj: GeoData) -> None:
        self._obj = obj

    def __repr__(self) -> str:
        """Tell what there is to draw."""
        return "<xgeoml pictures: " + ", ".join(f".{name}()" for name in _FUNCTIONS) + ">"

    def gaps(
        self,
        variable: Hashable | None = None,
        *,
        group: str | None = None,
        dims: Mapping[str, str] | None = None,
        cmap: str | None = None,
        coast: bool = True,
        interactive: bool = False,
    ) -> Drawn:
        return plot.gaps(
            self._obj,
            variable,
            group=group,
            dims=dims,
            cmap=cmap,
            coast=coast,
            interactive=interactive,
        )

    def compare(
        self,
        after: GeoData | None = None,
        variable: Hashable | None = None,
        *,
        before: GeoData | None = None,
        time: Any = None,
        group: str | None = None,
        dims: Mapping[str, str] | None = None,
        cmap: str | None = None,
        coast: bool = True,
        interactive: bool = False,
    ) -> Drawn:
        if (after is None) == (before is None):
            raise InputError(
                "expected one other object: .compare(after), or .compare(before=...) where this "
                "one is the result"
            )
        return plot.compare(
            self._obj if before is None else before,
            self._obj if after is None else after,
            variable,
            time=time,
            group=group,
            dims=dims,
            cmap=cmap,
            coast=coast,
            interactive=interactive,
        )

    def series(
        self,
        variable: Hashable | None = None,
        *,
        at: At = None,
        group: str | None = None,
        dims: Mapping[str, str] | None = None,
        interactive: bool = False,
        **coords: Any,
    ) -> Drawn:
        return plot.series(
            self._obj, variable, at=at, group=group, dims=dims, interactive=interactive, **coords
        )

    def filled_record(
        self,
        variable: Hashable | None = None,
        *,
        group: str | None = None,
        dims: Mapping[str, str] | None = None,
        cmap: str | None = None,
        coast: bool = True,
    ) -> Figure:
        return plot.filled_record(
            self._obj, variable, group=group, dims=dims, cmap=cmap, coast=coast
        )

    def skill(self, evaluation: xr.Dataset | None = None, *, score: str | None = None) -> Figure:
        given = self._obj if evaluation is None else evaluation
        return plot.skill(given, score=score)  # type: ignore[arg-type]  # which it checks

    def spectrum(
        self,
        variable: Hashable | None = None,
        *,
        factor: int | None = None,
        group: str | None = None,
        dims: Mapping[str, str] | None = None,
    ) -> Figure:
        return plot.spectrum(self._obj, variable, factor=factor, group=group, dims=dims)

    def waveforms(
        self,
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
        return plot.waveforms(
            self._obj,
            source,
            greens=greens,
            truth=truth,
            factor=factor,
            impulse=impulse,
            sort=sort,
            variable=variable,
            group=group,
            dims=dims,
        )


class PlotAttribute:
    """``.geoml.plot``: of an object its pictures, of the class the methods, as the reference asks.

    A property would show the reference no methods.
    """

    @overload
    def __get__(self, accessor: None, owner: type) -> type[PlotMethods]: ...
    @overload
    def __get__(self, accessor: object, owner: type) -> PlotMethods: ...
    def __get__(self, accessor: Any, owner: type) -> type[PlotMethods] | PlotMethods:
        """Return the pictures of what an accessor stands on, or the class of them."""
        return PlotMethods if accessor is None else PlotMethods(accessor._obj)


_FUNCTIONS = {
    "gaps": plot.gaps,
    "compare": plot.compare,
    "series": plot.series,
    "filled_record": plot.filled_record,
    "skill": plot.skill,
    "spectrum": plot.spectrum,
    "waveforms": plot.waveforms,
}
for _name, _function in _FUNCTIONS.items():
    getattr(PlotMethods, _name).__doc__ = _function.__doc__
