"""How small the errors of relative positions can be: Cramer-Rao bound of a formation from its ranges and fixes.

Everything is linearised on the true orbits, with the transition matrices of the orbit's bound and nothing of the
flight's formation estimator. Unknown are position, velocity and drag factor of every satellite and one bias per pair
of radios; the forces are known otherwise. The rows of all measurements and priors are stacked and factored together
(Golub & Van Loan, Matrix Computations, 5.3): the weak directions of ranges alone would drown in an information matrix.

Bound of a scenario's formation, and how it is shown.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
from rich.table import Table

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG
from pygnc_ground.formation.relative import elements_by_relative_state, rtn_from_gcrf
from pygnc_ground.orbit.bound import KnownFixes, linearise
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray
from pygnc_ground.scenario.formation import Satellite, satellites
from pygnc_ground.scenario.gps import Reception, receptions
from pygnc_ground.scenario.settings import Settings

_SIZE: Final = DRAG + 1
_UNKNOWN_SIGMA: Final = np.repeat((1e5, 1e3), 3)
"""Of position (m) and velocity (m/s) before the first measurement: as good as nothing."""


@dataclass(frozen=True, slots=True, eq=False)
class FormationMotion:
    """True motion of s satellites, the first of which is our own, at n moments in order of time."""

    gps_ms: IntArray
    """(n,)"""
    states_gcrf: FloatArray
    """(s, n, 6)"""
    by_start: FloatArray
    """(s, n, 7, 7), derivatives of position, velocity and logarithm of the drag factor by those at the first moment"""
    ecef_from_gcrf: FloatArray
    """(n, 6, 6), takes states to ITRF"""


class RangeSightings(NamedTuple):
    """m ranges between satellites."""

    row: IntArray
    """(m,), index of the moment"""
    one: IntArray
    """(m,), index of the satellite that measured; the two directions of a pair share their bias"""
    other: IntArray
    """(m,)"""
    sigma_m: FloatArray
    """(m,)"""


class FormationSightings(NamedTuple):
    """What is measured."""

    fix_sigma: FloatArray
    """(s, n, 6), standard deviations of position (m) and velocity (m/s) per ITRF axis; infinite where there is none"""
    ranges: RangeSightings


@dataclass(frozen=True, slots=True)
class FormationPriors:
    """Standard deviations of what is known beforehand, 0 for known; nothing of where the satellites are."""

    bias_m: float = 20.0
    """Of each pair's range bias"""
    common_log_drag: float = 0.8
    """Of the logarithm of the drag factor, the part that all satellites share"""
    differential_log_drag: float = 0.1
    """Of each satellite's own part"""


@dataclass(frozen=True, slots=True, eq=False)
class FormationBound:
    """Least covariance of the states of p partners minus our own, at n moments."""

    motion: FormationMotion
    root: FloatArray
    """(n, 6p, k), GCRF, partner after partner: errors are its product with k independent numbers of unit variance"""
    bias_sigma_m: dict[tuple[int, int], float]
    """By pair of satellites, lower index first"""

    @property
    def covariance(self) -> FloatArray:
        """Of all partners together, (n, 6p, 6p)."""
        return self.root @ self.root.transpose(0, 2, 1)

    @property
    def covariance_gcrf(self) -> FloatArray:
        """Of each partner alone, (p, n, 6, 6)."""
        moments, width, _ = self.covariance.shape
        each = self.covariance.reshape(moments, width // 6, 6, width // 6, 6)
        covariance: FloatArray = np.einsum("npipj->pnij", each)
        return covariance

    @property
    def covariance_rtn(self) -> FloatArray:
        """The same along radial, transverse and normal of our satellite, velocities relative to the turning axes."""
        return _turned(rtn_from_gcrf(self.motion.states_gcrf[0]), self.covariance_gcrf)

    @property
    def covariance_elements(self) -> FloatArray:
        """The same of relative orbital elements in m, in the order of the flight's `relative_elements`."""
        states = self.motion.states_gcrf
        return _turned(elements_by_relative_state(states[0], states[1:]), self.covariance_gcrf)

    @property
    def position_m(self) -> FloatArray:
        """3-D standard deviation of each relative position, (p, n)."""
        sigma: FloatArray = np.sqrt(np.trace(self.covariance_gcrf[..., :3, :3], axis1=-2, axis2=-1))
        return sigma

    @property
    def rms_m(self) -> FloatArray:
        """The same over all moments, (p,)."""
        rms: FloatArray = np.sqrt(np.mean(self.position_m**2, axis=1))
        return rms

    @property
    def rms_all_m(self) -> float:
        """Over all moments and partners."""
        return float(np.sqrt(np.mean(self.rms_m**2)))

    def draw_rms_m(self, count: int, draw: np.random.Generator) -> FloatArray:
        """RMS over all moments and partners of the errors that an efficient estimator makes in so many trials."""
        moments, width, size = self.root.shape
        places = self.root.reshape(moments, width // 6, 6, size)[:, :, :3].reshape(-1, size)
        weights = np.linalg.eigvalsh(3.0 * places.T @ places / len(places))
        rms: FloatArray = np.sqrt(draw.standard_normal((count, size)) ** 2 @ np.maximum(weights, 0.0))
        return rms


def linearise_formation(
    gps_ms: IntArray, states_gcrf: FloatArray, settings: OrbitSettings, frames: EarthFrames
) -> FormationMotion:
    """Motion along true orbits, gps_ms (n,), states (s, n, 6), by the flight's forces on a single orbit.

    Cost: 0.4 ms per satellite and per moment or started 30 s.
    """
    nothing = np.full(states_gcrf.shape[1:], np.inf)
    by_start = np.tile(np.eye(_SIZE), (*states_gcrf.shape[:2], 1, 1))
    for carried, states in zip(by_start, states_gcrf, strict=True):
        steps = linearise(KnownFixes(gps_ms, states, nothing), settings, frames).transition
        steps = steps[:, :_SIZE, :_SIZE].copy()
        # The flight's drag factor fades. This one is a constant.
        steps[:, DRAG, DRAG] = 1.0
        for row, step in enumerate(steps):
            carried[row + 1] = step @ carried[row]
    ecef_from_gcrf = np.array([frames.ecef_state_from_gcrf(moment) for moment in gps_ms.tolist()])
    return FormationMotion(gps_ms, states_gcrf, by_start, ecef_from_gcrf)


def formation_bound(motion: FormationMotion, sightings: FormationSightings, priors: FormationPriors) -> FormationBound:
    """Bound from all measurements, at all moments of the motion."""
    count, ranges = len(motion.states_gcrf), sightings.ranges
    links = [(min(link), max(link)) for link in zip(ranges.one.tolist(), ranges.other.tolist(), strict=True)]
    pairs = sorted(set(links))
    pair = np.array([pairs.index(link) for link in links], dtype=np.int64)
    spread = _spread(count, len(pairs), priors)
    measured = np.concatenate((_fix_rows(motion, sightings, len(pairs)), _range_rows(motion, ranges, pair, len(pairs))))
    whitened = np.concatenate((measured @ spread, np.eye(spread.shape[1])))
    unit = 1.0 / np.linalg.norm(whitened, axis=0)
    root = spread * unit @ np.linalg.inv(np.linalg.qr(whitened * unit, mode="r"))
    placed = [by_start[:, :6] @ root[_of(satellite)] for satellite, by_start in enumerate(motion.by_start)]
    relative = np.concatenate([place - placed[0] for place in placed[1:]], axis=1)
    bias_sigma_m = np.linalg.norm(root[_SIZE * count :], axis=1).tolist()
    return FormationBound(motion, relative, dict(zip(pairs, bias_sigma_m, strict=True)))


def _fix_rows(motion: FormationMotion, sightings: FormationSightings, pairs: int) -> FloatArray:
    """Derivatives of all fixes by the unknowns over their standard deviations, (6 s n, 7 s + pairs)."""
    count, moments = motion.by_start.shape[:2]
    rows = np.zeros((count, moments, 6, _SIZE * count + pairs))
    for satellite, by_start in enumerate(motion.by_start):
        whitened = motion.ecef_from_gcrf / sightings.fix_sigma[satellite][:, :, None]
        rows[satellite, :, :, _of(satellite)] = whitened @ by_start[:, :6]
    return rows.reshape(6 * count * moments, -1)


def _range_rows(motion: FormationMotion, ranges: RangeSightings, pair: IntArray, pairs: int) -> FloatArray:
    """Derivatives of all ranges by the unknowns over their standard deviations, (m, 7 s + pairs)."""
    places_m = motion.states_gcrf[:, ranges.row, :3]
    number = np.arange(len(ranges.row))
    apart_m = places_m[ranges.one, number] - places_m[ranges.other, number]
    whitened = apart_m / (np.linalg.norm(apart_m, axis=1) * ranges.sigma_m)[:, None]
    by_state = np.zeros((len(number), len(motion.by_start), _SIZE))
    for end, sign in ((ranges.one, 1.0), (ranges.other, -1.0)):
        by_state[number, end] = sign * np.einsum("mi,mij->mj", whitened, motion.by_start[end, ranges.row, :3])
    by_bias = np.zeros((len(number), pairs))
    by_bias[number, pair] = 1.0 / ranges.sigma_m
    return np.concatenate((by_state.reshape(len(number), -1), by_bias), axis=1)


def _spread(satellites: int, pairs: int, priors: FormationPriors) -> FloatArray:
    """What the unknowns are of independent numbers of unit variance, (7 s + pairs, k); what is known depends on none.

    The numbers are six per satellite, one for the drag of all, one for that of each, and one per bias.
    """
    common = 6 * satellites
    biases = common + 1 + satellites
    spread = np.zeros((_SIZE * satellites + pairs, biases + pairs))
    for satellite in range(satellites):
        state = _of(satellite)
        spread[state.start : state.start + 6, 6 * satellite : 6 * satellite + 6] = np.diag(_UNKNOWN_SIGMA)
        spread[state.start + DRAG, common] = priors.common_log_drag
        spread[state.start + DRAG, common + 1 + satellite] = priors.differential_log_drag
    spread[_SIZE * satellites :, biases:] = priors.bias_m * np.eye(pairs)
    return spread


def _turned(matrices: FloatArray, covariance: FloatArray) -> FloatArray:
    turned: FloatArray = matrices @ covariance @ np.swapaxes(matrices, -1, -2)
    return turned


def _of(satellite: int) -> slice:
    """A satellite's place among the unknowns."""
    return slice(_SIZE * satellite, _SIZE * satellite + _SIZE)


_LEAST_RANGE_NOISE_M = 1e-3
_LEAST_FIX_NOISE = (1e-3, 1e-6)
"""Of scenarios without noise, in m and m/s."""


def bound_of_scenario(
    scenario: Settings, settings: OrbitSettings, frames: EarthFrames
) -> tuple[FormationBound, tuple[int, ...]]:
    """Bound from the fixes of the sense and range files and all ranges, and the partners' radio ids.

    Partners' fixes and their ranges to each other count if the scenario makes their files. Every exchange gives a
    range and every fix a velocity, outliers are left out.

    Raises:
        ValueError: There are no partners.
    """
    everyone = satellites(scenario)
    if len(everyone) < 2:
        raise ValueError("the scenario has no [[partners]]")
    interval_s, record_s = scenario.ranging.interval_s, scenario.record_s
    exchanges_s = np.arange(interval_s, scenario.duration_s + 1, interval_s)
    t_s = np.union1d(exchanges_s, np.arange(record_s, scenario.duration_s + 1, record_s))
    shown = len(everyone) if scenario.formation.all_satellites else 1
    fix_sigma = np.full((len(everyone), len(t_s), 6), np.inf)
    for number, satellite in enumerate(everyone[:shown]):
        fix_sigma[number, _has_fix(satellite, t_s)] = _fix_sigma(scenario)
    links = [(one, other) for one in range(shown) for other in range(len(everyone)) if one != other]
    row = np.repeat(np.searchsorted(t_s, exchanges_s), len(links))
    one, other = (np.tile(np.array(end), len(exchanges_s)) for end in zip(*links, strict=True))
    sigma_m = np.full(len(row), max(scenario.ranging.noise_m, _LEAST_RANGE_NOISE_M))
    states = np.stack([satellite.path.states_gcrf(t_s) for satellite in everyone])
    motion = linearise_formation(scenario.start_gps_ms + 1000 * t_s, states, settings, frames)
    sightings = FormationSightings(fix_sigma, RangeSightings(row, one, other, sigma_m))
    return formation_bound(motion, sightings, FormationPriors()), tuple(each.id for each in everyone[1:])


def as_json(bound: FormationBound, partners: tuple[int, ...]) -> dict[str, object]:
    """For programs; standard deviations, RMS over the arc and at its end."""
    return {
        "first_gps_ms": int(bound.motion.gps_ms[0]),
        "last_gps_ms": int(bound.motion.gps_ms[-1]),
        "position_rms_m": bound.rms_all_m,
        "partners": {
            str(partner): dict(zip(("r_m", "t_m", "n_m", "position_rms_m", "position_end_m"), figures, strict=True))
            for partner, figures in zip(partners, _figures(bound), strict=True)
        },
    }


def as_table(bound: FormationBound, partners: tuple[int, ...]) -> Table:
    """For people."""
    first, last = (utc_iso_from_gps_ms(int(bound.motion.gps_ms[row])) for row in (0, -1))
    table = Table(
        title=f"Relative positions, {first} to {last}",
        caption=f"Standard deviations in m, RMS; all partners {bound.rms_all_m:.3f}",
    )
    for column in ("partner", "radial", "transverse", "normal", "3-D", "3-D at the end"):
        table.add_column(column, justify="right")
    for partner, figures in zip(partners, _figures(bound), strict=True):
        table.add_row(str(partner), *(f"{value:.3f}" for value in figures))
    return table


def _figures(bound: FormationBound) -> list[list[float]]:
    """RMS along radial, transverse, normal and altogether, and the last value, of each partner."""
    variance = np.einsum("pnii->pni", bound.covariance_rtn)[:, :, :3]
    columns: FloatArray = np.column_stack((np.sqrt(variance.mean(axis=1)), bound.rms_m, bound.position_m[:, -1]))
    figures: list[list[float]] = columns.tolist()
    return figures


def _has_fix(satellite: Satellite, t_s: IntArray) -> BoolArray:
    settings = satellite.settings
    return np.asarray(receptions(settings.gps, t_s, settings.record_s, settings.seed) == Reception.FIX)


def _fix_sigma(scenario: Settings) -> FloatArray:
    """The white noise of position and velocity, (6,)."""
    noise = (scenario.gps.position_noise_m, scenario.gps.velocity_noise_mps)
    return np.repeat([max(pair) for pair in zip(noise, _LEAST_FIX_NOISE, strict=True)], 3)
