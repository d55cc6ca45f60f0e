"""Where readings go and how it went: a target that fails is tried again after growing pauses."""

import random
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select, update

from pygnc_station.store import schema
from pygnc_station.store.store import Store, add_once

_FIRST_PAUSE_MS: Final = 5_000
_LONGEST_PAUSE_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True)
class RetryState:
    """State of a target.

    Attributes:
        name: `batches`, `sync`.
        attempts: failures since the last success.
        next_try_ms: not before this time.
        last_success_ms: None: never.
        problem: what the last failure said.
    """

    name: str
    attempts: int = 0
    next_try_ms: int = 0
    last_success_ms: int | None = None
    problem: str = ""


def retry_state(store: Store, name: str) -> RetryState:
    """Return the state of a target."""
    c = schema.targets.c
    query = select(c.name, c.attempts, c.next_try_ms, c.last_success_ms, c.problem).where(c.name == name)
    with store.reads() as connection:
        found = connection.execute(query).first()
    return RetryState(name) if found is None else RetryState(*found)


def note_success(store: Store, name: str, now_ms: int) -> None:
    """Forget the failures of a target."""
    _note(store, RetryState(name, last_success_ms=now_ms))


def note_failure(store: Store, name: str, problem: str, now_ms: int) -> RetryState:
    """Note a failure; the next try is after a pause that doubles each time, an hour at most."""
    before = retry_state(store, name)
    pause_ms = pause_after(before.attempts)
    after = RetryState(name, before.attempts + 1, now_ms + pause_ms, before.last_success_ms, problem)
    _note(store, after)
    return after


def pause_after(attempts: int) -> int:
    """Return milliseconds to wait after so many failures; spread, so that many stations do not come back at once."""
    pause_ms = min(_LONGEST_PAUSE_MS, _FIRST_PAUSE_MS << min(attempts, 20))
    return int(pause_ms * random.uniform(0.8, 1.2))  # noqa: S311 - no secret


def _note(store: Store, state: RetryState) -> None:
    table = schema.targets
    values = {
        "attempts": state.attempts,
        "next_try_ms": state.next_try_ms,
        "last_success_ms": state.last_success_ms,
        "problem": state.problem,
    }
    with store.writes() as connection:
        add_once(connection, table, [{"name": state.name} | values])
        connection.execute(update(table).where(table.c.name == state.name).values(**values))
