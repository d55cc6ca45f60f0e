"""Folder with the files of a campaign: on this computer, or at an address that fsspec knows, such as s3://bucket/noise."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pygnc_system.files import durable_write

_LOCK: Final = ".lock"
_WRITE_S: Final = 5.0
_REMOTE_WRITE_S: Final = 60.0


class Folder:
    """Folder on this computer. Names of files are relative to it, with slashes."""

    write_s = _WRITE_S
    """Time after which finished runs are written."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __str__(self) -> str:
        return str(self._path)

    def place(self, name: str) -> str:
        """Return the path or address of a file."""
        return str(self._path / name)

    def names(self, below: str = "") -> set[str]:
        """Return the names of the files and folders in the folder `below`; none if it does not exist."""
        path = self._path / below
        return {entry.name for entry in path.iterdir()} if path.is_dir() else set()

    def is_file(self, name: str) -> bool:
        """Return True if a file has this name."""
        return (self._path / name).is_file()

    def read(self, name: str) -> bytes:
        """Return the content of a file.

        Raises:
            OSError: The file cannot be read.
        """
        return (self._path / name).read_bytes()

    def write(self, name: str, content: bytes) -> None:
        """Write a file; a reader finds it as a whole or not at all.

        Raises:
            OSError: The disk is full or gone.
        """
        path = self._path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        durable_write(path, content)

    def delete(self, name: str) -> None:
        """Delete a file if it exists."""
        (self._path / name).unlink(missing_ok=True)

    def size(self, below: str) -> int:
        """Return the bytes of a file, or of the files in a folder; 0 if it does not exist."""
        path = self._path / below
        files = path.iterdir() if path.is_dir() else [path] if path.exists() else []
        return sum(each.stat().st_size for each in files)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing to the folder, which is created if it is missing.

        Raises:
            OSError: The folder cannot be written.
            ValueError: Another process writes to it.
        """
        self._path.mkdir(parents=True, exist_ok=True)
        lock = os.open(self._path / _LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise ValueError(f"{self}: another process computes this campaign; wait until it has ended") from None
            yield
        finally:
            os.close(lock)


class RemoteFolder(Folder):
    """Folder at an address that fsspec knows; its credentials come from the environment, as that package documents.

    Object stores have no locks: nothing keeps two processes from computing the same campaign.
    """

    write_s = _REMOTE_WRITE_S

    def __init__(self, address: str) -> None:
        """Find the package for the address.

        Raises:
            ValueError: No package for such addresses is installed.
        """
        self._address = address.rstrip("/")
        try:
            self._files, self._root = _opened(self._address)
        except (ImportError, ValueError) as error:
            raise ValueError(f"{address}: {error}; install the package for such addresses, or name a folder") from error

    def __str__(self) -> str:
        return self._address

    def place(self, name: str) -> str:
        """Return the address of a file."""
        return f"{self._address}/{name}"

    def names(self, below: str = "") -> set[str]:
        """Return the names of the files and folders in the folder `below`; none if it does not exist."""
        names = (entry["name"].rstrip("/") for entry in self._listed(below))
        return {name.rpartition("/")[2] for name in names if name != f"{self._root}/{below}".rstrip("/")}

    def _listed(self, below: str) -> list[dict[str, Any]]:
        self._files.dircache.clear()  # not all file systems implement `invalidate_cache`
        try:
            return list(self._ask(self._files.ls, f"{self._root}/{below}".rstrip("/"), detail=True))
        except FileNotFoundError:
            return []

    def _ask(self, operation: Callable[..., Any], *arguments: object, **options: object) -> Any:  # noqa: ANN401
        """Call an operation of the file system, whose package raises exceptions of its own.

        Raises:
            FileNotFoundError: There is no such file.
            ConnectionError: The store does not answer, or refuses.
        """
        try:
            return operation(*arguments, **options)
        except FileNotFoundError:
            raise
        except Exception as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            raise ConnectionError(f"{self}: {reason}; check the address and the login") from error

    def is_file(self, name: str) -> bool:
        """Return True if a file has this name."""
        return bool(self._ask(self._files.isfile, f"{self._root}/{name}"))

    def read(self, name: str) -> bytes:
        """Return the content of a file."""
        return bytes(self._ask(self._files.cat_file, f"{self._root}/{name}"))

    def write(self, name: str, content: bytes) -> None:
        """Write a file; a reader of an object store finds it as a whole or not at all."""
        path = f"{self._root}/{name}"
        self._ask(self._files.makedirs, path.rpartition("/")[0], exist_ok=True)
        self._ask(self._files.pipe_file, path, content)

    def delete(self, name: str) -> None:
        """Delete a file if it exists."""
        try:
            self._ask(self._files.rm_file, f"{self._root}/{name}")
        except FileNotFoundError:
            return

    def size(self, below: str) -> int:
        """Return the bytes of a file, or of the files in a folder; 0 if it does not exist."""
        try:
            # `du` of some file systems is 0, and `ls` of a file at some is empty.
            found = self._listed(below) or [self._ask(self._files.info, f"{self._root}/{below}")]
        except FileNotFoundError:
            return 0
        return sum(int(entry["size"] or 0) for entry in found)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Do nothing."""
        yield


def _opened(address: str) -> tuple[Any, str]:
    """Return the file system of an address and the path in it; obstore replaces a package that is not installed."""
    from fsspec.core import url_to_fs  # noqa: PLC0415 - of an extra, which local folders do without

    opened: tuple[Any, str]
    try:
        opened = url_to_fs(address)
    except ImportError as error:
        try:
            from obstore.fsspec import register  # noqa: PLC0415 - only without the usual package
        except ImportError:
            raise error from None
        register(address.partition("://")[0])
        opened = url_to_fs(address)
    return opened


def folder_of(place: Path | str) -> Folder:
    """Return the folder at a path or address.

    Raises:
        ValueError: No package for such addresses is installed.
    """
    return RemoteFolder(place) if isinstance(place, str) and "://" in place else Folder(Path(place))
