"""Publisher: reads new readings from the store and sends them to the outputs of the settings."""

import logging
import threading
from contextlib import ExitStack, closing
from typing import Final

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.sinks.http_sink import HttpSink
from pygnc_station.sinks.influx import InfluxSink
from pygnc_station.sinks.mqtt import MqttSink
from pygnc_station.sinks.opensensemap import OpenSenseMapSink
from pygnc_station.sinks.prometheus import PrometheusSink
from pygnc_station.sinks.sensor_community import SensorCommunitySink
from pygnc_station.store import query
from pygnc_station.store.cursors import advance, pending
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.retry import note_failure, note_success, retry_state

POLL_S: Final = 1.0
_PAGE: Final = 1000
_MAX_MQTT_READINGS: Final = 200
"""Readings of a stream that MQTT receives at once; older ones are skipped, because MQTT shows current values."""

SINKS: Final[tuple[type[InfluxSink | SensorCommunitySink | OpenSenseMapSink], ...]] = (
    InfluxSink,
    SensorCommunitySink,
    OpenSenseMapSink,
)
"""Outputs that receive readings by HTTP."""

_log = logging.getLogger(__name__)


class Publisher:
    """Outputs of a station.

    Raises:
        StationError: the settings contain no output, or an output cannot be opened.
    """

    def __init__(self, store: Store, settings: StationSettings) -> None:
        self._store = store
        self._settings = settings
        self._stopping = threading.Event()
        self._seen: dict[int, int] = {stream.id: stream.next_number - 1 for stream in query.streams(store)}
        if not settings.has_outputs:
            raise StationError(
                f"the settings in {settings.folder} contain no output; set host in [mqtt], url in [influx], port in"
                " [prometheus], sensor in [sensor_community] or box in [opensensemap]"
            )
        require_sensor(settings)
        with ExitStack() as stack:
            self.mqtt = stack.enter_context(closing(MqttSink(settings))) if settings.mqtt.host else None
            chosen = [kind for kind in SINKS if kind.reader in settings.pushes]
            self.sinks: list[HttpSink] = [stack.enter_context(closing(kind(settings))) for kind in chosen]
            if settings.prometheus.port:
                self.prometheus = stack.enter_context(closing(PrometheusSink(settings, store)))
            self._closing = stack.pop_all()

    def stop(self) -> None:
        """End `run`; may be called from a signal handler."""
        self._stopping.set()

    def run(self) -> None:
        """Publish until stopped.

        Raises:
            StationError: an output fails for a reason that the user has to remove.
        """
        with self._closing:
            published, is_behind = -1, False
            while not self._stopping.is_set():
                if self.mqtt is not None:
                    self.mqtt.check()
                counted = query.count_numbered(self._store)
                if counted != published:
                    self.publish_mqtt()
                if counted != published or is_behind:
                    is_behind = not self.push(clock_ms())
                published = counted
                self._stopping.wait(POLL_S)

    def publish_mqtt(self) -> None:
        """Publish the readings since the last call to MQTT."""
        if self.mqtt is None:
            return
        for stream in query.streams(self._store):
            last = stream.next_number - 1
            first = max(self._seen.get(stream.id, 0) + 1, last - _MAX_MQTT_READINGS + 1)
            if first > last:
                continue
            with self._store.reads() as connection:
                readings = query.numbered(connection, stream.id, first, last)
            for reading in readings:
                self.mqtt.publish(stream, reading)
            self._seen[stream.id] = last

    def push(self, now_ms: int) -> bool:
        """Send readings to all outputs by HTTP, the oldest first; return False if some are left for a later attempt.

        Raises:
            StationError: the only output refuses the readings. A failure of one of several stops none of the others.
        """
        done = [self._push_to(sink, now_ms) for sink in self.sinks]
        return all(done)

    def _push_to(self, sink: HttpSink, now_ms: int) -> bool:
        if retry_state(self._store, sink.reader).next_try_ms > now_ms:
            return False
        try:
            while self._write_page(sink):
                if self._stopping.is_set():
                    return False
        except (StationError, TransferError) as error:
            if isinstance(error, StationError) and self._is_only(sink):
                raise
            _log.warning("%s", error)
            note_failure(self._store, sink.reader, str(error), now_ms)
            return False
        note_success(self._store, sink.reader, now_ms)
        return True

    def _is_only(self, sink: HttpSink) -> bool:
        return self.sinks == [sink] and self.mqtt is None and not self._settings.prometheus.port

    def _write_page(self, sink: HttpSink) -> bool:
        """Send a page of readings of one stream; return False if no readings are pending."""
        with self._store.reads() as connection:
            waiting = pending(connection, sink.reader)
            if not waiting:
                return False
            part = waiting[0]
            readings = query.numbered(connection, part.stream.id, part.first, part.last, _PAGE)
        sink.write(part.stream, readings)
        with self._store.writes() as connection:
            advance(connection, sink.reader, part.stream.id, readings[-1].number if readings else part.last)
        return True


def require_sensor(settings: StationSettings) -> None:
    """Check the settings of [sensor_community].

    Raises:
        StationError: `gadget` is missing or is no device of this station.
    """
    chosen = settings.sensor_community
    if chosen.sensor and chosen.gadget.lower() not in {device.gadget.lower() for device in settings.device}:
        raise StationError(f"gadget = {chosen.gadget!r} in [sensor_community] is no device of this station")
