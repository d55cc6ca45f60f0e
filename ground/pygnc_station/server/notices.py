"""Delivery of notices of alerts: each destination receives what it lacks, later if it cannot be reached.

A notice is deleted after its destination has accepted it. The attempt is recorded before, so a server that is killed
in between sends it once more, after the delay of a failure, and never in a loop.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Row, delete, func, select, update

from pygnc_station.errors import TransferError
from pygnc_station.server.destinations import Destination
from pygnc_station.store import schema
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import retry_delay_ms

_IN_A_MESSAGE: Final = 100
_MAX_AGE_MS: Final = 7 * 86_400_000
_N: Final = schema.notices.c
_log: Final = logging.getLogger(__name__)


def deliver(store: Store, destinations: Mapping[str, Destination], server_name: str, now_ms: int) -> int | None:
    """Send the notices that are due, those for one destination in one message.

    Args:
        store: store of the server.
        destinations: destinations by name; notices for others are dropped.
        server_name: name of this server in the messages.
        now_ms: current time, milliseconds since 1970 (UTC).

    Returns:
        The time of the next attempt after a failure, None if nothing waits.
    """
    _drop_undeliverable(store, destinations, now_ms)
    for name, destination in destinations.items():
        with store.reads() as connection:
            query = select(schema.notices).where(_N.destination == name).order_by(_N.id).limit(_IN_A_MESSAGE)
            rows = connection.execute(query).all()
        if rows and rows[0].next_try_ms <= now_ms and _claim(store, rows[0], now_ms):
            _send(store, name, destination, rows, server_name)
    with store.reads() as connection:  # the first of a destination decides when its others are sent
        first = select(func.min(_N.id)).group_by(_N.destination)
        return connection.execute(select(func.min(_N.next_try_ms)).where(_N.id.in_(first))).scalar()


def _claim(store: Store, row: Row[Any], now_ms: int) -> bool:
    """Record an attempt; return False if another process has done so."""
    attempts = row.attempts + 1
    values = {"attempts": attempts, "next_try_ms": now_ms + retry_delay_ms(attempts)}
    claimed = update(schema.notices).where(_N.id == row.id, _N.attempts == row.attempts).values(**values)
    with store.writes() as connection:
        return connection.execute(claimed).rowcount == 1


def _send(store: Store, name: str, destination: Destination, rows: Sequence[Row[Any]], server_name: str) -> None:
    title = rows[0].title if len(rows) == 1 else f"{len(rows)} changes of alerts"
    text = "\n".join(f"{row.title}: {row.text}" for row in rows)
    try:
        destination.send(f"{server_name}: {title}", text)
    except TransferError as error:
        _log.warning("notification to %s: %s; it is sent again later", name, error)
        return
    with store.writes() as connection:
        connection.execute(delete(schema.notices).where(_N.id.in_([row.id for row in rows])))


def _drop_undeliverable(store: Store, destinations: Mapping[str, Destination], now_ms: int) -> None:
    useless = _N.destination.not_in(list(destinations)) | (_N.created_ms < now_ms - _MAX_AGE_MS)
    with store.reads() as connection:
        names = connection.execute(select(_N.destination).where(useless).distinct()).scalars().all()
    if names:
        with store.writes() as connection:
            count = connection.execute(delete(schema.notices).where(useless)).rowcount
        why = "the destination is not in [serve.alerts], or was not reached for 7 days"
        _log.warning("%d notices for %s were dropped: %s", count, ", ".join(names), why)
