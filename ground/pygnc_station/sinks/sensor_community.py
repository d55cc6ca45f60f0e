"""Output to sensor.community: particle concentrations of one counter, as its own nodes send them.

The service accepts no timestamps and dates values on arrival, so older readings are skipped. Names, header and interval
are those of the network's firmware (github.com/opendata-stuttgart/sensors-software, airrohr-firmware).
"""

from collections.abc import Sequence
from typing import Final

import pygnc_system
from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings
from pygnc_station.settings_types import Name, Seconds, Table
from pygnc_station.sinks.http_sink import TIMEOUT_S, HttpSink
from pygnc_station.store.readings import Quality, StoredReading, Stream, clock_ms

_VALUES: Final = {"P0": "pm_1_ug_m3", "P1": "pm_10_ug_m3", "P2": "pm_2_5_ug_m3"}
"""Name of the stored value by the name at sensor.community."""
_PARTICLE_PIN: Final = "1"
_MAX_AGE_MS: Final = 300_000
DOUBTFUL: Final = Quality.CLOCK | Quality.PARTIAL | Quality.DEVICE | Quality.FUTURE
"""Readings with these flags are not sent to public services."""


class SensorCommunity(Table, frozen=True):
    """Settings of the node at sensor.community that receives a particle counter's values: `[sinks.sensor_community]`.

    Attributes:
        sensor: name of the node as it is registered at devices.sensor.community, such as `raspi-00000000abcdef01`.
        gadget: name of the particle counter.
        every_s: interval of the requests; the values are averages.
        url: address of the service.
    """

    sensor: Name
    gadget: Name
    every_s: Seconds = 145.0
    url: str = "https://api.sensor.community/v1/push-sensor-data/"


class SensorCommunitySink(HttpSink):
    """Client of sensor.community.

    Raises:
        StationError: `gadget` in [sinks.sensor_community] is missing or is no device of this station.
    """

    title = "sensor.community"
    name = "sensor_community"
    remedies = ("register the name in `sensor` at devices.sensor.community", "correct url in [sinks.sensor_community]")

    def __init__(self, station: StationSettings, timeout_s: float = TIMEOUT_S) -> None:
        self._settings = chosen = station.sink(self.name, SensorCommunity)
        if chosen.gadget.lower() not in {device.gadget.lower() for device in station.device}:
            raise StationError(f"gadget = {chosen.gadget!r} in [sinks.sensor_community] is no device of this station")
        headers = {"X-Pin": _PARTICLE_PIN, "X-Sensor": self._settings.sensor}
        self.connect(f"sensor.community at {self._settings.url}", headers, timeout_s)
        self._good: dict[int, StoredReading] = {}
        self._sent_ms = 0

    def write(self, stream: Stream, readings: Sequence[StoredReading]) -> None:
        """Send the mean of the good readings since the last request, at most once per `every_s`."""
        names = stream.layout.names
        if stream.gadget_id.lower() != self._settings.gadget.lower() or not set(_VALUES.values()) <= set(names):
            return
        now_ms = clock_ms()
        good = self._good | {one.number: one for one in readings if not one.quality & DOUBTFUL}  # some are passed again
        self._good = {number: one for number, one in good.items() if now_ms - _MAX_AGE_MS <= one.t_utc_ms}
        if not self._good or now_ms < self._sent_ms + self._settings.every_s * 1000:
            return
        means = {}
        for title, name in _VALUES.items():
            found = [
                value for one in self._good.values() if isinstance(value := one.values[names.index(name)], int | float)
            ]
            if not found:
                return
            means[title] = f"{sum(found) / len(found):.2f}"
        values = [{"value_type": title, "value": mean} for title, mean in means.items()]
        version = f"pygnc-{pygnc_system.__version__}"
        self.send_readings(self._settings.url, json={"software_version": version, "sensordatavalues": values})
        self._good, self._sent_ms = {}, now_ms

    def check_service(self) -> str:
        """Check that the service responds; it accepts no request without values."""
        self.send("OPTIONS", self._settings.url)
        return f"responds; sends {self._settings.gadget} as {self._settings.sensor}"
