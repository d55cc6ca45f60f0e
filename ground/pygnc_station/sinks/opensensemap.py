"""Output to openSenseMap: values of any devices with their own times, including those logged while offline.

Form, limit of values and authorisation are those of the service (github.com/sensebox/openSenseMap-API, measurements).
"""

from collections.abc import Sequence
from typing import Any, Final

import msgspec

from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings
from pygnc_station.settings_types import Name, Table
from pygnc_station.sinks.http_sink import TIMEOUT_S, HttpSink
from pygnc_station.sinks.sensor_community import DOUBTFUL
from pygnc_station.store.readings import StoredReading, Stream, number_of

_MAX_VALUES: Final = 2500
"""Values in a request."""


class OpenSenseMap(Table, frozen=True):
    """Settings of the box at openSenseMap that receives values with their own times: `[sinks.opensensemap]`.

    Attributes:
        box: id of the box.
        token: access token of the box; `${NAME}` is replaced by an environment variable.
        sensors: id of the box's sensor by `gadget/value`, such as `OPC_7/pm_2_5_ug_m3`.
        url: address of the service.
    """

    box: Name
    token: str = ""
    sensors: dict[str, str] = msgspec.field(default_factory=dict)
    url: str = "https://api.opensensemap.org"


class OpenSenseMapSink(HttpSink):
    """Client of openSenseMap."""

    title = "openSenseMap"
    name = "opensensemap"
    remedies = ("check token in [sinks.opensensemap]", "check box and url in [sinks.opensensemap]")

    def __init__(self, station: StationSettings, timeout_s: float = TIMEOUT_S) -> None:
        self._settings = station.sink(self.name, OpenSenseMap)
        self._box_url = f"{self._settings.url.rstrip('/')}/boxes/{self._settings.box}"
        self._sensors = {name.lower(): sensor for name, sensor in self._settings.sensors.items()}
        headers = {"Authorization": self._settings.token} if self._settings.token else {}
        self.connect(f"openSenseMap at {self._settings.url}", headers, timeout_s)

    def write(self, stream: Stream, readings: Sequence[StoredReading]) -> None:
        """Send the values that have a sensor, in customary units; readings with a flag of `DOUBTFUL` are left out."""
        columns = [
            (rank, column.csv_per_unit, sensor)
            for rank, column in enumerate(stream.layout.columns)
            if (sensor := self._sensors.get(f"{stream.gadget_id}/{column.name}".lower()))
        ]
        found: list[dict[str, Any]] = []
        for reading in readings if columns else ():
            if reading.quality & DOUBTFUL:
                continue
            values = reading.values
            for rank, per_unit, sensor in columns:
                if (value := number_of(values[rank])) is not None:
                    found.append({"sensor": sensor, "value": f"{value * per_unit:.6g}", "createdAt": reading.time})
        for start in range(0, len(found), _MAX_VALUES):
            self.send_readings(f"{self._box_url}/data", json=found[start : start + _MAX_VALUES])

    def check_service(self) -> str:
        """Check that the box has the sensors of the settings."""
        response = self.send("GET", self._box_url)
        try:
            known = {str(sensor["_id"]) for sensor in response.json()["sensors"]}
        except (ValueError, KeyError, TypeError):
            raise StationError(f"{self.service}: the response describes no box; {self.remedies[1]}") from None
        for name, sensor in self._settings.sensors.items():
            if sensor not in known:
                raise StationError(
                    f"{self.service}: the box has no sensor {sensor}; correct {name} in [sinks.opensensemap]"
                )
        return f"box {self._settings.box} has the {len(known)} sensors"
