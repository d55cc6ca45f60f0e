"""Configuration of monoDrive's sensors in JSON, as far as an IMU needs it, and the simulator's control channel.

Keys of other sensors are ignored.
"""

import json
import os
import socket
import struct
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec

from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError
from pygnc_devices.monodrive.packets import Layout
from pygnc_system.files import open_input

IMU_TYPE: Final = "IMU"
_FILE_BYTES_MAX: Final = 1 << 22
"""Maximum size of a file of configurations; those of a vehicle with twenty sensors have some 100 kB."""


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


class SensorConfiguration(Layout, frozen=True, kw_only=True):
    """Configuration of a sensor; the keys of `packets.Layout` are additions of PyGNC.

    Attributes:
        type: type of the sensor, `IMU`.
        id: identifier of the sensor among the sensors of its type.
        listen_port: TCP port that the simulator serves, or UDP port to receive at.
        packet_size: size of a packet in bytes, sent to the simulator in the stream command.
        location: position in the vehicle.
        rotation: attitude in the vehicle.
        fps: frames per second that the simulator sends.
        display_process: True if messages are also queued for a display.
        sensor_process: True if the sensor is created at all.
        connection_type: `tcp` or `udp`.
    """

    type: str
    id: str
    listen_port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    packet_size: int = 1472
    location: Location = Location()
    rotation: Rotation = Rotation()
    fps: float = 5.0
    display_process: bool = False
    sensor_process: bool = True
    connection_type: Literal["tcp", "udp"] = "tcp"

    def url(self, server_ip: str) -> str:
        """Return the URL of the port with the frames."""
        return (
            f"udp://:{self.listen_port}"
            if self.connection_type == "udp"
            else f"socket://{server_ip}:{self.listen_port}"
        )


def read_configuration(text: str | bytes, source: str = "the configuration") -> SensorConfiguration:
    """Return the configuration of a sensor.

    Raises:
        DeviceError: the text is not a valid configuration; the message names the key and the reason.
    """
    try:
        return msgspec.json.decode(text, type=SensorConfiguration)
    except msgspec.MsgspecError as error:
        raise DeviceError(f"{source}: invalid configuration of an IMU: {error}") from None


def read_vehicle(path: Path) -> list[SensorConfiguration]:
    """Return the IMUs of a file: a sensor, a list of sensors, or an object with the list `sensors`.

    Raises:
        DeviceError: the file cannot be read, or the configuration of an IMU is invalid.
    """
    try:
        with os.fdopen(open_input(path), "rb") as file:
            text = file.read(_FILE_BYTES_MAX + 1)
        if len(text) > _FILE_BYTES_MAX:
            raise DeviceError(f"{path}: the file is larger than {_FILE_BYTES_MAX} bytes")
        content: Any = msgspec.json.decode(text)
    except OSError as error:
        raise DeviceError(f"{path}: {error.strerror}") from None
    except (msgspec.MsgspecError, RecursionError) as error:
        raise DeviceError(f"{path}: the file is not JSON: {error}") from None
    if isinstance(content, dict):
        content = content.get("sensors", [content])
    if not isinstance(content, list):
        raise DeviceError(f"{path}: expected one sensor, a list of sensors, or an object with `sensors`")
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
        NoAnswerError: the simulator cannot be reached, or does not respond.
        RefusedError: the simulator refuses the command.
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
            response = _read_message(link)
    except OSError as error:
        raise NoAnswerError(f"{server_ip}:{control_port}: no simulator: {error.strerror or error}") from None
    if response.get("success") is False:
        raise RefusedError(f"{server_ip}:{control_port}: the simulator refuses to stream {sensor.type} {sensor.id}")


def make_message(content: dict[str, Any]) -> bytes:
    """Return a message of the control channel."""
    text = json.dumps(content).encode()
    return _HEADER.pack(_MAGIC, _HEADER.size + len(text)) + text


def _read_message(link: socket.socket) -> dict[str, Any]:
    with link.makefile("rb") as stream:
        head = stream.read(_HEADER.size)
        if len(head) < _HEADER.size:
            raise NoAnswerError("the simulator closed the connection without a response; start the simulation first")
        magic, length = _HEADER.unpack(head)
        if magic not in {_MAGIC, _OLD_MAGIC} or not _HEADER.size <= length <= _LARGEST:
            raise NoAnswerError("the program at this address is not a monoDrive simulator; check address and port")
        text = stream.read(length - _HEADER.size)
    try:
        content = json.loads(text)
    except ValueError:
        raise NoAnswerError("the simulator's response is not JSON; check address and port") from None
    return content if isinstance(content, dict) else {}
