"""Retention of a server: old readings are deleted, and their statistics stay, by hour and later by day.

Readings go by whole hours, whose statistics move from `schema.hours` to `schema.pruned_hours`. The numbers of the
deleted readings are recorded, so that a reading which is sent again is not counted again; one that arrives late for the
first time is stored, and its statistics are added when it is deleted itself.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection, delete, func, insert, select

from pygnc_station.store import schema
from pygnc_station.store.batches import first_unaccepted
from pygnc_station.store.cursors import position
from pygnc_station.store.hourly import DAY_H, HOURS, joined_texts, update_hours
from pygnc_station.store.query import streams
from pygnc_station.store.readings import HOUR_MS
from pygnc_station.store.store import Store, put_row

_DELETED_AT_ONCE: Final = 2000
"""Readings of one transaction, which uploads wait for; more only if one hour has more."""
_R: Final = schema.readings.c
_H: Final = schema.hours.c
_P: Final = schema.pruned_hours.c
_N: Final = schema.pruned_numbers.c


def prune_to_statistics(store: Store, before_ms: int, readers: Sequence[str] = ()) -> int:
    """Delete the readings of all hours before `before_ms`, and keep their statistics; return the number of readings.

    An hour stays as long as it has a reading that is in an unaccepted batch, or that one of the readers, named by their
    cursors, has not processed.
    """
    update_hours(store)
    deleted = 0
    for stream in streams(store):
        hour: int | None = 0
        while hour is not None:
            with store.writes() as connection:
                # The lock keeps new readings of an hour out while it is deleted.
                lock = select(schema.streams.c.id).where(schema.streams.c.id == stream.id).with_for_update()
                connection.execute(lock)
                last = min(position(connection, reader, stream.id) for reader in (HOURS, *readers))
                last = min(last, first_unaccepted(connection).get(stream.id, last + 1) - 1)
                count = 0
                while count < _DELETED_AT_ONCE:
                    hour = _next_hour(connection, stream.id, hour, before_ms // HOUR_MS)
                    if hour is None:
                        break
                    count += _prune_hour(connection, stream.id, hour, last)
                    hour += 1
            deleted += count
    return deleted


def keep_days_only(store: Store, before_ms: int) -> int:
    """Replace hourly statistics of deleted readings before `before_ms` by daily ones; return the number of hours."""
    before = before_ms // HOUR_MS // DAY_H * DAY_H
    joined = 0
    with store.reads() as connection:
        hourly = (_P.hours == 1, _P.hour < before)
        days = connection.execute(select(_P.stream_id, _P.hour - _P.hour % DAY_H).where(*hourly).distinct()).all()
    for stream_id, start in days:
        with store.writes() as connection:
            of_day = (_P.stream_id == stream_id, _P.hour.between(start, start + DAY_H - 1))
            rows = connection.execute(select(_P.hours, _P.content).where(*of_day)).all()
            connection.execute(delete(schema.pruned_hours).where(*of_day))
            row = {"stream_id": stream_id, "hour": start, "hours": DAY_H, "content": joined_texts(r[1] for r in rows)}
            connection.execute(insert(schema.pruned_hours), row)
            joined += sum(length == 1 for length, _ in rows)
    return joined


def _next_hour(connection: Connection, stream_id: int, first: int, before: int) -> int | None:
    within = _R.t_utc_ms.between(first * HOUR_MS, before * HOUR_MS - 1)
    first_ms = connection.execute(select(func.min(_R.t_utc_ms)).where(_R.stream_id == stream_id, within)).scalar()
    return None if first_ms is None else int(first_ms) // HOUR_MS


def _prune_hour(connection: Connection, stream_id: int, hour: int, last: int) -> int:
    """Delete the readings of an hour and move its statistics; return the number of readings, 0 if the hour stays."""
    within = (_R.stream_id == stream_id, _R.t_utc_ms.between(hour * HOUR_MS, (hour + 1) * HOUR_MS - 1))
    late = schema.late_hours.c
    is_late = select(late.hour).where(late.stream_id == stream_id, late.hour == hour)
    numbers = connection.execute(select(_R.number).where(*within).order_by(_R.number)).scalars().all()
    if numbers[-1] > last or connection.execute(is_late).first():
        return 0
    connection.execute(delete(schema.readings).where(*within))
    _record_numbers(connection, stream_id, numbers)
    of_hour = (_H.stream_id == stream_id, _H.hour == hour)
    if (content := connection.execute(select(_H.content).where(*of_hour)).scalar()) is not None:
        connection.execute(delete(schema.hours).where(*of_hour))
        _add_pruned(connection, stream_id, hour, content)
    return len(numbers)


def _add_pruned(connection: Connection, stream_id: int, hour: int, content: str) -> None:
    """Add statistics to those of earlier deletions, of the same hour or, if only that is left, of its day."""
    day = hour - hour % DAY_H
    same = (_P.hour == hour) & (_P.hours == 1) | (_P.hour == day) & (_P.hours == DAY_H)
    found = connection.execute(select(_P.hour, _P.hours, _P.content).where(_P.stream_id == stream_id, same)).first()
    start, length, texts = (found.hour, found.hours, [found.content, content]) if found else (hour, 1, [content])
    row = {"stream_id": stream_id, "hour": start, "hours": length, "content": joined_texts(texts)}
    put_row(connection, schema.pruned_hours, row)


def _record_numbers(connection: Connection, stream_id: int, numbers: Iterable[int]) -> None:
    """Add sorted numbers to the ranges of deleted numbers; adjacent ranges become one."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and runs[-1][1] == number - 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    for first, last in runs:
        touching = (_N.stream_id == stream_id, _N.first <= last + 1, _N.last >= first - 1)
        known = connection.execute(select(_N.first, _N.last).where(*touching)).all()
        connection.execute(delete(schema.pruned_numbers).where(*touching))
        widest = {
            "first": min([first, *(r.first for r in known)]), "last": max([last, *(r.last for r in known)])
        }  # fmt: skip
        connection.execute(insert(schema.pruned_numbers), {"stream_id": stream_id, **widest})
