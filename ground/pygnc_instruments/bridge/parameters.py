"""Parameters as clients of python-openimu know them: those of an OpenIMU application, or six fields of other units."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pygnc_devices.declaration import Record
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
from pygnc_instruments.bridge.device_link import DeviceLink, named_graphs
from pygnc_instruments.bridge.messages import BridgeError, ErrorCode

SetFields = Callable[[dict[int, int]], Awaitable[dict[int, int]]]
_CONVERTERS: Final[Mapping[str, tuple[str, Callable[[Any], ParameterValue]]]] = {
    "text": ("char8", str), "int": ("int64", int), "float": ("double", float),
}  # fmt: skip
"""Types in python-openimu and in Python by the type of a parameter; clients send numbers as text, too."""
_FIXED: Final = frozenset({"data_crc", "data_size"})
_NAMES: Final = {
    "data_crc": "Data CRC",
    "data_size": "Data Size",
    "accel_filter": "Accel LPF",
    "rate_filter": "Rate LPF",
}
"""Names in python-openimu that differ from ours in more than spelling."""


@dataclass(frozen=True, slots=True)
class ShownParameter:
    """Parameter of an application, or field of a unit without applications, as python-openimu shows it.

    Attributes:
        name: name in python-openimu.
        kind: type in python-openimu.
        to_client: returns the value that clients see for the value, or for the bits of the field, in the unit.
        from_client: returns the value, or the bits of the field, for a value that a client sends.
        access: `input`, `select` or `disabled`.
        options: values to choose from; () for the packet types of the unit.
    """

    name: str
    kind: str
    to_client: Callable[[Any], ParameterValue]
    from_client: Callable[[Any], Any]
    access: str = "select"
    options: Sequence[Any] = ()

    def to_json(self, number: int, packet_types: Sequence[str]) -> dict[str, Any]:
        """Return the description with the keys of python-openimu."""
        shown: dict[str, Any] = {"paramId": number, "category": "General", "paramType": self.access}
        shown |= {"type": self.kind, "name": self.name}
        return shown | ({"options": list(self.options or packet_types)} if self.access == "select" else {})


def _of_application(entry: Parameter) -> ShownParameter:
    kind, convert = _CONVERTERS[entry.kind]
    access, kind = ("disabled", "uint64") if entry.name in _FIXED else ("input", kind)
    name = _NAMES.get(entry.name, entry.name.replace("_", " ").title())
    return ShownParameter(name, kind, lambda value: value, convert, access)


def _coded(name: str, number: int) -> ShownParameter:
    legal = FIELD_TABLE[number].legal or {}
    options = [{"key": str(code), "value": text.replace(" ", "")} for code, text in legal.items()]
    return ShownParameter(name, "uint16", int, int, options=options)


def _filter(name: str) -> ShownParameter:
    codes = FILTER_CODE_OF_HZ
    return ShownParameter(name, "lpf", filter_hz, lambda hz: codes[int(hz)], options=sorted(codes))


_OF_APPLICATIONS: Final = {entry.number: _of_application(entry) for entry in PARAMETERS}
_FIELDS: Final[Mapping[int, ShownParameter]] = {
    RATE: _coded("Packet Rate", RATE),
    BAUD: _coded("Baud Rate", BAUD),
    PACKET_TYPE: ShownParameter("Packet Type", "char8", type_text, type_value),
    0x0005: _filter("Accel LPF"),
    0x0006: _filter("Rate LPF"),
    ORIENTATION: ShownParameter(
        "Orientation",
        "orientation",
        lambda code: ORIENTATION_TEXTS.get(code, "").upper(),
        lambda text: ORIENTATION_CODES[text.lower()],
        options=[text.upper() for text in ORIENTATION_CODES],
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
        types = [packet.name for packet in packets if len(packet.name) == 2]
        numbers = await self._values() if self._is_application else _FIELDS
        inputs = [self._known[number].to_json(number, types) for number in numbers]
        return {"outputs": [_output(packet) for packet in packets], "inputParams": inputs}

    async def get(self, number: int | None) -> list[dict[str, Any]]:
        """Return number, name and value of a parameter, or of all with None.

        Raises:
            BridgeError: the device has no parameter of this number.
        """
        chosen = [
            {"paramId": key, "name": shown.name, "value": shown.to_client(value), "parsed": True}
            for key, value in (await self._values()).items()
            if number in (None, key)
            for shown in [self._known[key]]
        ]
        if not chosen:
            raise BridgeError(ErrorCode.BAD_VALUE, f"unknown parameter {number}; getParams lists all")
        return chosen

    async def set(self, values: Mapping[int, ParameterValue]) -> dict[str, Any]:
        """Set parameters until power-off.

        Raises:
            BridgeError: a parameter does not exist or cannot have the value.
        """
        converted = {number: self._from_client(number, value) for number, value in values.items()}
        if self._is_application:
            for number, value in converted.items():
                await self._device.set_parameter(number, value)
        else:
            await self._set_fields(converted)
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

    @property
    def _known(self) -> Mapping[int, ShownParameter]:
        return _OF_APPLICATIONS if self._is_application else _FIELDS

    async def _values(self) -> Mapping[int, Any]:
        """Return the values of the parameters, or the bits of the fields, that the device has, by number."""
        if not self._is_application:
            return await self._device.get_fields(list(_FIELDS))
        values = await self._device.get_parameters()
        return {entry.number: values[entry.name] for entry in PARAMETERS if entry.name in values}

    def _from_client(self, number: int, value: ParameterValue) -> Any:  # noqa: ANN401 - value of any type, or bits
        try:
            return self._known[number].from_client(value)
        except (KeyError, ValueError, OverflowError, AttributeError):
            listed = "types" if self._is_application else "values"
            message = f"parameter {number} cannot be {value!r:.40}; getConf lists {listed}"
            raise BridgeError(ErrorCode.BAD_VALUE, message) from None


def _output(packet: Record) -> dict[str, Any]:
    return {
        "name": packet.name,
        "description": packet.meaning,
        "payload": [{"type": "float", "name": name, "unit": unit} for name, unit in packet.columns()],
        "graphs": named_graphs(packet),
    }
