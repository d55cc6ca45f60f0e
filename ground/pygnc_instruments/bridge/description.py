"""Description of a device's packets and fields for the bridge's page and for Navigation Studio (`deviceProperties`)."""

import struct
from collections.abc import Iterable
from itertools import groupby
from typing import Any, Final

from pygnc_devices.declaration import TEXT, Field, Packet, Record
from pygnc_devices.ucb.fields import BAUD, FIELD_TABLE, ORIENTATION, PACKET_TYPE, RATE, FieldSpec, type_value
from pygnc_devices.units import NONE, TEMPERATURE, TICKS

_AXES: Final = frozenset("xyz")
_COLOURS: Final = ("#c0392b", "#1e8449", "#1f5fa8", "#8e44ad")
_SETTINGS: Final = {"orientation": ORIENTATION, "packetType": PACKET_TYPE, "baudRate": BAUD, "packetRate": RATE}
"""Fields by the names that Navigation Studio uses for them."""


def describe(packets: Iterable[Record], *, has_fields: bool) -> dict[str, Any]:
    """Return packets with columns and graphs, and the table of fields, for the bridge's page."""
    return {
        "packets": {packet.name: _packet(packet) for packet in packets if packet.is_reading},
        "fields": [_field(spec) for spec in FIELD_TABLE.values()] if has_fields else [],
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
    """Return the graphs of a packet: neighbouring columns of the same unit share one, each vector has its own."""
    result = []
    for _, members in groupby(packet.fields, _graph_key):
        fields = list(members)
        if fields[0].unit in (NONE, TICKS):
            continue
        columns = [field.column or field.name for field in fields]
        result.append({"title": _title(fields), "unit": fields[0].unit.column, "columns": columns})
    return result


def _graph_key(field: Field) -> tuple[str, str]:
    is_vector = field.unit is not TEMPERATURE and _AXES & set(field.name.split("_"))
    return field.unit.name, field.meaning.partition(",")[0] if is_vector else ""


def _title(fields: list[Field]) -> str:
    if _AXES & set(fields[0].name.split("_")) and fields[0].unit is not TEMPERATURE:
        return fields[0].meaning.partition(",")[0]
    return ", ".join(dict.fromkeys(field.name.partition("_")[0] for field in fields))


def _packet(packet: Record) -> dict[str, Any]:
    return {
        "meaning": packet.meaning,
        "columns": [
            {"name": field.column or field.name, "unit": field.unit.column, "meaning": field.meaning}
            for field in packet.fields
        ],
        "graphs": graphs(packet),
    }


def _field(spec: FieldSpec) -> dict[str, Any]:
    legal = None if spec.legal is None else {str(value): text for value, text in spec.legal.items()}
    return {
        "id": spec.id,
        "name": spec.name,
        "meaning": spec.meaning,
        "legal": legal,
        "writable": spec.writable,
        "is_packet_type": spec.is_packet_type,
    }


def _setting(name: str, spec: FieldSpec, readings: list[Record]) -> dict[str, Any]:
    legal = {type_value(packet.name): packet.name for packet in readings} if spec.is_packet_type else spec.legal or {}
    options = {str(value): text for value, text in legal.items()}
    return {"type": "setting", "name": name, "field": spec.id, "description": spec.meaning, "options": options}


def _output_packet(packet: Record) -> dict[str, Any]:
    return {
        "name": packet.name,
        "description": packet.meaning,
        "byteOffset": _offsets(packet) if isinstance(packet, Packet) else {},
        "graphs": [
            {
                "name": graph["title"],
                "units": graph["unit"],
                "xAxis": "Time (s)",
                "yAxes": graph["columns"],
                "colors": [_COLOURS[k % len(_COLOURS)] for k in range(len(graph["columns"]))],
            }
            for graph in graphs(packet)
        ],
    }


def _offsets(packet: Packet) -> dict[str, int]:
    """Return the numbers of the fields by their byte offset in the payload."""
    offsets, offset = {}, 0
    for number, field in enumerate(packet.fields):
        offsets[str(offset)] = number
        offset += 0 if field.code == TEXT else struct.calcsize(packet.byte_order + field.code)
    return offsets
