"""Task of the server that keeps the hourly statistics up to date."""

import logging
import threading
from typing import Final, Self

from pygnc_station.errors import StoreError
from pygnc_station.store.hourly import update_hours
from pygnc_station.store.store import Store

EVERY_S: Final = 10.0
_log: Final = logging.getLogger(__name__)


class HourlyTask:
    """Thread that computes the statistics of new readings, as a context manager.

    Args:
        store: store of the readings.
        every_s: pause between two runs.
    """

    def __init__(self, store: Store, every_s: float = EVERY_S) -> None:
        self._store = store
        self._every_s = every_s
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="hourly statistics", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._thread.join()

    def _run(self) -> None:
        has_failed = False
        while not self._is_over.is_set():
            try:
                update_hours(self._store, self._is_over.is_set)
                has_failed = False
            except StoreError as error:  # the next run tries again
                if not has_failed:
                    _log.warning("hourly statistics are not updated: %s", error)
                has_failed = True
            self._is_over.wait(self._every_s)
