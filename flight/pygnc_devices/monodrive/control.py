"""The control channel: tells a simulator to begin or end sending a sensor's frames."""

import json
import socket
import struct
from typing import Any, Final

from pygnc_devices.errors import NoAnswerError, RefusedError
from pygnc_devices.monodrive.configuration import SensorConfiguration

CONTROL_PORT: Final = 8998
"""8999 in newer simulators."""
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
    """Have a simulator begin or end sending a sensor's frames.

    Raises:
        NoAnswerError: it cannot be reached, or does not answer.
        RefusedError: it says no.
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
        raise NoAnswerError("what answers there is no monoDrive simulator")
    try:
        content = json.loads(_read(link, length - _HEADER.size))
    except ValueError:
        raise NoAnswerError("the simulator's answer is no JSON") from None
    return content if isinstance(content, dict) else {}


def _read(link: socket.socket, size: int) -> bytes:
    octets = b""
    while len(octets) < size:
        piece = link.recv(size - len(octets))
        if not piece:
            raise NoAnswerError("the simulator hung up in place of an answer")
        octets += piece
    return octets
