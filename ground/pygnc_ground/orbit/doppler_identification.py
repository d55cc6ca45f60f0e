"""Identification of a satellite in a catalogue by the Doppler shifts of one pass over a station.

The offset of the carrier and its drift are unknown. Range rates are linear in the errors of an object's elements about
the offset in time that fits best.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
from scipy.interpolate import CubicHermiteSpline

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.common.mean_elements import MeanElements
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from pygnc.environment.sgp4 import Sgp4Error, gcrf_from_teme, teme_states
from pygnc_ground.orbit.catalogue import nearest_sets
from pygnc_ground.orbit.element_errors import (
    LATE_M,
    LATE_PRIOR,
    SCALES,
    TWIN_COVARIANCES,
    TWIN_SHARE,
    covariance_of,
    kernel_of,
    offsets,
)
from pygnc_ground.orbit.identification import IMPOSSIBLE, Identification, Match, log_sum, posterior
from pygnc_ground.orbit.passes import SPEED_OF_LIGHT_MPS, Station
from pygnc_ground.orbit.solution import FloatArray, IntArray, rtn_axes

_MISTAGGED: Final = 0.05
"""Probability that an element set is of another object, or useless."""
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
        self._first_ms = int(rates.gps_ms[0])
        margin_ms = round(1e3 * _SEARCH_S) + _TRACK_MS
        times = np.arange(self._first_ms - margin_ms, int(rates.gps_ms[-1]) + margin_ms + _TRACK_MS, _TRACK_MS)
        states = teme_states(elements, times.tolist())
        self._position = CubicHermiteSpline(1e-3 * (times - self._first_ms), states[:, :3], states[:, 3:])
        self._velocity = self._position.derivative()
        self._rates = rates

    def at(self, ahead_s: float) -> FloatArray:
        """Return the states (n, 6) at the times of the range rates plus `ahead_s`."""
        times_s = 1e-3 * (self._rates.gps_ms - self._first_ms) + ahead_s
        return np.concatenate((self._position(times_s), self._velocity(times_s)), axis=1)

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
    kernel = kernel_of(offsets(reference, [one for one, _ in tracks], [middle_ms] * len(tracks))[0])
    centred_s = 1e-3 * (rates.gps_ms - rates.gps_ms.mean())
    carrier = np.stack((_OFFSET_MPS * np.ones_like(centred_s), _DRIFT_MPS2 * centred_s), axis=1)
    unrelated = carrier @ carrier.T + rates.noise_mps**2 * np.eye(len(centred_s))
    others, fits = [], []
    for one, track in tracks:
        ahead_s = _best_ahead_s(track, rates)
        along_m = ahead_s * float(np.linalg.norm(track.at(ahead_s)[0, 3:]))
        computed, partials = _seen(track, rates, ahead_s)
        # Linear in all quantities about the offset that fits best.
        residual = rates.range_rate_mps - computed + along_m * partials[:, 0]
        weighted = np.linalg.solve(unrelated, np.column_stack((partials, residual)))
        information, pull = partials.T @ weighted[:, :6], partials.T @ weighted[:, 6]
        misfit = float(residual @ weighted[:, 6])
        errors = covariance_of(one, middle_ms)
        own = _log_evidence(information, pull, misfit, [(each.weight, each.of(errors)) for each in SCALES])
        twin = _log_evidence(information, pull, misfit, [(share, errors + each) for share, each in TWIN_COVARIANCES])
        others.append(_log_evidence(information, pull, misfit, [(1.0, errors + kernel)])[0])
        fits.append((one, own, twin, along_m, math.sqrt(errors[0, 0] + 1.0 / information[0, 0])))
    population = float(log_sum(np.array(others))) - math.log(len(others))
    matches, twins = [], []
    for one, own, twin, along_m, sigma_m in fits:
        by_offset = np.logaddexp(math.log1p(-_MISTAGGED) + own - population, math.log(_MISTAGGED)) + np.log(LATE_PRIOR)
        matches.append(Match(one, float(log_sum(by_offset)), along_m, sigma_m))
        late = int((np.log(LATE_PRIOR) + own).argmax())
        # An object that does not fit has no twin that does.
        fitting = own.max() > population + math.log(2.0 * _MISTAGGED)
        twins.append(matches[-1].log_ratio + (float(twin[late] - own[late]) if fitting else IMPOSSIBLE))
    none = np.logaddexp(log_sum(np.array(twins)) - math.log(len(twins)), math.log1p(-TWIN_SHARE))
    return posterior(matches, float(none), prior_none, middle_ms)


def _log_evidence(
    information: FloatArray, pull: FloatArray, misfit: float, mixture: Sequence[tuple[float, FloatArray]]
) -> FloatArray:
    """Return logarithms of densities (k,) of a linear observation of the quantities, with a mixture of covariances.

    `information` (6, 6) and `pull` (6,) are the normal matrix and vector of the observation, `misfit` is its squared
    residual without the quantities. The k common offsets are `LATE_M`.
    """
    root = np.linalg.cholesky(np.array([covariance for _, covariance in mixture]))
    # With the quantities scaled to unit variance nothing is ill-conditioned.
    normal = np.eye(6) + root.swapaxes(1, 2) @ information @ root
    vector = root.swapaxes(1, 2) @ (pull[:, None] - information[:, :1] * LATE_M)
    explained = (vector * np.linalg.solve(normal, vector)).sum(axis=1)
    late = misfit - 2.0 * pull[0] * LATE_M + information[0, 0] * LATE_M**2
    logs = -0.5 * (late - explained + np.linalg.slogdet(normal)[1][:, None])
    return log_sum(np.log([weight for weight, _ in mixture])[:, None] + logs)
