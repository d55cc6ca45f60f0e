"""Attitude samples in closed form: a body that rotates at a constant rate in inertially fixed light, with errors of
known size.
"""

from dataclasses import replace

import numpy as np

from pygnc.common import quaternion
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.wiring import SensorAxes
from pygnc_ground.attitude.bound import AttitudeBound
from pygnc_ground.attitude.face_illuminance import FaceIlluminance
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.result import AttitudeResult, Innovations, SampleRecords
from pygnc_ground.truth.attitude_truth import TrueAttitude

STEP_MS = 5_000
RATE_RAD_S = np.radians([1.0, 0.3, 0.2])
GYRO_BIAS_RAD_S = np.radians([-0.5, 0.05, 0.4])
MAG_BIAS_UT = np.array([20.0, 10.0, -25.0])
SUN = np.array([0.6, -0.8, 0.0])
FULL_SCALE = 0.63
SETTINGS = AttitudeSettings()
NORMALS = np.array(SETTINGS.mounting.face_normals_body)


def true(gps_ms: IntArray) -> TrueAttitude:
    """Return a constant rotation, shape (n,)."""
    turned = quaternion.exponential(np.asarray((gps_ms - gps_ms[:1])[:, None] * 1e-3 * RATE_RAD_S, np.float64))
    constant = (np.tile(vector, (len(gps_ms), 1)) for vector in (RATE_RAD_S, GYRO_BIAS_RAD_S, MAG_BIAS_UT))
    return TrueAttitude(turned, *constant)


def solution(gps_ms: IntArray, sigma_deg: FloatArray, seed: int) -> AttitudeSolution:
    """Return the truth plus independent errors of these standard deviations per axis, (n,), and small bias errors."""
    rng, truth, count = np.random.default_rng(seed), true(gps_ms), len(gps_ms)
    sigma = np.radians(sigma_deg)[:, None] * np.ones(3)
    covariance = np.zeros((count, 3, 3))
    covariance[:, range(3), range(3)] = sigma**2
    turned = quaternion.multiply(truth.quaternion, quaternion.exponential(sigma * rng.normal(size=(count, 3))))
    return AttitudeSolution(
        gps_ms=gps_ms,
        quaternion=quaternion.normalised(turned),
        rate_body_rad_s=truth.rate_body_rad_s + np.radians(0.02) * rng.normal(size=(count, 3)),
        gyro_bias_imu_rad_s=truth.gyro_bias_imu_rad_s + 0.1 * sigma * rng.normal(size=3),
        mag_bias_imu_ut=truth.mag_bias_imu_ut + 10.0 * sigma * rng.normal(size=3),
        attitude_covariance=covariance,
        gyro_bias_sigma_rad_s=0.1 * sigma,
        mag_bias_sigma_ut=10.0 * sigma,
    )


def records(gps_ms: IntArray, eclipse: tuple[float, float] = (0.4, 0.7)) -> SampleRecords:
    """Return samples without faults; `eclipse` gives the fractions between which the satellite is in the shadow."""
    rng, count = np.random.default_rng(11), len(gps_ms)
    share = np.arange(count) / max(1, count)
    lit = (share < eclipse[0]) | (share >= eclipse[1])
    sigma = np.full((count, 3), 0.7)
    innovation = sigma * rng.normal(size=(count, 3))
    dof = np.where(lit, 6, 3)
    none = np.zeros((count, 6), dtype=np.bool_)
    usable = (NORMALS @ SUN > 0.15) & lit[:, None]
    return SampleRecords(
        seq=np.arange(1, count + 1),
        gps_ms=gps_ms,
        mode=("fine",) * count,
        cause=("",) * count,
        found=np.arange(count) == 0,
        in_sun=lit,
        sunlit_fraction=lit.astype(float),
        nis=rng.chisquare(dof),
        dof=dof,
        innovations={
            "magnetometer": Innovations(
                innovation, sigma, ((innovation / sigma) ** 2).sum(axis=1), np.ones(count, dtype=np.bool_)
            )
        },
        faces_usable=usable,
        faces_used=usable.copy(),
        faces_dead=none,
        faces_mirrored=none,
        gyro_stuck=np.zeros((count, 3), dtype=np.bool_),
        gyro_imu_rad_s=np.zeros((count, 3)),
        mag_imu_ut=np.zeros((count, 3)),
        field_gcrf_ut=np.zeros((count, 3)),
    )


def light(gps_ms: IntArray, lit: FloatArray) -> FaceIlluminance:
    """Return the light of a fixed Sun on the faces of a rotating body."""
    rng = np.random.default_rng(12)
    body_from_gcrf = quaternion.to_matrix(true(gps_ms).quaternion).transpose(0, 2, 1)
    expected = np.maximum(np.einsum("fi,nij,j->nf", NORMALS, body_from_gcrf, SUN), 0.0) * lit[:, None]
    measured = np.clip(expected + 0.01 * lit[:, None] * rng.normal(size=expected.shape), 0.0, FULL_SCALE)
    return FaceIlluminance(
        measured=measured,
        expected=np.minimum(expected, FULL_SCALE),
        sigma=np.full_like(expected, 0.01),
        full_scale=np.full(len(gps_ms), FULL_SCALE),
        saturated=measured >= FULL_SCALE,
        dark=np.zeros(expected.shape, dtype=np.bool_),
    )


def clean(count: int = 360, *, begin_ms: int, step_ms: int = STEP_MS) -> AttitudeResult:
    """Return a result without faults, with truth and bound."""
    gps_ms = begin_ms + step_ms * np.arange(count, dtype=np.int64)
    samples = records(gps_ms)
    settling = 1.0 + 4.0 * np.exp(-np.arange(count) / 10.0)
    return AttitudeResult(
        samples=samples,
        solution=solution(gps_ms, 0.4 * settling, 13),
        smoothed=solution(gps_ms, np.full(count, 0.3), 14),
        light=light(gps_ms, samples.sunlit_fraction),
        truth=true(gps_ms),
        bound=AttitudeBound(np.radians(0.65 * settling), np.radians(np.full(count, 0.5))),
        axes=SensorAxes(),
    )


def nowhere(count: int) -> TrueAttitude:
    """Return a truth that is unknown at all samples."""
    unknown = np.full((count, 3), np.nan)
    return TrueAttitude(np.full((count, 4), np.nan), unknown, unknown, unknown)


def nothing() -> AttitudeResult:
    """Return a result without samples."""
    return replace(clean(0, begin_ms=0), truth=None, bound=None)


def without_attitude(result: AttitudeResult) -> AttitudeResult:
    """Return the same samples for a satellite without an orbit."""
    samples, count = result.samples, len(result.samples)
    unknown = np.full(count, np.nan)
    searching = replace(
        samples,
        mode=("searching",) * count,
        cause=("no_surroundings",) * count,
        found=np.zeros(count, dtype=np.bool_),
        sunlit_fraction=unknown,
        nis=unknown,
        dof=np.zeros(count, dtype=np.int64),
        innovations={
            "magnetometer": Innovations(
                np.full((count, 3), np.nan), np.full((count, 3), np.nan), unknown, np.zeros(count, dtype=np.bool_)
            )
        },
    )
    lost = replace(
        result.solution,
        quaternion=np.full((count, 4), np.nan),
        gyro_bias_imu_rad_s=np.full((count, 3), np.nan),
        mag_bias_imu_ut=np.full((count, 3), np.nan),
        attitude_covariance=np.full((count, 3, 3), np.nan),
        gyro_bias_sigma_rad_s=np.full((count, 3), np.nan),
        mag_bias_sigma_ut=np.full((count, 3), np.nan),
    )
    seen = replace(result.light, expected=np.full((count, 6), np.nan), sigma=np.full((count, 6), np.nan))
    return replace(result, samples=searching, solution=lost, smoothed=lost, light=seen, bound=None)


def troubled(result: AttitudeResult) -> AttitudeResult:
    """Return a result with a search, samples without a time, rejections, and faulty faces and gyro."""
    samples, count = result.samples, len(result.samples)
    third, late = count // 3, 3 * count // 4
    mode, cause = list(samples.mode), list(samples.cause)
    gps_ms, found = samples.gps_ms.copy(), samples.found.copy()
    lost = np.arange(third, third + count // 30 + 1)
    for row in lost.tolist():
        mode[row] = "searching"
    mode[lost[-1] + 1] = "coarse"
    found[lost[-1] + 1] = True
    gps_ms[lost[:2]] = -1
    for row in lost[:2].tolist():
        cause[row] = "no_time"
    cause[lost[2]] = "a new cause"
    filtered = result.solution
    for column in (filtered.quaternion, filtered.attitude_covariance, filtered.gyro_bias_imu_rad_s):
        column[lost] = np.nan
    stopped = np.arange(2, count, 37)
    samples.innovations["magnetometer"].used[stopped] = False
    samples.innovations["magnetometer"].chi_square[stopped] = 40.0
    samples.faces_used[stopped] = False
    dead, mirrored, stuck = (flags.copy() for flags in (samples.faces_dead, samples.faces_mirrored, samples.gyro_stuck))
    dead[late:, 1], mirrored[late:, 3], stuck[late:, 2] = True, True, True
    result.light.measured[late:, 1] = 0.0
    dark = (np.arange(count) >= late)[:, None] & (result.light.expected > 0.3) & (np.arange(6) == 1)
    return replace(
        result,
        samples=replace(
            samples,
            mode=tuple(mode),
            cause=tuple(cause),
            gps_ms=gps_ms,
            found=found,
            faces_dead=dead,
            faces_mirrored=mirrored,
            gyro_stuck=stuck,
        ),
        solution=replace(filtered, gps_ms=gps_ms),
        light=replace(result.light, dark=dark),
    )
