"""Every setting with its default, unit and meaning. `pygnc.toml` overrides them section by section."""

from dataclasses import dataclass, field
from typing import Final

from pygnc.common.constants import SX1280_BANDWIDTH_HZ
from pygnc.estimators.attitude.settings import AttitudeSettings, MountingSettings
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.settings import OrbitSettings


@dataclass(frozen=True, slots=True)
class LogSettings:
    """`[logs]`: what `~/pygnc_logs` may take of the disk."""

    ceiling_bytes: int = 64_000_000
    """All runs together; the oldest runs are removed to stay below it, delivered ones first."""
    reserve_bytes: int = 4_000_000
    """Kept free on the file system for the status file and the host; recording stops rather than use it."""

    def __post_init__(self) -> None:
        if self.ceiling_bytes < 0 or self.reserve_bytes < 0:
            raise ValueError("ceiling_bytes and reserve_bytes are not negative")


@dataclass(frozen=True, slots=True)
class BatchSettings:
    """`[batch]`: what `~/pygnc_batch` may take of the disk."""

    ceiling_bytes: int = 16_000_000
    """It stops growing there; the input journal goes on. Of what a run begins with by `--from-last-run`, the oldest is
    left out beyond half of it. `~/pygnc_batch_last` may take as much again."""

    def __post_init__(self) -> None:
        if self.ceiling_bytes < 100_000:
            raise ValueError("ceiling_bytes is at least 100000")


@dataclass(frozen=True, slots=True)
class RadioSettings:
    """`[radio]`: the ranging radio."""

    bandwidth_hz: float = SX1280_BANDWIDTH_HZ
    """One of 203125, 406250, 812500, 1625000."""

    def __post_init__(self) -> None:
        if self.bandwidth_hz not in {203_125.0, 406_250.0, 812_500.0, 1_625_000.0}:
            raise ValueError("bandwidth_hz is one of 203125, 406250, 812500, 1625000")


BAUDS: Final = (1200, 2400, 4800, 9600, 19_200, 38_400, 57_600, 115_200, 230_400, 460_800, 921_600)


@dataclass(frozen=True, slots=True)
class HostSettings:
    """`[host]`: a serial port for the streaming interface, beside the terminal that started main.py."""

    port: str = ""
    """Such as /dev/serial0; empty: none."""
    baud: int = 115_200

    def __post_init__(self) -> None:
        if self.baud not in BAUDS:
            raise ValueError(f"baud is one of {', '.join(map(str, BAUDS))}")


@dataclass(frozen=True, slots=True)
class DeviceSettings:
    """`[devices.NAME]`: a sensor on a port of the computer, read while the run lasts; any number of them."""

    family: str
    """ucb (DMU38x, OpenIMU), gx2 (3DM-GX2, Inertia-Link, 3DM-GX3-25), emus, opc_n3, monodrive."""
    port: str
    """Path or URL, see docs/devices.md."""
    baud: int = 0
    """0: the family's usual one."""
    interval_s: float = 1.0
    """Of each kind of packet at most one reading in this time is kept; 0: all, for which the logs need room."""
    options: dict[str, bool | int | float | str | list[str]] = field(default_factory=dict)
    """What the family's driver takes when it is opened, such as timer_hz (gx2) or sample_s (opc_n3)."""
    stream: int | str = ""
    """Asked for once the port is open: a rate in Hz (ucb), a reply such as "CC" (gx2); empty: nothing."""

    def __post_init__(self) -> None:
        if not self.family or not self.port:
            raise ValueError("a device has a family and a port")
        if self.interval_s < 0.0 or self.baud < 0:
            raise ValueError("interval_s and baud are not negative")


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
    """A section `[devices.NAME]` for each sensor, see *Sensors of the Pi*."""

    def __post_init__(self) -> None:
        for name, matrix in self.attitude.mounting.mirrors.items():
            if matrix != MountingSettings().imu_from_body:
                raise ValueError(f"attitude.mounting.{name} is a rotation, or the fleet's default map, not a mirror")
