"""Hourly statistics of readings: count, sum, minimum and maximum of each numeric value, stored with the readings.

A cursor finds the readings that are new, as for every other reader of the store; `Store.put` records the hours of
readings that arrive below it. An hour that changed is computed again from all its readings, so its statistics never
drift.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, TypeAlias

import msgspec
from sqlalchemy import Connection, Table, bindparam, delete, func, insert, select

from pygnc_station.store import schema
from pygnc_station.store.cursors import advance, position
from pygnc_station.store.query import ALWAYS, IS_CREDIBLE, Span
from pygnc_station.store.readings import HOUR_MS, Stream
from pygnc_station.store.store import Store

HOURS: Final = "hours"
"""Reader whose cursor is the last number that the statistics contain."""
_READINGS_AT_ONCE: Final = 10_000
"""Readings of one transaction, which takes about 0.1 s; an upload that writes at this time waits for it."""
_LATE_AT_ONCE: Final = 20
_VALUES: Final = msgspec.json.Decoder(list[object])
_ENCODER: Final = msgspec.json.Encoder()
Statistics: TypeAlias = tuple[int, float, float, float]
"""Count, sum, minimum and maximum."""
_STATISTICS: Final = msgspec.json.Decoder(Statistics | None)


class Hour(NamedTuple):
    """Statistics of some values of a stream in an hour.

    Attributes:
        hour: hours since 1970 (UTC).
        values: statistics of each value, None if the hour contains no number of it.
    """

    hour: int
    values: tuple[Statistics | None, ...]


def update_hours(store: Store, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Bring the statistics of all streams up to date; return the number of hours that were computed.

    Args:
        store: store of the readings.
        should_stop: called before each transaction; True ends the work, which the next call continues.
    """
    computed = 0
    with store.reads() as connection:
        s, c = schema.streams.c, schema.cursors.c
        behind = select(s.id).join_from(
            schema.streams, schema.cursors, (c.stream_id == s.id) & (c.reader == HOURS), isouter=True
        )
        # A stream without new readings costs no transaction of its own.
        new = connection.execute(behind.where(s.next_number > func.coalesce(c.number, 0) + 1)).scalars().all()
        late = connection.execute(select(schema.late_hours.c.stream_id).distinct()).scalars().all()
    for stream_id in sorted({*new, *late}):
        while not should_stop():
            with store.writes() as connection:
                hours = _changed_hours(connection, stream_id)
                for hour in hours:
                    _compute(connection, stream_id, hour)
            computed += len(hours)
            if not hours:
                break
    return computed


def hours_of(connection: Connection, stream: Stream, names: Sequence[str], span: Span = ALWAYS) -> Iterator[Hour]:
    """Yield the statistics of some values of a stream in a time span, the oldest first.

    Hours are complete: the first and the last may contain readings outside the time span.
    """
    c = schema.hours.c
    ranks = [stream.layout.names.index(name) for name in names]
    query = select(c.hour, *(func.json_extract(c.content, f"$[{rank}]") for rank in ranks))
    query = query.where(c.stream_id == stream.id)
    if span.start_ms is not None:
        query = query.where(c.hour >= span.start_ms // HOUR_MS)
    if span.stop_ms is not None:
        query = query.where(c.hour <= (span.stop_ms - 1) // HOUR_MS)
    for hour, *texts in connection.execute(query.order_by(c.hour)):
        yield Hour(hour, tuple(_STATISTICS.decode(text) if text else None for text in texts))


def statistics(values: Iterable[object]) -> Statistics | None:
    """Return the statistics of the numbers among some values, None if there are none."""
    numbers = [value for value in values if type(value) is float or type(value) is int]
    return (len(numbers), float(sum(numbers)), float(min(numbers)), float(max(numbers))) if numbers else None


def _changed_hours(connection: Connection, stream_id: int) -> list[int]:
    """Return some hours of a stream that need to be computed, and record that they are."""
    late, r = schema.late_hours, schema.readings.c
    query = select(late.c.hour).where(late.c.stream_id == stream_id).limit(_LATE_AT_ONCE).with_for_update()
    if hours := list(connection.execute(query).scalars()):
        _delete_hours(connection, late, stream_id, hours)
        return hours
    last = position(connection, HOURS, stream_id)
    new = select(r.number, r.t_utc_ms).where(r.stream_id == stream_id, r.number > last)
    rows = connection.execute(new.order_by(r.number).limit(_READINGS_AT_ONCE)).all()
    next_number = select(schema.streams.c.next_number).where(schema.streams.c.id == stream_id)
    # Without new readings, those up to the next number were deleted.
    passed = rows[-1].number if rows else connection.execute(next_number).scalar_one() - 1
    if passed > last:
        advance(connection, HOURS, stream_id, passed)
    return sorted({row.t_utc_ms // HOUR_MS for row in rows})


def _compute(connection: Connection, stream_id: int, hour: int) -> None:
    r = schema.readings.c
    within = r.t_utc_ms.between(hour * HOUR_MS, (hour + 1) * HOUR_MS - 1)
    query = select(r.content).where(r.stream_id == stream_id, within, IS_CREDIBLE).order_by(r.t_utc_ms, r.number)
    rows = [_VALUES.decode(content) for content in connection.execute(query).scalars()]
    _delete_hours(connection, schema.hours, stream_id, [hour])
    if rows:
        content = _ENCODER.encode([statistics(values) for values in zip(*rows, strict=False)]).decode()
        connection.execute(insert(schema.hours), {"stream_id": stream_id, "hour": hour, "content": content})


def _delete_hours(connection: Connection, table: Table, stream_id: int, hours: Sequence[int]) -> None:
    chosen = delete(table).where(table.c.stream_id == stream_id, table.c.hour == bindparam("chosen"))
    connection.execute(chosen, [{"chosen": hour} for hour in hours])
