"""Measurements of a receiver in a low orbit, computed with other code than the estimator's.

The orbit is a Kepler ellipse with J2 integrated by SciPy. The navigation satellites move on circles. Signals follow
from the light-time equation in inertial axes, so that neither Sagnac's formula nor a combination of ours is used.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.integrate import solve_ivp
from scipy.optimize import brentq

from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.frames import EarthFrames
from pygnc_ground.gnss.measurements import GnssMeasurements, OrbitReference, SatelliteStates

C = 299_792_458.0
GM = 3.986004415e14
F1, F2 = 1575.42e6, 1227.6e6
BEGIN_MS = 1_400_000_000_000 - 1_400_000_000_000 % 900_000
FRAMES = EarthFrames(EarthOrientationTable.none())


@dataclass
class Circles:
    """`GnssOrbits` of 24 satellites on circles in inertial space, without clock errors."""

    reference = OrbitReference.ANTENNA
    clock_interval_ms = 0
    satellites = tuple(f"G{number:02d}" for number in range(1, 25))

    def inertial(self, satellite: str, seconds: float) -> np.ndarray:
        number = int(satellite[1:]) - 1
        plane, slot = divmod(number, 4)
        radius, tilt = 26.56e6, np.radians(55.0)
        phase = np.sqrt(GM / radius**3) * seconds + np.radians(90.0 * slot + 25.0 * plane)
        node = np.radians(60.0 * plane)
        x, y, z = np.cos(phase), np.sin(phase) * np.cos(tilt), np.sin(phase) * np.sin(tilt)
        return radius * np.array((x * np.cos(node) - y * np.sin(node), x * np.sin(node) + y * np.cos(node), z))

    def states(self, satellite: str, gps_ms: np.ndarray, offset_s: np.ndarray) -> SatelliteStates:
        found = []
        for ms, offset in zip(gps_ms.tolist(), offset_s.tolist(), strict=True):
            places = [
                FRAMES.at(ms, np.array([offset + step])).ecef_from_gcrf[0]
                @ self.inertial(satellite, 1e-3 * (ms - BEGIN_MS) + offset + step)
                for step in (-0.5, 0.0, 0.5)
            ]
            found.append(np.concatenate((places[1], places[2] - places[0])))
        states, count = np.array(found).reshape(-1, 6), len(gps_ms)
        relativity = 2.0 * np.einsum("ni,ni->n", states[:, :3], states[:, 3:]) / C**2  # the circles' clocks have none
        return SatelliteStates(states[:, :3], states[:, 3:], relativity, np.full(count, 1e-3), np.zeros(count))


def low_orbit(seconds: float) -> tuple[np.ndarray, np.ndarray]:
    """Return position and velocity of a circular low orbit, two-body."""
    radius, tilt = 6.9e6, np.radians(89.0)
    rate = np.sqrt(GM / radius**3)
    u, v = np.array((1.0, 0.0, 0.0)), np.array((0.0, np.cos(tilt), np.sin(tilt)))
    angle = rate * seconds
    return radius * (np.cos(angle) * u + np.sin(angle) * v), radius * rate * (-np.sin(angle) * u + np.cos(angle) * v)


def integrated(force: Callable[[float, np.ndarray], np.ndarray], until_s: float, step_s: float) -> np.ndarray:
    """Return states (n, 6) in GCRF of a satellite under a force in m/s2 of time and position."""
    place, speed = low_orbit(0.0)
    times = np.arange(0.0, until_s, step_s)
    found = solve_ivp(
        lambda t, y: np.concatenate((y[3:], force(t, y[:3]))),
        (0.0, until_s),
        np.concatenate((place, speed)),
        method="DOP853",
        t_eval=times,
        rtol=1e-12,
        atol=1e-6,
    )
    return np.asarray(found.y.T)


def light_time(circles: Circles, satellite: str, seconds: float, place: np.ndarray) -> float:
    """Return the time of flight to a place in inertial axes."""
    flight: float = brentq(
        lambda flight: np.linalg.norm(place - circles.inertial(satellite, seconds - flight)) - C * flight,
        0.03,
        0.2,
        xtol=1e-16,
        rtol=1e-15,
    )
    return flight


def measure(
    circles: Circles, states: np.ndarray, step_s: float, seed: int, clock_s: Callable[[float], float] = lambda _: 1e-5
) -> GnssMeasurements:
    """Return measurements above the horizon, with noise, ionosphere, ambiguities and the receiver's clock."""
    random = np.random.default_rng(seed)
    bias = {name: random.integers(-1_000, 1_000, 2) for name in circles.satellites}
    rows = []
    for number, state in enumerate(states):
        seconds = number * step_s
        error = clock_s(seconds)
        place = state[:3] - error * state[3:]
        for name in circles.satellites:
            line = circles.inertial(name, seconds - 0.075) - place
            if line @ place < 0.15 * np.linalg.norm(line) * np.linalg.norm(place):
                continue
            distance = C * (light_time(circles, name, seconds - error, place) + error)
            ionosphere = 3.0 + np.sin(seconds / 900.0)
            delays = ionosphere, ionosphere * (F1 / F2) ** 2
            codes = [distance + delay + 0.1 * random.standard_normal() for delay in delays]
            phases = [
                distance - delay + turns * C / carrier + 0.002 * random.standard_normal()
                for delay, turns, carrier in zip(delays, bias[name], (F1, F2), strict=True)
            ]
            rows.append((BEGIN_MS + round(1e3 * seconds), name, *codes, *phases))
    times, names, c1, c2, l1, l2 = (np.array(column) for column in zip(*rows, strict=True))
    missing, unlocked = np.full(len(times), np.nan), np.zeros(len(times), dtype=np.uint8)
    return GnssMeasurements(
        times, np.zeros(len(times)), names, c1, c1, c2, l1, l2, missing, missing, unlocked, unlocked.copy()
    )
