"""Train eq_tf: ``python -m xgeoml.train.recipes.eq_tf --data-path DATA --out RUN``.

It learns from simulated events: sources of pulses; paths that are drawn, real local records, or P,
pP and sP of distant earthquakes; real and drawn noise; paths known with errors. The skill in the
card is that with real records that nothing was learnt from. Interrupted runs go on from their last
checkpoint.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.ndimage import gaussian_filter1d

from xgeoml.registry import get_model
from xgeoml.spec import ModelSpec
from xgeoml.train.job import JOB_FILE
from xgeoml.train.recipes.eq_tf_records import read_others, read_seismograms
from xgeoml.train.recipes.eq_tf_spread import settle_spread
from xgeoml.train.settings import Settings
from xgeoml.train.simulated_waves import (
    Examples,
    Seismogram,
    convolve,
    crust,
    from_real,
    pulses,
)
from xgeoml.train.wave_fitting import fit_waves
from xgeoml.train.wave_module import base_models
from xgeoml.train.wave_skill import wave_skill
from xgeoml.train.waves import Simulator
from xgeoml.weights.card import Card, SkillRow, TrainingData
from xgeoml.weights.files import write_weights

# Signal over noise, and the error of the Green's function over its deviation.
SCORED = ((20.0, 0.0), (5.0, 0.0), (5.0, 0.2))
# Samples of a record and of its source, and how narrow pulses are beside the usual ones on real
# paths, which hold their energy at high frequencies.
_SAMPLES, _LAGS, _EVENTS, _NARROW = 512, 128, 120, 0.4
LIMITS = (
    "Learnt from sources of one to four pulses, most of them over within the first quarter of the "
    "record; a source of another kind is corrected less well than it could be.",
    "The source is taken for positive unless positive=False, which a tenth of what it learnt from "
    "was like.",
    "Real paths are local records of California at 50 Hz and 1-20 Hz; those of distant earthquakes "
    "are simulated, P, pP and sP only.",
    "The spread knows the noise, not an error of the Green's function beyond those learnt from.",
)
SETTINGS: dict[str, Any] = {
    "max_epochs": 90,
    "steps": 200,
    "batch_size": 32,
    "learning_rate": 2e-3,
    "weight_decay": 0.01,
    "warm_up": 200,
    "average": 0.999,
    "validation": 0.0,
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the recipe; see the module's head."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-path", type=Path, required=True, help="folder of the records")
    parser.add_argument("--out", type=Path, required=True, help="folder of what is made")
    parser.add_argument("--version", default="1.0", help="of the weight")
    parser.add_argument("--page", type=Path, help="page of Markdown that gets the card, too")
    parser.add_argument("--before", type=int, help="learn from local traces before this one only")
    parser.add_argument("--options", type=json.loads, default={}, help="of the network")
    parser.add_argument("--settings", type=json.loads, default={}, help="of the training")
    a = parser.parse_args(arguments)
    spec = get_model("eq_tf", "invert_waveform").replace(weights=None, version=a.version)
    spec = spec.replace(options={**spec.options, **a.options})
    seismograms = list(read_seismograms(a.data_path, a.before))
    settings = Settings(**{**SETTINGS, **a.settings})
    training = a.out / "training"
    waves = Simulator(seismograms, base_models(spec))
    going_on = (training / JOB_FILE).exists()
    trained = fit_waves(waves, spec, settings, training, name="simulated events", resume=going_on)
    network = spec.load_factory()(**spec.options)
    network.load_state_dict({k: torch.from_numpy(v) for k, v in trained.state.items()})
    settle_spread(network.eval(), waves)
    card = make_card(spec, skill_rows(network, spec, read_others(a.data_path)))
    path = a.out / f"eq_tf-{a.version}.safetensors"
    write_weights(path, network.state_dict(), spec, card, history=trained.whole_history)
    for page in filter(None, (a.out / "card.md", a.page)):
        page.write_text(card.to_markdown())
    print(card)  # noqa: T201


def skill_rows(
    network: Any, spec: ModelSpec, seismograms: Sequence[Seismogram]
) -> tuple[SkillRow, ...]:
    """Return the errors of a network and of deconvolutions, for drawn and for real paths."""
    rows = []
    for kind, paths in (("drawn paths", ()), ("real paths", seismograms)):
        for ratio, wrong in SCORED:
            examples = scored_events(np.random.default_rng(1), paths, ratio, wrong)
            values, coverage = wave_skill(network, spec, examples, _LAGS)
            told = f"{kind}, signal over noise {ratio:g}"
            told += f", Green's function {wrong:.0%} wrong" if wrong else ""
            rows.append(SkillRow(told, "the source", "1", "NRMSE", values, coverage=coverage))
    return tuple(rows)


def scored_events(
    random: np.random.Generator, seismograms: Sequence[Seismogram], ratio: float, wrong: float
) -> Examples:
    """Return events at one station each; `seismograms` serve as paths, if there are any."""
    made = []
    for i in range(_EVENTS):
        source = pulses(random, _SAMPLES, _LAGS, _NARROW if seismograms else 1.0)
        if seismograms:
            path, noise = from_real(random, [seismograms[i % len(seismograms)]], _SAMPLES)
        else:
            path = crust(random, _SAMPLES)
            noise = gaussian_filter1d(random.standard_normal(_SAMPLES), 1.0)
        target = convolve(path, source)
        record = target + noise * target.std() / noise.std() / ratio
        rough = gaussian_filter1d(random.standard_normal(_SAMPLES), 1.5)
        known = path + wrong * path.std() / rough.std() * rough
        made.append((record[None], known[None], source, target[None], path[None]))
    record, known, source, target, path = map(np.stack, zip(*made, strict=True))
    return Examples(record, known, source, target, path)


def make_card(spec: ModelSpec, rows: tuple[SkillRow, ...]) -> Card:
    """Return the card of the weight."""
    return Card(
        model=spec.key,
        summary=spec.summary,
        data=(
            TrainingData(
                name="local earthquake records of Northern California, as paths and noise",
                period="1986 to 2017",
                extent="50 Hz, 1-20 Hz: traces 120 to 223, and 39 of 13 other records",
                license="open",
                attribution="Northern California Earthquake Data Center, doi:10.7932/NCEDC",
            ),
            TrainingData(
                name="simulated sources, paths and noise",
                period="none",
                extent="as xgeoml.train.simulated_waves draws them",
                license=spec.license,
                attribution="xgeoml",
            ),
        ),
        valid="records of 128 samples or more, of any amplitude and unit, at one station or more",
        skill=rows,
        limits=LIMITS,
        license=spec.license,
        citation=spec.citation or "Vaswani et al. (2017), NeurIPS 30",
        recipe="python -m xgeoml.train.recipes.eq_tf",
        created=datetime.now(UTC).strftime("%Y-%m-%d"),
    )


if __name__ == "__main__":
    main()
