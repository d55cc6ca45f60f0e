"""What every way of sending batches has in common.

HTTP for stations: times out, checks certificates, and tells what is temporary from what the user has to mend.
"""

import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.store.batches import Batch, BatchState


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of a batch.

    Attributes:
        state: ACCEPTED, REJECTED, or SENT if the other end still looks at it.
        reason: why it was rejected.
        remote_id: its name there, "" if it is ours.
    """

    state: BatchState
    reason: str = ""
    remote_id: str = ""


class Sender(Protocol):
    """A way to a server."""

    def send(self, batch: Batch, path: Path) -> Sent:
        """Send a batch, or go on with it, or ask what became of it.

        Raises:
            StationError: what the user has to mend.
            TransferError: it has to be tried again.
        """
        ...

    def close(self) -> None:
        """Close connections."""
        ...


_AGAIN: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})


def http_client(settings: StationSettings, key: str = "") -> httpx.Client:
    """Return a client for the server of [upload].

    Raises:
        StationError: the file of certificates cannot be read.
    """
    upload = settings.upload
    context = ssl.create_default_context()
    if upload.ca_file:
        try:
            context.load_verify_locations(settings.path(upload.ca_file))
        except (OSError, ssl.SSLError) as error:
            raise StationError(f"{settings.path(upload.ca_file)}: {error}") from None
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(
        base_url=upload.url.rstrip("/") + "/", verify=context, timeout=upload.timeout_s, headers=headers, trust_env=True
    )


def send_request(client: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401 - httpx's own
    """Return the answer to a request that was understood; 4xx answers are returned for the caller to look at.

    Raises:
        StationError: the key is not known, or the server's certificate is not to be trusted.
        TransferError: no answer, or one that says: later.
    """
    try:
        answer = client.request(method, path, **content)
    except httpx.ConnectError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise StationError(f"{client.base_url}: its certificate cannot be trusted (ca_file in [upload])") from None
        raise TransferError(f"{client.base_url}: {error}; is it running, and url in [upload] right?") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise TransferError(f"{client.base_url}: {error or type(error).__name__}") from None
    if answer.status_code in _AGAIN:
        raise TransferError(f"{client.base_url}: {reason_of(answer)}")
    if answer.status_code in {401, 403} and "authorization" in client.headers:
        raise StationError(f"{client.base_url}: the key is not accepted: {reason_of(answer)}")
    return answer


def reason_of(answer: httpx.Response) -> str:
    """Return what a server says of a request that it did not carry out."""
    try:
        told = answer.json()
    except ValueError:
        told = None
    if isinstance(told, dict) and (told.get("error") or told.get("reason")):
        return str(told.get("error") or told.get("reason"))
    return f"HTTP {answer.status_code}"
