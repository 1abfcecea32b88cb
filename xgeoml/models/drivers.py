"""The response of a series to drivers: how rain and heat of the past months fill and empty a store.

Each driver (any number, any units: a precipitation, a temperature) is freed of its seasonal cycle
and passed through linear reservoirs of several residence times; the series is regressed on them
beside its own trend and cycles. The field shares two things. The leading patterns in space of each
reservoir stand beside the local one, because a store is fed from beyond its own cell and a local
driver is noisy. And the variance of the coefficients of each reservoir is learnt over the whole
field by empirical Bayes (MacKay 1992, Neural Computation 4, 415-447), so that drivers that say
nothing cost nothing. All this is done twice and averaged: with the anomalies as they are, and with
extreme ones damped, because soil that is full takes no more rain. Neither is better everywhere.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from xgeoml.models._cycles import Terms, terms
from xgeoml.models._robust import huber, learnable, robust_scale, standardise
from xgeoml.models.series import Bools, Floats, Series, State

# Residence times of the reservoirs: so many, from one step to this many years, in equal ratios.
_RESERVOIRS, _LONGEST = 6, 5.0
_PATTERNS = {"": 6, "_damped": 3}
# Harmonics of the year: a wet season sets in more abruptly than two can tell, where there is one,
# so that the variance of the last is learnt.
_HARMONICS = 3
# The field is summed up by at most so many of its series.
_SAMPLE = 120
_LEARNING_ROUNDS = 12
# Prior variances in units of the series' own: of cycles and trend, of a driver before learning.
_CYCLE_VARIANCE, _DRIVER_VARIANCE = 0.1, 0.01
# A coefficient of less is none.
_LEAST_VARIANCE = 2e-4
# Noise variance and memory from step to step that a regression starts from.
_NOISE, _MEMORY = 0.3, 0.5
_LEAST_NOISE, _MOST_MEMORY = 1e-6, 0.95
# Numbers in a block of regressors: of the size of a processor's cache.
_BLOCK = 500_000


class _Prior(NamedTuple):
    local: NDArray[np.int64]  # (local,), the columns of `reservoirs` that are used
    patterns: Floats  # (time, columns)
    variance: Floats  # (terms + local + columns,)
    noise: float
    memory: float  # correlation over one median step of what is left


def summarise_drivers(sample: Series) -> State:
    """Return what the whole field knows of its response to the drivers.

    Parameters
    ----------
    sample : Series
        All series of the field, or an evenly drawn sample of them.

    Returns
    -------
    dict
        `driver_local`, the columns of `reservoirs` that matter; `driver_patterns` (time, columns),
        leading patterns of those that matter; `driver_variance`, prior variance of the coefficients
        of trend, cycles and these; `driver_noise` () and `driver_memory` () of what is
        left, in units of the series' variance; the same with `_damped` at the end of the name for
        damped anomalies. Empty where there are no drivers.
    """
    return sample.once("drivers", lambda: _summarise(sample)) if len(sample.covariates) else {}


def _summarise(sample: Series) -> State:
    every = learnable(sample)
    rows = np.flatnonzero(every.sum(axis=1) > 2)
    if not len(rows) or len(sample.years) < 3:
        return {}
    rows = rows[np.linspace(0, len(rows) - 1, min(_SAMPLE, len(rows))).astype(int)]
    usable = every[rows]
    scaled = standardise(sample.values[rows], usable)[0]
    part = Series(
        scaled, sample.years, sample.trusted, sample.covariates[:, rows], sample.area[rows]
    )
    return _member_state(part, usable, "") | _member_state(part, usable, "_damped")


def _member_state(part: Series, usable: Bools, member: str) -> State:
    """Return what standardised series know of one member, its name at the end of each key."""
    scaled = part.values
    local = reservoirs(part.covariates, part.years, damped=member == "_damped")
    patterns, owner = _patterns(local, part.area, _PATTERNS[member])
    basis = terms(part.years, _HARMONICS)
    fixed, count = basis.matrix.shape[1], local.shape[2]
    group = np.concatenate([np.full(fixed, -1), np.arange(count), count + owner])
    group[:fixed][basis.cycles == _HARMONICS] = group.max() + 1
    every_one = np.arange(count)
    prior = _Prior(every_one, patterns, _first_variance(basis, len(group)), _NOISE, _MEMORY)
    # Memory from the residuals of a first fit, variances with that memory.
    columns = _columns(basis, local, patterns)
    weight = _first_weight(scaled, usable)
    for _ in range(2):
        prior, coefficients = _learn(columns, scaled, usable, weight, part.years, group, prior)
        residual = scaled - np.einsum("stp,sp->st", columns, coefficients)
        weight = _weight(residual, usable)
        prior = prior._replace(memory=_memory(residual * np.sqrt(weight), usable, part.years))
    used = prior.variance > _LEAST_VARIANCE
    used[:fixed] = True
    return {
        f"driver_local{member}": np.flatnonzero(used[fixed : fixed + count]),
        f"driver_patterns{member}": prior.patterns[:, used[fixed + count :]],
        f"driver_variance{member}": prior.variance[used],
        f"driver_noise{member}": np.array(prior.noise),
        f"driver_memory{member}": np.array(prior.memory),
    }


def regress(
    scaled: Floats, usable: Bools, series: Series, trend: Floats | None, state: State | None
) -> tuple[Floats, Floats]:
    """Return trend, cycles and response to the drivers of standardised series.

    Parameters
    ----------
    scaled : ndarray, (series, time)
        Standardised values, 0 where not usable.
    usable : ndarray of bool, (series, time)
    series : Series
        For its steps and its drivers.
    trend : ndarray, (series, time), optional
        The trend regressor that the result is made with, instead of the one that it is fitted with.
    state : dict, optional
        What `summarise_drivers` returned.

    Returns
    -------
    mean, error_variance : ndarray, (series, time)
        The response and its error variance: that of the coefficients, and that of the choice
        between anomalies as they are and damped ones.
    """
    if not len(series.years):
        return scaled, np.zeros_like(scaled)
    one, one_variance = _member(scaled, usable, series, trend, state, "")
    two, two_variance = _member(scaled, usable, series, trend, state, "_damped")
    return 0.5 * (one + two), 0.5 * (one_variance + two_variance) + 0.25 * (one - two) ** 2


def _member(
    scaled: Floats,
    usable: Bools,
    series: Series,
    trend: Floats | None,
    state: State | None,
    member: str,
) -> tuple[Floats, Floats]:
    """Return what `regress` does, of one member."""
    basis = terms(series.years, _HARMONICS)
    prior = _prior(basis, series, state, member)
    steps, width = len(series.years), len(prior.variance)
    height = max(1, _BLOCK // max(1, steps * width))
    mean, error_variance = np.zeros_like(scaled), np.zeros_like(scaled)
    for start in range(0, len(scaled), height):
        part = slice(start, start + height)
        local = reservoirs(series.covariates[:, part], series.years, damped=member == "_damped")
        columns = _columns(basis, local[:, :, prior.local], prior.patterns)
        values, known = scaled[part], usable[part]
        weight = _first_weight(values, known)
        noise = np.full(len(values), prior.noise)
        coefficients = np.zeros((len(values), width))
        inverse = np.zeros((len(values), width, width))
        for _ in range(2):
            normal, right = _equations(columns, values, known, weight, series.years, prior.memory)
            coefficients, inverse = _solve(normal, right, noise, prior.variance)
            residual = values - np.einsum("stp,sp->st", columns, coefficients)
            noise = _residual_noise(residual, known, weight, inverse, normal, noise)
            weight = _weight(residual, known)
        mean[part] = np.einsum("stp,sp->st", columns, coefficients)
        error_variance[part] = np.einsum("stp,stp->st", columns @ inverse, columns)
        if trend is not None:
            mean[part] += (trend[part] - basis.matrix[:, 1]) * coefficients[:, 1:2]
    return mean, error_variance


def reservoirs(covariates: Floats, years: Floats, damped: bool = False) -> Floats:
    """Return what each driver leaves in stores of several residence times.

    Parameters
    ----------
    covariates : ndarray, (covariate, series, time)
        NaN counts as the season's usual value.
    years : ndarray, (time,)
    damped : bool
        Whether anomalies count less and less beyond their standard deviation.

    Returns
    -------
    ndarray, (series, time, column)
        Anomalies from the seasonal cycle: of the step, of the step before, and of each store, for
        one driver after the other; each of variance 1, or 0 where a driver is constant or absent.
    """
    drivers, rows, steps = covariates.shape
    apart = np.diff(years, prepend=years[:1]) if steps else np.zeros(0)
    step = float(np.median(apart[1:])) if steps > 1 else 1.0
    span = float(years[-1] - years[0]) if steps > 1 else 1.0
    longest = max(min(_LONGEST, span / 4.0) / step, 2.0)
    times = np.geomspace(1.0, longest, _RESERVOIRS)
    anomaly = _anomaly(covariates, years)
    if damped:
        anomaly = np.arcsinh(anomaly)
    result = np.zeros((rows, steps, drivers, _RESERVOIRS + 2))
    result[..., 0] = anomaly.transpose(1, 2, 0)
    result[:, 1:, :, 1] = result[:, :-1, :, 0]
    keep = np.exp(-np.maximum(apart, 0.0)[:, None] / step / times)
    store = np.zeros((rows, drivers, _RESERVOIRS))
    for t in range(steps):
        store = keep[t] * store + (1.0 - keep[t]) * result[:, t, :, :1] if t else store
        result[:, t, :, 2:] = store
    columns: Floats = result.reshape(rows, steps, drivers * (_RESERVOIRS + 2))
    size = np.sqrt((columns**2).sum(axis=1, keepdims=True) / max(steps, 1))
    np.divide(columns, size, out=columns, where=size > 0.0)
    return columns


def _anomaly(covariates: Floats, years: Floats) -> Floats:
    """Return each driver less its mean and cycles, of variance 1, 0 where it is missing."""
    basis = terms(years, _HARMONICS)
    season = basis.matrix[:, [i for i in range(basis.matrix.shape[1]) if i != 1]]
    known = np.isfinite(covariates)
    count = np.maximum(known.sum(axis=-1, keepdims=True), 1)
    value = np.where(known, covariates, 0.0)
    centre = value.sum(axis=-1, keepdims=True) / count
    value = np.where(known, value - centre, 0.0)
    # The last digits of a constant are no signal.
    size = np.sqrt((value**2).sum(axis=-1, keepdims=True) / count)
    real = size > 1e-9 * np.abs(centre)
    value = np.divide(value, size, out=np.zeros_like(value), where=real & (size > 0.0))
    p = season.shape[1]
    products = (season[:, :, None] * season[:, None, :]).reshape(len(season), p * p)
    normal = np.einsum("cst,tq->csq", known.astype(np.float64), products)
    normal = normal.reshape(*known.shape[:2], p, p) + 1e-3 * np.eye(p)
    right = np.einsum("cst,tp->csp", value, season)
    cycle = np.einsum("tp,csp->cst", season, np.linalg.solve(normal, right[..., None])[..., 0])
    return np.where(known, value - cycle, 0.0)


def _patterns(local: Floats, area: Floats, most: int) -> tuple[Floats, np.ndarray]:
    """Return the `most` leading patterns of each column over the series, and whose each is."""
    rows, steps, count = local.shape
    k = min(most, rows - 1)
    patterns = np.zeros((steps, count * k))
    root = np.sqrt(area / area.sum())[:, None]
    for column in range(count if k else 0):
        field = local[:, :, column] * root
        total = float((field**2).sum())
        if total > 0.0:
            # The smaller Gram matrix; a pattern's size is the share of the variance it carries.
            vector = np.linalg.eigh(field @ field.T).eigenvectors
            lead = vector[:, : -k - 1 : -1].T @ field
            patterns[:, column * k : (column + 1) * k] = lead.T * np.sqrt(steps / total)
    return patterns, np.repeat(np.arange(count), k)


def _columns(basis: Terms, local: Floats, patterns: Floats) -> Floats:
    """Return all regressors of each series, (series, time, columns)."""
    rows = len(local)
    shared = [np.broadcast_to(m, (rows, *m.shape)) for m in (basis.matrix, patterns)]
    return np.concatenate([shared[0], local, shared[1]], axis=2)


def _first_variance(basis: Terms, width: int) -> Floats:
    variance = np.full(width, _DRIVER_VARIANCE)
    variance[: basis.matrix.shape[1]] = _CYCLE_VARIANCE
    # The constant is hardly held: the values are already centred.
    variance[0] = 1e3 * _CYCLE_VARIANCE
    return variance


def _prior(basis: Terms, series: Series, state: State | None, member: str) -> _Prior:
    if state and "driver_patterns" in state:
        return _Prior(
            np.asarray(state[f"driver_local{member}"], dtype=np.int64),
            np.asarray(state[f"driver_patterns{member}"], dtype=np.float64),
            np.asarray(state[f"driver_variance{member}"], dtype=np.float64),
            float(state[f"driver_noise{member}"]),
            float(state[f"driver_memory{member}"]),
        )
    local = np.arange(len(series.covariates) * (_RESERVOIRS + 2))
    none = np.zeros((len(series.years), 0))
    variance = _first_variance(basis, basis.matrix.shape[1] + len(local))
    return _Prior(local, none, variance, _NOISE, _MEMORY)


def _first_weight(scaled: Floats, usable: Bools) -> Floats:
    """Before the first residuals, three deviations of the values themselves keep bursts out."""
    return usable * huber(scaled, np.full((len(scaled), 1), 3.0))


def _weight(residual: Floats, usable: Bools) -> Floats:
    scale = robust_scale(np.where(usable, residual, 0.0), usable)[:, None]
    return usable * huber(residual, np.maximum(scale, np.sqrt(_LEAST_NOISE)))


def _equations(
    columns: Floats, scaled: Floats, usable: Bools, weight: Floats, years: Floats, memory: float
) -> tuple[Floats, Floats]:
    """Return the normal equations after the errors' memory is taken out of each usable value.

    Each usable value has the part that the usable value before it foretells taken away; a value of
    weight w has the variance of 1 / w^2 usual ones.
    """
    steps = scaled.shape[1]
    before = np.maximum.accumulate(np.where(usable, np.arange(steps), -1), axis=1)
    before = np.concatenate([np.full((len(scaled), 1), -1), before[:, :-1]], axis=1)
    first, before = before < 0, np.maximum(before, 0)
    step = float(np.median(np.diff(years))) if steps > 1 else 1.0
    carry = np.where(first, 0.0, memory ** ((years - years[before]) / step))
    excess = np.where(usable, 1.0 / np.maximum(weight, 1e-6) ** 2 - 1.0, 0.0)
    variance = 1.0 - carry**2 + excess
    variance += carry**2 * np.take_along_axis(excess, before, axis=1)
    size = np.where(usable, 1.0 / np.sqrt(variance), 0.0)
    value = (scaled - carry * np.take_along_axis(scaled, before, axis=1)) * size
    row = np.arange(len(scaled))[:, None]
    regressor = columns[row, before]
    regressor *= -carry[:, :, None]
    regressor += columns
    regressor *= size[:, :, None]
    # One product a series: its bits do not depend on its neighbours.
    transposed = regressor.transpose(0, 2, 1)
    return transposed @ regressor, (transposed @ value[:, :, None])[..., 0]


def _solve(normal: Floats, right: Floats, noise: Floats, variance: Floats) -> tuple[Floats, Floats]:
    """Return posterior mean and noise-free covariance of the coefficients of each series.

    The system is scaled by the prior deviations, for the sake of those that are nearly 0.
    """
    root = np.sqrt(variance)
    system = normal * (root[:, None] * root) / noise[:, None, None]
    inverse = _inverse(system + np.eye(len(root))) * (root[:, None] * root)
    return np.einsum("spq,sq->sp", inverse, right) / noise[:, None], inverse


def _inverse(matrices: Floats) -> Floats:
    """Return the inverses of positive definite matrices, in half the time of `numpy.linalg.inv`."""
    # Here: `import xgeoml` comes by this file and shall not wait for scipy.
    from scipy.linalg.lapack import dpotrf, dpotri

    lower = np.empty_like(matrices)
    for i, matrix in enumerate(matrices):
        factor, _ = dpotrf(matrix, lower=True)
        lower[i], _ = dpotri(factor, lower=True)
    made: Floats = lower + np.tril(lower, -1).transpose(0, 2, 1)
    return made


def _residual_noise(
    residual: Floats, usable: Bools, weight: Floats, inverse: Floats, normal: Floats, noise: Floats
) -> Floats:
    """Return the noise variance of each series, (series,), corrected for what the fit has taken."""
    count = np.maximum(usable.sum(axis=1), 1)
    square = (np.where(usable, weight * residual, 0.0) ** 2).sum(axis=1)
    taken = np.einsum("spq,sqp->s", inverse, normal)
    return np.maximum((square + taken) / count, _LEAST_NOISE) if len(noise) else noise


def _learn(
    columns: Floats,
    scaled: Floats,
    usable: Bools,
    weight: Floats,
    years: Floats,
    group: np.ndarray,
    prior: _Prior,
) -> tuple[_Prior, Floats]:
    """Return the prior with variances of the groups of coefficients by expectation-maximisation."""
    normal, right = _equations(columns, scaled, usable, weight, years, prior.memory)
    variance = prior.variance.copy()
    noise = np.full(len(scaled), prior.noise)
    coefficients = np.zeros_like(right)
    for _ in range(_LEARNING_ROUNDS):
        coefficients, inverse = _solve(normal, right, noise, variance)
        residual = scaled - np.einsum("stp,sp->st", columns, coefficients)
        noise = _residual_noise(residual, usable, weight, inverse, normal, noise)
        second = (coefficients**2 + np.einsum("spp->sp", inverse)).mean(axis=0)
        for g in range(group.max() + 1):
            variance[group == g] = max(float(second[group == g].mean()), _LEAST_VARIANCE / 100.0)
    return prior._replace(variance=variance, noise=float(np.mean(noise))), coefficients


def _memory(residual: Floats, usable: Bools, years: Floats) -> float:
    """Return the correlation over one median step of what is left, over all series."""
    apart = np.diff(years)
    near = (apart <= 1.5 * np.median(apart)) if len(apart) else np.zeros(0, dtype=bool)
    both = usable[:, 1:] & usable[:, :-1] & near
    now, next_ = residual[:, :-1][both], residual[:, 1:][both]
    power = 0.5 * float((now**2).sum() + (next_**2).sum())
    return float(np.clip((now * next_).sum() / power, 0.0, _MOST_MEMORY)) if power > 0.0 else 0.0
