"""Configuration of monoDrive's sensors in JSON, as far as an IMU needs it, and the simulator's control channel.

Keys of other sensors are ignored.
"""

import json
import socket
import struct
from pathlib import Path
from typing import Any, Final

import msgspec

from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError
from pygnc_devices.monodrive.packets import AccelUnit, ByteOrder, ChecksumPolicy, Layout

IMU_TYPE: Final = "IMU"


class Location(msgspec.Struct, frozen=True):
    """Position of the sensor in the vehicle, cm."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0


class Rotation(msgspec.Struct, frozen=True):
    """Attitude of the sensor in the vehicle, degrees."""

    pitch: float = 0.0
    yaw: float = 0.0
    roll: float = 0.0


class SensorConfiguration(msgspec.Struct, frozen=True):
    """Configuration of a sensor.

    Attributes:
        type: `IMU`.
        id: identifier of the sensor among those of its type.
        listen_port: TCP port that the simulator serves, or UDP port to receive at.
        packet_size: bytes, sent to the simulator in the stream command.
        location: position in the vehicle.
        rotation: attitude in the vehicle.
        fps: frames per second that the simulator sends.
        display_process: whether messages are queued for a display, too.
        sensor_process: whether the sensor is created at all.
        connection_type: `tcp` or `udp`.
        byte_order: see `packets.Layout`; this key and the next two are additions of PyGNC.
        checksum: see `packets.Layout`.
        accel_unit: see `packets.Layout`.
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
            raise ValueError(f"listen_port must be from 1 to 65535, not {self.listen_port}")
        if self.connection_type not in {"tcp", "udp"}:
            raise ValueError(f"connection_type must be tcp or udp, not {self.connection_type!r}")

    @property
    def layout(self) -> Layout:
        """Properties that the simulator does not report."""
        return Layout(self.byte_order, self.checksum, self.accel_unit)

    def url(self, server_ip: str) -> str:
        """Return the URL of the port with the frames."""
        return (
            f"udp://:{self.listen_port}"
            if self.connection_type == "udp"
            else f"socket://{server_ip}:{self.listen_port}"
        )


def read_configuration(text: str | bytes, source: str = "the configuration") -> SensorConfiguration:
    """Return the configuration of one sensor.

    Raises:
        DeviceError: the text is not a valid configuration; the message names place and reason.
    """
    try:
        return msgspec.json.decode(text, type=SensorConfiguration)
    except (msgspec.MsgspecError, ValueError) as error:
        raise DeviceError(f"{source}: {error}") from None


def read_vehicle(path: Path) -> list[SensorConfiguration]:
    """Return the IMUs of a file: one sensor, a list, or an object whose `sensors` are the list.

    Raises:
        DeviceError: the file cannot be read, or one of its IMUs is invalid.
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
        raise DeviceError(f"{path}: the file contains no list of sensors")
    return [
        read_configuration(msgspec.json.encode(entry), f"{path}, sensor {number}")
        for number, entry in enumerate(content, 1)
        if isinstance(entry, dict) and entry.get("type") == IMU_TYPE
    ]


CONTROL_PORT: Final = 8998
"""TCP port of the control channel; 8999 in newer simulators."""
STREAM_DATA: Final = "7fb9bacd-5d2b-4a68-8121-bdbd541a8136"
_HEADER: Final = struct.Struct("!II")
_MAGIC: Final = 0x6D6F6E6F
_OLD_MAGIC: Final = 0x6F6E6F6D
_LARGEST: Final = 1 << 20
_REFERENCE: Final = 1


def stream_data(
    sensor: SensorConfiguration,
    server_ip: str,
    *,
    start: bool = True,
    control_port: int = CONTROL_PORT,
    timeout_s: float = 5.0,
) -> None:
    """Command a simulator to start or stop sending a sensor's frames.

    Raises:
        NoAnswerError: the simulator cannot be reached, or does not answer.
        RefusedError: the simulator refuses.
    """
    message = {
        "device_type": sensor.type,
        "device_id": sensor.id,
        "destination_address": server_ip,
        "destination_port": sensor.listen_port,
        "drop_frames": False,
        "protocol": sensor.connection_type,
        "action": 0 if start else 1,
        "format": 0,
        "packet_size": sensor.packet_size,
    }
    octets = make_message({"type": STREAM_DATA, "message": message, "reference": _REFERENCE})
    address = (server_ip, control_port)
    try:
        with socket.create_connection(address, timeout_s) as link:
            link.sendall(octets)
            answer = _read_message(link)
    except OSError as error:
        raise NoAnswerError(f"{server_ip}:{control_port}: {error.strerror or error}") from None
    if answer.get("success") is False:
        raise RefusedError(f"{server_ip}:{control_port}: the simulator refuses to stream {sensor.type} {sensor.id}")


def make_message(content: dict[str, Any]) -> bytes:
    """Return a message of the control channel."""
    text = json.dumps(content).encode()
    return _HEADER.pack(_MAGIC, _HEADER.size + len(text)) + text


def _read_message(link: socket.socket) -> dict[str, Any]:
    magic, length = _HEADER.unpack(_read(link, _HEADER.size))
    if magic not in {_MAGIC, _OLD_MAGIC} or not _HEADER.size <= length <= _LARGEST:
        raise NoAnswerError("the program that answers is not a monoDrive simulator")
    try:
        content = json.loads(_read(link, length - _HEADER.size))
    except ValueError:
        raise NoAnswerError("the simulator's answer is not JSON") from None
    return content if isinstance(content, dict) else {}


def _read(link: socket.socket, size: int) -> bytes:
    octets = b""
    while len(octets) < size:
        piece = link.recv(size - len(octets))
        if not piece:
            raise NoAnswerError("the simulator closed the connection without an answer")
        octets += piece
    return octets
