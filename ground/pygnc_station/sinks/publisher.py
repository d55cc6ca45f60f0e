"""Follows the store and gives what comes to every output of the settings, each at its own pace."""

import contextlib
import logging
import threading
import time
from typing import Final

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.sinks.influx import InfluxSink, line_of
from pygnc_station.sinks.mqtt import MqttSink
from pygnc_station.sinks.prometheus import PrometheusSink
from pygnc_station.store import query
from pygnc_station.store.cursors import INFLUX, advance, pending
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import note_failure, note_success, retry_state

LOOK_S: Final = 1.0
_LINES: Final = 1000
_NEWEST: Final = 200
"""Readings of a stream that MQTT gets at once; older ones that piled up are left out: it is for what is now."""

_log = logging.getLogger(__name__)


class Publisher:
    """Outputs of a station, until it is stopped.

    Raises:
        StationError: the settings name no output, or one cannot be had.
    """

    def __init__(self, store: Store, settings: StationSettings) -> None:
        self._store = store
        self._settings = settings
        self._stopping = threading.Event()
        self._seen: dict[int, int] = {stream.id: stream.next_number - 1 for stream in query.streams(store)}
        if not (settings.mqtt.host or settings.influx.url or settings.prometheus.port):
            raise StationError("no output: set host in [mqtt], url in [influx] or port in [prometheus]")
        with contextlib.ExitStack() as stack:
            self.mqtt = MqttSink(settings) if settings.mqtt.host else None
            if self.mqtt is not None:
                stack.callback(self.mqtt.close)
            self.influx = InfluxSink(settings) if settings.influx.url else None
            if self.influx is not None:
                stack.callback(self.influx.close)
            self.prometheus = PrometheusSink(settings, store) if settings.prometheus.port else None
            if self.prometheus is not None:
                stack.callback(self.prometheus.close)
            self._closing = stack.pop_all()

    def stop(self) -> None:
        """End `run`; may be called by a signal's handler."""
        self._stopping.set()

    def run(self) -> None:
        """Publish until stopped.

        Raises:
            StationError: an output refuses what the user has to mend.
        """
        with self._closing:
            while True:
                self.publish_mqtt()
                self.write_influx(int(time.time() * 1000))
                if self._stopping.wait(LOOK_S):
                    return

    def publish_mqtt(self) -> None:
        """Publish what has come since the last call."""
        if self.mqtt is None:
            return
        self.mqtt.check()
        for stream in query.streams(self._store):
            last = stream.next_number - 1
            first = max(self._seen.get(stream.id, 0) + 1, last - _NEWEST + 1)
            if first > last:
                continue
            with self._store.reads() as connection:
                readings = query.numbered(connection, stream.id, first, last)
            for reading in readings:
                self.mqtt.publish(stream, reading)
            self._seen[stream.id] = last

    def write_influx(self, now_ms: int) -> None:
        """Write what is not there yet, the oldest first; a database that is away gets it later."""
        if self.influx is None or retry_state(self._store, INFLUX).next_try_ms > now_ms:
            return
        try:
            while self._write_page():
                if self._stopping.is_set():
                    return
        except TransferError as error:
            _log.warning("%s", error)
            note_failure(self._store, INFLUX, str(error), now_ms)
            return
        note_success(self._store, INFLUX, now_ms)

    def _write_page(self) -> bool:
        """Write some readings of one stream; False when all are written."""
        with self._store.reads() as connection:
            waiting = pending(connection, INFLUX)
            if not waiting or self.influx is None:
                return False
            piece = waiting[0]
            readings = query.numbered(connection, piece.stream.id, piece.first, piece.last, _LINES)
        self.influx.write([line_of(self._settings.name, piece.stream, reading) for reading in readings])
        with self._store.writes() as connection:
            advance(connection, INFLUX, piece.stream.id, readings[-1].number if readings else piece.last)
        return True
