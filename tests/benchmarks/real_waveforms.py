"""Waveform inversion: four real earthquakes, the published job, and time a trace.

    python tests/benchmarks/real_waveforms.py events [--models eq_tf nnls ...] [--picture FILE]
    python tests/benchmarks/real_waveforms.py learn [--epochs 10] [--start FILE]
    python tests/benchmarks/real_waveforms.py pairs [--epochs 400] [--start eq_tf]
    python tests/benchmarks/real_waveforms.py speed

`events`: moment rates from P waves at 30-95 degrees, all stations of an event together, amplitudes
free, beside the published ones: correlation at the best lag, duration between 5 and 95 % of the
moment. `learn`: the same for eq_tf trained on the other events. `pairs`: records and sources of one
site, the last fifth of the events held out. Records are read as in teleseismic_events.py.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import torch
import xarray as xr
from teleseismic_events import Event, compare, data_folder, events

import xgeoml

MODELS = ("eq_tf", "nnls", "landweber", "iterative", "wiener", "water_level")
# Of what is learnt from the other events: seconds, the step to which all are brought, draws of
# stations of each event, and stations of a draw.
STEP, DRAWS, STATIONS = 0.2, 60, 12


def invert(event: Event, model: object, length: float | None = None) -> xr.DataArray:
    """Return the moment rate that all stations of an event tell."""
    return event.record.geoml.invert_waveform(
        model,
        greens=event.greens,
        dim="station",
        amplitudes="free",
        gaps="window",
        length=None if length is None else f"{length}s",
        progress=False,
    )


def show(name: str, found: dict[str, xr.DataArray], all_events: list[Event]) -> None:
    """Print a row of the table."""
    scores = [compare(found[e.name].fillna(0.0), e.moment_rate) for e in all_events]
    cells = [f"{s.correlation:.3f} {s.duration:5.1f} s" for s in scores]
    mean = np.mean([s.correlation for s in scores])
    off = np.mean([abs(s.duration / s.published_duration - 1) for s in scores])
    print(f"{name:24}{''.join(f'{c:>18}' for c in cells)}{mean:9.3f}{off:12.0%}", flush=True)


def head(all_events: list[Event]) -> None:
    print(f"{'':24}{''.join(f'{e.name:>18}' for e in all_events)}{'mean':>9}{'duration off':>12}")
    published = [compare(e.moment_rate, e.moment_rate).duration for e in all_events]
    print(f"{'published':24}{''.join(f'{d:16.1f} s' for d in published)}")


def of_events(models: list[str], length: float | None, picture: str | None) -> None:
    all_events = list(events(data_folder()))
    head(all_events)
    made = {}
    for model in models:
        made[model] = {e.name: invert(e, model, length) for e in all_events}
        show(model, made[model], all_events)
    if picture:
        draw(made, all_events, picture)


def draw(made: dict[str, dict[str, xr.DataArray]], all_events: list[Event], picture: str) -> None:
    """Draw moment rates beside the published ones, each of unit moment, at the best lag."""
    import matplotlib.pyplot as plt

    fig, axes = plt.subplots(2, 2, figsize=(10, 6), layout="constrained")
    for ax, event in zip(axes.flat, all_events, strict=True):
        rate = event.moment_rate
        at = rate[rate.dims[0]].values
        ax.fill_between(at, rate / np.trapezoid(rate, at), color="0.85", label="published")
        for model, found in made.items():
            source = found[event.name].fillna(0.0)
            score = compare(source, rate)
            seconds = source["time"].values
            area = np.trapezoid(source, seconds)
            label = f"{model}, correlation {score.correlation:.2f}"
            ax.plot(seconds + score.lag, source / area, lw=1.4, label=label)
        ax.set(
            title=event.name, xlabel="time (s)", ylabel="moment rate / moment (1/s)",
            xlim=(-5, 1.6 * at[rate.values > 0.01 * rate.values.max()][-1]), ylim=(0, None),
        )  # fmt: skip
        ax.legend(frameon=False, fontsize=8)
    fig.savefig(picture, dpi=120)


def on_step(event: Event, samples: int) -> tuple[xr.DataArray, xr.DataArray, np.ndarray]:
    """Return record, Green's functions and source of an event, at the common step."""
    own = float(event.record["time"][1] - event.record["time"][0])
    every = round(STEP / own)
    # What the record cannot hold at the new step is taken out before.
    smooth = np.hanning(2 * every + 1)[1:-1] / np.hanning(2 * every + 1).sum()

    def coarse(array: xr.DataArray) -> xr.DataArray:
        if every == 1:
            return array.isel(time=slice(samples))
        made = xr.apply_ufunc(
            lambda a: np.apply_along_axis(np.convolve, -1, a, smooth, "same"), array
        )
        return made.isel(time=slice(0, samples * every, every))

    whole = event.record.isel(time=slice(samples * every)).notnull().all("time").values
    record, greens = (coarse(a).isel(station=whole) for a in (event.record, event.greens))
    at = event.moment_rate[event.moment_rate.dims[0]].values
    source = np.interp(STEP * np.arange(samples), at, event.moment_rate.values, right=0.0)
    return record, greens, source / source.sum()


def learn(epochs: int, start: str) -> None:
    """Train on two other events, keep the epoch that is best for the third, and test on the last.

    Each of the three is once the judge; the moment rate is the mean of the three that come out.
    """
    all_events = list(events(data_folder()))
    samples = min(e.record.sizes["time"] for e in all_events if "illapel" not in e.name) // 2
    drawn = {e.name: draws(e, samples) for e in all_events}
    head(all_events)
    found = {}
    for left_out in all_events:
        others = [e.name for e in all_events if e.name != left_out.name]
        made = []
        for judge in others:
            two = [drawn[name] for name in others if name != judge]
            # `fit` sets the last ones aside.
            d, g, target = (
                xr.concat([*(one[k] for one in two), drawn[judge][k]], "event") for k in range(3)
            )
            own = d.geoml.fit(
                "eq_tf", target=target, greens=g, dim="station", amplitudes="free", start=start,
                max_epochs=epochs, validation=1 / 3, progress=False,
            )  # fmt: skip
            source = invert(left_out, own).fillna(0.0)
            made.append(source / source.sum())
        found[left_out.name] = sum(made)
    show("eq_tf, other events", found, all_events)


def draws(event: Event, samples: int) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Return records, Green's functions and sources of an event at some of its stations each."""
    random = np.random.default_rng(0)
    record, greens, source = on_step(event, samples)
    several = [random.permutation(record.sizes["station"])[:STATIONS] for _ in range(DRAWS)]
    parts = [
        [a.isel(station=np.resize(some, STATIONS)).values for some in several]
        for a in (record, greens)
    ]
    at = {"time": STEP * np.arange(samples)}
    d, g = (xr.DataArray(np.stack(a), at, ("event", "station", "time")) for a in parts)
    # In units in which the records are about what the source makes of the Green's functions.
    d = d * float(np.abs(np.convolve(g[0, 0], source)).max() / np.abs(d[0, 0]).max())
    target = xr.DataArray(np.tile(source, (DRAWS, 1)), at, ("event", "time"))
    return d, g, target


def pairs(epochs: int, start: str | None, seed: int) -> None:
    """Train on the first 80 events of a site, test on the last 20."""
    ds = xgeoml.datasets.station_pairs(seed)
    learnt, held = ds.isel(event=slice(80)), ds.isel(event=slice(80, None))
    began = time.monotonic()
    own = learnt.record.geoml.fit(
        "eq_tf", target=learnt.source, dim="station", max_epochs=epochs, start=start,
        progress=False,
    )  # fmt: skip
    print(f"{epochs} epochs in {time.monotonic() - began:.0f} s")
    lags = held.sizes["lag"]
    for name, model, greens in (
        ("eq_tf, fitted", own, None),
        *((f"{m}, true mean paths", m, held.greens) for m in MODELS),
    ):
        made = held.record.geoml.invert_waveform(
            model, greens=greens, dim="station", length=lags, progress=False
        ).values
        truth = held.source.values
        error = np.sqrt(((made - truth) ** 2).sum(-1) / (truth**2).sum(-1)).mean()
        alike = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(made, truth, strict=True)])
        print(f"{name:32} NRMSE {error:.4f}  correlation {alike:.4f}", flush=True)


def speed(traces: int, repeats: int) -> None:
    """Print milliseconds a trace, and the network's time over that of a bare loop."""
    ds = xgeoml.datasets.station_pairs(0, events=traces, stations=1, samples=512)
    record = ds.record.isel(station=0)
    greens = ds.greens.isel(station=0)

    def timed(call) -> float:
        call()
        times = []
        for _ in range(repeats):
            began = time.perf_counter()
            call()
            times.append(time.perf_counter() - began)
        return 1e3 * float(np.median(times)) / traces

    for model in MODELS:
        ms = timed(lambda m=model: record.geoml.invert_waveform(m, greens=greens, progress=False))
        print(f"{model:12} {ms:.2f} ms a trace, {torch.get_num_threads()} threads", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "what", nargs="?", default="speed", choices=("events", "learn", "pairs", "speed")
    )
    parser.add_argument("--models", nargs="+", default=list(MODELS))
    parser.add_argument("--length", type=float, help="longest source, in s")
    parser.add_argument("--picture")
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--start")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    warnings.filterwarnings("ignore", message="training did not lower")
    if a.what == "events":
        of_events(a.models, a.length, a.picture)
    elif a.what == "learn":
        learn(a.epochs or 10, a.start or "eq_tf")
    elif a.what == "pairs":
        pairs(a.epochs or 400, a.start, a.seed)
    else:
        speed(120, 7)


if __name__ == "__main__":
    main()
