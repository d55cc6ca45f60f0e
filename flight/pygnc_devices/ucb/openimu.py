"""OpenIMU applications: packets declared in JSON, parameters, and other user commands (lower-case types).

`packets.USER_PACKETS` declares the packets of the applications that Aceinna ships. Other packets are described like

    {"name": "xy", "description": "...", "isUserPacket": true, "payload": [
        {"type": "uint32", "name": "timer", "unit": "ms"}, {"type": "float", "name": "level", "unit": "m"}]}

with the keys of the messages in python-openimu's openimu.json. Payloads are little-endian. A frame carries no
declaration but its length: a packet with another length than declared is rejected.
"""

import contextlib
import json
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from pygnc_devices.declaration import Field, Packet
from pygnc_devices.errors import DeviceError, NoAnswerError, RefusedError
from pygnc_devices.framing import Frame
from pygnc_devices.ucb import commands
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_devices.units import Unit

_STRUCT_CODES: Final = {
    "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q", "int8": "b", "int16": "h", "int32": "i", "int64": "q",
    "float": "f", "double": "d", "char": "1s", "string": "s",
}  # fmt: skip


class DescriptionError(DeviceError):
    """Error raised when the JSON description of a packet is invalid."""


def packet_from_description(description: Mapping[str, Any]) -> Packet:
    """Return the declaration of a described user packet; its values have the units of the description.

    Raises:
        DescriptionError: a part is missing or unknown; the message names it.
    """
    name = description.get("name")
    payload = description.get("payload")
    if not isinstance(name, str) or len(name.encode()) != 2 or not isinstance(payload, list) or not payload:
        raise DescriptionError('a description needs "name" (two characters) and "payload" (a list of values)')
    try:
        return Packet(
            name,
            tuple(_field(name, entry) for entry in payload),
            "<",
            meaning=str(description.get("description", "")),
            clock=str(description.get("clock", "")),
        )
    except ValueError as error:
        raise DescriptionError(str(error)) from None


def packets_from_json(text: str) -> tuple[Packet, ...]:
    """Return all packets of a JSON text: one description, a list, or an openimu.json with `userMessages`.

    Raises:
        DescriptionError: the text is not JSON, or a description in it is invalid.
    """
    try:
        content = json.loads(text)
    except ValueError as error:
        raise DescriptionError(f"the description of user packets is not JSON: {error}") from None
    if isinstance(content, dict) and "userMessages" in content:
        content = content["userMessages"].get("outputPackets", [])
    entries: Iterable[Any] = content if isinstance(content, list) else [content]
    packets = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise DescriptionError(f"the description of a packet must be a JSON object, not {entry!r}")
        packets.append(packet_from_description(entry))
    return tuple(packets)


def _field(packet: str, entry: Any) -> Field:  # noqa: ANN401 - any JSON
    kind, name = (entry.get("type"), entry.get("name")) if isinstance(entry, dict) else (None, None)
    code = _STRUCT_CODES.get(str(kind))
    if code is None or not isinstance(name, str):
        known = ", ".join(_STRUCT_CODES)
        raise DescriptionError(f'packet {packet}: {entry!r} needs "name" and a "type"; choose from {known}')
    if code == "s":
        length = entry.get("length")
        if not isinstance(length, int) or not 0 < length < 256:
            raise DescriptionError(f'packet {packet}: the string {name} needs a "length" of 1 to 255')
        code = f"{length}s"
    unit = str(entry.get("unit", ""))
    return Field(
        re.sub(r"\W+", "_", name), code, Unit(unit, unit), meaning=str(entry.get("description", "")), column=name
    )


ParameterValue: TypeAlias = int | float | str

_WRITE_ERRORS: Final = {-1: "no such parameter", -2: "illegal value", -3: "wrong size"}
_SAVE_TIMEOUT_S: Final = 3.0
_PARAMETER_BYTES: Final = 8
MAG_ALIGN_ACTIONS: Final = {
    "status": 0, "start": 1, "start_manual": 2, "stop": 3, "accept": 4, "accept_and_save": 5, "abort": 6, "values": 7,
    "restore_defaults": 8, "restore_defaults_and_save": 9,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Parameter:
    """Parameter of an application: number, name and type (`text`, `int` or `float`, eight bytes each)."""

    number: int
    name: str
    kind: str

    def decode(self, octets: bytes) -> ParameterValue:
        """Return the value of type `kind` that eight bytes encode."""
        if self.kind == "text":
            return octets.partition(b"\0")[0].decode("latin-1")
        value: ParameterValue = struct.unpack("<d" if self.kind == "float" else "<q", octets)[0]
        return value

    def encode(self, value: ParameterValue) -> bytes:
        """Return the eight bytes of a value.

        Raises:
            ParameterError: the value has the wrong type or is too long.
        """
        try:
            if self.kind == "text":
                octets = str(value).encode("latin-1")
                if len(octets) > _PARAMETER_BYTES:
                    raise ParameterError(f"parameter {self.name}: {value!r} has more than eight characters")
                return octets.ljust(_PARAMETER_BYTES, b"\0")
            return struct.pack("<d" if self.kind == "float" else "<q", value)
        except (struct.error, UnicodeEncodeError):
            raise ParameterError(f"parameter {self.name}: {value!r} is not of type {self.kind}") from None


class ParameterError(DeviceError):
    """Error raised when a parameter does not exist or cannot have a value."""


PARAMETERS: Final = tuple(
    Parameter(number, name, kind)
    for number, (name, kind) in enumerate(
        (
            ("data_crc", "int"), ("data_size", "int"), ("baud_rate", "int"), ("packet_type", "text"),
            ("packet_rate", "int"), ("accel_filter", "int"), ("rate_filter", "int"), ("orientation", "text"),
            ("gps_baud_rate", "int"), ("gps_protocol", "int"),
            ("hard_iron_x", "float"), ("hard_iron_y", "float"), ("soft_iron_ratio", "float"),
            ("soft_iron_angle", "float"), ("lever_arm_x", "float"), ("lever_arm_y", "float"), ("lever_arm_z", "float"),
            ("point_of_interest_x", "float"), ("point_of_interest_y", "float"), ("point_of_interest_z", "float"),
        )
    )
)  # fmt: skip
"""Parameters of the applications that Aceinna ships; an application may have only some of them."""


def parameter(name: str | int) -> Parameter:
    """Return a parameter by name or number.

    Raises:
        ParameterError: the name or number is unknown.
    """
    for entry in PARAMETERS:
        if name in (entry.name, entry.number):
            return entry
    raise ParameterError(f"unknown parameter {name!r}; choose from {', '.join(entry.name for entry in PARAMETERS)}")


async def user_ping(_unit: UcbUnit) -> str:
    """Return the unit's text of model, part number, revision and serial number (pG)."""
    return _text((await commands.send(commands.command("pG"))).payload)


async def user_version(_unit: UcbUnit) -> str:
    """Return name and version of the application (gV)."""
    return _text((await commands.send(commands.command("gV"))).payload)


async def get_parameters(_unit: UcbUnit) -> dict[str, ParameterValue]:
    """Return the values of all parameters by name (gA)."""
    payload = (await commands.send(commands.command("gA"))).payload
    count = min(len(payload) // _PARAMETER_BYTES, len(PARAMETERS))
    return {entry.name: entry.decode(_slot(payload, entry.number)) for entry in PARAMETERS[:count]}


async def get_parameter(_unit: UcbUnit, name: str | int) -> ParameterValue:
    """Return the value of a parameter, given its name or number (gP)."""
    entry = parameter(name)
    number = struct.pack("<I", entry.number)
    request = commands.command("gP", number, fits=lambda payload: payload[:4] == number and len(payload) == 12)
    return entry.decode((await commands.send(request)).payload[4:])


async def get_parameter_range(_unit: UcbUnit, first: int, count: int) -> dict[str, ParameterValue]:
    """Return `count` consecutive parameters by name, from number `first` on (gC)."""
    head = struct.pack("<II", count, first)
    size = len(head) + count * _PARAMETER_BYTES
    request = commands.command("gC", head, fits=lambda payload: payload[:8] == head and len(payload) == size)
    payload = (await commands.send(request)).payload[len(head) :]
    return {PARAMETERS[first + k].name: PARAMETERS[first + k].decode(_slot(payload, k)) for k in range(count)}


async def set_parameter(unit: UcbUnit, name: str | int, value: ParameterValue) -> None:
    """Set a parameter until power-off (uP), and read it back."""
    entry = parameter(name)
    octets = entry.encode(value)
    request = commands.command("uP", struct.pack("<I", entry.number) + octets)
    _check((await commands.send(request)), entry.name)
    found = await get_parameter(unit, entry.number)
    if found != entry.decode(octets):
        raise ParameterError(
            f"parameter {entry.name}: wrote {value!r}, read back {found!r}; check that the unit allows it"
        )


async def set_parameter_range(_unit: UcbUnit, first: int, values: tuple[ParameterValue, ...]) -> None:
    """Set consecutive parameters, from number `first` on, until power-off (uC)."""
    octets = b"".join(PARAMETERS[first + k].encode(value) for k, value in enumerate(values))
    request = commands.command("uC", struct.pack("<II", len(values), first) + octets)
    _check((await commands.send(request)), f"{first} to {first + len(values) - 1}")


async def set_parameters(unit: UcbUnit, values: dict[str, ParameterValue]) -> None:
    """Set parameters until power-off with one command (uA); other parameters keep their values."""
    present = await get_parameters(unit)
    unknown = set(values) - set(present)
    if unknown:
        raise ParameterError(f"unknown parameter {', '.join(sorted(unknown))}; choose from {', '.join(present)}")
    octets = b"".join(parameter(name).encode(value) for name, value in (present | values).items())
    _check((await commands.send(commands.command("uA", octets))), "all")


async def save_parameters(_unit: UcbUnit) -> None:
    """Write the parameters to flash (sC)."""
    await commands.send(commands.command("sC", timeout_s=_SAVE_TIMEOUT_S))


async def restore_default_parameters(_unit: UcbUnit) -> None:
    """Restore the application's default parameters (rD)."""
    await commands.send(commands.command("rD", timeout_s=_SAVE_TIMEOUT_S))


async def user_mag_align(_unit: UcbUnit, action: str) -> bytes:
    """Carry out one of MAG_ALIGN_ACTIONS of the magnetic alignment (ma); return the payload of the response."""
    number = MAG_ALIGN_ACTIONS.get(action)
    if number is None:
        raise ParameterError(f"unknown action {action!r}; choose from {', '.join(MAG_ALIGN_ACTIONS)}")
    return (await commands.send(commands.command("ma", bytes([number])))).payload


async def user_reset(_unit: UcbUnit) -> None:
    """Restart the unit (rS), which sends no response."""
    with contextlib.suppress(NoAnswerError):
        await commands.command("rS", timeout_s=0.0, tries=1)


def _check(frame: Frame, name: str) -> None:
    error = int.from_bytes(frame.payload[:4], "little", signed=True)
    if error:
        raise RefusedError(f"parameter {name}: {_WRITE_ERRORS.get(error, f'error {error}')}")


def _slot(payload: bytes, index: int) -> bytes:
    return payload[index * _PARAMETER_BYTES : (index + 1) * _PARAMETER_BYTES]


def _text(payload: bytes) -> str:
    return payload.partition(b"\0")[0].decode("latin-1").strip()
