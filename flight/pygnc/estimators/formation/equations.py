"""The observations of an arc as equations for the unknowns: residuals, costs, normal matrices.

Unknown are seven numbers of each satellite (position, velocity and logarithm of the drag factor at the epoch, as
deviations from the reference) and then one bias per pair. Several guesses are treated side by side.

What is known before any observation of an arc: biases, drag, and our own orbit if too few fixes tell it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.common.arrays import Array
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.observations import Arc, Pair
from pygnc.estimators.formation.reference import UNKNOWNS, Reference
from pygnc.estimators.formation.relative_motion import Motion
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.measurement import linearise_fix
from pygnc.estimators.orbit.settings import MeasurementSettings
from pygnc.estimators.orbit.state import DRAG, SIZE, OrbitState

_COINCIDENT_M: Final = 1e-3
"""Nearer than this, a range has no direction."""


class FixRows(NamedTuple):
    """The fixes of one satellite, in units of the receiver's standard deviations.

    Attributes:
        places: Moments in nodes of the reference, shape (m,).
        design: Derivatives of position and velocity by the satellite's unknowns, shape (m, 6, 7).
        residual: At the reference, shape (m, 6).
        there: Whether there is a position, and a velocity, shape (m, 2).
    """

    places: Array
    design: Array
    residual: Array
    there: npt.NDArray[np.bool_]

    def chosen(self, some: slice) -> "FixRows":
        """Part of them."""
        return FixRows(self.places[some], self.design[some], self.residual[some], self.there[some])


class RangeRows(NamedTuple):
    """The ranges of one pair.

    Attributes:
        pair: Indices of the two satellites.
        places: Moments in nodes of the reference, shape (n,).
        design: Derivatives of the relative position by relative unknowns, shape (n, 3, 7).
        range_m: Shape (n,).
        forwards: Whether the first satellite measured, shape (n,).
    """

    pair: tuple[int, int]
    places: Array
    design: Array
    range_m: Array
    forwards: npt.NDArray[np.bool_]

    def chosen(self, some: slice) -> "RangeRows":
        """Part of them."""
        return RangeRows(self.pair, self.places[some], self.design[some], self.range_m[some], self.forwards[some])


class Prior(NamedTuple):
    """What is known of all unknowns beforehand: mean (p,) and information (p, p)."""

    mean: Array
    information: Array


class Noise(NamedTuple):
    """How observations scatter.

    Attributes:
        range_sigma_m: By pair.
        fix_scale: By satellite, on what the receiver claims.
    """

    range_sigma_m: Array
    fix_scale: Array


class Loss(NamedTuple):
    """What a residual of u standard deviations costs.

    Attributes:
        limit: Up to here u^2.
        limit_fix: The same for the three components of a position or velocity together.
        hard: Beyond, whether it costs no more than at the limit and has no say; otherwise its cost grows linearly
            (Huber 1964).
    """

    limit: float
    limit_fix: float
    hard: bool

    def of(self, square: Array, limit: float) -> tuple[Array, Array]:
        """Costs and weights of squared residuals."""
        if self.hard:
            inside = square <= limit * limit
            return np.minimum(square, limit * limit), inside.astype(np.float64)
        size = np.sqrt(np.maximum(square, limit * limit))
        return np.where(size > limit, 2.0 * limit * size - limit * limit, square), limit / size


SEARCH_LOSS: Final = Loss(3.0, 4.6, hard=False)
"""While orbits are sought: outliers pull, but not much."""


class Fit(NamedTuple):
    """How k guesses fit.

    Attributes:
        cost: Shape (k,).
        information: Normal matrices, shape (k, p, p).
        gradient: Right-hand sides, shape (k, p).
    """

    cost: Array
    information: Array
    gradient: Array


@dataclass(frozen=True, slots=True, eq=False)
class Equations:
    """The observations of some satellites, our own first."""

    satellites: tuple[int, ...]
    """Radio ids."""
    pairs: tuple[Pair, ...]
    fixes: tuple[FixRows, ...]
    """By satellite."""
    ranges: tuple[RangeRows, ...]
    """By pair."""
    prior: Prior

    @property
    def unknowns(self) -> int:
        """How many."""
        return UNKNOWNS * len(self.satellites) + len(self.pairs)

    def subset(self, chosen: Sequence[int], prior: Prior, fixes_of: Sequence[int], ranges_max: int) -> "Equations":
        """The equations of some satellites among themselves.

        Args:
            chosen: Indices of the satellites.
            prior: Of the fewer unknowns.
            fixes_of: Indices of the satellites whose fixes count, among all.
            ranges_max: Most ranges of a pair; more are thinned evenly.
        """
        place = {satellite: number for number, satellite in enumerate(chosen)}
        kept = self.pairs_among(chosen)
        fixes = [self.fixes[satellite].chosen(slice(None if satellite in fixes_of else 0)) for satellite in chosen]
        ranges = []
        for number in kept:
            rows = self.ranges[number]
            every = -(-len(rows.places) // ranges_max)
            pair = (place[rows.pair[0]], place[rows.pair[1]])
            ranges.append(rows.chosen(slice(None, None, every))._replace(pair=pair))
        satellites = tuple(self.satellites[satellite] for satellite in chosen)
        return Equations(satellites, tuple(self.pairs[number] for number in kept), tuple(fixes), tuple(ranges), prior)

    def pairs_among(self, some: Sequence[int]) -> list[int]:
        """Indices of the pairs of some satellites, by index."""
        return [number for number, rows in enumerate(self.ranges) if set(some) >= set(rows.pair)]

    def columns_of(self, some: Sequence[int]) -> npt.NDArray[np.int64]:
        """Where the unknowns of some satellites and of the pairs among them are among all."""
        states = [UNKNOWNS * satellite + number for satellite in some for number in range(UNKNOWNS)]
        biases = [UNKNOWNS * len(self.satellites) + pair for pair in self.pairs_among(some)]
        return np.array(states + biases, dtype=np.int64)

    def states(self, guesses: Array) -> Array:
        """The satellites' unknowns among all, (k, p) -> (k s, 7)."""
        return guesses[:, : UNKNOWNS * len(self.satellites)].reshape(-1, UNKNOWNS)

    def fit(self, guesses: Array, motion: Motion, noise: Noise, loss: Loss) -> Fit:
        """Costs and normal equations of guesses (k, p) that move as `motion` says, for `states` of them."""
        off = self.prior.mean - guesses
        gradient = off @ self.prior.information
        cost = np.einsum("kp,kp->k", off, gradient)
        information = np.tile(self.prior.information, (len(guesses), 1, 1))
        result = Fit(cost, information, gradient)
        for satellite in range(len(self.satellites)):
            self._add_fixes(result, satellite, motion, noise=noise, loss=loss)
        for pair in range(len(self.pairs)):
            self._add_ranges(result, guesses, pair, motion, noise=noise, loss=loss)
        return result

    def fix_residuals(self, satellite: int, motion: Motion, count: int) -> tuple[Array, Array]:
        """Residuals of fixes by `count` guesses, (k, m, 6), and their derivatives by the unknowns, (k, m, 6, 7)."""
        rows = self.fixes[satellite]
        of_all = slice(satellite, None, len(self.satellites))
        constants = motion.at(of_all, rows.places).swapaxes(0, 1)
        residual = rows.residual - (rows.design @ constants[..., None])[..., 0]
        partials = motion.partials_at(of_all, rows.places)
        if partials is None:
            return residual, np.broadcast_to(rows.design, (count, *rows.design.shape))
        return residual, rows.design @ partials.swapaxes(0, 1)

    def apart(self, pair: int, motion: Motion) -> tuple[Array, Array]:
        """Relative positions of a pair at its ranges by k guesses, (k, n, 3), and the distances (k, n)."""
        rows, count = self.ranges[pair], len(self.satellites)
        one, other = rows.pair
        constants = motion.at(slice(other, None, count), rows.places) - motion.at(slice(one, None, count), rows.places)
        apart_m = (rows.design @ constants.swapaxes(0, 1)[..., None])[..., 0]
        return apart_m, np.sqrt(np.einsum("kni,kni->kn", apart_m, apart_m))

    def range_residuals(self, guesses: Array, pair: int, motion: Motion) -> Array:
        """Measured minus predicted ranges, (k, n)."""
        _, distance_m = self.apart(pair, motion)
        residual: Array = self.ranges[pair].range_m - distance_m - self._bias(guesses, pair)
        return residual

    def range_partials(self, pair: int, motion: Motion, apart_m: Array, distance_m: Array) -> Array:
        """Derivatives of ranges by the unknowns of both satellites and the bias, (k, n, 15)."""
        rows, count = self.ranges[pair], len(self.satellites)
        towards = apart_m / np.maximum(distance_m, _COINCIDENT_M)[..., None]
        by_constants = (towards[..., None, :] @ rows.design)[..., 0, :]
        result = np.ones((*distance_m.shape, 2 * UNKNOWNS + 1))
        for end, column, sign in ((rows.pair[0], 0, -1.0), (rows.pair[1], UNKNOWNS, 1.0)):
            partials = motion.partials_at(slice(end, None, count), rows.places)
            by_state = by_constants
            if partials is not None:
                by_state = (by_constants[..., None, :] @ partials.swapaxes(0, 1))[..., 0, :]
            result[..., column : column + UNKNOWNS] = sign * by_state
        return result

    def columns_of_pair(self, pair: int) -> npt.NDArray[np.int64]:
        """Where the unknowns of `range_partials` are among all, (15,)."""
        one, other = self.ranges[pair].pair
        each = np.arange(UNKNOWNS)
        bias = UNKNOWNS * len(self.satellites) + pair
        return np.concatenate((UNKNOWNS * one + each, UNKNOWNS * other + each, [bias]))

    def _bias(self, guesses: Array, pair: int) -> Array:
        return guesses[:, UNKNOWNS * len(self.satellites) + pair, None]

    def _add_fixes(self, fit: Fit, satellite: int, motion: Motion, *, noise: Noise, loss: Loss) -> None:
        rows = self.fixes[satellite]
        if not len(rows.places):
            return
        count, scale = len(fit.cost), noise.fix_scale[satellite]
        residual, design = self.fix_residuals(satellite, motion, count)
        square = (residual**2).reshape(count, -1, 2, 3).sum(axis=-1) / scale**2
        cost, weight = loss.of(square, loss.limit_fix)
        fit.cost[:] += (cost * rows.there).sum(axis=(1, 2))
        weight = np.repeat(weight * rows.there / scale**2, 3, axis=-1).reshape(count, -1)
        of = slice(UNKNOWNS * satellite, UNKNOWNS * (satellite + 1))
        _add(fit, of, design.reshape(count, -1, UNKNOWNS), residual.reshape(count, -1), weight)

    def _add_ranges(self, fit: Fit, guesses: Array, pair: int, motion: Motion, *, noise: Noise, loss: Loss) -> None:
        sigma_m = noise.range_sigma_m[pair]
        apart_m, distance_m = self.apart(pair, motion)
        residual = self.ranges[pair].range_m - distance_m - self._bias(guesses, pair)
        cost, weight = loss.of((residual / sigma_m) ** 2, loss.limit)
        fit.cost[:] += cost.sum(axis=1)
        partials = self.range_partials(pair, motion, apart_m, distance_m)
        _add(fit, self.columns_of_pair(pair), partials, residual, weight / sigma_m**2)


def _add(fit: Fit, of: slice | npt.NDArray[np.int64], partials: Array, residual: Array, weight: Array) -> None:
    """Add equations (k, m) for some of the unknowns, by partials (k, m, j)."""
    weighted = (partials * weight[..., None]).swapaxes(-1, -2)
    where = (slice(None), of, of) if isinstance(of, slice) else (slice(None), of[:, None], of)
    fit.information[where] += weighted @ partials
    fit.gradient[:, of] += (weighted @ residual[..., None])[..., 0]


def linearise_observations(
    arc: Arc, own_id: int, reference: Reference, prior: Prior, *, frames: EarthFrames, receiver: MeasurementSettings
) -> Equations:
    """Linearise the observations at the reference.

    Args:
        arc: The observations.
        own_id: Our own satellite, which comes first.
        reference: Covers the arc.
        prior: Of all unknowns, in the order of `Equations`.
        frames: Earth orientation.
        receiver: How far fixes are believed.
    """
    satellites = (own_id, *(satellite for satellite in arc.satellites if satellite != own_id))
    fixes = tuple(_fix_rows(arc, satellite, reference, frames, receiver) for satellite in satellites)
    ranges = tuple(_range_rows(arc, pair, satellites, reference) for pair in arc.ranges)
    return Equations(satellites, tuple(arc.ranges), fixes, ranges, prior)


def _fix_rows(
    arc: Arc, satellite: int, reference: Reference, frames: EarthFrames, receiver: MeasurementSettings
) -> FixRows:
    """A fix is compared with the reference; what it says of a deviation is linear but for micrometres per second."""
    fixes = arc.fixes.get(satellite, ())
    times = np.array([float(fix.gps_ms) for fix in fixes])
    points = reference.at(times)
    design, residual = np.zeros((len(fixes), 6, 6)), np.zeros((len(fixes), 6))
    there = np.ones((len(fixes), 2), dtype=np.bool_)
    x = np.zeros(SIZE)
    for row, fix in enumerate(fixes):
        x[:6] = points.state[row]
        for part, seen in enumerate(linearise_fix(fix, x, frames, receiver)):
            there[row, part] = seen is not None
            if seen is not None:
                rows = slice(3 * part, 3 * part + 3)
                design[row, rows] = seen.partials[:, :6] / seen.sigma[:, None]
                residual[row, rows] = seen.residual / seen.sigma
    return FixRows(reference.places(times), design @ points.by_epoch, residual, there)


def _range_rows(arc: Arc, pair: Pair, satellites: tuple[int, ...], reference: Reference) -> RangeRows:
    seen = arc.ranges[pair]
    times = np.array([float(one.gps_ms) for one in seen])
    indices = (satellites.index(pair[0]), satellites.index(pair[1]))
    return RangeRows(
        indices,
        reference.places(times),
        reference.at(times).by_epoch[:, :3],
        np.array([one.range_m for one in seen]),
        np.array([one.one == pair[0] for one in seen]),
    )


_UNKNOWN_SIGMA: Final = np.repeat((1e5, 1e3), 3)
"""Of position (m) and velocity (m/s): as good as nothing."""


def initial_prior(
    satellites: int, pairs: int, reference: Reference, own: OrbitState | None, settings: FormationSettings
) -> Prior:
    """Prior of all unknowns.

    Args:
        satellites: How many, our own first.
        pairs: How many.
        reference: From which unknowns are counted.
        own: The orbit from which the reference was made, if it is to tell our orbit.
        settings: Biases and drag.
    """
    size = UNKNOWNS * satellites + pairs
    mean, information = np.zeros(size), np.zeros((size, size))
    mean[UNKNOWNS * satellites :] = settings.range_bias_m
    biases = np.arange(UNKNOWNS * satellites, size)
    information[biases, biases] = settings.range_bias_sigma_m**-2.0
    for satellite in range(satellites):
        state = UNKNOWNS * satellite + np.arange(6)
        information[state, state] = _UNKNOWN_SIGMA**-2.0
    # The drag of all is the common part plus each one's own.
    drag = UNKNOWNS * np.arange(satellites) + DRAG
    mean[drag] = -reference.drag
    shared, alone = settings.log_drag_sigma**2, settings.differential_log_drag_sigma**2
    information[drag[:, None], drag] = np.linalg.inv(shared + alone * np.eye(satellites))
    if own is not None:
        # Ours tells the drag too, and that of others as far as they share it.
        mean[drag] = 0.0
        information[drag[:, None], drag] = _following(satellites, shared, alone)
        information[:UNKNOWNS, :UNKNOWNS] -= np.diag(np.append(_UNKNOWN_SIGMA**-2.0, 0.0))
        information[:UNKNOWNS, :UNKNOWNS] += _known(own, reference)
    return Prior(mean, information)


def _known(own: OrbitState, reference: Reference) -> Array:
    """Information on our own unknowns at the epoch, (7, 7)."""
    covariance = own.covariance[:UNKNOWNS, :UNKNOWNS]
    at_epoch = reference.from_orbit.dot(covariance).dot(reference.from_orbit.T)
    unit = 1.0 / np.sqrt(np.diagonal(at_epoch))
    information: Array = unit[:, None] * np.linalg.inv(unit[:, None] * at_epoch * unit) * unit
    return information


def _following(satellites: int, shared: float, alone: float) -> Array:
    """Information on the drag of all once the first one's own distribution is taken away."""
    joint = np.asarray(np.linalg.inv(shared + alone * np.eye(satellites)), dtype=np.float64)
    joint[0, 0] -= 1.0 / (shared + alone)
    return joint
