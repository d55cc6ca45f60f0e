"""Backups: zip files with the database, the files of a server, the settings and the key, and their restoration.

A backup is written beside the others, read again and compared with its checksums, and only then gets its name. A
restoration checks a backup before it changes anything, and never overwrites an existing file.
"""

import contextlib
import logging
import re
import shutil
import zipfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from functools import partial
from itertools import chain
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from sqlalchemy import func, select

import pygnc_system
from pygnc_station.backup.database import copy_database, entry_of, restore_copy
from pygnc_station.backup.places import Folder, Place
from pygnc_station.batch_format import MANIFEST, METADATA, BatchWriter, Manifest, check_digests
from pygnc_station.errors import StationError, StoreError
from pygnc_station.settings import StationSettings
from pygnc_station.store import schema
from pygnc_station.store.clock import FUTURE_MS
from pygnc_station.store.export import portable_name
from pygnc_station.store.readings import iso_time
from pygnc_station.store.schema import REVISION
from pygnc_station.store.store import Store, fact, put_row

SETTINGS: Final = "settings/"
"""Folder of the settings, the key and files with secrets in a backup."""
RECEIVED: Final = "received/"
"""Folder of the files that a server has received."""
_FORMAT: Final = 1
_NAME: Final = re.compile(r"(.+)_(\d{8}T\d{6}Z)\.backup\.zip")
_STAMP: Final = "%Y%m%dT%H%M%SZ"
_LAST: Final = "backup"
"""Fact: the last backup."""
_SUFFIX: Final = ".backup.zip"
_LEVEL: Final = 1
"""A higher level takes several times as long, for a tenth of the size."""
_COPY_BYTES: Final = 1 << 20
_log: Final = logging.getLogger(__name__)


class BackupInfo(msgspec.Struct, frozen=True):
    """Content of a backup.

    Attributes:
        format: version of this format.
        name: name of the station or server.
        created: time of the backup, ISO 8601.
        version: version of PyGNC that has written it.
        revision: revision of the tables.
        newest_ms: time of the newest reading, None if there is none.
    """

    format: int
    name: str
    created: str
    version: str
    revision: str
    newest_ms: int | None


class LastBackup(msgspec.Struct, frozen=True):
    """Time, name, place and size of the last backup of a store."""

    time_ms: int
    name: str
    place: str
    bytes: int


def write_backup(settings: StationSettings, file: Path, where: str, now_ms: int) -> LastBackup:
    """Write a backup, check it, and record it in the store.

    Args:
        settings: settings of the station or server.
        file: file of the settings.
        where: folder or URL.
        now_ms: current time, milliseconds since 1970 (UTC).

    Raises:
        StationError: the place is invalid, or a program is missing.
        StoreError: the database cannot be read, or its copy is damaged.
        TransferError: an object store does not accept the backup.
        OSError: the backup cannot be written.
    """
    place = place_of(where, Path(settings.folder))
    with _scratch(place, settings) as folder:
        path = folder / f"{portable_name(settings.name)}_{_stamp(now_ms)}{_SUFFIX}"
        copy = copy_database(settings.store_url, folder)
        with closing(BatchWriter(path, now_ms, _LEVEL)) as writer:
            _add(writer, copy.name, copy)
            for name, source in _files(settings, file):
                _add(writer, name, source)
            writer.finish(_describe(settings, now_ms))
        copy.unlink()
        read_info(path)
        last = LastBackup(now_ms, path.name, place.name, path.stat().st_size)
        place.put(path)
    _record(settings, last)
    return last


def _record(settings: StationSettings, last: LastBackup) -> None:
    with Store.open(settings.store_url) as store, store.writes() as connection:
        put_row(connection, schema.facts, {"name": _LAST, "value": msgspec.json.encode(last).decode()})


def remove_old(settings: StationSettings, where: str, keep: int, now_ms: int) -> list[str]:
    """Delete the oldest backups of a station while there are more than `keep`; return their names."""
    place = place_of(where, Path(settings.folder))
    old = _backups(place, now_ms).get(portable_name(settings.name), [])[:-keep]
    for name in old:
        place.remove(name)
    return old


def _backups(place: Place, now_ms: int) -> dict[str, list[str]]:
    """Return the names of the backups of each station, the oldest first.

    A backup that is dated after the present time was written under a wrong clock, and precedes the others.
    """
    latest = _stamp(now_ms + FUTURE_MS)
    matches = filter(None, map(_NAME.fullmatch, place.names()))
    found: dict[str, list[str]] = {}
    for match in sorted(matches, key=lambda match: (match[2] <= latest, match[2])):
        found.setdefault(match[1], []).append(match[0])
    return found


def _stamp(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).strftime(_STAMP)


def last_backup(store: Store) -> LastBackup | None:
    """Return the last backup that a store records."""
    with store.reads() as connection:
        text = fact(connection, _LAST)
    return msgspec.json.decode(text, type=LastBackup) if text else None


@contextmanager
def found_backup(settings: StationSettings, where: str, now_ms: int, station: str = "") -> Iterator[Path]:
    """Yield the file of a backup: a zip file or its URL, or the newest one of a station in a folder or object store.

    Args:
        settings: settings of the station or server, of which only the folders are used.
        where: path or URL.
        now_ms: current time, milliseconds since 1970 (UTC).
        station: name of the station; "" for the only one that has backups there.

    Raises:
        StationError: there is no backup.
        TransferError: an object store does not respond.
    """
    parent, _, name = where.rpartition("/")
    if "://" not in where and Path(where).is_file():
        yield Path(where)
        return
    place = place_of(parent if name.endswith(".zip") else where, Path(settings.folder))
    if not name.endswith(".zip"):
        found = _backups(place, now_ms)
        if not station and len(found) > 1:
            raise StationError(f"{where}: there are backups of {', '.join(sorted(found))}; name the zip of one")
        names = found.get(portable_name(station), []) if station else [*chain(*found.values())]
        name = names[-1] if names else ""
    if name not in place.names():
        raise StationError(f"{where}: no backup{' of ' * bool(station)}{station} is there; name the folder, URL or zip")
    with TemporaryDirectory(dir=_database_folder(settings)) as folder:
        path = Path(folder) / name
        place.fetch(name, path)
        yield path


def read_info(path: Path) -> BackupInfo:
    """Read a whole backup, compare it with its checksums, and return what it contains.

    Raises:
        StationError: the file is no backup, is damaged, or is of a newer version.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            check_digests(archive, msgspec.json.decode(archive.read(MANIFEST), type=Manifest))
            info = msgspec.json.decode(archive.read(METADATA), type=BackupInfo)
    except (zipfile.BadZipFile, KeyError, EOFError, ValueError, zipfile.LargeZipFile) as error:
        raise StationError(f"{path}: not a backup, or damaged: {error}; use another one") from None
    if info.format != _FORMAT or info.revision > REVISION:
        raise StationError(f"{path}: the backup is of a newer PyGNC ({info.version}); update this one")
    return info


def restore_database(settings: StationSettings, path: Path) -> None:
    """Replace the content of the store by that of a checked backup, while programs use the store.

    The record of the last backup stays: the backup was written before the record of itself.

    Raises:
        StationError: the backup is of another kind of database.
        StoreError: the database cannot be written.
    """
    entry, last = entry_of(settings.store_url), None
    with contextlib.suppress(StoreError), Store.open(settings.store_url) as store:  # it may be damaged
        last = last_backup(store)
    with zipfile.ZipFile(path) as archive, TemporaryDirectory(dir=_database_folder(settings)) as folder:
        if entry not in archive.namelist():
            raise StationError(f"{path}: the backup contains no {entry}; url in [store] names another kind of database")
        copy = Path(folder) / entry
        copy.touch(mode=0o600)
        with archive.open(entry) as source, copy.open("wb") as target:
            shutil.copyfileobj(source, target, _COPY_BYTES)
        restore_copy(settings.store_url, copy, is_station=bool(settings.device) or not settings.is_server)
    if last is not None:
        _record(settings, last)


def restore_files(path: Path, prefix: str, folder: Path) -> list[Path]:
    """Extract the files below a folder of a checked backup that do not exist yet; return their paths.

    Raises:
        StationError: an entry would be outside of the folder.
    """
    written = []
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            if not name.startswith(prefix):
                continue
            relative = PurePosixPath(name.removeprefix(prefix))
            if relative.is_absolute() or ".." in relative.parts or not relative.parts:
                raise StationError(f"{path}: invalid name of an entry, {name!r:.80}")
            target = folder / relative
            if target.exists():
                continue
            target.parent.mkdir(parents=True, exist_ok=True)
            target.touch(mode=0o600)
            with archive.open(name) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file, _COPY_BYTES)
            written.append(target)
    return written


def place_of(where: str, folder: Path) -> Place:
    """Return a place by its path, which is relative to `folder`, or by its URL.

    Raises:
        StationError: the URL is invalid.
    """
    if "://" in where:
        from pygnc_station.backup.bucket import Bucket  # noqa: PLC0415 - loads its library on demand

        return Bucket(where)
    return Folder(folder / Path(where).expanduser())


@contextmanager
def _scratch(place: Place, settings: StationSettings) -> Iterator[Path]:
    with TemporaryDirectory(prefix=".backup-", dir=place.scratch(_database_folder(settings))) as folder:
        yield Path(folder)


def _database_folder(settings: StationSettings) -> Path:
    """Return the folder of an SQLite database, whose disk has room for a copy, or that of the settings."""
    folder = Path(settings.folder) if "://" in settings.store_url else Path(settings.store_url).parent
    folder.mkdir(parents=True, exist_ok=True)
    return folder.absolute()


def _files(settings: StationSettings, file: Path) -> Iterator[tuple[str, Path]]:
    """Yield the entries and paths of the files of a backup."""
    home = Path(settings.folder).resolve()
    names = [file, home / ".env", settings.path(settings.upload.key_file)]
    if settings.is_server and settings.serve.alerts.urls_file:
        names.append(settings.path(settings.serve.alerts.urls_file))
    for path in names:
        if path.is_file():
            inside = path.resolve().is_relative_to(home)
            yield f"{SETTINGS}{path.resolve().relative_to(home).as_posix() if inside else path.name}", path
    if settings.is_server:
        received = settings.path(settings.serve.folder)
        for path in sorted((received / "files").rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield f"{RECEIVED}{path.relative_to(received).as_posix()}", path


def _add(writer: BatchWriter, name: str, path: Path) -> None:
    with path.open("rb") as file:
        writer.add(name, iter(partial(file.read, _COPY_BYTES), b""))


def _describe(settings: StationSettings, now_ms: int) -> BackupInfo:
    with Store.open(settings.store_url) as store:
        newest_ms = newest_reading_ms(store)
    return BackupInfo(_FORMAT, settings.name, iso_time(now_ms), pygnc_system.__version__, REVISION, newest_ms)


def newest_reading_ms(store: Store) -> int | None:
    """Return the latest time of a reading in a store, None if there is none."""
    r, s = schema.readings.c, schema.streams.c
    newest = select(func.max(r.t_utc_ms)).where(r.stream_id == s.id).scalar_subquery()
    with store.reads() as connection:
        found = connection.execute(select(newest).select_from(schema.streams)).scalars().all()
    return max((t_utc_ms for t_utc_ms in found if t_utc_ms is not None), default=None)
