"""Attitude hypotheses and their likelihood over a window of samples.

A hypothesis has nine parameters: its attitude at the newest sample and the biases of gyro and magnetometer. The gyro
readings propagate this attitude back to all samples of the window. Arrays contain all k hypotheses and n samples.

Each fit marginalises nuisance parameters, because costs and covariances would otherwise be too small: the error of the
field model, mean and slopes of the Earth's reflectivity, scale, misalignment and panel field of the magnetometer, and
the attitude drift by gyro noise, modelled as a rate error that is constant in each stretch of 16 samples. The Schur
complement reduces the normal equations to the nine parameters.
"""

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pygnc.common import quaternion
from pygnc.common.arrays import Array, median
from pygnc.estimators.attitude.propagation import cross_matrices, right_jacobians
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.sensor_prior import SensorPrior
from pygnc.estimators.attitude.settings import AttitudeSettings, MagnetometerSettings
from pygnc.estimators.attitude.state import ERRORS, Flags
from pygnc.estimators.attitude.sun_sensors import LightSources, is_full_scale
from pygnc.estimators.kalman import scaled_inverse


class Hypotheses(NamedTuple):
    """k hypotheses: attitude at the newest sample, gyro bias and magnetometer bias of each.

    Attributes:
        quaternion: GCRF from body, scalar first, shape (k, 4).
        biases: Gyro bias (rad/s) and magnetometer bias (uT), sensor axes, shape (k, 6).
    """

    quaternion: Array
    biases: Array

    def select(self, rows: Array) -> "Hypotheses":
        """Return the hypotheses with these indices, or with True in this mask of shape (k,)."""
        return Hypotheses(self.quaternion[rows], self.biases[rows])

    def corrected(self, error: Array) -> "Hypotheses":
        """Return the hypotheses corrected by `error`, shape (k, 9): attitude error (rad, body axes), then `biases`."""
        rotated = quaternion.multiply(self.quaternion, quaternion.exponential(error[:, :3]))
        return Hypotheses(quaternion.normalised(rotated), self.biases + error[:, 3:])


class LinearisedMeasurements(NamedTuple):
    """Linearised measurements of one kind for k hypotheses.

    Attributes:
        residual: Measured minus predicted, shape (k, ...).
        partials: Derivatives of the prediction with respect to all c parameters, nuisance parameters last, (k, ..., c).
        weight: Inverse variances, shape (k, ...).
    """

    residual: Array
    partials: Array
    weight: Array

    def residual_after(self, nuisance: Array) -> Array:
        """Return the residuals, shape (k, ...), after correction by nuisance parameters `nuisance`, shape (k, a)."""
        count = nuisance.shape[-1]
        columns = self.partials[..., -count:].reshape(len(nuisance), -1, count)
        left: Array = self.residual - (columns @ nuisance[..., None]).reshape(self.residual.shape)
        return left


def marginalise(parts: Sequence[LinearisedMeasurements], nuisance_sigma: Array) -> tuple[Array, Array, Array]:
    """Return the normal equations after marginalisation of the last a parameters, the nuisance parameters.

    Args:
        parts: All kinds of measurements.
        nuisance_sigma: Prior standard deviations of the nuisance parameters, whose prior mean is zero, shape (a,).

    Returns:
        Matrices (k, w, w) and right-hand sides (k, w) of the other w parameters, and estimates (k, a) of the nuisance
        parameters while the others keep their values.
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
    """Return normal matrices (k, c, c) and right-hand sides (k, c) of all c parameters."""
    problems, count = len(part.residual), part.partials.shape[-1]
    rows = part.partials.reshape(problems, -1, count)
    weighted = (rows * part.weight.reshape(problems, -1, 1)).transpose(0, 2, 1)
    return weighted @ rows, (weighted @ part.residual.reshape(problems, -1, 1))[..., 0]


PARAMETERS: Final = 9
"""Number of parameters: attitude error (rad, body axes), gyro bias (rad/s) and magnetometer bias (uT), sensor axes. The
columns after them are those of the error state up to the drift rates.
"""
_DRIFT: Final = 33
"""First column of the drift rates: three components per stretch, sensor axes, rad/s, the newest stretch first."""
LIGHT_ERROR_MIN: Final = -0.9
"""Lower limit of gain errors, because an unobserved gain must remain positive. A face with this gain is dead."""
_STRETCH: Final = 16
"""Samples per stretch; within a stretch, the effect of gyro noise is below the noise of the other sensors."""
_FACE_GATE: Final = 16.0
"""Squared residual in variances beyond which a face loses weight, because it may be dead or mirrored."""
_FIELD_GATE: Final = 36.0
"""Squared residual in variances beyond which a tolerant attempt gives a magnetometer reading less weight.

Magnetorquers may be on.
"""


class WindowSample(NamedTuple):
    """One sample of the window with its environment and the light sources at its time."""

    sample: AttitudeSample
    environment: AttitudeEnvironment
    sources: LightSources


class Fit(NamedTuple):
    """Fit of k hypotheses to the window.

    Attributes:
        cost: Sum of squared residuals over their variances with a robust loss, shape (k,).
        information: Matrices of the normal equations for a correction, shape (k, 9, 9).
        gradient: Right-hand sides of the normal equations, shape (k, 9).
        misfit: Cost per measurement, shape (k,); if tolerant, with a limited cost of disturbed magnetometer readings.
    """

    cost: Array
    information: Array
    gradient: Array
    misfit: Array


def outside_pulses(mag_ut: Array, settings: MagnetometerSettings) -> Flags:
    """Return False for readings that a pulse of magnetorquers may disturb, shapes (n, 3) -> (n,).

    The readings jump when a pulse begins and ends. Those of a short stretch between two jumps, before the first or
    after the last one may belong to a pulse. A rotation changes the readings smoothly, unless it is so fast that most
    second differences are large, which then cannot show a jump.
    """
    if len(mag_ut) < 3:
        return np.full(len(mag_ut), fill_value=True)
    change_ut = np.linalg.norm(np.diff(mag_ut, 2, axis=0), axis=1)
    # The second difference of white noise has six times its variance; 1.54 is the median for 3 degrees of freedom.
    sigma_ut = max(math.sqrt(6.0) * settings.noise_ut, float(median(change_ut)) / 1.54)
    jumps = np.cumsum(change_ut > math.sqrt(settings.gate) * sigma_ut)
    stretch = np.concatenate((np.zeros(1, np.intp), jumps, jumps[-1:]))
    steady: Flags = (np.bincount(stretch) > settings.pulse_samples_max)[stretch] | (jumps[-1] == 0)
    return steady


class Window:
    """Window of samples, oldest first, as arrays, without the illuminance of the face number `excluded_face`.

    If `tolerant` is true, magnetometer readings with large residuals have less weight.
    """

    def __init__(
        self,
        window_samples: list[WindowSample],
        settings: AttitudeSettings,
        prior: SensorPrior,
        excluded_face: int | None = None,
        *,
        tag_sigma_s: Array | float = 0.0,
        tolerant: bool = False,
    ) -> None:
        self._tolerant, self._rejected_max = tolerant, settings.start.rejected_max
        prior = prior.warmed(window_samples[-1].environment.warmth)
        self._prior_mean = prior.mean
        self._whitening = np.linalg.inv(np.linalg.cholesky(prior.covariance))
        self._magnetometer_from_body = settings.mounting.magnetometer
        matrix_error, self._panel_field_ut = prior.mean[6:15].reshape(3, 3), prior.mean[15:18]
        self._distorted = (np.eye(3) + matrix_error) @ self._magnetometer_from_body
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
        self._saturated = is_full_scale(self._share, self._full_scale)
        self._field = np.array([entry.environment.field_gcrf_ut for entry in window_samples])
        self._sun = np.array([sources.sun_gcrf for sources in all_sources])
        self._sunlit = np.array([sources.sunlit_fraction for sources in all_sources])
        self._earth_directions = np.array([sources.earth.directions for sources in all_sources])
        self._earth_shares = np.array([sources.earth.shares.T for sources in all_sources])
        magnetometer, faces = settings.magnetometer, settings.sun_sensors
        # Gyro noise in a stretch is a constant drift rate, and measurement noise for the deviation from it in between.
        self._stretch = np.arange(len(samples) - 2, -1, -1) // _STRETCH
        warmth = np.array([entry.environment.warmth for entry in window_samples])
        self._colder = warmth - warmth[-1]
        self._gyro_change, self._mag_change_ut = np.hsplit(np.outer(self._colder, prior.thermal), 2)
        warming = np.bincount(self._stretch, self._step_s * (0.5 * (warmth[1:] + warmth[:-1]) - warmth[-1]))
        self._warming = warming / np.bincount(self._stretch, self._step_s)
        tag2 = np.broadcast_to(tag_sigma_s, len(samples)) ** 2
        # A reading that is late by some time has the rate of that time; the step multiplies its error.
        late2 = tag2[1:] * (np.diff(self._gyro, axis=0) ** 2).mean(axis=1)
        walk2 = np.bincount(self._stretch, (self._step_s * settings.gyro.noise_rad_s) ** 2 + late2)
        drift_sigma = np.sqrt(walk2) / np.bincount(self._stretch, self._step_s)
        bridge2 = np.append(walk2[self._stretch] / 6.0, 0.0)
        self._nuisance_sigma = np.concatenate(
            # The prior contains the errors of the magnetometer and the changes of the biases.
            (
                np.repeat((settings.start.field_error_ut, faces.reflectivity_sigma), 3),
                [np.inf] * 18,
                np.repeat(drift_sigma, 3),
            ),
        )
        # An error of a sample's time rotates the body by the rate times this error.
        bridge2 = bridge2 + (self._gyro**2).sum(axis=1) * tag2
        field2 = (self._field**2).sum(axis=1)
        undisturbed = np.array([not sample.field_unusable for sample in samples])
        undisturbed[undisturbed] = outside_pulses(self._mag[undisturbed], magnetometer)
        self._field_weight = undisturbed / (magnetometer.noise_ut**2 + field2 * bridge2)
        self._light_variance = faces.noise_share**2 + (faces.gain_sigma * self._share) ** 2 + bridge2[:, None]
        self._earth_error = faces.albedo_model_error * faces.reflectivity
        self._face_weight = (self._share >= 0.0) * np.array([[float(sources.is_clear)] for sources in all_sources])
        if excluded_face is not None:
            self._face_weight[:, excluded_face] = 0.0
        bright = self._face_weight * (self._share > settings.sun_sensors.dark_share)
        self.measurements = max(3 * int(undisturbed.sum()) + int(bright.sum()), 1)

    def fit(self, hypotheses: Hypotheses) -> Fit:
        """Return cost and normal equations of k hypotheses, including the prior of the sensors."""
        field, light = self._linearised(hypotheses, self._no_light_errors)
        known = self._prior_measurements(hypotheses)
        robust = self._field_with_weight(field), self._light_with_weight(light), known
        information, gradient, nuisance = marginalise(robust, self._nuisance_sigma)
        diagonal = np.arange(information.shape[-1])
        # A window without a usable reading says nothing about the attitude; its matrix would be singular.
        information[:, diagonal, diagonal] += information[:, diagonal, diagonal] == 0.0
        cost = (known.residual_after(nuisance) ** 2).sum(axis=1) + ((nuisance / self._nuisance_sigma) ** 2).sum(axis=1)
        cost += _cauchy_cost(light.weight * light.residual_after(nuisance) ** 2, _FACE_GATE).sum(axis=(1, 2))
        squares = (field.weight * field.residual_after(nuisance) ** 2).sum(axis=2)
        each = _cauchy_cost(squares, _FIELD_GATE) if self._tolerant else squares
        disturbed = (squares > _FIELD_GATE) & self._tolerant
        few = disturbed.mean(axis=1, keepdims=True) <= self._rejected_max
        # A disturbed reading counts as two undisturbed ones, whose mean is 3.
        counted = np.where(disturbed & few, 6.0, each).sum(axis=1)
        return Fit(cost + each.sum(axis=1), information, gradient, (cost + counted) / self.measurements)

    def solution(self, best: Hypotheses, sigma: Array, *, iterations: int = 6) -> tuple[Array, Array]:
        """Return correction and covariance of the whole error state for one hypothesis.

        Unlike `fit`, this also estimates the errors of the sensor models. Without them, the attitude of the hypothesis
        may be wrong by 20 degrees, so several Gauss-Newton steps are necessary. If the body hardly rotates, only the
        sum of magnetometer bias and field error is observable.

        Args:
            best: The hypothesis; k is 1.
            sigma: Prior standard deviations of the error state, shape (size,); not used for the attitude and for the
                elements of the prior of the sensors.
            iterations: Number of Gauss-Newton steps.

        Returns:
            Correction, shape (size,), and covariance, shape (size, size).
        """
        states = np.r_[:_DRIFT, ERRORS.light_errors.start : len(sigma)]
        window_sigma = sigma[states]
        window_sigma[3:_DRIFT] = np.concatenate(([np.inf] * 6, self._nuisance_sigma[: _DRIFT - PARAMETERS]))
        hypothesis, light_errors = best, self._no_light_errors
        for _ in range(iterations):
            step, known_covariance = self._solution_step(hypothesis, window_sigma, light_errors)
            hypothesis = hypothesis.corrected(step[None, :PARAMETERS])
            light_errors = np.maximum(light_errors + step[_DRIFT:], LIGHT_ERROR_MIN)
        step[:3] = quaternion.error_vector(hypothesis.quaternion[0], best.quaternion[0])
        step[3:PARAMETERS] = (hypothesis.biases - best.biases)[0]
        step[_DRIFT:] = light_errors
        error, covariance = np.zeros(len(sigma)), np.diag(sigma**2)
        error[states] = step
        covariance[np.ix_(states, states)] = known_covariance
        return error, covariance

    def _solution_step(self, hypothesis: Hypotheses, window_sigma: Array, light_errors: Array) -> tuple[Array, Array]:
        """Return a Gauss-Newton step of the estimated elements, shape (e,), and their covariance, shape (e, e)."""
        field, light = self._linearised(hypothesis, light_errors)
        d_light = self._light_error_partials(hypothesis, light, light_errors)
        robust = (self._field_with_weight(field), self._light_with_weight(light), self._prior_measurements(hypothesis))
        parts = []
        for part, d_errors in zip(robust, (None, d_light, None), strict=True):
            known, drift = np.split(part.partials, [_DRIFT], axis=-1)
            columns = np.zeros((*known.shape[:-1], d_light.shape[-1])) if d_errors is None else d_errors
            parts.append(part._replace(partials=np.concatenate((known, columns, drift), axis=-1)))
        (information,), (gradient,), _ = marginalise(parts, self._nuisance_sigma[_DRIFT - PARAMETERS :])
        information[3:, 3:] += np.diag(window_sigma[3:] ** -2.0)
        gradient[_DRIFT:] -= light_errors / window_sigma[_DRIFT:] ** 2
        covariance = scaled_inverse(information)
        return covariance.dot(gradient), covariance

    def face_costs(self, hypotheses: Hypotheses) -> Array:
        """Return the contribution of each face to the costs, shape (k, faces)."""
        residual, _, weight = self._linearised(hypotheses, self._no_light_errors)[1]
        costs: Array = _cauchy_cost(weight * residual**2, _FACE_GATE).sum(axis=1)
        return costs

    def _light_error_partials(
        self, hypothesis: Hypotheses, light: LinearisedMeasurements, light_errors: Array
    ) -> Array:
        """Return the derivatives of the sun sensors by cosine error and gains, (1, n, faces, 1 + faces)."""
        attitude, _ = self._propagated_back(hypothesis)
        cosine = np.einsum("knij,nj->kni", attitude, self._sun) @ self._normals.T
        gain = 1.0 + light_errors[1:]
        d_gain = ((self._share - light.residual) / gain)[..., None] * np.eye(len(gain))
        d_cosine = -gain * np.maximum(cosine, 0.0) * (1.0 - cosine**2)
        return np.concatenate((d_cosine[..., None], d_gain), axis=-1)

    def _prior_measurements(self, hypotheses: Hypotheses) -> LinearisedMeasurements:
        """Return the prior of the sensors as measurements with unit variance, (k, 24)."""
        count, biases = len(hypotheses.biases), hypotheses.biases.shape[1]
        d_biases, d_nuisance = np.split(self._whitening, [biases], axis=1)
        partials = np.zeros((count, len(d_biases), PARAMETERS + len(self._nuisance_sigma)))
        partials[..., 3:PARAMETERS], partials[..., ERRORS.mag_matrix.start : _DRIFT] = d_biases, d_nuisance
        residual = (self._prior_mean[:biases] - hypotheses.biases) @ d_biases.T
        return LinearisedMeasurements(residual, partials, np.ones_like(residual))

    def _field_with_weight(self, field: LinearisedMeasurements) -> LinearisedMeasurements:
        """Return the measurements; if tolerant, readings with large residuals have lower weights (Cauchy)."""
        if not self._tolerant:
            return field
        squares = (field.weight * field.residual**2).sum(axis=2, keepdims=True)
        return field._replace(weight=field.weight / (1.0 + squares / _FIELD_GATE))

    def _light_with_weight(self, light: LinearisedMeasurements) -> LinearisedMeasurements:
        """Return the measurements with lower weights for large residuals, as Cauchy's loss demands."""
        return light._replace(weight=light.weight / (1.0 + light.weight * light.residual**2 / _FACE_GATE))

    def _linearised(
        self, hypotheses: Hypotheses, light_errors: Array
    ) -> tuple[LinearisedMeasurements, LinearisedMeasurements]:
        """Return the linearised measurements of magnetometer and sun sensors; `light_errors` has shape (faces + 1,)."""
        attitude, d_error = self._propagated_back(hypotheses)
        field = self._field_measurements(hypotheses, attitude, d_error)
        return field, self._illuminance_measurements(attitude, d_error, light_errors)

    def _propagated_back(self, hypotheses: Hypotheses) -> tuple[Array, Array]:
        """Return body-from-GCRF matrices (k, n, 3, 3) and derivatives of attitude errors by parameters (k, n, 3, c)."""
        rate = (self._gyro - self._gyro_change - hypotheses.biases[:, None, :3]) @ self._body_from_gyro.T
        step_s = self._step_s[:, None]
        rotation = 0.5 * step_s * (rate[:, :-1] + rate[:, 1:]) + step_s**2 / 12.0 * np.cross(rate[:, :-1], rate[:, 1:])
        back = quaternion.to_matrix(quaternion.exponential(rotation))
        d_bias = -self._step_s[:, None, None] * right_jacobians(rotation) @ self._body_from_gyro
        count, length = len(rate), len(self._gyro)
        # Columns: attitude, derivatives by the newest attitude error (3), derivatives by the rate of each stretch (3).
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
        # A constant gyro bias acts like the same drift rate in all stretches.
        d_error[..., 3:6] = propagated[..., 6:].reshape(count, length, 3, -1, 3).sum(axis=3)
        d_error[..., ERRORS.gyro_thermal] = np.einsum(
            "kncsj,s->kncj", propagated[..., 6:].reshape(count, length, 3, -1, 3), self._warming
        )
        d_error[..., _DRIFT:] = propagated[..., 6:]
        return propagated[..., :3], d_error

    def _field_measurements(self, hypotheses: Hypotheses, attitude: Array, d_error: Array) -> LinearisedMeasurements:
        """Return the linearised measurements of the magnetometer, (k, n, 3)."""
        field = np.einsum("knij,nj->kni", attitude, self._field)
        steady = hypotheses.biases[:, None, 3:] + self._sunlit[:, None] * self._panel_field_ut
        residual = self._mag - self._mag_change_ut - field @ self._distorted.T - steady
        partials = self._distorted @ cross_matrices(field) @ d_error
        partials[..., 6:9] = np.eye(3)
        partials[..., ERRORS.field_error] = self._distorted @ attitude
        ideal = field @ self._magnetometer_from_body.T
        for axis in range(3):
            partials[..., axis, ERRORS.mag_matrix.start + 3 * axis : ERRORS.mag_matrix.start + 3 * axis + 3] = ideal
        partials[..., ERRORS.panel_field] = self._sunlit[:, None, None] * np.eye(3)
        partials[..., ERRORS.mag_thermal] = self._colder[:, None, None] * np.eye(3)
        return LinearisedMeasurements(residual, partials, np.broadcast_to(self._field_weight[:, None], residual.shape))

    def _illuminance_measurements(self, attitude: Array, d_error: Array, light_errors: Array) -> LinearisedMeasurements:
        """Return the linearised measurements of the sun sensors, (k, n, faces)."""
        sun = np.einsum("knij,nj->kni", attitude, self._sun)
        cosine = sun @ self._normals.T
        normals_gcrf = self._normals @ attitude
        seen = np.maximum(normals_gcrf @ self._earth_directions.transpose(0, 2, 1), 0.0)
        d_reflectivity = seen @ self._earth_shares
        even, earth = self._earth_shares[..., 0], d_reflectivity[..., 0]
        towards = np.einsum("knfg,ng,ngi->knfi", seen > 0.0, even, self._earth_directions, optimize=True)
        direct = np.maximum(cosine, 0.0)
        below, gain, sine2 = light_errors[0], 1.0 + light_errors[1:], 1.0 - cosine**2
        residual = self._share - gain * (direct * (1.0 - below * sine2) + self._reflectivity * earth)
        idle = self._saturated & (residual < 0.0)
        lit = (cosine > 0.0) * (1.0 + below * (2.0 - 3.0 * sine2))
        light = lit[..., None] * sun[:, :, None] + self._reflectivity * (towards @ np.swapaxes(attitude, -1, -2))
        partials = np.cross(self._normals, gain[:, None] * light) @ d_error
        partials[..., ERRORS.reflectivity] = gain[:, None] * d_reflectivity
        weight = np.where(idle, 0.0, self._face_weight / (self._light_variance + (self._earth_error * earth) ** 2))
        return LinearisedMeasurements(residual, partials, weight)


def _cauchy_cost(square: Array, gate: float) -> Array:
    """Return Cauchy's robust loss of normalised squares; it grows only logarithmically for a broken sensor."""
    cost: Array = gate * np.log1p(square / gate)
    return cost
