"""The JSON configuration of monoDrive's sensors, as far as an IMU needs it. Keys of other sensors are passed over."""

from pathlib import Path
from typing import Any, Final

import msgspec

from pygnc_devices.errors import DeviceError
from pygnc_devices.monodrive.packets import AccelUnit, ByteOrder, ChecksumPolicy, Layout

IMU_TYPE: Final = "IMU"


class Location(msgspec.Struct, frozen=True):
    """Where the sensor sits in the vehicle, cm."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


class Rotation(msgspec.Struct, frozen=True):
    """How it is turned, degrees."""

    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0


class SensorConfiguration(msgspec.Struct, frozen=True):
    """One sensor.

    Attributes:
        type: `IMU`.
        id: of the sensor among those of its type.
        listen_port: TCP port that the simulator serves, or UDP port to listen at.
        packet_size: bytes, told to the simulator in the stream command.
        location: in the vehicle.
        rotation: in the vehicle.
        fps: frames per second that the simulator sends.
        display_process: whether messages are kept for a display too.
        sensor_process: whether the sensor is created at all.
        connection_type: by what the simulator sends.
        byte_order: see `packets.Layout`, as the next two; these three keys are ours.
        checksum: see `byte_order`.
        accel_unit: see `byte_order`.
    """

    type: str
    id: str
    listen_port: int
    packet_size: int = 1472
    location: Location = Location()
    rotation: Rotation = Rotation()
    fps: float = 5.0
    display_process: bool = False
    sensor_process: bool = True
    connection_type: str = "tcp"
    byte_order: ByteOrder = "auto"
    checksum: ChecksumPolicy = "drop"
    accel_unit: AccelUnit = "g"

    def __post_init__(self) -> None:
        if not 0 < self.listen_port < 1 << 16:
            raise ValueError(f"listen_port is a number from 1 to 65535, not {self.listen_port}")
        if self.connection_type not in {"tcp", "udp"}:
            raise ValueError(f"connection_type is tcp or udp, not {self.connection_type!r}")

    @property
    def layout(self) -> Layout:
        """What the simulator does not say of itself."""
        return Layout(self.byte_order, self.checksum, self.accel_unit)

    def url(self, server_ip: str) -> str:
        """Return where the frames come from."""
        return (
            f"udp://:{self.listen_port}"
            if self.connection_type == "udp"
            else f"socket://{server_ip}:{self.listen_port}"
        )


def read_configuration(text: str | bytes, source: str = "the configuration") -> SensorConfiguration:
    """Return the configuration of one sensor.

    Raises:
        DeviceError: it is none; the message says where and why.
    """
    try:
        return msgspec.json.decode(text, type=SensorConfiguration)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DeviceError(f"{source}: {error}") from None


def read_vehicle(path: Path) -> list[SensorConfiguration]:
    """Return the IMUs of a file: one sensor, a list, or an object whose `sensors` are the list.

    Raises:
        DeviceError: it cannot be read, or one of its IMUs is wrong.
    """
    try:
        content: Any = msgspec.json.decode(path.read_bytes())
    except OSError as error:
        raise DeviceError(f"{path}: {error.strerror}") from None
    except msgspec.MsgspecError as error:
        raise DeviceError(f"{path}: {error}") from None
    if isinstance(content, dict):
        content = content.get("sensors", [content])
    if not isinstance(content, list):
        raise DeviceError(f"{path}: there is no list of sensors in it")
    return [
        read_configuration(msgspec.json.encode(entry), f"{path}, sensor {number}")
        for number, entry in enumerate(content, 1)
        if isinstance(entry, dict) and entry.get("type") == IMU_TYPE
    ]
