"""The bridge's device: its connection, and the description of its packets and fields for clients."""

import asyncio
import contextlib
import logging
import struct
import time
from collections.abc import Callable, Iterable
from enum import StrEnum, unique
from itertools import accumulate, cycle, groupby, islice
from typing import Any, Final
from urllib.parse import urlsplit

from pygnc_devices.continuity import Continuity
from pygnc_devices.declaration import Field, Packet, Record
from pygnc_devices.device import AsyncDevice
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import Family, family
from pygnc_devices.reading import Reading
from pygnc_devices.ucb.driver import AsyncUcb
from pygnc_devices.ucb.fields import BAUD, FIELD_TABLE, ORIENTATION, PACKET_TYPE, RATE, FieldSpec, type_value
from pygnc_devices.units import NONE, TEMPERATURE, TICKS, Unit
from pygnc_instruments.bridge.messages import BridgeError, ErrorCode, Event
from pygnc_instruments.device.connection import DeviceSelection, find_devices

SEARCH_PAUSE_S: Final = 2.0
_POLL_S: Final = 0.1
_SILENCE_S: Final = 1.0
_OTHER_PORT_S: Final = 5.0
"""Time without the port after which a device that was found by search is searched for at all ports again."""

_AXES: Final = frozenset("xyz")
_COLOURS: Final = ("#c0392b", "#1e8449", "#1f5fa8", "#8e44ad")
_SETTINGS: Final = {"orientation": ORIENTATION, "packetType": PACKET_TYPE, "baudRate": BAUD, "packetRate": RATE}
"""Fields by the names that Navigation Studio uses for them."""

_FIELD_KEYS: Final = ("id", "name", "meaning", "legal", "writable", "is_packet_type", "unit", "is_signed")
_ATTITUDE: Final = ("roll_rad", "pitch_rad", "yaw_rad")
_log = logging.getLogger(__name__)


@unique
class LinkState(StrEnum):
    """State of the connection."""

    SEARCHING = "searching"
    STREAMING = "streaming"
    SILENT = "silent"
    UNPLUGGED = "unplugged"
    ENDED = "ended"


class DeviceLink:
    """Connection to a device, which is searched for again after each disconnection.

    Args:
        selection: the device; without a port, the first device that is found at the USB serial adapters.
        publish: function that is called with a `device` event at each change of state.

    Attributes:
        device: the driver; None until a device has been found.
        family: family of the device; None until a device has been found.
        identity: serial number and model as the device reports them; "" while unknown.
        divider: packet rate divider (field 1) of a UCB device; None while unknown.
        latest: the newest reading.
        packets: declarations of the readings so far, by name.
        state: state of the connection.
        listeners: functions that are called with each reading.
    """

    def __init__(self, selection: DeviceSelection, publish: Callable[[Event], None]) -> None:
        self._selection = selection
        self._publish = publish
        self._continuity = Continuity()
        self._reason = "no device has been found yet"
        self.device: AsyncDevice | None = None
        self.family: Family | None = None
        self.identity = ""
        self.divider: int | None = None
        self.latest: Reading | None = None
        self.packets: dict[str, Record] = {}
        self.state = LinkState.SEARCHING
        self.listeners: list[Callable[[Reading], None]] = []

    @property
    def is_connected(self) -> bool:
        """True if the device's port is open."""
        return self.device is not None and self.device.is_connected

    @property
    def model(self) -> str:
        """Model of the device and what follows it in the identity; "" if unknown."""
        return self.identity.partition(" ")[2]

    @property
    def is_recording(self) -> bool:
        """True if a recorded file is played instead of a device."""
        return self.device is not None and self.device.engine.is_recording

    def connected_device(self) -> AsyncDevice:
        """Return the driver.

        Raises:
            BridgeError: no device is connected.
        """
        if self.device is None or not self.device.is_connected:
            raise BridgeError(
                ErrorCode.NO_DEVICE, self._reason or "the device is not connected; check its cable and power"
            )
        return self.device

    def connected_ucb(self) -> AsyncUcb:
        """Return the driver of a device that has fields and firmware.

        Raises:
            BridgeError: no device is connected, or it is of another family.
        """
        device = self.connected_device()
        if not isinstance(device, AsyncUcb):
            title = "this device" if self.family is None else self.family.title
            raise BridgeError(ErrorCode.NOT_SUPPORTED, f"{title}: only Aceinna devices (family ucb) support this")
        return device

    def summary(self) -> dict[str, Any]:
        """Return the state of the device as JSON, for the status and events."""
        device = self.device
        return {
            "connected": self.is_connected,
            "state": str(self.state),
            "reason": "" if self.is_connected else self._reason,
            "id": self.identity,
            "url": self._selection.port if device is None else device.url,
            "baud": None if device is None else device.baud,
            "family": "" if self.family is None else self.family.name,
            "packet": "" if self.latest is None else self.latest.packet.name,
            "divider": self.divider,
        }

    async def run(self) -> None:
        """Find the device and read it, again after each disconnection, until cancelled or a recording has ended."""
        while self.state is not LinkState.ENDED:
            try:
                self.device = device = await self._open()
            except DeviceError as error:
                self._change(LinkState.SEARCHING, str(error))
                await asyncio.sleep(SEARCH_PAUSE_S)
                continue
            self._continuity.interrupt(has_new_clock=True)
            try:
                await self._read(device)
            except Exception:  # noqa: BLE001 - a fault of one driver must not end the bridge
                _log.exception("%s: the driver failed", device.url)
                self._change(LinkState.SEARCHING, f"{device.url}: internal error of the driver; see the bridge's log")
                await asyncio.sleep(SEARCH_PAUSE_S)
            finally:
                await asyncio.shield(device.close())

    async def identify(self) -> None:
        """Update identity and rate divider; they stay unknown if the device does not respond."""
        identity, divider = "" if self.family is None else self.family.title, None
        with contextlib.suppress(DeviceError, BridgeError):
            if isinstance(self.device, AsyncUcb) and not self.is_recording:
                unit = await self.device.identify()
                identity = f"{unit.serial_number} {unit.text}"
                divider = (await self.device.get_fields([RATE]))[RATE]
            else:
                report = await self.describe()
                identity = " ".join(report[key] for key in ("serial_number", "model") if key in report) or identity
        self.identity, self.divider = identity, divider

    async def describe(self) -> dict[str, str]:
        """Return identity and configuration as the device reports them; {} if the device has no such command.

        Raises:
            BridgeError: no device is connected.
            DeviceError: the device does not respond.
        """
        device, kind = self.connected_device(), self.family
        if kind is None or kind.controls.describe is None or self.is_recording:
            return {}
        return await device.run(kind.controls.describe(_unit(device)))

    async def _open(self) -> AsyncDevice:
        port, name, baud = self._selection.port, self._selection.family, self._selection.baud
        if port and (urlsplit(port).scheme == "file" or (baud and name)):
            self.family = family(name or "ucb")
            return await _open(self.family, port, baud)
        result = await asyncio.to_thread(find_devices, [port] if port else [], name, baud)
        if result.found:
            found = result.found[0]
            self.family = family(found.family)
            return await _open(self.family, found.url, found.baud)
        problems = [*result.problems.values(), *map(result.reason, result.silent)]
        raise PortError("; ".join(problems) or "no USB serial adapter is connected; name a port or connect one")

    async def _read(self, device: AsyncDevice) -> None:
        await self.identify()
        start = None if self.family is None else self.family.controls.start
        if start is not None and not self.is_recording:
            with contextlib.suppress(DeviceError):  # the state will show that the device is silent
                await device.run(start(_unit(device)))
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch(device))
            async for reading in device.readings():
                self._receive(reading)
            watch.cancel()
        if self.is_recording:
            self._change(LinkState.ENDED, f"{device.url}: end of the recording")
        else:
            self._change(LinkState.SEARCHING, f"{device.url}: disconnected; searching all USB serial adapters")

    def _receive(self, reading: Reading) -> None:
        reading = self.latest = self._continuity.follow(reading)
        self.packets[reading.packet.name] = reading.packet
        if self.state not in (LinkState.STREAMING, LinkState.UNPLUGGED):
            self._change(LinkState.STREAMING, "")
        for listener in self.listeners:
            listener(reading)

    async def _watch(self, device: AsyncDevice) -> None:
        """Detect disconnection, reconnection and silence."""
        since_s, was_connected, reconnects = time.monotonic(), True, 0
        while True:
            await asyncio.sleep(_POLL_S)
            before = was_connected, reconnects
            was_connected, reconnects = device.is_connected, device.statistics.reconnects
            if (was_connected, reconnects) != before:
                since_s = time.monotonic()
                if not was_connected:
                    reason = f"{device.url}: unplugged or switched off; reconnecting"
                    self._change(LinkState.UNPLUGGED, reason)
                    continue
                await self.identify()  # the device may have been replaced
                self._change(LinkState.STREAMING if device.latest(_SILENCE_S) else LinkState.SILENT, "")
            if time.monotonic() - since_s < _SILENCE_S:
                continue
            age_s = device.statistics.age_s
            if was_connected and (age_s is None or age_s > _SILENCE_S):
                self._change(LinkState.SILENT, "")
            elif not was_connected and not self._selection.port and time.monotonic() - since_s > _OTHER_PORT_S:
                await device.close()  # the device may return at another port

    def _change(self, state: LinkState, reason: str) -> None:
        if (state, reason) != (self.state, self._reason):
            self.state, self._reason = state, reason
            self._publish(Event("device", self.summary()))


def _unit(device: AsyncDevice) -> Any:  # noqa: ANN401 - each family has its own type
    return getattr(device, "unit", None)


async def _open(kind: Family, url: str, baud: int) -> AsyncDevice:
    device: AsyncDevice = await kind.async_device.open(url, baud or kind.bauds[0])  # type: ignore[attr-defined]
    return device


def describe(packets: Iterable[Record], *, has_fields: bool, model: str = "") -> dict[str, Any]:
    """Return packets with columns and graphs, and the fields of a model, for the bridge's page."""
    fields = FIELD_TABLE.values() if has_fields else ()
    return {
        "packets": {packet.name: _packet_json(packet) for packet in packets if packet.is_reading},
        "fields": [{key: getattr(spec, key) for key in _FIELD_KEYS} | {"step": spec.step(model)} for spec in fields],
    }


def device_properties(name: str, packets: Iterable[Record], *, has_fields: bool) -> dict[str, Any]:
    """Return the description of a device with the keys that Navigation Studio expects."""
    readings = [packet for packet in packets if packet.is_reading]
    settings = {name: _setting(name, FIELD_TABLE[number], readings) for name, number in _SETTINGS.items() if has_fields}
    return {
        "name": name,
        "type": "imu",
        "description": f"{name}, described by the packets of its driver",
        "properties": settings,
        "outputPackets": {packet.name: _output_packet(packet) for packet in readings},
    }


def graphs(packet: Record) -> list[dict[str, Any]]:
    """Return the graphs of a packet: one for each vector, and one for neighbouring columns of equal unit."""
    result = []
    for (unit, vector), members in groupby(packet.fields, _graph_key):
        fields = list(members)
        title = vector or ", ".join(dict.fromkeys(field.name.partition("_")[0] for field in fields))
        if unit not in (NONE, TICKS):
            columns = [field.column or field.name for field in fields]
            result.append({"title": title, "unit": unit.column, "columns": columns})
    return result


def named_graphs(packet: Record) -> list[dict[str, Any]]:
    """Return the graphs of a packet with the keys that Navigation Studio and python-openimu share."""
    return [
        {"name": graph["title"], "units": graph["unit"], "xAxis": "Time (s)", "yAxes": graph["columns"]}
        for graph in graphs(packet)
    ]


def _graph_key(field: Field) -> tuple[Unit, str]:
    is_vector = field.unit is not TEMPERATURE and _AXES & set(field.name.split("_"))
    return field.unit, field.meaning.partition(",")[0] if is_vector else ""


def _packet_json(packet: Record) -> dict[str, Any]:
    return {
        "meaning": packet.meaning,
        "columns": [
            {"name": field.column or field.name, "unit": field.unit.column, "meaning": field.meaning}
            for field in packet.fields
        ],
        "graphs": graphs(packet),
        "attitude": _attitude(packet),
    }


def _attitude(packet: Record) -> list[str]:
    """Return the columns of roll, pitch and, if the packet has it, yaw; [] without roll and pitch."""
    columns = {field.name: field.column or field.name for field in packet.fields}
    found = [columns[name] for name in _ATTITUDE if name in columns]
    return found if len(found) > 1 else []


def _setting(name: str, spec: FieldSpec, readings: list[Record]) -> dict[str, Any]:
    legal = {type_value(packet.name): packet.name for packet in readings} if spec.is_packet_type else spec.legal or {}
    return {"type": "setting", "name": name, "field": spec.id, "description": spec.meaning, "options": dict(legal)}


def _output_packet(packet: Record) -> dict[str, Any]:
    return {
        "name": packet.name,
        "description": packet.meaning,
        "byteOffset": {offset: number for number, offset in enumerate(_offsets(packet))},
        "graphs": [
            graph | {"colors": list(islice(cycle(_COLOURS), len(graph["yAxes"])))} for graph in named_graphs(packet)
        ],
    }


def _offsets(packet: Record) -> list[int]:
    """Return the byte offsets of the fields in the payload; [] for a sentence of text."""
    if not isinstance(packet, Packet):
        return []
    codes = (field.code for field in packet.fields[:-1])
    return list(accumulate((struct.calcsize(packet.byte_order + code) for code in codes), initial=0))
