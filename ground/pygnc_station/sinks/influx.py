"""InfluxDB's line protocol: readings with their own times, so that what was logged while offline gets its place too."""

from typing import Final

import httpx

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.store.layout import PlainValue
from pygnc_station.store.readings import StoredReading, Stream

_TIMEOUT_S: Final = 30.0
_TAKEN: Final = frozenset({"time", "gadget", "family", "station", "quality"})
"""Names that a point has already: a field of that name is lost, or refused with all that comes with it."""
_TOKEN_PROBLEMS: Final = frozenset({401, 403})
_LATER: Final = frozenset({408, 429})


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
    """Writes lines to an InfluxDB.

    Args:
        settings: of the station.
        timeout_s: of one request.

    Raises:
        StationError: the address cannot be one.
    """

    def __init__(self, settings: StationSettings, timeout_s: float = _TIMEOUT_S) -> None:
        self._url = _checked(settings.influx.url)
        self.name = f"InfluxDB at {self._url.scheme}://{self._url.netloc.decode()}"
        headers = {"content-type": "text/plain; charset=utf-8"}
        if settings.influx.token:
            headers["authorization"] = f"Token {settings.influx.token}"
        self._client = httpx.Client(headers=headers, timeout=timeout_s)

    def write(self, lines: list[str]) -> None:
        """Write lines; the same again change nothing there.

        Raises:
            StationError: the database refuses them, or its certificate is not to be trusted.
            TransferError: it does not answer, or not now.
        """
        body = "\n".join(filter(None, lines))
        if body:
            answer = self._post(body)
            if 400 <= answer.status_code < 500:
                raise StationError(f"{self.name}: HTTP {answer.status_code}: {answer.text[:200]}")

    def check(self) -> None:
        """Find out whether the database would take lines; see `write`."""
        self._post("")  # which some of them call a bad request, after they have looked at all else

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def _post(self, body: str) -> httpx.Response:
        """Return the answer of a database that is there and lets us in."""
        try:
            answer = self._client.post(self._url, content=body.encode())
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                why = "its certificate cannot be trusted (the environment's SSL_CERT_FILE names others to trust)"
                raise StationError(f"{self.name}: {why}") from None
            raise TransferError(f"{self.name}: {error}; is it running, and url in [influx] right?") from None
        except httpx.HTTPError as error:
            raise TransferError(f"{self.name}: {error or type(error).__name__}") from None
        code = answer.status_code
        if code in _TOKEN_PROBLEMS:
            where = "token in [influx], or name and password in its url"
            raise StationError(f"{self.name}: the token or login is not accepted: look at {where}")
        if code == httpx.codes.NOT_FOUND:
            remedy = "make the database or bucket there, or mend url in [influx]"
            raise StationError(f"{self.name}: HTTP {code}: {answer.text[:200].strip()}: {remedy}")
        if code in _LATER or not (200 <= code < 300 or 400 <= code < 500):
            raise TransferError(f"{self.name}: HTTP {code}")
        return answer


def _checked(url: str) -> httpx.URL:
    """Return where lines go, with the unit of their times: a database that is not told takes them for nanoseconds.

    Raises:
        StationError: it can be no InfluxDB; the message holds neither name nor password.
    """
    example = "an example: http://server:8086/write?db=stations"
    try:
        found = httpx.URL(url)
    except httpx.InvalidURL:
        why = "it is no address (in a password, signs such as / and @ are written %2F and %40)"
        raise StationError(f"url in [influx]: {why}; {example}") from None
    if found.scheme not in {"http", "https"}:
        raise StationError(f"url in [influx] must begin with http:// or https://; {example}")
    if not found.host:
        raise StationError(f"url in [influx] names no host; {example}")
    return found.copy_set_param("precision", "ms")


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
