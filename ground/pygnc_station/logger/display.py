"""Readings as text lines for people and as JSON for programs."""

import json

from pygnc_devices.reading import Reading
from pygnc_station.store.readings import Column, Layout, NewReading, PlainValue, Quality, StoredReading


def line_of(gadget: str, layout: Layout, reading: StoredReading) -> str:
    """Return a reading as one line: time, device, kind, values with units or labels, and quality flags."""
    values = [
        f"{column.csv_name or column.name} {_text(value)}{_unit_or_label(column, value)}"
        for column, value in zip(layout.columns, reading.row(layout.columns), strict=False)
    ]
    flags = [str(flag.name).lower() for flag in Quality(reading.quality) if flag is not Quality.DEVICE]
    flags += filter(None, reading.flags.split(","))
    return "  ".join([reading.time, gadget, layout.kind, *values, *([f"({', '.join(flags)})"] if flags else [])])


def json_of(gadget: str, layout: Layout, reading: StoredReading) -> str:
    """Return a reading as one JSON object, values in SI units."""
    values = reading.values
    return json.dumps(
        {
            "time": reading.time,
            "gadget_id": gadget,
            "kind": layout.kind,
            "number": reading.number,
            "quality": [flag.name for flag in Quality(reading.quality)],
            "flags": reading.flags.split(",") if reading.flags else [],
            "values": dict(zip(layout.names, values, strict=False)),
            "words": layout.labels_of(values),
            "raw": None if reading.raw is None else reading.raw.hex(),
        },
        ensure_ascii=False,
    )


def as_stored(reading: Reading) -> StoredReading:
    """Return a reading of a device in the form of a stored one, with stream and number 0."""
    return StoredReading(0, 0, *NewReading.of(reading))


def _text(value: PlainValue) -> str:
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _unit_or_label(column: Column, value: PlainValue) -> str:
    label = column.label_of(value)
    return f" {column.csv_unit}" if column.csv_unit else f" ({label})" if label else ""
