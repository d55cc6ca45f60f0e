"""`pygnc station backup | restore`: backups of stations and servers, while they run."""

from pathlib import Path
from typing import Annotated

import typer

from pygnc_station.backup.archive import (
    RECEIVED,
    SETTINGS,
    found_backup,
    newest_reading_ms,
    read_info,
    remove_old,
    restore_database,
    restore_files,
    write_backup,
)
from pygnc_station.commands.common import SettingsOption, command
from pygnc_station.errors import StationError
from pygnc_station.settings import StationSettings
from pygnc_station.settings_file import find_settings, read_settings
from pygnc_station.store.readings import clock_ms, iso_time
from pygnc_station.store.store import Store


@command(example="pygnc station backup /media/disk/backups")
def backup(
    where: Annotated[
        str, typer.Argument(metavar="[DIR|URL]", help="Folder or object store; by default url in [backup].")
    ] = "",
    settings: SettingsOption = None,
) -> None:
    """Write a backup of readings, settings, key and received files, and check it; programs may run meanwhile.

    With url in [backup], the oldest backups there are deleted above the number in keep.
    """
    file = settings or find_settings()
    chosen = read_settings(file)
    place = where or chosen.backup.url
    if not place:
        raise StationError("no place for the backup; name a folder or URL, or set url in [backup]")
    now_ms = clock_ms()
    last = write_backup(chosen, file, place, now_ms)
    typer.echo(f"{last.place}/{last.name}  {last.bytes} bytes, checked")
    if not where:
        for name in remove_old(chosen, place, chosen.backup.keep, now_ms):
            typer.echo(f"{last.place}/{name}  deleted")


@command(example="pygnc station restore /media/disk/backups --replace")
def restore(
    where: Annotated[
        str, typer.Argument(metavar="FILE|DIR|URL", help="Backup, or folder or object store with the newest one.")
    ],
    settings: SettingsOption = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder of a new card or disk, which gets the settings and the key too.")
    ] = None,
    *,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the readings that the store contains.")] = False,
) -> None:
    """Restore a backup, while programs may run; existing settings, keys and received files stay."""
    chosen = StationSettings(folder=str(folder)) if folder else read_settings(settings or find_settings())
    with found_backup(chosen, where, clock_ms(), "" if folder else chosen.name) as path:
        info = read_info(path)
        restored = restore_files(path, SETTINGS, folder or Path(chosen.folder))
        if folder:
            chosen = read_settings(settings or _settings_in(folder))
        if not replace:
            _require_empty(chosen)
        restore_database(chosen, path)
        if chosen.is_server:
            restored += restore_files(path, RECEIVED, chosen.path(chosen.serve.folder))
    for item in restored:
        typer.echo(item)
    newest = f"newest reading {iso_time(info.newest_ms)}" if info.newest_ms is not None else "no readings"
    typer.echo(f"{info.name} of {info.created} is restored: {newest}")


def _settings_in(folder: Path) -> Path:
    found = [*folder.glob("*.toml"), *folder.glob("*.yaml")]
    if len(found) != 1:
        raise StationError(f"{folder}: {len(found)} settings files; name one by --settings")
    return found[0]


def _require_empty(settings: StationSettings) -> None:
    with Store.open(settings.store_url) as store:
        newest_ms = newest_reading_ms(store)
    if newest_ms is not None:
        until = f"readings until {iso_time(newest_ms)}"
        raise StationError(f"the store contains {until}; --replace replaces them by those of the backup")
