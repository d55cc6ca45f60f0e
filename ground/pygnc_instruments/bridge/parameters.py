"""Parameters of a device in the form of python-openimu: those of an OpenIMU application, else the fields."""

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from pygnc_devices.declaration import Record
from pygnc_devices.errors import NoAnswerError, RefusedError
from pygnc_devices.ucb import openimu
from pygnc_devices.ucb.configuration import ask_known
from pygnc_devices.ucb.driver import AsyncUcb
from pygnc_devices.ucb.fields import FIELD_TABLE, FieldSpec, type_value
from pygnc_devices.ucb.openimu import PARAMETERS, Parameter, ParameterValue
from pygnc_instruments.bridge.device_link import DeviceLink, graphs
from pygnc_instruments.bridge.messages import BridgeError, ErrorCode

SetFields = Callable[[dict[int, int]], Awaitable[dict[int, int]]]
_KINDS: Final = {"text": "char8", "int": "int64", "float": "double"}
_DISABLED: Final = frozenset({"data_crc", "data_size"})


class Parameters:
    """Parameters of the device of a link, by number.

    Args:
        link: connection to the device.
        set_fields: sets fields of the unit until power-off.
    """

    def __init__(self, link: DeviceLink, set_fields: SetFields) -> None:
        self._link = link
        self._set_fields = set_fields
        self._unsaved: dict[int, int] = {}
        self._application_of: tuple[str, bool] | None = None

    async def describe(self) -> dict[str, Any]:
        """Return the packets and parameters with the keys of python-openimu's openimu.json."""
        packets = (
            [] if self._link.family is None else [entry for entry in self._link.family.packets if entry.is_reading]
        )
        if await self._is_application():
            present = await self._application_values()
            inputs = [_of_parameter(entry) for entry in PARAMETERS if entry.name in present]
        else:
            inputs = [_of_field(spec, packets) for spec in FIELD_TABLE.values()]
        return {"outputs": [_output(packet) for packet in packets], "inputParams": inputs}

    async def get(self, ids: Sequence[int] | None) -> list[dict[str, Any]]:
        """Return number, name and value of some or all parameters."""
        if await self._is_application():
            values = await self._application_values()
            found = [(entry.number, entry.name, values[entry.name]) for entry in PARAMETERS if entry.name in values]
        else:
            fields = await self._device.run(ask_known("GF", list(ids or FIELD_TABLE)))
            found = [(number, FIELD_TABLE[number].name, value) for number, value in fields.items()]
        return [
            {"paramId": number, "name": _title(name), "value": value}
            for number, name, value in found
            if ids is None or number in ids
        ]

    async def set(self, values: Mapping[int, ParameterValue]) -> dict[str, Any]:
        """Set parameters until power-off."""
        if await self._is_application():
            for number, value in values.items():
                entry = openimu.parameter(number)
                await self._device.run(openimu.set_parameter(self._device.unit, number, _converted(entry, value)))
        else:
            fields = {number: _bits(number, value) for number, value in values.items()}
            self._unsaved |= await self._set_fields(fields)
        return {"error": 0}

    async def save(self) -> dict[str, Any]:
        """Write the parameters in effect to non-volatile memory; of fields, those that `set` has set."""
        if await self._is_application():
            await self._device.run(openimu.save_parameters(self._device.unit))
        elif self._unsaved:
            await self._device.write_fields(self._unsaved)
            self._unsaved = {}
        return {"error": 0}

    async def reset(self) -> dict[str, Any]:
        """Restore the default parameters of an application.

        Raises:
            BridgeError: the unit has fields, which have no defaults.
        """
        if not await self._is_application():
            raise BridgeError(ErrorCode.NOT_SUPPORTED, "this unit has no default values; restore a snapshot instead")
        await self._device.run(openimu.restore_default_parameters(self._device.unit))
        return {"error": 0}

    @property
    def _device(self) -> AsyncUcb:
        return self._link.connected_ucb()

    async def _application_values(self) -> dict[str, ParameterValue]:
        return await self._device.run(openimu.get_parameters(self._device.unit))

    async def _is_application(self) -> bool:
        """Return True if the connected unit has parameters; the answer is remembered for this unit."""
        identity = f"{self._device.url} {self._link.identity}"
        if self._application_of is None or self._application_of[0] != identity:
            try:
                has_parameters = bool(await self._application_values())
            except (NoAnswerError, RefusedError):
                has_parameters = False
            self._application_of, self._unsaved = (identity, has_parameters), {}
        return self._application_of[1]


def _title(name: str) -> str:
    return name.replace("_", " ").title()


def _of_parameter(entry: Parameter) -> dict[str, Any]:
    access = "disabled" if entry.name in _DISABLED else "input"
    kind = _KINDS[entry.kind]
    return {
        "paramId": entry.number, "category": "General", "paramType": access, "type": kind, "name": _title(entry.name),
    }  # fmt: skip


def _of_field(spec: FieldSpec, packets: Iterable[Record]) -> dict[str, Any]:
    names = [packet.name for packet in packets if len(packet.name) == 2]
    legal = {type_value(name): name for name in names} if spec.is_packet_type else spec.legal
    access = "disabled" if not spec.writable else "select" if legal else "input"
    entry = {
        "paramId": spec.id,
        "category": "General",
        "paramType": access,
        "type": "uint16",
        "name": _title(spec.name),
    }
    if legal:
        entry["options"] = [{"key": key, "value": text or str(key)} for key, text in legal.items()]
    return entry


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


def _converted(entry: Parameter, value: ParameterValue) -> ParameterValue:
    """Return a value as the parameter's type; clients send numbers as text, too."""
    convert: dict[str, Callable[[Any], ParameterValue]] = {"int": int, "float": float, "text": str}
    try:
        return convert[entry.kind](value)
    except ValueError:
        raise BridgeError(
            ErrorCode.BAD_VALUE, f"parameter {entry.name}: {value!r} is not of type {entry.kind}"
        ) from None


def _bits(number: int, value: ParameterValue) -> int:
    try:
        return int(value)
    except ValueError:
        raise BridgeError(ErrorCode.BAD_VALUE, f"field {number}: {value!r} is not a number") from None
