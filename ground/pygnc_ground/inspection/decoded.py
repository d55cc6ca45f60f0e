"""One element of what a parser decoded into arrays."""

from dataclasses import fields
from typing import Any

from pygnc.formats.gps_packet import GpsFixes
from pygnc.formats.ranges import RangeMeasurements
from pygnc.formats.sense import SensorSamples
from pygnc_ground.inspection.sections import Value


def element(arrays: SensorSamples | GpsFixes | RangeMeasurements, *index: int) -> dict[str, Value]:
    """The values of packet `index` by name; fields that this kind of packet does not carry are left out."""
    named: list[tuple[str, Any]] = [(field.name, getattr(arrays, field.name)) for field in fields(arrays)]
    return {name: values[index].tolist() for name, values in named if values is not None}
