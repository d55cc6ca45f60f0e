"""Orbits of the objects of a catalogue relative to the observed one, from all element sets of each object.

The difference between the observed orbit and an object is a vector of seven: along the track, semi-major axis, two
components each of the eccentricity vector and of the plane, all in m at one time, and the decay in m per day. Each
element set measures it at the epoch of the set. The errors have Student's t distribution with three degrees of freedom;
a set may also have ten times these errors, or be of another object of the launch. The scales are estimated from the
scatter of successive sets. Integrals are Laplace's approximation about the most probable difference.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.mean_elements import MeanElements
from pygnc_ground.orbit.identification import log_sum
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray, rtn_axes

PARAMETERS: Final = 7
_FREEDOM: Final = 3.0
DEVIATION_PER_SCALE: Final = math.sqrt(_FREEDOM / (_FREEDOM - 2.0))
"""Standard deviation of Student's t distribution of scale 1."""
_SCALE_M: Final = np.array((1_000.0, 30.0, 180.0, 180.0, 220.0, 220.0))
"""Scales before the catalogue is known; at the epoch, in the order of the vector."""
_SCALE_WEIGHT: Final = 10.0
"""Number of element sets that these scales are worth."""
_GROSS: Final = 0.05
_GROSS_FACTOR: Final = 10.0
_MISTAGGED: Final = 0.05
"""Probability that an element set is of another object."""
_LEAST_LOG: Final = -60.0
_DECAY_M_PER_DAY: Final = 40.0
"""Standard deviation of the decay that a set does not know."""
_DECAYS_M_PER_DAY: Final = 60.0
"""Standard deviation of the difference between the decays of two objects."""
_OBJECTS_MIN: Final = 12
_POPULATION_M: Final = np.array((200e3, 1e3, 600.0, 600.0, 600.0, 600.0))
"""Standard deviations of the differences within a launch of too few objects to tell."""
_FLOOR_M: Final = np.array((5e3, 50.0, 100.0, 100.0, 100.0, 100.0))
_INFORMATION: Final = (_FREEDOM + 1.0) / (_FREEDOM + 3.0)
"""Expected information of Student's t distribution, relative to the weight of a residual of the fit."""
_LOG_PEAK: Final = (
    math.lgamma(0.5 * (_FREEDOM + 1.0)) - math.lgamma(0.5 * _FREEDOM) - 0.5 * math.log(_FREEDOM * math.pi)
)
_ITERATIONS: Final = 8
_LEARNING: Final = 10


class Prior(NamedTuple):
    """Gaussian density of the difference: mean (7,) and covariance (7, 7)."""

    mean: FloatArray
    covariance: FloatArray


class _Weighed(NamedTuple):
    """Residuals (n, k, m, 6) of sets and their weights, logarithms of densities (n, k), regular shares (n, k, m)."""

    residual: FloatArray
    weight: FloatArray
    log_density: FloatArray
    regular: FloatArray


class Fit(NamedTuple):
    """Most probable differences of n objects.

    Attributes:
        log_evidence: Logarithms of the density of the element sets, shape (n,), without a factor common to all priors.
        difference: Differences, shape (n, 7).
        square: Expected squares of the errors of the sets, weighted and relative to their scales, shape (n, m, 6).
        regular: Probabilities that the sets are of these objects, shape (n, m).
    """

    log_evidence: FloatArray
    difference: FloatArray
    square: FloatArray
    regular: FloatArray


class ElementSets(NamedTuple):
    """Element sets of n objects, up to m of each, as measurements of the differences.

    Attributes:
        measured: Differences at the epochs, shape (n, m, 6); 0 where there is no set.
        partials: Partials of these with respect to the difference at the reference time, shape (n, m, 6, 7).
        along_per_decay: Displacement along the track at the comparison by an unknown decay, days, shape (n, m).
        there: Which sets there are, shape (n, m).
    """

    measured: FloatArray
    partials: FloatArray
    along_per_decay: FloatArray
    there: BoolArray

    @classmethod
    def of(
        cls,
        found: FloatArray,
        elements: Sequence[MeanElements],
        times_ms: IntArray,
        reference_ms: int,
        rows: Sequence[Sequence[int]],
    ) -> "ElementSets":
        """Return the sets whose differences (k, 6) in axes that do not rotate were found at some times (k,).

        `rows` are the indices of the sets of each object.
        """
        epochs_ms = np.array([one.epoch_gps_ms for one in elements])
        age_days = (times_ms - epochs_ms) / 86_400e3
        after_days = (epochs_ms - reference_ms) / 86_400e3
        along_per_axis = np.array([-3.0 * math.pi * one.mean_motion_rev_per_day for one in elements])
        measured = found.copy()
        measured[:, 0] -= along_per_axis * age_days * found[:, 1]
        partials = np.zeros((len(elements), 6, PARAMETERS))
        partials[:, range(6), range(6)] = 1.0
        partials[:, 0, 1] = along_per_axis * after_days
        partials[:, 0, 6] = 0.5 * along_per_axis * after_days**2
        partials[:, 1, 6] = after_days
        per_decay = 0.5 * np.abs(along_per_axis) * age_days**2
        most = max(map(len, rows))
        index = np.array([[*own, *[own[0]] * (most - len(own))] for own in rows])
        there = np.arange(most) < np.array([[len(own)] for own in rows])
        return cls(np.where(there[..., None], measured[index], 0.0), partials[index], per_decay[index], there)

    def at_reference(self) -> FloatArray:
        """Return the difference that each set shows at the reference time, shape (n, m, 7)."""
        moved = np.pad(self.measured, ((0, 0), (0, 0), (0, 1)))
        moved[..., 0] -= self.partials[..., 0, 1] * moved[..., 1]
        return moved


class ErrorModel(NamedTuple):
    """Errors of the element sets of a launch, and density of its objects, as the sets show them.

    Attributes:
        sets: The sets.
        scale_m: Scales of the errors at the epoch, shape (6,).
        population: Density of the differences of the launch's objects.
        lost: Logarithms of the density of each set if it is of another object, shape (n, m).
        typical: Differences of the objects, shape (n, 7).
    """

    sets: ElementSets
    scale_m: FloatArray
    population: Prior
    lost: FloatArray
    typical: FloatArray

    @classmethod
    def learnt(cls, sets: ElementSets) -> "ErrorModel":
        """Return the model that the sets show: expectation-maximisation of the scales."""
        there = np.where(sets.there[..., None], sets.at_reference(), np.nan)
        model = cls._of(sets, _SCALE_M, np.nanmedian(there, axis=1))
        repeated = sets.there.sum(axis=1) > 1
        for _ in range(_LEARNING):
            fit = model.fit(model.population, iterations=1)
            square = fit.square[repeated].sum(axis=(0, 1)) * model.scale_m**2
            count = fit.regular[repeated].sum() + _SCALE_WEIGHT
            scale_m = np.sqrt((square + _SCALE_WEIGHT * _SCALE_M**2) / count)
            model = cls._of(sets, scale_m, fit.difference)
        return model

    @classmethod
    def _of(cls, sets: ElementSets, scale_m: FloatArray, typical: FloatArray) -> "ErrorModel":
        population = _population(typical)
        model = cls(sets, scale_m, population, np.zeros(sets.there.shape), typical)
        residual = sets.measured - sets.partials @ population.mean
        spread = sets.partials @ population.covariance @ sets.partials.swapaxes(-1, -2)
        spread[..., range(6), range(6)] += (DEVIATION_PER_SCALE * model.scales()) ** 2
        square = (residual * np.linalg.solve(spread, residual[..., None])[..., 0]).sum(axis=-1)
        logs = -0.5 * (square + np.linalg.slogdet(spread)[1]) - 3.0 * math.log(2.0 * math.pi)
        return model._replace(lost=math.log(_MISTAGGED) + np.maximum(logs, _LEAST_LOG))

    def nearest(self, prior: Prior, count: int) -> IntArray:
        """Return the indices of the objects whose sets agree best with a prior."""
        near = self.fit(prior, np.zeros_like(self.typical)[:, None]).log_evidence
        return np.argsort(self.fit(self.population, iterations=1).log_evidence - near)[:count]

    def of(self, rows: IntArray) -> "ErrorModel":
        """Return the model of some of the objects."""
        sets = self.sets
        some = ElementSets(sets.measured[rows], sets.partials[rows], sets.along_per_decay[rows], sets.there[rows])
        return self._replace(sets=some, lost=self.lost[rows], typical=self.typical[rows])

    def scales(self) -> FloatArray:
        """Return the scales of all sets, shape (n, m, 6)."""
        scales = np.tile(self.scale_m, (*self.sets.there.shape, 1))
        scales[..., 0] = np.hypot(scales[..., 0], self.sets.along_per_decay * _DECAY_M_PER_DAY)
        return scales

    def fit(self, prior: Prior, starts: FloatArray | None = None, iterations: int = _ITERATIONS) -> Fit:
        """Return the most probable differences with a prior, the best that some starts (n, k, 7) lead to."""
        partials = self.sets.partials
        weight = np.linalg.inv(prior.covariance)
        at = self.typical[:, None] if starts is None else starts
        for _ in range(iterations):
            weighted = partials[:, None] * self._weigh(at).weight[..., None]
            normal = np.einsum("nkmij,nmil->nkjl", weighted, partials) + weight
            pull = np.einsum("nkmij,nmi->nkj", weighted, self.sets.measured) + weight @ prior.mean
            at = np.linalg.solve(normal, pull[..., None])[..., 0]
        last = self._weigh(at)
        by_sets = np.einsum("nkmij,nmil->nkjl", partials[:, None] * last.weight[..., None], partials)
        away = at - prior.mean
        volume = np.linalg.slogdet(_INFORMATION * by_sets + weight)[1] + np.linalg.slogdet(prior.covariance)[1]
        logs = last.log_density - 0.5 * (np.einsum("nki,ij,nkj->nk", away, weight, away) + volume)
        best = np.arange(len(logs)), logs.argmax(axis=1)
        spread = np.einsum("nmij,njl,nmil->nmi", partials, np.linalg.inv(by_sets[best] + weight), partials)
        square = (last.residual[best] ** 2 + spread) * last.weight[best]
        return Fit(logs[best], at[best], square, last.regular[best])

    def _weigh(self, at: FloatArray) -> _Weighed:
        """Return how the sets agree with differences (n, k, 7)."""
        scales, there = self.scales()[:, None], self.sets.there[:, None]
        residual = self.sets.measured[:, None] - np.einsum("nmij,nkj->nkmi", self.sets.partials, at)
        square = (residual / scales) ** 2
        by_kind, weight_by_kind = [], []
        for share, factor in ((1.0 - _GROSS - _MISTAGGED, 1.0), (_GROSS, _GROSS_FACTOR)):
            tail = 0.5 * (_FREEDOM + 1.0) * np.log1p(square / (factor**2 * _FREEDOM))
            by_kind.append(math.log(share) + (_LOG_PEAK - tail - np.log(factor * scales)).sum(axis=-1))
            weight_by_kind.append((_FREEDOM + 1.0) / (_FREEDOM * factor**2 + square) / scales**2)
        total = log_sum(np.array([*by_kind, np.broadcast_to(self.lost[:, None], by_kind[0].shape)]))
        shares = np.exp(np.array(by_kind) - total) * there
        weight = (shares[..., None] * np.array(weight_by_kind)).sum(axis=0)
        return _Weighed(residual, weight, (total * there).sum(axis=-1), shares.sum(axis=0))

    def starts(self) -> FloatArray:
        """Return starts for a fit: each set's own difference, their median, and zero; shape (n, m + 2, 7)."""
        zero = np.zeros_like(self.typical)[:, None]
        return np.concatenate((self.sets.at_reference(), self.typical[:, None], zero), axis=1)


def _population(differences: FloatArray) -> Prior:
    """Return the density of the differences (n, 7) of a launch's objects; a few in other orbits do not widen it."""
    mean = np.median(differences, axis=0)
    mean[6] = 0.0
    away = differences - mean
    reach_m = 6.0 * np.maximum(1.4826 * np.median(np.abs(away), axis=0)[:6], _FLOOR_M)
    near = (np.abs(away[:, :6]) <= reach_m).all(axis=1)
    covariance = np.diag(np.append(_POPULATION_M, _DECAYS_M_PER_DAY) ** 2)
    if near.sum() > _OBJECTS_MIN:
        covariance[:6, :6] = np.cov(differences[near, :6].T) + np.diag(_FLOOR_M**2)
    return Prior(mean, covariance)


def fixed_axes(states: FloatArray) -> FloatArray:
    """Return the matrices (n, 6, 6) that turn the six quantities of `offsets` into axes that do not rotate.

    `states` (n, 6) are those of the observed orbit; the axes begin at the last one. The quantity along the track
    becomes that of the mean anomaly.
    """
    outward, ahead, _ = rtn_axes(states[-1:])[0]
    latitude = np.arctan2(states[:, :3] @ ahead, states[:, :3] @ outward)
    cosine, sine = np.cos(latitude), np.sin(latitude)
    turns = np.tile(np.eye(6), (len(states), 1, 1))
    turns[:, 0, 3] = -2.0
    turns[:, 2, 2], turns[:, 2, 3], turns[:, 3, 2], turns[:, 3, 3] = cosine, sine, sine, -cosine
    turns[:, 4, 4], turns[:, 4, 5], turns[:, 5, 4], turns[:, 5, 5] = cosine, -sine, sine, cosine
    return turns
