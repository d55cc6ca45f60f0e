"""A port where Prometheus finds the newest values of a station. Old ones are left out."""

import threading
import time
from collections.abc import Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from pygnc_station.server.metrics import values_of
from pygnc_station.server.readings_api import newest
from pygnc_station.station.errors import StationError
from pygnc_station.station.settings import Settings
from pygnc_station.store.store import Store


class PrometheusSink:
    """Listens until it is closed.

    Raises:
        StationError: the port cannot be had.
    """

    def __init__(self, settings: Settings, store: Store) -> None:
        chosen = settings.prometheus
        registry = CollectorRegistry()
        registry.register(_Newest(store, chosen.expire_s))
        try:
            self._server: WSGIServer
            self._thread: threading.Thread
            self._server, self._thread = start_http_server(chosen.port, chosen.host, registry)
        except OSError as error:
            raise StationError(f"{chosen.host}:{chosen.port}: {error.strerror or error}") from None

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self._server.server_port)

    def close(self) -> None:
        """Give the port back."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Newest(Collector):
    def __init__(self, store: Store, expires_s: float) -> None:
        self._store = store
        self._expires_s = expires_s

    def collect(self) -> Iterator[Metric]:
        """Yield the newest values, read now."""
        return values_of(newest(self._store), int(time.time() * 1000), self._expires_s)

    def describe(self) -> list[Metric]:
        """Return nothing: what there is is known when it is asked for."""
        return []
