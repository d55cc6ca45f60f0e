"""Time zones by their names."""

from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pygnc_station.station.errors import StationError


def zone_of(name: str) -> tzinfo | None:
    """Return the zone of a name; None for "": this computer's.

    Raises:
        StationError: no zone has that name.
    """
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):  # a folder of zones is an OSError
        raise StationError(f"{name!r} is no time zone; an example: Europe/Dublin") from None
