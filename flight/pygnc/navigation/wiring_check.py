"""Check of the wiring in flight: collects light, field and rotation, and judges the axes of magnetometer and gyro.

Readings are compared at the ends of arcs. An arc ends when light or field have turned by about 20 degrees against the
body, or after a minute, so slow rotation rises above the noise and fast rotation stays nearly linear. Arcs of five
minutes make a block, whose systematic errors count once. Each block updates the evidence, which takes about 0.3 ms.
"""

import math
from typing import Final

import msgspec
import numpy as np

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.net_light import LightVector, NetLight
from pygnc.estimators.attitude.sample import AttitudeEnvironment, AttitudeSample
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.attitude.wiring import Evidence, SensorAxes

_BLOCK_MS: Final = 300_000
_BLOCKS_JUDGED: Final = 12
"""Number of blocks with light, an hour together, after which axes that are not observed count as not observable."""
_ARC_S: Final = 60.0
_TURNED: Final = 0.35
"""Change of light or field, as a fraction of full sunlight or field, that ends an arc: a rotation by 20 degrees."""
_REST_MS: Final = 20_000
"""Shortest time from the begin of an arc to that of the next one; a light vector takes 40 us. A block has therefore at
most 15 arcs."""
_STEP_MAX_RAD: Final = 2.5
"""Largest rotation between two samples; beyond half a revolution it would be ambiguous."""

_SMALL_RAD: Final = 1e-3
"""Angle below which a rotation vector and twice its Gibbs vector are equal."""

_DIRECTION_SIGMA: Final = 0.06
"""Error of the light vector per axis, by the cosine law and gains of the faces: 3.4 degrees."""
_REFLECTED_ERROR: Final = 0.3
"""Relative error of the light that the Earth reflects, which varies with clouds."""
_FIELD_ERROR: Final = 0.02
"""Relative error of the field that varies within a block."""
_LIGHT_NOISE: Final = 0.03
"""Noise of the change of the light vector per axis."""
_TURN_ERROR: Final = 0.1
"""Relative error of the change of the light vector, by gains and cosine law."""
_BIAS_SIGMAS: Final = 4.0
"""Difference of measured and modelled field strength, in standard deviations of the bias, above which a reading is
damaged, whatever the axes."""
_ORBIT_RAD_S: Final = 1.2e-3
"""Rate at which the Earth's light moves in inertial axes in a low orbit."""
_MAG_BIAS_WALK_UT: Final = 1.0
"""Change of the magnetometer bias in a block: temperature, panels and currents."""
_GYRO_BIAS_WALK_RAD_S: Final = math.radians(0.1)
"""Change of the gyro bias in a block. At 0.05 deg/s per K (BMI160 data sheet), a temperature that varies by 10 K along
the orbit changes it by 0.16 deg/s."""


class Arc(msgspec.Struct):
    """The begin of an arc, and the rotation by the gyro since then.

    Attributes:
        begin_ms: GPS ms of its first sample.
        last_ms: GPS ms of its newest sample.
        lux: Illuminances of the first sample.
        mag_ut: Field of the first sample, sensor axes, uT.
        light: Light vector of the first sample, body axes.
        filled_sigma: Error of that vector, see `LightVector`.
        gyro_rad_s: Newest rate in sensor axes.
        turn_rad: Rotation since the first sample as a Gibbs vector times two, sensor axes; None if it is unknown.
    """

    begin_ms: int
    last_ms: int
    lux: list[float]
    mag_ut: list[float]
    light: list[float]
    filled_sigma: float
    gyro_rad_s: list[float]
    turn_rad: list[float] | None

    @classmethod
    def begun(cls, sample: AttitudeSample, light: LightVector, *, gyro_usable: bool) -> "Arc":
        """Return an arc that begins with a sample and its light vector."""
        return cls(
            begin_ms=sample.gps_ms,
            last_ms=sample.gps_ms,
            lux=sample.lux.tolist(),
            mag_ut=sample.mag_imu_ut.tolist(),
            light=light.body.tolist(),
            filled_sigma=light.filled_sigma,
            gyro_rad_s=sample.gyro_imu_rad_s.tolist(),
            turn_rad=[0.0, 0.0, 0.0] if gyro_usable else None,
        )

    def extended(self, sample: AttitudeSample, settings: AttitudeSettings, *, gyro_usable: bool) -> bool:
        """Add the rotation until a sample, with the mean of two rates; return False if a gap ends the arc.

        Between unit vectors, the change is exactly the cross product of their mean and the Gibbs vector times two.
        """
        step_s = (sample.gps_ms - self.last_ms) * 1e-3
        if not 0.0 < step_s <= settings.gyro.bridged_max_s:
            return False
        gyro = sample.gyro_imu_rad_s.tolist()
        x, y, z = (0.5 * step_s * (new + old) for new, old in zip(gyro, self.gyro_rad_s, strict=True))
        angle = math.hypot(x, y, z)
        if self.turn_rad is not None:
            factor = math.tan(0.5 * angle) / (0.5 * angle) if angle > _SMALL_RAD else 1.0
            last_x, last_y, last_z = self.turn_rad
            is_known = gyro_usable and angle < _STEP_MAX_RAD
            self.turn_rad = [last_x + factor * x, last_y + factor * y, last_z + factor * z] if is_known else None
        self.last_ms, self.gyro_rad_s = sample.gps_ms, gyro
        return True

    def is_over(self, sample: AttitudeSample, environment: AttitudeEnvironment, settings: AttitudeSettings) -> bool:
        """Return True if the arc ends with this sample."""
        if sample.gps_ms - self.begin_ms >= 1e3 * _ARC_S:
            return True
        if _differ(sample.lux.tolist(), self.lux, _TURNED * settings.sun_sensors.full_sun_lux):
            return True
        strength_ut = math.hypot(*environment.field_gcrf_ut.tolist())
        return _differ(sample.mag_imu_ut.tolist(), self.mag_ut, _TURNED * strength_ut)


class WiringCheck(msgspec.Struct):
    """State of the check; `pygnc.estimators.checkpoint` encodes it.

    Attributes:
        axes: Verdicts on the axes of the sensors.
        field_evidence: Evidence on the magnetometer; None before the first block.
        turn_evidence: Evidence on the gyro; None before the first block.
        fields: Rows of the block: light vector and reading in sensor axes, product of the models, noise, common error.
        turns: Rows of the block: mean light vector, rotation, duration, change of the vector, noise, common error.
        block_ms: GPS ms of the first sample of the block; None before the first.
        arc: The present arc; None if there is none.
        rest_ms: GPS ms of the begin of the last short arc, after which no arc begins for 20 s.
        blocks: Number of blocks with light.
    """

    axes: SensorAxes = SensorAxes()
    field_evidence: Evidence | None = None
    turn_evidence: Evidence | None = None
    fields: list[list[float]] = []
    turns: list[list[float]] = []
    block_ms: int | None = None
    arc: Arc | None = None
    rest_ms: int = 0
    blocks: int = 0

    def process(
        self,
        sample: AttitudeSample,
        environment: AttitudeEnvironment | None,
        settings: AttitudeSettings,
        light: NetLight,
        *,
        gyro_usable: bool = True,
    ) -> bool:
        """Add a sample; return True if a verdict changed.

        Args:
            sample: The next sample.
            environment: Environment at its time; None without an orbit.
            settings: Mounting and errors of the sensors.
            light: Converter of the illuminances, of the same settings.
            gyro_usable: False if an axis of the gyro is stuck or beyond its range.
        """
        changed = self._end_block(sample.gps_ms, settings) if self._is_block_over(sample.gps_ms) else False
        if environment is None or environment.sunlit_fraction < 1.0 or not light.is_measured:
            self.arc = None
            return changed
        if self.arc is not None and not self.arc.extended(sample, settings, gyro_usable=gyro_usable):
            self.arc = None
        is_resting = self.arc is None and 0 <= sample.gps_ms - self.rest_ms < _REST_MS
        if is_resting or (self.arc is not None and not self.arc.is_over(sample, environment, settings)):
            return changed
        arc, vector = self.arc, light.vector(sample.lux, environment)
        self.arc = None
        if vector is None:
            return changed
        if arc is not None:
            self._add(arc, sample, environment, vector, settings)
            if sample.gps_ms - arc.begin_ms < _REST_MS:
                self.rest_ms = arc.begin_ms
                return changed
        self.arc = Arc.begun(sample, vector, gyro_usable=gyro_usable)
        return changed

    def _add(
        self,
        arc: Arc,
        sample: AttitudeSample,
        environment: AttitudeEnvironment,
        vector: LightVector,
        settings: AttitudeSettings,
    ) -> None:
        """Add the rows of an arc that ends with this sample."""
        reflected, field_ut, limits = _REFLECTED_ERROR * vector.earth, environment.field_gcrf_ut, settings.magnetometer
        strength_ut = math.sqrt(field_ut.dot(field_ut))
        surplus_ut = math.sqrt(sample.mag_imu_ut.dot(sample.mag_imu_ut)) - strength_ut
        is_usable = not sample.field_unusable and not environment.field_is_weak(limits)
        if is_usable and abs(surplus_ut) <= _BIAS_SIGMAS * limits.bias_sigma_ut:
            towards = settings.mounting.magnetometer.dot(vector.body).tolist()
            error = math.hypot(_DIRECTION_SIGMA, vector.filled_sigma, reflected)
            noise_ut = limits.noise_ut + _FIELD_ERROR * strength_ut
            known_ut = float(vector.gcrf.dot(field_ut))
            mag_ut = sample.mag_imu_ut.tolist()
            self.fields.append([*towards, *mag_ut, known_ut, noise_ut, error * strength_ut])
        if arc.turn_rad is not None:
            change = [new - old for new, old in zip(vector.body.tolist(), arc.light, strict=True)]
            mean = [new - 0.5 * moved for new, moved in zip(vector.body.tolist(), change, strict=True)]
            duration_s = (sample.gps_ms - arc.begin_ms) * 1e-3
            noise = math.hypot(_LIGHT_NOISE, vector.filled_sigma, arc.filled_sigma)
            common = math.hypot(_TURN_ERROR * math.hypot(*change), _ORBIT_RAD_S * duration_s * vector.earth)
            self.turns.append([*mean, *arc.turn_rad, duration_s, *change, noise, common])

    def _is_block_over(self, now_ms: int) -> bool:
        if self.block_ms is None:
            self.block_ms = now_ms
        return not 0 <= now_ms - self.block_ms < _BLOCK_MS

    def _end_block(self, now_ms: int, settings: AttitudeSettings) -> bool:
        """Add the rows to the evidence and begin a new block; return True if a verdict changed."""
        elapsed = abs(now_ms - (self.block_ms or 0)) / _BLOCK_MS
        self.block_ms, self.arc = now_ms, None
        fields, turns = self.fields, self.turns
        self.fields, self.turns = [], []
        self.blocks += bool(fields or turns)
        is_enough = self.blocks >= _BLOCKS_JUDGED
        walk = math.sqrt(elapsed)
        evidence = self.field_evidence or Evidence.none(settings.magnetometer.bias_sigma_ut)
        evidence = evidence.drifted(walk * _MAG_BIAS_WALK_UT)
        self.field_evidence = evidence.added(*_field_rows(np.array(fields))) if fields else evidence
        evidence = self.turn_evidence or Evidence.none(settings.gyro.bias_sigma_rad_s)
        evidence = evidence.drifted(walk * _GYRO_BIAS_WALK_RAD_S)
        if turns:
            evidence = evidence.added(*_turn_rows(np.array(turns), settings.mounting.gyro))
        self.turn_evidence = evidence
        before = self.axes
        self.axes = SensorAxes(
            self.field_evidence.wiring(is_enough=is_enough), self.turn_evidence.wiring(is_enough=is_enough)
        )
        return self.axes.differs(before)


def _differ(values: list[float], others: list[float], limit: float) -> bool:
    return any(abs(value - other) > limit for value, other in zip(values, others, strict=True))


def _field_rows(fields: Array) -> tuple[Array, Array, Array, Array]:
    """Return partials, observations, noise and common errors of v . (P + E) m - v . b = V . B."""
    towards, mag_ut = fields[:, 0:3], fields[:, 3:6]
    by_matrix = (towards[:, :, np.newaxis] * mag_ut[:, np.newaxis, :]).reshape(-1, 9)
    return np.concatenate((by_matrix, -towards), axis=1), fields[:, 6], fields[:, 7], fields[:, 8]


def _turn_rows(turns: Array, gyro_from_body: Array) -> tuple[Array, Array, Array, Array]:
    """Return partials, observations, noise and common errors of change = mean x body_from_gyro ((P + E) turn - b t)."""
    # Row i of the cross product with unit vector j is the partial derivative by component j of the rotation.
    lever = np.cross(turns[:, np.newaxis, 0:3], gyro_from_body).transpose(0, 2, 1)
    by_matrix = (lever[:, :, :, np.newaxis] * turns[:, np.newaxis, np.newaxis, 3:6]).reshape(-1, 9)
    by_bias = -(lever * turns[:, 6, np.newaxis, np.newaxis]).reshape(-1, 3)
    partials = np.concatenate((by_matrix, by_bias), axis=1)
    return partials, turns[:, 7:10].ravel(), np.repeat(turns[:, 10], 3), np.repeat(turns[:, 11] / math.sqrt(3.0), 3)
