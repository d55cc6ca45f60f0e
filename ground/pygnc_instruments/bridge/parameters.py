"""Parameters as clients of python-openimu know them: those of an OpenIMU application, or six fields of other units."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pygnc_devices.declaration import Record
from pygnc_devices.errors import DeviceError
from pygnc_devices.ucb import openimu
from pygnc_devices.ucb.driver import AsyncUcb
from pygnc_devices.ucb.fields import (
    BAUD,
    FIELD_TABLE,
    FILTER_CODE_OF_HZ,
    ORIENTATION,
    ORIENTATION_CODES,
    ORIENTATION_TEXTS,
    PACKET_TYPE,
    RATE,
    filter_hz,
    type_text,
    type_value,
)
from pygnc_devices.ucb.openimu import PARAMETERS, Parameter, ParameterValue
from pygnc_instruments.bridge.device_link import DeviceLink, graphs
from pygnc_instruments.bridge.messages import BridgeError, ErrorCode

SetFields = Callable[[dict[int, int]], Awaitable[dict[int, int]]]
_KINDS: Final = {"text": "char8", "int": "int64", "float": "double"}
_FIXED: Final = frozenset({"data_crc", "data_size"})
_NAMES: Final = {
    "data_crc": "Data CRC",
    "data_size": "Data Size",
    "accel_filter": "Accel LPF",
    "rate_filter": "Rate LPF",
}
"""Names in python-openimu that differ from ours in more than spelling."""


@dataclass(frozen=True, slots=True)
class FieldParameter:
    """Field of a unit without applications, as python-openimu shows it.

    Attributes:
        name: name in python-openimu.
        kind: type in python-openimu.
        shown: returns the value that clients see for the bits of the field.
        bits: returns the bits of the field for a value that a client sends.
        options: values to choose from.
    """

    name: str
    kind: str
    shown: Callable[[int], ParameterValue]
    bits: Callable[[Any], int]
    options: Sequence[Any]


def _coded(name: str, number: int) -> FieldParameter:
    legal = FIELD_TABLE[number].legal or {}
    options = [{"key": str(code), "value": text.replace(" ", "")} for code, text in legal.items()]
    return FieldParameter(name, "uint16", int, int, options)


def _filter(name: str) -> FieldParameter:
    return FieldParameter(name, "lpf", filter_hz, lambda hz: FILTER_CODE_OF_HZ[int(hz)], sorted(FILTER_CODE_OF_HZ))


_FIELDS: Final[Mapping[int, FieldParameter]] = {
    RATE: _coded("Packet Rate", RATE),
    BAUD: _coded("Baud Rate", BAUD),
    PACKET_TYPE: FieldParameter("Packet Type", "char8", type_text, type_value, ()),
    0x0005: _filter("Accel LPF"),
    0x0006: _filter("Rate LPF"),
    ORIENTATION: FieldParameter(
        "Orientation",
        "orientation",
        lambda code: ORIENTATION_TEXTS.get(code, "").upper(),
        lambda text: ORIENTATION_CODES[text.lower()],
        [text.upper() for text in ORIENTATION_CODES],
    ),
}


class Parameters:
    """Parameters of the device of a link, by number.

    Args:
        link: connection to the device.
        set_fields: sets fields of the unit until power-off.
    """

    def __init__(self, link: DeviceLink, set_fields: SetFields) -> None:
        self._link = link
        self._set_fields = set_fields

    async def describe(self) -> dict[str, Any]:
        """Return the packets and parameters with the keys of python-openimu's openimu.json."""
        declared = () if self._link.family is None else self._link.family.packets
        packets = [packet for packet in declared if packet.is_reading]
        if self._is_application:
            present = await self._device.get_parameters()
            inputs = [_of_application(entry) for entry in PARAMETERS if entry.name in present]
        else:
            types = [packet.name for packet in packets if len(packet.name) == 2]
            inputs = [_of_field(number, entry, types) for number, entry in _FIELDS.items()]
        return {"outputs": [_output(packet) for packet in packets], "inputParams": inputs}

    async def get(self, number: int | None) -> list[dict[str, Any]]:
        """Return number, name and value of a parameter, or of all with None.

        Raises:
            BridgeError: the device has no parameter of this number.
        """
        if self._is_application:
            values = await self._device.get_parameters()
            found = [(entry.number, _title(entry), values[entry.name]) for entry in PARAMETERS if entry.name in values]
        else:
            fields = await self._device.get_fields(list(_FIELDS))
            found = [(key, _FIELDS[key].name, _FIELDS[key].shown(bits)) for key, bits in fields.items()]
        chosen = [
            {"paramId": key, "name": name, "value": value, "parsed": True}
            for key, name, value in found
            if number in (None, key)
        ]
        if not chosen:
            raise BridgeError(ErrorCode.BAD_VALUE, f"unknown parameter {number}; getParams lists all")
        return chosen

    async def set(self, values: Mapping[int, ParameterValue]) -> dict[str, Any]:
        """Set parameters until power-off.

        Raises:
            BridgeError: a parameter does not exist or cannot have the value.
        """
        if self._is_application:
            for number, value in values.items():
                await self._device.set_parameter(number, _converted(number, value))
        else:
            await self._set_fields({number: _bits(number, value) for number, value in values.items()})
        return {"error": 0}

    async def save(self) -> dict[str, Any]:
        """Write the parameters in effect to non-volatile memory."""
        if self._is_application:
            await self._device.save_parameters()
        else:
            await self._device.write_fields(await self._device.get_fields(list(_FIELDS)))
        return {"error": 0}

    async def reset(self) -> dict[str, Any]:
        """Restore the default parameters of an application.

        Raises:
            BridgeError: the unit has fields, which have no defaults.
        """
        if not self._is_application:
            raise BridgeError(ErrorCode.NOT_SUPPORTED, "this unit has no default values; restore a snapshot instead")
        await self._device.restore_default_parameters()
        return {"error": 0}

    @property
    def _device(self) -> AsyncUcb:
        return self._link.connected_ucb()

    @property
    def _is_application(self) -> bool:
        return self._link.model.lower().startswith("openimu")


def _title(entry: Parameter) -> str:
    return _NAMES.get(entry.name, entry.name.replace("_", " ").title())


def _of_application(entry: Parameter) -> dict[str, Any]:
    access, kind = ("disabled", "uint64") if entry.name in _FIXED else ("input", _KINDS[entry.kind])
    return {
        "paramId": entry.number, "category": "General", "paramType": access, "type": kind, "name": _title(entry),
    }  # fmt: skip


def _of_field(number: int, entry: FieldParameter, packet_types: Sequence[str]) -> dict[str, Any]:
    options = entry.options or packet_types
    return {
        "paramId": number, "category": "General", "paramType": "select", "type": entry.kind, "name": entry.name,
        "options": list(options),
    }  # fmt: skip


def _output(packet: Record) -> dict[str, Any]:
    return {
        "name": packet.name,
        "description": packet.meaning,
        "payload": [{"type": "float", "name": name, "unit": unit} for name, unit in packet.columns()],
        "graphs": [
            {"name": graph["title"], "units": graph["unit"], "xAxis": "Time (s)", "yAxes": graph["columns"]}
            for graph in graphs(packet)
        ],
    }


def _converted(number: int, value: ParameterValue) -> ParameterValue:
    """Return a value as the parameter's type; clients send numbers as text, too."""
    convert: dict[str, Callable[[Any], ParameterValue]] = {"int": int, "float": float, "text": str}
    try:
        return convert[openimu.parameter(number).kind](value)
    except (DeviceError, ValueError, OverflowError):
        raise BridgeError(
            ErrorCode.BAD_VALUE, f"parameter {number} cannot be {value!r:.40}; getConf lists types"
        ) from None


def _bits(number: int, value: ParameterValue) -> int:
    try:
        return _FIELDS[number].bits(value)
    except (KeyError, ValueError, OverflowError, AttributeError):
        raise BridgeError(
            ErrorCode.BAD_VALUE, f"parameter {number} cannot be {value!r:.40}; getConf lists values"
        ) from None
