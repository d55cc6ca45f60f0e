"""Interface of senders, and the HTTP client that they share."""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.store.batches import Batch, BatchState

_TEMPORARY: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""HTTP status codes after which the same request may succeed later."""


@dataclass(frozen=True, slots=True)
class Sent:
    """Result of sending a batch.

    Attributes:
        state: ACCEPTED, REJECTED, or SENT if the server has not decided yet.
        reason: why the server has rejected the batch.
        remote_id: identifier that the server has assigned, "" if none.
    """

    state: BatchState
    reason: str = ""
    remote_id: str = ""


class Sender(Protocol):
    """Client of a server that receives batches."""

    def send(self, batch: Batch, path: Path) -> Sent:
        """Send a batch, continue an interrupted transfer, or query the result of one that was sent before.

        Raises:
            StationError: the transfer failed for a reason that the user has to remove.
            TransferError: the transfer failed temporarily.
        """
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


def http_client(settings: StationSettings, key: str = "") -> httpx.Client:
    """Return a client for the server of [upload].

    Args:
        settings: settings of the station.
        key: the gateway's key; "" sends none.

    Raises:
        StationError: the CA file cannot be read.
    """
    upload = settings.upload
    context = ssl.create_default_context()
    if upload.ca_file:
        try:
            context.load_verify_locations(settings.path(upload.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise StationError(f"{settings.path(upload.ca_file)}: {error}; check ca_file in [upload]") from None
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(
        base_url=upload.url.rstrip("/") + "/", verify=context, timeout=upload.timeout_s, headers=headers, trust_env=True
    )


def send_request(client: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
    """Send a request; return the response, which may have a 4xx status that the caller has to handle.

    Raises:
        StationError: the server does not accept the key, or its certificate is not trusted.
        TransferError: the server does not respond, or responds with a temporary failure.
    """
    try:
        response = client.request(method, path, **content)
    except httpx.ConnectError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise StationError(
                f"{client.base_url}: the server's certificate is not trusted; set ca_file in [upload]"
            ) from None
        raise TransferError(
            f"{client.base_url}: {error}; check that the server is running, and url in [upload]"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TransferError(f"{client.base_url}: {error or type(error).__name__}") from None
    if response.status_code in _TEMPORARY:
        raise TransferError(f"{client.base_url}: {error_of(response)}")
    if response.status_code in {401, 403} and "authorization" in client.headers:
        raise StationError(f"{client.base_url}: the server does not accept the key: {error_of(response)}")
    return response


def json_object(response: httpx.Response) -> dict[str, Any]:
    """Return the JSON object of a response, {} if it contains none."""
    try:
        value = response.json()
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def error_of(response: httpx.Response) -> str:
    """Return the server's reason for not performing a request, or its HTTP status."""
    value = json_object(response)
    return str(value.get("error") or value.get("reason") or f"HTTP {response.status_code}")
