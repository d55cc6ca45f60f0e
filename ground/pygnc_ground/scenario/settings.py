"""What a scenario is made from: typed settings with defaults, read from TOML and written back resolved.

Angles are in degrees and light in lux here, at the edge, because people write these files; names say so.
"""

import json
from pathlib import Path
from typing import Annotated, Any

import msgspec

from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc_ground.scenario.section import NonNegative, Positive, Section, Vector3
from pygnc_ground.scenario.sensor_settings import Attitude, Imu, SunSensors


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
    """What acts on the satellite besides the Earth's central attraction."""

    gravity_degree: Annotated[int, msgspec.Meta(ge=0, le=120)] = 70
    """Degree and order of EGM2008; 0 is a point mass."""
    sun_and_moon: bool = True
    drag: bool = True
    """NRLMSISE-00 with the space weather of the day."""
    radiation_pressure: bool = True
    """With conical shadow."""


class SpacecraftClock(Section, frozen=True):
    """The main controller's clock, which starts at 2000-01-01 at boot and counts whole seconds."""

    boot_before_start_s: NonNegative = 5130.4
    drift_ppm: float = 0.0
    """Positive runs fast."""


class Gps(Section, frozen=True):
    """A receiver that gives position and velocity fixes."""

    position_noise_m: NonNegative = 10.0
    """Per ECEF axis, 1 sigma; also what the receiver reports."""
    velocity_noise_mps: NonNegative = 0.01
    velocity_latency_s: Annotated[float, msgspec.Meta(ge=0.0, le=1.0)] = 0.15
    """The velocity is valid this long before the time of the fix."""
    time_status: Annotated[int, msgspec.Meta(ge=0, le=255)] = 180
    cold_start_s: NonNegative = 0.0
    """As long after the start the receiver knows neither time nor position."""


class Partner(Section, frozen=True):
    """A satellite to which ranges are measured."""

    id: Annotated[int, msgspec.Meta(ge=0x4A, le=0x4D)]
    position_rtn_m: Vector3
    """Relative to this satellite at the start: radial, transverse, normal."""
    velocity_rtn_mps: Vector3 = (0.0, 0.0, 0.0)
    """In the rotating RTN frame."""
    delay_bias_m: float = 1050.0
    """What the pair's radios add to every range."""
    frequency_offset_hz: float = 190.0


class Ranging(Section, frozen=True):
    """How ranges to the partners are taken: a fix, then one range to each partner."""

    interval_s: Annotated[int, msgspec.Meta(ge=1)] = 60
    noise_m: NonNegative = 30.0


class Settings(Section, frozen=True):
    """A whole scenario.

    Raises:
        ValueError: The start is no UTC time on a whole second, partners share an id, or no range would be taken.
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
    partners: tuple[Partner, ...] = ()

    def __post_init__(self) -> None:
        if self.start_gps_ms % 1000:
            raise ValueError("start_utc must be on a whole second, as the receiver's fixes are")
        if len({partner.id for partner in self.partners}) < len(self.partners):
            raise ValueError("two partners have the same id")
        if self.partners and self.ranging.interval_s > self.duration_s:
            raise ValueError("ranging.interval_s is longer than duration_s, so no range would be taken")

    @property
    def start_gps_ms(self) -> int:
        """The start in milliseconds of GPS time."""
        return gps_ms_from_utc_iso(self.start_utc)


def load_settings(path: Path) -> Settings:
    """Read a scenario file.

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no TOML, or a setting is unknown, of the wrong type or out of range; the message names it.
    """
    try:
        return msgspec.toml.decode(path.read_bytes(), type=Settings)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: {error}") from error


def dump_settings(settings: Settings) -> str:
    """All settings as TOML, defaults included, so that `load_settings` gives the same scenario under later defaults."""
    tables: dict[str, Any] = msgspec.to_builtins(settings)
    values = {name: value for name, value in tables.items() if not _is_table(value)}
    lines = _assignments(values)
    for name, value in tables.items():
        if isinstance(value, dict):
            lines += ["", f"[{name}]", *_assignments(value)]
        elif _is_table(value):
            for row in value:
                lines += ["", f"[[{name}]]", *_assignments(row)]
    return "\n".join(lines) + "\n"


def _is_table(value: object) -> bool:
    return isinstance(value, dict) or (isinstance(value, list | tuple) and all(isinstance(row, dict) for row in value))


def _assignments(values: dict[str, Any]) -> list[str]:
    # JSON's numbers, strings, booleans and arrays are also TOML's.
    return [f"{name} = {json.dumps(value)}" for name, value in values.items()]
