"""What Prometheus asks for. A value that is old is left out, not repeated."""

import re
from collections.abc import Iterator
from typing import Any, Final

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import func, select

from pygnc_station.store import schema
from pygnc_station.store.records import parse_time
from pygnc_station.store.store import Store

_FORBIDDEN: Final = re.compile(r"[^a-zA-Z0-9_]")


def metrics_text(store: Store, newest: list[dict[str, Any]], now_ms: int, expires_s: float) -> bytes:
    """Return the metrics of a server.

    Args:
        store: of the server.
        newest: readings as `readings_api.newest` returns them.
        now_ms: time.
        expires_s: older readings have no values any more, only their age.
    """
    registry = CollectorRegistry()
    registry.register(_Readings(store, newest, now_ms, expires_s))
    return generate_latest(registry)


def values_of(newest: list[dict[str, Any]], now_ms: int, expires_s: float) -> Iterator[Metric]:
    """Yield a gauge for each numeric value of readings that are not too old, and the age of all."""
    age = GaugeMetricFamily("pygnc_reading_age_seconds", "Since the newest reading", labels=["gadget", "kind"])
    gauges: dict[str, GaugeMetricFamily] = {}
    for reading in newest:
        labels = [reading["gadget"], reading["kind"]]
        age_s = (now_ms - parse_time(reading["timestamp"])) / 1000
        age.add_metric(labels, age_s)
        if age_s > expires_s:
            continue
        for name, value in reading["values"].items():
            if isinstance(value, int | float) and not isinstance(value, bool):
                metric = f"pygnc_{_FORBIDDEN.sub('_', name).lower()}"
                if metric not in gauges:
                    unit = reading["units"].get(name, "")
                    gauges[metric] = GaugeMetricFamily(metric, f"{name} {unit}".strip(), labels=["gadget", "kind"])
                gauges[metric].add_metric(labels, value)
    yield age
    yield from gauges.values()


class _Readings(Collector):
    def __init__(self, store: Store, newest: list[dict[str, Any]], now_ms: int, expires_s: float) -> None:
        self._store = store
        self._newest = newest
        self._now_ms = now_ms
        self._expires_s = expires_s

    def collect(self) -> Iterator[Metric]:
        yield from values_of(self._newest, self._now_ms, self._expires_s)
        c = schema.uploads.c
        with self._store.reads() as connection:
            counted = connection.execute(select(c.state, func.count(), func.sum(c.readings)).group_by(c.state)).all()
        uploads = GaugeMetricFamily("pygnc_uploads", "Batches by state", labels=["state"])
        readings = GaugeMetricFamily("pygnc_uploaded_readings", "Readings in batches by state", labels=["state"])
        for state, count, total in counted:
            uploads.add_metric([state], count)
            readings.add_metric([state], total or 0)
        yield uploads
        yield readings
