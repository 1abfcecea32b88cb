"""Whether a model can be used here and now, in words: no file is hashed, nothing is fetched."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from xgeoml.spec import ModelSpec, WeightsRef
from xgeoml.weights.download import is_offline
from xgeoml.weights.store import places

# What some models import when they are made: the package, and the extra that brings it.
EXTRAS = {"ddpm": ("diffusers", "diffusion"), "swin2sr": ("transformers", "swin")}


def availability(spec: ModelSpec) -> str:
    """Return what a model lacks, or that its weights are here.

    Parameters
    ----------
    spec : ModelSpec

    Returns
    -------
    str
        Empty of a model that has no weights and needs no package.

    Examples
    --------
    >>> import xgeoml
    >>> availability(xgeoml.get_model("grace_tf"))
    'weights here'
    """
    package, extra = EXTRAS.get(spec.name, ("", ""))
    if package and find_spec(package) is None:
        return f"needs: pip install 'xgeoml[{extra}]'"
    if spec.weights is None:
        return ""
    if any(_is_there(place.path, spec.weights) for place in places(spec.weights)):
        return "weights here"
    size = "" if spec.weights.size is None else f", {spec.weights.size / 1e6:.1f} MB"
    if is_offline():
        return f"weights not here{size}, and XGEOML_OFFLINE is set"
    if spec.weights.urls or os.environ.get("XGEOML_WEIGHTS_URL"):
        return f"weights will be downloaded{size}"
    return f"weights not here{size}, no mirror of them is known"


def _is_there(path: Path, ref: WeightsRef) -> bool:
    """Whether there is a file of the right size."""
    try:
        size = path.stat().st_size
    except OSError:
        return False
    return ref.size in (None, size)
