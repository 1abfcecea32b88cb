"""The pictures of the start page, drawn from the synthetic records: one for each task.

``python docs/pictures.py FOLDER`` draws them; `conf.py` does so when they are older than the
package.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import matplotlib as mpl
import matplotlib.pyplot as plt
from matplotlib.axes import Axes

import xgeoml

SIZE, DPI = (4.6, 2.5), 170
# Of the theme of the documentation: text, and what is drawn in the background.
INK = {"light": ("#323232", "#b9bec4"), "dark": ("#ced6dd", "#6b7680")}
BLUE, ORANGE = "#2f80c3", "#e07b39"

Draw = Callable[[str], None]


def fill_gaps() -> Draw:
    """Fill a record like that of GRACE; draw a cell of it."""
    record = xgeoml.datasets.grace_like(seed=0)
    full = record.geoml.fill_gaps(spread=True, progress=False)
    here = full.sel(lat=-9.5, lon=-64.5, time=slice("2014-06", "2020-06"))
    water, spread = here.lwe_thickness, here.lwe_thickness_spread
    filled = here.lwe_thickness_fill_flag == 1

    def draw(theme: str) -> None:
        ink, faint = INK[theme]
        _, panel = plt.subplots(figsize=SIZE, layout="constrained")
        panel.plot(water.time, water, color=faint, lw=1)
        at, middle, band = water.time[filled], water[filled], 2 * spread[filled]
        panel.vlines(at, middle - band, middle + band, color=ORANGE, lw=2, alpha=0.45)
        panel.plot(at, middle, ".", color=ORANGE, ms=6, label="filled, ± 2 spreads")
        panel.plot(water.time[~filled], water[~filled], ".", color=ink, ms=5, label="observed")
        panel.set(ylabel="water storage (cm)")
        panel.margins(y=0.22)
        legend(panel, ncols=2)

    return draw


def downscale() -> Draw:
    """Make temperature over mountains coarse and fine again; draw a field of it."""
    ds = xgeoml.datasets.mountain_temperature(seed=0, steps=160)
    coarse = ds.t2m.coarsen(lat=4, lon=4).mean()
    own = coarse[:150].geoml.fit("ridge", target=ds.t2m[:150], progress=False)
    fine = coarse[155:].geoml.downscale(model=own, progress=False)
    maps = {"coarse": coarse[158], "downscaled": fine[3], "truth": ds.t2m[158]}
    low, high = float(ds.t2m[158].min()), float(ds.t2m[158].max())

    def draw(_theme: str) -> None:
        figure, panels = plt.subplots(1, 3, figsize=SIZE, layout="constrained")
        for panel, (name, field) in zip(panels, maps.items(), strict=True):
            mesh = panel.pcolormesh(field, cmap="RdYlBu_r", vmin=low, vmax=high)
            panel.set(xticks=[], yticks=[])
            panel.spines[:].set_visible(False)
            panel.set_title(name, fontsize=10)
        bar = figure.colorbar(mesh, ax=panels, location="bottom", shrink=0.6, aspect=28)
        bar.set_label("temperature (K)")
        bar.outline.set_visible(False)

    return draw


def interp_time() -> Draw:
    """Interpolate a six-hourly record; draw a cell of it."""
    truth = xgeoml.datasets.hourly_temperature(hours=120, nlat=12, nlon=16).t2m
    hourly = truth[::6].geoml.interp_time("1h", progress=False)
    cell, days = {"latitude": 5, "longitude": 9}, slice(36, 97)
    linear = truth[::6].geoml.interp_time("1h", "linear", progress=False)
    shown = {"truth": truth, "temdeep": hourly, "linear": linear}
    lines = {name: field.isel(cell).isel(time=days) for name, field in shown.items()}
    points = truth.isel(cell).isel(time=days)[::6]

    def draw(theme: str) -> None:
        ink, faint = INK[theme]
        _, panel = plt.subplots(figsize=SIZE, layout="constrained")
        panel.plot(lines["truth"].time, lines["truth"], color=faint, lw=5, label="truth")
        panel.plot(lines["linear"].time, lines["linear"], color=BLUE, lw=1.2, label="linear")
        panel.plot(lines["temdeep"].time, lines["temdeep"], color=ORANGE, lw=2, label="temdeep")
        panel.plot(points.time, points, "o", color=ink, ms=4.5, label="6-hourly record")
        panel.set(ylabel="temperature (K)")
        panel.xaxis.set_major_locator(mpl.dates.DayLocator())
        panel.xaxis.set_major_formatter(mpl.dates.DateFormatter("%d %b"))
        panel.margins(y=0.3)
        legend(panel, ncols=2)

    return draw


def invert_waveform() -> Draw:
    """Invert records of an earthquake; draw them and their source."""
    ds = xgeoml.datasets.wavefield(seed=4, stations=6, signal_to_noise=4.0)
    source = ds.record.geoml.invert_waveform(
        greens=ds.greens, dim="station", length=ds.sizes["lag"], spread=True, progress=False
    )
    records = ds.record[:, :700:2] / abs(ds.record).max()
    seconds = (records.time - records.time[0]).values
    lag = ds.lag.values
    band = source.record_spread

    def draw(theme: str) -> None:
        ink, faint = INK[theme]
        _, (left, right) = plt.subplots(1, 2, figsize=SIZE, layout="constrained")
        for i, record in enumerate(records.values):
            left.plot(seconds, record * 0.75 + i, color=ink, lw=0.6)
        left.set(yticks=[], xlabel="time (s)")
        left.set_title("records of six stations", fontsize=10)
        left.spines["left"].set_visible(False)
        right.fill_between(lag, ds.source, color=faint, lw=0, alpha=0.6, label="truth")
        right.fill_between(lag, source - band, source + band, color=ORANGE, alpha=0.35, lw=0)
        right.plot(lag, source, color=ORANGE, lw=2, label="eq_tf")
        right.set(yticks=[], xlabel="time (s)")
        right.set_title("their source", fontsize=10)
        right.spines["left"].set_visible(False)
        legend(right, "upper right")

    return draw


PICTURES: dict[str, Callable[[], Draw]] = {
    "fill_gaps": fill_gaps,
    "downscale": downscale,
    "interp_time": interp_time,
    "invert_waveform": invert_waveform,
}


def legend(panel: Axes, place: str = "upper left", ncols: int = 1) -> None:
    """Explain the lines of a panel."""
    panel.legend(frameon=False, ncols=ncols, fontsize=9, loc=place, borderaxespad=0.1)


@contextmanager
def themed(theme: str) -> Iterator[None]:
    """Draw on no background, in the colours of a theme."""
    ink, _ = INK[theme]
    sides = {f"axes.spines.{side}": False for side in ("top", "right")}
    inked = dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), ink
    )
    clear = {"figure.facecolor": "none", "axes.facecolor": "none", "savefig.facecolor": "none"}
    with mpl.rc_context({**sides, **inked, **clear, "font.size": 9}):
        yield


def draw_all(folder: Path) -> None:
    """Write ``NAME-light.png`` and ``NAME-dark.png`` of each task."""
    folder.mkdir(parents=True, exist_ok=True)
    with mpl.rc_context({"backend": "agg"}):
        for name, make in PICTURES.items():
            draw = make()
            for theme in INK:
                with themed(theme):
                    draw(theme)
                    plt.gcf().savefig(folder / f"{name}-{theme}.png", dpi=DPI)
                    plt.close()


def draw_if_older(folder: Path, package: Path) -> None:
    """Draw the pictures unless they are newer than this script and all of the package."""
    wanted = [folder / f"{name}-{theme}.png" for name in PICTURES for theme in INK]
    sources = [Path(__file__), *package.rglob("*.py")]
    newest = max(source.stat().st_mtime for source in sources)
    if not all(path.exists() and path.stat().st_mtime > newest for path in wanted):
        draw_all(folder)


if __name__ == "__main__":
    draw_all(Path(sys.argv[1]))
