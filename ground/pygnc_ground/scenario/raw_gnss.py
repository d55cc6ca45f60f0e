"""Raw measurements of a simulated receiver: codes and carrier phases in RINEX, with broadcast and precise orbits.

Distances follow from positions in GCRF by brahe, so that light time needs no correction for the Earth's rotation.
Nothing is shared with the models of the estimator.

Sources: electron content above a height: Chapman layer, as by Montenbruck & Gill, Ionospheric correction for GPS
tracking of LEO satellites, J. Navigation 55, 2002; noise of a delay-locked loop and a phase-locked loop: Kaplan &
Hegarty, Understanding GPS, 2006, chapter 5.
"""

import math
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc_ground.gnss.broadcast import Klobuchar
from pygnc_ground.gnss.measurements import HALF_CYCLE, LOST_LOCK, GnssMeasurements, ReceiverFacts
from pygnc_ground.gnss.rinex_navigation import write_navigation
from pygnc_ground.gnss.rinex_writer import write_rinex3
from pygnc_ground.scenario import environment
from pygnc_ground.scenario.constellation import (
    SPEED_OF_LIGHT_MPS,
    Transmitter,
    broadcast,
    constellation,
    precise_orbits,
)
from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.sensor_settings import RawGnss
from pygnc_ground.scenario.settings import Settings, noise_generator
from pygnc_ground.scenario.trajectory import SatellitePath

_HZ: Final = (1_575.42e6, 1_227.60e6)
_WAVELENGTHS_M: Final = tuple(SPEED_OF_LIGHT_MPS / hz for hz in _HZ)
_MU_M3_S2: Final = 3.986_004_418e14
_DELAY_M_HZ2_PER_TECU: Final = 40.308e16
_PEAK_M: Final = 350e3
_SCALE_HEIGHT_M: Final = 75e3
_SHELL_ABOVE_M: Final = 100e3
"""Height of the thin layer above the satellite."""
_EARTH_RADIUS_M: Final = 6_371e3
_NIGHT_SHARE: Final = 0.2
_LATE_RAD: Final = math.radians(30.0)
"""The electron content is largest two hours after noon."""
_WAVES: Final = 12
_WAVE_LENGTHS_M: Final = (150e3, 1500e3)
_BIAS_DRIFT_CYCLES: Final = 0.02
_BIAS_PERIOD_S: Final = 5700.0
_ZENITH_DB_HZ: Final = 50.0
_HORIZON_DB_HZ: Final = 33.0
_L2_LOSS_DB: Final = 6.0
_CHIP_M: Final = 293.05
_P_CHIP_M: Final = 29.305
_CODE_BANDWIDTH_HZ: Final = 0.2
_CODE_SPACING_CHIPS: Final = 0.5
_PHASE_BANDWIDTH_HZ: Final = 10.0
_MULTIPATH_FALL_DEG: Final = 20.0
_PHASE_MULTIPATH: Final = 0.01
_HALF_CYCLE_S: Final = 30.0
_LARGEST_SLIP: Final = 20
_JUMP_S: Final = 1e-3
_BEGIN_TOLERANCE_S: Final = 1e-6
"""Time before the begin of the orbit, by noise of the clock, at which the satellite is still at its begin: 8 mm."""


class RawFiles(NamedTuple):
    """Files of a receiver's raw measurements."""

    observations: bytes
    """RINEX 3."""
    navigation: bytes
    """RINEX 3, broadcast messages with errors."""
    precise: bytes
    """SP3-c, true orbits and clocks."""
    clock_s: FloatArray
    """True offset of the receiver clock at each epoch."""
    cycles: FloatArray
    """True ambiguities with slips and wind-up of each measurement on both frequencies in cycles, shape (n, 2)."""


def raw_files(settings: Settings, path: SatellitePath, sky_seed: int | None = None) -> RawFiles | None:
    """Return the files of a satellite, or None if the settings demand none.

    Satellites of a formation have the same `sky_seed`: GPS satellites and ionosphere are common to them. Their
    receivers differ by the settings' own seeds.

    Raises:
        ValueError: No satellite is in view, or the Earth orientation is unknown at the time of the constellation.
    """
    receiver = settings.raw_gnss
    if receiver.interval_s == 0:
        return None
    sky = settings.seed if sky_seed is None else sky_seed
    span = settings.start_gps_ms, settings.duration_s, sky
    measurements, clock_s, cycles = simulated(settings, path, constellation(*span), sky)
    messages = broadcast(*span, receiver.signal_in_space_m)
    note = "Simulated by pygnc scenario; the antenna faces the zenith."
    return RawFiles(
        write_rinex3(measurements, note),
        write_navigation(messages, _klobuchar(receiver)),
        precise_orbits(*span),
        clock_s,
        cycles,
    )


def _klobuchar(receiver: RawGnss) -> Klobuchar:
    """Return a model for the ground with the electron content at night and under the Sun."""
    at_zenith_s = receiver.ionosphere_tecu * _DELAY_M_HZ2_PER_TECU / _HZ[0] ** 2 / SPEED_OF_LIGHT_MPS
    return Klobuchar((at_zenith_s, 0.0, 0.0, 0.0), (90_000.0, 0.0, 0.0, 0.0))


def receiver_clock_s(receiver: RawGnss, t_s: FloatArray, seed: int) -> FloatArray:
    """Return the receiver clock minus GPS time at epochs, shape (n,)."""
    steps_m = noise_generator(seed, "raw_gnss.clock").standard_normal(len(t_s)) * receiver.clock_noise_m
    walk_m = np.cumsum(steps_m) * math.sqrt(receiver.interval_s)
    offset_s = receiver.clock_offset_s + 1e-6 * receiver.clock_drift_ppm * t_s + walk_m / SPEED_OF_LIGHT_MPS
    return offset_s - _JUMP_S * np.rint(offset_s / _JUMP_S) if receiver.clock_jumps else offset_s


class _Link(NamedTuple):
    """True link from a transmitter to the receiver at the epochs at which it is in view, m."""

    row: npt.NDArray[np.int64]
    range_m: FloatArray
    """Distance with clocks of transmitter and receiver and the relativistic delay."""
    elevation_deg: FloatArray
    delay_m_hz2: FloatArray
    """Delay in the ionosphere times the square of the frequency."""
    wind_up_cycles: FloatArray
    azimuth_rad: FloatArray


def simulated(
    settings: Settings, path: SatellitePath, everyone: tuple[Transmitter, ...], sky_seed: int
) -> tuple[GnssMeasurements, FloatArray, FloatArray]:
    """Return the measurements, the true offset of the receiver clock at each epoch, and the true `RawFiles.cycles`."""
    receiver, seed = settings.raw_gnss, settings.seed
    t_s = np.arange(0.0, settings.duration_s + 1e-6, receiver.interval_s)
    t_s = t_s[t_s < settings.duration_s - 1.0]
    clock_s = receiver_clock_s(receiver, t_s, seed)
    # Measurements are taken when the receiver's clock shows whole intervals; an orbit begins at the start.
    begun = t_s - clock_s > -_BEGIN_TOLERANCE_S
    t_s, clock_s = t_s[begun], clock_s[begun]
    true_s = np.maximum(t_s - clock_s, 0.0)
    states = path.states_gcrf(true_s)
    sun_m = environment.sun_position_gcrf_m(settings.start_gps_ms, t_s)
    waves = _Waves.drawn(sky_seed, receiver.ionosphere_waves)
    links = [_link(receiver, one, true_s, states, sun_m, waves) for one in everyone]
    tracked = _tracked(receiver, links, len(t_s))
    parts = [
        _signals(settings, one, link, clock_s, tracked[number][link.row])
        for number, (one, link) in enumerate(zip(everyone, links, strict=True))
    ]
    if not any(len(part["row"]) for part in parts):
        raise ValueError("no satellite of the constellation is in view; lower raw_gnss.elevation_mask_deg")
    table = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    order = np.lexsort((table["satellite"], table["row"]))
    row = table.pop("row")[order]
    facts = ReceiverFacts(marker="SIMULATED", receiver="PYGNC", interval_s=float(receiver.interval_s))
    gps_ms = settings.start_gps_ms + np.rint(1e3 * t_s).astype(np.int64)[row]
    columns: dict[str, Any] = {name: values[order] for name, values in table.items()}
    cycles = np.column_stack([columns.pop(f"cycles_l{band}") for band in (1, 2)])
    found = GnssMeasurements(gps_ms=gps_ms, fraction_s=np.zeros(len(row)), facts=facts, **columns)
    return found.without_l2() if receiver.frequencies == 1 else found, clock_s, cycles


class _Waves(NamedTuple):
    """Plane waves of the electron content through the thin layer, at rest relative to the stars."""

    vectors: FloatArray
    """Wave vectors for directions from the Earth's centre in rad, shape (w, 3)."""
    phases_rad: FloatArray
    share: float
    """Standard deviation of the content, as a part of its mean."""

    @classmethod
    def drawn(cls, seed: int, share: float) -> "_Waves":
        rng = noise_generator(seed, "gnss.ionosphere")
        directions = rng.standard_normal((_WAVES, 3))
        directions /= np.linalg.norm(directions, axis=1, keepdims=True)
        lengths_m = rng.uniform(*_WAVE_LENGTHS_M, _WAVES)
        vectors = 2.0 * math.pi * _EARTH_RADIUS_M / lengths_m[:, np.newaxis] * directions
        return cls(vectors, rng.uniform(0.0, 2.0 * math.pi, _WAVES), share)

    def factors(self, pierce: FloatArray) -> FloatArray:
        """Return the electron content at unit vectors (n, 3) relative to its mean, shape (n,)."""
        waves = np.cos(pierce @ self.vectors.T + self.phases_rad).sum(axis=1)
        return np.asarray(1.0 + self.share * math.sqrt(2.0 / _WAVES) * waves)


def _link(  # noqa: PLR0917 - both ends, and what is between them
    receiver: RawGnss, one: Transmitter, t_s: FloatArray, states: FloatArray, sun_m: FloatArray, waves: _Waves
) -> _Link:
    position_m = states[:, :3]
    travel_s = np.full(len(t_s), 0.075)
    for _ in range(4):
        sent_s = t_s - travel_s
        sight_m = one.orbit(sent_s) - position_m
        travel_s = np.linalg.norm(sight_m, axis=1) / SPEED_OF_LIGHT_MPS
    distance_m = travel_s * SPEED_OF_LIGHT_MPS
    sight = sight_m / distance_m[:, np.newaxis]
    up = position_m / np.linalg.norm(position_m, axis=1, keepdims=True)
    elevation = np.arcsin(np.einsum("ni,ni->n", up, sight))
    row = np.flatnonzero(np.degrees(elevation) >= receiver.elevation_mask_deg)
    orbit_m, velocity_mps = one.orbit(sent_s), one.orbit(sent_s, 1)
    relativity_s = -2.0 * np.einsum("ni,ni->n", orbit_m, velocity_mps) / SPEED_OF_LIGHT_MPS**2
    sent_clock_m = SPEED_OF_LIGHT_MPS * (one.clock(sent_s) + relativity_s)
    sum_m = np.linalg.norm(orbit_m, axis=1) + np.linalg.norm(position_m, axis=1)
    shapiro_m = 2.0 * _MU_M3_S2 / SPEED_OF_LIGHT_MPS**2 * np.log((sum_m + distance_m) / (sum_m - distance_m))
    return _Link(
        row,
        (distance_m - sent_clock_m + shapiro_m)[row],
        np.degrees(elevation[row]),
        _ionosphere_m_hz2(receiver, position_m[row], sight[row], elevation[row], sun_m[row], waves),
        _wind_up_cycles(orbit_m[row], sun_m[row], states[row], -sight[row]),
        _azimuth(states[row], sight[row]),
    )


def _azimuth(states: FloatArray, sight: FloatArray) -> FloatArray:
    """Return angles from the direction of flight, rad, shape (n,)."""
    normal = np.cross(states[:, :3], states[:, 3:])
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    along = np.cross(normal, states[:, :3])
    along /= np.linalg.norm(along, axis=1, keepdims=True)
    across, forward = np.einsum("ni,ni->n", normal, sight), np.einsum("ni,ni->n", along, sight)
    return np.asarray(np.arctan2(across, forward))


def _ionosphere_m_hz2(  # noqa: PLR0917 - geometry and the layer
    receiver: RawGnss,
    position_m: FloatArray,
    sight: FloatArray,
    elevation: FloatArray,
    sun_m: FloatArray,
    waves: _Waves,
) -> FloatArray:
    """Return the delay of codes times the square of the frequency: thin layer above the satellite."""
    if not len(position_m):
        return np.zeros(0)
    radius_m = np.linalg.norm(position_m, axis=1)
    share = [
        math.erf(math.exp(-(height_m - _PEAK_M) / (2.0 * _SCALE_HEIGHT_M)) / math.sqrt(2.0))
        for height_m in (radius_m - _EARTH_RADIUS_M).tolist()
    ]
    shell_m = radius_m + _SHELL_ABOVE_M
    # Below the horizon the ray crosses the layer upwards all the same; its lower part is left out.
    along_m = np.sqrt(shell_m**2 - (radius_m * np.cos(elevation)) ** 2) - radius_m * np.sin(elevation)
    pierce = position_m + along_m[:, np.newaxis] * sight
    pierce /= np.linalg.norm(pierce, axis=1, keepdims=True)
    oblique = 1.0 / np.sqrt(1.0 - (radius_m * np.cos(elevation) / shell_m) ** 2)
    cosine, sine = math.cos(_LATE_RAD), math.sin(_LATE_RAD)
    late = np.array([[cosine, sine, 0.0], [-sine, cosine, 0.0], [0.0, 0.0, 1.0]])
    to_sun = sun_m @ late / np.linalg.norm(sun_m, axis=1, keepdims=True)
    light = np.maximum(np.einsum("ni,ni->n", pierce, to_sun), 0.0)
    tecu = receiver.ionosphere_tecu * (_NIGHT_SHARE + (1.0 - _NIGHT_SHARE) * light)
    return np.asarray(_DELAY_M_HZ2_PER_TECU * tecu * np.array(share) * oblique * waves.factors(pierce))


def _wind_up_cycles(orbit_m: FloatArray, sun_m: FloatArray, states: FloatArray, toward: FloatArray) -> FloatArray:
    """Return the phase of a circularly polarised wave by the attitudes of both antennas, without jumps, in cycles.

    The transmitter points its z axis to the Earth and its y axis across the direction to the Sun; the receiver's z axis
    is the zenith and its x axis is along the flight. `toward` are directions from transmitter to receiver.
    """

    def unit(vectors: FloatArray) -> FloatArray:
        return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))

    down = -unit(orbit_m)
    across = unit(np.cross(down, sun_m - orbit_m))
    sent = np.cross(across, down) - 1j * across
    up = unit(states[:, :3])
    normal = unit(np.cross(states[:, :3], states[:, 3:]))
    along = np.cross(normal, up)
    received = along - 1j * np.cross(up, along)
    wave = sent - toward * np.einsum("ni,ni->n", sent, toward)[:, np.newaxis]
    phase = np.angle(np.einsum("ni,ni->n", wave, received))
    # A received phase that is larger makes the distance seem shorter.
    return -np.unwrap(phase) / (2.0 * math.pi) if len(phase) else np.zeros(0)


def _tracked(receiver: RawGnss, links: list[_Link], count: int) -> npt.NDArray[np.bool_]:
    """Return True where a channel tracks a satellite, shape (satellites, epochs)."""
    elevation = np.full((len(links), count), -np.inf)
    for number, link in enumerate(links):
        elevation[number, link.row] = link.elevation_deg
    rank = np.argsort(np.argsort(-elevation, axis=0, kind="stable"), axis=0, kind="stable")
    tracked: npt.NDArray[np.bool_] = (rank < receiver.channels) & np.isfinite(elevation)
    return tracked


def _signals(
    settings: Settings, one: Transmitter, link: _Link, clock_s: FloatArray, is_tracked: npt.NDArray[np.bool_]
) -> dict[str, npt.NDArray[np.generic]]:
    """Return the columns of the measurements of one satellite."""
    receiver = settings.raw_gnss
    rng = noise_generator(settings.seed, f"raw_gnss.{one.name}")
    count = len(link.row)
    pseudorange_m = link.range_m + SPEED_OF_LIGHT_MPS * clock_s[link.row]
    cn0 = _HORIZON_DB_HZ + (_ZENITH_DB_HZ - _HORIZON_DB_HZ) * np.sin(np.radians(np.maximum(link.elevation_deg, 0.0)))
    passes = np.cumsum(np.diff(link.row, prepend=-10) > 1, dtype=np.int64)
    multipath = _multipath(receiver, link, rng, passes)
    columns: dict[str, npt.NDArray[np.generic]] = {"row": link.row, "satellite": np.full(count, one.name)}
    slips = _slips(receiver, rng, count)
    drift_cycles, pattern_m = _phase_bias_cycles(settings, link), _pattern_m(settings, link)
    for band, (hz, wavelength_m) in enumerate(zip(_HZ, _WAVELENGTHS_M, strict=True)):
        density = 10.0 ** ((cn0 - _L2_LOSS_DB * band) / 10.0)
        noise = math.sqrt(_CODE_BANDWIDTH_HZ * _CODE_SPACING_CHIPS / 2.0) / np.sqrt(density)
        code_m = pseudorange_m + link.delay_m_hz2 / hz**2
        if band == 0:
            columns["code_l1_m"] = code_m + multipath[0] + _CHIP_M * noise * rng.standard_normal(count)
        # P(Y) codes are tracked without the key, which loses as much as their chips are shorter at low elevations.
        p_noise_m = 3.0 * _P_CHIP_M * noise * rng.standard_normal(count)
        columns[f"code_p{band + 1}_m"] = code_m + multipath[1 + band] + p_noise_m
        phase_m = pseudorange_m - link.delay_m_hz2 / hz**2 + _PHASE_MULTIPATH * multipath[3 + band]
        phase_m += wavelength_m / (2.0 * math.pi) * np.sqrt(_PHASE_BANDWIDTH_HZ / density) * rng.standard_normal(count)
        ambiguity = rng.integers(-1_000_000, 1_000_000, passes[-1] + 1 if count else 1)[passes]
        true_cycles = link.wind_up_cycles + ambiguity + slips[0][band]
        cycles = phase_m / wavelength_m + true_cycles + drift_cycles[band] + pattern_m[band] / wavelength_m
        columns[f"phase_l{band + 1}_m"] = cycles * wavelength_m
        columns[f"cycles_l{band + 1}"] = true_cycles
        columns[f"signal_to_noise_l{band + 1}_db_hz"] = cn0 - _L2_LOSS_DB * band
        columns[f"loss_of_lock_l{band + 1}"] = slips[1]
    return {name: values[is_tracked] for name, values in columns.items()}


def _phase_bias_cycles(settings: Settings, link: _Link) -> FloatArray:
    """Return the phases of the oscillators of both frequencies, common to all satellites, shape (2, n)."""
    rng = noise_generator(settings.seed, "raw_gnss.phase_bias")
    begin, phase_rad = rng.uniform(0.0, 1.0, (2, 1)), rng.uniform(0.0, 2.0 * math.pi, (2, 1))
    t_s = settings.raw_gnss.interval_s * link.row
    return np.asarray(begin + _BIAS_DRIFT_CYCLES * np.sin(2.0 * math.pi * t_s / _BIAS_PERIOD_S + phase_rad))


def _pattern_m(settings: Settings, link: _Link) -> FloatArray:
    """Return the antenna's phase centre variations of both frequencies, shape (2, n)."""
    rng = noise_generator(settings.seed, "raw_gnss.pattern")
    elevation_rad = np.radians(link.elevation_deg)
    harmonics = np.stack([
        np.cos(elevation_rad) * np.cos(link.azimuth_rad), np.cos(elevation_rad) * np.sin(link.azimuth_rad),
        np.sin(elevation_rad), np.cos(2.0 * elevation_rad) * np.cos(2.0 * link.azimuth_rad),
        np.cos(2.0 * elevation_rad) * np.sin(2.0 * link.azimuth_rad), np.sin(3.0 * elevation_rad),
    ])  # fmt: skip
    return np.asarray(settings.raw_gnss.antenna_pattern_m * rng.standard_normal((2, len(harmonics))) @ harmonics)


def _multipath(receiver: RawGnss, link: _Link, rng: np.random.Generator, passes: npt.NDArray[np.intp]) -> FloatArray:
    """Return the multipath of C/A, P1 and P2 codes and of both phases in m, before their factors, shape (5, n)."""
    kept = math.exp(-receiver.interval_s / receiver.multipath_time_s)
    process = rng.standard_normal((5, len(link.row)))
    for number in range(1, len(link.row)):
        if passes[number] == passes[number - 1]:
            process[:, number] = kept * process[:, number - 1] + math.sqrt(1.0 - kept**2) * process[:, number]
    return receiver.multipath_m * np.exp(-np.maximum(link.elevation_deg, 0.0) / _MULTIPATH_FALL_DEG) * process


def _slips(receiver: RawGnss, rng: np.random.Generator, count: int) -> tuple[FloatArray, npt.NDArray[np.uint8]]:
    """Return the sum of the slips on both frequencies in cycles, shape (2, n), and the loss-of-lock indicators."""
    hours = receiver.interval_s / 3600.0
    is_slip = rng.random(count) < receiver.slip_rate_per_h * hours
    sizes = rng.integers(1, _LARGEST_SLIP, (2, count), endpoint=True) * rng.choice((-1, 1), (2, count))
    cycles = np.cumsum(sizes * is_slip, axis=1).astype(np.float64)
    is_flagged = is_slip & (rng.random(count) < receiver.slip_flagged_fraction)
    flags = np.where(is_flagged, LOST_LOCK, 0)
    length = max(round(_HALF_CYCLE_S / receiver.interval_s), 1)
    for begin in np.flatnonzero(rng.random(count) < receiver.half_cycle_rate_per_h * hours).tolist():
        cycles[:, begin : begin + length] += 0.5
        flags[begin : begin + length] |= HALF_CYCLE
    return cycles, flags.astype(np.uint8)
