"""Base class of outputs that receive readings by HTTP, later if they cannot be reached."""

from abc import abstractmethod
from contextlib import closing
from typing import Any, ClassVar, Final, Self

import httpx

from pygnc_station.errors import RefusalError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.sinks.sink import Sink
from pygnc_station.store.store import Store

TIMEOUT_S: Final = 30.0
_TOKEN_PROBLEMS: Final = frozenset({401, 403})
_LATER: Final = frozenset({408, 429})


class HttpSink(Sink):
    """Output that receives readings in order, the oldest first.

    Args:
        station: settings of the station.
        timeout_s: timeout of a request in seconds.

    Attributes:
        name: name of the output, whose settings are `[sinks.NAME]`.
        service: name of the service in messages, with its address.
        remedies: remedy of a refused login, and of an address that is not found.
    """

    name: ClassVar[str]
    remedies: ClassVar[tuple[str, str]]

    @abstractmethod
    def __init__(self, station: StationSettings, timeout_s: float = TIMEOUT_S) -> None: ...

    def connect(self, service: str, headers: dict[str, str], timeout_s: float) -> None:
        """Set the name of the service in messages, and headers and timeout of all requests."""
        self.service = service
        self._client = httpx.Client(headers=headers, timeout=timeout_s)

    @classmethod
    def open(cls, station: StationSettings, store: Store) -> Self:  # noqa: ARG003 - the publisher reads it
        """Return the output for the settings of a station."""
        return cls(station)

    @classmethod
    def check(cls, station: StationSettings, timeout_s: float) -> str:
        """Check that the service would accept readings."""
        with closing(cls(station, timeout_s)) as sink:
            return sink.check_service()

    @abstractmethod
    def check_service(self) -> str:
        """Return what the service accepts; raises the errors of `write`."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def send(self, method: str, url: httpx.URL | str, **content: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
        """Send a request; return the response, whose status is 2xx, or 4xx for other reasons than login or address.

        Raises:
            RefusalError: login or address are refused, or the certificate is not trusted.
            TransferError: the service does not respond, or responds with a temporary failure.
        """
        try:
            response = self._client.request(method, url, **content)
        except httpx.ConnectError as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                why = "its certificate is not trusted; set SSL_CERT_FILE to a file of CA certificates"
                raise RefusalError(f"{self.service}: {why}") from None
            remedy = f"check that it is running, and url in [sinks.{self.name}]"
            raise TransferError(f"{self.service}: no connection ({error}); {remedy}") from None
        except httpx.HTTPError as error:
            raise TransferError(f"{self.service}: the request failed ({error or type(error).__name__})") from None
        code = response.status_code
        login, address = self.remedies
        if code in _TOKEN_PROBLEMS:
            raise RefusalError(f"{self.service}: the token or login is not accepted; {login}")
        if code == httpx.codes.NOT_FOUND:
            raise RefusalError(f"{self.service}: HTTP {code}: {response.text[:200].strip()}: {address}")
        if code in _LATER or not (200 <= code < 300 or 400 <= code < 500):
            raise TransferError(f"{self.service}: temporary failure, HTTP {code}")
        return response

    def send_readings(self, url: httpx.URL | str, **content: Any) -> None:  # noqa: ANN401 - httpx's
        """Send a POST request with readings; raises the errors of `write`."""
        response = self.send("POST", url, **content)
        if 400 <= response.status_code < 500:
            raise RefusalError(
                f"{self.service} refuses the readings: HTTP {response.status_code}: {response.text[:200]}"
            )
