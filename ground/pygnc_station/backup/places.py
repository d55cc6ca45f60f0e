"""Places of backups: folders, and the interface of others."""

import shutil
from abc import ABC, abstractmethod
from pathlib import Path

from pygnc_system.files import durable_rename, sync_file


class Place(ABC):
    """Place of backups.

    Attributes:
        name: description without a password.
    """

    name: str

    @abstractmethod
    def scratch(self, folder: Path) -> Path:
        """Return a folder for temporary files, in which a file that is stored here is written; by default `folder`."""

    @abstractmethod
    def names(self) -> list[str]:
        """Return the names of the files."""

    @abstractmethod
    def put(self, path: Path) -> None:
        """Store a file under its name; what was stored equals the file."""

    @abstractmethod
    def fetch(self, name: str, target: Path) -> None:
        """Copy a file."""

    @abstractmethod
    def remove(self, name: str) -> None:
        """Delete a file."""


class Folder(Place):
    """Folder on a disk, which is created if missing."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = str(path)

    def scratch(self, folder: Path) -> Path:  # noqa: ARG002 - the disk of this folder has the space
        """Return this folder, so that no file has to be copied to another disk."""
        self.path.mkdir(parents=True, exist_ok=True)
        return self.path

    def names(self) -> list[str]:
        """Return the names of the files."""
        return [path.name for path in self.path.iterdir() if path.is_file()] if self.path.is_dir() else []

    def put(self, path: Path) -> None:
        """Move a file of `scratch` here."""
        sync_file(path)
        durable_rename(path, self.path / path.name)

    def fetch(self, name: str, target: Path) -> None:
        """Copy a file."""
        shutil.copyfile(self.path / name, target)

    def remove(self, name: str) -> None:
        """Delete a file."""
        (self.path / name).unlink(missing_ok=True)
