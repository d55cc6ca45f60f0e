"""All settings with default, unit and meaning. `pygnc.toml` overrides them key by key."""

from dataclasses import asdict, dataclass, field
from typing import Final

from pygnc.common.constants import SX1280_BANDWIDTH_HZ
from pygnc.estimators.attitude.settings import AttitudeSettings, MountingSettings
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.settings import OrbitSettings

BYTES_MAX: Final = 10**12
"""Largest permitted ceiling or reserve of disk space; no computer of a satellite has more."""


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`[logs]`: disk space of `~/pygnc_logs`."""

    ceiling_bytes: int = 64_000_000
    """Limit for all runs together, B; the oldest runs are removed, delivered runs first, to stay below it."""
    reserve_bytes: int = 4_000_000
    """Free space kept on the file system for the status file and the host, B; recording stops before it is used."""

    def __post_init__(self) -> None:
        for name in ("ceiling_bytes", "reserve_bytes"):
            if not 0 <= getattr(self, name) <= BYTES_MAX:
                raise ValueError(f"{name} must be 0 to {BYTES_MAX}, not {getattr(self, name)}")


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """`[batch]`: disk space of `~/pygnc_batch`."""

    ceiling_bytes: int = 16_000_000
    """Maximum size, B; the input journal continues beyond it. A run with `--from-last-run` begins with at most half of
    it and removes the oldest data. `~/pygnc_batch_last` may need the same space again."""

    def __post_init__(self) -> None:
        if not 100_000 <= self.ceiling_bytes <= BYTES_MAX:
            raise ValueError(f"ceiling_bytes must be 100000 to {BYTES_MAX}, not {self.ceiling_bytes}")


@dataclass(frozen=True, slots=True)
class RadioSettings:
    """`[radio]`: ranging radio."""

    bandwidth_hz: float = SX1280_BANDWIDTH_HZ
    """Bandwidth of the ranging radio, Hz: 203125, 406250, 812500 or 1625000."""

    def __post_init__(self) -> None:
        if self.bandwidth_hz not in {203_125.0, 406_250.0, 812_500.0, 1_625_000.0}:
            raise ValueError(f"bandwidth_hz must be 203125, 406250, 812500 or 1625000, not {self.bandwidth_hz:g}")


BAUDS: Final = (1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600)


@dataclass(frozen=True, slots=True)
class HostSettings:
    """`[host]`: serial port for the streaming interface, in addition to the terminal that started main.py."""

    port: str = ""
    """Device path such as /dev/serial0; empty for none."""
    baud: int = 115_200
    """Speed of the port, bit/s."""

    def __post_init__(self) -> None:
        if self.baud not in BAUDS:
            raise ValueError(f"baud must be one of {', '.join(map(str, BAUDS))}, not {self.baud}")


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """`[devices.NAME]`: a sensor on a port of the computer, read during the run; each sensor has a section."""

    family: str
    """Family of the sensor; docs/devices.md lists the families."""
    port: str
    """Path or URL of the port; docs/devices.md lists the forms."""
    baud: int = 0
    """Speed of a serial port, bit/s; 0 for the family's default."""
    interval_s: float = 1.0
    """Minimum time between two kept readings of one packet type, s; 0 keeps all, which needs much log space."""
    options: dict[str, bool | int | float | str | list[str]] = field(default_factory=dict)
    """Options of the family's driver, such as timer_hz (gx2) or sample_s (opc_n3)."""
    stream: int | str = ""
    """Stream to request after opening: a rate in Hz (ucb) or a response type such as "CC" (gx2); empty for none."""

    def __post_init__(self) -> None:
        if not self.family or not self.port:
            raise ValueError("family or port of a device is empty; set both")
        if self.interval_s < 0.0 or self.baud < 0:
            raise ValueError(f"interval_s and baud are {self.interval_s} and {self.baud}; expected 0 or more")


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
    devices: dict[str, DeviceSettings] = field(default_factory=dict)
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
