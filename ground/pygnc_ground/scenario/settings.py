"""What a scenario is made from: typed settings with defaults, read from TOML and written back resolved.

Angles are in degrees and light in lux here, at the edge, because people write these files; names say so.

What all sections of a scenario's settings share.

Settings of the main controller's clock.

Settings of the true motion: orbit, spacecraft and forces.

Settings of the GPS receiver.

Settings of the damage done to the files.

Settings of the ranging radio and of the satellites it measures.

Settings of attitude, inertial sensors and sun sensors.
"""

import json
import math
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
import numpy as np

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.common.constants import batch_sensor_gps_packet_num_sensor_packets

NonNegative = Annotated[float, msgspec.Meta(ge=0.0)]
Positive = Annotated[float, msgspec.Meta(gt=0.0)]
Fraction = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Vector3 = tuple[float, float, float]
Matrix3 = tuple[Vector3, Vector3, Vector3]


class Section(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the settings file."""


class SpacecraftClock(Section, frozen=True):
    """The main controller's clock, which starts at 2000-01-01 at boot and counts whole seconds."""

    boot_before_start_s: NonNegative = 5130.4
    drift_ppm: float = 0.0
    """Positive runs fast."""
    jumps_s: tuple[tuple[NonNegative, Annotated[float, msgspec.Meta(ge=-9e8, le=3e9)]], ...] = ()
    """Steps, each as time after the start and amount; a negative one sets the clock back."""
    reboots_s: tuple[NonNegative, ...] = ()
    """Times after the start at which the clock starts at 2000-01-01 again; earlier jumps are forgotten."""
    jitter_s: Annotated[int, msgspec.Meta(ge=0)] = 0
    """Late samples are taken, and stamped, up to as many whole seconds after their turn; must be less than
    `sample_interval_s`."""
    jitter_rate: Fraction = 0.02
    """Of the samples that are late; the recorded ones were 3 of 165, by 2 and 3 s."""


class Orbit(Section, frozen=True):
    """Osculating Keplerian elements at the start, in GCRF."""

    semi_major_axis_m: Annotated[float, msgspec.Meta(gt=6.5e6, lt=5e7)] = 6_898_000.0
    eccentricity: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.001
    inclination_deg: Annotated[float, msgspec.Meta(ge=0.0, le=180.0)] = 97.5
    raan_deg: float = 30.0
    argument_of_perigee_deg: float = 90.0
    mean_anomaly_deg: float = 0.0

    def __post_init__(self) -> None:
        if self.semi_major_axis_m * (1.0 - self.eccentricity) < 6.5e6:
            raise ValueError("the perigee lies below 6 500 000 m, inside the atmosphere")


class Spacecraft(Section, frozen=True):
    """Mass and surface; the defaults are a tumbling 1.5U CubeSat (a quarter of its surface faces the flow)."""

    mass_kg: Positive = 1.58
    area_m2: NonNegative = 0.02
    drag_coefficient: NonNegative = 2.2
    reflectivity_coefficient: NonNegative = 1.3


class Forces(Section, frozen=True):
    """What acts on the satellite besides the Earth's central attraction.

    What each changes in a 500 km orbit after 3 and 12 hours: degrees 71 to 100 0.06 and 1.1 m, solid tides 1.5 and
    6.4 m, relativity 0.3 and 1.3 m. The tides and relativity cost no measurable time, degree 100 a third more than 70.
    """

    gravity_degree: Annotated[int, msgspec.Meta(ge=0, le=120)] = 100
    """Degree and order of EGM2008; 0 is a point mass."""
    sun_and_moon: bool = True
    solid_tides: bool = True
    """Of the solid Earth, with the frequency-dependent part and the pole tide (IERS Conventions 2010, chapter 6)."""
    relativity: bool = True
    drag: bool = True
    """NRLMSISE-00 with the space weather of the day."""
    radiation_pressure: bool = True
    """With conical shadow."""


class Gps(Section, frozen=True):
    """A receiver that gives position and velocity fixes; noise is per ECEF axis, 1 sigma.

    One receiver makes the fixes of the sense and of the range files: outages and coloured noise are common to both,
    white noise and outliers are not.
    """

    position_noise_m: NonNegative = 10.0
    velocity_noise_mps: NonNegative = 0.01
    coloured_position_noise_m: NonNegative = 0.0
    """A first-order Gauss-Markov process that adds to the white noise."""
    coloured_velocity_noise_mps: NonNegative = 0.0
    coloured_noise_time_s: Positive = 600.0
    """Correlation time: after it, 1/e of an error is left."""
    reported_sigma_factor: NonNegative = 1.0
    """What the receiver reports, over the true standard deviation; 0 where it reports none."""
    velocity_latency_s: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.15
    """The velocity is valid this long before the time of the fix."""
    time_status: Annotated[int, msgspec.Meta(ge=0, le=255)] = 180
    """With a fix; in the first minute after a cold start it is 160 instead."""

    cold_start_s: NonNegative = 0.0
    """As long after the start there is no fix."""
    time_unknown_fraction: Fraction = 0.5
    """Of the cold start: in this first part of it the time is not known either."""
    outages_s: tuple[tuple[NonNegative, Positive], ...] = ()
    """Times without a fix, each as begin after the start and duration."""
    outage_rate_per_h: Annotated[float, msgspec.Meta(ge=0.0, le=3600.0)] = 0.0
    """Further outages, at random."""
    outage_mean_s: Positive = 120.0
    """Mean duration of the random outages; they are distributed exponentially."""
    fix_every_records: Annotated[int, msgspec.Meta(ge=1)] = 1
    """The receiver is on during one record of as many, the first one of them, and has no fix during the others."""

    position_outlier_rate: Fraction = 0.0
    """Of the fixes whose position is off by `position_outlier_m` in a random direction."""
    position_outlier_m: NonNegative = 1000.0
    velocity_outlier_rate: Fraction = 0.0
    velocity_outlier_mps: NonNegative = 10.0
    velocity_missing_rate: Fraction = 0.0
    """Of the fixes that come without a velocity."""


class Damage(Section, frozen=True):
    """What happens to the records, or packets, of one file; rates are per record, and independent of each other."""

    flipped_bit_rate: Fraction = 0.0
    """One bit of the record is inverted."""
    lost_bytes_rate: Fraction = 0.0
    """1 to 16 bytes in a row are missing."""
    inserted_bytes_rate: Fraction = 0.0
    """1 to 16 random bytes stand in the record."""
    duplicated_rate: Fraction = 0.0
    """The record, undamaged, follows itself."""
    swapped_rate: Fraction = 0.0
    """The record and the next one stand in each other's place."""
    cut_tail: bool = False
    """The file ends inside its last record."""


class Faults(Section, frozen=True):
    """Damage to the files of every satellite; range files are damaged before they are cut to size."""

    sense: Damage = Damage()
    ranges: Damage = Damage()


RadioId = Annotated[int, msgspec.Meta(ge=0x4A, le=0x4D)]


class Partner(Section, frozen=True):
    """A satellite to which ranges are measured."""

    id: RadioId
    position_rtn_m: Vector3
    """Relative to this satellite at the start: radial, transverse, normal."""
    velocity_rtn_mps: Vector3 = (0.0, 0.0, 0.0)
    """In the rotating RTN frame."""
    delay_bias_m: float = 1050.0
    """What the pair's radios add to every range."""
    frequency_offset_hz: float = 190.0
    """By which this satellite's radio receives it too high when they are at rest relative to each other."""
    boot_before_start_s: NonNegative = 3600.0
    """Of its own clock, which otherwise is as `[clock]` says; matters when it writes files of its own."""


class Ranging(Section, frozen=True):
    """How ranges to the partners are taken: a fix, then one range to each partner."""

    interval_s: Annotated[int, msgspec.Meta(ge=1)] = 60
    noise_m: NonNegative = 30.0
    outlier_rate: Fraction = 0.0
    """Of the ranges that are off by `outlier_m`, to either side."""
    outlier_m: NonNegative = 500.0
    missing_rate: Fraction = 0.0
    """Of the exchanges that gave no range."""


class Formation(Section, frozen=True):
    """Files of the other satellites too."""

    all_satellites: bool = False
    """Each satellite's files, with the ranges to all others, go into a folder of their own, named by its id."""
    own_id: RadioId = 0x4A
    """Of this satellite, as the others' range packets name it."""
    pair_bias_spread_m: NonNegative = 15.0
    """A pair of two partners has the mean of the biases that they have with this satellite, and a constant drawn with
    this standard deviation."""


Drawn: TypeAlias = Literal["drawn"]
"""In place of a value: drawn from the seed, uniformly and for each axis, between minus and plus the bound."""

FaceValues: TypeAlias = tuple[float, float, float, float, float, float]
"""For the faces +X, +Y, +Z, -X, -Y, -Z."""


class Attitude(Section, frozen=True):
    """How the body turns. What a mode does not need of the settings below, it does not use.

    tumble: at a constant body rate.
    rigid: as a rigid body does by its inertia, under the gravity gradient along its orbit.
    nadir: the pointed axis to the Earth's centre, the second axis as far along track as it then can.
    sun: the pointed axis to the Sun, the second axis as far to celestial north as it then can.
    """

    mode: Literal["tumble", "rigid", "nadir", "sun"] = "tumble"
    quaternion_gcrf_from_body: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """At the start of tumble and rigid, scalar first."""
    rate_body_deg_s: Vector3 = (1.0, 0.3, 0.2)
    """Of tumble always, of rigid at the start."""
    inertia_kg_m2: Matrix3 = (
        (0.0043 * 1.58 / 1.504, -0.0003 * 1.58 / 1.504, 0.0),
        (-0.0003 * 1.58 / 1.504, 0.0049 * 1.58 / 1.504, 0.0),
        (0.0, 0.0, 0.0035 * 1.58 / 1.504),
    )
    """Of rigid, about the centre of mass in body axes, with the signs of the matrix. The default is the fleet's."""
    pointed_axis_body: Vector3 = (0.0, 0.0, 1.0)
    """Of nadir and sun; of any length."""
    second_axis_body: Vector3 = (1.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not math.isclose(math.hypot(*self.quaternion_gcrf_from_body), 1.0, abs_tol=1e-6):
            raise ValueError("the quaternion's norm is not 1")
        inertia = np.array(self.inertia_kg_m2)
        smallest, middle, largest = np.linalg.eigvalsh(inertia)
        if not np.array_equal(inertia, inertia.T) or smallest <= 0.0 or smallest + middle < largest * (1.0 - 1e-9):
            raise ValueError(
                "inertia_kg_m2 belongs to no body: it must be symmetric, its principal moments positive and each at"
                " most the sum of the other two"
            )
        pointed, second = np.array(self.pointed_axis_body), np.array(self.second_axis_body)
        lengths = np.linalg.norm(pointed) * np.linalg.norm(second)
        if np.linalg.norm(np.cross(pointed, second)) <= 1e-6 * lengths:
            raise ValueError("pointed_axis_body and second_axis_body are parallel or zero")


class Imu(Section, frozen=True):
    """Magnetometer and gyro on one chip. All but the mounting is in sensor axes; noise is 1 sigma per axis."""

    imu_from_body: Matrix3 = ((0.0, -1.0, 0.0), (1.0, 0.0, 0.0), (0.0, 0.0, -1.0))
    """Takes body components to sensor components. The default is the map that the fleet's software undoes; it mirrors
    (determinant -1), so it is a convention of that software and not a mounting."""
    rounding: Literal["nearest", "floor"] = "nearest"
    """To whole counts. The older PyGNC's generator floors, half a count of further bias: 0.031 uT and 0.0076 deg/s."""

    field_error_gcrf_ut: Vector3 = (0.0, 0.0, 0.0)
    """By which the Earth's field differs from the model of it, a constant in GCRF; part of the true field."""
    mag_bias_ut: Vector3 | Drawn = (20.0, 10.0, -25.0)
    mag_bias_bound_ut: NonNegative = 40.0
    """Of one that is drawn."""
    mag_noise_ut: NonNegative = 0.6
    mag_scale_error: Vector3 = (0.0, 0.0, 0.0)
    """0.01 shows 1 % too much."""
    mag_nonorthogonality_deg: Vector3 = (0.0, 0.0, 0.0)
    """Tilt of the y axis towards x, of the z axis towards x, of the z axis towards y."""

    gyro_bias_deg_s: Vector3 | Drawn = (-0.495, 0.051, 0.437)
    """At the start."""
    gyro_bias_bound_deg_s: NonNegative = 3.0
    """Of one that is drawn."""
    gyro_bias_stability_deg_h: NonNegative = 3.0
    """The bias walks at random: by this much in an hour, 1 sigma, and with the square root of the time."""
    gyro_noise_deg_s: NonNegative = 0.025
    gyro_scale_error: Vector3 = (0.0, 0.0, 0.0)
    """0.01 shows 1 % too much."""


class SunSensors(Section, frozen=True):
    """One OPT3001 on each face."""

    full_sun_lux: NonNegative = 133_378.0
    """At normal incidence and 1 au: 1361 W/m2 at 98 lm/W."""
    earth_reflectivity: Fraction = 0.3
    """Of the sunlit Earth, everywhere the same; 0 switches its light off."""
    gain_errors: FaceValues = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0)
    """Of each face; 0.01 shows 1 % too much."""
    noise_fraction: NonNegative = 0.01
    """Of full sunlight, 1 sigma, on lit and dark faces alike; no reading is negative. In the Earth's shadow it fades
    with the sunlight: there the sensors' own noise is below a count."""


Tables: TypeAlias = dict[str, Any]
"""Settings as read from TOML, not yet checked."""


class Settings(Section, frozen=True):
    """A whole scenario.

    Raises:
        ValueError: The start is no UTC time on a whole second, samples would overtake each other, satellites share an
            id, or no range would be taken.
    """

    seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    start_utc: str = "2025-03-20T00:00:00Z"
    duration_s: Annotated[int, msgspec.Meta(ge=1)] = 3600
    sample_interval_s: Annotated[int, msgspec.Meta(ge=1)] = 5
    truth_every_samples: Annotated[int, msgspec.Meta(ge=1)] = 1
    """Rows in the table of truth: 1 for all samples, 5 for the fixes alone."""
    orbit: Orbit = Orbit()
    spacecraft: Spacecraft = Spacecraft()
    forces: Forces = Forces()
    attitude: Attitude = Attitude()
    clock: SpacecraftClock = SpacecraftClock()
    gps: Gps = Gps()
    imu: Imu = Imu()
    sun_sensors: SunSensors = SunSensors()
    ranging: Ranging = Ranging()
    formation: Formation = Formation()
    faults: Faults = Faults()
    partners: tuple[Partner, ...] = ()

    def __post_init__(self) -> None:
        if self.start_gps_ms % 1000:
            raise ValueError("start_utc must be on a whole second, as the receiver's fixes are")
        if self.clock.jitter_s >= self.sample_interval_s:
            raise ValueError("clock.jitter_s must be less than sample_interval_s, or samples overtake each other")
        ids = [partner.id for partner in self.partners]
        if self.formation.all_satellites:
            ids.append(self.formation.own_id)
        if len({*ids}) < len(ids):
            raise ValueError("two satellites have the same id (partners.id, formation.own_id)")
        if self.partners and self.ranging.interval_s > self.duration_s:
            raise ValueError("ranging.interval_s is longer than duration_s, so no range would be taken")

    @property
    def start_gps_ms(self) -> int:
        """The start in milliseconds of GPS time."""
        return gps_ms_from_utc_iso(self.start_utc)

    @property
    def record_s(self) -> int:
        """From one sense record to the next."""
        return batch_sensor_gps_packet_num_sensor_packets * self.sample_interval_s


def load_settings(path: Path) -> Settings:
    """Read a scenario file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no TOML, or a setting is unknown, of the wrong type or out of range; the message names it.
    """
    return checked(read_tables(path), str(path))


def read_tables(path: Path) -> Tables:
    """Read a scenario file without checking its settings.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def overlaid(tables: Tables, by: Tables) -> Tables:
    """Settings with others laid over them: tables are merged name by name, all else, lists too, is replaced."""
    merged = tables | by
    for name in tables.keys() & by.keys():
        if isinstance(tables[name], dict) and isinstance(by[name], dict):
            merged[name] = overlaid(tables[name], by[name])
    return merged


def checked(tables: Tables, source: str) -> Settings:
    """Typed settings; what is not named has its default.

    Raises:
        ValueError: A setting is unknown, of the wrong type or out of range; the message names it and `source`.
    """
    try:
        return msgspec.convert(tables, Settings)
    except msgspec.ValidationError as error:
        raise ValueError(f"{source}: {error}") from error


def dump_settings(settings: Settings) -> str:
    """All settings as TOML, defaults included, so that `load_settings` gives the same scenario under later defaults."""
    return "\n".join(_lines(msgspec.to_builtins(settings), "")) + "\n"


def _lines(table: Tables, name: str) -> list[str]:
    # JSON's numbers, strings, booleans and arrays are also TOML's.
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not _is_table(value)]
    for key, value in table.items():
        if isinstance(value, dict):
            lines += ["", f"[{name}{key}]", *_lines(value, f"{name}{key}.")]
        elif _is_table(value):
            for row in value:
                lines += ["", f"[[{name}{key}]]", *_lines(row, f"{name}{key}.")]
    return lines


def _is_table(value: object) -> bool:
    """Whether it is written as a table, or as a list of tables; an empty list is written as an array."""
    rows = [value] if isinstance(value, dict) else value
    return isinstance(rows, list | tuple) and len(rows) > 0 and all(isinstance(row, dict) for row in rows)
