"""Illuminance of the faces: measured, and predicted by the flight's model from an attitude."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pygnc.common import quaternion
from pygnc.estimators.attitude.sample import AttitudeEnvironment
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.state import AttitudeState
from pygnc.estimators.attitude.sun_sensors import SunSensors, light_sources
from pygnc_ground.orbit.solution import BoolArray, FloatArray


@dataclass(frozen=True, slots=True, eq=False)
class FaceIlluminance:
    """Readings of n samples as fractions of full sunlight at the satellite's distance from the Sun.

    If the position is unknown, readings are relative to full sunlight at 1 au, and predictions are NaN.
    """

    measured: FloatArray
    """Readings, shape (n, faces); NaN if a sensor after the sixth has no reading."""
    expected: FloatArray
    """Predicted readings including saturation, shape (n, faces); NaN without an attitude or a position."""
    sigma: FloatArray
    """Standard deviations of measured minus expected at the true attitude, shape (n, faces); NaN as `expected`."""
    full_scale: FloatArray
    """Reading of a saturated sensor, shape (n,)."""
    saturated: BoolArray
    """Flags of readings at full scale, shape (n, faces)."""
    dark: BoolArray
    """Flags of dark readings of faces that see the Sun by the model, shape (n, faces)."""


def face_illuminance(
    lux: FloatArray,
    states: Sequence[AttitudeState | None],
    environments: Sequence[AttitudeEnvironment | None],
    settings: AttitudeSettings,
) -> FaceIlluminance:
    """Compare the readings `lux`, shape (n, faces), with predictions from n states; this takes 0.1 ms per sample."""
    sensors, limits = SunSensors(settings), settings.sun_sensors
    full_sun_lux = np.full(len(lux), limits.full_sun_lux)
    expected, sigma = np.full((2, *lux.shape), np.nan)
    facing = np.zeros(lux.shape, dtype=np.bool_)
    for row, (state, environment) in enumerate(zip(states, environments, strict=True)):
        if environment is None:
            continue
        sources = light_sources(environment, settings)
        full_sun_lux[row] = sources.full_sun_lux
        if state is not None:
            body_from_gcrf = quaternion.to_matrix(state.quaternion).T
            # A factor of 1 keeps the sigmas of the settings, without adaptation.
            light = sensors.observation(state, body_from_gcrf, lux[row], sources, 1.0)
            expected[row], sigma[row] = light.expected_share, light.observation.sigma
            facing[row] = (light.cosine > limits.cosine_min) & (environment.sunlit_fraction == 1.0)
    full_scale = limits.saturation_lux / full_sun_lux
    measured = np.where(lux < 0.0, np.nan, lux / full_sun_lux[:, None])
    saturated = lux >= (1.0 - 1e-6) * limits.saturation_lux
    return FaceIlluminance(
        measured=measured,
        expected=np.minimum(expected, full_scale[:, None]),
        sigma=sigma,
        full_scale=full_scale,
        saturated=saturated,
        dark=facing & (measured < limits.dark_share),
    )
