"""Import of the history of batteries that emus-bms has stored in MySQL or MariaDB.

Its table `emus` contains summaries of the cells, `battery_data` a decoded sentence per row, both as JSON with the local
time of their creation. The rows are stored as readings of the kinds `emus-bms` and `emus-bms SENTENCE`.
"""

import json
from collections.abc import Iterator, Sequence
from datetime import datetime, tzinfo
from itertools import groupby
from typing import Any, Final

from sqlalchemy import create_engine, inspect, text

from pygnc_station.errors import StoreError
from pygnc_station.store.database import parse_url, translated_errors
from pygnc_station.store.readings import Column, Layout, NewReading, PlainValue, Quality, plain, to_text
from pygnc_station.store.store import Store

KIND: Final = "emus-bms"
FAMILY: Final = "emus"
_ORIGIN: Final = "emus-bms"
_PAGE: Final = 2000
_WAIT_S: Final = 10
_VOLTAGES: Final = {
    "total": "pack_v", "avg": "cell_average_v", "min_value": "cell_min_v", "max_value": "cell_max_v"
}  # fmt: skip
"""Names of our driver for the values of a summary, in volts."""
_QUERIES: Final = {
    "emus": "SELECT '' AS battery, '' AS sentence, json, created_at FROM emus ORDER BY created_at, json",
    "battery_data": "SELECT battery_id AS battery, sentence, json, created_at FROM battery_data"
    " ORDER BY battery_id, sentence, created_at, json",
}


def import_emus(store: Store, url: str, zone: tzinfo | None, gadget: str = "") -> tuple[int, int]:
    """Import the history of emus-bms; return the number of readings, and that of the rows that are none.

    A repeated import adds only new readings.

    Args:
        store: receives the readings.
        url: database of emus-bms, such as mysql://user:password@host/database.
        zone: time zone of its times; None means the zone of this computer.
        gadget: name of the battery, `emus` by default; that of a row of `battery_data` ends in `_` and its battery_id.

    Raises:
        StoreError: the database cannot be read, or contains no table of emus-bms.
    """
    address = parse_url(url)
    engine = create_engine(address, connect_args={"connect_timeout": _WAIT_S, "charset": "utf8mb4"})
    readings = skipped = 0
    try:
        with translated_errors(address), engine.connect() as connection:
            tables = [name for name in _QUERIES if inspect(connection).has_table(name)]
            if not tables:
                name = address.database
                raise StoreError(f"{name}: no table emus or battery_data; choose the database of emus-bms")
            for table in tables:
                result = connection.execution_options(stream_results=True).execute(text(_QUERIES[table]))
                for (battery, sentence), rows in groupby(result, key=lambda row: (row.battery, row.sentence)):
                    name = (gadget or "emus") + (f"_{battery}" if table == "battery_data" else "")
                    kind = f"{KIND} {sentence}".rstrip()
                    count, without = _store_rows(store, name, kind, [tuple(row)[2:] for row in rows], zone)
                    readings, skipped = readings + count, skipped + without
    finally:
        engine.dispose()
    return readings, skipped


def _store_rows(
    store: Store, gadget: str, kind: str, rows: Sequence[tuple[Any, ...]], zone: tzinfo | None
) -> tuple[int, int]:
    """Store the rows of a battery and a sentence; return the numbers of readings and of rows that are none."""
    groups: dict[Layout, list[tuple[int, NewReading]]] = {}
    for number, t_utc_ms, values in _numbered(rows, zone):
        columns = (Column(_VOLTAGES.get(name, name), "V" if name in _VOLTAGES else "") for name in values)
        reading = NewReading(t_utc_ms, int(Quality.IMPORTED), 0, "", to_text(values.values()), None)
        groups.setdefault(Layout(kind, tuple(columns)), []).append((number, reading))
    for layout, numbered in groups.items():
        stream = store.stream(gadget, layout, family=FAMILY, origin=_ORIGIN)
        for first in range(0, len(numbered), _PAGE):
            store.put(stream, numbered[first : first + _PAGE])
    count = sum(map(len, groups.values()))
    return count, len(rows) - count


def _numbered(rows: Sequence[tuple[Any, ...]], zone: tzinfo | None) -> Iterator[tuple[int, int, dict[str, PlainValue]]]:
    """Yield number, time and values of each row; the number is the time, plus the rank among rows of one second."""
    rank, last_ms = 0, -1
    for content, created in rows:
        try:
            values = dict(_flat("", json.loads(content)))
        except (ValueError, TypeError):
            continue
        if not isinstance(created, datetime) or not values:
            continue
        t_utc_ms = int(created.replace(tzinfo=zone).timestamp() * 1000)
        rank = rank + 1 if t_utc_ms == last_ms else 0
        last_ms = t_utc_ms
        yield t_utc_ms + rank, t_utc_ms, values


def _flat(prefix: str, value: object) -> Iterator[tuple[str, PlainValue]]:
    """Yield the values of a JSON object by name; names of nested objects are joined by _."""
    if isinstance(value, dict):
        for name, item in value.items():
            yield from _flat(f"{prefix}_{name}" if prefix else str(name), item)
    elif prefix:
        yield prefix, plain(value)
