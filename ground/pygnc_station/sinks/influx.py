"""Output to InfluxDB: readings in the line protocol with their own times, including those logged while offline."""

from typing import Final

import httpx

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.store.readings import PlainValue, StoredReading, Stream

_TIMEOUT_S: Final = 30.0
_RESERVED: Final = frozenset({"time", "gadget", "family", "station", "quality"})
"""Names of tags and of the time: InfluxDB would drop a field of such a name, or refuse the whole request."""
_TOKEN_PROBLEMS: Final = frozenset({401, 403})
_LATER: Final = frozenset({408, 429})


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


class InfluxSink:
    """Client of an InfluxDB.

    Args:
        settings: settings of the station.
        timeout_s: timeout of a request in seconds.

    Raises:
        StationError: url in [influx] is invalid.
    """

    def __init__(self, settings: StationSettings, timeout_s: float = _TIMEOUT_S) -> None:
        self._url = _checked(settings.influx.url)
        self.name = f"InfluxDB at {self._url.scheme}://{self._url.netloc.decode()}"
        headers = {"content-type": "text/plain; charset=utf-8"}
        if settings.influx.token:
            headers["authorization"] = f"Token {settings.influx.token}"
        self._client = httpx.Client(headers=headers, timeout=timeout_s)

    def write(self, lines: list[str]) -> None:
        """Write lines; writing the same lines again changes nothing.

        Raises:
            StationError: the database refuses them, or its certificate is not trusted.
            TransferError: the database does not respond, or responds with a temporary failure.
        """
        body = "\n".join(filter(None, lines))
        if body:
            response = self._post(body)
            if 400 <= response.status_code < 500:
                raise StationError(
                    f"{self.name} refuses the readings: HTTP {response.status_code}: {response.text[:200]}"
                )

    def check(self) -> None:
        """Check that the database would accept lines; raises the errors of `write`."""
        self._post("")  # some versions report a bad request, but only after they have checked everything else

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _post(self, body: str) -> httpx.Response:
        try:
            response = self._client.post(self._url, content=body.encode())
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                why = "its certificate is not trusted; set SSL_CERT_FILE to a file of CA certificates"
                raise StationError(f"{self.name}: {why}") from None
            raise TransferError(
                f"{self.name}: no connection ({error}); check that InfluxDB is running, and url in [influx]"
            ) from None
        except httpx.HTTPError as error:
            raise TransferError(f"{self.name}: the request failed ({error or type(error).__name__})") from None
        code = response.status_code
        if code in _TOKEN_PROBLEMS:
            remedy = "check token in [influx], or name and password in its url"
            raise StationError(f"{self.name}: the token or login is not accepted; {remedy}")
        if code == httpx.codes.NOT_FOUND:
            remedy = "create the database or bucket, or correct url in [influx]"
            raise StationError(f"{self.name}: HTTP {code}: {response.text[:200].strip()}: {remedy}")
        if code in _LATER or not (200 <= code < 300 or 400 <= code < 500):
            raise TransferError(f"{self.name}: temporary failure, HTTP {code}")
        return response


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
        raise StationError(f"url in [influx]: {why}; {example}") from None
    if found.scheme not in {"http", "https"}:
        raise StationError(f"url in [influx] must begin with http:// or https://; {example}")
    if not found.host:
        raise StationError(f"url in [influx] contains no host; {example}")
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
