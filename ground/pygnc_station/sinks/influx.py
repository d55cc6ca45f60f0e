"""Output to InfluxDB: readings in the line protocol with their own times, including those logged while offline."""

from collections.abc import Sequence
from typing import Final

import httpx

from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings
from pygnc_station.settings_types import Name, Table
from pygnc_station.sinks.http_sink import TIMEOUT_S, HttpSink
from pygnc_station.store.readings import PlainValue, StoredReading, Stream

_RESERVED: Final = frozenset({"time", "gadget", "family", "station", "quality"})
"""Names of tags and of the time: InfluxDB would drop a field of such a name, or refuse the whole request."""


class Influx(Table, frozen=True):
    """Settings of the InfluxDB that receives all readings with their own times: `[sinks.influx]`.

    Attributes:
        url: URL of write requests with path and query, such as `http://host:8086/api/v2/write?org=o&bucket=b`;
            for InfluxDB 1 `http://name:password@host:8086/write?db=d`.
        token: API token; `${NAME}` is replaced by an environment variable.
    """

    url: Name
    token: str = ""


def line_of(station: str, stream: Stream, reading: StoredReading) -> str:
    """Return a reading as a line, time in milliseconds; "" if it has no value that a field can hold."""
    tags = {"gadget": stream.gadget_id, "family": stream.family, "station": station}
    fields = []
    for name, value in zip(stream.layout.names, reading.values, strict=False):
        text = _field(value)
        if text:
            fields.append(f"{_escaped(f'{name}_' if name in _RESERVED else name)}={text}")
    if not fields:
        return ""
    tag_text = "".join(f",{name}={_escaped(value)}" for name, value in sorted(tags.items()) if value)
    fields.append(f"quality={reading.quality}i")
    kind = _escaped(stream.layout.kind, more="")
    if kind.startswith("#"):  # the line would be a comment
        kind = f"_{kind[1:]}"
    return f"{kind}{tag_text} {','.join(fields)} {reading.t_utc_ms}"


class InfluxSink(HttpSink):
    """Client of an InfluxDB, or of Telegraf's `influxdb_listener` and `influxdb_v2_listener`.

    Raises:
        StationError: url in [sinks.influx] is invalid.
    """

    title = "InfluxDB"
    name = "influx"
    remedies = (
        "check token in [sinks.influx], or name and password in its url",
        "create the database or bucket, or correct url in [sinks.influx]",
    )

    def __init__(self, station: StationSettings, timeout_s: float = TIMEOUT_S) -> None:
        chosen = station.sink(self.name, Influx)
        self._url = _checked(chosen.url)
        self._station = station.name
        headers = {"content-type": "text/plain; charset=utf-8"}
        if chosen.token:
            headers["authorization"] = f"Token {chosen.token}"
        self.connect(f"InfluxDB at {self._url.scheme}://{self._url.netloc.decode()}", headers, timeout_s)

    def write(self, stream: Stream, readings: Sequence[StoredReading]) -> None:
        """Write readings; writing the same readings again changes nothing."""
        lines = [line_of(self._station, stream, reading) for reading in readings]
        if body := "\n".join(filter(None, lines)):
            self.send_readings(self._url, content=body.encode())

    def check_service(self) -> str:
        """Check that the database would accept lines."""
        # Some versions report a bad request, but only after they have checked everything else.
        self.send("POST", self._url, content=b"")
        return f"{self._url.scheme}://{self._url.netloc.decode()} accepts the login"


def _checked(url: str) -> httpx.URL:
    """Return the URL of write requests with `precision=ms`, because InfluxDB expects nanoseconds by default.

    Raises:
        StationError: the URL is invalid; the message contains neither name nor password.
    """
    example = "an example: http://server:8086/write?db=stations"
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL:
        why = "invalid URL (write / as %2F and @ as %40 in a password)"
        raise StationError(f"url in [sinks.influx]: {why}; {example}") from None
    if found.scheme not in {"http", "https"}:
        raise StationError(f"url in [sinks.influx] must begin with http:// or https://; {example}")
    if not found.host:
        raise StationError(f"url in [sinks.influx] contains no host; {example}")
    return found.copy_set_param("precision", "ms")


def _field(value: PlainValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        # Always a float: the type of a field must not depend on whether a value is an integer.
        return repr(float(value))
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ").replace("\r", " ")
        return f'"{text}"'
    return ""


def _escaped(text: str, more: str = "=") -> str:
    # A backslash before a comma would cancel the comma's escape, so backslashes are replaced.
    text = text.replace("\\", "/").replace("\n", " ")
    for sign in (",", " ", *more):
        text = text.replace(sign, f"\\{sign}")
    return text
