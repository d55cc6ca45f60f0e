"""Metrics endpoint from which Prometheus scrapes the newest values of a station."""

import contextlib
import re
import socket
import threading
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Self
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

import msgspec
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings
from pygnc_station.settings_types import Seconds, Table
from pygnc_station.sinks.sink import Delivery, Sink
from pygnc_station.store.query import newest_of_each_kind
from pygnc_station.store.readings import StoredReading, Stream, clock_ms, number_of
from pygnc_station.store.store import Store

REQUEST_S: Final = 10.0
"""Maximum time of a request, from its connection to the end of the response."""
_FORBIDDEN: Final = re.compile(r"[^a-zA-Z0-9_]")


class Prometheus(Table, frozen=True):
    """Settings of the endpoint from which Prometheus scrapes the newest values: `[sinks.prometheus]`.

    Attributes:
        port: TCP port.
        host: address to listen on.
        expire_s: values that are older than this are not exported.
    """

    port: Annotated[int, msgspec.Meta(ge=1, le=65535)]
    host: str = "127.0.0.1"
    expire_s: Seconds = 300.0


class PrometheusSink(Sink):
    """HTTP server for Prometheus; it runs in a thread of its own until it is closed.

    Raises:
        StationError: the address or port is not available.
    """

    title = "Prometheus"
    delivery = Delivery.NONE

    def __init__(self, settings: StationSettings, store: Store) -> None:
        chosen = settings.sink("prometheus", Prometheus)
        registry = CollectorRegistry()
        registry.register(ReadingCollector(store, chosen.expire_s))
        try:
            self._server: WSGIServer
            self._thread: threading.Thread
            self._server, self._thread = start_http_server(chosen.port, chosen.host, registry)
        except OSError as error:
            remedy = "set another host or port in [sinks.prometheus]"
            raise StationError(f"{chosen.host}:{chosen.port}: {error.strerror or error}; {remedy}") from None
        self._server.RequestHandlerClass = _Handler

    @classmethod
    def open(cls, station: StationSettings, store: Store) -> Self:
        """Start the server."""
        return cls(station, store)

    def write(self, stream: Stream, readings: Sequence[StoredReading]) -> None:
        """Do nothing: Prometheus requests the newest readings itself."""

    @property
    def port(self) -> int:
        """TCP port of the server."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Stop the server and free the port."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(WSGIRequestHandler):
    """Handler of a connection, which it closes after `REQUEST_S`, however slowly the client sends or reads."""

    def handle(self) -> None:
        limit = threading.Timer(REQUEST_S, self._disconnect)
        limit.daemon = True
        limit.start()
        try:
            with contextlib.suppress(OSError):  # the client or the limit has closed the connection
                super().handle()
        finally:
            limit.cancel()

    def finish(self) -> None:
        with contextlib.suppress(OSError):
            super().finish()

    def log_message(self, *_: object) -> None:
        pass

    def _disconnect(self) -> None:
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)


class ReadingCollector(Collector):
    """Collector of the newest readings of a store; values that are older than `expire_s` are not exported."""

    def __init__(self, store: Store, expire_s: float) -> None:
        self._store = store
        self._expire_s = expire_s

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics of `reading_metrics`."""
        yield from reading_metrics(newest_of_each_kind(self._store), clock_ms(), self._expire_s)

    def describe(self) -> list[Metric]:
        """Return no metrics; otherwise the registry would call `collect` at registration."""
        return []


def reading_metrics(
    newest: Sequence[tuple[StoredReading, Stream]], now_ms: int, expire_s: float
) -> Iterator[GaugeMetricFamily]:
    """Yield the age of every reading, and a gauge per numeric value of those that are not older than `expire_s`.

    Args:
        newest: readings with their streams.
        now_ms: current time, milliseconds since 1970 (UTC).
        expire_s: maximum age of exported values in seconds.
    """
    age = GaugeMetricFamily("pygnc_reading_age_seconds", "Age of the newest reading", labels=["gadget", "kind"])
    gauges: dict[str, GaugeMetricFamily] = {}
    for reading, stream in newest:
        labels = [stream.gadget_id, stream.layout.kind]
        age_s = (now_ms - reading.t_utc_ms) / 1000
        age.add_metric(labels, age_s)
        if age_s > expire_s:
            continue
        for column, value in zip(stream.layout.columns, reading.values, strict=False):
            if (number := number_of(value)) is not None:
                metric = f"pygnc_{_FORBIDDEN.sub('_', column.name).lower()}"
                if metric not in gauges:
                    title = f"{column.name} {column.unit}".strip()
                    gauges[metric] = GaugeMetricFamily(metric, title, labels=["gadget", "kind"])
                gauges[metric].add_metric(labels, number)
    yield age
    yield from gauges.values()
