"""Sender for object stores (S3, Google, Azure, a folder): each batch becomes one object with a checksum beside it."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import ObjectStore, from_url

from pygnc_station.errors import RefusalError, StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.store.batches import Batch, BatchState
from pygnc_station.store.export import portable_name
from pygnc_station.upload.station_server import Sender

_PASSWORD: Final = re.compile(r"//[^/@]*:[^/@]*@")


class ObjectStoreSender(Sender):
    """Client of an object store; its credentials come from the environment variables of its own tools."""

    def __init__(self, settings: StationSettings) -> None:
        self._url = settings.upload.url
        self._station = portable_name(settings.name)
        self._store, self._name = open_bucket(self._url, "correct url in [upload]")

    def send(self, batch: Batch, path: Path) -> Batch:
        """Write a batch and then its checksum; see `Sender.send`."""
        name = f"{self._station}/{batch.file_name}"
        try:
            try:
                obstore.put(self._store, name, path, mode="create")
            except AlreadyExistsError:  # sent before, perhaps incompletely
                found = obstore.get(self._store, name).bytes()
                if hashlib.sha256(found).hexdigest() != batch.sha256:
                    obstore.put(self._store, name, path)
            obstore.put(self._store, f"{name}.sha256", f"{batch.sha256}  {batch.file_name}\n".encode())
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise RefusalError(
                f"{self._name}: the login is refused ({self._line(error)}); check its credentials"
            ) from None
        except BaseError as error:
            why = f"the batch cannot be written ({self._line(error)}); the next upload tries again"
            raise TransferError(f"{self._name}: {why}") from None
        return replace(batch, state=BatchState.ACCEPTED, remote_id=name[-120:])

    def check(self) -> str:
        """List the objects of this station; see `Sender.check`."""
        try:
            next(iter(obstore.list(self._store, prefix=self._station)), None)
        except BaseError as error:
            raise TransferError(f"{self._name}: {self._line(error)}; check url in [upload] and the login") from None
        return ""

    def _line(self, error: Exception) -> str:
        """Return the first line of an error, without credentials."""
        return first_line(error).replace(self._url, self._name)


def open_bucket(url: str, remedy: str) -> tuple[ObjectStore, str]:
    """Return an object store and its name without credentials; a folder is created if missing.

    Raises:
        StationError: the URL is invalid; the message ends with the remedy.
    """
    name = _PASSWORD.sub("//***@", url.partition("?")[0])
    try:
        if url.startswith("file://"):
            Path(url.removeprefix("file://")).mkdir(parents=True, exist_ok=True)
        return from_url(url), name
    except (BaseError, ValueError, OSError) as error:
        raise StationError(f"{name}: {first_line(error).replace(url, name)}; {remedy}") from None


def first_line(error: Exception) -> str:
    """Return the first line of an error."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
