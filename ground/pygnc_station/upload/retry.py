"""Retry state of each transfer (upload, synchronisation, InfluxDB): failures are retried after growing delays."""

import random
from typing import Final, NamedTuple

from sqlalchemy import select

from pygnc_station.store import schema
from pygnc_station.store.store import Store, put_row

_DELAYS_S: Final = (5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 320.0, 640.0, 1280.0, 2560.0, 3600.0)
"""Delays after the first, second, ... failure in a row; the last one repeats."""
_VARIATION: Final = 0.2
_LONGEST_MS: Final = int(1000 * max(_DELAYS_S) * (1 + _VARIATION))


class RetryState(NamedTuple):
    """Retry state of a transfer.

    Attributes:
        name: name of the transfer, such as `upload` or `sync`.
        attempts: failures since the last success.
        next_try_ms: time of the next attempt, milliseconds since 1970 (UTC).
        last_success_ms: time of the last success; None if there was none.
        problem: message of the last failure, "" after a success.
    """

    name: str
    attempts: int = 0
    next_try_ms: int = 0
    last_success_ms: int | None = None
    problem: str = ""


def retry_state(store: Store, name: str) -> RetryState:
    """Return the retry state of a transfer."""
    with store.reads() as connection:
        found = connection.execute(select(schema.targets).where(schema.targets.c.name == name)).first()
    return RetryState(name) if found is None else RetryState(*found)


def waiting_ms(next_try_ms: int, now_ms: int) -> int:
    """Return the time until an attempt is due, in milliseconds; 0 if it is due.

    An attempt that is further away than the longest delay was scheduled under a clock set ahead, and is due now.
    """
    left_ms = next_try_ms - now_ms
    return left_ms if 0 < left_ms <= _LONGEST_MS else 0


def note_success(store: Store, name: str, now_ms: int) -> None:
    """Record a success; the next attempt may follow at once."""
    _write(store, RetryState(name, last_success_ms=now_ms))


def note_failure(store: Store, name: str, problem: str, now_ms: int) -> None:
    """Record a failure and schedule the next attempt after a delay of 5 s that doubles up to 1 h."""
    before = retry_state(store, name)
    attempts = before.attempts + 1
    _write(store, RetryState(name, attempts, now_ms + retry_delay_ms(attempts), before.last_success_ms, problem))


def _write(store: Store, state: RetryState) -> None:
    with store.writes() as connection:
        put_row(connection, schema.targets, state._asdict())


def retry_delay_ms(failures: int) -> int:
    """Return the delay after `failures` failures in a row; it varies by 20 %, so that stations do not synchronise."""
    delay_s = _DELAYS_S[min(max(failures, 1), len(_DELAYS_S)) - 1]
    return int(delay_s * 1000 * random.uniform(1 - _VARIATION, 1 + _VARIATION))  # noqa: S311 - not a secret
