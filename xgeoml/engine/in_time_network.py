"""Networks of interpolation in time: what they are shown, and the way back to the units."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from xgeoml.engine.handle import ModelHandle
from xgeoml.engine.runner import run_network
from xgeoml.models._moments import Layout, moments
from xgeoml.models.in_time import Stretch, estimates_of
from xgeoml.models.series import Floats
from xgeoml.options import Options

# Values of all channels that are made at once: 64 MB in float32.
_ELEMENTS = 2**24
# The four mirror images of a field: whether rows and columns are turned.
_MIRRORS = ((False, False), (False, True), (True, False), (True, True))


def run_in_time(
    stretch: Stretch,
    handle: ModelHandle,
    options: Options,
    known: Mapping[str, Sequence[Floats]] | None = None,
) -> Floats:
    """Return what a network says of the times that are wanted, ``(component, time, y, x)``.

    The components of a vector are one sample each, in one unit. Their result is the mean over the
    mirror images of the field, in which a component across the mirror has the other sign: a
    mirrored field has the mirrored result.

    Parameters
    ----------
    stretch : Stretch
    handle : ModelHandle
    options : Options
    known : mapping, optional
        What models that have no state of their own say of the stretch, by name and version, if it
        was asked before; see `xgeoml.models.in_time.estimates_of`.
    """
    said = dict(known or {})
    for base in handle.bases:
        if base.spec.key not in said:
            said[base.spec.key] = _asked(base, handle, stretch, options, said)
    estimates = [e for name in handle.spec.bases for e in said[_key(name, handle)]]
    layout = Layout(len(estimates))
    each = max(1, _ELEMENTS // (stretch.value[:, 0].size * layout.n_channels))
    made = np.empty((len(stretch.value), len(stretch.wanted), *stretch.value.shape[2:]))
    for start in range(0, len(stretch.wanted), each):
        some = slice(start, start + each)
        part = replace(
            stretch, wanted=stretch.wanted[some], clock_wanted=stretch.clock_wanted.steps(some)
        )
        shown = moments(part, [e[:, some] for e in estimates])
        made[:, some] = shown.read(_outputs(shown.channels, layout, part, handle, options))
    return made


def _asked(
    base: ModelHandle,
    owner: ModelHandle,
    stretch: Stretch,
    options: Options,
    said: Mapping[str, Sequence[Floats]],
) -> Sequence[Floats]:
    """Return what a base model says; its state may lie in the file of the model it is a base of."""
    if base.spec.backend == "torch":
        alone = {b.spec.key for b in base.bases if not hasattr(b.spec.load_factory(), "fit")}
        known = {key: estimate for key, estimate in said.items() if key in alone}
        return [run_in_time(stretch, base, options, known)]
    model, state = owner.with_state(base.spec.name)
    return estimates_of(model, stretch, state)


def _key(name: str, handle: ModelHandle) -> str:
    """Return name and version of a base model that a spec may name without a version."""
    bare = name.partition("@")[0]
    return next(b.spec.key for b in handle.bases if b.spec.name == bare)


def _outputs(
    channels: NDArray[np.float32],
    layout: Layout,
    stretch: Stretch,
    handle: ModelHandle,
    options: Options,
) -> NDArray[np.float32]:
    sizes, around = channels.shape[2:], stretch.place.around

    def call(network: Any, given: Any, _which: slice) -> Any:
        return network(given, around)[:, None]

    if len(stretch.value) == 1:
        return run_network(handle, channels, options, sizes, call)[:, 0]
    half = len(channels) // 2
    total = np.zeros((len(channels), *sizes), np.float32)
    for rows, columns in _MIRRORS:
        turn = (slice(None, None, -1 if rows else 1), slice(None, None, -1 if columns else 1))
        # Eastward, then northward.
        signs = np.repeat(np.array([-1 if columns else 1, -1 if rows else 1], np.float32), half)
        mirrored = channels[(..., *turn)].copy()
        for part in layout.signed:
            mirrored[:, part] *= signs[:, None, None, None]
        output = run_network(handle, mirrored, options, sizes, call)[:, 0] * signs[:, None, None]
        total += output[(..., *turn)]
    total /= len(_MIRRORS)
    return total
