"""Entities of Home Assistant, made from the layout of a stream: name, unit, class, when a value expires."""

import re
from typing import Any, Final

from pygnc_station.store.layout import Column
from pygnc_station.store.records import Stream

_CLASSES: Final = {
    "°C": "temperature",
    "V": "voltage",
    "A": "current",
    "W": "power",
    "Wh": "energy",
    "s": "duration",
    "m/s": "speed",
}
_MASS: Final = {"pm_1_": "pm1", "pm_01": "pm1", "pm_2_5_": "pm25", "pm_25": "pm25", "pm_10": "pm10"}
_FORBIDDEN: Final = re.compile(r"[^A-Za-z0-9_-]+")
_WORDLESS: Final = frozenset({"raw", "checksum"})


def topic_part(text: str) -> str:
    """Return a text as a part of a topic or an id."""
    return _FORBIDDEN.sub("_", text).strip("_") or "_"


def entities(
    station: str, stream: Stream, state_topic: str, availability: str, expire_s: int
) -> dict[str, dict[str, Any]]:
    """Return the configuration of each value of a stream, by its id.

    Args:
        station: name of the station.
        stream: the readings.
        state_topic: where they are published.
        availability: topic that tells whether the station is there.
        expire_s: after that a value counts as unknown.
    """
    node = "_".join(map(topic_part, (station, stream.gadget_id)))
    device = {"identifiers": [f"pygnc_{node}"], "name": stream.gadget_id, "model": stream.family, "via_device": station}
    found = {}
    for column in stream.layout.columns:
        if column.name in _WORDLESS:
            continue
        id_ = f"{node}_{topic_part(stream.layout.kind)}_{topic_part(column.name)}"
        found[id_] = {
            "name": f"{stream.layout.kind} {_words(column)}",
            "unique_id": f"pygnc_{id_}",
            "state_topic": state_topic,
            "value_template": "{{ value_json.values[" + _quoted(column.name) + "] }}",
            "availability_topic": availability,
            "expire_after": expire_s,
            "device": device,
        } | _quantity(column)
    return found


def _quantity(column: Column) -> dict[str, str]:
    """Return unit and class of a measured value; a text or code has neither."""
    if not column.unit:
        return {}
    quantity = {"unit_of_measurement": column.unit, "state_class": "measurement"}
    kind = _CLASSES.get(column.unit)
    if column.unit == "µg/m³":
        kind = next((name for part, name in _MASS.items() if column.name.startswith(part)), None)
    elif column.unit == "%" and "humidity" in column.name:
        kind = "humidity"
    elif column.unit == "%" and "charge" in column.name:
        kind = "battery"
    if kind == "energy":  # an amount since some time, not a momentary value
        quantity["state_class"] = "total"
    return quantity | ({"device_class": kind} if kind else {})


def _words(column: Column) -> str:
    return column.name.replace("_", " ")


def _quoted(name: str) -> str:
    return "'" + name.replace("\\", "\\\\").replace("'", "\\'") + "'"
