"""Attitude hypotheses, the prior of their biases, and their likelihood over a window of samples.

The gyro propagates the attitude of a hypothesis back through the window, so that every sample depends on the same nine
parameters. All hypotheses are computed at once.

Nuisance parameters are marginalised in each fit, so that neither costs nor covariances are too optimistic: the error of
the field model, the Earth's reflectivity, and the attitude drift by gyro noise, modelled as a rate that is constant for
a stretch of samples. The normal equations of all parameters are reduced to the wanted ones by the Schur complement.
"""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.estimators.attitude.propagation import cross_matrices, right_jacobians
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import (
    FIELD_ERROR,
    GYRO_BIAS,
    MAG_BIAS,
    MAG_MATRIX,
    PANEL_FIELD,
    REFLECTIVITY,
    AttitudeState,
    light_rows,
)
from pygnc.estimators.attitude.sun_sensors import LightSources


class BiasPrior(NamedTuple):
    """Prior of the biases.

    Attributes:
        mean: Gyro bias (rad/s) and magnetometer bias (uT), sensor axes, shape (6,).
        sigma: Their standard deviations, shape (6,).
    """

    mean: Array
    sigma: Array


class Hypotheses(NamedTuple):
    """k hypotheses at the newest sample: attitudes with a gyro bias and a magnetometer bias each.

    Attributes:
        quaternion: GCRF from body, scalar first, shape (k, 4).
        biases: Gyro bias (rad/s) and magnetometer bias (uT), sensor axes, shape (k, 6).
    """

    quaternion: Array
    biases: Array

    def select(self, rows: Array) -> "Hypotheses":
        """Return some of the hypotheses, by index or by mask."""
        return Hypotheses(self.quaternion[rows], self.biases[rows])

    def corrected(self, error: Array) -> "Hypotheses":
        """Return the hypotheses corrected by errors (k, 9): attitude (rad, body axes), then `biases`."""
        rotated = quaternion.multiply(self.quaternion, quaternion.exponential(error[:, :3]))
        return Hypotheses(quaternion.normalised(rotated), self.biases + error[:, 3:])


_FIELD_KNOWN_SIGMA_UT: Final = 5.0
"""Largest sigma of a magnetometer bias with which a reading determines the direction of the field."""


class MagnetometerBias(NamedTuple):
    """Magnetometer bias from a calibration without attitude.

    Attributes:
        mean_ut: Bias in sensor axes, uT, shape (3,).
        sigma_ut: Standard deviations, uT, shape (3,).
    """

    mean_ut: Array
    sigma_ut: Array


def with_calibrated_bias(prior: BiasPrior, calibrated: MagnetometerBias | None) -> BiasPrior:
    """Return the prior with the magnetometer bias of a calibration if the calibration is more accurate."""
    if calibrated is None or calibrated.sigma_ut.max() >= prior.sigma[3:].max():
        return prior
    mean, sigma = np.append(prior.mean[:3], calibrated.mean_ut), np.append(prior.sigma[:3], calibrated.sigma_ut)
    return BiasPrior(mean, sigma)


def field_direction_known(prior: BiasPrior) -> bool:
    """Return True if the magnetometer bias is known well enough for a reading to determine the field's direction."""
    return bool(prior.sigma[3:].max() < _FIELD_KNOWN_SIGMA_UT)


_KEPT_SIGMA_FACTOR: Final = 2.0
"""Factor on the sigmas of biases that are kept from a lost track."""


def initial_bias_prior(settings: AttitudeSettings) -> BiasPrior:
    """Return the prior of the biases at the first search, or after a track with wrong biases."""
    sigma = [settings.gyro.bias_sigma_rad_s] * 3 + [settings.magnetometer.bias_sigma_ut] * 3
    return BiasPrior(np.zeros(6), np.array(sigma))


def bias_prior_from_state(state: AttitudeState, settings: AttitudeSettings) -> BiasPrior:
    """Return the prior of the biases after a track lost its attitude."""
    unknown = initial_bias_prior(settings).sigma
    sigma = np.concatenate((state.sigma[GYRO_BIAS], state.sigma[MAG_BIAS]))
    return BiasPrior(state.slow[:6].copy(), np.clip(_KEPT_SIGMA_FACTOR * sigma, 0.02 * unknown, unknown))


class LinearisedMeasurements(NamedTuple):
    """Linearised measurements of one kind for k hypotheses.

    Attributes:
        residual: Measured minus predicted, shape (k, ...).
        partials: Derivatives by all c parameters, the estimated parameters first, shape (k, ..., c).
        weight: Inverse variances, shape (k, ...).
    """

    residual: Array
    partials: Array
    weight: Array

    def residual_after(self, nuisance: Array) -> Array:
        """Return the residuals, shape (k, ...), after the last parameters were set to `nuisance`, shape (k, a)."""
        count = nuisance.shape[-1]
        columns = self.partials[..., -count:].reshape(len(nuisance), -1, count)
        left: Array = self.residual - (columns @ nuisance[..., None]).reshape(self.residual.shape)
        return left


def marginalise(parts: Sequence[LinearisedMeasurements], nuisance_sigma: Array) -> tuple[Array, Array, Array]:
    """Return the normal equations in which the last parameters, the nuisance parameters, are marginalised.

    Args:
        parts: All measurements.
        nuisance_sigma: Prior standard deviations of the nuisance parameters, whose prior mean is zero, shape (a,).

    Returns:
        Matrices (k, w, w) and right-hand sides (k, w) of the w estimated parameters, and estimates (k, a) of the
        nuisance parameters at unchanged estimated parameters.
    """
    normals = [_normal(part) for part in parts]
    information: Array = np.sum([matrix for matrix, _ in normals], axis=0)
    gradient: Array = np.sum([right for _, right in normals], axis=0)
    wanted = gradient.shape[-1] - len(nuisance_sigma)
    cross = information[:, wanted:, :wanted]
    known = information[:, wanted:, wanted:] + np.diag(nuisance_sigma**-2.0)
    right = np.concatenate((cross, gradient[:, wanted:, None]), axis=2)
    solved: Array = np.linalg.solve(known, right).astype(np.float64, copy=False)
    removed = np.swapaxes(cross, 1, 2) @ solved
    return (
        information[:, :wanted, :wanted] - removed[..., :wanted],
        gradient[:, :wanted] - removed[..., wanted],
        solved[..., wanted],
    )


def _normal(part: LinearisedMeasurements) -> tuple[Array, Array]:
    """Return the normal matrices (k, c, c) and right-hand sides (k, c)."""
    problems, count = len(part.residual), part.partials.shape[-1]
    rows = part.partials.reshape(problems, -1, count)
    weighted = (rows * part.weight.reshape(problems, -1, 1)).transpose(0, 2, 1)
    return weighted @ rows, (weighted @ part.residual.reshape(problems, -1, 1))[..., 0]


PARAMETERS: Final = 9
"""Attitude error in body axes (rad), gyro bias (rad/s) and magnetometer bias (uT), both in sensor axes."""
_FIELD_ERROR: Final = slice(9, 12)
"""Error of the field model, uT, GCRF."""
_REFLECTIVITY: Final = 12
_DRIFT: Final = 13
"""Index of the first drift rate: three components, sensor axes, rad/s, for each stretch, the newest first."""
_FIELD_STATES: Final = np.r_[0:9, FIELD_ERROR, REFLECTIVITY, MAG_MATRIX, PANEL_FIELD]
"""Elements of the error state that `Window.solution` estimates, followed by gains and cosine error."""
_LIGHT_ERRORS: Final = slice(len(_FIELD_STATES), None)
"""Gains and cosine error among these."""
_LIGHT_ERROR_MIN: Final = -0.9
"""Keeps the gain of a face that sees no light positive."""
_STRETCH: Final = 16
"""Samples per stretch. The remaining effect of gyro noise within a stretch is below the noise of the other sensors."""
_FIELD_ERROR_UT: Final = 0.5
"""Error of the field model; larger than in tracking, because its fit has not been observed yet."""
_OUTLIER_SIGMA: Final = 4.0
"""Deviation from which a face loses weight, since it may be dead or mirrored."""
_FIELD_OUTLIER_SIGMA: Final = 6.0
"""Deviation from which a magnetometer reading loses weight, since magnetorquers may be on."""
_FIELD_OUTLIERS_MAX: Final = 0.6
"""Share of disturbed readings up to which the others determine the misfit."""
_FIELD_OUTLIER_COST: Final = 6.0
"""Cost of a disturbed reading in the misfit."""


class WindowSample(NamedTuple):
    """One sample of the window with its environment."""

    sample: AttitudeSample
    environment: AttitudeEnvironment
    sources: LightSources


class Fit(NamedTuple):
    """Fit of k hypotheses.

    Attributes:
        cost: Sum of squared residuals over their variances with a robust loss, shape (k,).
        information: Normal matrices, shape (k, 9, 9).
        gradient: Right-hand sides, shape (k, 9).
        misfit: Cost per measurement, shape (k,), in which a minority of disturbed magnetometer readings counts little.
    """

    cost: Array
    information: Array
    gradient: Array
    misfit: Array


class Window:
    """Window of samples as arrays, without the illuminance of the face `excluded_face`."""

    def __init__(
        self,
        window_samples: list[WindowSample],
        settings: AttitudeSettings,
        excluded_face: int | None = None,
        *,
        tolerant: bool = False,
    ) -> None:
        self._tolerant = tolerant
        self._magnetometer_from_body = settings.mounting.magnetometer
        self._body_from_gyro = settings.mounting.gyro.T
        self._normals = settings.mounting.face_normals
        self._no_light_errors = np.zeros(len(self._normals) + 1)
        self._reflectivity = settings.sun_sensors.reflectivity
        samples, all_sources = [entry.sample for entry in window_samples], [entry.sources for entry in window_samples]
        self._step_s = 1e-3 * np.diff([float(sample.gps_ms) for sample in samples])
        self._gyro = np.array([sample.gyro_imu_rad_s for sample in samples])
        self._mag = np.array([sample.mag_imu_ut for sample in samples])
        full_sun_lux = np.array([sources.full_sun_lux for sources in all_sources])[:, None]
        self._full_scale = settings.sun_sensors.saturation_lux / full_sun_lux
        self._share = np.minimum(np.array([sample.lux for sample in samples]) / full_sun_lux, self._full_scale)
        self._saturated = self._share >= (1.0 - 1e-6) * self._full_scale
        self._field = np.array([entry.environment.field_gcrf_ut for entry in window_samples])
        self._sun = np.array([sources.sun_gcrf for sources in all_sources])
        self._sunlit = np.array([sources.sunlit_fraction for sources in all_sources])
        self._earth_directions = np.array([sources.earth.directions for sources in all_sources])
        self._earth_shares = np.array([sources.earth.shares for sources in all_sources])
        magnetometer, faces = settings.magnetometer, settings.sun_sensors
        # Effect of gyro noise over each stretch: drift of its ends, and deviation from a straight line.
        self._stretch = np.arange(len(samples) - 2, -1, -1) // _STRETCH
        walk2 = np.bincount(self._stretch, (self._step_s * settings.gyro.noise_rad_s) ** 2)
        drift_sigma = np.sqrt(walk2) / np.bincount(self._stretch, self._step_s)
        bridge2 = np.append(walk2[self._stretch] / 6.0, 0.0)
        self._nuisance_sigma = np.concatenate(
            ([_FIELD_ERROR_UT] * 3, [faces.reflectivity_sigma], np.repeat(drift_sigma, 3)),
        )
        field2 = (self._field**2).sum(axis=1)
        undisturbed = np.array([not sample.field_unusable for sample in samples])
        self._field_weight = undisturbed / (magnetometer.noise_ut**2 + field2 * bridge2)
        self._light_variance = faces.noise_share**2 + (faces.gain_sigma * self._share) ** 2 + bridge2[:, None]
        self._earth_error = faces.albedo_model_error * faces.reflectivity
        self._face_weight = (self._share >= 0.0).astype(float)
        bright = self._share > settings.sun_sensors.dark_share
        if excluded_face is not None:
            self._face_weight[:, excluded_face] = 0.0
            bright[:, excluded_face] = False
        self.measurements = 3 * int(undisturbed.sum()) + int(bright.sum())

    def fit(self, hypotheses: Hypotheses, prior: BiasPrior) -> Fit:
        """Return cost and normal equations of k hypotheses, with the prior of their biases."""
        field, light = self._linearised(hypotheses, self._no_light_errors)
        robust = self._field_with_weight(field), _with_robust_weight(light)
        information, gradient, nuisance = marginalise(robust, self._nuisance_sigma)
        off = (prior.mean - hypotheses.biases) / prior.sigma
        information[:, 3:, 3:] += np.diag(prior.sigma**-2.0)
        gradient[:, 3:] += off / prior.sigma
        cost = (off**2).sum(axis=1) + ((nuisance / self._nuisance_sigma) ** 2).sum(axis=1)
        cost += _cauchy_cost(light.weight * light.residual_after(nuisance) ** 2).sum(axis=(1, 2))
        squares = (field.weight * field.residual_after(nuisance) ** 2).sum(axis=2)
        each = _cauchy_cost(squares, _FIELD_OUTLIER_SIGMA) if self._tolerant else squares
        disturbed = (squares > _FIELD_OUTLIER_SIGMA**2) & self._tolerant
        few = disturbed.mean(axis=1, keepdims=True) <= _FIELD_OUTLIERS_MAX
        counted = np.where(disturbed & few, _FIELD_OUTLIER_COST, each).sum(axis=1)
        return Fit(cost + each.sum(axis=1), information, gradient, (cost + counted) / self.measurements)

    def solution(self, best: Hypotheses, prior: BiasPrior, sigma: Array, *, iterations: int = 6) -> tuple[Array, Array]:
        """Return correction and covariance of the whole error state for one hypothesis.

        Errors of the sensor models are estimated too. Where they have misled the fit of the hypothesis, which is
        without them, by up to 20 degrees, several Gauss-Newton steps are necessary. A bias and the field error are
        correlated: if the body hardly rotates, only their sum is observable.

        Args:
            best: The only hypothesis.
            prior: Prior of its biases.
            sigma: Prior standard deviations of the error state, shape (35,); those of attitude and biases do not count.
            iterations: Number of Gauss-Newton steps.

        Returns:
            Correction, shape (35,), and covariance, shape (35, 35).
        """
        states = np.concatenate((_FIELD_STATES, light_rows(len(sigma))))
        window_sigma = sigma[states]
        window_sigma[3:_DRIFT] = np.concatenate((prior.sigma, self._nuisance_sigma[: _DRIFT - PARAMETERS]))
        hypothesis, light_errors = best, self._no_light_errors
        for _ in range(iterations):
            step, known_covariance = self._solution_step(hypothesis, prior, window_sigma, light_errors)
            hypothesis = hypothesis.corrected(step[None, :PARAMETERS])
            light_errors = np.maximum(light_errors + step[_LIGHT_ERRORS], _LIGHT_ERROR_MIN)
        step[:3] = quaternion.error_vector(hypothesis.quaternion[0], best.quaternion[0])
        step[3:PARAMETERS] = (hypothesis.biases - best.biases)[0]
        step[_LIGHT_ERRORS] = light_errors
        error, covariance = np.zeros(len(sigma)), np.diag(sigma**2)
        error[states] = step
        covariance[np.ix_(states, states)] = known_covariance
        return error, covariance

    def _solution_step(
        self, hypothesis: Hypotheses, prior: BiasPrior, window_sigma: Array, light_errors: Array
    ) -> tuple[Array, Array]:
        """Return a Gauss-Newton step of `solution` and the covariance, shapes (32,) and (32, 32)."""
        field, light = self._linearised(hypothesis, light_errors)
        parts = []
        robust = self._field_with_weight(field), _with_robust_weight(light)
        for part, columns in zip(robust, self._model_partials(hypothesis, light, light_errors), strict=True):
            known, drift = np.split(part.partials, [_DRIFT], axis=-1)
            parts.append(part._replace(partials=np.concatenate((known, columns, drift), axis=-1)))
        (information,), (gradient,), _ = marginalise(parts, self._nuisance_sigma[_DRIFT - PARAMETERS :])
        information[3:, 3:] += np.diag(window_sigma[3:] ** -2.0)
        gradient[3:PARAMETERS] += (prior.mean - hypothesis.biases[0]) / prior.sigma**2
        gradient[_LIGHT_ERRORS] -= light_errors / window_sigma[_LIGHT_ERRORS] ** 2
        covariance = np.linalg.inv(information)
        return covariance.dot(gradient), covariance

    def face_costs(self, hypotheses: Hypotheses) -> Array:
        """Return the contribution of each face to the costs, shape (k, 6)."""
        residual, _, weight = self._linearised(hypotheses, self._no_light_errors)[1]
        costs: Array = _cauchy_cost(weight * residual**2).sum(axis=1)
        return costs

    def _model_partials(
        self, hypothesis: Hypotheses, light: LinearisedMeasurements, light_errors: Array
    ) -> tuple[Array, Array]:
        """Return the partials of magnetometer (1, n, 3, 19) and sun sensors (1, n, 6, 19) by the model errors.

        These are matrix and panel field of the magnetometer, gains and cosine error of the sun sensors.
        """
        attitude, _ = self._propagated_back(hypothesis)
        ideal = np.einsum("knij,nj->kni", attitude, self._field) @ self._magnetometer_from_body.T
        count = len(self._normals)
        field, faces = (np.zeros((1, len(self._mag), rows, 13 + count)) for rows in (3, count))
        for axis in range(3):
            field[..., axis, 3 * axis : 3 * axis + 3] = ideal
        field[..., 9:12] = self._sunlit[:, None, None] * np.eye(3)
        cosine = np.einsum("knij,nj->kni", attitude, self._sun) @ self._normals.T
        gain = 1.0 + light_errors[:-1]
        faces[..., 12:-1] = ((self._share - light.residual) / gain)[..., None] * np.eye(count)
        faces[..., -1] = -gain * self._sunlit[:, None] * np.maximum(cosine, 0.0) * (1.0 - cosine**2)
        return field, faces

    def _field_with_weight(self, field: LinearisedMeasurements) -> LinearisedMeasurements:
        """Return the measurements, if tolerant with lower weights for readings whose three residuals are large."""
        if not self._tolerant:
            return field
        squares = (field.weight * field.residual**2).sum(axis=2, keepdims=True)
        return field._replace(weight=field.weight / (1.0 + squares / _FIELD_OUTLIER_SIGMA**2))

    def _linearised(
        self, hypotheses: Hypotheses, light_errors: Array
    ) -> tuple[LinearisedMeasurements, LinearisedMeasurements]:
        """Return the linearised measurements of magnetometer and sun sensors."""
        attitude, d_error = self._propagated_back(hypotheses)
        field = self._field_measurements(hypotheses, attitude, d_error)
        return field, self._illuminance_measurements(attitude, d_error, light_errors)

    def _propagated_back(self, hypotheses: Hypotheses) -> tuple[Array, Array]:
        """Return body-from-GCRF matrices of all samples, (k, n, 3, 3), and partials of their errors, (k, n, 3, c)."""
        rate = (self._gyro - hypotheses.biases[:, None, :3]) @ self._body_from_gyro.T
        step_s = self._step_s[:, None]
        rotation = 0.5 * step_s * (rate[:, :-1] + rate[:, 1:]) + step_s**2 / 12.0 * np.cross(rate[:, :-1], rate[:, 1:])
        back = quaternion.to_matrix(quaternion.exponential(rotation))
        d_bias = -self._step_s[:, None, None] * right_jacobians(rotation) @ self._body_from_gyro
        count, length = len(rate), len(self._gyro)
        # Columns: attitude, partials by the attitude error at the newest sample, partials by the rate of each stretch.
        propagated = np.empty((length, count, 3, 6 + 3 * (self._stretch[0] + 1)))
        last = np.zeros(propagated.shape[1:])
        last[:, :, :3] = np.swapaxes(quaternion.to_matrix(hypotheses.quaternion), 1, 2)
        last[:, :, 3:6] = np.eye(3)
        propagated[-1] = last
        for k in range(length - 2, -1, -1):
            last = last.copy()
            since = 6 + 3 * self._stretch[k]
            last[:, :, since : since + 3] -= d_bias[:, k]
            last = back[:, k] @ last
            propagated[k] = last
        propagated = propagated.transpose(1, 0, 2, 3)
        d_error = np.zeros((count, length, 3, PARAMETERS + len(self._nuisance_sigma)))
        d_error[..., :3] = propagated[..., 3:6]
        # The bias is the rate common to all stretches.
        d_error[..., 3:6] = propagated[..., 6:].reshape(count, length, 3, -1, 3).sum(axis=3)
        d_error[..., _DRIFT:] = propagated[..., 6:]
        return propagated[..., :3], d_error

    def _field_measurements(self, hypotheses: Hypotheses, attitude: Array, d_error: Array) -> LinearisedMeasurements:
        """Return the linearised measurements of the magnetometer, (k, n, 3)."""
        field = np.einsum("knij,nj->kni", attitude, self._field)
        residual = self._mag - field @ self._magnetometer_from_body.T - hypotheses.biases[:, None, 3:]
        partials = self._magnetometer_from_body @ cross_matrices(field) @ d_error
        partials[..., 6:9] = np.eye(3)
        partials[..., _FIELD_ERROR] = self._magnetometer_from_body @ attitude
        return LinearisedMeasurements(residual, partials, np.broadcast_to(self._field_weight[:, None], residual.shape))

    def _illuminance_measurements(self, attitude: Array, d_error: Array, light_errors: Array) -> LinearisedMeasurements:
        """Return the linearised measurements of the sun sensors, (k, n, 6)."""
        sun = np.einsum("knij,nj->kni", attitude, self._sun)
        cosine = sun @ self._normals.T
        normals_gcrf = self._normals @ attitude
        seen = np.maximum(normals_gcrf @ self._earth_directions.transpose(0, 2, 1), 0.0)
        earth = np.einsum("knfg,ng->knf", seen, self._earth_shares)
        towards = np.einsum("knfg,ng,ngi->knfi", seen > 0.0, self._earth_shares, self._earth_directions, optimize=True)
        direct = self._sunlit[:, None] * np.maximum(cosine, 0.0)
        gain, below, sine2 = 1.0 + light_errors[:-1], light_errors[-1], 1.0 - cosine**2
        residual = self._share - gain * (direct * (1.0 - below * sine2) + self._reflectivity * earth)
        idle = self._saturated & (residual < 0.0)
        lit = (cosine > 0.0) * self._sunlit[:, None] * (1.0 + below * (2.0 - 3.0 * sine2))
        light = lit[..., None] * sun[:, :, None] + self._reflectivity * (towards @ np.swapaxes(attitude, -1, -2))
        partials = np.cross(self._normals, gain[:, None] * light) @ d_error
        partials[..., _REFLECTIVITY] = gain * earth
        weight = np.where(idle, 0.0, self._face_weight / (self._light_variance + (self._earth_error * earth) ** 2))
        return LinearisedMeasurements(residual, partials, weight)


def _with_robust_weight(light: LinearisedMeasurements) -> LinearisedMeasurements:
    """Return the measurements with lower weights for large residuals."""
    return light._replace(weight=light.weight / (1.0 + light.weight * light.residual**2 / _OUTLIER_SIGMA**2))


def _cauchy_cost(square: Array, outlier_sigma: float = _OUTLIER_SIGMA) -> Array:
    """Return Cauchy's robust loss, in which the residuals of a broken sensor count logarithmically."""
    limit = outlier_sigma**2
    cost: Array = limit * np.log1p(square / limit)
    return cost
