"""How good a network of waveform inversion is, beside the deconvolutions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from xgeoml.registry import get_model
from xgeoml.spec import ModelSpec
from xgeoml.train.simulated_waves import Examples
from xgeoml.train.wave_module import base_models
from xgeoml.train.waves import prepared

BESIDE = ("water_level", "wiener", "iterative", "landweber", "nnls")
# Half the width of the interval that holds 90 % of a normal distribution, in deviations.
_HALF_90 = 1.6449
# Events in a pass.
_PASS = 32


def wave_skill(
    network: Any, spec: ModelSpec, examples: Examples, lags: int | None = None
) -> tuple[dict[str, float], float | None]:
    """Return the errors of a network and of deconvolutions, and what its interval holds.

    Parameters
    ----------
    network : Module
    spec : ModelSpec
    examples : Examples
    lags : int, optional
        Of the source, those that are scored: the first.

    Returns
    -------
    dict
        Mean over events of the root mean square error over the root mean square of the truth.
    float or None
        Share of the truth within the network's 90 % interval; None without a spread.
    """
    names = [n for n in BESIDE if n != spec.name]
    specs = [get_model(n, "invert_waveform") for n in names]
    said = prepared(examples, [m.load_factory()(**m.options) for m in specs])["estimates"]
    arrays = prepared(examples, base_models(spec))
    made = _run(network, [arrays[k] for k in ("record", "greens", "estimates", "about")])
    truth, made, said = arrays["source"][:, :lags], made[:, :, :lags], said[:, :, :lags]
    values = {spec.name: _error(made[:, 0], truth)}
    values |= {n: _error(said[:, i], truth) for i, n in enumerate(names)}
    if not spec.gives_spread:
        return values, None
    inside = np.abs(made[:, 0] - truth) < _HALF_90 * np.exp(made[:, 1])
    return values, float(inside.mean())


def _run(network: Any, arrays: Sequence[NDArray[np.float32]]) -> NDArray[np.float32]:
    device = next(p.device for p in network.parameters())
    network.eval()
    with torch.inference_mode():
        parts = [
            network(*(torch.from_numpy(a[i : i + _PASS]).to(device) for a in arrays)).cpu()
            for i in range(0, len(arrays[0]), _PASS)
        ]
    made: NDArray[np.float32] = torch.cat(parts).numpy()
    return made


def _error(made: NDArray[np.floating], truth: NDArray[np.floating]) -> float:
    size = np.maximum((truth**2).sum(-1), 1e-30)
    return float(np.sqrt(((made - truth) ** 2).sum(-1) / size).mean())
