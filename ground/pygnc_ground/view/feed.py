"""Rows of a run for the pages that follow it: each page receives what was added since its last batch.

Every row and event belongs to a numbered batch. A page names the last batch that it has, so one function serves a new
page, one that keeps up, a slow one, and one that was asleep.
"""

import asyncio
import secrets
from array import array
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np

from pygnc_ground.report.player.packing import PLACED_BITS, Column, numbers, pack, texts, thinned, times
from pygnc_ground.report.player.plots import Plots

ROWS_MAX: Final = 40_000
"""Rows of a table; then every second one is removed, so that older ones are ever farther apart."""
EVENTS_MAX: Final = 1000
LAST_GROUP: Final = "Run"
"""Title of the group of plots that is below those of the estimates."""
_LEVEL: Final = 4
"""Level of compression: a whole run is packed within a tenth of a second."""


class _Table:
    """Columns that grow: numbers as `array`, texts as lists of shared strings."""

    def __init__(self, names: Sequence[str], text_names: Sequence[str]) -> None:
        self.time = array("d")
        self.batch = array("I")
        self.numbers = {name: array("f") for name in names}
        self.texts: dict[str, list[str]] = {name: [] for name in text_names}

    def append(self, batch: int, unix_ms: float, values: Sequence[float], labels: Sequence[str]) -> None:
        self.time.append(unix_ms)
        self.batch.append(batch)
        for column, value in zip(self.numbers.values(), values, strict=True):
            column.append(value)
        for texts_of, label in zip(self.texts.values(), labels, strict=True):
            texts_of.append(label)
        if len(self.time) > ROWS_MAX:
            self.time, self.batch = self.time[::2], self.batch[::2]
            self.numbers = {name: column[::2] for name, column in self.numbers.items()}
            self.texts = {name: column[::2] for name, column in self.texts.items()}

    def since(self, batch: int, most: int | None, precise: frozenset[str]) -> Iterator[tuple[str, Column]]:
        first = bisect_right(self.batch, batch)
        count = len(self.time) - first
        if not count:
            return
        rows = slice(first, None, 1 if most is None else thinned(count, most).step)
        yield "time", times(np.array(self.time[rows]))
        for name, column in self.numbers.items():
            values = np.array(column[rows], dtype=np.float32)
            yield name, numbers(values, PLACED_BITS) if name in precise else numbers(values)
        for name, labels in self.texts.items():
            yield name, texts(labels[rows])


class Feed:
    """Tables, events and state of one run.

    Attributes:
        identity: Text that differs between feeds, also after a restart of the server.
        number: Number of the newest batch.
        plots: Declaration of the plots.
        partners: Radio ids of the partners in the order of their first rows.
        eclipses: Begin and end of each eclipse in ms since 1970.
        state: What the page says of the source: a key, and a text for people.
        about: Further values for the page by name.
    """

    def __init__(self, title: str) -> None:
        self.identity = secrets.token_hex(8)
        self.number = 0
        self.plots = Plots()
        self.partners: list[int] = []
        self.eclipses: list[list[float]] = []
        self.state = ("waiting", "")
        self.about: dict[str, Any] = {"title": title}
        self._tables: dict[str, _Table] = {}
        self._precise: dict[str, frozenset[str]] = {}
        self._events: list[tuple[int, dict[str, Any]]] = []
        self._structure = 0
        self._is_changed = True
        self._changed = asyncio.Event()
        self._packed = lru_cache(2)(self._pack)

    def declare(self, table: str, names: Sequence[str], label_names: Sequence[str] = (), precise: str = "") -> bool:
        """Declare a table; return False if it exists already.

        Args:
            table: Name of the table.
            names: Names of the columns with numbers.
            label_names: Names of the columns with texts.
            precise: Names of the columns with the resolution of positions, separated by blanks.
        """
        if table in self._tables:
            return False
        self._tables[table] = _Table(names, label_names)
        self._precise[table] = frozenset(precise.split())
        self._structure = self.number + 1
        return True

    def add(self, table: str, unix_ms: float, values: Sequence[float], labels: Sequence[str] = ()) -> None:
        """Append a row to the next batch."""
        self._tables[table].append(self.number + 1, unix_ms, values, labels)
        self._is_changed = True

    def add_event(self, unix_ms: float, level: str, text: str) -> None:
        """Add an event to the next batch; of too many, the oldest are removed."""
        self._events.append((self.number + 1, {"time": unix_ms, "level": level, "text": text}))
        del self._events[:-EVENTS_MAX]
        self._is_changed = True

    def tell(self, key: str, text: str) -> None:
        """Set the state of the source."""
        if self.state != (key, text):
            self.state = key, text
            self._is_changed = True

    def note(self, name: str, value: object) -> None:
        """Set a further value for the page."""
        if self.about.get(name) != value:
            self.about[name] = value
            self._is_changed = True

    def remarks(self) -> dict[str, str]:
        """Return what people must know of the source beside its state, by what it is about."""
        version = self.about.get("version", "")
        found = {"version": version} if version else {}
        found |= {problem.partition(":")[0]: problem for problem in self.about.get("problems", [])}
        return found | {name: f"damaged input: {name}" for name in self.about.get("damaged", [])}

    def commit(self) -> None:
        """End the batch if it has any content, and wake those who wait for it."""
        if self._is_changed:
            self.number += 1
            self._is_changed = False
            changed, self._changed = self._changed, asyncio.Event()
            changed.set()

    async def wait(self) -> None:
        """Wait for the next batch."""
        await self._changed.wait()

    def since(self, after: int, most: int | None = None) -> bytes:
        """Return, packed, what was added after batch `after`, 0 for everything; of each table at most `most` rows."""
        return self._packed(after, self.number, most)

    def _pack(self, after: int, until: int, most: int | None) -> bytes:
        columns = (
            (table, name, column)
            for table, rows in self._tables.items()
            for name, column in rows.since(after, most, self._precise[table])
        )
        about: Mapping[str, Any] = self.about | {
            "feed": self.identity,
            "number": until,
            "after": after,
            "state": self.state,
            "events": [event for batch, event in self._events if batch > after],
            "eclipses": self.eclipses,
        }
        if self._structure > after or not after:
            partners = [
                {"id": one, "table": f"partner {one}", "ranges": f"ranges {one}", "cause": ""} for one in self.partners
            ]
            groups = sorted(self.plots.groups, key=lambda group: group["title"] == LAST_GROUP)
            about = {**about, "plots": groups, "partners": partners}
        return pack(columns, about, _LEVEL)
