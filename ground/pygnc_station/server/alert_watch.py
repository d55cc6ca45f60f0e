"""Thread of the server that checks for alerts and sends their notifications, so that no request waits for it."""

import logging
import shutil
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

from sqlalchemy import Connection, select, update

from pygnc_station.errors import StoreError
from pygnc_station.server.alerts import changes, record
from pygnc_station.server.destinations import Destination
from pygnc_station.server.fleet import read_fleet
from pygnc_station.server.notices import deliver
from pygnc_station.settings import StationSettings
from pygnc_station.store import schema
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store, add_once

_SERVED: Final = "served"
"""Fact: time since which the server runs, and the last time at which that was recorded."""
_RECORD_MS: Final = 300_000
_MAX_PAUSE_MS: Final = 900_000
"""The server has run without interruption if it paused for less than this time."""
_log: Final = logging.getLogger(__name__)


class AlertWatch:
    """Check for alerts: `with AlertWatch(...)` runs it in a thread.

    Args:
        store: store of the server.
        settings: settings of the server.
        destinations: destinations of notifications by name.
        folder: folder of the received batches, whose disk is checked.
    """

    def __init__(
        self, store: Store, settings: StationSettings, destinations: Mapping[str, Destination], folder: Path
    ) -> None:
        self._store, self._settings, self._destinations, self._folder = store, settings, destinations, folder
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="alerts", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        # A notification that is under way does not delay the end; it is sent again if it was not accepted.
        self._stop.set()
        self._thread.join(1.0)

    def check(self, now_ms: int) -> None:
        """Raise and clear alerts, and record the notices of these changes."""
        alerts = self._settings.serve.alerts
        with self._store.reads() as connection:
            fleet = read_fleet(connection, now_ms, alerts)
            served = _served(connection)
        if served is None or now_ms - served[1] > _RECORD_MS or now_ms < served[1]:
            served = _record_served(self._store, served, now_ms)
        free_bytes = shutil.disk_usage(self._folder).free
        for change in changes(fleet, alerts, self._settings.name, free_bytes, served[0]):
            if record(self._store, change, self._destinations, now_ms):
                _log.warning("alert: %s: %s", change.title, change.text)

    def deliver(self, now_ms: int) -> int | None:
        """Send the notices that are due; return the time of the next attempt, None if nothing waits."""
        return deliver(self._store, self._destinations, self._settings.name, now_ms)

    def _run(self) -> None:
        check_s = self._settings.serve.alerts.check_s
        next_check_s = time.monotonic()
        next_try_ms: int | None = None
        while not self._stop.is_set():
            try:
                if time.monotonic() >= next_check_s:
                    next_check_s = time.monotonic() + check_s
                    self.check(clock_ms())
                next_try_ms = self.deliver(clock_ms())
            except (StoreError, OSError) as error:
                _log.warning("alerts could not be checked: %s", error)
            except Exception:  # noqa: BLE001 - the thread must not end
                _log.exception("alerts could not be checked")
            wait_s = next_check_s - time.monotonic()
            if next_try_ms is not None:
                wait_s = min(wait_s, max(1.0, (next_try_ms - clock_ms()) / 1000))
            self._stop.wait(max(0.0, wait_s))


def _served(connection: Connection) -> tuple[int, int] | None:
    query = select(schema.facts.c.value).where(schema.facts.c.name == _SERVED)
    text = connection.execute(query).scalar()
    if text is None:
        return None
    since_ms, last_ms = map(int, text.split())
    return since_ms, last_ms


def _record_served(store: Store, served: tuple[int, int] | None, now_ms: int) -> tuple[int, int]:
    """Record that the server runs; after a long pause it starts anew, because gateways could not be heard."""
    goes_on = served is not None and 0 <= now_ms - served[1] <= _MAX_PAUSE_MS
    since_ms = served[0] if served is not None and goes_on else now_ms
    facts = schema.facts
    with store.writes() as connection:
        add_once(connection, facts, [{"name": _SERVED, "value": ""}])
        changed = update(facts).where(facts.c.name == _SERVED)
        connection.execute(changed.values(value=f"{since_ms} {now_ms}"))
    return since_ms, now_ms
