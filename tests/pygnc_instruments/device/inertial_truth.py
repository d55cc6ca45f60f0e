"""Logs of a unit with known errors, made without code of the calibration: y = S w + G f + b(T) + noise, quantised."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
GRAVITY = 9.8077
HZ = 50.0
LATITUDE_DEG = 48.0
EARTH_RAD_S = 7.292115e-5
SIX = tuple(sign * np.eye(3)[axis] for axis in range(3) for sign in (1.0, -1.0))
EDGES = tuple(
    np.array(edge) / np.sqrt(2.0) for edge in ([1, 1, 0], [1, -1, 0], [0, 1, 1], [0, -1, 1], [1, 0, 1], [-1, 0, 1])
)


@dataclass
class Unit:
    """Unit with errors that a seed determines.

    Attributes:
        accel_response, gyro_response: readings per true value, (3, 3).
        sensitivity: gyro readings per specific force, rad/s per m/s², (3, 3).
    """

    seed: int
    accel_noise: float = 0.008
    gyro_noise: float = 1.2e-3
    step: float = 2e-4
    is_tilted: bool = True
    rows: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.accel_bias = self.random.normal(0.0, 0.2, 3)
        self.gyro_bias = self.random.normal(0.0, 0.01, 3)
        corrections = np.eye(3) + np.diag(self.random.normal(0.0, 0.01, 3))
        corrections[np.triu_indices(3, 1)] = self.random.normal(0.0, 0.005, 3)
        self.accel_matrix = corrections
        self.gyro_response = np.eye(3) + self.random.normal(0.0, 0.01, (3, 3))
        self.sensitivity = self.random.normal(0.0, 1e-5, (3, 3))

    def add(self, forces: Array, rates: Array, drift: Array | None = None, degrees: Array | None = None) -> None:
        """Append readings at true specific forces and rates, (n, 3), with an additional bias of all axes, (n, 6)."""
        accel = np.linalg.solve(self.accel_matrix, forces.T).T + self.accel_bias
        gyro = rates @ self.gyro_response.T + forces @ self.sensitivity.T + self.gyro_bias
        readings = np.hstack([accel, gyro]) + (0.0 if drift is None else drift)
        readings += self.random.normal(size=readings.shape) * np.repeat([self.accel_noise, self.gyro_noise], 3)
        steps = np.repeat([10.0 * self.step, self.step], 3)
        column = np.full(len(forces), 25.0) if degrees is None else degrees
        self.rows += list(np.column_stack([np.round(readings / steps) * steps, column]))

    def rest(self, up: Array, seconds: float = 8.0) -> None:
        """Append a rest with a direction up, which is not exact, and a random heading."""
        tilted = up + (self.random.normal(0.0, 0.03, 3) if self.is_tilted else 0.0)
        up = tilted / np.linalg.norm(tilted)
        level = np.cross(up, self.random.normal(size=3))
        north = level / np.linalg.norm(level)
        latitude = np.radians(LATITUDE_DEG)
        earth = EARTH_RAD_S * (np.sin(latitude) * up + np.cos(latitude) * north)
        count = round(seconds * HZ)
        self.add(np.tile(GRAVITY * up, (count, 1)), np.tile(earth, (count, 1)))

    def move(self, seconds: float = 2.0) -> None:
        """Append a motion by hand."""
        t_s = np.arange(round(seconds * HZ)) / HZ
        phases = self.random.uniform(0.0, 6.0, 6)
        forces = GRAVITY * np.sin(3.0 * t_s[:, np.newaxis] + phases[:3])
        self.add(forces, np.sin(4.0 * t_s[:, np.newaxis] + phases[3:]))

    def positions(self, directions: Sequence[Array], seconds: float = 8.0) -> None:
        """Append rests with motions in between."""
        for up in directions:
            self.move()
            self.rest(up, seconds)

    def turn(self, up: Array, rate_deg_s: float, seconds: float = 4.0) -> None:
        """Append a rotation about the vertical axis of a turntable."""
        count = round(seconds * HZ)
        angle = np.radians(rate_deg_s) * np.arange(count) / HZ
        latitude = np.radians(LATITUDE_DEG)
        level = np.cross(up, np.roll(up, 1)) / np.linalg.norm(np.cross(up, np.roll(up, 1)))
        across = np.cross(up, level)
        north = np.cos(angle)[:, np.newaxis] * level - np.sin(angle)[:, np.newaxis] * across
        earth = EARTH_RAD_S * (np.sin(latitude) * up + np.cos(latitude) * north)
        self.add(np.tile(GRAVITY * up, (count, 1)), np.radians(rate_deg_s) * np.abs(up) + earth)

    def rotate(self, before: Array, after: Array, seconds: float = 3.0) -> None:
        """Append a smooth rotation about a fixed axis of the unit that takes one direction up to another."""
        across = np.cross(before, after)
        if np.linalg.norm(across) < 1e-6:
            across = np.cross(before, np.roll(before, 1) + 0.3)
        across /= np.linalg.norm(across)
        middle = before + after
        middle = middle / np.linalg.norm(middle) if np.linalg.norm(middle) > 1e-6 else np.cross(across, before)
        mix = self.random.uniform(-1.0, 1.0)
        axis = np.cos(mix) * across + np.sin(mix) * middle
        flat = [direction - axis * (axis @ direction) for direction in (before, after)]
        # The direction up turns against the unit.
        angle = -np.arctan2(axis @ np.cross(*flat), flat[0] @ flat[1])
        t = (np.arange(round(seconds * HZ)) + 0.5) / round(seconds * HZ)
        turned = -angle * (t - np.sin(2.0 * np.pi * t) / (2.0 * np.pi))[:, np.newaxis]
        ups = before * np.cos(turned) + np.cross(axis, before) * np.sin(turned)
        ups += axis * (axis @ before) * (1.0 - np.cos(turned))
        rate = angle * (1.0 - np.cos(2.0 * np.pi * t)) / seconds
        self.add(GRAVITY * ups, rate[:, np.newaxis] * axis)

    def heat(self, coefficients: Array, hysteresis: Array, seconds: float = 1200.0) -> Array:
        """Append a rest from 5 °C to 45 °C and back with biases of polynomials over (T - 25 °C), (order + 1, 6)."""
        count = round(seconds * HZ)
        phase = np.linspace(0.0, 2.0 * np.pi, count)
        degrees = 25.0 - 20.0 * np.cos(phase)
        drift = (degrees - 25.0)[:, np.newaxis] ** np.arange(len(coefficients)) @ coefficients
        drift += hysteresis * np.sin(phase)[:, np.newaxis] / 2.0
        self.add(np.tile([0.0, 0.0, GRAVITY], (count, 1)), np.zeros((count, 3)), drift, degrees)
        return degrees

    def write(self, path: Path, columns: int = 7, serial: str = "0042") -> Path:
        """Write the readings as a log, and start again."""
        units = ["m/s^2"] * 3 + ["deg/s"] * 3 + ["degC"]
        names = ["xAccel", "yAccel", "zAccel", "xRate", "yRate", "zRate", "boardTemp"]
        head = f"# serial_number: {serial}\n# model: generated\n# units: {','.join(['s', *units[:columns]])}\n"
        rows = np.array(self.rows)
        rows[:, 3:6] = np.degrees(rows[:, 3:6])
        table = np.column_stack([np.arange(len(rows)) / HZ, rows[:, :columns]])
        with path.open("w") as file:
            file.write(head + ",".join(["time", *names[:columns]]) + "\n")
            np.savetxt(file, table, "%.8g", ",")
        self.rows = []
        return path
