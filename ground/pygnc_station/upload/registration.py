"""Registration of a station at a server, which exchanges a PIN for a key, and the file of that key."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from pygnc.common.files import durable_rename
from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings
from pygnc_station.upload.sender import error_of, http_client, json_object, send_request

_CPU: Final = Path("/proc/cpuinfo")
_NO_SERIAL: Final = "0" * 16


def register(settings: StationSettings, pin: str) -> Path:
    """Exchange a PIN for a key, and write the key to its file.

    Returns:
        The path of the key file.

    Raises:
        StationError: the server does not accept the PIN.
        TransferError: the server does not respond.
    """
    if not settings.upload.url or settings.upload.kind == "object_store":
        raise StationError("no server to register with: set url in [upload]")
    form = {"pin": pin.strip(), "device_id": serial_of_this_computer(), "name": settings.name}
    path = "api/v1/activate/" if settings.upload.kind == "station" else "activate/"
    file = settings.path(settings.upload.key_file)
    with writing_key(file) as write, http_client(settings) as client:
        response = send_request(client, "POST", path, data=form)
        if response.status_code == 404:
            raise StationError(f"{response.url}: the server has no registration there; check url in [upload]")
        if response.status_code != 200:
            raise StationError(f"{response.url.host} does not register this station: {error_of(response)}")
        key = str(json_object(response).get("key", ""))
        if not key.isalnum():
            raise StationError(f"{response.url.host} does not register this station: its response contains no key")
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


@contextmanager
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
        lines = _CPU.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return _NO_SERIAL
    return next((line.split(":")[1].strip() for line in lines if line.startswith("Serial")), _NO_SERIAL)
