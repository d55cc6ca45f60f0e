"""The gateway's key: a file that only its owner can read.

Makes a station a gateway of a server: a PIN for a key.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx

from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings
from pygnc_station.upload.sender import http_client, reason_of, send_request


def read_key(path: Path) -> str:
    """Return the key.

    Raises:
        StationError: there is none; logging works without it.
    """
    try:
        key = path.read_text(encoding="utf-8").strip()
    except OSError:
        key = ""
    if not key.isalnum():
        raise StationError(f"{path} holds no key: pygnc station register makes it")
    return key


@contextmanager
def writing_key(path: Path) -> Iterator[Callable[[str], None]]:
    """Give what keeps a key, in place of an older one; at no moment can others read it.

    Whether it can be written shows before a PIN is used up. Without a key the older one stays.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.part")
    unfinished.unlink(missing_ok=True)
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(key: str) -> None:
        file.write(key + "\n")
        file.flush()
        os.fsync(file.fileno())
        unfinished.replace(path)

    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            yield write
    finally:
        unfinished.unlink(missing_ok=True)


def write_key(path: Path, key: str) -> None:
    """Keep a key that is known; see `writing_key`."""
    with writing_key(path) as write:
        write(key)


_CPU: Final = Path("/proc/cpuinfo")
_NO_SERIAL: Final = "0" * 16


def register(settings: StationSettings, pin: str) -> Path:
    """Exchange a PIN for a key; return the key's file.

    Raises:
        StationError: the server does not accept the PIN.
        TransferError: the server does not answer.
    """
    if not settings.upload.url or settings.upload.kind == "object_store":
        raise StationError("no server to register with: set url in [upload]")
    form = {"pin": pin.strip(), "device_id": serial_of_this_computer(), "name": settings.name}
    path = "api/v1/activate/" if settings.upload.kind == "station" else "activate/"
    file = settings.path(settings.upload.key_file)
    with writing_key(file) as write, http_client(settings) as client:
        answer = send_request(client, "POST", path, data=form)
        if answer.status_code == 404:
            raise StationError(f"{answer.url}: nobody registers there; is url in [upload] right?")
        if answer.status_code != 200:
            raise StationError(f"activation failed: {reason_of(answer)}")
        key = _key_of(answer)
        if not key.isalnum():
            raise StationError("activation failed: the server gave no key")
        write(key)
    return file


def _key_of(answer: httpx.Response) -> str:
    try:
        told = answer.json()
    except ValueError:
        return ""
    return str(told.get("key", "")) if isinstance(told, dict) else ""


def serial_of_this_computer() -> str:
    """Return the serial number of a Raspberry Pi, zeros on others, as batonopc does."""
    try:
        lines = _CPU.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return _NO_SERIAL
    return next((line.split(":")[1].strip() for line in lines if line.startswith("Serial")), _NO_SERIAL)
