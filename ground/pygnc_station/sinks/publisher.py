"""Publisher: reads new readings from the store and sends them to the outputs of the settings."""

import logging
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from typing import Final

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings, cursor_of
from pygnc_station.sinks.sink import Delivery, Sink, chosen_sinks, installed_sinks
from pygnc_station.store import query
from pygnc_station.store.cursors import advance, pending
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import note_failure, note_success, retry_state, waiting_ms
from pygnc_system.plugins import PluginError
from pygnc_system.service_notifier import ServiceNotifier

POLL_S: Final = 1.0
_PAGE: Final = 1000
_MAX_CURRENT: Final = 200
"""Readings of a stream that outputs of current readings receive at once; older ones are skipped."""

_log = logging.getLogger(__name__)


class Publisher:
    """Outputs of a station.

    A broken output of another package is reported and left out.

    Attributes:
        sinks: open outputs by name.

    Raises:
        StationError: the settings contain no usable output, or an output cannot be opened.
    """

    def __init__(self, store: Store, settings: StationSettings, notifier: ServiceNotifier | None = None) -> None:
        self._store = store
        self._notifier = notifier or ServiceNotifier()
        self._stopping = threading.Event()
        self._seen: dict[int, int] = {stream.id: stream.next_number - 1 for stream in query.streams(store)}
        self._problems: dict[str, str] = {}
        if not settings.sinks:
            raise StationError(
                f"the settings in {settings.folder} contain no output; add a table [sinks.NAME], where NAME is one of"
                f" {installed_sinks()}"
            )
        self.sinks: dict[str, Sink] = {}
        with ExitStack() as stack:
            for name, kind in chosen_sinks(settings):
                if isinstance(kind, PluginError) and len(settings.sinks) > 1:
                    _log.warning("[sinks.%s]: %s; this output is left out", name, kind)
                elif isinstance(kind, Exception):
                    raise StationError(str(kind)) from kind
                else:
                    self.sinks[name] = stack.enter_context(closing(kind.open(settings, store)))
            self._closing = stack.pop_all()

    def stop(self) -> None:
        """End `run`; may be called from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Publish until stopped.

        Raises:
            StationError: the only output fails for a reason that the user has to remove.
        """
        self._notifier.ready()
        with self._closing:
            published, is_behind = -1, False
            while not self._stopping.is_set():
                self._notifier.feed()
                self._poll()
                counted = query.count_numbered(self._store)
                if counted != published:
                    self.publish_current()
                if counted != published or is_behind:
                    is_behind = not self.push(clock_ms())
                published = counted
                self._stopping.wait(POLL_S)
            self._notifier.stopping()

    def publish_current(self) -> None:
        """Pass the readings since the last call to the outputs of current readings."""
        sinks = list(self._receiving(Delivery.CURRENT))
        for stream in query.streams(self._store) if sinks else ():
            last = stream.next_number - 1
            seen = min(self._seen.get(stream.id, 0), last)  # a restored backup has lower numbers
            first = max(seen + 1, last - _MAX_CURRENT + 1)
            self._seen[stream.id] = last
            if first > last:
                continue
            with self._store.reads() as connection:
                readings = query.numbered(connection, stream.id, first, last)
            for name, sink in sinks:
                try:
                    sink.write(stream, readings)
                except Exception as error:  # noqa: BLE001 - an output of another package must not stop the others
                    self._note(name, error)

    def push(self, now_ms: int) -> bool:
        """Send readings to the outputs of all readings, the oldest first; return False if some are left for later.

        Raises:
            StationError: the only output refuses the readings. A failure of one of several stops none of the others.
        """
        done = [self._push_to(name, sink, now_ms) for name, sink in self._receiving(Delivery.EVERY)]
        return all(done)

    def _receiving(self, delivery: Delivery) -> Iterator[tuple[str, Sink]]:
        return ((name, sink) for name, sink in self.sinks.items() if sink.delivery is delivery)

    def _poll(self) -> None:
        for name, sink in self.sinks.items():
            try:
                sink.poll()
            except Exception as error:  # noqa: BLE001 - an output of another package must not stop the others
                self._note(name, error)

    def _note(self, name: str, error: Exception) -> None:
        """Log a failure of an output once, or raise it if the user has to remove its reason and it is the only one."""
        if isinstance(error, StationError) and len(self.sinks) == 1:
            raise error
        text = _described(error)
        if self._problems.get(name) != text:
            self._problems[name] = text
            _log.warning("[sinks.%s]: %s", name, text)

    def _push_to(self, name: str, sink: Sink, now_ms: int) -> bool:
        cursor = cursor_of(name)
        if waiting_ms(retry_state(self._store, cursor).next_try_ms, now_ms):
            return False
        try:
            while self._write_page(cursor, sink):
                if self._stopping.is_set():
                    return False
                self._notifier.feed()  # there may be many pages
        except Exception as error:  # an output of another package must not stop the others
            if isinstance(error, StationError) and len(self.sinks) == 1:
                raise
            _log.warning("%s", _described(error))
            note_failure(self._store, cursor, _described(error), now_ms)
            return False
        note_success(self._store, cursor, now_ms)
        return True

    def _write_page(self, cursor: str, sink: Sink) -> bool:
        """Send a page of readings of one stream; return False if no readings are pending."""
        with self._store.reads() as connection:
            waiting = pending(connection, cursor)
            if not waiting:
                return False
            part = waiting[0]
            readings = query.numbered(connection, part.stream.id, part.first, part.last, _PAGE)
        sink.write(part.stream, readings)
        with self._store.writes() as connection:
            advance(connection, cursor, part.stream.id, readings[-1].number if readings else part.last)
        return True


def _described(error: Exception) -> str:
    """Return the message of an error; with its type if an output should not raise it."""
    return str(error) if isinstance(error, StationError | TransferError) else f"{type(error).__name__}: {error}"
