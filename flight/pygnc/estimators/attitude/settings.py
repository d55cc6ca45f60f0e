"""What can be set on the attitude filter, with units and defaults."""

import math
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np

from pygnc.common.arrays import Array
from pygnc.common.validation import require_positive

Vector: TypeAlias = tuple[float, float, float]
Matrix: TypeAlias = tuple[Vector, Vector, Vector]

_DEGREE = math.pi / 180.0
_PER_ROOT_HOUR = 1.0 / 60.0
"""A random walk's size per root hour, in those per root second."""
_SCALE_MIN = 0.1
"""Of a magnetometer's calibration."""


@dataclass(frozen=True, slots=True)
class MountingSettings:
    """How the sensors sit on the body."""

    imu_from_body: Matrix = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
    """Takes body components to sensor components, of field and body rate alike. The default is the map that the fleet's
    software undoes. It mirrors (determinant -1), so it is a convention of that software and not a mounting: the rate
    is taken as three components like the field, without the change of sign that a mirror gives an axial vector."""
    magnetometer_from_body: Matrix | None = None
    """The same of a magnetometer that sits otherwise than the gyro; without it imu_from_body holds for both."""
    face_normals_body: tuple[Vector, ...] = (
        (1.0, 0.0, 0.0),
        (0.0, 1.0, 0.0),
        (0.0, 0.0, 1.0),
        (-1.0, 0.0, 0.0),
        (0.0, -1.0, 0.0),
        (0.0, 0.0, -1.0),
    )
    """Outward normals of the six sun sensors in the order of the sample's light."""

    def __post_init__(self) -> None:
        for name, matrix in (("imu_from_body", self.gyro), ("magnetometer_from_body", self.magnetometer)):
            if matrix.shape != (3, 3) or np.abs(matrix.dot(matrix.T) - np.eye(3)).max() > 1e-6:
                raise ValueError(f"{name} is a 3 by 3 matrix of orthogonal unit vectors")
        normals = np.array(self.face_normals_body)
        if normals.shape != (6, 3) or np.abs(np.square(normals).sum(axis=1) - 1.0).max() > 1e-6:
            raise ValueError("face_normals_body is six unit vectors")

    @property
    def gyro(self) -> Array:
        """Takes body components to the gyro's, shape (3, 3)."""
        return np.array(self.imu_from_body)

    @property
    def magnetometer(self) -> Array:
        """Takes body components to the magnetometer's, shape (3, 3)."""
        return np.array(self.imu_from_body if self.magnetometer_from_body is None else self.magnetometer_from_body)

    @property
    def mirrors(self) -> dict[str, Matrix]:
        """The maps that are no rotations, by their names."""
        maps = {"imu_from_body": self.imu_from_body, "magnetometer_from_body": self.magnetometer_from_body}
        return {name: map_ for name, map_ in maps.items() if map_ is not None and np.linalg.det(map_) < 0.0}


@dataclass(frozen=True, slots=True)
class GyroSettings:
    """Noise and errors of the gyro, 1 sigma per axis."""

    scale: float = 1.0
    """Readings are multiplied by it, for another range or sensor than the interface's 65.6 counts per degree/s."""
    noise_rad_s: float = 0.025 * _DEGREE
    """Of one reading."""
    bias_sigma_rad_s: float = 2.0 * _DEGREE
    """Before the first sample."""
    bias_walk_rad_s: float = 3.0 / 3600.0 * _DEGREE * _PER_ROOT_HOUR
    """Per root second."""
    scale_sigma: float = 0.01
    scale_time_s: float = 86_400.0
    range_rad_s: float = 499.0 * _DEGREE
    """Readings from here on are at the end of the range."""
    stuck_samples: int = 10
    """So many equal readings of an axis in a row, while another one changes, come from a stuck axis."""
    bridged_max_s: float = 16.0
    """Over longer gaps the mean of two readings is no longer believed."""

    def __post_init__(self) -> None:
        require_positive(
            self, "noise_rad_s", "bias_sigma_rad_s", "bias_walk_rad_s", "scale_sigma", "scale_time_s", "range_rad_s"
        )
        require_positive(self, "scale", "bridged_max_s")
        if self.stuck_samples < 2:
            raise ValueError("stuck_samples is at least 2")


@dataclass(frozen=True, slots=True)
class MagnetometerSettings:
    """Calibration, noise and errors of magnetometer and field model; errors are 1 sigma per axis.

    What is used is matrix (reading - bias_ut), in sensor axes: `pygnc calibrate-mag` writes both.
    """

    bias_ut: Vector = (0.0, 0.0, 0.0)
    """In the sensor's own axes. What is reported as bias is this and what the filter finds beside it."""
    matrix: tuple[Vector, Vector, Vector] = ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0))
    """Makes the axes equal and orthogonal; row by row."""
    noise_ut: float = 0.6
    field_error_ut: float = 0.3
    """Of the model of the Earth's field, external fields included, per axis; it changes slowly in inertial axes."""
    field_error_time_s: float = 7_200.0
    bias_sigma_ut: float = 25.0
    """Of what bias_ut leaves, before the first sample."""
    bias_walk_ut: float = 0.05 * _PER_ROOT_HOUR
    """Per root second."""
    gate: float = 21.1
    """Chi-square limit; 3 degrees of freedom exceed 21.1 once in 10 000."""

    def __post_init__(self) -> None:
        require_positive(self, "noise_ut", "bias_sigma_ut", "bias_walk_ut", "gate", "field_error_ut")
        matrix = np.array(self.matrix)
        if len(self.bias_ut) != 3 or not np.isfinite(self.bias_ut).all():
            raise ValueError("bias_ut is three finite numbers")
        if matrix.shape != (3, 3) or not np.isfinite(matrix).all():
            raise ValueError("matrix is 3 by 3 finite numbers")
        if np.linalg.eigvalsh(0.5 * (matrix + matrix.T))[0] < _SCALE_MIN or np.abs(matrix).max() > 1.0 / _SCALE_MIN:
            raise ValueError("matrix is near the identity: no magnetometer shows ten times too much or too little")


@dataclass(frozen=True, slots=True)
class SunSensorSettings:
    """Light on the faces. Shares are of full sunlight at normal incidence; errors are 1 sigma."""

    scale: float = 1.0
    """Readings are multiplied by it, for other sensors or windows than the interface's; full scale is after that."""
    full_sun_lux: float = 133_378.0
    """At normal incidence and 1 au: 1361 W/m2 at 98 lm/W."""
    saturation_lux: float = 83_865.6
    """Full scale of the OPT3001: a reading there says "at least this"."""
    noise_share: float = 0.01
    gain_sigma: float = 0.02
    gain_time_s: float = 86_400.0
    reflectivity: float = 0.3
    """Of the Earth, before the first sample, and its deviation in place and time."""
    reflectivity_sigma: float = 0.06
    reflectivity_time_s: float = 3_600.0
    albedo_model_error: float = 0.05
    """Deviation of each face's share of the Earth's light from the model, as a fraction of it."""
    cosine_min: float = 0.15
    """Faces that see the Sun under a smaller cosine are left out."""
    dark_share: float = 0.03
    """A face that shows less is dark."""
    gate: float = 15.1
    """Chi-square limit of one face; 1 degree of freedom exceeds 15.1 once in 10 000."""

    def __post_init__(self) -> None:
        require_positive(
            self, "full_sun_lux", "saturation_lux", "noise_share", "gain_sigma", "gain_time_s", "reflectivity_time_s"
        )
        require_positive(self, "scale", "reflectivity_sigma", "dark_share", "cosine_min", "gate")
        if min(self.reflectivity, self.albedo_model_error) < 0.0:
            raise ValueError("reflectivity and albedo_model_error are not negative")


@dataclass(frozen=True, slots=True)
class StartSettings:
    """How the filter finds its attitude, and when it gives it up."""

    window_samples: int = 48
    """The search looks at so many samples at most."""
    samples_min: int = 10
    hypotheses_max: int = 24
    """Carried side by side once the first samples are in."""
    advantage: float = 30.0
    """By which the winner's cost (chi-square) must be less than that of any other attitude."""
    misfit_max: float = 2.5
    """Cost per measurement that the winner may have."""
    samples_judged: int = 16
    """So many samples that do not fit make the search begin anew without one of the faces."""
    attitude_sigma_max_rad: float = 6.0 * _DEGREE
    rejected_max: float = 0.6
    """Running mean of rejected samples, over some ten, that ends a track."""
    unknown_sigma_rad: float = 25.0 * _DEGREE
    """From this uncertainty on an attitude is unknown."""
    fine_sigma_rad: float = 3.0 * _DEGREE
    """Below it the mode is fine."""

    def __post_init__(self) -> None:
        if not 3 <= self.samples_min <= self.window_samples:
            raise ValueError("samples_min is from 3 to window_samples")
        require_positive(self, "advantage", "misfit_max", "attitude_sigma_max_rad", "rejected_max")
        if not 0.0 < self.fine_sigma_rad < self.unknown_sigma_rad:
            raise ValueError("fine_sigma_rad is positive and less than unknown_sigma_rad")
        if min(self.hypotheses_max, self.samples_judged) < 1:
            raise ValueError("hypotheses_max and samples_judged are at least 1")


@dataclass(frozen=True, slots=True)
class AttitudeSettings:
    """All of it."""

    mounting: MountingSettings = field(default_factory=MountingSettings)
    gyro: GyroSettings = field(default_factory=GyroSettings)
    magnetometer: MagnetometerSettings = field(default_factory=MagnetometerSettings)
    sun_sensors: SunSensorSettings = field(default_factory=SunSensorSettings)
    start: StartSettings = field(default_factory=StartSettings)
    noise_scale_max: float = 5.0
    """Bound of the factors by which the sigmas of magnetometer and sun sensors follow the innovations."""

    def __post_init__(self) -> None:
        if self.noise_scale_max < 1.0:
            raise ValueError("noise_scale_max is at least 1")
