"""Clients of servers: HTTP requests, registration and key file, and the sender for PyGNC servers."""

import contextlib
import hashlib
import logging
import os
import ssl
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec

from pygnc_station.errors import RefusalError, StationError, TransferError, UnreachableError, UntrustedError
from pygnc_station.settings import StationSettings, Upload
from pygnc_station.station_state import IDENTITY_PATH, STATE_PATH, UNKNOWN_PATH, ServerIdentity, StationState
from pygnc_station.store.batches import Batch, BatchState
from pygnc_system.files import durable_rename

_LOOPBACK: Final = frozenset({"127.0.0.1", "::1", "localhost"})
_log: Final = logging.getLogger(__name__)
_TEMPORARY: Final = frozenset({408, 409, 425, 429, 500, 502, 503, 504})
"""HTTP status codes after which the same request may succeed later."""
_UNREACHABLE: Final = frozenset({429, 502, 503})
"""HTTP status codes of a server that is overloaded or down; the other temporary ones may concern a single batch."""


class Sender(ABC):
    """Client of a server that receives batches; base class of all senders."""

    @abstractmethod
    def send(self, batch: Batch, path: Path) -> Batch:
        """Send a batch, continue an interrupted transfer, or query the result of a batch that was sent before.

        Returns:
            The batch with its new `state` (SENT if the server has not decided yet), `reason` and `remote_id`.

        Raises:
            StationError: the transfer failed for a reason that the user has to remove.
            TransferError: the transfer failed temporarily.
        """

    @abstractmethod
    def check(self) -> str:
        """Check that the server responds and accepts the login; return the date of its response, "" if unknown.

        Raises:
            RefusalError: the server does not accept the login, or is not one of this kind.
            TransferError: the server does not respond.
        """

    def identify(self) -> ServerIdentity | None:
        """Return the identity of the server and the names that it uses; None if the server does not report it.

        Raises the errors of `send`.
        """
        return None

    def unknown_of(self, ids: Sequence[str]) -> set[str]:  # noqa: ARG002 - for servers that report what they lack
        """Return those of at most `MAX_IDS` identifiers of batches that the server does not know as accepted.

        The result is empty for a server that does not report it. Raises the errors of `send`.
        """
        return set()

    def send_state(self, state: StationState) -> None:  # noqa: B027 - most servers receive none
        """Send the state of this station if the server receives it; raises the errors of `send`."""

    def close(self) -> None:  # noqa: B027 - some libraries close connections by themselves
        """Close the connections."""


class HttpSender(Sender):
    """Sender with an HTTP client that sends the gateway's key.

    Args:
        settings: settings of the station.
        key: the key; by default that of the key file.

    Attributes:
        status_path: path at which the server reports the state of the batch with the id `{}`.
    """

    status_path: str

    def __init__(self, settings: StationSettings, key: str = "") -> None:
        self._settings = settings
        self._key = key or read_key(settings.path(settings.upload.key_file))
        self._client = http_client(settings, self._key)

    def check(self) -> str:
        """Query the state of a batch that does not exist; see `Sender.check`."""
        response = send_request(self._client, "GET", self.status_path.format(_NO_BATCH))
        is_ours = bool(json_object(response)) or self._settings.upload.kind != "station"
        if response.status_code not in {200, 404} or not is_ours:
            why = f"the response is not that of such a server ({error_of(response)})"
            raise RefusalError(f"{self._client.base_url}: {why}; check url in [upload]")
        return str(response.headers.get("date", ""))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


def tls_context(settings: StationSettings, ca_file: str, table: str) -> ssl.SSLContext:
    """Return a TLS context that trusts the system's CA certificates and those in `ca_file` of a table of the settings.

    Raises:
        StationError: the CA file cannot be read.
    """
    context = ssl.create_default_context()
    if ca_file:
        path = settings.path(ca_file)
        try:
            context.load_verify_locations(path)
        except (OSError, ssl.SSLError) as error:
            raise StationError(
                f"{path}: the CA certificates cannot be read ({error}); check ca_file in [{table}]"
            ) from None
    return context


def http_client(settings: StationSettings, key: str = "") -> httpx.Client:
    """Return a client for the server of [upload], which sends the gateway's key unless it is "".

    Raises:
        StationError: the CA file cannot be read, the URL is invalid, or the key would be sent without encryption.
    """
    upload = settings.upload
    _check_url(upload)
    if upload.url.startswith("https") or upload.ca_file:
        context = tls_context(settings, upload.ca_file, "upload")
    else:  # without TLS, the CA certificates of the system would take longer than an upload; this context trusts none
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    return httpx.Client(
        base_url=upload.url.rstrip("/") + "/", verify=context, timeout=upload.timeout_s, headers=headers, trust_env=True
    )


def _check_url(upload: Upload) -> None:
    """Refuse to send keys and PINs over plain HTTP, unless the server is on this computer or [upload] allows it."""
    try:
        url = httpx.URL(upload.url)
    except httpx.InvalidURL:
        raise StationError("url in [upload] is invalid; an example: https://stations.example") from None
    if url.userinfo:
        raise StationError("url in [upload] contains a login, which would replace the station's key; remove it")
    if url.scheme != "http" or url.host in _LOOPBACK:
        return
    danger = f"{upload.url}: everybody on the way can read the station's key"
    if not upload.insecure:
        raise StationError(f"{danger}; use https, or set insecure = true in [upload]")
    _log.warning("%s, because of insecure in [upload]; use https", danger)


def send_request(client: httpx.Client, method: str, path: str, **content: Any) -> httpx.Response:  # noqa: ANN401 - httpx's
    """Send a request; return the response, which may have a 4xx status that the caller has to handle.

    Raises:
        RefusalError: the server does not accept the key, or its certificate is not trusted.
        TransferError: the request failed temporarily.
        UnreachableError: the server cannot be reached, or is overloaded or down.
    """
    try:
        response = client.request(method, path, **content)
    except httpx.ConnectError as error:
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            raise UntrustedError(
                f"{client.base_url}: the server's certificate is not trusted; set ca_file in [upload]"
            ) from None
        raise UnreachableError(
            f"{client.base_url}: no connection ({error}); check that the server is running, and url in [upload]"
        ) from None
    except (httpx.ConnectTimeout, httpx.PoolTimeout):
        raise UnreachableError(f"{client.base_url}: no connection (timeout); retry later") from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        why = f"the request failed ({error or type(error).__name__}); retry later"
        raise TransferError(f"{client.base_url}: {why}") from None
    if response.status_code in _TEMPORARY:
        kind = UnreachableError if response.status_code in _UNREACHABLE else TransferError
        why = error_of(response)  # some reasons say themselves when to retry
        raise kind(f"{client.base_url}: temporary failure ({why})" + ("" if "retry" in why else "; retry later"))
    if response.status_code in {401, 403} and "authorization" in client.headers:
        raise RefusalError(f"{client.base_url}: the server does not accept the key ({error_of(response)})")
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


_NO_BATCH: Final = "0" * 32
_NO_SERIAL: Final = "0" * 16


def register(settings: StationSettings, pin: str) -> Path:
    """Exchange a PIN for a key, and write the key to its file.

    Returns:
        The path of the key file.

    Raises:
        RefusalError: the server does not accept the PIN.
        TransferError: the server does not respond.
    """
    if not settings.upload.url or settings.upload.kind == "object_store":
        raise StationError("no server to register with; set url in [upload]")
    form = {"pin": pin.strip(), "device_id": serial_of_this_computer(), "name": settings.name}
    path = "api/v1/activate/" if settings.upload.kind == "station" else "activate/"
    file = settings.path(settings.upload.key_file)
    with contextlib.suppress(StationError):
        form["old_key"] = read_key(file)  # with it, the station remains the same gateway
    with writing_key(file) as write, http_client(settings) as client:
        response = send_request(client, "POST", path, data=form)
        if response.status_code == 404:
            raise RefusalError(
                f"{response.url}: the server offers no registration at this address; check url in [upload]"
            )
        if response.status_code != 200:
            raise RefusalError(f"{response.url.host} does not register this station: {error_of(response)}")
        key = str(json_object(response).get("key", ""))
        if not key.isalnum():
            why = "its response contains no key; check url in [upload]"
            raise RefusalError(f"{response.url.host} does not register this station: {why}")
        write(key)
    return file


def read_key(path: Path) -> str:
    """Return the gateway's key.

    Raises:
        StationError: the file is missing or contains no key.
    """
    try:
        key = path.read_text(encoding="utf-8").strip()
    except OSError:
        key = ""
    if not key.isalnum():
        raise StationError(f"{path}: the key is missing; create it by `pygnc station register`")
    return key


@contextlib.contextmanager
def writing_key(path: Path) -> Iterator[Callable[[str], None]]:
    """Return a function that replaces the key file; only the user can read the file at any time.

    The new file is created before the function is called, so that a PIN is not used up if the file cannot be written.
    The old key remains if the function is not called.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(key: str) -> None:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
        durable_rename(part, path)

    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield write
    finally:
        part.unlink(missing_ok=True)


def serial_of_this_computer() -> str:
    """Return the serial number of a Raspberry Pi; 16 zeros on other computers, as batonopc does."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return _NO_SERIAL
    return next((line.split(":")[1].strip() for line in lines if line.startswith("Serial")), _NO_SERIAL)


CHUNK_BYTES: Final = 4 << 20
_FINAL_STATES: Final = {BatchState.ACCEPTED, BatchState.REJECTED}
_REFUSED: Final = frozenset({400, 413, 422})
"""HTTP status codes with which a server refuses a batch."""
_MAX_ATTEMPTS: Final = 3
"""Number of times that a batch is sent if it arrives damaged."""


class StationSender(HttpSender):
    """Client of a PyGNC server."""

    status_path = "api/v1/batches/{}"

    def send(self, batch: Batch, path: Path) -> Batch:
        """Send a batch; see `Sender.send`."""
        for _ in range(_MAX_ATTEMPTS):
            announcement = {"name": batch.name, "bytes": batch.bytes, "sha256": batch.sha256}
            status = self._request("PUT", batch, json=announcement)
            if status["state"] == "foreign":  # announced before this station registered anew
                batch = replace(batch, id=hashlib.sha256(f"{batch.id} {self._key}".encode()).hexdigest()[:32])
                status = self._request("PUT", batch, json=announcement)
            with path.open("rb") as file:
                while status["state"] == "receiving" and status["offset"] < batch.bytes:
                    file.seek(status["offset"])
                    chunk = file.read(CHUNK_BYTES)
                    status = self._request("PATCH", batch, params={"offset": status["offset"]}, content=chunk)
                    if status["state"] == "receiving" and status["offset"] == 0:
                        break  # the server has discarded the batch because its checksum was wrong
            if status["state"] == "receiving" and status["offset"] == batch.bytes:  # received, but not verified yet
                status = self._request("PATCH", batch, params={"offset": batch.bytes}, content=b"")
            if status["state"] in _FINAL_STATES:
                conflict = str(status.get("conflict", ""))
                state = BatchState(status["state"])
                return replace(batch, state=state, reason=str(status["reason"]), remote_id=batch.id, conflict=conflict)
        raise TransferError(
            f"{self._client.base_url}: {batch.name} arrived damaged {_MAX_ATTEMPTS} times; the next upload sends it"
            " again"
        )

    def identify(self) -> ServerIdentity | None:
        """Return the identity of the server, None if it is of an older version; see `Sender.identify`."""
        gadgets = ",".join(device.gadget for device in self._settings.device)
        response = send_request(self._client, "GET", IDENTITY_PATH, params={"gadgets": gadgets})
        if response.status_code == 404:
            return None
        try:
            return msgspec.json.decode(response.content, type=ServerIdentity)
        except msgspec.DecodeError as error:
            raise RefusalError(
                f"{response.url}: the response is not that of a PyGNC server ({error}); check url in [upload]"
            ) from None

    def unknown_of(self, ids: Sequence[str]) -> set[str]:
        """Return the identifiers of batches that the server does not know as accepted; see `Sender.unknown_of`."""
        response = send_request(self._client, "POST", UNKNOWN_PATH, json={"ids": list(ids)})
        unknown = json_object(response).get("unknown")
        if response.status_code != 200 or not isinstance(unknown, list):
            raise RefusalError(f"{response.url}: the request is refused ({error_of(response)})")
        return set(ids) & set(unknown)

    def send_state(self, state: StationState) -> None:
        """Send the state of this station, which older servers do not receive; see `Sender.send_state`."""
        body = msgspec.json.encode(state)
        headers = {"content-type": "application/json"}
        response = send_request(self._client, "POST", STATE_PATH, content=body, headers=headers)
        if response.status_code not in {204, 404}:
            raise RefusalError(f"{response.url}: the state of this station is refused ({error_of(response)})")

    def _request(self, method: str, batch: Batch, **content: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's
        response = send_request(self._client, method, self.status_path.format(batch.id), **content)
        error = str(json_object(response).get("error", ""))
        if response.status_code == 404 and batch.id in error:
            return {"state": "foreign", "reason": error, "offset": 0}
        if response.status_code == 413 or (response.status_code in _REFUSED and error):
            return {"state": "rejected", "reason": error_of(response), "offset": 0}
        if response.status_code != 200:
            raise RefusalError(f"{response.url}: the request is refused ({error_of(response)})")
        status = json_object(response)
        if not {"state", "offset", "reason"} <= status.keys():
            raise RefusalError(f"{response.url}: the response is not that of a PyGNC server; check url in [upload]")
        return status
