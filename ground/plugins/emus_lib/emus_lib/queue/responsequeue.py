"""Queue that collects the sentences of expected responses."""

import threading
import time
from collections.abc import Mapping
from typing import Final, TypeAlias

from pygnc_devices.declaration import Value

ItemValue: TypeAlias = Value | list[Value] | None
Item: TypeAlias = dict[str, str | dict[str, ItemValue]]
"""Sentence as scripts read it: `name`, and `values` by label."""
_POLL_S: Final = 0.05
"""Wait of each call of `is_queue_processed`, because scripts poll it without a pause."""


class ResponseQueue:
    """Sentences of expected responses, collected until all have arrived or the timeout has passed.

    Args:
        definition: number of sentences per name, `{"BV1": {"length": 1}}`; without a length the response is complete
            when all cells have been reported.
        timeout: seconds from now; None waits until every request was answered or has failed.
    """

    def __init__(self, definition: Mapping[str, Mapping[str, int]] | None = None, timeout: float | None = None) -> None:
        self._changed = threading.Condition()
        self._ends_s = None if timeout is None else time.monotonic() + timeout
        self.unanswered: set[str] = set()
        """Names of requests that were not answered, or not completely."""
        self.init_queue(definition or {})

    def init_queue(self, definition: Mapping[str, Mapping[str, int]]) -> None:
        """Remove all sentences and expect those of a new definition."""
        with self._changed:
            self.definition = definition
            self._missing = {name: entry.get("length") for name, entry in definition.items()}
            self._items: dict[str, list[Item]] = {}
            self.unanswered.clear()

    def put(self, key: str, value: Item) -> None:
        """Add a sentence; names that are not expected, and surplus sentences, are ignored."""
        with self._changed:
            missing = self._missing.get(key, 0)
            if missing == 0:
                return
            self._items.setdefault(key, []).append(value)
            self._missing[key] = None if missing is None else missing - 1
            self._changed.notify_all()

    def finish(self, key: str, *, is_answered: bool) -> None:
        """Record that no more sentences of this name will arrive."""
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
        """Return True if all expected sentences have arrived; wait up to 0.05 s for them."""
        with self._changed:
            return self._changed.wait_for(lambda: all(missing == 0 for missing in self._missing.values()), _POLL_S)

    def has_timed_out(self) -> bool:
        """Return True if the timeout has passed."""
        return self._ends_s is not None and time.monotonic() > self._ends_s
