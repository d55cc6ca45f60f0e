"""Reference of all binary layouts, from the declarations that readers and writers use."""

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np

from pygnc.formats import gps_packet, omm_record, ranges, sense, status
from pygnc_devices.declaration import Record
from pygnc_devices.family import all_families

_BYTE_ORDERS: Final = {">": "big-endian", "<": "little-endian", "|": "", "=": "little-endian"}
_PACKETS: Final = {
    "Sensor packet": sense.SENSOR_PACKET,
    "GPS packet of a sense file": gps_packet.SENSE_GPS_PACKET,
    "GPS packet of a range file": gps_packet.RANGE_GPS_PACKET,
    "Range packet": ranges.RANGE_PACKET,
}
_RECORDS: Final = {"Status record": status.FIELDS, "Mean elements record": omm_record.FIELDS}


def format_page() -> str:
    """Return the page with the layouts of the files of the flight software."""
    parts = [
        "# File formats",
        "Layouts of the flight software's files. [Interface](../interface.md) explains their meaning and use.",
        "## Input files",
    ]
    for title, dtype in _PACKETS.items():
        parts += [f"### {title}", f"{dtype.itemsize} bytes.", _dtype_table(dtype)]
    parts.append("## Output files")
    for title, fields in _RECORDS.items():
        size = struct.calcsize("<" + "".join(field.code for field in fields))
        parts += [f"### {title}", f"{size} bytes and a CRC-32, little-endian, without padding.", _field_table(fields)]
    return "\n\n".join(parts) + "\n"


def packet_page() -> str:
    """Return the page with the packets and lines of all families of devices."""
    parts = [
        "# Packets of devices",
        "Declarations of the drivers in `pygnc_devices`. [Devices](../devices.md) shows their use.",
    ]
    for family in all_families():
        parts.append(f"## {family.title}")
        for record in family.packets:
            parts += [f"### {family.name}: {record.name}", record.meaning, _record_table(record)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _record_table(record: Record) -> str:
    return record.table().strip()


def _dtype_table(dtype: np.dtype[np.void]) -> str:
    """Return the fields of a packet with offset, type, byte order and number."""
    rows = ["| byte | field | type | byte order | number |", "|---|---|---|---|---|"]
    for name in dtype.names or ():
        kind, offset = dtype.fields[name][:2]  # type: ignore[index]
        base = kind.base
        count = int(np.prod(kind.shape)) if kind.shape else 1
        rows.append(
            f"| {offset} | `{name}` | `{base.kind}{8 * base.itemsize}` | {_BYTE_ORDERS[base.byteorder]} | {count} |"
        )
    return "\n".join(rows)


def _field_table(fields: Sequence[status.Field]) -> str:
    """Return all fields of a record with offset, struct code, unit and meaning."""
    rows = ["| byte | field | type | unit | meaning |", "|---|---|---|---|---|"]
    offset = 0
    for field in fields:
        rows.append(f"| {offset} | `{field.name}` | `{field.code}` | {field.unit} | {field.meaning} |")
        offset += struct.calcsize(f"<{field.code}")
    return "\n".join(rows)
