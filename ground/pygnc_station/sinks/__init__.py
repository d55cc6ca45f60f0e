"""Where else readings go: MQTT, InfluxDB, Prometheus. They follow the store: none of them can hold up a logger."""

from typing import Final

INFLUX: Final = "influx"
"""Name of InfluxDB's cursor in the store."""
