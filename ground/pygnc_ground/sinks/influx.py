"""InfluxDB's line protocol: readings with their own times, so that what was logged while offline gets its place too."""

from typing import Final

import httpx

from pygnc_ground.station.errors import StationError
from pygnc_ground.station.sending import TransferError
from pygnc_ground.station.settings import Settings
from pygnc_ground.store.records import StoredReading, Stream
from pygnc_ground.store.values import PlainValue

_TIMEOUT_S: Final = 30.0
_TAKEN: Final = frozenset({"time", "gadget", "family", "station", "quality"})
"""Names that a point has already: a field of that name is lost, or refused with all that comes with it."""
_TOKEN_PROBLEMS: Final = frozenset({401, 403})


def line_of(station: str, stream: Stream, reading: StoredReading) -> str:
    """Return a reading as a line, time in milliseconds; "" if it has no value that can be told."""
    tags = {"gadget": stream.gadget_id, "family": stream.family, "station": station}
    fields = []
    for name, value in zip(stream.layout.names, reading.values, strict=False):
        text = _field(value)
        if text:
            fields.append(f"{_escaped(f'{name}_' if name in _TAKEN else name)}={text}")
    if not fields:
        return ""
    told = "".join(f",{name}={_escaped(value)}" for name, value in sorted(tags.items()) if value)
    fields.append(f"quality={reading.quality}i")
    kind = _escaped(stream.layout.kind, more="")
    if kind.startswith("#"):  # else the line is a comment, and is passed over without a word
        kind = f"_{kind[1:]}"
    return f"{kind}{told} {','.join(fields)} {reading.t_utc_ms}"


class InfluxSink:
    """Writes lines to an InfluxDB."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.influx.url
        headers = {"content-type": "text/plain; charset=utf-8"}
        if settings.influx.token:
            headers["authorization"] = f"Token {settings.influx.token}"
        self._client = httpx.Client(headers=headers, timeout=_TIMEOUT_S)

    def write(self, lines: list[str]) -> None:
        """Write lines; the same again change nothing there.

        Raises:
            StationError: the database refuses them.
            TransferError: it does not answer, or not now.
        """
        body = "\n".join(filter(None, lines))
        if not body:
            return
        try:
            answer = self._client.post(_in_milliseconds(self._url), content=body.encode())
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise TransferError(f"InfluxDB: {error or type(error).__name__}") from None
        if answer.status_code in _TOKEN_PROBLEMS:
            raise StationError("InfluxDB: the token or login is not accepted: look at [influx]")
        if 400 <= answer.status_code < 500 and answer.status_code not in {408, 429}:
            raise StationError(f"InfluxDB: HTTP {answer.status_code}: {answer.text[:200]}")
        if answer.status_code >= 300:
            raise TransferError(f"InfluxDB: HTTP {answer.status_code}")

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def _in_milliseconds(url: str) -> httpx.URL:
    """Return where lines go, with the unit of their times: a database that is not told takes them for nanoseconds."""
    return httpx.URL(url).copy_set_param("precision", "ms")


def _field(value: PlainValue) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        # Always a float: a field must not change its type when a value happens to be whole.
        return repr(float(value))
    if isinstance(value, str):
        text = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ").replace("\r", " ")
        return f'"{text}"'
    return ""


def _escaped(text: str, more: str = "=") -> str:
    # A backslash before a comma would undo the comma's own; nothing in a name needs one.
    text = text.replace("\\", "/").replace("\n", " ")
    for sign in (",", " ", *more):
        text = text.replace(sign, f"\\{sign}")
    return text
