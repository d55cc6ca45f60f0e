"""The last samples as arrays, and how well attitudes and biases fit all of them.

The gyro carries the attitude of a hypothesis back through the window, so that every sample speaks of the same nine
unknowns. All hypotheses are computed at once.

What else is uncertain is estimated and put aside in each fit, so that neither costs nor covariances are taken for
surer than they are: the error of the field's model, the Earth's reflectivity, and the drift that the gyro's noise makes
of the attitude, as a rate that is constant for a stretch of samples.

Least squares with unknowns that nobody asks for: found on the way, and their uncertainty left in what remains.

The normal equations of all unknowns are reduced to the wanted ones by Schur's complement, k problems at once.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.hypotheses import BiasPrior, Hypotheses
from pygnc.estimators.attitude.measurement import LightSources
from pygnc.estimators.attitude.propagation import cross_matrices, right_jacobians
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.settings import AttitudeSettings


class LinearisedMeasurements(NamedTuple):
    """Measurements of one kind for k problems.

    Attributes:
        residual: Measured minus predicted, shape (k, ...).
        partials: By all c unknowns, the wanted ones first, shape (k, ..., c).
        weight: One over the variances, shape (k, ...).
    """

    residual: Array
    partials: Array
    weight: Array

    def without(self, aside: Array) -> Array:
        """Residuals that remain when the last unknowns are `aside` (k, a), shape (k, ...)."""
        count = aside.shape[-1]
        columns = self.partials[..., -count:].reshape(len(aside), -1, count)
        left: Array = self.residual - (columns @ aside[..., None]).reshape(self.residual.shape)
        return left


class MarginalNormalEquations(NamedTuple):
    """Normal equations of the wanted unknowns.

    Attributes:
        information: Matrices, shape (k, w, w).
        gradient: Right-hand sides, shape (k, w).
        aside: The other unknowns where the wanted ones stay as they are, shape (k, a).
    """

    information: Array
    gradient: Array
    aside: Array


def marginalise(parts: Sequence[LinearisedMeasurements], aside_sigma: Array) -> MarginalNormalEquations:
    """Normal equations without the last unknowns.

    Args:
        parts: All measurements.
        aside_sigma: What is known of the last unknowns, whose mean is zero: standard deviations, shape (a,).
    """
    normals = [_normal(part) for part in parts]
    information: Array = np.sum([matrix for matrix, _ in normals], axis=0)
    gradient: Array = np.sum([right for _, right in normals], axis=0)
    wanted = gradient.shape[-1] - len(aside_sigma)
    cross = information[:, wanted:, :wanted]
    known = information[:, wanted:, wanted:] + np.diag(aside_sigma**-2.0)
    right = np.concatenate((cross, gradient[:, wanted:, None]), axis=2)
    solved: Array = np.linalg.solve(known, right).astype(np.float64, copy=False)
    taken = np.swapaxes(cross, 1, 2) @ solved
    return MarginalNormalEquations(
        information[:, :wanted, :wanted] - taken[..., :wanted],
        gradient[:, :wanted] - taken[..., wanted],
        solved[..., wanted],
    )


def _normal(part: LinearisedMeasurements) -> tuple[Array, Array]:
    """Normal matrices (k, c, c) and right-hand sides (k, c)."""
    problems, count = len(part.residual), part.partials.shape[-1]
    rows = part.partials.reshape(problems, -1, count)
    weighted = (rows * part.weight.reshape(problems, -1, 1)).transpose(0, 2, 1)
    return weighted @ rows, (weighted @ part.residual.reshape(problems, -1, 1))[..., 0]


PARAMETERS: Final = 9
"""Attitude error in body axes (rad), gyro bias (rad/s) and magnetometer bias (uT), both in sensor axes."""
_FIELD_ERROR: Final = slice(9, 12)
"""Of the model, uT, GCRF."""
_REFLECTIVITY: Final = 12
_DRIFT: Final = 13
"""Three components of a rate, sensor axes, for each stretch, the newest one first."""
_STRETCH: Final = 16
"""Samples. What is left of the gyro's noise within a stretch is less than that of the other sensors."""
_FIELD_ERROR_UT: Final = 0.5
"""More than the track allows for: a start has not seen yet how well the model fits."""
_OUTLIER_SIGMA: Final = 4.0
"""Where a face begins to lose weight: it may be dead or mirrored."""


class WindowSample(NamedTuple):
    """One sample of the window with what surrounds it."""

    sample: AttitudeSample
    surroundings: AttitudeEnvironment
    sky: LightSources


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

    def __init__(self, moments: list[WindowSample], settings: AttitudeSettings, left_out: int | None = None) -> None:
        self._magnetometer_from_body = settings.mounting.magnetometer
        self._body_from_gyro = settings.mounting.gyro.T
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
        magnetometer, faces = settings.magnetometer, settings.sun_sensors
        # What the gyro's noise does to the attitude in each stretch: ends drift apart, and the way there is no line.
        self._stretch = np.arange(len(samples) - 2, -1, -1) // _STRETCH
        walk2 = np.bincount(self._stretch, (self._step_s * settings.gyro.noise_rad_s) ** 2)
        drift_sigma = np.sqrt(walk2) / np.bincount(self._stretch, self._step_s)
        bridge2 = np.append(walk2[self._stretch] / 6.0, 0.0)
        self._aside_sigma = np.concatenate(
            ([_FIELD_ERROR_UT] * 3, [faces.reflectivity_sigma], np.repeat(drift_sigma, 3)),
        )
        field2 = (self._field**2).sum(axis=1)
        self._field_weight = 1.0 / (magnetometer.noise_ut**2 + field2 * bridge2)
        self._light_variance = faces.noise_share**2 + (faces.gain_sigma * self._share) ** 2 + bridge2[:, None]
        self._earth_error = faces.albedo_model_error * faces.reflectivity
        self._asked = np.ones(len(self._normals))
        bright = self._share > settings.sun_sensors.dark_share
        if left_out is not None:
            self._asked[left_out] = 0.0
            bright[:, left_out] = False
        self.measurements = 3 * len(samples) + int(bright.sum())

    def fit(self, guess: Hypotheses, prior: BiasPrior) -> Fit:
        """Cost and normal equations of k hypotheses."""
        field, light = self._rows(guess)
        information, gradient, aside = marginalise((field, _doubted(light)), self._aside_sigma)
        biases = np.concatenate((guess.gyro_bias_rad_s, guess.mag_bias_ut), axis=1)
        off = (prior.mean - biases) / prior.sigma
        information[:, 3:, 3:] += np.diag(prior.sigma**-2.0)
        gradient[:, 3:] += off / prior.sigma
        cost = (off**2).sum(axis=1) + ((aside / self._aside_sigma) ** 2).sum(axis=1)
        cost += (field.weight * field.without(aside) ** 2).sum(axis=(1, 2))
        cost += _saturating(light.weight * light.without(aside) ** 2).sum(axis=(1, 2))
        return Fit(cost, information, gradient)

    def covariances(self, guess: Hypotheses, prior: BiasPrior) -> Array:
        """Of attitude error, both biases and the field model's error, shape (k, 12, 12).

        A bias and the field's error hang together: where the body hardly turns, their sum alone is known.
        """
        field, light = self._rows(guess)
        information = marginalise((field, _doubted(light)), self._aside_sigma[3:]).information
        known = np.concatenate((prior.sigma, self._aside_sigma[:3]))
        information[:, 3:, 3:] += np.diag(known**-2.0)
        return np.asarray(np.linalg.inv(information), np.float64)

    def face_costs(self, guess: Hypotheses) -> Array:
        """What each face adds to the costs, shape (k, 6)."""
        residual, _, weight = self._rows(guess)[1]
        costs: Array = _saturating(weight * residual**2).sum(axis=1)
        return costs

    def _rows(self, guess: Hypotheses) -> tuple[LinearisedMeasurements, LinearisedMeasurements]:
        """Magnetometer and faces."""
        attitude, by_error = self._carried_back(guess)
        return self._field_rows(guess, attitude, by_error), self._light_rows(attitude, by_error)

    def _carried_back(self, guess: Hypotheses) -> tuple[Array, Array]:
        """Body-from-GCRF matrices (k, n, 3, 3), and what the c unknowns do to them, (k, n, 3, c)."""
        rate = (self._gyro - guess.gyro_bias_rad_s[:, None]) @ self._body_from_gyro.T
        step_s = self._step_s[:, None]
        turn = 0.5 * step_s * (rate[:, :-1] + rate[:, 1:]) + step_s**2 / 12.0 * np.cross(rate[:, :-1], rate[:, 1:])
        back = quaternion.to_matrix(quaternion.exponential(turn))
        by_bias = -self._step_s[:, None, None] * right_jacobians(turn) @ self._body_from_gyro
        count, length = len(rate), len(self._gyro)
        # Columns: the attitude, what an attitude error at the newest sample does, what a rate in each stretch does.
        carried = np.empty((length, count, 3, 6 + 3 * (self._stretch[0] + 1)))
        last = np.zeros(carried.shape[1:])
        last[:, :, :3] = np.swapaxes(quaternion.to_matrix(guess.quaternion), 1, 2)
        last[:, :, 3:6] = np.eye(3)
        carried[-1] = last
        for k in range(length - 2, -1, -1):
            last = last.copy()
            since = 6 + 3 * self._stretch[k]
            last[:, :, since : since + 3] -= by_bias[:, k]
            last = back[:, k] @ last
            carried[k] = last
        carried = carried.transpose(1, 0, 2, 3)
        by_error = np.zeros((count, length, 3, PARAMETERS + len(self._aside_sigma)))
        by_error[..., :3] = carried[..., 3:6]
        # The bias is the rate that all stretches have in common.
        by_error[..., 3:6] = carried[..., 6:].reshape(count, length, 3, -1, 3).sum(axis=3)
        by_error[..., _DRIFT:] = carried[..., 6:]
        return carried[..., :3], by_error

    def _field_rows(self, guess: Hypotheses, attitude: Array, by_error: Array) -> LinearisedMeasurements:
        """The magnetometer, (k, n, 3)."""
        field = np.einsum("knij,nj->kni", attitude, self._field)
        residual = self._mag - field @ self._magnetometer_from_body.T - guess.mag_bias_ut[:, None]
        partials = self._magnetometer_from_body @ cross_matrices(field) @ by_error
        partials[..., 6:9] = np.eye(3)
        partials[..., _FIELD_ERROR] = self._magnetometer_from_body @ attitude
        return LinearisedMeasurements(residual, partials, np.broadcast_to(self._field_weight[:, None], residual.shape))

    def _light_rows(self, attitude: Array, by_error: Array) -> LinearisedMeasurements:
        """The faces, (k, n, 6)."""
        sun = np.einsum("knij,nj->kni", attitude, self._sun)
        cosine = sun @ self._normals.T
        normals_gcrf = self._normals @ attitude
        seen = np.maximum(normals_gcrf @ self._earth_directions.transpose(0, 2, 1), 0.0)
        earth = np.einsum("knfg,ng->knf", seen, self._earth_shares)
        towards = np.einsum("knfg,ng,ngi->knfi", seen > 0.0, self._earth_shares, self._earth_directions, optimize=True)
        direct = self._sunlit[:, None] * np.maximum(cosine, 0.0)
        residual = self._share - direct - self._reflectivity * earth
        idle = self._saturated & (residual < 0.0)
        lit = (cosine > 0.0) * self._sunlit[:, None]
        light = lit[..., None] * sun[:, :, None] + self._reflectivity * (towards @ np.swapaxes(attitude, -1, -2))
        partials = np.cross(self._normals, light) @ by_error
        partials[..., _REFLECTIVITY] = earth
        weight = np.where(idle, 0.0, self._asked / (self._light_variance + (self._earth_error * earth) ** 2))
        return LinearisedMeasurements(residual, partials, weight)


def _doubted(light: LinearisedMeasurements) -> LinearisedMeasurements:
    """Faces that are far off, with less weight."""
    return light._replace(weight=light.weight / (1.0 + light.weight * light.residual**2 / _OUTLIER_SIGMA**2))


def _saturating(square: Array) -> Array:
    """Cauchy's cost: what a broken face says counts logarithmically."""
    limit = _OUTLIER_SIGMA**2
    cost: Array = limit * np.log1p(square / limit)
    return cost
