"""Work of the server in threads, so that no request waits for it: hourly statistics, alerts, notifications."""

import logging
import shutil
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pygnc_station.errors import StoreError
from pygnc_station.server.alerts import Room, changes, record, sensor_changes
from pygnc_station.server.destinations import Destination, deliver
from pygnc_station.server.fleet import read_fleet
from pygnc_station.server.neighbours import doubts, read_units
from pygnc_station.server.value_alerts import check_values
from pygnc_station.settings import StationSettings
from pygnc_station.store import schema
from pygnc_station.store.hourly import update_hours
from pygnc_station.store.readings import HOUR_MS, clock_ms
from pygnc_station.store.store import Store, fact, put_row
from pygnc_station.upload.retry import waiting_ms

STATISTICS_S: Final = 10.0
_COMPARISON_S: Final = 3600.0
"""Interval of the comparisons of particle counters with their neighbours, which read four weeks of hourly means."""
_SERVED: Final = "served"
"""Fact: time since which the server has been running, and the time at which this was last recorded."""
_RECORD_MS: Final = 300_000
_MAX_PAUSE_MS: Final = 900_000
"""The server has run without interruption if it paused for less than this time."""
_log: Final = logging.getLogger(__name__)


@contextmanager
def running(name: str, work: Callable[[threading.Event], None], join_s: float | None = None) -> Iterator[None]:
    """Run a function in a thread while the block runs.

    Args:
        name: name of the thread.
        work: the function; it returns soon after the event is set.
        join_s: maximum wait for its return in seconds; None waits until it returns.
    """
    is_over = threading.Event()
    thread = threading.Thread(target=work, args=(is_over,), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join(join_s)


def keep_statistics(store: Store, is_over: threading.Event, every_s: float = STATISTICS_S) -> None:
    """Compute the hourly statistics of new readings every `every_s` seconds until the event is set."""
    has_failed = False
    while not is_over.is_set():
        try:
            update_hours(store, is_over.is_set)
            has_failed = False
        except StoreError as error:  # the next run tries again
            if not has_failed:
                _log.warning("hourly statistics are not updated: %s", error)
            has_failed = True
        is_over.wait(every_s)


def watch_alerts(
    store: Store,
    settings: StationSettings,
    destinations: Mapping[str, Destination],
    folder: Path,
    is_over: threading.Event,
) -> None:
    """Check for alerts and send their notifications until the event is set; see `check_alerts`."""
    next_check_s = next_comparison_s = time.monotonic()
    next_try_ms: int | None = None
    while not is_over.is_set():
        try:
            if time.monotonic() >= next_check_s:
                next_check_s = time.monotonic() + settings.serve.alerts.check_s
                check_alerts(store, settings, destinations, folder, clock_ms())
            if time.monotonic() >= next_comparison_s:
                next_comparison_s = time.monotonic() + _COMPARISON_S
                compare_neighbours(store, settings, destinations, clock_ms())
            next_try_ms = deliver(store, destinations, settings.name, clock_ms())
        except (StoreError, OSError) as error:
            _log.warning("alerts could not be checked: %s", error)
        except Exception:  # noqa: BLE001 - the thread must not end
            _log.exception("alerts could not be checked")
        wait_s = next_check_s - time.monotonic()
        if next_try_ms is not None:
            wait_s = min(wait_s, max(1.0, waiting_ms(next_try_ms, clock_ms()) / 1000))
        is_over.wait(max(0.0, wait_s))


def check_alerts(
    store: Store, settings: StationSettings, destinations: Collection[str], folder: Path, now_ms: int
) -> None:
    """Raise and clear alerts, and record the notices of these changes.

    Args:
        store: store of the server.
        settings: settings of the server.
        destinations: names of the destinations of notifications.
        folder: folder of the received batches, whose disk is checked.
        now_ms: current time, milliseconds since 1970 (UTC).
    """
    alerts = settings.serve.alerts
    with store.reads() as connection:
        fleet = read_fleet(connection, now_ms, alerts)
        served_since_ms, last_ms = map(int, (fact(connection, _SERVED) or "0 0").split())
    pause_ms = now_ms - last_ms
    if not 0 <= pause_ms <= _MAX_PAUSE_MS:
        served_since_ms = now_ms  # no gateway could reach this server before
    if not 0 <= pause_ms <= _RECORD_MS:
        with store.writes() as connection:
            put_row(connection, schema.facts, {"name": _SERVED, "value": f"{served_since_ms} {now_ms}"})
    for change in changes(fleet, alerts, settings.name, _room(store, settings, folder), served_since_ms):
        if record(store, change, destinations, now_ms):
            _log.warning("alert: %s: %s", change.title, change.text)
    for change in check_values(store, settings.serve, destinations, now_ms):
        _log.warning("alert: %s: %s", change.title, change.text)


def compare_neighbours(store: Store, settings: StationSettings, destinations: Collection[str], now_ms: int) -> None:
    """Raise and clear the alerts of particle counters that differ from their neighbours."""
    with store.reads() as connection:
        fleet = read_fleet(connection, now_ms, settings.serve.alerts)
        units = read_units(connection, fleet, settings.serve)
    for change in sensor_changes(fleet.alerts, doubts(units, now_ms // HOUR_MS), settings.name, now_ms):
        if record(store, change, destinations, now_ms):
            _log.warning("alert: %s: %s", change.title, change.text)


def _room(store: Store, settings: StationSettings, folder: Path) -> Room:
    disks = {folder, *([Path(settings.store_url).parent] if store.is_file else [])}
    usages = {f"the disk of {path}": shutil.disk_usage(path) for path in disks}
    found = {name: 100 * usage.used / (usage.used + usage.free) for name, usage in usages.items()}
    if settings.max_bytes and store.is_file:
        found["max_bytes in [store]"] = 100 * store.used_bytes() / settings.max_bytes
    return Room(shutil.disk_usage(folder).free, found)
