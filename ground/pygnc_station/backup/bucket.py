"""Object stores as places of backups."""

import hashlib
from pathlib import Path
from typing import Final

import obstore
from obstore.exceptions import BaseError

from pygnc_station.backup.places import Place
from pygnc_station.errors import TransferError
from pygnc_station.upload.object_store import first_line, open_bucket

_CHUNK_BYTES: Final = 1 << 20
_REMEDY: Final = "check the URL and the login"


class Bucket(Place):
    """Object store; its credentials come from the environment variables of its own tools.

    Its methods raise TransferError if the store does not respond or refuses the request.
    """

    def __init__(self, url: str) -> None:
        self._store, self.name = open_bucket(url, _REMEDY)
        self._url = url

    def scratch(self, folder: Path) -> Path:
        """Return `folder`."""
        return folder

    def names(self) -> list[str]:
        """Return the names of the files."""
        try:
            return [item["path"] for page in obstore.list(self._store) for item in page]
        except BaseError as error:
            raise self._failure(error) from None

    def put(self, path: Path) -> None:
        """Store a file under its name, and compare what the store returns with the file."""
        try:
            obstore.put(self._store, path.name, path)
            digest = hashlib.sha256()
            for chunk in obstore.get(self._store, path.name).stream(min_chunk_size=_CHUNK_BYTES):
                digest.update(chunk)
        except BaseError as error:
            raise self._failure(error) from None
        if digest.hexdigest() != _digest(path):
            raise TransferError(f"{self.name}: {path.name} cannot be read back as it was written")

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file."""
        try:
            with target.open("wb") as file:
                for chunk in obstore.get(self._store, name).stream(min_chunk_size=_CHUNK_BYTES):
                    file.write(chunk)
        except BaseError as error:
            raise self._failure(error) from None

    def remove(self, name: str) -> None:
        """Delete a file."""
        try:
            obstore.delete(self._store, name)
        except BaseError as error:
            raise self._failure(error) from None

    def _failure(self, error: BaseError) -> TransferError:
        line = first_line(error).replace(self._url, self.name)
        return TransferError(f"{self.name}: {line}; {_REMEDY}")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
