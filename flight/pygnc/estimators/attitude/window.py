"""The last samples as arrays, and how well attitudes and biases fit all of them.

A hypothesis is an attitude at the newest sample, a gyro bias and a magnetometer bias. The gyro carries the attitude
back through the window, so that every sample speaks of the same nine unknowns. All are computed at once.
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc.environment.arrays import Array
from pygnc.estimators.attitude.light import Sky
from pygnc.estimators.attitude.sample import AttitudeSample, Surroundings
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import Flags

UNKNOWNS: Final = 9
"""Attitude error in body axes (rad), gyro bias (rad/s) and magnetometer bias (uT), both in sensor axes."""
_LIGHT_SIGMA: Final = 0.03
"""Of a face, share of full sunlight: noise, gain, and what the Earth's light leaves."""
_FIELD_SIGMA_UT: Final = 1.0
_OUTLIER_SIGMA: Final = 3.0
"""Where a face begins to lose weight: it may be dead or mirrored."""


class Moment(NamedTuple):
    """One sample of the window with what surrounds it."""

    sample: AttitudeSample
    surroundings: Surroundings
    sky: Sky


@dataclass(frozen=True, slots=True, eq=False)
class Hypotheses:
    """k guesses at the newest sample.

    Attributes:
        quaternion: GCRF from body, shape (k, 4).
        gyro_bias_rad_s: Sensor axes, shape (k, 3).
        mag_bias_ut: Sensor axes, shape (k, 3).
    """

    quaternion: Array
    gyro_bias_rad_s: Array
    mag_bias_ut: Array

    def chosen(self, rows: Array) -> "Hypotheses":
        """Some of them."""
        return Hypotheses(self.quaternion[rows], self.gyro_bias_rad_s[rows], self.mag_bias_ut[rows])

    def corrected(self, error: Array) -> "Hypotheses":
        """After errors (k, 9) were found in them."""
        turned = quaternion.multiply(self.quaternion, quaternion.exponential(error[:, :3]))
        return Hypotheses(
            quaternion.normalised(turned), self.gyro_bias_rad_s + error[:, 3:6], self.mag_bias_ut + error[:, 6:]
        )

    def joined(self, other: "Hypotheses") -> "Hypotheses":
        """Both."""
        return Hypotheses(
            np.concatenate((self.quaternion, other.quaternion)),
            np.concatenate((self.gyro_bias_rad_s, other.gyro_bias_rad_s)),
            np.concatenate((self.mag_bias_ut, other.mag_bias_ut)),
        )

    def where(self, first: Flags, other: "Hypotheses") -> "Hypotheses":
        """These where `first` (k,), the others elsewhere."""
        pick = first[:, None]
        return Hypotheses(
            np.where(pick, self.quaternion, other.quaternion),
            np.where(pick, self.gyro_bias_rad_s, other.gyro_bias_rad_s),
            np.where(pick, self.mag_bias_ut, other.mag_bias_ut),
        )


class Prior(NamedTuple):
    """What is known of the biases before the window.

    Attributes:
        mean: Gyro bias (rad/s) and magnetometer bias (uT), shape (6,).
        sigma: Their standard deviations, shape (6,).
    """

    mean: Array
    sigma: Array


class Fit(NamedTuple):
    """How k hypotheses fit.

    Attributes:
        cost: Sum of squared residuals over their variances, large ones counted less, shape (k,).
        information: Normal matrices, shape (k, 9, 9).
        gradient: Right-hand sides, shape (k, 9).
    """

    cost: Array
    information: Array
    gradient: Array


class Window:
    """The samples as arrays, without the light of the face `left_out`."""

    def __init__(self, moments: list[Moment], settings: AttitudeSettings, left_out: int | None = None) -> None:
        self._imu_from_body = np.array(settings.mounting.imu_from_body)
        self._body_from_imu = np.linalg.inv(self._imu_from_body)
        self._normals = np.array(settings.mounting.face_normals_body)
        self._reflectivity = settings.sun_sensors.reflectivity
        samples, skies = [moment.sample for moment in moments], [moment.sky for moment in moments]
        self._step_s = 1e-3 * np.diff([float(sample.gps_ms) for sample in samples])
        self._gyro = np.array([sample.gyro_imu_rad_s for sample in samples])
        self._mag = np.array([sample.mag_imu_ut for sample in samples])
        full_sun_lux = np.array([sky.full_sun_lux for sky in skies])[:, None]
        self._full_scale = settings.sun_sensors.saturation_lux / full_sun_lux
        self._share = np.minimum(np.array([sample.lux for sample in samples]) / full_sun_lux, self._full_scale)
        self._saturated = self._share >= (1.0 - 1e-6) * self._full_scale
        self._field = np.array([moment.surroundings.field_gcrf_ut for moment in moments])
        self._sun = np.array([sky.sun_gcrf for sky in skies])
        self._sunlit = np.array([sky.sunlit_fraction for sky in skies])
        self._earth_directions = np.array([sky.earth.directions for sky in skies])
        self._earth_shares = np.array([sky.earth.shares for sky in skies])
        # What the gyro's noise does to the attitude between a sample and the newest.
        walk2 = np.cumsum((self._step_s[::-1] * settings.gyro.noise_rad_s) ** 2)[::-1]
        walk2 = np.append(walk2, 0.0)
        field2 = (self._field**2).sum(axis=1)
        self._field_weight = 1.0 / (_FIELD_SIGMA_UT**2 + field2 * walk2)
        self._light_weight = np.repeat(1.0 / (_LIGHT_SIGMA**2 + walk2)[:, None], len(self._normals), axis=1)
        bright = self._share > settings.sun_sensors.dark_share
        if left_out is not None:
            self._light_weight[:, left_out] = 0.0
            bright[:, left_out] = False
        self.measurements = 3 * len(samples) + int(bright.sum())

    def fit(self, guess: Hypotheses, prior: Prior) -> Fit:
        """Cost and normal equations of k hypotheses."""
        attitude, by_error = self._carried_back(guess)
        information = np.zeros((len(guess.quaternion), UNKNOWNS, UNKNOWNS))
        biases = np.concatenate((guess.gyro_bias_rad_s, guess.mag_bias_ut), axis=1)
        off = (prior.mean - biases) / prior.sigma
        cost = (off**2).sum(axis=1)
        gradient = np.concatenate((np.zeros((len(cost), 3)), off / prior.sigma), axis=1)
        information[:, 3:, 3:] = np.diag(prior.sigma**-2.0)

        field = np.einsum("knij,nj->kni", attitude, self._field)
        residual = self._mag - field @ self._imu_from_body.T - guess.mag_bias_ut[:, None]
        partials = np.empty((*residual.shape, UNKNOWNS))
        partials[..., :6] = self._imu_from_body @ _cross_matrices(field) @ by_error
        partials[..., 6:] = np.eye(3)
        weight = np.broadcast_to(self._field_weight[:, None], residual.shape)
        cost += (weight * residual**2).sum(axis=(1, 2))
        _add(information, gradient, residual, partials, weight)

        residual, partials = self._light(attitude, by_error)
        square = self._light_weight * residual**2
        cost += _saturating(square).sum(axis=(1, 2))
        weight = self._light_weight / (1.0 + square / _OUTLIER_SIGMA**2)
        _add(information, gradient, residual, partials, weight)
        return Fit(cost, information, gradient)

    def face_costs(self, guess: Hypotheses) -> Array:
        """What each face adds to the costs, shape (k, 6)."""
        residual, _ = self._light(*self._carried_back(guess))
        costs: Array = _saturating(self._light_weight * residual**2).sum(axis=1)
        return costs

    def _carried_back(self, guess: Hypotheses) -> tuple[Array, Array]:
        """Body-from-GCRF matrices (k, n, 3, 3), and what attitude error and gyro bias do to them, (k, n, 3, 6)."""
        rate = (self._gyro - guess.gyro_bias_rad_s[:, None]) @ self._body_from_imu.T
        step_s = self._step_s[:, None]
        turn = 0.5 * step_s * (rate[:, :-1] + rate[:, 1:]) + step_s**2 / 12.0 * np.cross(rate[:, :-1], rate[:, 1:])
        back = quaternion.to_matrix(quaternion.exponential(turn))
        by_bias = -self._step_s[:, None, None] * _right_jacobians(turn) @ self._body_from_imu
        count, length = len(rate), len(self._gyro)
        # Columns: the attitude, what an attitude error at the newest sample does, what the gyro bias does.
        carried = np.empty((length, count, 3, 9))
        last = np.zeros((count, 3, 9))
        last[:, :, :3] = np.swapaxes(quaternion.to_matrix(guess.quaternion), 1, 2)
        last[:, :, 3:6] = np.eye(3)
        carried[-1] = last
        for k in range(length - 2, -1, -1):
            last = last.copy()
            last[:, :, 6:] -= by_bias[:, k]
            last = back[:, k] @ last
            carried[k] = last
        carried = carried.transpose(1, 0, 2, 3)
        return carried[..., :3], carried[..., 3:]

    def _light(self, attitude: Array, by_error: Array) -> tuple[Array, Array]:
        """Residuals of the faces (k, n, 6) and their partials (k, n, 6, 6)."""
        sun = np.einsum("knij,nj->kni", attitude, self._sun)
        cosine = sun @ self._normals.T
        normals_gcrf = self._normals @ attitude
        seen = np.maximum(normals_gcrf @ self._earth_directions.transpose(0, 2, 1), 0.0)
        earth = np.einsum("knfg,ng->knf", seen, self._earth_shares)
        towards = np.einsum("knfg,ng,ngi->knfi", seen > 0.0, self._earth_shares, self._earth_directions, optimize=True)
        direct = self._sunlit[:, None] * np.maximum(cosine, 0.0)
        expected = direct + self._reflectivity * earth
        residual = self._share - expected
        idle = self._saturated & (residual < 0.0)
        lit = (cosine > 0.0) * self._sunlit[:, None]
        light = lit[..., None] * sun[:, :, None] + self._reflectivity * (towards @ np.swapaxes(attitude, -1, -2))
        rows = np.cross(self._normals, light)
        rows[idle] = 0.0
        return np.where(idle, 0.0, residual), rows @ by_error


def _saturating(square: Array) -> Array:
    """Cauchy's cost: what a broken face says counts logarithmically."""
    limit = _OUTLIER_SIGMA**2
    cost: Array = limit * np.log1p(square / limit)
    return cost


def _add(information: Array, gradient: Array, residual: Array, partials: Array, weight: Array) -> None:
    """Add measurements to normal equations; what `partials` leave out are the last unknowns."""
    hypotheses, count = len(residual), partials.shape[-1]
    rows = partials.reshape(hypotheses, -1, count)
    weighted = (rows * weight.reshape(hypotheses, -1, 1)).transpose(0, 2, 1)
    information[:, :count, :count] += weighted @ rows
    gradient[:, :count] += (weighted @ residual.reshape(hypotheses, -1, 1))[..., 0]


def _cross_matrices(vectors: Array) -> Array:
    """Cross products as matrices, shapes (..., 3) -> (..., 3, 3)."""
    matrices = np.zeros((*vectors.shape, 3))
    x, y, z = vectors[..., 0], vectors[..., 1], vectors[..., 2]
    matrices[..., 0, 1], matrices[..., 0, 2], matrices[..., 1, 2] = -z, y, -x
    matrices[..., 1, 0], matrices[..., 2, 0], matrices[..., 2, 1] = z, -y, x
    return matrices


def _right_jacobians(turns: Array) -> Array:
    """As `motion.right_jacobian`, shapes (..., 3) -> (..., 3, 3)."""
    angle2 = (turns**2).sum(axis=-1)
    angle = np.sqrt(np.maximum(angle2, 1e-8))
    first, second = (1.0 - np.cos(angle)) / angle**2, (angle - np.sin(angle)) / angle**3
    cross = _cross_matrices(turns)
    jacobians: Array = np.eye(3) - first[..., None, None] * cross + second[..., None, None] * (cross @ cross)
    return jacobians
