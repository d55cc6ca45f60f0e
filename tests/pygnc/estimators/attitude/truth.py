"""A satellite that tumbles above a dipole: true attitudes and what perfect models and noisy sensors say of them.

Closed forms and SciPy alone; nothing of the code under test but its containers, its settings and the Earth's light.
"""

from dataclasses import dataclass, replace

import numpy as np
from scipy.spatial.transform import Rotation

from pygnc.common import quaternion
from pygnc.common.arrays import Array
from pygnc.environment.albedo import earth_albedo
from pygnc.estimators.attitude.filter import AttitudeFilter, AttitudeUpdate
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.settings import AttitudeSettings, MountingSettings
from pygnc.estimators.attitude.state import ERRORS

START_MS = 1_400_000_000_000
STEP_S = 5.0
RADIUS_M = 6_928_000.0
PERIOD_S = 5_740.0
SUN_M = 1.495_978_707e11 * np.array([0.6, -0.8, 0.0])
DIPOLE = 23.0 * np.array([0.1, 0.15, -0.98])
SETTINGS = AttitudeSettings()
SIZE = ERRORS.size(SETTINGS.mounting.faces)
NORMALS = np.array(SETTINGS.mounting.face_normals_body)
IMU_FROM_BODY = np.array(SETTINGS.mounting.imu_from_body)


@dataclass(frozen=True)
class Truth:
    """A flight: truth, environment and samples."""

    quaternion: Array
    gyro_bias_rad_s: Array
    mag_bias_ut: Array
    rate_body_rad_s: Array
    environments: list[AttitudeEnvironment]
    samples: list[AttitudeSample]


def fly(
    seed: int,
    minutes: float,
    *,
    rate_deg_s: float = 1.0,
    start_angle_deg: float = 0.0,
    dead: int | None = None,
    mirrored: int | None = None,
    normals: Array = NORMALS,
    nutation_deg_s: float = 0.0,
) -> Truth:
    """A flight from a place in the orbit; 0 deg is above the Sun's side, and 180 deg in the shadow.

    With a nutation, the axis of the rate turns about a diagonal of the body.
    """
    rng = np.random.default_rng(seed)
    count = round(minutes * 60.0 / STEP_S) + 1
    t_s = STEP_S * np.arange(count)
    axis = rng.normal(size=3)
    rate = np.radians(rate_deg_s) * axis / np.linalg.norm(axis)
    nutation = np.radians(nutation_deg_s) / np.sqrt(3.0) * np.ones(3)
    turned = Rotation.from_rotvec(np.multiply.outer(t_s, nutation))
    rates = turned.inv().apply(rate) + nutation
    attitude = Rotation.random(rng=rng) * Rotation.from_rotvec(np.multiply.outer(t_s, rate)) * turned
    gyro_bias, mag_bias = np.radians(rng.uniform(-3.0, 3.0, 3)), rng.uniform(-40.0, 40.0, 3)
    angle = np.radians(start_angle_deg) + 2.0 * np.pi / PERIOD_S * t_s
    towards_sun, north = SUN_M / np.linalg.norm(SUN_M), np.array([0.0, 0.0, 1.0])
    up = np.multiply.outer(np.cos(angle), towards_sun) + np.multiply.outer(np.sin(angle), north)
    field = 3.0 * up.dot(DIPOLE)[:, None] * up - DIPOLE

    environments, samples = [], []
    body_from_gcrf = attitude.inv().as_matrix()
    for k in range(count):
        position = RADIUS_M * up[k]
        shadowed = up[k].dot(towards_sun) < -np.sqrt(1.0 - (6_378_137.0 / RADIUS_M) ** 2)
        around = AttitudeEnvironment(field[k], SUN_M, position, 0.0 if shadowed else 1.0, 0.7)
        sun = SUN_M - position
        share = around.sunlit_fraction * np.maximum(normals.dot(body_from_gcrf[k].dot(sun / np.linalg.norm(sun))), 0.0)
        light = earth_albedo(position, SUN_M)
        share += 0.3 * np.maximum(normals.dot(body_from_gcrf[k]).dot(light.directions.T), 0.0).dot(light.shares[0])
        share += around.sunlit_fraction * rng.normal(0.0, 0.01, len(normals))
        if mirrored is not None:
            share[mirrored] = share[(mirrored + 3) % 6]
        if dead is not None:
            share[dead] = 0.0
        lux = np.clip(133_378.0 * share * (1.495_978_707e11 / np.linalg.norm(sun)) ** 2, 0.0, 83_865.6)
        mag = IMU_FROM_BODY.dot(body_from_gcrf[k].dot(field[k])) + mag_bias + rng.normal(0.0, 0.6, 3)
        gyro = IMU_FROM_BODY.dot(rates[k]) + gyro_bias + np.radians(rng.normal(0.0, 0.025, 3))
        environments.append(around)
        samples.append(AttitudeSample(START_MS + round(1e3 * t_s[k]), mag, gyro, lux, k))
    return Truth(attitude.as_quat(scalar_first=True), gyro_bias, mag_bias, rate, environments, samples)


def with_normals(normals: Array) -> AttitudeSettings:
    """Return the settings of a satellite with these sun sensors."""
    return replace(
        SETTINGS, mounting=MountingSettings(face_normals_body=tuple((x, y, z) for x, y, z in normals.tolist()))
    )


def run(truth: Truth, settings: AttitudeSettings = SETTINGS) -> tuple[AttitudeFilter, list[AttitudeUpdate]]:
    """All samples through one filter."""
    attitude = AttitudeFilter(settings)
    updates = [attitude.process(*pair) for pair in zip(truth.samples, truth.environments, strict=True)]
    return attitude, updates


def error_deg(truth: Truth, update: AttitudeUpdate) -> float:
    """Angle between truth and estimate; NaN where there is none."""
    if update.state is None:
        return float("nan")
    error = quaternion.error_vector(truth.quaternion[update.seq], update.state.quaternion)
    return float(np.degrees(np.linalg.norm(error)))


def errors_deg(truth: Truth, updates: list[AttitudeUpdate]) -> Array:
    """`error_deg` of each."""
    return np.array([error_deg(truth, update) for update in updates])


def with_samples(truth: Truth, samples: list[AttitudeSample]) -> Truth:
    """Return the flight with other readings."""
    return replace(truth, samples=samples)
