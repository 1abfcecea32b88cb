"""Models of interpolation in time with one fault each, to see whether the battery finds it."""

import numpy as np

from xgeoml.models.splines import Linear
from xgeoml.spec import AxisSpec, ModelSpec

TIME = AxisSpec("T", "tile", 32, halo=6)
PLANE = (AxisSpec("Y"), AxisSpec("X"))


class Remembers(Linear):
    """Adds what an earlier call was given."""

    seen = 0.0

    def predict(self, stretch, state):
        made = super().predict(stretch, state) + 1e-3 * Remembers.seen
        Remembers.seen = float(np.nanmax(stretch.value))
        return made


class AsksOtherCells(Linear):
    """Pulls every cell to the mean of those that happen to come along."""

    def predict(self, stretch, state):
        made = super().predict(stretch, state)
        return 0.9 * made + 0.1 * np.nanmean(made, axis=(2, 3), keepdims=True)


class Jumps(Linear):
    """Goes up a kelvin as soon as a step is over."""

    def predict(self, stretch, state):
        return super().predict(stretch, state) + 1.0


class NoFrost(Linear):
    """Keeps above freezing, in kelvins."""

    def predict(self, stretch, state):
        return np.maximum(super().predict(stretch, state), 280.0)


class Swings(Linear):
    """Goes far beyond the values on either side."""

    def predict(self, stretch, state):
        bend = (stretch.theta * (1 - stretch.theta))[:, None, None]
        change = stretch.value[:, stretch.before + 1] - stretch.value[:, stretch.before]
        return super().predict(stretch, state) + 50.0 * bend * np.nan_to_num(change)


class GivesUp(Linear):
    """Says nothing of a cell with a gap."""

    def predict(self, stretch, state):
        made = super().predict(stretch, state)
        gone = np.isnan(stretch.value).any(1, keepdims=True)
        return np.where(gone, np.nan, made)


class GivesUpFields(Linear):
    """Says nothing where a whole field is missing."""

    def predict(self, stretch, state):
        made = super().predict(stretch, state)
        gone = np.isnan(stretch.value).all((0, 2, 3))
        return made * np.nan if gone.any() else made


class Random(Linear):
    """Draws noise from no seed."""

    def predict(self, stretch, state):
        made = super().predict(stretch, state)
        return made + 0.01 * np.random.default_rng().standard_normal(made.shape)


class KnowsItsStretch(Linear):
    """Adds something for each step of the stretch that it happens to be in."""

    def predict(self, stretch, state):
        bend = (stretch.theta * (1 - stretch.theta))[:, None, None]
        return super().predict(stretch, state) + 0.1 * bend * stretch.value.shape[1]


class CountsTimes(Linear):
    """Depends on how many times are asked for."""

    def predict(self, stretch, state):
        return super().predict(stretch, state) + 0.01 * len(stretch.wanted)


class Warns(Linear):
    """Divides by the deviation of a cell."""

    def predict(self, stretch, state):
        made = super().predict(stretch, state)
        return (
            made
            / np.nanstd(stretch.value, axis=1, keepdims=True)
            * np.nanstd(stretch.value, axis=1, keepdims=True)
        )


class NeedsThree(Linear):
    """Fails on two steps."""

    def predict(self, stretch, state):
        if stretch.value.shape[1] < 3:
            raise IndexError("list index out of range")
        return super().predict(stretch, state)


class Single(Linear):
    """Computes in float32, a large mean included."""

    def predict(self, stretch, state):
        value = stretch.value.astype(np.float32).astype(np.float64)
        return super().predict(stretch.with_value(value), state).astype(np.float32)


class OnlyStrong(Linear):
    """Takes a wind without its direction."""

    def predict(self, stretch, state):
        bend = (stretch.theta * (1 - stretch.theta))[:, None, None]
        strength = np.sqrt(np.nansum(stretch.value[:, stretch.before] ** 2, 0, keepdims=True))
        more = bend * strength if len(stretch.value) == 2 else 0.0
        return super().predict(stretch, state) + 0.1 * more


class Southward(Linear):
    """Adds something that grows with the row, counted from the south."""

    def predict(self, stretch, state):
        made = super().predict(stretch, state)
        return made + 0.0 * stretch.place.lat


class Learner:
    """Sound, for comparison: a straight line, and the mean cycle of the day between steps."""

    def fit(self, record):
        hour = np.rint(24 * record.clock.day).astype(int)
        known = np.isfinite(record.value)
        cycle = np.zeros((24, len(record.value), *record.value.shape[2:]))
        mean = np.nanmean(record.value.astype(np.float64), axis=1)
        for k in np.unique(hour):
            these = record.value[:, hour == k].astype(np.float64)
            count = known[:, hour == k].sum(1)
            cycle[k] = np.nansum(these, axis=1) / np.maximum(count, 1) - mean
        return {"cycle": self.settled(cycle)}

    def settled(self, cycle):
        return cycle

    def predict(self, stretch, state):
        hours = [
            np.rint(24 * c.day).astype(int) % 24 for c in (stretch.clock, stretch.clock_wanted)
        ]
        given, wanted = (state["cycle"][h].swapaxes(0, 1) for h in hours)
        left = Linear().predict(stretch.with_value(stretch.value - given), {})
        return left + wanted


class Dices(Learner):
    """Learns something else each time."""

    def settled(self, cycle):
        return cycle + 0.01 * np.random.default_rng().standard_normal(cycle.shape)


class Bold(Learner):
    """Learns nothing that is smaller than half a kelvin."""

    def settled(self, cycle):
        return np.where(np.abs(cycle) < 0.5, 0.0, cycle)


def interpolator(factory, **changes):
    """Return the spec of a model of single cells."""
    spec = ModelSpec(
        name="faulty",
        task="interp_time",
        factory=factory,
        backend="numpy",
        axes=(TIME,),
        summary="has a fault",
    )
    return spec.replace(**changes)


def learner(factory, **changes):
    """Return the spec of a model that is fitted to a record."""
    changes = {"axes": (TIME, *PLANE), "license": "MIT", "citation": "nobody", **changes}
    return interpolator(factory, **changes)
