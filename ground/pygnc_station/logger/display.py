"""Readings as lines for people and for programs."""

import json
from typing import Final

from pygnc_devices.reading import Reading
from pygnc_station.store.layout import Column, Layout, PlainValue
from pygnc_station.store.readings import NewReading, Quality, StoredReading, Stream

_DIGITS: Final = 6


def line_of(gadget: str, layout: Layout, reading: StoredReading) -> str:
    """Return a reading as one line: time, device, kind, values with units or what they mean, what is doubtful."""
    pairs = zip(layout.columns, reading.row(layout.columns), strict=False)
    values = [f"{column.csv_name or column.name} {_text(value)}{_more(column, value)}" for column, value in pairs]
    doubts = _doubts(reading)
    return "  ".join([reading.time, gadget, layout.kind, *values, *([f"({doubts})"] if doubts else [])])


def json_of(gadget: str, layout: Layout, reading: StoredReading) -> str:
    """Return a reading as one JSON object, in SI."""
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
            "words": layout.texts_of(values),
            "raw": None if reading.raw is None else reading.raw.hex(),
        },
        ensure_ascii=False,
    )


def as_stored(reading: Reading) -> StoredReading:
    """Return a reading that comes straight from a device as if it were stored."""
    return StoredReading(0, 0, *_fields(NewReading.of(reading)))


def devices_by_stream(streams: list[Stream]) -> dict[int, tuple[str, Layout]]:
    """Return device and layout of each stream, by its id."""
    return {stream.id: (stream.gadget_id, stream.layout) for stream in streams}


def _fields(new: NewReading) -> tuple[int, int, int, str, str, bytes | None]:
    return new.t_utc_ms, new.quality, new.lost_before, new.flags, new.content, new.raw


def _text(value: PlainValue) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.{_DIGITS}g}"
    return str(value)


def _more(column: Column, value: PlainValue) -> str:
    text = column.text_of(value)
    return f" {column.csv_unit}" if column.csv_unit else f" ({text})" if text else ""


def _doubts(reading: StoredReading) -> str:
    names = [str(flag.name).lower() for flag in Quality(reading.quality) if flag is not Quality.DEVICE]
    return ", ".join([*names, *filter(None, reading.flags.split(","))])
