"""Settings of the attitude filter, with units, ranges and defaults."""

import math
from dataclasses import dataclass, field
from typing import Annotated, Final, Literal, TypeAlias

import numpy as np
from msgspec import Meta

from pygnc.common.arrays import Array
from pygnc.common.setting_types import ChiSquare, Inflation, Name, Share, TimeConstant

Vector: TypeAlias = tuple[float, float, float]
Matrix: TypeAlias = tuple[Vector, Vector, Vector]
_Cosine: TypeAlias = Annotated[float, Meta(ge=-1.0, le=1.0)]
UnitVector: TypeAlias = tuple[_Cosine, _Cosine, _Cosine]
UnitMatrix: TypeAlias = tuple[UnitVector, UnitVector, UnitVector]
_Bias: TypeAlias = Annotated[float, Meta(ge=-1e3, le=1e3)]
_Element: TypeAlias = Annotated[float, Meta(ge=-10.0, le=10.0)]
_Row: TypeAlias = tuple[_Element, _Element, _Element]
_Factor: TypeAlias = Annotated[float, Meta(ge=0.01, le=100.0)]
_Angle: TypeAlias = Annotated[float, Meta(ge=1e-4, le=math.pi)]
HallWord: TypeAlias = Literal["resistance", "times"]
"""Meaning of the Hall word of the host's sensor packets: Hall resistance, or milliseconds and a magnetorquer flag."""

_DEGREE = math.pi / 180.0
_PER_ROOT_HOUR = 1.0 / 60.0
"""Factor from a random walk per root hour to a random walk per root second."""
SCALE_MIN: Final = 0.1
"""Smallest scale factor of a magnetometer calibration; the largest is about its inverse, the range of an element."""
FACES: Final = 6
"""Number of illuminances in the host's packet; a sample has at least as many."""


@dataclass(frozen=True, slots=True)
class MountingSettings:
    """Orientation of the sensors on the body."""

    imu_from_body: UnitMatrix = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
    """Matrix from body axes to sensor axes, for field and body rate. The default is the map that the fleet's software
    inverts. It is a reflection (determinant -1), so it is a convention of that software and not a mounting: the rate is
    transformed like the field, without the sign change that an axial vector has under reflection.
    """
    magnetometer_from_body: UnitMatrix | None = None
    """Matrix from body axes to magnetometer axes, if different; by default imu_from_body applies to both sensors."""
    face_normals_body: Annotated[tuple[UnitVector, ...], Meta(min_length=1, max_length=32)] = (
        (1.0, 0.0, 0.0),
        (0.0, 1.0, 0.0),
        (0.0, 0.0, 1.0),
        (-1.0, 0.0, 0.0),
        (0.0, -1.0, 0.0),
        (0.0, 0.0, -1.0),
    )
    """Outward normals of the sun sensors, one or more unit vectors, in the order of the sample's illuminances. Further
    illuminances are not used. The host's packet has six; a sensor after the sixth has no reading in it.
    """

    def __post_init__(self) -> None:
        for name, matrix in (("imu_from_body", self.gyro), ("magnetometer_from_body", self.magnetometer)):
            if not _is_orthogonal(matrix):
                raise ValueError(f"{name} must be a 3 by 3 matrix of orthogonal unit vectors, not {matrix.tolist()}")
        normals = np.array(self.face_normals_body)
        if np.abs(np.square(normals).sum(axis=1) - 1.0).max() > 1e-6:
            raise ValueError(f"face_normals_body must be unit vectors, not {normals.tolist()}")

    @property
    def faces(self) -> int:
        """Number of illuminances in a sample: that of the sun sensors, but at least six."""
        return max(FACES, len(self.face_normals_body))

    @property
    def face_normals(self) -> Array:
        """Normals of the sun sensors in body axes, shape (faces, 3); zeros for missing sensors, which see no light."""
        normals = np.zeros((self.faces, 3))
        normals[: len(self.face_normals_body)] = self.face_normals_body
        return normals

    @property
    def gyro(self) -> Array:
        """Matrix from body axes to gyro axes, shape (3, 3)."""
        return np.array(self.imu_from_body)

    @property
    def magnetometer(self) -> Array:
        """Matrix from body axes to magnetometer axes, shape (3, 3)."""
        return np.array(self.imu_from_body if self.magnetometer_from_body is None else self.magnetometer_from_body)

    @property
    def mirrors(self) -> dict[str, Matrix]:
        """Mounting matrices that are reflections (determinant -1) instead of rotations, by name of the setting."""
        maps = {"imu_from_body": self.imu_from_body, "magnetometer_from_body": self.magnetometer_from_body}
        return {name: map_ for name, map_ in maps.items() if map_ is not None and np.linalg.det(map_) < 0.0}


@dataclass(frozen=True, slots=True)
class GyroSettings:
    """Noise and errors of the gyro, 1 sigma per axis."""

    scale: _Factor = 1.0
    """Factor on the readings, for a range or sensor other than the interface's 65.6 counts per degree/s."""
    noise_rad_s: Annotated[float, Meta(ge=1e-6, le=0.1)] = 0.025 * _DEGREE
    """Noise of one reading, independent of the other readings."""
    bias_sigma_rad_s: Annotated[float, Meta(ge=1e-6, le=1.0)] = 2.0 * _DEGREE
    """Uncertainty of the bias before the first sample."""
    bias_walk_rad_s: Annotated[float, Meta(ge=1e-10, le=1e-2)] = 3.0 / 3600.0 * _DEGREE * _PER_ROOT_HOUR
    """Random walk of the bias per root second."""
    thermal_sigma_rad_s: Annotated[float, Meta(ge=1e-6, le=0.1)] = 0.5 * _DEGREE
    """Change of the bias from lasting darkness to lasting sunlight, per axis, 1 sigma; estimated until the readings
    confirm that it is small.
    """
    thermal_sigma_small_rad_s: Annotated[float, Meta(ge=1e-7, le=0.1)] = 0.01 * _DEGREE
    """This change once the readings have confirmed that it is small."""
    scale_sigma: Annotated[float, Meta(ge=1e-6, le=0.5)] = 0.01
    """Standard deviation of the scale error, a fraction: a Gauss-Markov process of time constant scale_time_s."""
    scale_time_s: TimeConstant = 86_400.0
    range_rad_s: Annotated[float, Meta(ge=0.01, le=1e3)] = 499.0 * _DEGREE
    """Magnitude from which a reading is out of range."""
    stuck_samples: Annotated[int, Meta(ge=2, le=1000)] = 10
    """Number of equal readings in a row, while another axis changes, after which an axis is stuck."""
    bridged_max_s: Annotated[float, Meta(ge=0.01, le=120.0)] = 16.0
    """Longest time between two readings over which their mean is a reliable rate."""
    gap_error: Share = 0.1
    """Error of the rotation over more than bridged_max_s, as a fraction of the rotation."""
    stuck_walk_rad_s: Annotated[float, Meta(ge=1e-6, le=1.0)] = 0.05 * _DEGREE
    """Random walk per root second of the bias of a stuck axis, which follows the body rate that is not measured."""


@dataclass(frozen=True, slots=True)
class MagnetometerSettings:
    """Calibration, noise and errors of magnetometer and field model; errors are 1 sigma per axis.

    The filter uses matrix (reading - bias_ut), in sensor axes; `pygnc calibrate-mag` writes `matrix` and `bias_ut`.
    """

    bias_ut: tuple[_Bias, _Bias, _Bias] = (0.0, 0.0, 0.0)
    """Bias in sensor axes. The reported bias is that of raw readings, with the filter's estimate included."""
    matrix: tuple[_Row, _Row, _Row] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    """Correction of scale and misalignment of the axes, row by row."""
    noise_ut: Annotated[float, Meta(ge=0.01, le=50.0)] = 0.6
    field_error_ut: Annotated[float, Meta(ge=0.01, le=50.0)] = 0.3
    """Error of the geomagnetic field model with external fields, per inertial axis; a Gauss-Markov process."""
    field_error_time_s: TimeConstant = 7_200.0
    """Time constant of that process."""
    bias_sigma_ut: Annotated[float, Meta(ge=0.01, le=1e3)] = 25.0
    """Uncertainty of the remaining bias after correction by bias_ut, before the first sample."""
    bias_walk_ut: Annotated[float, Meta(ge=1e-8, le=1.0)] = 0.05 * _PER_ROOT_HOUR
    """Random walk of the bias per root second; ten times as wide until the readings show less."""
    thermal_sigma_ut: Annotated[float, Meta(ge=1e-6, le=100.0)] = 3.0
    """Change of the bias from lasting darkness to lasting sunlight, per axis, 1 sigma; estimated until the readings
    confirm that it is small.
    """
    thermal_sigma_small_ut: Annotated[float, Meta(ge=1e-6, le=100.0)] = 0.1
    """This change once the readings have confirmed that it is small."""
    matrix_sigma: Annotated[float, Meta(ge=1e-4, le=0.5)] = 0.05
    """Scale after correction by matrix, per axis; half as much for misalignment. Estimated until the readings confirm
    that these errors are small, and with twice this after they have contradicted it.
    """
    matrix_sigma_small: Annotated[float, Meta(ge=1e-5, le=0.5)] = 0.002
    """Each element of the matrix once the readings have confirmed that these errors are small."""
    panel_sigma_ut: Annotated[float, Meta(ge=0.01, le=50.0)] = 1.0
    """Field of the solar panels' currents, per axis; estimated at the same times."""
    panel_sigma_small_ut: Annotated[float, Meta(ge=1e-4, le=50.0)] = 0.05
    """This field once the readings have confirmed that it is small."""
    gate: ChiSquare = 21.1
    """Chi-square limit; with 3 degrees of freedom, 21.1 is exceeded once in 10 000."""
    pulse_samples_max: Annotated[int, Meta(ge=1, le=1000)] = 14
    """Largest number of samples of a pulse of magnetorquers that are switched each minute. A search leaves out shorter
    stretches between sudden changes.
    """
    disturbed_samples_max: Annotated[int, Meta(ge=1, le=10_000)] = 36
    """Number of readings that a sudden change has disturbed, after which they may fit again without another one."""

    def __post_init__(self) -> None:
        matrix = np.array(self.matrix)
        if np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[0] < SCALE_MIN:
            raise ValueError(f"matrix must be near the identity (scale factors 0.1 to 10), not {self.matrix}")


@dataclass(frozen=True, slots=True)
class SunSensorSettings:
    """Sun sensors, one per face. Shares are fractions of full sunlight at normal incidence; errors are 1 sigma."""

    scale: _Factor = 1.0
    """Factor on the readings, for other sensors or windows than those of the interface; saturation_lux applies to the
    product.
    """
    full_sun_lux: Annotated[float, Meta(ge=1e4, le=1e6)] = 133_378.0
    """Illuminance at normal incidence and 1 au: 1361 W/m2 at 98 lm/W."""
    saturation_lux: Annotated[float, Meta(ge=1e3, le=1e7)] = 83_865.6
    """Full scale, by default of the OPT3001; the filter treats a reading at full scale as a lower bound."""
    noise_share: Annotated[float, Meta(ge=1e-5, le=1.0)] = 0.01
    gain_sigma: Annotated[float, Meta(ge=1e-4, le=1.0)] = 0.02
    gain_time_s: TimeConstant = 86_400.0
    gain_sigma_max: Annotated[float, Meta(ge=1e-4, le=1.0)] = 0.25
    """Gain error that the filter assumes until the readings confirm gain_sigma, and after they contradict it."""
    cosine_sigma: Annotated[float, Meta(ge=1e-4, le=1.0)] = 0.15
    """Deviation from the cosine law, as a factor of sin^2(angle of incidence); estimated at the same times."""
    reflectivity: Share = 0.3
    """Mean reflectivity of the Earth."""
    reflectivity_sigma: Annotated[float, Meta(ge=1e-4, le=1.0)] = 0.1
    """Variation of the mean of the visible Earth by clouds, and of its slopes across it; a Gauss-Markov process."""
    reflectivity_time_s: TimeConstant = 200.0
    """Time constant of that process: the time in which a satellite passes over a region of clouds."""
    albedo_model_error: Share = 0.05
    """Error of the albedo model on each face besides those of mean and slopes, as a fraction of the modelled light."""
    cosine_min: Annotated[float, Meta(ge=1e-3, le=1.0)] = 0.15
    """Smallest cosine of the Sun's angle of incidence with which a face is used."""
    dark_share: Annotated[float, Meta(ge=1e-4, le=1.0)] = 0.03
    """Share below which a face is dark."""
    gate: ChiSquare = 15.1
    """Chi-square limit of a face; with 1 degree of freedom, 15.1 is exceeded once in 10 000."""


def _is_orthogonal(matrix: Array) -> bool:
    return bool(np.abs(matrix.dot(matrix.T) - np.eye(3)).max() <= 1e-6)


def _require_rotation(sensor_from_body: Matrix) -> None:
    matrix = np.array(sensor_from_body)
    if not _is_orthogonal(matrix) or np.linalg.det(matrix) < 0:
        raise ValueError(f"sensor_from_body must be a rotation matrix, 3 by 3, not {matrix.tolist()}")


@dataclass(frozen=True, slots=True)
class StarTrackerSettings:
    """Mounting and noise of a star tracker, which `[attitude.own_sensors]` names; errors are 1 sigma."""

    sensor_from_body: UnitMatrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    """Rotation from body to sensor axes; the boresight is the sensor's z axis."""
    across_sigma_rad: Annotated[float, Meta(ge=1e-6, le=0.1)] = 1e-4
    """Error about the axes perpendicular to the boresight, with misalignment; 1e-4 rad are 21 arcsec."""
    boresight_sigma_rad: Annotated[float, Meta(ge=1e-6, le=0.1)] = 6e-4
    """Error about the boresight, with misalignment."""
    gate: ChiSquare = 21.1
    """Chi-square limit; with 3 degrees of freedom, 21.1 is exceeded once in 10 000."""

    def __post_init__(self) -> None:
        _require_rotation(self.sensor_from_body)


@dataclass(frozen=True, slots=True)
class SunDirectionSettings:
    """Mounting and noise of a fine Sun sensor, which `[attitude.own_sensors]` names; errors are 1 sigma."""

    sensor_from_body: UnitMatrix = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    """Rotation from body to sensor axes."""
    sigma_rad: Annotated[float, Meta(ge=1e-5, le=0.5)] = 0.005
    """Error of the direction about each axis, with misalignment and reflected light; 0.005 rad are 0.3 degrees."""
    gate: ChiSquare = 18.4
    """Chi-square limit; with 2 degrees of freedom, 18.4 is exceeded once in 10 000."""

    def __post_init__(self) -> None:
        _require_rotation(self.sensor_from_body)


@dataclass(frozen=True, slots=True)
class StartSettings:
    """Settings of the attitude search, and limits beyond which a track (sequence of attitudes) is abandoned."""

    window_samples: Annotated[int, Meta(ge=3, le=200)] = 48
    """Largest number of samples in the search window."""
    samples_min: Annotated[int, Meta(ge=3, le=200)] = 10
    hypotheses_max: Annotated[int, Meta(ge=1, le=200)] = 24
    """Largest number of hypotheses after the first samples."""
    advantage: ChiSquare = 30.0
    """Smallest difference in cost (chi-square) to every other attitude with which a hypothesis is accepted."""
    misfit_max: Annotated[float, Meta(ge=0.1, le=100.0)] = 2.5
    """Largest cost per measurement with which the best hypothesis counts as a fit."""
    samples_judged: Annotated[int, Meta(ge=1, le=1000)] = 16
    """Number of samples after which a search without a fit restarts, for example without one of the faces."""
    field_error_ut: Annotated[float, Meta(ge=0.01, le=50.0)] = 0.5
    """Error of the field model per axis in a search, which is larger than the default of the filter: with 0.3 uT, a
    mirrored sun sensor leads to worse first attitudes.
    """
    attitude_sigma_max_rad: _Angle = 6.0 * _DEGREE
    """Largest uncertainty with which a hypothesis is accepted."""
    rejected_max: Share = 0.6
    """Share of rejected readings of a sensor other than the magnetometer, over about ten, above which a track ends."""
    field_rejected_max: Share = 0.85
    """Share of rejected magnetometer readings, over about a hundred, above which the magnetometer bias counts as wrong
    if other sensors support the track.
    """
    field_rejected_dark_max: Share = 0.95
    """Share of rejected magnetometer readings above which a track ends that no other sensor supports, as in shadow."""
    unconfirmed_sigma_max_rad: _Angle = 8.0 * _DEGREE
    """Largest uncertainty with which a first attitude is reported before a second search has confirmed it."""
    without_field_max_s: Annotated[float, Meta(ge=60.0, le=1e6)] = 3600.0
    """Longest time without a usable field in a track. Sun sensors do not observe the rotation about the direction to
    the Sun, and the resolution of the gyro causes an error of some degrees per hour in it.
    """
    full_rate_samples: Annotated[int, Meta(ge=10, le=1_000_000)] = 2160
    """Number of samples after which a search skips three of four, to need less computing time. It is large because the
    attitude of a body that points at the Sun may become observable only in its second sunlit arc.
    """
    unknown_sigma_rad: _Angle = 40.0 * _DEGREE
    """Uncertainty above which an attitude counts as unknown, so that its track ends."""
    fine_sigma_rad: _Angle = 3.0 * _DEGREE
    """Uncertainty below which the reported mode is "fine"."""

    def __post_init__(self) -> None:
        if self.samples_min > self.window_samples:
            limit = f"window_samples {self.window_samples}"
            raise ValueError(f"samples_min {self.samples_min} must be at most {limit}")
        if self.fine_sigma_rad >= self.unknown_sigma_rad:
            limit = f"unknown_sigma_rad {self.unknown_sigma_rad:g}"
            raise ValueError(f"fine_sigma_rad {self.fine_sigma_rad:g} must be less than {limit}")


@dataclass(frozen=True, slots=True)
class OwnSensorSettings:
    """Sensors on ports of the computer, whose readings replace the host's in live samples or make samples themselves.

    The other settings of the attitude then describe these sensors: scale, noise and errors by their data sheets, and
    their mounting.
    """

    gyro: Name = ""
    """NAME of the `[devices.NAME]` that measures the angular rate; empty for the host's gyro."""
    magnetometer: Name = ""
    """NAME of the `[devices.NAME]` that measures the magnetic field; empty for the host's magnetometer."""
    star_tracker: Name = ""
    """NAME of the `[devices.NAME]` that measures the attitude; empty for none."""
    sun_direction: Name = ""
    """NAME of the `[devices.NAME]` that measures the direction to the Sun; empty for none."""
    age_max_s: Annotated[float, Meta(ge=1e-3, le=3600.0)] = 2.0
    """Largest age of a reading when a sample arrives; a sample without a reading of a named gyro or magnetometer is not
    used. The interval_s of the device must be shorter."""
    samples_s: Annotated[float, Meta(ge=0.0, le=3600.0)] = 0.0
    """Interval at which readings of the gyro make samples if no packets of the host arrive; 0 if only packets do."""
    time_sigma_s: Annotated[float, Meta(ge=0.0, le=10.0)] = 0.01
    """Standard deviation of the times of such samples, because readings arrive with varying delays."""

    def __post_init__(self) -> None:
        if self.samples_s and not (self.gyro and self.magnetometer):
            raise ValueError("samples_s demands samples without the host; name gyro and magnetometer")


@dataclass(frozen=True, slots=True)
class AttitudeSettings:
    """Settings of the attitude filter."""

    mounting: MountingSettings = field(default_factory=MountingSettings)
    gyro: GyroSettings = field(default_factory=GyroSettings)
    magnetometer: MagnetometerSettings = field(default_factory=MagnetometerSettings)
    sun_sensors: SunSensorSettings = field(default_factory=SunSensorSettings)
    star_tracker: StarTrackerSettings = field(default_factory=StarTrackerSettings)
    sun_direction: SunDirectionSettings = field(default_factory=SunDirectionSettings)
    start: StartSettings = field(default_factory=StartSettings)
    own_sensors: OwnSensorSettings = field(default_factory=OwnSensorSettings)
    hall_word: HallWord = "resistance"
    """Meaning of the Hall word of the host's sensor packets, in files and live. "resistance": the Hall resistance,
    which is not used. "times": bits 0 to 9 are milliseconds after the spacecraft time, 0 at the instant of a GPS packet
    with this time; bit 14 is set while magnetorquers are on.
    """
    warmth_error: Share = 0.2
    """Error of the rate at which warmth moves a bias, a fraction, 1 sigma; it lasts for the thermal time constant."""
    heat_error: Share = 0.05
    """Error of the absorbed sunlight by reflected light, gains of the sun sensors and components at full scale, as a
    fraction of its mean over all attitudes, 1 sigma; it lasts as long.
    """
    noise_scale_max: Inflation = 5.0
    """Upper limit of the factor on a sensor's measurement sigmas, which large innovations raise above 1."""
