"""Hourly statistics of readings: count, sum, minimum and maximum of each numeric value, stored with the readings.

A cursor finds the readings that are new, as for every other reader of the store; they are added to the statistics
of their hours. `Store.put` records the hours of readings that arrive below the next number; these hours are computed
again from all their readings, once the cursor has passed all readings.
"""

import functools
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final, TypeAlias

import msgspec
from sqlalchemy import BindParameter, Connection, bindparam, delete, func, insert, select, union_all

from pygnc_station.store import schema
from pygnc_station.store.cursors import advance, position
from pygnc_station.store.query import IS_CREDIBLE, Span
from pygnc_station.store.readings import CONTENT_DECODER, HOUR_MS, TIMES_MS, Quality, Stream
from pygnc_station.store.store import Store

HOURS: Final = "hours"
"""Reader whose cursor is the last number that the statistics contain."""
_READINGS_AT_ONCE: Final = 10_000
"""Maximum number of readings of a step, which takes about 0.1 s."""
_TRANSACTION_S: Final = 0.1
"""Duration after which a transaction begins no further step; an upload that writes at this time waits for it."""
_ENCODER: Final = msgspec.json.Encoder()
Statistics: TypeAlias = tuple[int, float, float, float]
"""Count, sum, minimum and maximum."""
_STATISTICS: Final = msgspec.json.Decoder(Statistics | None)
_RAW: Final = msgspec.json.Decoder(list[msgspec.Raw])
DAY_H: Final = 24
_H: Final = schema.hours.c
_P: Final = schema.pruned_hours.c
_AMONG: Final[BindParameter[int]] = bindparam("streams", expanding=True)
_FIRST: Final[BindParameter[int]] = bindparam("first")
_LAST: Final[BindParameter[int]] = bindparam("last")
_OF_DELETED: Final = select(_P.stream_id, _P.hour, _P.content).where(
    _P.stream_id.in_(_AMONG), _P.hour <= _LAST, _P.hour + _P.hours > _FIRST, _P.hour > _FIRST - DAY_H
)
_OF_ALL: Final = union_all(
    select(_H.stream_id, _H.hour, _H.content).where(_H.stream_id.in_(_AMONG), _H.hour.between(_FIRST, _LAST)),
    _OF_DELETED,
).order_by("stream_id", "hour")
_ALL_STATISTICS: Final = msgspec.json.Decoder(list[Statistics | None])


def update_hours(store: Store, should_stop: Callable[[], bool] = lambda: False) -> int:
    """Bring the statistics of all streams up to date; return the number of changed hours.

    `should_stop` is called before each transaction; True ends the work, which the next call continues.
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
    waiting = sorted({*new, *late}, reverse=True)
    while waiting and not should_stop():
        with store.writes() as connection:
            computed += _update_next(connection, waiting)
    return computed


def _update_next(connection: Connection, waiting: list[int]) -> int:
    """Bring the last streams of a list up to date for about 0.1 s, and remove them; return the number of changed hours.

    A transaction of its own for each stream would cost the disk more than the readings.
    """
    computed, end_s = 0, time.monotonic() + _TRANSACTION_S
    while waiting and (not computed or time.monotonic() < end_s):
        # The lock keeps new readings out, which both steps would count otherwise.
        s, stream_id = schema.streams.c, waiting[-1]
        next_number = connection.execute(select(s.next_number).where(s.id == stream_id).with_for_update()).scalar_one()
        hours = _add_new(connection, stream_id, next_number) or _compute_late(connection, stream_id)
        if not hours:
            waiting.pop()
        computed += hours
    return computed


def hours_of(
    connection: Connection, among: Iterable[tuple[Stream, Sequence[str]]], span: Span, *, of_deleted: bool = False
) -> Iterator[tuple[Stream, int, list[Statistics | None]]]:
    """Yield the hourly statistics of some values of each stream, ordered by stream id and hour.

    An hour is given as hours since 1970 (UTC). The statistics of a value are None if the hour contains no number of it.
    Hours are complete: the first and the last may contain readings outside the time span. An hour occurs twice if some
    of its readings were deleted; old days of which only the statistics of the whole day are left are given as their
    first hour. With `of_deleted`, only statistics of deleted readings are given.
    """
    chosen = {stream.id: (stream, [stream.layout.names.index(name) for name in names]) for stream, names in among}
    first = 0 if span.start_ms is None else span.start_ms // HOUR_MS
    last = TIMES_MS.stop // HOUR_MS if span.stop_ms is None else (span.stop_ms - 1) // HOUR_MS
    query = _OF_DELETED if of_deleted else _OF_ALL
    rows = connection.execute(query, {"streams": list(chosen), "first": first, "last": last})
    for stream_id, hour, content in rows:
        stream, ranks = chosen[stream_id]
        raw = _RAW.decode(content)
        yield stream, hour, [_STATISTICS.decode(raw[rank]) for rank in ranks]


def statistics(values: Iterable[object]) -> Statistics | None:
    """Return the statistics of the numbers among some values, None if there are none."""
    numbers = [value for value in values if type(value) is float or type(value) is int]
    return (len(numbers), float(sum(numbers)), float(min(numbers)), float(max(numbers))) if numbers else None


def _add_new(connection: Connection, stream_id: int, next_number: int) -> int:
    """Add the next new readings of a stream to the statistics of their hours; return the number of hours."""
    r = schema.readings.c
    last = position(connection, HOURS, stream_id)
    query = select(r.number, r.t_utc_ms, r.quality, r.content).where(r.stream_id == stream_id, r.number > last)
    rows = connection.execute(query.order_by(r.number).limit(_READINGS_AT_ONCE)).all()
    # Without new readings, those up to the next number were deleted.
    passed = rows[-1].number if rows else next_number - 1
    if passed > last:
        advance(connection, HOURS, stream_id, passed)
    new: dict[int, list[list[object]]] = {}
    for _, t_utc_ms, quality, content in rows:
        if not quality & Quality.FUTURE:
            new.setdefault(t_utc_ms // HOUR_MS, []).append(CONTENT_DECODER.decode(content))
    if new:
        known = select(_H.hour, _H.content).where(_H.stream_id == stream_id, _H.hour.between(min(new), max(new)))
        old = {hour: _ALL_STATISTICS.decode(text) for hour, text in connection.execute(known) if hour in new}
        _replace(connection, stream_id, {hour: _joined(old.get(hour), _all(values)) for hour, values in new.items()})
    return len(new) if new or not rows else 1


def _compute_late(connection: Connection, stream_id: int) -> int:
    """Compute an hour again that has late readings; return 1, or 0 if there is none."""
    late, r = schema.late_hours.c, schema.readings.c
    hour = connection.execute(select(late.hour).where(late.stream_id == stream_id).limit(1)).scalar()
    if hour is None:
        return 0
    within = r.t_utc_ms.between(hour * HOUR_MS, (hour + 1) * HOUR_MS - 1)
    query = select(r.content).where(r.stream_id == stream_id, within, IS_CREDIBLE)
    _replace(connection, stream_id, {hour: _all(map(CONTENT_DECODER.decode, connection.execute(query).scalars()))})
    connection.execute(delete(schema.late_hours).where(late.stream_id == stream_id, late.hour == hour))
    return 1


def _all(rows: Iterable[list[object]]) -> list[Statistics | None]:
    return [statistics(values) for values in zip(*rows, strict=False)]


def joined_texts(contents: Iterable[str]) -> str:
    """Return the stored statistics of the readings of several stored statistics of a stream."""
    return _ENCODER.encode(functools.reduce(_joined, map(_ALL_STATISTICS.decode, contents))).decode()


def _joined(old: list[Statistics | None] | None, new: list[Statistics | None]) -> list[Statistics | None]:
    return new if old is None else [sum_of(a, b) if a and b else a or b for a, b in zip(old, new, strict=False)]


def sum_of(one: Statistics, other: Statistics) -> Statistics:
    """Return the statistics of all numbers of two sets."""
    return one[0] + other[0], one[1] + other[1], min(one[2], other[2]), max(one[3], other[3])


def _replace(connection: Connection, stream_id: int, hours: Mapping[int, list[Statistics | None]]) -> None:
    chosen = delete(schema.hours).where(_H.stream_id == stream_id, _H.hour == bindparam("chosen"))
    connection.execute(chosen, [{"chosen": hour} for hour in hours])
    rows = [
        {"stream_id": stream_id, "hour": hour, "content": _ENCODER.encode(found).decode()}
        for hour, found in hours.items()
        if found
    ]
    if rows:
        connection.execute(insert(schema.hours), rows)
