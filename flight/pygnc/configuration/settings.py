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
