"""All settings with range, default, unit and meaning. `pygnc.toml` overrides them key by key."""

from dataclasses import asdict, dataclass, field
from typing import Annotated, Final, Literal, TypeAlias, get_args

from msgspec import Meta

from pygnc.common.constants import SX1280_BANDWIDTH_HZ
from pygnc.common.setting_types import Name
from pygnc.estimators.attitude.settings import AttitudeSettings, MountingSettings
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.settings import OrbitSettings

BYTES_MAX: Final = 10**12
"""Largest permitted ceiling or reserve of disk space; no computer of a satellite has more."""
_Bytes: TypeAlias = Annotated[int, Meta(ge=0, le=BYTES_MAX)]
_Path: TypeAlias = Annotated[str, Meta(max_length=256)]
_Whole: TypeAlias = Annotated[int, Meta(ge=-(10**9), le=10**9)]
_Number: TypeAlias = Annotated[float, Meta(ge=-1e9, le=1e9)]
_Names: TypeAlias = Annotated[list[Name], Meta(max_length=64)]
_Options: TypeAlias = dict[Name, bool | _Whole | _Number | _Path | _Names]
_NonEmpty: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`[logs]`: disk space of `~/pygnc_logs`."""

    ceiling_bytes: _Bytes = 64_000_000
    """Limit for all runs together, B; the oldest runs are removed, delivered runs first, to stay below it."""
    reserve_bytes: _Bytes = 4_000_000
    """Free space kept on the file system for the status file and the host, B; recording stops before it is used."""


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """`[batch]`: disk space of `~/pygnc_batch`."""

    ceiling_bytes: Annotated[int, Meta(ge=100_000, le=BYTES_MAX)] = 16_000_000
    """Maximum size, B; the input journal continues beyond it. A run with `--from-last-run` begins with at most half of
    it and removes the oldest data. `~/pygnc_batch_last` may need the same space again."""


@dataclass(frozen=True, slots=True)
class RadioSettings:
    """`[radio]`: ranging radio."""

    bandwidth_hz: Annotated[float, Meta(ge=203_125.0, le=1_625_000.0)] = SX1280_BANDWIDTH_HZ
    """Bandwidth of the ranging radio, Hz: 203125, 406250, 812500 or 1625000."""

    def __post_init__(self) -> None:
        if self.bandwidth_hz not in {203_125.0, 406_250.0, 812_500.0, 1_625_000.0}:
            raise ValueError(f"bandwidth_hz must be 203125, 406250, 812500 or 1625000, not {self.bandwidth_hz:g}")


Baud: TypeAlias = Literal[1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600]
BAUDS: Final[tuple[int, ...]] = get_args(Baud)


@dataclass(frozen=True, slots=True)
class HostSettings:
    """`[host]`: serial port for the streaming interface, in addition to the terminal that started main.py."""

    port: _Path = ""
    """Device path such as /dev/serial0; empty for none."""
    baud: Baud = 115_200
    """Speed of the port, bit/s."""


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """`[devices.NAME]`: a sensor on a port of the computer, read during the run; each sensor has a section."""

    family: _NonEmpty
    """Family of the sensor; docs/devices.md lists the families. "auto" finds family and speed."""
    port: _NonEmpty
    """Path or URL of the port; docs/devices.md lists the forms."""
    baud: Annotated[int, Meta(ge=0, le=4_000_000)] = 0
    """Speed of a serial port, bit/s; 0 for the family's default."""
    interval_s: Annotated[float, Meta(ge=0.0, le=86_400.0)] = 1.0
    """Minimum time between two kept readings of one packet type, s; 0 keeps all, which needs much log space."""
    options: Annotated[_Options, Meta(max_length=32)] = field(default_factory=dict)
    """Options of the family's driver, such as timer_hz (gx2) or sample_s (opc_n3)."""
    stream: Annotated[int, Meta(ge=0, le=10_000)] | Name = ""
    """Stream to request after opening: rate in Hz (ucb, receivers) or packet such as "CC" (gx2); empty for none."""


_Column: TypeAlias = Annotated[str, Meta(min_length=1, max_length=128)]
_Vector: TypeAlias = Annotated[tuple[_Column, ...], Meta(max_length=3)]
TimeScale: TypeAlias = Literal["utc", "unix_s", "unix_ms", "gps_s", "gps_week_s", "gps_week_ms"]


INERTIAL_FRAMES: Final = frozenset({"gcrf", "eme2000", "teme"})


@dataclass(frozen=True, slots=True)
class ColumnSettings:
    """`[columns.NAME]`: columns of a CSV or Parquet table with fixes or readings, for replays; no effect in flight."""

    time: Annotated[tuple[_Column, ...], Meta(min_length=1, max_length=2)]
    """Column of the time; GPS week and time of week for `gps_week_s` and `gps_week_ms`."""
    time_scale: TimeScale
    """UTC (ISO 8601), Unix time or GPS time in s or ms, or GPS week with s or ms of the week."""
    time_sigma_s: Annotated[float, Meta(ge=0.0, le=10.0)] | None = None
    """Standard deviation of the times, s; by default unknown."""
    position: _Vector = ()
    """Columns x, y, z, or latitude and longitude in degrees and height above WGS 84; empty for none."""
    position_frame: Literal["itrf", "geodetic", "gcrf", "eme2000", "teme"] = "itrf"
    """Axes of the position and its standard deviations; of the inertial ones, `teme` is the frame of SGP4."""
    position_unit: Literal["m", "km", "cm"] = "m"
    """Unit of x, y, z, of the height and of the standard deviations."""
    position_sigma: _Vector = ()
    """Columns of the standard deviations: one for all axes, or three (geodetic: north, east, up)."""
    velocity: _Vector = ()
    """Columns of the velocity relative to the rotating Earth, or of the inertial one in inertial axes."""
    velocity_frame: Literal["itrf", "enu", "ned", "gcrf", "eme2000", "teme"] = "itrf"
    """Axes of the velocity and its standard deviations: Earth-fixed, east, north, up, or north, east, down; or those of
    an inertial position."""
    velocity_unit: Literal["m/s", "km/s", "cm/s"] = "m/s"
    velocity_sigma: _Vector = ()
    """Columns of the standard deviations: one for all axes, or three."""
    velocity_latency_s: Annotated[float, Meta(ge=0.0, le=2.0)] = 0.0
    """Time from the epoch of the velocity to the stated time, s."""
    status: Annotated[str, Meta(max_length=128)] = ""
    """Column that states whether there is a solution; empty for none."""
    status_computed: Annotated[tuple[_Column, ...], Meta(max_length=32)] = ()
    """Values of `status` with which there is one; others reject the position."""
    satellites: Annotated[str, Meta(max_length=128)] = ""
    """Column of the number of satellites in the solution; empty for none."""
    magnetometer: _Vector = ()
    """Columns of the magnetic field in the axes of `[attitude.mounting]`; empty for none."""
    magnetometer_unit: Literal["uT", "nT", "T", "G", "mG"] = "uT"
    gyro: _Vector = ()
    """Columns of the body rate in the axes of `[attitude.mounting]`; empty for none."""
    gyro_unit: Literal["rad/s", "mrad/s", "deg/s", "mdeg/s"] = "rad/s"
    illuminance: Annotated[tuple[_Column, ...], Meta(max_length=32)] = ()
    """Columns of the sun sensors in the order of `face_normals_body`, lux times `attitude.sun_sensors.scale`."""
    sun_direction: _Vector = ()
    """Columns of a vector towards the Sun of any length, in the axes of `[attitude.sun_direction]`; empty for none."""
    missing: Annotated[tuple[_Column, ...], Meta(max_length=16)] = ()
    """Cells that mean no value, besides empty ones, `nan`, `null` and `none`."""

    def __post_init__(self) -> None:
        if len(self.time) != 1 + self.time_scale.startswith("gps_week"):
            raise ValueError(f"time names {len(self.time)} columns; {self.time_scale} has another number")
        for name, sizes in _SIZES.items():
            if len(getattr(self, name)) not in sizes:
                raise ValueError(f"{name} names {len(getattr(self, name))} columns; it must name {sizes[-1]}")
        if bool(self.magnetometer) != bool(self.gyro):
            raise ValueError("magnetometer and gyro need each other")
        if bool(self.status) != bool(self.status_computed):
            raise ValueError("status and status_computed need each other")
        if (self.velocity or self.position_sigma or self.status or self.satellites) and not self.position:
            raise ValueError("velocity, position_sigma, status and satellites need a position")
        frames = {self.position_frame, self.velocity_frame}
        if self.velocity and len(frames) > 1 and frames & INERTIAL_FRAMES:
            raise ValueError("velocity_frame and position_frame must be equal if one of them is inertial")
        if self.velocity_sigma and not self.velocity:
            raise ValueError("velocity_sigma needs a velocity")
        if (self.illuminance or self.sun_direction) and not self.gyro:
            raise ValueError("illuminance and sun_direction need magnetometer and gyro")


_SIZES: Final = {
    **dict.fromkeys(("position", "velocity", "magnetometer", "gyro", "sun_direction"), (0, 3)),
    **dict.fromkeys(("position_sigma", "velocity_sigma"), (0, 1, 3)),
}
"""Permitted numbers of columns of vectors."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration of a run."""

    logs: LogSettings = field(default_factory=LogSettings)
    radio: RadioSettings = field(default_factory=RadioSettings)
    host: HostSettings = field(default_factory=HostSettings)
    orbit: OrbitSettings = field(default_factory=OrbitSettings)
    attitude: AttitudeSettings = field(default_factory=AttitudeSettings)
    formation: FormationSettings = field(default_factory=FormationSettings)
    batch: BatchSettings = field(default_factory=BatchSettings)
    devices: Annotated[dict[Name, DeviceSettings], Meta(max_length=16)] = field(default_factory=dict)
    """One section `[devices.NAME]` for each sensor, see *Sensors of the Pi*."""
    columns: Annotated[dict[Name, ColumnSettings], Meta(max_length=16)] = field(default_factory=dict)
    """One section `[columns.NAME]` for each kind of table that a replay reads, see *Tables of fixes and readings*."""

    def __post_init__(self) -> None:
        sensors = asdict(self.attitude.own_sensors).items()
        named = {f"attitude.own_sensors.{name}": device for name, device in sensors if isinstance(device, str)}
        named["orbit.own_receiver"] = self.orbit.own_receiver
        for name, device in named.items():
            if device and device not in self.devices:
                raise ValueError(f"{name} is {device!r}, but there is no section [devices.{device}]; add it")
        for name, matrix in self.attitude.mounting.mirrors.items():
            if matrix != MountingSettings().imu_from_body:
                raise ValueError(
                    f"attitude.mounting.{name} must be a rotation or the fleet's default map; it is another reflection"
                )
