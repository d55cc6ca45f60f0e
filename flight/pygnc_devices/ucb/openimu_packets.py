"""User packets of OpenIMU applications: lower-case types, little-endian payload, layouts declared in JSON.

The packets of the applications that Aceinna ships are declared here; others are added from a description such as

    {"name": "xy", "description": "...", "isUserPacket": true, "payload": [
        {"type": "uint32", "name": "timer", "unit": "ms"}, {"type": "float", "name": "level", "unit": "m"}]}

with the keys of the messages in python-openimu's openimu.json. A frame carries no layout but its length: a packet of
another length than declared is rejected.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pygnc_devices.declaration import Field, Packet
from pygnc_devices.errors import DeviceError
from pygnc_devices.ucb.packets import XYZ
from pygnc_devices.units import (
    ACCELERATION,
    ANGLE,
    LENGTH,
    MAGNETIC,
    NONE,
    RATE,
    TEMPERATURE,
    TICKS,
    TIME,
    VELOCITY,
    Unit,
)

_DEGREE: Final = 0.017453292519943295
_GAUSS_T: Final = 1e-4
_STRUCT_CODES: Final = {
    "uint8": "B", "uint16": "H", "uint32": "I", "uint64": "Q", "int8": "b", "int16": "h", "int32": "i", "int64": "q",
    "float": "f", "double": "d", "char": "1s", "string": "s",
}  # fmt: skip


class DescriptionError(DeviceError):
    """The JSON description of a packet is invalid."""


def _vector(  # noqa: PLR0917 - a table's columns
    name: str, unit: Unit, suffix: str, scale: float | None, column: str, meaning: str
) -> tuple[Field, ...]:
    return tuple(
        Field(f"{name}_{axis}_{suffix}", "f", unit, scale, 0.0, f"{meaning}, {axis}", f"{axis}{column}") for axis in XYZ
    )


_ACCEL: Final = _vector("accel", ACCELERATION, "mps2", None, "Accel", "specific force")
_RATE: Final = _vector("rate", RATE, "rad_s", _DEGREE, "Rate", "angular rate")
_MAG: Final = _vector("mag", MAGNETIC, "t", _GAUSS_T, "Mag", "magnetic field")
_RATE_BIAS: Final = _vector("rate_bias", RATE, "rad_s", _DEGREE, "RateBias", "estimated bias of the angular rate")
_ACCEL_BIAS: Final = _vector("accel_bias", ACCELERATION, "mps2", None, "AccelBias", "estimated bias of the force")
_TILT: Final = tuple(Field(f"{name}_rad", "f", ANGLE, _DEGREE, 0.0, name, name) for name in ("roll", "pitch"))
_ANGLES: Final = (*_TILT, Field("yaw_rad", "f", ANGLE, _DEGREE, 0.0, "yaw", "yaw"))
_TICKS: Final = Field("time_ticks", "I", TICKS, meaning="ms or µs; the driver determines which", column="timeCounter")
_MS: Final = Field("time_ms", "I", TICKS, meaning="time of the unit, ms", column="tstmp")
_SECONDS: Final = Field("time_s", "d", TIME, meaning="time of the unit", column="timeSec")
_SWITCHES: Final = tuple(
    Field(name, "B", NONE, meaning=meaning, column=column)
    for name, column, meaning in (
        ("operation_mode", "opMode", "0 stabilise, 1 initialise, 2 high gain, 3 low gain, 4 INS"),
        ("linear_acceleration_switch", "linAccelSw", "1 while the unit takes the force for linear acceleration"),
        ("turn_switch", "turnSw", "1 while it turns"),
    )
)
_VELOCITY: Final = tuple(
    Field(f"velocity_{word}_mps", "f", VELOCITY, meaning=f"velocity {word}", column=f"{word[0]}Vel")
    for word in ("north", "east", "down")
)
_POSITION: Final = (
    Field("latitude_rad", "d", ANGLE, _DEGREE, 0.0, "latitude", "lat"),
    Field("longitude_rad", "d", ANGLE, _DEGREE, 0.0, "longitude", "lon"),
    Field("altitude_m", "d", LENGTH, meaning="height", column="alt"),
)
_TEMPERATURE: Final = Field("temperature_degc", "f", TEMPERATURE, meaning="temperature", column="temperature")

USER_PACKETS: Final = (
    Packet("zT", (_TICKS,), "<", meaning="time only", clock="time_ticks"),
    Packet("z1", (_TICKS, *_ACCEL, *_RATE, *_MAG), "<", meaning="scaled sensors", clock="time_ticks"),
    Packet("s1", (_MS, _SECONDS, *_ACCEL, *_RATE, *_MAG, _TEMPERATURE), "<", meaning="scaled sensors", clock="time_ms"),
    Packet("a1", (_MS, _SECONDS, *_TILT, *_RATE, *_ACCEL, *_SWITCHES), "<", meaning="tilt", clock="time_ms"),
    Packet("a2", (_MS, _SECONDS, *_ANGLES, *_RATE, *_ACCEL), "<", meaning="angles", clock="time_ms"),
    Packet(
        "e1",
        (_MS, _SECONDS, *_ANGLES, *_ACCEL, *_RATE, *_RATE_BIAS, *_MAG, *_SWITCHES),
        "<",
        meaning="angles",
        clock="time_ms",
    ),
    Packet(
        "e2",
        (
            *(_MS, _SECONDS, *_ANGLES, *_ACCEL, *_ACCEL_BIAS, *_RATE, *_RATE_BIAS),
            *(*_VELOCITY, *_MAG, *_POSITION, *_SWITCHES),
        ),
        "<",
        meaning="navigation",
        clock="time_ms",
    ),
)


def packet_from_description(description: Mapping[str, Any]) -> Packet:
    """Return the declaration of a user packet; values have the units of the description.

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
            raise DescriptionError(f"the description of a packet is not an object, but {entry!r}")
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
