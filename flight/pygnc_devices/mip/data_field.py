"""Declaration of a field of data, and the short forms of which the tables of fields consist."""

import math
import struct
from dataclasses import dataclass
from dataclasses import field as attribute
from functools import cached_property
from typing import Final

from pygnc_devices.declaration import Field, Labels, Packet, word
from pygnc_devices.units import ANGLE, LENGTH, TIME, Unit

DEGREE: Final = math.radians(1.0)
_VALID: Final = "_valid"


@dataclass(frozen=True)
class DataField(Packet):
    """Declaration of a field of data.

    Attributes:
        descriptor: descriptor of the field within its descriptor set.
        validity: name of the word whose bits are set for valid values; "" if there is none.
        reserved: number of reserved bytes after the values, before the word with the valid bits.
    """

    descriptor: int = attribute(default=0, kw_only=True)
    validity: str = attribute(default="", kw_only=True)
    reserved: int = attribute(default=0, kw_only=True)

    @cached_property
    def layout(self) -> struct.Struct:
        """Layout of the values, the reserved bytes and the word with the valid bits."""
        codes = [field.code for field in self.fields]
        codes.insert(len(codes) - bool(self.validity), f"{self.reserved}x" if self.reserved else "")
        return struct.Struct(self.byte_order + "".join(codes))


def plain(descriptor: int, name: str, *fields: Field, meaning: str = "", reserved: int = 0) -> DataField:
    """Return a field without valid bits."""
    return DataField(name, fields, meaning=meaning or fields[0].meaning, descriptor=descriptor, reserved=reserved)


def checked(descriptor: int, name: str, *fields: Field, meaning: str = "", reserved: int = 0) -> DataField:
    """Return a field whose last word, `name_valid`, has the bits of the valid values."""
    validity = Field(f"{name}{_VALID}", "H", meaning=f"{name}: bits of the valid values, 0 if there are none")
    return DataField(
        name,
        (*fields, validity),
        meaning=meaning or fields[0].meaning,
        descriptor=descriptor,
        validity=validity.name,
        reserved=reserved,
    )


def number(  # noqa: PLR0917 - a table's columns
    name: str, unit: Unit, meaning: str, scale: float | None = None, column: str = "", code: str = "f"
) -> Field:
    """Return a value with a unit; its CSV column has the name without the unit, if the column's unit is another one."""
    if unit.column_per_unit != 1.0:
        column = column or name.rpartition("_")[0]
    return Field(name, code, unit, scale, 0.0, meaning, column)


def ned(name: str, unit: Unit, suffix: str, meaning: str) -> tuple[Field, ...]:
    """Return the fields of a vector in north-east-down axes."""
    return tuple(number(f"{name}_{axis}{suffix}", unit, f"{meaning}, {axis}") for axis in ("north", "east", "down"))


def numbers(  # noqa: PLR0917 - a table's columns
    name: str, count: int, unit: Unit, suffix: str, meaning: str, code: str = "d"
) -> tuple[Field, ...]:
    """Return the fields of an array: `name0_suffix`, `name1_suffix`, and so on."""
    return tuple(number(f"{name}{k}{suffix}", unit, f"{meaning}, element {k}", code=code) for k in range(count))


def gps_time(descriptor: int, name: str, prefix: str = "") -> DataField:
    """Return a field with a GPS time and bits that tell how far it is valid."""
    tow = word(f"{prefix}tow_s", "d", "time of week; without time synchronisation, time since the start", TIME)
    week = word(f"{prefix}week", "H", "GPS week since 1980")
    flags = word(f"{prefix}time_flags", "H", "bits of the valid parts of the time")
    return plain(descriptor, name, tow, week, flags, meaning="GPS time")


def received(prefix: str, code: str = "d") -> tuple[Field, Field]:
    """Return time of week and week of a message."""
    return (
        word(f"{prefix}_tow_s", code, "GPS time of week of the message", TIME),
        word(f"{prefix}_week", "H", "GPS week since 1980 of the message"),
    )


def numbered(prefix: str) -> tuple[Field, Field]:
    """Return the number of one of several equal fields of an epoch, and how many there are."""
    return (
        word(f"{prefix}_index", "B", "number of this field within the epoch"),
        word(f"{prefix}_count", "B", "number of these fields in the epoch"),
    )


def choice(*names: str, start: int = 0) -> Labels:
    """Return the labels of successive values."""
    return Labels(dict(enumerate(names, start)))


def bits(*names: str, start: int = 0) -> Labels:
    """Return the labels of successive bits."""
    return Labels(dict(enumerate(names, start)), is_bit_field=True)


POSITION: Final = (
    number("latitude_rad", ANGLE, "geodetic latitude, WGS 84", DEGREE, "latitude", "d"),
    number("longitude_rad", ANGLE, "longitude, WGS 84", DEGREE, "longitude", "d"),
    number("altitude_m", LENGTH, "height above the WGS 84 ellipsoid", code="d"),
)
