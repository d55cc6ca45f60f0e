"""From search to track and back: the state that a track begins with, and the biases that a search does."""

from typing import Final

import numpy as np

from pygnc.estimators.attitude.hypotheses import Prior
from pygnc.estimators.attitude.mag_bias import MagBias, informed
from pygnc.estimators.attitude.search import Found
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import FIELD_ERROR, GYRO_BIAS, MAG_BIAS, SIZE, AttitudeState

_AFTER_A_WHILE: Final = 2.0
"""On the sigmas of biases that are kept while the attitude is searched for."""


def begun(gps_ms: int, found: Found, settings: AttitudeSettings) -> AttitudeState:
    """The state of a track on what was found."""
    slow = np.zeros(SIZE - 3)
    slow[0:3], slow[3:6] = found.gyro_bias_rad_s, found.mag_bias_ut
    slow[15] = settings.sun_sensors.reflectivity
    faces = settings.sun_sensors
    sigma = np.repeat((settings.gyro.scale_sigma, faces.gain_sigma, faces.reflectivity_sigma), (3, 6, 1))
    covariance = np.zeros((SIZE, SIZE))
    covariance[9:19, 9:19] = np.diag(sigma**2)
    together = np.r_[0:9, FIELD_ERROR]
    covariance[np.ix_(together, together)] = found.covariance
    root = np.asarray(np.linalg.cholesky(covariance), np.float64)
    return AttitudeState(gps_ms, found.quaternion, slow, root)


def unknown_biases(settings: AttitudeSettings, calibrated: MagBias | None) -> Prior:
    """What a search knows of the biases at first, or when they were wrong."""
    sigma = [settings.gyro.bias_sigma_rad_s] * 3 + [settings.magnetometer.bias_sigma_ut] * 3
    return informed(Prior(np.zeros(6), np.array(sigma)), calibrated)


def kept_biases(state: AttitudeState, settings: AttitudeSettings, calibrated: MagBias | None) -> Prior:
    """What a search knows of the biases when the attitude of a track was lost."""
    magnetometer, gyro = settings.magnetometer, settings.gyro
    unknown = np.repeat((gyro.bias_sigma_rad_s, magnetometer.bias_sigma_ut), 3)
    floor = 0.02 * unknown
    sigma = np.concatenate((state.sigma[GYRO_BIAS], state.sigma[MAG_BIAS]))
    kept = Prior(state.slow[:6].copy(), np.clip(_AFTER_A_WHILE * sigma, floor, unknown))
    return informed(kept, calibrated)
