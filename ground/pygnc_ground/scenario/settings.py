"""Settings of a scenario: typed sections with defaults, read from TOML and written back with all defaults resolved.

Angles are in degrees and illuminance in lux because people edit these files; each name ends with its unit. The seed
selects independent random streams for all sensors.
"""

import json
import math
import tomllib
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import Annotated, Any, Final, Literal, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.common.constants import batch_sensor_gps_packet_num_sensor_packets
from pygnc_ground.scenario.sensor_settings import (
    Count,
    FineSunSensor,
    Fraction,
    Gps,
    Imu,
    Matrix3,
    NonNegative,
    Payload,
    Positive,
    RawGnss,
    Section,
    SpacecraftClock,
    StarTracker,
    Storm,
    SunSensors,
    Torquers,
    Vector3,
)


class Orbit(Section, frozen=True):
    """Settings of the orbit: osculating Keplerian elements at the start, in GCRF."""

    semi_major_axis_m: Annotated[float, msgspec.Meta(gt=6.5e6, lt=5e7)] = 6_898_000.0
    eccentricity: Annotated[float, msgspec.Meta(ge=0.0, lt=1.0)] = 0.001
    inclination_deg: Annotated[float, msgspec.Meta(ge=0.0, le=180.0)] = 97.5
    raan_deg: float = 30.0
    argument_of_perigee_deg: float = 90.0
    mean_anomaly_deg: float = 0.0

    def __post_init__(self) -> None:
        perigee_m = self.semi_major_axis_m * (1.0 - self.eccentricity)
        if perigee_m < 6.5e6:
            raise ValueError(
                f"the perigee is {perigee_m:.0f} m from the Earth's centre instead of at least 6500000 m; increase"
                " semi_major_axis_m or reduce eccentricity"
            )


class Spacecraft(Section, frozen=True):
    """Settings of mass and surface; default: a tumbling 1.5U CubeSat with a quarter of its surface facing the flow."""

    mass_kg: Positive = 1.58
    area_m2: NonNegative = 0.02
    drag_coefficient: NonNegative = 2.2
    reflectivity_coefficient: NonNegative = 1.3
    area_variation: Fraction = 0.0
    """Amplitude of a sinusoidal variation of the area with the attitude, as a fraction of the area."""
    area_variation_period_s: Annotated[float, msgspec.Meta(ge=60.0)] = 5_600.0
    """Period of the variation; the default is one orbit, as for a satellite at rest in inertial space."""


class Forces(Section, frozen=True):
    """Settings of the forces on the satellite besides the Earth's central attraction.

    Effect on a 500 km orbit after 3 and 12 hours: degrees 71 to 100 of the gravity field up to 0.5 and 1.1 m, solid
    tides 1.5 and 6.4 m, relativity 0.3 and 1.3 m. Tides and relativity take no measurable computing time; degree 100
    takes a third more than degree 70. The noise for omitted degrees is larger, see `omitted_gravity_density`.
    """

    gravity_degree: Annotated[int, msgspec.Meta(ge=0, le=120)] = 100
    """Degree and order of EGM2008; 0 is a point mass."""
    sun_and_moon: bool = True
    """Attraction of Sun and Moon."""
    solid_tides: bool = True
    """Solid Earth tides with the frequency-dependent part and the pole tide (IERS Conventions 2010, chapter 6)."""
    relativity: bool = True
    """Schwarzschild term."""
    drag: bool = True
    """Drag in the NRLMSISE-00 atmosphere with the observed space weather."""
    density_bias: float = 0.0
    """Natural logarithm of a constant factor on the density."""
    density_error: NonNegative = 0.0
    """Standard deviation of the natural logarithm of another factor on the density, a Gauss-Markov process in steps of
    3 h.
    """
    density_error_time_s: Positive = 86_400.0
    """Correlation time of this process."""
    radiation_pressure: bool = True
    """Solar radiation pressure with a conical shadow."""


class Impulse(Section, frozen=True):
    """Settings of an impulsive manoeuvre of the main satellite: an instantaneous change of its velocity."""

    at_s: NonNegative
    """Time after the start."""
    delta_v_rtn_mps: Vector3
    """Change of the velocity along radial, transverse and normal."""


class Thrust(Section, frozen=True):
    """Settings of a thrust of the main satellite: a constant acceleration; simultaneous thrusts add up."""

    begin_s: NonNegative
    """Time after the start."""
    duration_s: Positive
    """Duration of the acceleration."""
    acceleration_rtn_mps2: Vector3
    """Acceleration along radial, transverse and normal of the current orbit."""


class Damage(Section, frozen=True):
    """Settings of damage to the records or packets of one file; rates are per record and independent of each other."""

    flipped_bit_rate: Fraction = 0.0
    """One bit of the record is inverted."""
    lost_bytes_rate: Fraction = 0.0
    """1 to 16 consecutive bytes are missing."""
    inserted_bytes_rate: Fraction = 0.0
    """1 to 16 random bytes are inserted into the record."""
    duplicated_rate: Fraction = 0.0
    """An undamaged copy follows the record."""
    swapped_rate: Fraction = 0.0
    """The record and its successor change places."""
    cut_tail: bool = False
    """The file ends inside its last record."""


class Faults(Section, frozen=True):
    """Settings of the damage to every satellite's files. Range files are damaged before they are split by size."""

    sense: Damage = Damage()
    ranges: Damage = Damage()


RadioId = Annotated[int, msgspec.Meta(ge=0x4A, le=0x4D)]


class Partner(Section, frozen=True):
    """Settings of a satellite to which ranges are measured."""

    id: RadioId
    position_rtn_m: Vector3 | None = None
    """Position relative to the main satellite at the start: radial, transverse, normal. Drawn shapes need none."""
    velocity_rtn_mps: Vector3 = (0.0, 0.0, 0.0)
    """Relative velocity in the rotating RTN frame."""
    drag_ratio: Annotated[float, msgspec.Meta(ge=0.1, le=10.0)] = 1.0
    """Drag coefficient times area over mass, relative to the main satellite's."""
    area_variation_phase_deg: float = 0.0
    """Phase of the variation of its area ahead of the main satellite's."""
    delay_bias_m: float = 1050.0
    """Delay bias of the pair's radios, included in every range."""
    frequency_offset_hz: float = 190.0
    """Frequency offset at which the main satellite receives this satellite's carrier when both are at rest."""
    boot_before_start_s: NonNegative = 3600.0
    """Boot time of its own clock before the start. All other clock settings are those of `[clock]`."""
    fixes_until_s: NonNegative | None = None
    """Time after the start from which its receiver knows the time, but no position; never by default."""
    measures_ranges: bool = True
    """If false, its range files contain fixes only. The others measure ranges to it all the same."""


class Ranging(Section, frozen=True):
    """Settings of the ranging to the partners: at each epoch one GPS fix, then one range to each partner."""

    interval_s: Count = 60
    noise_m: NonNegative = 30.0
    outlier_rate: Fraction = 0.0
    """Fraction of ranges with an error of plus or minus `outlier_m`."""
    outlier_m: NonNegative = 500.0
    missing_rate: Fraction = 0.0
    """Fraction of exchanges without a range."""


_SYMMETRIC_MAX: Final = 3
Shape: TypeAlias = Literal["given", "free", "bounded", "flat", "train", "safety", "symmetric"]


class Formation(Section, frozen=True):
    """Settings of the shape of the formation, of the partners' files, and of errors that satellites have in common."""

    shape: Shape = "given"
    """given: positions and velocities of `[[partners]]`. All others are drawn from the seed. free: 0.5 to 2 km apart,
    moving with 0.05 to 0.3 m/s in any inertial direction. bounded: the same distances, with that drift along the track
    only. flat: bounded, with 5 to 50 m across the track. train: one behind the other on small ellipses. safety:
    parallel eccentricity and inclination vectors. symmetric: partners that are nearly each other's mirror images.
    """
    baseline_m: NonNegative = 0.0
    """Greatest distance along the orbit at which the partners of a drawn shape are placed, in front of the main
    satellite or behind it; each is at 0.1 to 1 times this.
    """
    common_coloured_fraction: Fraction = 0.0
    """Fraction of the variance of the coloured noise of the fixes that all satellites have in common."""
    all_satellites: bool = False
    """Write the files of every satellite, with its ranges to all others, to a folder named by its id."""
    own_id: RadioId = 0x4A
    """Id of the main satellite in the range packets of the others."""
    pair_bias_spread_m: NonNegative = 15.0
    """Standard deviation of a pair's own constant bias. The bias of two partners is the mean of their biases with the
    main satellite plus this constant.
    """


class Attitude(Section, frozen=True):
    """Settings of the attitude motion. Each mode uses only the settings that it needs."""

    mode: Literal["tumble", "rigid", "nadir", "sun"] = "tumble"
    """tumble: constant body rate. rigid: rigid body with its inertia under the gravity gradient along its orbit. nadir:
    pointed axis to the Earth's centre, second axis as close to the direction of flight as possible. sun: pointed axis
    to the Sun, second axis as close to celestial north as possible.
    """
    quaternion_gcrf_from_body: tuple[float, float, float, float] = (1.0, 0.0, 0.0, 0.0)
    """Attitude at the start for tumble and rigid, scalar first."""
    rate_body_deg_s: Vector3 = (1.0, 0.3, 0.2)
    """Body rate: constant for tumble, initial for rigid."""
    inertia_kg_m2: Matrix3 = (
        (0.0043 * 1.58 / 1.504, -0.0003 * 1.58 / 1.504, 0.0),
        (-0.0003 * 1.58 / 1.504, 0.0049 * 1.58 / 1.504, 0.0),
        (0.0, 0.0, 0.0035 * 1.58 / 1.504),
    )
    """Inertia for rigid, about the centre of mass in body axes, with the signs of the matrix. The default is the
    fleet's.
    """
    pointed_axis_body: Vector3 = (0.0, 0.0, 1.0)
    """Pointed axis for nadir and sun, of any length."""
    second_axis_body: Vector3 = (1.0, 0.0, 0.0)
    """Second axis for nadir and sun, of any length."""

    def __post_init__(self) -> None:
        norm = math.hypot(*self.quaternion_gcrf_from_body)
        if not math.isclose(norm, 1.0, abs_tol=1e-6):
            raise ValueError(f"quaternion_gcrf_from_body: the norm is {norm:.7g}, not 1")
        if not _is_inertia(self.inertia_kg_m2):
            raise ValueError(
                "inertia_kg_m2 is not an inertia: it must be symmetric, its principal moments positive and each at"
                " most the sum of the other two"
            )
        # np.cross would take a third of the time of a campaign's check.
        (x, y, z), (u, v, w) = self.pointed_axis_body, self.second_axis_body
        lengths = math.hypot(x, y, z) * math.hypot(u, v, w)
        if math.hypot(y * w - z * v, z * u - x * w, x * v - y * u) <= 1e-6 * lengths:
            raise ValueError(
                "pointed_axis_body and second_axis_body are parallel or zero; choose two different directions"
            )


@lru_cache  # the runs of a campaign share it
def _is_inertia(matrix: Matrix3) -> bool:
    inertia = np.array(matrix)
    smallest, middle, largest = np.linalg.eigvalsh(inertia)
    is_possible = smallest > 0.0 and smallest + middle >= largest * (1.0 - 1e-9)
    return bool(is_possible and np.array_equal(inertia, inertia.T))


Tables: TypeAlias = dict[str, Any]
"""Settings as read from TOML, not yet validated."""


class Settings(Section, frozen=True):
    """Settings of a scenario.

    Raises:
        ValueError: The start is not a UTC time on a whole second, late samples would overtake each other, two
            satellites share an id, or the scenario is too short for a range.
    """

    seed: Annotated[int, msgspec.Meta(ge=0)] = 1
    """Seed of all random draws."""
    start_utc: str = "2025-03-20T00:00:00Z"
    """Start in UTC, on a whole second."""
    duration_s: Count = 3600
    """Duration of the scenario."""
    sample_interval_s: Count = 5
    """Interval between sensor samples."""
    truth_every_samples: Count = 1
    """Samples per row of the truth table: 1 writes every sample, 5 the samples with a fix."""
    orbit: Orbit = Orbit()
    spacecraft: Spacecraft = Spacecraft()
    forces: Forces = Forces()
    impulses: tuple[Impulse, ...] = ()
    """Impulsive manoeuvres."""
    thrusts: tuple[Thrust, ...] = ()
    """Manoeuvres with low thrust, or outgassing."""
    attitude: Attitude = Attitude()
    clock: SpacecraftClock = SpacecraftClock()
    gps: Gps = Gps()
    raw_gnss: RawGnss = RawGnss()
    storm: Storm = Storm()
    imu: Imu = Imu()
    torquers: Torquers = Torquers()
    payload: Payload = Payload()
    sun_sensors: SunSensors = SunSensors()
    star_tracker: StarTracker = StarTracker()
    fine_sun_sensor: FineSunSensor = FineSunSensor()
    ranging: Ranging = Ranging()
    formation: Formation = Formation()
    faults: Faults = Faults()
    partners: tuple[Partner, ...] = ()
    """Satellites to which ranges are measured."""

    def __post_init__(self) -> None:
        ids = [partner.id for partner in self.partners]
        is_crowded = self.formation.shape == "symmetric" and len(ids) > _SYMMETRIC_MAX
        if self.formation.all_satellites:
            ids.append(self.formation.own_id)
        rangeless = bool(self.partners) and self.ranging.interval_s > self.duration_s
        is_given = self.formation.shape == "given"
        placeless = is_given and any(partner.position_rtn_m is None for partner in self.partners)
        for is_wrong, fault in (
            (self.start_gps_ms % 1000, "start_utc must be a whole second, as the receiver's fixes are"),
            (self.clock.jitter_s >= self.sample_interval_s, "clock.jitter_s must be less than sample_interval_s"),
            (len({*ids}) < len(ids), "two satellites have the same id; change partners.id or formation.own_id"),
            (is_crowded, f"formation.shape: symmetric has at most {_SYMMETRIC_MAX} partners; remove the others"),
            (placeless, "partners.position_rtn_m is missing; add it, or choose a formation.shape that is drawn"),
            (rangeless, "ranging.interval_s is longer than duration_s, so there is no range; change one of them"),
        ):
            if is_wrong:
                raise ValueError(fault)

    @property
    def start_gps_ms(self) -> int:
        """Start in milliseconds since the GPS epoch."""
        return _start_gps_ms(self.start_utc)

    @property
    def record_s(self) -> int:
        """Interval between sense records in s."""
        return batch_sensor_gps_packet_num_sensor_packets * self.sample_interval_s


_start_gps_ms: Final = lru_cache(gps_ms_from_utc_iso)


def read_tables(path: Path) -> Tables:
    """Read a scenario file without validating its settings.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not TOML.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not a TOML file in UTF-8 ({error}); correct its syntax") from error
    except RecursionError:
        raise ValueError(f"{path}: arrays or tables are nested too deeply; correct its syntax") from None


def merge_tables(tables: Tables, by: Tables) -> Tables:
    """Return `tables` updated with `by`: tables are merged key by key, other values and lists are replaced."""
    merged = tables | by
    for name in tables.keys() & by.keys():
        if isinstance(tables[name], dict) and isinstance(by[name], dict):
            merged[name] = merge_tables(tables[name], by[name])
    return merged


def settings_from_tables(tables: Tables, source: str) -> Settings:
    """Return typed settings; missing settings get their defaults.

    Raises:
        ValueError: A setting is unknown, of the wrong type or out of range; the message names it and `source`.
    """
    try:
        return msgspec.convert(tables, Settings)
    except msgspec.ValidationError as error:
        raise ValueError(f"{source}: {error}; correct the setting") from error


def dump_settings(settings: Settings) -> str:
    """Return all settings, defaults included, as TOML; a later version reads them back even if its defaults differ."""
    return dump_tables(msgspec.to_builtins(settings))


def dump_tables(tables: Tables) -> str:
    """Return settings that are not validated as TOML."""
    return "\n".join(_lines(tables, "")) + "\n"


def _lines(table: Tables, name: str) -> list[str]:
    # Numbers, strings, booleans and arrays of JSON are valid TOML. An empty list is written as an array. TOML has no
    # null; a setting that is missing is None again when the file is read.
    below = {key: value for key, value in table.items() if isinstance(value, dict) or _is_array_of_tables(value)}
    plain = {key: value for key, value in table.items() if key not in below and value is not None}
    lines = [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in plain.items()]
    for key, value in below.items():
        head, rows = (f"[{name}{key}]", [value]) if isinstance(value, dict) else (f"[[{name}{key}]]", value)
        for row in rows:
            lines += ["", head, *_lines(row, f"{name}{key}.")]
    return lines


def _is_array_of_tables(value: object) -> bool:
    return isinstance(value, list | tuple) and len(value) > 0 and isinstance(value[0], dict)


def noise_generator(seed: int, sensor: str) -> np.random.Generator:
    """Return the random generator of one sensor.

    The stream depends only on the seed and the sensor's name: adding, removing or changing a sensor does not change the
    noise of the others.
    """
    return np.random.default_rng([seed, *sensor.encode()])


def gauss_markov_process(rng: np.random.Generator, kept: float, count: int) -> npt.NDArray[np.float64]:
    """Return steps of three stationary processes of unit variance that keep a fraction of each value, shape (n, 3).

    Importing SciPy's lfilter, which computes the same bits, takes half a second.
    """
    steps = rng.standard_normal((count, 3))
    # The first value has the variance of all others.
    steps[1:] *= math.sqrt(1.0 - kept**2)
    axes = [list(accumulate(axis, lambda before, step: step + kept * before)) for axis in steps.T.tolist()]
    return np.array(axes).T


def partner_seed(seed: int, partner_id: int) -> int:
    """Return the seed of the sensors of a partner."""
    return int(noise_generator(seed, f"partner {partner_id}").integers(1 << 32))
