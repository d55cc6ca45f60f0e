"""Which object of a catalogue a satellite is, with probabilities, from an orbit or from the Doppler shifts of a pass.

An object's elements differ from its true orbit by errors in six quantities, all in m: the place along the track, the
semi-major axis, two components each of the eccentricity vector and of the plane. Their covariance grows with the age
of the elements: an error of the semi-major axis moves the satellite along the track by 3 pi times the error per
revolution, and unknown drag changes the semi-major axis. The errors of the first days after a launch are not Gaussian:
each kind has a mixture of scales. All sets may have a wrong time in common, which moves them along the track.

Probabilities follow from the ratio of two densities of the observation: that by the element sets of an object, and that
of any object of the launch, which is a kernel density estimate from all objects. The hypothesis "none of these" has the
ratio 1, and in addition the ratios of a twin of each object from the same dispenser. Each element set is compared with
the observed orbit at its epoch, or as near to it as the orbit reaches. A set may be of another object, so its ratio is
not below `_MISTAGGED`. Ratios of several sets of an object are multiplied, with a power below 1, because their errors
are not independent.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.common.mean_elements import MeanElements
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.environment.sgp4 import Sgp4Error, gcrf_from_teme, teme_states
from pygnc_ground.orbit.catalogue import ObjectKey, nearest_sets, object_key
from pygnc_ground.orbit.passes import SPEED_OF_LIGHT_MPS, Station
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray, rtn_axes

NONE: Final = "none of these"
CERTAIN: Final = 0.99
_SIGMA_M: Final = np.array((1_500.0, 40.0, 250.0, 250.0, 300.0, 300.0))
"""Standard deviations at the epoch: along the track, semi-major axis, eccentricity (2), plane (2)."""
_DRAG_M_PER_DAY: Final = 40.0
"""Standard deviation of the unknown decay of the semi-major axis."""


class _Scale(NamedTuple):
    """Factors on the standard deviations of track and axis, eccentricity and plane."""

    weight: float
    factors: tuple[float, float, float]

    def of(self, covariance: FloatArray) -> FloatArray:
        """Return the scaled covariance, shape (..., 6, 6)."""
        factors = np.repeat(self.factors, 2)
        scaled: FloatArray = covariance * (factors[:, None] * factors)
        return scaled


_FACTORS: Final = ((0.72, 1.0), (0.22, 3.0), (0.06, 10.0))
_SCALES: Final = tuple(
    _Scale(along[0] * shape[0] * plane[0], (along[1], shape[1], plane[1]))
    for along in _FACTORS
    for shape in _FACTORS
    for plane in _FACTORS
)
_LATE_M: Final = np.append(0.0, np.linspace(-90e3, 90e3, 121))
"""Offsets along the track that all element sets may share, because their times are wrong: up to 12 s."""
_LATE_PRIOR: Final = np.append(0.9, 0.1 * 0.05 / math.sqrt(2.0 * math.pi) * np.exp(-0.5 * (_LATE_M[1:] / 30e3) ** 2))
"""Their prior probabilities: none, or a standard deviation of 4 s."""
_MISTAGGED: Final = 0.05
"""Probability that an element set is of another object, or useless."""
_CORRELATION: Final = 0.2
"""Correlation of the errors of two element sets of an object."""
_SETS_MAX: Final = 4
_IMPOSSIBLE: Final = -1e3
"""Logarithm of a density that counts as zero."""
_TWINS: Final = (
    (0.15, np.array((20e3, 200.0, 200.0, 200.0, 200.0, 200.0))),
    (0.50, np.array((4e3, 60.0, 100.0, 100.0, 100.0, 100.0))),
)
"""Share of objects with a twin from the same dispenser, and standard deviations of their differences."""
_TWIN_SHARE: Final = sum(share for share, _ in _TWINS)
_TWIN_COVARIANCES: Final = tuple((share, np.diag(sigma_m**2)) for share, sigma_m in _TWINS)
_POPULATION_FLOOR_M: Final = np.array((5e3, 50.0, 100.0, 100.0, 100.0, 100.0))
_NEIGHBOUR_M: Final = np.array((np.inf, 50e3, 300e3, 300e3, 400e3, 400e3))
"""Largest differences of objects of one launch."""
_S_PER_DAY: Final = 86_400.0
_ALIGNMENTS: Final = 3


class Observation(NamedTuple):
    """State of the satellite in TEME.

    Attributes:
        gps_ms: Time.
        state: Position in m and velocity in m/s, shape (6,).
        covariance: Covariance of the state, shape (6, 6).
    """

    gps_ms: int
    state: FloatArray
    covariance: FloatArray

    @classmethod
    def from_ecef(cls, gps_ms: int, state: FloatArray, covariance: FloatArray, frames: EarthFrames) -> "Observation":
        """Return the observation of a state in ITRF."""
        turn = np.kron(np.eye(2), gcrf_from_teme(gps_ms, frames).T) @ np.linalg.inv(frames.ecef_state_from_gcrf(gps_ms))
        return cls(gps_ms, turn @ state, turn @ covariance @ turn.T)


class Doppler(NamedTuple):
    """Doppler shifts of one pass over a station.

    Attributes:
        gps_ms: Times, shape (n,).
        frequency_hz: Received frequencies, shape (n,).
        station: Receiving station.
    """

    gps_ms: IntArray
    frequency_hz: FloatArray
    station: Station


class Candidate(NamedTuple):
    """Object of the catalogue, or `NONE`, with its probability.

    Attributes:
        elements: Elements; None for `NONE`.
        probability: Probability that the satellite is this object.
        along_m: How far the satellite is ahead of the elements, m; NaN for `NONE`.
        along_sigma_m: Standard deviation that elements and observation give this offset, m.
        age_h: Time from the epoch to the observation, h.
    """

    elements: MeanElements | None
    probability: float
    along_m: float = math.nan
    along_sigma_m: float = math.nan
    age_h: float = math.nan

    @property
    def name(self) -> str:
        """Name, number and designator of the object."""
        return NONE if self.elements is None else self.elements.description


@dataclass(frozen=True, slots=True, eq=False)
class Identification:
    """Candidates in order of probability, and the time of the observation."""

    candidates: list[Candidate]
    gps_ms: int

    @property
    def best(self) -> Candidate:
        """The most probable candidate."""
        return self.candidates[0]

    @property
    def likely(self) -> list[Candidate]:
        """The fewest candidates with a total probability of at least `CERTAIN`."""
        total = np.cumsum([one.probability for one in self.candidates])
        return self.candidates[: int(np.searchsorted(total, CERTAIN)) + 1]


def _covariance(elements: MeanElements, gps_ms: int) -> FloatArray:
    """Return the covariance of the errors of elements at a time, m^2, shape (6, 6)."""
    days = (gps_ms - elements.epoch_gps_ms) / (1e3 * _S_PER_DAY)
    along_per_axis = -3.0 * math.pi * elements.mean_motion_rev_per_day * days
    # Columns: errors at the epoch, and the decay.
    of_errors = np.zeros((6, 7))
    of_errors[:, :6] = np.diag(_SIGMA_M)
    of_errors[0, 1] = along_per_axis * _SIGMA_M[1]
    of_errors[0, 6] = 0.5 * along_per_axis * days * _DRAG_M_PER_DAY
    of_errors[1, 6] = days * _DRAG_M_PER_DAY
    covariance: FloatArray = of_errors @ of_errors.T
    return covariance


def _differences(states: FloatArray, reference: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Return the six quantities of states (n, 6) minus those of references (n, 6), and their partials (n, 6, 6).

    The partials are with respect to the state. References are at the same argument of latitude.
    """
    axes = rtn_axes(reference)
    radius_m = np.linalg.norm(reference[:, :3], axis=1)
    speed2 = (reference[:, 3:] ** 2).sum(axis=1)
    axis_m = 1.0 / (2.0 / radius_m - speed2 / GM_EARTH_M3_S2)
    motion = np.sqrt(GM_EARTH_M3_S2 / axis_m**3)
    position, velocity = np.zeros((len(states), 6, 3)), np.zeros((len(states), 6, 3))
    radial, along, normal = axes[:, 0], axes[:, 1], axes[:, 2]
    position[:, 0] = along
    position[:, 1] = 2.0 * ((axis_m / radius_m) ** 2)[:, None] * radial
    velocity[:, 1] = 2.0 * (axis_m**2 / GM_EARTH_M3_S2)[:, None] * reference[:, 3:]
    position[:, 2] = position[:, 1] - radial
    velocity[:, 2] = velocity[:, 1]
    velocity[:, 3] = radial / motion[:, None]
    # A displacement along the track turns the velocity, which is no difference of the shape.
    position[:, 3] = along
    position[:, 4] = normal
    velocity[:, 5] = normal / motion[:, None]
    partials = np.concatenate((position, velocity), axis=2)
    return np.einsum("nij,nj->ni", partials, states - reference), partials


def offsets(
    states: FloatArray, elements: Sequence[MeanElements], gps_ms: Sequence[int]
) -> tuple[FloatArray, FloatArray]:
    """Return the six quantities of states in TEME (n, 6) minus those of n objects at n times, and their partials.

    Each object is moved along its orbit to the state's argument of latitude first. Quantities are NaN, shape (n, 6),
    for objects without an orbit at this time. Partials have shape (n, 6, 6).
    """
    time_ms = np.array(gps_ms, dtype=np.int64)
    reference = np.full((len(elements), 6), np.nan)
    usable = np.ones(len(elements), dtype=bool)
    for alignment in range(_ALIGNMENTS):
        for row in np.flatnonzero(usable).tolist():
            try:
                reference[row] = teme_states(elements[row], [int(time_ms[row])])[0]
            except Sgp4Error:
                usable[row] = False
                reference[row] = np.nan
        if alignment < _ALIGNMENTS - 1:
            axes = rtn_axes(reference)
            ahead, outward = (np.einsum("nj,nj->n", axes[:, axis], states[:, :3]) for axis in (1, 0))
            angle_rad = np.where(usable, np.arctan2(ahead, outward), 0.0)
            rate = np.einsum("ni,ni->n", axes[:, 1], reference[:, 3:]) / np.linalg.norm(reference[:, :3], axis=1)
            time_ms = time_ms + np.rint(1e3 * np.where(usable, angle_rad / rate, 0.0)).astype(np.int64)
    found, partials = _differences(states, reference)
    found[:, 0] += 1e-3 * (time_ms - np.array(gps_ms)) * np.linalg.norm(reference[:, 3:], axis=1)
    return found, partials


def _kernel(differences: FloatArray) -> FloatArray:
    """Return the covariance (6, 6) of the kernels of a density of objects, from differences (n, 6) to one of them."""
    near = differences[(np.abs(differences) < _NEIGHBOUR_M).all(axis=1)]
    covariance = np.diag((100.0 * _POPULATION_FLOOR_M) ** 2)
    if len(near) > 12:
        middle = np.median(near, axis=0)
        spread_m = 1.4826 * np.median(np.abs(near - middle), axis=0)
        inside = (np.abs(near - middle) <= 4.0 * spread_m).all(axis=1)
        # A few objects in other orbits do not widen the kernel. The bandwidth is Silverman's.
        covariance = (0.5 / len(near)) ** 0.2 * np.cov(near[inside].T) + np.diag(_POPULATION_FLOOR_M**2)
    return covariance


def _log_density(residual: FloatArray, covariance: FloatArray) -> FloatArray:
    """Return logarithms of Gaussian densities, without the factor of 2 pi, for all common offsets, shape (..., k).

    Residuals have shape (..., 6), covariances (..., 6, 6); the k offsets are `_LATE_M`.
    """
    weighted = np.linalg.solve(covariance, residual[..., None])[..., 0]
    of_along = np.linalg.inv(covariance)[..., 0, 0, None]
    logs = np.linalg.slogdet(covariance)[1]
    square = (residual * weighted).sum(axis=-1)[..., None] - 2.0 * weighted[..., 0, None] * _LATE_M
    density: FloatArray = -0.5 * (square + of_along * _LATE_M**2 + logs[..., None])
    return density


def _log_sum(values: FloatArray, axis: int = 0) -> FloatArray:
    most = values.max(axis=axis, keepdims=True)
    total: FloatArray = np.log(np.exp(values - most).sum(axis=axis)) + most.squeeze(axis)
    return total


def identify_orbit(
    observe: Callable[[int], Observation],
    times_ms: IntArray,
    elements: Sequence[MeanElements],
    prior_none: float,
) -> Identification:
    """Return the probabilities of the objects of a catalogue for a satellite whose orbit is known at some times.

    `observe` returns the observation at one of the ascending times (n,), GPS ms. `prior_none` is the probability that
    the catalogue lacks the satellite, before the observation.

    Raises:
        ValueError: No object has an orbit at the time of the observation.
    """
    last_ms = int(times_ms[-1])
    sets = nearest_sets(elements, last_ms, _SETS_MAX)
    nearest = [int(times_ms[np.argmin(np.abs(times_ms - one.epoch_gps_ms))]) for one in sets]
    compared = _compare([observe(ms) for ms in nearest], sets)
    newest = nearest_sets(sets, last_ms, 1)
    others = _compare([observe(last_ms)] * len(newest), newest)
    _require(compared.usable, last_ms)
    _require(others.usable, last_ms)
    found, spread = others.found[others.usable], (others.observed + others.errors)[others.usable]
    centre = found[np.argmin(np.abs(found / _POPULATION_FLOOR_M).sum(axis=1))]
    population = float(_log_sum(_log_density(found, spread + _kernel(found - centre))[:, 0])) - math.log(len(found))
    found, observed, errors = (part[compared.usable] for part in (compared.found, compared.observed, compared.errors))
    by_scale = np.array([math.log(one.weight) + _log_density(found, observed + one.of(errors)) for one in _SCALES])
    own = _log_sum(by_scale)
    sigma_m = np.sqrt(observed[:, 0, 0] + errors[:, 0, 0])
    usable = [one for one, is_usable in zip(sets, compared.usable, strict=True) if is_usable]
    rows: dict[ObjectKey, list[int]] = {}
    for row, one in enumerate(usable):
        rows.setdefault(object_key(one), []).append(row)
    evidence = []
    for of_object in rows.values():
        late = int((np.log(_LATE_PRIOR) + _ratios(own[of_object], population).sum(axis=0)).argmax())
        fitting = [row for row in of_object if own[row, late] - population > math.log(2.0 * _MISTAGGED)]
        twin = _IMPOSSIBLE
        if fitting:
            scales = [_SCALES[int(by_scale[:, row, late].argmax())] for row in fitting]
            covariances = [observed[row] + scale.of(errors[row]) for row, scale in zip(fitting, scales, strict=True)]
            twin = _log_twin_ratio(found[fitting], np.array(covariances), late)
        evidence += [
            _Evidence(usable[row], own[row], twin, float(found[row, 0]), float(sigma_m[row])) for row in of_object
        ]
    return _posterior(evidence, population, prior_none, last_ms)


def _ratios(own: FloatArray, population: float) -> FloatArray:
    """Return logarithms of the ratios of element sets (n, k) to the density of any object."""
    ratios: FloatArray = np.logaddexp(math.log1p(-_MISTAGGED) + own - population, math.log(_MISTAGGED))
    return ratios


def _log_twin_ratio(found: FloatArray, covariances: FloatArray, late: int) -> float:
    """Return the logarithm of the density for twins of an object, relative to that for the object.

    `found` (n, 6) are the differences to the sets of the object, `covariances` (n, 6, 6) those of the sets' errors,
    `late` is the index of the common offset. A twin has one difference for all sets, so their mean decides.
    """
    weights = np.linalg.inv(covariances)
    covariance = np.linalg.inv(weights.sum(axis=0))
    mean = covariance @ np.einsum("nij,nj->i", weights, found)
    covariance = covariance * (1.0 + _CORRELATION * (len(found) - 1))
    twins = [math.log(share) + _log_density(mean, covariance + kernel)[late] for share, kernel in _TWIN_COVARIANCES]
    return float(_log_sum(np.array(twins)) - _log_density(mean, covariance)[late])


class _Compared(NamedTuple):
    """Differences (n, 6) between observations and elements, covariances (n, 6, 6) of both, and which are known."""

    found: FloatArray
    observed: FloatArray
    errors: FloatArray
    usable: BoolArray


def _compare(observations: Sequence[Observation], elements: Sequence[MeanElements]) -> _Compared:
    times = [one.gps_ms for one in observations]
    found, partials = offsets(np.array([one.state for one in observations]), elements, times)
    covariances = np.array([one.covariance for one in observations])
    observed = partials @ covariances @ partials.swapaxes(1, 2)
    errors = np.array([_covariance(one, ms) for one, ms in zip(elements, times, strict=True)])
    return _Compared(found, observed, errors, np.asarray(np.isfinite(found).all(axis=1)))


def _require(usable: BoolArray, gps_ms: int) -> None:
    if not usable.any():
        raise ValueError(
            f"no object of the catalogue has an orbit at {utc_iso_from_gps_ms(gps_ms)}; get newer elements"
        )


class _Evidence(NamedTuple):
    """Observation and an element set.

    Attributes:
        elements: The set.
        own: Logarithms of the density of the observation if the set is of our object, for common offsets (k,).
        twin: Logarithm of the density if the object's sets are of a twin, relative to that, times the share of twins.
        along_m: Offset along the track.
        along_sigma_m: Its standard deviation.
    """

    elements: MeanElements
    own: FloatArray
    twin: float
    along_m: float
    along_sigma_m: float


def _posterior(evidence: Sequence[_Evidence], population: float, prior_none: float, gps_ms: int) -> Identification:
    """Return the candidates; `population` is the logarithm of the density of the observation for any object."""
    sets: dict[ObjectKey, list[_Evidence]] = {}
    for one in evidence:
        sets.setdefault(object_key(one.elements), []).append(one)
    newest = [min(own, key=lambda one: abs(gps_ms - one.elements.epoch_gps_ms)) for own in sets.values()]
    logs, twins = [], []
    for own in sets.values():
        ratios = _ratios(np.array([one.own for one in own]), population)
        by_offset = np.log(_LATE_PRIOR) + ratios.sum(axis=0) / (1.0 + _CORRELATION * (len(own) - 1))
        logs.append(float(_log_sum(by_offset)))
        twins.append(logs[-1] + own[0].twin)
    count = len(logs)
    none = np.logaddexp(_log_sum(np.array(twins)) - math.log(count), math.log1p(-_TWIN_SHARE))
    weights = np.append(np.array(logs) + math.log((1.0 - prior_none) / count), none + math.log(prior_none))
    probability = np.exp(weights - _log_sum(weights))
    candidates = [
        Candidate(one.elements, p, one.along_m, one.along_sigma_m, (gps_ms - one.elements.epoch_gps_ms) / 3.6e6)
        for one, p in zip(newest, probability[:-1].tolist(), strict=True)
    ]
    candidates.append(Candidate(None, float(probability[-1])))
    return Identification(sorted(candidates, key=lambda one: -one.probability), gps_ms)


# Doppler

_SAMPLES_MAX: Final = 60
_OFFSET_MPS: Final = 6_000.0
"""Standard deviation of the carrier's offset, as a range rate: 20 parts per million."""
_DRIFT_MPS2: Final = 0.25
"""Standard deviation of the carrier's drift, as a range acceleration: 0.5 parts per million in ten minutes."""
_NOISE_MIN_MPS: Final = 1.0
_SEARCH_S: Final = 60.0
"""Largest time by which an object may be ahead or late."""
_TRACK_MS: Final = 20_000
_HORIZON_RAD: Final = math.radians(-3.0)


class RangeRates(NamedTuple):
    """Range rates of a pass with an unknown constant and an unknown drift, and where the station was in TEME.

    Attributes:
        gps_ms: Times, shape (n,).
        range_rate_mps: Range rates of a carrier at the mean received frequency, shape (n,).
        noise_mps: Standard deviation of their noise, from their scatter about a smooth curve.
        left_out: Number of samples that scatter by more than five standard deviations.
        station: Position and velocity of the station in TEME, shape (n, 6).
        up: Direction of the zenith in TEME, shape (n, 3).
    """

    gps_ms: IntArray
    range_rate_mps: FloatArray
    noise_mps: float
    left_out: int
    station: FloatArray
    up: FloatArray


def range_rates(doppler: Doppler, frames: EarthFrames) -> RangeRates:
    """Return the range rates of Doppler shifts, at most 60 evenly chosen ones.

    Raises:
        ValueError: There are too few frequencies, or they do not vary smoothly.
    """
    if len(doppler.gps_ms) < 10:
        raise ValueError(f"{len(doppler.gps_ms)} frequencies; at least 10 of one pass are needed")
    span_s = 1e-3 * float(np.ptp(doppler.gps_ms))
    if not 30.0 <= span_s <= 1800.0:
        raise ValueError(f"the frequencies cover {span_s:.0f} s; give those of one pass, at least 30 s of it")
    mean_hz = float(np.median(doppler.frequency_hz))
    rate_mps = -SPEED_OF_LIGHT_MPS * (doppler.frequency_hz - mean_hz) / mean_hz
    used = np.ones(len(rate_mps), dtype=bool)
    degree = min(15, len(rate_mps) // 4)
    for _ in range(4):
        curve = np.polynomial.Chebyshev.fit(doppler.gps_ms[used], rate_mps[used], degree)
        residual_mps = rate_mps - curve(doppler.gps_ms)
        noise_mps = max(1.4826 * float(np.median(np.abs(residual_mps[used]))), _NOISE_MIN_MPS)
        used = np.abs(residual_mps) < 5.0 * noise_mps
    if used.sum() < max(10, len(used) // 2):
        raise ValueError("the frequencies do not vary smoothly; give those of one carrier in one pass")
    rows = np.flatnonzero(used)
    rows = rows[:: -(-len(rows) // _SAMPLES_MAX)]
    times = doppler.gps_ms[rows]
    turn = np.array([gcrf_from_teme(ms, frames).T @ frames.ecef_state_from_gcrf(ms)[:3, :3].T for ms in times.tolist()])
    position_m = turn @ doppler.station.position_m
    velocity_mps = np.cross(np.array((0.0, 0.0, EARTH_ROTATION_RAD_S)), position_m)
    station = np.concatenate((position_m, velocity_mps), axis=1)
    return RangeRates(times, rate_mps[rows], noise_mps, int((~used).sum()), station, turn @ doppler.station.axes[2])


class _Track:
    """Orbit of an object during a pass, in TEME; cubic Hermite interpolation is exact to centimetres."""

    def __init__(self, elements: MeanElements, rates: RangeRates) -> None:
        first, last = int(rates.gps_ms[0]), int(rates.gps_ms[-1])
        margin = round(1e3 * _SEARCH_S) + 2 * _TRACK_MS
        self._begin_ms = first - margin
        self._states = teme_states(elements, range(first - margin, last + margin + _TRACK_MS, _TRACK_MS))
        self._rates = rates
        self._offset_ms = rates.gps_ms - self._begin_ms

    def at(self, ahead_s: float) -> FloatArray:
        """Return the states (n, 6) at the times of the range rates plus `ahead_s`."""
        place = (self._offset_ms + 1e3 * ahead_s) / _TRACK_MS
        row = place.astype(np.int64)
        t, step_s = (place - row)[:, None], 1e-3 * _TRACK_MS
        before, after = self._states[row], self._states[row + 1]
        p0, v0, p1, v1 = before[:, :3], before[:, 3:], after[:, :3], after[:, 3:]
        jump, v0, v1 = p1 - p0, step_s * v0, step_s * v1
        two, three = 3.0 * jump - 2.0 * v0 - v1, v0 + v1 - 2.0 * jump
        position_m = p0 + t * (v0 + t * (two + t * three))
        velocity_mps = (v0 + t * (2.0 * two + 3.0 * t * three)) / step_s
        return np.concatenate((position_m, velocity_mps), axis=1)

    def highest_rad(self) -> float:
        """Return the largest elevation during the pass, for any permitted offset in time."""
        found = []
        for ahead_s in (-_SEARCH_S, 0.0, _SEARCH_S):
            line = self.at(ahead_s)[:, :3] - self._rates.station[:, :3]
            found.append(np.einsum("ni,ni->n", line, self._rates.up) / np.linalg.norm(line, axis=1))
        return math.asin(float(np.max(found)))


class _Line(NamedTuple):
    """Line of sight: unit vectors (n, 3), distances, relative velocities (n, 3) and range rates (n,)."""

    unit: FloatArray
    range_m: FloatArray
    velocity_mps: FloatArray
    rate_mps: FloatArray

    @classmethod
    def of(cls, states: FloatArray, station: FloatArray) -> "_Line":
        line, velocity_mps = states[:, :3] - station[:, :3], states[:, 3:] - station[:, 3:]
        range_m = np.sqrt(np.einsum("ni,ni->n", line, line))
        unit = line / range_m[:, None]
        return cls(unit, range_m, velocity_mps, np.einsum("ni,ni->n", unit, velocity_mps))


def _seen(track: _Track, rates: RangeRates, ahead_s: float) -> tuple[FloatArray, FloatArray]:
    """Return range rates (n,) of an object that is ahead in time, and their partials by the six quantities, (n, 6)."""
    states = track.at(ahead_s)
    unit, range_m, velocity, rate_mps = _Line.of(states, rates.station)
    turning = (velocity - rate_mps[:, None] * unit) / range_m[:, None]
    radius_m, speed_mps = (np.linalg.norm(states[:, part], axis=1).mean() for part in (slice(3), slice(3, 6)))
    motion = speed_mps / radius_m
    phase = 1e-3 * motion * (rates.gps_ms - rates.gps_ms.mean())
    cosine, sine, zero, one = np.cos(phase), np.sin(phase), np.zeros_like(phase), np.ones_like(phase)
    # Displacements along radial, transverse and normal by the quantities, and their rates (Clohessy & Wiltshire).
    moved = np.array(
        (
            (zero, one, zero),
            (one, -1.5 * phase, zero),
            (-cosine, 2.0 * sine, zero),
            (sine, 2.0 * cosine - 1.0, zero),
            (zero, zero, cosine),
            (zero, zero, sine),
        )
    )
    drift = motion * np.array(
        (
            (zero, zero, zero),
            (zero, -1.5 * one, zero),
            (sine, 2.0 * cosine, zero),
            (cosine, -2.0 * sine, zero),
            (zero, zero, -sine),
            (zero, zero, cosine),
        )
    )
    # The axes rotate with the orbit.
    drift[:, 0] -= motion * moved[:, 1]
    drift[:, 1] += motion * moved[:, 0]
    axes = rtn_axes(states)
    along_turning, along_line = (np.einsum("nij,nj->in", axes, vector) for vector in (turning, unit))
    partials: FloatArray = np.einsum("qin,in->nq", moved, along_turning) + np.einsum("qin,in->nq", drift, along_line)
    return rate_mps, partials


def _best_ahead_s(track: _Track, rates: RangeRates) -> float:
    """Return by how much an object is ahead in time, with the carrier's offset and drift that fit best."""
    centred_s = 1e-3 * (rates.gps_ms - rates.gps_ms.mean())
    carrier = np.stack((np.ones_like(centred_s), centred_s), axis=1)
    basis = np.linalg.qr(carrier)[0]

    def misfit(ahead_s: float) -> float:
        residual = rates.range_rate_mps - _Line.of(track.at(ahead_s), rates.station).rate_mps
        residual = residual - basis @ (basis.T @ residual)
        return float(residual @ residual)

    grid = np.arange(-_SEARCH_S, _SEARCH_S + 1.0, 4.0)
    best = float(grid[int(np.argmin([misfit(ahead_s) for ahead_s in grid.tolist()]))])
    step = 4.0
    while step > 0.01:
        best = min((best - step, best, best + step), key=misfit)
        best = min(max(best, -_SEARCH_S), _SEARCH_S)
        step *= 0.5
    return best


def identify_doppler(
    doppler: Doppler, elements: Sequence[MeanElements], prior_none: float, frames: EarthFrames
) -> Identification:
    """Return the probabilities of the objects of a catalogue for the Doppler shifts of one pass.

    Raises:
        ValueError: The frequencies are not those of one pass, or no object was above the horizon.
    """
    rates = range_rates(doppler, frames)
    middle_ms = int(rates.gps_ms.mean())
    tracks = []
    for one in nearest_sets(elements, middle_ms, 1):
        try:
            track = _Track(one, rates)
        except Sgp4Error:
            continue
        if track.highest_rad() > _HORIZON_RAD:
            tracks.append((one, track))
    if not tracks:
        begin, end = (utc_iso_from_gps_ms(int(rates.gps_ms[row])) for row in (0, -1))
        raise ValueError(
            f"no object of the catalogue was above the horizon of {doppler.station.name} from {begin} to {end};"
            " check the station and the times, which are UTC"
        )
    reference = np.tile(teme_states(tracks[0][0], [middle_ms])[0], (len(tracks), 1))
    kernel = _kernel(offsets(reference, [one for one, _ in tracks], [middle_ms] * len(tracks))[0])
    centred_s = 1e-3 * (rates.gps_ms - rates.gps_ms.mean())
    carrier = np.stack((_OFFSET_MPS * np.ones_like(centred_s), _DRIFT_MPS2 * centred_s), axis=1)
    unrelated = carrier @ carrier.T + rates.noise_mps**2 * np.eye(len(centred_s))
    evidence, others = [], []
    for one, track in tracks:
        ahead_s = _best_ahead_s(track, rates)
        along_m = ahead_s * float(np.linalg.norm(track.at(ahead_s)[0, 3:]))
        computed, partials = _seen(track, rates, ahead_s)
        # Linear in all quantities about the offset that fits best.
        residual = rates.range_rate_mps - computed + along_m * partials[:, 0]
        weighted = np.linalg.solve(unrelated, np.column_stack((partials, residual)))
        information, pull = partials.T @ weighted[:, :6], partials.T @ weighted[:, 6]
        misfit = float(residual @ weighted[:, 6])
        errors = _covariance(one, middle_ms)
        own = _log_evidence(information, pull, misfit, [(each.weight, each.of(errors)) for each in _SCALES])
        twin = _log_evidence(information, pull, misfit, [(share, errors + each) for share, each in _TWIN_COVARIANCES])
        late = int((np.log(_LATE_PRIOR) + own).argmax())
        others.append(_log_evidence(information, pull, misfit, [(1.0, errors + kernel)])[0])
        sigma_m = math.sqrt(errors[0, 0] + 1.0 / information[0, 0])
        evidence.append(_Evidence(one, own, float(twin[late] - own[late]), along_m, sigma_m))
    population = float(_log_sum(np.array(others))) - math.log(len(others))
    # An object that does not fit has no twin that does.
    least = population + math.log(2.0 * _MISTAGGED)
    evidence = [one if one.own.max() > least else one._replace(twin=_IMPOSSIBLE) for one in evidence]
    return _posterior(evidence, population, prior_none, middle_ms)


def _log_evidence(
    information: FloatArray, pull: FloatArray, misfit: float, mixture: Sequence[tuple[float, FloatArray]]
) -> FloatArray:
    """Return logarithms of densities (k,) of a linear observation of the quantities, with a mixture of covariances.

    `information` (6, 6) and `pull` (6,) are the normal matrix and vector of the observation, `misfit` is its squared
    residual without the quantities. The k common offsets are `_LATE_M`.
    """
    root = np.linalg.cholesky(np.array([covariance for _, covariance in mixture]))
    # With the quantities scaled to unit variance nothing is ill-conditioned.
    normal = np.eye(6) + root.swapaxes(1, 2) @ information @ root
    vector = root.swapaxes(1, 2) @ (pull[:, None] - information[:, :1] * _LATE_M)
    explained = (vector * np.linalg.solve(normal, vector)).sum(axis=1)
    late = misfit - 2.0 * pull[0] * _LATE_M + information[0, 0] * _LATE_M**2
    logs = -0.5 * (late - explained + np.linalg.slogdet(normal)[1][:, None])
    return _log_sum(np.log([weight for weight, _ in mixture])[:, None] + logs)


# What would decide

_HOURS: Final = (6, 12, 24, 48, 72, 120, 168)
_FRESH_M: Final = 6.0 * math.hypot(float(_SIGMA_M[0]), 1_500.0)
"""Distance at which fresh elements of two objects are distinct: six standard deviations of a difference."""


def deciding_measurement(found: Identification) -> str:
    """Return which measurement would decide between the candidates that remain, as a sentence."""
    if found.best.elements is None:
        return "Newer elements of all objects of the launch would decide, because this one may be missing."
    rivals = [one for one in found.candidates[1:] if one.elements is not None]
    if found.best.probability >= CERTAIN or not rivals:
        return ""
    first, second = found.best.elements, rivals[0].elements
    if found.candidates[1].elements is None or second is None:
        return "Newer elements would decide whether the offset is an error of these ones."
    for hours in (0, *_HOURS):
        gps_ms = found.gps_ms + 3_600_000 * hours
        try:
            states = teme_states(first, [gps_ms])
        except Sgp4Error:
            break
        apart_m = abs(float(offsets(states, [second], [gps_ms])[0][0, 0]))
        if apart_m > _FRESH_M:
            when = "now" if hours == 0 else f"after {utc_iso_from_gps_ms(gps_ms)[:16]}"
            return (
                f"{first.description} and {second.description} are {1e-3 * apart_m:.0f} km apart {when}: fixes with"
                " elements whose epoch is then would decide."
            )
    return (
        f"{first.description} and {second.description} stay within {1e-3 * _FRESH_M:.0f} km of each other for"
        " days: only a signal that names the satellite, or its operator's manoeuvre, would decide."
    )
