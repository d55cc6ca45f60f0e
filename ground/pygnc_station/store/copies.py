"""Copies of a store (cloned cards, restored backups): their readings have the same numbers, and may differ.

A copy gets an origin of its own when a server notices it. The origin that the store had at first remains the same in
all its copies, so a server recognises readings that were on the card before it was copied.
"""

import json
from collections.abc import Sequence
from itertools import groupby
from typing import Final, TypeAlias

from sqlalchemy import Connection, bindparam, func, select

from pygnc_station.store import schema
from pygnc_station.store.readings import NewReading, Stream
from pygnc_station.store.store import next_number

Numbered: TypeAlias = Sequence[tuple[int, NewReading]]
_MAX_PARAMETERS: Final = 500
_SPAN: Final = 2000
_S: Final = schema.streams.c
_C: Final = schema.readings.c
_D: Final = schema.devices.c
_LIKE: Final = (_S.kind == bindparam("kind"), _S.layout_digest == bindparam("digest"))
_IS_COPY: Final = func.coalesce(_S.first_origin, _S.origin) == bindparam("first")
_NAME: Final = func.lower(func.coalesce(_D.local_name, _D.gadget_id))
_OWN_DEVICE: Final = select(_S.device_id).where(_S.id == bindparam("stream")).scalar_subquery()
_ELSEWHERE: Final = select(_S.id).where(*_LIKE, _S.device_id == _OWN_DEVICE, _S.id != bindparam("stream"))
_LOCK_OF_COPIES: Final = select(_S.id).where(*_LIKE, _IS_COPY).with_for_update()
_COPIES: Final = (
    select(_S.id)
    .join_from(schema.streams, schema.devices)
    .where(
        *_LIKE,
        _IS_COPY,
        _S.device_id != _OWN_DEVICE,
        select(_NAME).where(_D.id == _OWN_DEVICE).scalar_subquery() == _NAME,
    )
)


def conflicting(connection: Connection, stream_id: int, numbered: Numbered) -> set[int]:
    """Return the numbers under which a stream contains readings of another time, other values or other bytes."""
    after = next_number(connection, stream_id)
    known = [(number, new) for number, new in numbered if number < after]
    return {number for number, is_same in _compared(connection, [stream_id], known) if not is_same}


def stored_elsewhere(connection: Connection, stream: Stream, numbered: Numbered) -> set[int]:
    """Return the numbers of readings that the stream's device has under another origin: same time, values and bytes."""
    like = {"stream": stream.id, "kind": stream.layout.kind, "digest": stream.layout.digest}
    others = connection.execute(_ELSEWHERE, like).scalars().all()
    if not others:
        return set()
    found: set[int] = set()
    for start in range(0, len(numbered), _MAX_PARAMETERS):
        news = numbered[start : start + _MAX_PARAMETERS]
        times = {new.t_utc_ms for _, new in news}
        query = select(_C.t_utc_ms, _C.content, _C.raw).where(_C.stream_id.in_(others), _C.t_utc_ms.in_(times))
        known = {(t_utc_ms, content, raw) for t_utc_ms, content, raw in connection.execute(query)}
        found |= {number for number, new in news if (new.t_utc_ms, new.content, new.raw) in known}
    return found


def streams_of_copies(connection: Connection, stream: Stream, first_origin: str) -> list[int]:
    """Return the streams that copies of a store have sent to other devices with the same name at their owners.

    Args:
        connection: write transaction.
        stream: stream of the copy that uploads.
        first_origin: origin that the store had at first.
    """
    like = {"stream": stream.id, "kind": stream.layout.kind, "digest": stream.layout.digest, "first": first_origin}
    if connection.dialect.name != "sqlite":  # SQLite locks all tables anyway
        connection.execute(_LOCK_OF_COPIES, like)  # uploads of copies follow each other
    return list(connection.execute(_COPIES, like).scalars())


def stored_in(connection: Connection, stream_ids: Sequence[int], numbered: Numbered) -> set[int]:
    """Return the numbers under which one of some streams contains the same reading."""
    return {number for number, is_same in _compared(connection, stream_ids, numbered) if is_same}


def _compared(connection: Connection, stream_ids: Sequence[int], numbered: Numbered) -> list[tuple[int, bool]]:
    """Return the numbers that some streams contain, and whether they contain the same reading under each.

    The readings are in the order of their numbers.
    """
    found: list[tuple[int, bool]] = []
    for _, part in groupby(numbered if stream_ids else (), lambda entry: entry[0] // _SPAN):
        news = dict(part)
        query = select(_C.number, _C.t_utc_ms, _C.content, _C.raw)
        # SQLite would search the whole stream for a list of numbers, but finds a range by its index.
        query = query.where(_C.stream_id.in_(stream_ids), _C.number.between(min(news), max(news)))
        for number, t_utc_ms, content, raw in connection.execute(query):
            if (new := news.get(number)) is not None:
                is_same = t_utc_ms == new.t_utc_ms and raw == new.raw
                is_same = is_same and (content == new.content or json.loads(content) == json.loads(new.content))
                found.append((number, is_same))
    return found
