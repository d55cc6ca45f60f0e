"""Values under the labels that scripts know."""

from collections.abc import Mapping
from typing import Final, TypeAlias

from pygnc_devices.declaration import Value
from pygnc_devices.emus.sentences import SENTENCES
from pygnc_devices.reading import Reading

ItemValue: TypeAlias = Value | list[Value] | None
Item: TypeAlias = dict[str, str | dict[str, ItemValue]]

_GROUP: Final = ("CELL STRING NUMBER", "CELL NUMBER OF FIRST CELL IN GROUP", "SIZE OF GROUP")
_LABELS: Final[Mapping[str, tuple[str, ...]]] = {
    "BV1": ("NUMBER OF CELLS", "MIN CELL VOLTAGE", "MAX CELL VOLTAGE", "AVERAGE CELL VOLTAGE", "TOTAL VOLTAGE"),
    "BT1": (
        "NUMBER OF CELLS",
        "MIN CELL MODULE TEMPERATURE",
        "MAX CELL MODULE TEMPERATURE",
        "AVERAGE CELL MODULE TEMPERATURE",
    ),
    "BT3": ("NUMBER OF CELLS", "MIN CELL TEMPERATURE", "MAX CELL TEMPERATURE", "AVERAGE CELL TEMPERATURE"),
    "BB1": (
        "NUMBER OF CELLS",
        "MIN CELL BALACING RATE",  # scripts know it so
        "MAX CELL BALANCING RATE",
        "AVERAGE CELL BALANCING RATE",
        "BALANCING VOLTAGE THRESHOLF",  # likewise
    ),
    "BC1": ("BATTERY_CHARGE", "BATTERY CAPACITY", "STATE OF CHARGE"),
    "CV1": ("TOTAL VOLTAGE", "CURRENT"),
    "VR1": ("HARDWARE TYPE", "SERIAL NUMBER", "FIRMWARE VERSION"),
    "OT1": ("CHARGER", "HEATER"),
    "DT1": (
        "SPEED",
        "DISTANCE SINCE CHARGE",
        "MOMENTARY CONSUMPTION",
        "ESTIMATED DISTANCE LEFT",
        "LAST CHARGE ENERGY",
        "LAST DISCHARGE ENERGY",
        "LAST TRIP AVERAGE CONSUMPTION",
        "ESTIMATED DISTANCE LEFT BASED ON LAST TRIP",
        "AVERAGE DISCHARGE ENERGY",
        "MAX DISCHARGE ENERGY",
        "CURRENT TRIP AVERAGE CONSUMPTION",
        "ESTIMATED DISTANCE LEFT BASED ON AVG CONSUMPTION",
    ),
}
_CELLS: Final = {
    "BV2": "INDIVIDUAL CELL VOLTAGE",
    "BT2": "INDIVIDUAL CELL MODULE TEMPERATURES",
    "BT4": "INDIVIDUAL CELL TEMPERATURES",
    "BB2": "INDIVIDUAL CELL MODULE BALANCING RATE",
}


def item_of(reading: Reading) -> Item:
    """Return a sentence as scripts get it: `name`, and `values` by label."""
    name, values = reading.packet.name, list(reading.values.values())
    if name in _CELLS:
        elements = [value for value in values[len(_GROUP) :] if value is not None]
        labelled: dict[str, ItemValue] = dict(zip(_GROUP, values, strict=False))
        return {"name": name, "values": labelled | {_CELLS[name]: elements}}
    if name == "unknown":
        return {"name": str(reading.values["name"]), "values": {"TEXT": reading.values["text"]}}
    labels = _LABELS.get(name) or tuple(field.name.upper().replace("_", " ") for field in SENTENCES[name].fields)
    return {"name": name, "values": dict(zip(labels, values, strict=True))}


def name_of(reading: Reading) -> str:
    """Return the name of a reading's sentence, of unknown ones too."""
    return str(reading.values["name"]) if reading.packet.name == "unknown" else reading.packet.name
