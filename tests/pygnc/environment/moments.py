"""Moments at which frames and time scales are compared with the authorities."""

import random

from pygnc.common.clock import MS_PER_WEEK, gps_ms_from_utc_iso

LEAP_SECOND_GPS_MS = gps_ms_from_utc_iso("2017-01-01T00:00:00Z")


def moments() -> list[int]:
    """A hundred moments from late 2016 to mid 2025, leap second, week and day roll-overs among them."""
    draw = random.Random(4)  # noqa: S311 - a fixed sample, no secret
    first = gps_ms_from_utc_iso("2016-08-02T00:00:00Z")
    last = gps_ms_from_utc_iso("2025-08-01T00:00:00Z")
    special = [LEAP_SECOND_GPS_MS + ms for ms in (-2000, -1, 0, 1, 86_400_000)]
    special += [2048 * MS_PER_WEEK + ms for ms in (-1, 0, 1)]
    return special + [draw.randrange(first, last) for _ in range(100 - len(special))]
