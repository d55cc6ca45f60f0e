"""Answers that are waited for, by name and number."""

import threading
import time
from collections.abc import Mapping
from typing import Final

from pygnc_station.emus_lib.labels import Item

_LOOK_S: Final = 0.05
"""A script asks without a pause whether all is there: it is held up this long each time."""


class ResponseQueue:
    """Collects sentences until all that were defined are there, or the time is up.

    Args:
        definition: `{"BV1": {"length": 1}}`, sentences by name; without a length it is all there when all cells are.
        timeout: seconds from now; None: for ever, unless a question is not answered.
    """

    def __init__(self, definition: Mapping[str, Mapping[str, int]] | None = None, timeout: float | None = None) -> None:
        self._changed = threading.Condition()
        self._ends_s = None if timeout is None else time.monotonic() + timeout
        self.unanswered: set[str] = set()
        """Questions that were not answered, or not in full."""
        self.init_queue(definition or {})

    def init_queue(self, definition: Mapping[str, Mapping[str, int]]) -> None:
        """Begin anew."""
        with self._changed:
            self.definition = definition
            self._missing = {name: entry.get("length") for name, entry in definition.items()}
            self._items: dict[str, list[Item]] = {}
            self.unanswered.clear()

    def put(self, key: str, value: Item) -> None:
        """Take a sentence; names that were not defined, and more than were defined, are passed over."""
        with self._changed:
            missing = self._missing.get(key, 0)
            if missing == 0:
                return
            self._items.setdefault(key, []).append(value)
            self._missing[key] = None if missing is None else missing - 1
            self._changed.notify_all()

    def finish(self, key: str, *, is_answered: bool) -> None:
        """Take note that nothing more comes for a name."""
        with self._changed:
            if self._missing.get(key, 0) == 0:
                return
            if not is_answered or self._missing[key] is not None:
                self.unanswered.add(key)
            self._missing[key] = 0
            self._changed.notify_all()

    def get_items(self) -> dict[str, list[Item]]:
        """Return all sentences by name."""
        with self._changed:
            return {name: list(items) for name, items in self._items.items()}

    def is_queue_processed(self) -> bool:
        """Tell whether all is there, or nothing more comes."""
        with self._changed:
            return self._changed.wait_for(self._is_processed, _LOOK_S)

    def has_timed_out(self) -> bool:
        """Tell whether the time is up."""
        return self._ends_s is not None and time.monotonic() > self._ends_s

    def _is_processed(self) -> bool:
        return all(missing == 0 for missing in self._missing.values())
