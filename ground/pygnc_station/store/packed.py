"""Readings of a MariaDB or MySQL server, many in one text: its driver is plain Python and takes 5 µs for each row.

docs/decisions/0016-database-server-packs-readings.md has the measurements.
"""

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, func, select

from pygnc_station.store.records import StoredReading

LONGEST_TEXT: Final = 8 << 20
"""Bytes, half of what MariaDB sends at once by default: a day of readings every five seconds is 2 MB."""
_DECODER: Final = msgspec.json.Decoder(list[StoredReading])


def read_packed(connection: Connection, query: Select[Any]) -> list[StoredReading] | None:
    """Return the readings that a query selects, in any order; None if the server cannot put them into one text.

    Args:
        connection: to a server whose `group_concat_max_len` is `LONGEST_TEXT`.
        query: selects the columns of `StoredReading` by their names.
    """
    c = query.subquery().c
    in_base64 = func.replace(func.to_base64(c.raw), "\n", "")
    raw = func.coalesce(func.concat('"', in_base64, '"'), "null")  # else what is NULL would be left out
    numbers = (c.stream_id, c.number, c.t_utc_ms, c.quality, c.lost_before)
    row = func.concat_ws(",", *numbers, func.json_quote(c.flags), func.json_quote(c.content), raw)
    count, text = connection.execute(select(func.count(), func.group_concat(func.concat("[", row, "]")))).one()
    # What is too long is cut anywhere, and only a warning tells of it.
    try:
        readings = _DECODER.decode(f"[{text or ''}]")
    except msgspec.DecodeError:
        return None
    return readings if len(readings) == count else None
