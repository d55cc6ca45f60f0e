"""Makes a station a gateway of a server: a PIN for a key."""

from pathlib import Path
from typing import Final

import httpx

from pygnc_station.station.errors import StationError
from pygnc_station.station.http import ask, http_client, reason_of
from pygnc_station.station.key_file import writing_key
from pygnc_station.station.settings import Settings

_CPU: Final = Path("/proc/cpuinfo")
_NO_SERIAL: Final = "0" * 16


def register(settings: Settings, pin: str) -> Path:
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
        answer = ask(client, "POST", path, data=form)
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
