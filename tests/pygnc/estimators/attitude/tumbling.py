"""A magnetometer on a body that tumbles along an orbit above a dipole, and the Cramer-Rao bound of its calibration.

Closed forms and SciPy alone; nothing of the code under test.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.linalg import sqrtm
from scipy.spatial.transform import Rotation

from pygnc.common.arrays import Array

STEP_S = 5.0
PERIOD_S = 5_740.0
DIPOLE_UT = 23.0 * np.array([0.1, 0.15, -0.98])
SKEWED = np.diag([1.05, 0.97, 1.02]) @ np.array([[1.0, 0.0, 0.0], [0.02, 1.0, 0.0], [-0.01, 0.03, 1.0]])
ELEMENTS = ((0, 1, 2, 0, 0, 1), (0, 1, 2, 1, 2, 2))
"""Rows and columns of the elements xx, yy, zz, xy, xz, yz."""


@dataclass(frozen=True)
class Flight:
    """Readings = sensor (attitude field) + bias + noise, and the true calibration."""

    mag_ut: Array
    field_ut: Array
    bias_ut: Array
    matrix: Array
    clean_ut: Array
    spin_imu: Array
    noise_ut: float

    def misfit_ut(self, parameters: Array, mag_ut: Array) -> Array:
        """Corrected strength minus the field's, for bias and matrix elements in one row."""
        matrix = np.zeros((3, 3))
        matrix[ELEMENTS] = matrix.T[ELEMENTS] = parameters[3:]
        corrected = np.linalg.norm((mag_ut - parameters[:3]) @ matrix, axis=1)
        return np.asarray(corrected - np.linalg.norm(self.field_ut, axis=1))

    @property
    def readings(self) -> tuple[Array, Array, Array]:
        """Readings, fields, and visible fractions of the Sun's disc with which its panels cause no error."""
        return self.mag_ut, self.field_ut, np.full(len(self.mag_ut), 0.5)

    def rows(self, first: int = 0, last: int | None = None) -> Iterator[tuple[Array, Array, float]]:
        """Yield the readings one by one."""
        for mag_ut, field_ut in zip(self.mag_ut[first:last], self.field_ut[first:last], strict=True):
            yield mag_ut, field_ut, 0.5

    @property
    def truth(self) -> Array:
        """Bias and matrix elements."""
        return np.concatenate((self.bias_ut, self.matrix[ELEMENTS]))

    @property
    def bound(self) -> Array:
        """Cramer-Rao bound of bias and matrix elements, shape (9, 9), by differences."""
        steps = 1e-4 * np.eye(9)
        columns = [
            (self.misfit_ut(self.truth + step, self.clean_ut) - self.misfit_ut(self.truth - step, self.clean_ut)) / 2e-4
            for step in steps
        ]
        true_ut = (self.clean_ut - self.bias_ut) @ self.matrix
        towards = true_ut / np.linalg.norm(true_ut, axis=1)[:, None]
        sigma = self.noise_ut * np.linalg.norm(towards @ self.matrix, axis=1)
        partials = np.array(columns).T / sigma[:, None]
        return np.linalg.inv(partials.T @ partials)


def fly(
    seed: int,
    hours: float,
    *,
    rate_deg_s: float = 1.0,
    sensor: Array | None = None,
    noise_ut: float = 0.6,
    field_error_along_spin_ut: float = 0.0,
    bias_ut: Array | None = None,
) -> Flight:
    """A flight with everything else drawn; the spin axis 40 to 60 deg off the plane in which the field turns."""
    rng = np.random.default_rng(seed)
    t_s = STEP_S * np.arange(round(3600.0 * hours / STEP_S))
    sensor = np.eye(3) if sensor is None else sensor
    elevation, around = np.radians(rng.uniform(40.0, 60.0)), rng.uniform(0.0, 2.0 * np.pi)
    spin = np.array([np.cos(elevation) * np.cos(around), np.sin(elevation), np.cos(elevation) * np.sin(around)])
    start = Rotation.random(rng=rng)
    # The body turns about an axis fixed in inertial space.
    attitude = Rotation.from_rotvec(np.multiply.outer(np.radians(rate_deg_s) * t_s, spin)) * start
    angle = rng.uniform(0.0, 2.0 * np.pi) + 2.0 * np.pi / PERIOD_S * t_s
    up = np.stack((np.cos(angle), np.zeros_like(angle), np.sin(angle)), axis=1)
    field_ut = 3.0 * up.dot(DIPOLE_UT)[:, None] * up - DIPOLE_UT
    true_ut = field_ut + field_error_along_spin_ut * spin
    bias_ut = rng.uniform(-40.0, 40.0, 3) if bias_ut is None else bias_ut
    clean_ut = attitude.inv().apply(true_ut) @ sensor.T + bias_ut
    noisy_ut = clean_ut + rng.normal(0.0, noise_ut, clean_ut.shape) if noise_ut else clean_ut
    matrix = np.linalg.inv(np.real(sqrtm(sensor @ sensor.T)))
    return Flight(noisy_ut, field_ut, bias_ut, matrix, clean_ut, start.inv().apply(spin), noise_ut)
