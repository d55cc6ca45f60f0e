"""Cramer-Rao bound of relative positions in a formation, from its ranges and fixes.

All measurements are linearised on the true orbits, with the transition matrices of the orbit's bound and without any
code of the flight's formation estimator. Parameters are position, velocity and log drag factor of every satellite
and one bias per pair; all other forces are known. Rows A of measurements and priors, divided by their standard
deviations, are stacked and factored by QR (Golub & Van Loan, Matrix Computations, 5.3), and the covariance is R^-1
R^-T: in the information matrix A'A the weak directions of ranges alone would be lost in rounding.
"""

from dataclasses import dataclass, replace
from typing import Final, NamedTuple

import numpy as np
from rich.table import Table

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc.estimators.orbit.state import DRAG
from pygnc_cli.document import Document
from pygnc_ground.formation.relative import rtn_from_gcrf
from pygnc_ground.orbit.bound import BOUND_FRAMES, KnownFixes, linearise
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.scenario.formation import Satellite, satellites
from pygnc_ground.scenario.gps import Reception, position_errors, receptions, velocity_errors
from pygnc_ground.scenario.settings import Settings

_SIZE: Final = DRAG + 1
_UNINFORMATIVE_SIGMA: Final = np.repeat((1e5, 1e3), 3)
"""Standard deviation of an unknown position (m) and velocity (m/s)."""


@dataclass(frozen=True, slots=True, eq=False)
class FormationMotion:
    """True motion of s satellites, the first of which is our own, at n moments in order of time."""

    gps_ms: IntArray
    """GPS milliseconds of the moments, shape (n,)"""
    states_gcrf: FloatArray
    """Positions in m and velocities in m/s, shape (s, n, 6)"""
    d_state_d_first: FloatArray
    """Derivatives of position, velocity and log drag factor by those at the first moment, shape (s, n, 7, 7)"""
    ecef_from_gcrf: FloatArray
    """Rotation of states to ITRF, shape (n, 6, 6)"""


class RangeMeasurements(NamedTuple):
    """Geometry and noise of m ranges between satellites."""

    row: IntArray
    """Index of the moment, shape (m,)"""
    one: IntArray
    """Index of the satellite that measured, shape (m,); both directions of a pair share their bias"""
    other: IntArray
    """Index of the satellite at the other end, shape (m,)"""
    sigma_m: FloatArray
    """Standard deviation, shape (m,)"""


@dataclass(frozen=True, slots=True)
class FormationPriors:
    """Prior standard deviations, 0 for known parameters. Positions and velocities have no prior."""

    bias_m: float = 20.0
    """Range bias of each pair in m"""
    common_log_drag: float = 0.8
    """Part of the log drag factor that all satellites share"""
    differential_log_drag: float = 0.1
    """Each satellite's own part of the log drag factor"""


@dataclass(frozen=True, slots=True, eq=False)
class FormationBound:
    """Lower bound of the covariance of the states of p partners minus our own, at n moments."""

    motion: FormationMotion
    root: FloatArray
    """Root of the covariance of all partners, GCRF, m and m/s, shape (p, n, 6, k), with k independent columns"""
    bias_sigma_m: dict[tuple[int, int], float]
    """Standard deviation of the range bias by pair of satellites, lower index first"""
    partners: tuple[int, ...] = ()
    """Radio ids of the partners; none if only their number is known"""

    @property
    def covariance_rtn(self) -> FloatArray:
        """Covariance of each partner in RTN of our satellite, (p, n, 6, 6); velocities relative to rotating axes."""
        root = rtn_from_gcrf(self.motion.states_gcrf[0]) @ self.root
        return root @ root.swapaxes(-1, -2)

    @property
    def position_m(self) -> FloatArray:
        """3-D standard deviation of each relative position, (p, n)."""
        sigma: FloatArray = np.linalg.norm(self.root[:, :, :3], axis=(2, 3))
        return sigma

    @property
    def rms_m(self) -> FloatArray:
        """3-D standard deviation, RMS over all moments, (p,)."""
        rms: FloatArray = np.sqrt(np.mean(self.position_m**2, axis=1))
        return rms

    @property
    def rms_all_m(self) -> float:
        """3-D standard deviation, RMS over all moments and partners."""
        return float(np.sqrt(np.mean(self.rms_m**2)))


def linearise_formation(
    gps_ms: IntArray, states_gcrf: FloatArray, settings: OrbitSettings, frames: EarthFrames
) -> FormationMotion:
    """Return the motion along s true orbits (s, n, 6) at n moments by the flight's forces on a single orbit.

    Cost: 0.4 ms per satellite and step; a step leads to the next moment and is at most 30 s long.
    """
    no_fixes = np.full(states_gcrf.shape[1:], np.inf)
    d_state_d_first = np.tile(np.eye(_SIZE), (*states_gcrf.shape[:2], 1, 1))
    for transition, states in zip(d_state_d_first, states_gcrf, strict=True):
        steps = linearise(KnownFixes(gps_ms, states, no_fixes), settings, frames).transition
        steps = steps[:, :_SIZE, :_SIZE].copy()
        # The flight's log drag factor decays. Here it is constant.
        steps[:, DRAG, DRAG] = 1.0
        for row, step in enumerate(steps):
            transition[row + 1] = step @ transition[row]
    ecef_from_gcrf = np.array([frames.ecef_state_from_gcrf(moment) for moment in gps_ms.tolist()])
    return FormationMotion(gps_ms, states_gcrf, d_state_d_first, ecef_from_gcrf)


def formation_bound(
    motion: FormationMotion, fix_sigma: FloatArray, ranges: RangeMeasurements, priors: FormationPriors
) -> FormationBound:
    """Return the bound from all fixes and ranges, at all moments of the motion.

    `fix_sigma` has the standard deviations of position (m) and velocity (m/s) in ITRF, shape (s, n, 6); they are
    infinite without a fix.
    """
    count = len(motion.states_gcrf)
    links = [(min(link), max(link)) for link in zip(ranges.one.tolist(), ranges.other.tolist(), strict=True)]
    pairs = sorted(set(links))
    pair = np.array([pairs.index(link) for link in links], dtype=np.int64)
    prior_root = _prior_root(count, len(pairs), priors)
    rows = np.concatenate((_fix_rows(motion, fix_sigma, len(pairs)), _range_rows(motion, ranges, pair, len(pairs))))
    whitened = np.concatenate((rows @ prior_root, np.eye(prior_root.shape[1])))
    unit = 1.0 / np.linalg.norm(whitened, axis=0)
    root = prior_root * unit @ np.linalg.inv(np.linalg.qr(whitened * unit, mode="r"))
    positions = [
        d_state_d_first[:, :6] @ root[_state_columns(satellite)]
        for satellite, d_state_d_first in enumerate(motion.d_state_d_first)
    ]
    relative = np.stack([position - positions[0] for position in positions[1:]])
    bias_sigma_m = np.linalg.norm(root[_SIZE * count :], axis=1).tolist()
    return FormationBound(motion, relative, dict(zip(pairs, bias_sigma_m, strict=True)))


def _fix_rows(motion: FormationMotion, fix_sigma: FloatArray, pairs: int) -> FloatArray:
    """Return derivatives of all fixes by the parameters, divided by the fixes' sigmas, (6 s n, 7 s + pairs)."""
    count, moments = motion.d_state_d_first.shape[:2]
    rows = np.zeros((count, moments, 6, _SIZE * count + pairs))
    for satellite, d_state_d_first in enumerate(motion.d_state_d_first):
        whitened = motion.ecef_from_gcrf / fix_sigma[satellite][:, :, None]
        rows[satellite, :, :, _state_columns(satellite)] = whitened @ d_state_d_first[:, :6]
    return rows.reshape(6 * count * moments, -1)


def _range_rows(motion: FormationMotion, ranges: RangeMeasurements, pair: IntArray, pairs: int) -> FloatArray:
    """Return derivatives of all ranges by the parameters, divided by the ranges' sigmas, (m, 7 s + pairs)."""
    positions_m = motion.states_gcrf[:, ranges.row, :3]
    number = np.arange(len(ranges.row))
    relative_position_m = positions_m[ranges.one, number] - positions_m[ranges.other, number]
    whitened = relative_position_m / (np.linalg.norm(relative_position_m, axis=1) * ranges.sigma_m)[:, None]
    d_range_d_state = np.zeros((len(number), len(motion.d_state_d_first), _SIZE))
    for end, sign in ((ranges.one, 1.0), (ranges.other, -1.0)):
        d_range_d_state[number, end] = sign * np.einsum(
            "mi,mij->mj", whitened, motion.d_state_d_first[end, ranges.row, :3]
        )
    d_range_d_bias = np.zeros((len(number), pairs))
    d_range_d_bias[number, pair] = 1.0 / ranges.sigma_m
    return np.concatenate((d_range_d_state.reshape(len(number), -1), d_range_d_bias), axis=1)


def _prior_root(satellites: int, pairs: int, priors: FormationPriors) -> FloatArray:
    """Return a root of the prior covariance, (7 s + pairs, k). Known parameters have zero rows.

    Columns: six per satellite, one for the common drag, one for each satellite's own drag, one per bias.
    """
    common = 6 * satellites
    biases = common + 1 + satellites
    prior_root = np.zeros((_SIZE * satellites + pairs, biases + pairs))
    for satellite in range(satellites):
        state = _state_columns(satellite)
        prior_root[state.start : state.start + 6, 6 * satellite : 6 * satellite + 6] = np.diag(_UNINFORMATIVE_SIGMA)
        prior_root[state.start + DRAG, common] = priors.common_log_drag
        prior_root[state.start + DRAG, common + 1 + satellite] = priors.differential_log_drag
    prior_root[_SIZE * satellites :, biases:] = priors.bias_m * np.eye(pairs)
    return prior_root


def _state_columns(satellite: int) -> slice:
    """Return the columns of a satellite's state."""
    return slice(_SIZE * satellite, _SIZE * satellite + _SIZE)


_RANGE_NOISE_MIN_M = 1e-3
_FIX_NOISE_MIN = (1e-3, 1e-6)
"""Minimum noise in m and m/s, used for scenarios without noise."""


def bound_formation(scenario: Settings, settings: OrbitSettings | None = None) -> FormationBound:
    """Return the bound from all fixes and ranges of a scenario with partners.

    Args:
        scenario: Settings of the scenario.
        settings: Settings of the orbit filter, whose forces the bound has; by default the defaults.

    Raises:
        ValueError: The scenario has no partners.
    """
    everyone = satellites(scenario)
    if len(everyone) < 2:
        raise ValueError("the scenario has no [[partners]]; a formation bound needs at least one")
    bound = bound_of_satellites(scenario, everyone, settings or OrbitSettings(), BOUND_FRAMES, FormationPriors())
    return replace(bound, partners=tuple(each.id for each in everyone[1:]))


def bound_of_satellites(
    scenario: Settings,
    all_satellites: tuple[Satellite, ...],
    settings: OrbitSettings,
    frames: EarthFrames,
    priors: FormationPriors,
) -> FormationBound:
    """Return the bound from all fixes and ranges of the satellites of a scenario.

    Partners' fixes and their ranges to each other count if the scenario writes their files. Every exchange counts as
    a range and every fix has a velocity; outliers do not count, and coloured noise counts as white.
    """
    interval_s, record_s = scenario.ranging.interval_s, scenario.record_s
    exchanges_s = np.arange(interval_s, scenario.duration_s + 1, interval_s)
    t_s = np.union1d(exchanges_s, np.arange(record_s, scenario.duration_s + 1, record_s))
    with_fixes = len(all_satellites) if scenario.formation.all_satellites else 1
    fix_sigma = np.full((len(all_satellites), len(t_s), 6), np.inf)
    noise = position_errors(scenario.gps).sigma, velocity_errors(scenario.gps).sigma
    for number, satellite in enumerate(all_satellites[:with_fixes]):
        gps = satellite.settings.gps
        has_fix = receptions(gps, t_s, satellite.settings.record_s, satellite.settings.seed) == Reception.FIX
        fix_sigma[number, has_fix] = np.repeat(np.maximum(noise, _FIX_NOISE_MIN), 3)
    measuring = [one for one in range(with_fixes) if all_satellites[one].settings.ranging.missing_rate < 1.0]
    links = [(one, other) for one in measuring for other in range(len(all_satellites)) if one != other]
    row = np.repeat(np.searchsorted(t_s, exchanges_s), len(links))
    one, other = (np.tile(np.array(end), len(exchanges_s)) for end in zip(*links, strict=True))
    sigma_m = np.full(len(row), max(scenario.ranging.noise_m, _RANGE_NOISE_MIN_M))
    states = np.stack([satellite.path.states_gcrf(t_s) for satellite in all_satellites])
    motion = linearise_formation(scenario.start_gps_ms + 1000 * t_s, states, settings, frames)
    return formation_bound(motion, fix_sigma, RangeMeasurements(row, one, other, sigma_m), priors)


class PartnerBound(Document, frozen=True):
    """Bound of one partner."""

    r_m: float | None
    t_m: float | None
    n_m: float | None
    position_rms_m: float | None
    position_end_m: float | None


class FormationBoundDocument(Document, frozen=True):
    """Document of `pygnc bound --formation --json`: standard deviations, RMS over the arc and at its end."""

    first_gps_ms: int
    last_gps_ms: int
    position_rms_m: float | None
    partners: dict[str, PartnerBound]


def bound_document(bound: FormationBound) -> FormationBoundDocument:
    """Return the bound for `--json`."""
    names = PartnerBound.__struct_fields__
    return FormationBoundDocument(
        first_gps_ms=int(bound.motion.gps_ms[0]),
        last_gps_ms=int(bound.motion.gps_ms[-1]),
        position_rms_m=float(bound.rms_all_m),
        partners={
            str(partner): PartnerBound(**dict(zip(names, figures, strict=True)))
            for partner, figures in zip(bound.partners, _partner_figures(bound), strict=True)
        },
    )


def bound_table(bound: FormationBound) -> Table:
    """Return the bound as a table for the terminal."""
    first, last = (utc_iso_from_gps_ms(int(bound.motion.gps_ms[row])) for row in (0, -1))
    table = Table(
        title=f"Relative positions, {first} to {last}",
        caption=f"Standard deviations in m, RMS; all partners {bound.rms_all_m:.3f}",
    )
    for column in ("partner", "radial", "transverse", "normal", "3-D", "3-D at the end"):
        table.add_column(column, justify="right")
    for partner, figures in zip(bound.partners, _partner_figures(bound), strict=True):
        table.add_row(str(partner), *(f"{value:.3f}" for value in figures))
    return table


def _partner_figures(bound: FormationBound) -> list[list[float]]:
    """Return RMS along radial, transverse, normal and 3-D, and the last 3-D value, of each partner."""
    variance = np.einsum("pnii->pni", bound.covariance_rtn)[:, :, :3]
    columns: FloatArray = np.column_stack((np.sqrt(variance.mean(axis=1)), bound.rms_m, bound.position_m[:, -1]))
    figures: list[list[float]] = columns.tolist()
    return figures
