"""Types of settings: tables of the settings file and the ranges of their values."""

from datetime import UTC, tzinfo
from typing import Annotated, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec

Seconds: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e9)]
Minutes: TypeAlias = Annotated[float, msgspec.Meta(gt=0, le=1e6)]
Days: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=1e6)]
Port: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Count: TypeAlias = Annotated[int, msgspec.Meta(ge=1)]
Size: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]
Kappa: TypeAlias = Annotated[float, msgspec.Meta(ge=0, le=2)]
Name: TypeAlias = Annotated[str, msgspec.Meta(min_length=1)]


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Table of the settings file; an unknown key is an error."""


class Location(Table, frozen=True):
    """Place of a station or device: geodetic latitude and longitude in degrees, WGS 84."""

    latitude_deg: Annotated[float, msgspec.Meta(ge=-90, le=90)]
    longitude_deg: Annotated[float, msgspec.Meta(ge=-180, le=180)]


def zone_of(name: str) -> tzinfo | None:
    """Return a time zone; None, which means the zone of this computer, for "".

    Raises:
        ValueError: the time zone is unknown.
    """
    try:
        if name == "UTC":  # known without a database of time zones
            return UTC
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):  # the name of a folder of zones raises OSError
        raise ValueError(f"unknown time zone {name!r:.80}; use a name such as Europe/Dublin") from None
