"""GPS satellites of a scenario: true orbits propagated by brahe, clocks, broadcast messages and precise orbits.

The nominal constellation has six planes (GPS SPS Performance Standard, 2020, table 3.2-1: inclination 55 deg, radius
26 559.7 km); here five satellites are evenly spaced in each, with offsets between the planes.
"""

from __future__ import annotations  # brahe's types are not evaluated

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.interpolate import BSpline, make_interp_spline

from pygnc.common.clock import MS_PER_WEEK
from pygnc_ground.gnss.broadcast import EPHEMERIS, evaluated
from pygnc_ground.scenario import environment
from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.reference import brahe
from pygnc_ground.scenario.settings import Forces, Spacecraft, noise_generator
from pygnc_ground.scenario.trajectory import PRECISE, Trajectory

SPEED_OF_LIGHT_MPS: Final = 299_792_458.0
_PLANES: Final = 6
_PER_PLANE: Final = 5
_RADIUS_M: Final = 26_559_710.0
_INCLINATION_DEG: Final = 55.0
_FIRST_NODE_DEG: Final = 32.8
_SAMPLE_S: Final = 300.0
_DEGREE: Final = 9
"""Samples and splines between them, which are accurate to less than 0.1 mm; each state takes 0.1 ms."""
_INTEGRATION: Final = PRECISE._replace(max_step_s=120.0)
MARGIN_S: Final = 4 * 3600
"""Time before and after the scenario for which orbits are known."""
_MESSAGE_S: Final = 7200
_FIT_S: Final = np.arange(-7200.0, 7201.0, 300.0)
_CRAFT: Final = Spacecraft(mass_kg=1500.0, area_m2=15.0, reflectivity_coefficient=1.3)
_FORCES: Final = Forces(gravity_degree=8, drag=False)
_CLOCK_WALK_M: Final = 2e-3
"""Standard deviation of the random walk of a satellite clock in a second, times the speed of light: rubidium."""
_CLOCK_STEP_S: Final = 30
_FITTED: Final = (
    "sqrt_a_sqrt_m", "eccentricity", "m0_rad", "delta_n_rad_s", "omega0_rad", "i0_rad", "omega_rad",
    "omega_dot_rad_s", "idot_rad_s", "cuc_rad", "cus_rad", "crc_m", "crs_m", "cic_rad", "cis_rad",
)  # fmt: skip
_SCALES: Final = np.array([1e-2, 1e-6, 1e-6, 1e-10, 1e-6, 1e-7, 1e-6, 1e-10, 1e-11, 1e-7, 1e-7, 1.0, 1.0, 1e-8, 1e-8])
"""Sizes of changes of these elements that move a satellite by some metres."""
_FIT_STEPS: Final = 5
_EARTH_RATE_RAD_S: Final = 7.2921151467e-5
_ERROR_SHARES: Final = (0.25, 1.2, 0.8, 0.55)
"""Standard deviations of errors along radial, transverse, normal, and of the clock, as parts of their sum along the
line of sight (Montenbruck, Steigenberger & Hauschild, GPS Solutions 19, 2015, figures 5 and 6).
"""
_ERROR_TIME_S: Final = 14_400.0


# mypy: disable-error-code="arg-type"
# brahe's stubs declare enumeration members as methods.


class Transmitter(NamedTuple):
    """True orbit and clock of a satellite."""

    name: str
    orbit: BSpline
    """Position in GCRF in m by the time after the start in s."""
    trajectory: Trajectory
    clock_s: tuple[FloatArray, FloatArray]
    """Times after the start and offsets of the clock without the periodic relativistic effect."""

    def clock(self, t_s: FloatArray) -> FloatArray:
        """Return the clock minus GPS time without the periodic relativistic effect."""
        return np.interp(t_s, *self.clock_s)


@lru_cache(maxsize=1)
def constellation(start_gps_ms: int, duration_s: int, seed: int) -> tuple[Transmitter, ...]:
    """Return the satellites over a scenario and `MARGIN_S` around it: 0.4 s per day and satellite."""
    begin_ms, length_s = start_gps_ms - 1000 * MARGIN_S, duration_s + 2 * MARGIN_S
    environment.require_coverage(begin_ms, begin_ms + 1000 * length_s)
    after_s = np.arange(0.0, length_s + _SAMPLE_S, _SAMPLE_S).clip(max=length_s)
    after_s = np.unique(after_s)
    found = []
    rng = noise_generator(seed, "gnss.constellation")
    for number in range(_PLANES * _PER_PLANE):
        plane, slot = divmod(number, _PER_PLANE)
        elements = np.array([
            _RADIUS_M, float(rng.uniform(0.001, 0.015)), _INCLINATION_DEG + float(rng.normal(0.0, 0.5)),
            _FIRST_NODE_DEG + 60.0 * plane, float(rng.uniform(0.0, 360.0)), 0.0,
        ])  # fmt: skip
        elements[5] = 72.0 * slot + 33.0 * plane + float(rng.normal(0.0, 4.0)) - elements[4]
        state = np.asarray(brahe.state_koe_to_eci(elements, brahe.AngleFormat.DEGREES))
        trajectory = Trajectory(begin_ms, length_s, state, _CRAFT, _FORCES, integration=_INTEGRATION)
        states = trajectory.states_gcrf(after_s)
        orbit = make_interp_spline(after_s - MARGIN_S, states[:, :3], k=_DEGREE)
        found.append(Transmitter(f"G{number + 1:02d}", orbit, trajectory, _clock(seed, number, length_s)))
    return tuple(found)


def _clock(seed: int, number: int, length_s: int) -> tuple[FloatArray, FloatArray]:
    rng = noise_generator(seed, f"gnss.clock {number}")
    t_s = np.arange(0.0, length_s + 2.0 * _CLOCK_STEP_S, _CLOCK_STEP_S)
    steps_m = rng.normal(0.0, _CLOCK_WALK_M * math.sqrt(_CLOCK_STEP_S), len(t_s))
    offset_s, rate = rng.uniform(-4e-4, 4e-4), rng.normal(0.0, 3e-12)
    return t_s - MARGIN_S, offset_s + rate * t_s + np.cumsum(steps_m) / SPEED_OF_LIGHT_MPS


def _itrf(one: Transmitter, t_s: FloatArray) -> FloatArray:
    """Return position and velocity in ITRF at times after the start of the scenario."""
    return one.trajectory.states_itrf(t_s + MARGIN_S)


# --- Broadcast messages ---------------------------------------------------------------------------------------------


def broadcast(start_gps_ms: int, duration_s: int, seed: int, signal_in_space_m: float) -> npt.NDArray[np.void]:
    """Return messages with errors, one for each satellite and two hours, of type `EPHEMERIS`.

    Elements are fitted to the true orbit with the errors of the time of the message.
    """
    first_ms = start_gps_ms // (1000 * _MESSAGE_S) * 1000 * _MESSAGE_S
    toe_ms = np.arange(first_ms, start_gps_ms + 1000 * (duration_s + _MESSAGE_S), 1000 * _MESSAGE_S)
    rows = []
    for one in constellation(start_gps_ms, duration_s, seed):
        errors_m = _message_errors_m(seed, one.name, len(toe_ms), signal_in_space_m)
        for number, (moment_ms, error_m) in enumerate(zip(toe_ms.tolist(), errors_m, strict=True)):
            rows.append(_message(one, moment_ms, start_gps_ms, error_m, number % 200 + 1))
    return np.concatenate(rows)


def _message_errors_m(seed: int, name: str, count: int, signal_in_space_m: float) -> FloatArray:
    """Return radial, transverse, normal and clock errors of successive messages, shape (count, 4)."""
    draws = noise_generator(seed, f"gnss.messages {name}").standard_normal((count, 4))
    kept = math.exp(-_MESSAGE_S / _ERROR_TIME_S)
    for number in range(1, count):
        draws[number] = kept * draws[number - 1] + math.sqrt(1.0 - kept**2) * draws[number]
    return signal_in_space_m * np.array(_ERROR_SHARES) * draws


def _message(one: Transmitter, toe_ms: int, start_gps_ms: int, error_m: FloatArray, issue: int) -> npt.NDArray[np.void]:
    toe_s = 1e-3 * (toe_ms - start_gps_ms)
    t_s = toe_s + _FIT_S
    states = _itrf(one, t_s)
    radial = states[:, :3] / np.linalg.norm(states[:, :3], axis=1, keepdims=True)
    inertial = states[:, 3:] + np.cross((0.0, 0.0, _EARTH_RATE_RAD_S), states[:, :3])
    normal = np.cross(states[:, :3], inertial)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    axes = np.stack((radial, np.cross(normal, radial), normal), axis=1)
    positions = states[:, :3] + np.einsum("i,nij->nj", error_m[:3], axes)
    middle = len(t_s) // 2
    row = np.zeros(1, EPHEMERIS)
    toe_ns = toe_ms * 1_000_000
    row["prn"], row["toe_gps_ns"], row["toc_gps_ns"] = int(one.name[1:]), toe_ns, toe_ns
    row["sent_gps_ns"] = toe_ns - _MESSAGE_S * 1_000_000_000
    row["iode"] = row["iodc"] = issue
    row["accuracy_m"], row["fit_interval_h"] = 2.4, 4.0
    clock_s = one.clock(t_s) + error_m[3] / SPEED_OF_LIGHT_MPS
    rate, offset = np.polyfit(_FIT_S, clock_s, 1)
    row["af0_s"], row["af1"] = offset, rate
    state = np.concatenate((positions[middle], inertial[middle]))
    _, e, tilt, node, argument, mean = brahe.state_eci_to_koe(state, brahe.AngleFormat.RADIANS)
    row["sqrt_a_sqrt_m"], row["eccentricity"], row["i0_rad"] = math.sqrt(_RADIUS_M), e, tilt
    row["omega_rad"], row["m0_rad"] = argument, mean
    row["omega0_rad"] = node + _EARTH_RATE_RAD_S * 1e-3 * (toe_ms % MS_PER_WEEK)
    at_ns = toe_ns + (_FIT_S * 1e9).astype(np.int64)
    _fit(row, at_ns, positions)
    for name in ("m0_rad", "omega0_rad", "omega_rad"):
        row[name] = (row[name] + math.pi) % (2.0 * math.pi) - math.pi
    return row


def _fit(row: npt.NDArray[np.void], at_ns: npt.NDArray[np.int64], position_m: FloatArray) -> None:
    """Fit the elements of a message to positions by least squares, with differences of a few metres as partials."""
    table = np.repeat(row, len(at_ns) * (len(_FITTED) + 1)).reshape(len(_FITTED) + 1, len(at_ns))
    for _ in range(_FIT_STEPS):
        for name in _FITTED:
            table[name] = row[name][0]
        for number, (name, scale) in enumerate(zip(_FITTED, _SCALES.tolist(), strict=True)):
            table[name][number + 1] += scale
        found = evaluated(table.ravel(), np.tile(at_ns, len(table)))[:, :3].reshape(len(table), -1)
        partials = (found[1:] - found[0]).T
        change, *_ = np.linalg.lstsq(partials, position_m.ravel() - found[0], rcond=None)
        for name, value in zip(_FITTED, (change * _SCALES).tolist(), strict=True):
            row[name] += value


# --- Precise orbits -------------------------------------------------------------------------------------------------

_PRECISE_STEP_S: Final = 900


def precise_orbits(start_gps_ms: int, duration_s: int, seed: int) -> bytes:
    """Return an SP3-c file with the true orbits and clocks every 15 min, two hours longer than the scenario."""
    first_ms = (start_gps_ms - 7_200_000) // 900_000 * 900_000
    count = (start_gps_ms + 1000 * duration_s + 7_200_000 - first_ms) // 900_000 + 1
    t_s = 1e-3 * (first_ms - start_gps_ms) + _PRECISE_STEP_S * np.arange(count)
    everyone = constellation(start_gps_ms, duration_s, seed)
    states = [_itrf(one, t_s) for one in everyone]
    clocks = [one.clock(t_s) for one in everyone]
    lines = _sp3_header(first_ms, count, [one.name for one in everyone])
    for number in range(count):
        lines.append(f"*  {_calendar(first_ms + 900_000 * number)}")
        for one, of_orbit, of_clock in zip(everyone, states, clocks, strict=True):
            x, y, z = 1e-3 * of_orbit[number, :3]
            lines.append(f"P{one.name}{x:14.6f}{y:14.6f}{z:14.6f}{1e6 * of_clock[number]:14.6f}")
    return ("\n".join([*lines, "EOF"]) + "\n").encode()


def _calendar(gps_ms: int) -> str:
    days, of_day_ms = divmod(gps_ms, 86_400_000)
    year, month, day = (int(part) for part in str(np.datetime64("1980-01-06") + days).split("-"))
    minutes, rest_ms = divmod(of_day_ms, 60_000)
    return f"{year:4d} {month:2d} {day:2d} {minutes // 60:2d} {minutes % 60:2d} {1e-3 * rest_ms:11.8f}"


def _sp3_header(first_ms: int, count: int, names: list[str]) -> list[str]:
    week, tow_ms = divmod(first_ms, MS_PER_WEEK)
    mjd = 44_244 + first_ms / 86_400_000
    accuracies = ["  2" if number < len(names) else "  0" for number in range(85)]
    shown = [*names, *["  0"] * (85 - len(names))]
    return [
        f"#cP{_calendar(first_ms)} {count:7d} ORBIT IGS20 SIM  GNC",
        f"## {week:4d} {1e-3 * tow_ms:15.8f} {900.0:14.8f} {int(mjd):5d} {mjd % 1.0:.13f}",
        *(f"+  {len(names) if row == 0 else '':>3}   " + "".join(shown[17 * row : 17 * row + 17]) for row in range(5)),
        *("++       " + "".join(accuracies[17 * row : 17 * row + 17]) for row in range(5)),
        "%c G  cc GPS ccc cccc cccc cccc cccc ccccc ccccc ccccc ccccc",
        "%c cc cc ccc ccc cccc cccc cccc cccc ccccc ccccc ccccc ccccc",
        *["%f  1.2500000  1.025000000  0.00000000000  0.000000000000000"] * 2,
        *["%i    0    0    0    0      0      0      0      0         0"] * 2,
        "/* PCV:NONE Simulated. Positions are those of the antennas.",
    ]  # fmt: skip
