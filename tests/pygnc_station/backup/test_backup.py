"""Backups of stations and servers, and their restoration while programs use the store."""

import os
import shutil
import sqlite3
import threading
import time
import zipfile
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_station.backup import database
from pygnc_station.backup.archive import read_info
from pygnc_station.commands.main import app
from pygnc_station.commands.systemd_units import unit_files
from pygnc_station.diagnosis.backups import examine_backup
from pygnc_station.settings_file import read_settings
from pygnc_station.store import query
from pygnc_station.store.readings import DAY_MS, clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from tests.fakes.s3 import s3_bucket
from tests.pygnc_station.server.samples import batch_of, server, station, upload
from tests.pygnc_station.store.samples import LAYOUT, new


def _invoke(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(item) for item in arguments])
    assert result.exit_code == code, result.output
    return result.output


def _write(folder: Path, more: str = "", url: str = "readings.db") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "station.toml"
    path.write_text(f'name = "roof"\n{more}\n[store]\nurl = "{url}"\n')
    return path


def _log(store: Store, ranks: range) -> None:
    store.append(store.stream("imu", LAYOUT), [new(rank) for rank in ranks])


def _times(store: Store) -> list[int]:
    return [item.t_utc_ms for item in query.between(store, query.streams(store))]


def _at(*ranks: int) -> list[int]:
    return [new(rank).t_utc_ms for rank in ranks]


def test_a_backup_is_written_and_restored_while_programs_use_the_store(tmp_path: Path, url: str) -> None:
    settings = _write(tmp_path / "pi", url=url)
    backups = tmp_path / "backups"
    with Store.open(url) as store:
        origin, first = store.origin, store.first_origin
        _log(store, range(5))
        text = _invoke("backup", backups, "--settings", settings)
        assert "bytes, checked" in text
        _log(store, range(5, 8))
        assert f"readings until {query.recent(store, query.streams(store), 1)[0].time}" in _invoke(
            "restore", backups, "--settings", settings, code=ExitCode.INPUT
        )
        assert "newest reading" in _invoke("restore", backups, "--replace", "--settings", settings)
        # The open store continues in the restored one, under a new origin.
        assert _times(store) == _at(*range(5))
        assert store.origin != origin
        assert store.first_origin == first
        assert store.stream("imu", LAYOUT).next_number == 6
        _log(store, range(8, 10))
        assert _times(store) == _at(*range(5), 8, 9)
    (path,) = backups.iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert read_info(path).name == "roof"


def test_a_store_that_is_written_meanwhile_is_copied_consistently(tmp_path: Path) -> None:
    settings = _write(tmp_path / "pi")
    is_over = threading.Event()
    with Store.open(str(tmp_path / "pi/readings.db")) as store:
        _log(store, range(2000))

        def write() -> None:
            rank = 2000
            while not is_over.is_set():
                _log(store, range(rank, rank + 10))
                rank += 10

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for _ in range(3):
                _invoke("backup", tmp_path / "backups", "--settings", settings)
        finally:
            is_over.set()
            writer.join()
    for path in (tmp_path / "backups").iterdir():
        with zipfile.ZipFile(path) as archive:
            archive.extract("readings.db", tmp_path)
        with closing(sqlite3.connect(tmp_path / "readings.db")) as connection:
            count, highest = connection.execute("SELECT count(*), max(number) FROM readings").fetchone()
            (following,) = connection.execute("SELECT next_number FROM streams").fetchone()
        assert (count, highest + 1) == (highest, following)
        assert count >= 2000


def test_a_damaged_backup_changes_nothing(tmp_path: Path) -> None:
    settings = _write(tmp_path / "pi")
    with Store.open(str(tmp_path / "pi/readings.db")) as store:
        _log(store, range(500))
    _invoke("backup", tmp_path / "backups", "--settings", settings)
    (path,) = (tmp_path / "backups").iterdir()
    content = path.read_bytes()
    middle = len(content) // 3
    flipped = content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :]
    for name, damaged in (("cut", content[:-100]), ("flip", flipped), ("text", b"readings")):
        other = tmp_path / f"{name}.zip"
        other.write_bytes(damaged)
        text = _invoke("restore", other, "--replace", "--settings", settings, code=ExitCode.INPUT)
        assert f"{name}.zip: not a backup, or damaged" in text
    with Store.open(str(tmp_path / "pi/readings.db")) as store:
        assert _times(store) == _at(*range(500))
    assert "no backup of roof is there" in _invoke(
        "restore", tmp_path / "empty", "--settings", settings, code=ExitCode.INPUT
    )


def test_a_new_card_gets_settings_key_and_readings_and_loses_nothing_on_the_server(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        home = tmp_path / "pi"
        settings = station(home, there.url, there.new_key())
        path = _write(home, f'[upload]\nurl = "{there.url}"\n')
        with Store.open(str(home / "readings.db")) as store:
            batch_of(store, settings, range(5))
            upload(store, settings)
            batch_of(store, settings, range(5, 7))  # waits
            _invoke("backup", tmp_path / "backups", "--settings", path)
            upload(store, settings)
            batch_of(store, settings, range(7, 9))
            upload(store, settings)
        shutil.rmtree(home)  # the card is dead
        text = _invoke("restore", tmp_path / "backups", "--folder", home)
        assert str(home / "station.toml") in text
        assert (home / "gateway_key.txt").stat().st_mode & 0o777 == 0o600
        with Store.open(str(home / "readings.db")) as store:
            assert _times(store) == _at(*range(7))
            store.append(store.stream("imu", LAYOUT), [new(rank) for rank in range(20, 23)])
            for _ in range(2):
                make_batch(store, settings, clock_ms())
                assert not upload(store, settings).rejected
        assert sorted(_times(there.store)) == _at(*range(9), 20, 21, 22)


def test_backups_in_an_object_store_are_kept_in_number_and_the_doctor_names_the_last(tmp_path: Path) -> None:
    bucket = tmp_path / "bucket"
    path = _write(tmp_path / "pi", f'[backup]\nurl = "file://{bucket}"\nkeep = 2\n')
    settings = read_settings(path)

    def finding(age_ms: int = 0) -> str:
        (found,) = examine_backup(settings, clock_ms() + age_ms)
        return f"{'+' if found.is_good else '-'} {found.text}"

    with Store.open(str(tmp_path / "pi/readings.db")) as store:
        _log(store, range(3))
    assert finding().startswith("- there is none")
    bucket.mkdir()
    for name in (
        "roof_20200101T000000Z.backup.zip",
        "roof_20200102T000000Z.backup.zip",
        "shed_20200101T000000Z.backup.zip",
    ):
        (bucket / name).write_bytes(b"")
    assert "roof_20200101T000000Z.backup.zip  deleted" in _invoke("backup", "--settings", path)
    names = sorted(item.name for item in bucket.iterdir())
    assert (len(names), names[0], names[2][:5]) == (3, "roof_20200102T000000Z.backup.zip", "shed_")
    assert finding().startswith("+ the last one is 0.0 h old")
    assert finding(3 * DAY_MS).startswith("- the last one is 3.0 days old")
    with Store.open(str(tmp_path / "pi/readings.db")) as store:
        _log(store, range(3, 5))
    _invoke("restore", f"file://{bucket}", "--replace", "--settings", path)
    _invoke("restore", f"file://{bucket}/{names[1]}", "--replace", "--settings", path)
    with Store.open(str(tmp_path / "pi/readings.db")) as store:
        assert _times(store) == _at(*range(3))
    assert finding().startswith("+ the last one is 0.0 h old")


@pytest.mark.slow
def test_a_backup_under_a_clock_set_ahead_is_neither_the_newest_nor_kept_longest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    backups = tmp_path / "backups"
    path = _write(tmp_path / "pi", f'[backup]\nurl = "{backups}"\nkeep = 2\n')
    ahead_ms = clock_ms() + 365 * DAY_MS
    with Store.open(str(tmp_path / "pi/readings.db")) as store:
        _log(store, range(3))
        monkeypatch.setattr("pygnc_station.commands.backups.clock_ms", lambda: ahead_ms)
        _invoke("backup", "--settings", path)
        monkeypatch.undo()
        (found,) = examine_backup(read_settings(path), clock_ms())
        assert not found.is_good
        assert "after the present time" in found.text
        _log(store, range(3, 5))
        _invoke("backup", "--settings", path)
    assert len([*backups.iterdir()]) == 2
    (found,) = examine_backup(read_settings(path), clock_ms())
    assert found.is_good
    _invoke("restore", backups, "--replace", "--settings", path)
    with Store.open(str(tmp_path / "pi/readings.db")) as store:
        assert _times(store) == _at(*range(5))
    monkeypatch.setattr("pygnc_station.commands.backups.clock_ms", lambda: clock_ms() + 10_000)
    assert f"roof_{datetime.fromtimestamp(ahead_ms / 1000, UTC):%Y%m%d}" in _invoke("backup", "--settings", path)
    assert all(item.name < f"roof_{datetime.now(UTC):%Y}9" for item in backups.iterdir())


def test_backups_in_s3_are_written_kept_in_number_and_restored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with s3_bucket(monkeypatch) as url:
        path = _write(tmp_path / "pi", f'[backup]\nurl = "{url}"\nkeep = 2\n')
        with Store.open(str(tmp_path / "pi/readings.db")) as store:
            stream = store.stream("imu", LAYOUT)
            # Incompressible, so that the backup is sent in several parts.
            store.append(stream, [new(rank)._replace(raw=os.urandom(20_000)) for rank in range(600)])
            for rank in range(3):
                assert ("deleted" in _invoke("backup", "--settings", path)) == (rank == 2)
                _log(store, range(600 + rank, 601 + rank))
                time.sleep(1.1)  # the names of backups contain seconds
        (found,) = examine_backup(read_settings(path), clock_ms())
        assert found.is_good, found.text
        _invoke("restore", url, "--replace", "--settings", path)
        with Store.open(str(tmp_path / "pi/readings.db")) as store:
            assert _times(store) == _at(*range(602))


def test_services_write_a_daily_backup(tmp_path: Path) -> None:
    path = _write(tmp_path / "pi", f'[backup]\nurl = "{tmp_path}/disk"\n[serve]\nport = 8321\n')
    for is_server, name in ((False, "pygnc-station-backup"), (True, "pygnc-station-server-backup")):
        made = unit_files(read_settings(path), path, "pi", is_server=is_server)
        assert "OnCalendar=03:10" in made[f"{name}.timer"]
        unit = made[f"{name}.service"]
        assert "station backup --settings" in unit
        assert f"{tmp_path}/disk" in next(row for row in unit.splitlines() if row.startswith("ReadWritePaths="))
    path = _write(tmp_path / "pi")
    assert not [name for name in unit_files(read_settings(path), path, "pi") if "backup" in name]


def test_received_files_of_a_server_are_restored(tmp_path: Path) -> None:
    path = _write(tmp_path / "server", "[serve]\nport = 0\n")
    received = tmp_path / "server/server_data/files/1234/sense.bin"
    received.parent.mkdir(parents=True)
    received.write_bytes(b"flight")
    with Store.open(str(tmp_path / "server/readings.db")) as store:
        origin = store.origin
        _log(store, range(3))
    _invoke("backup", tmp_path / "backups", "--settings", path)
    shutil.rmtree(tmp_path / "server")
    other = tmp_path / "backups/shed_20200101T000000Z.backup.zip"
    other.write_bytes(b"")
    text = _invoke("restore", tmp_path / "backups", "--folder", tmp_path / "server", code=ExitCode.INPUT)
    assert "there are backups of roof, shed; name the zip of one" in text
    other.unlink()
    _invoke("restore", tmp_path / "backups", "--folder", tmp_path / "server")
    assert received.read_bytes() == b"flight"
    with Store.open(str(tmp_path / "server/readings.db")) as store:
        assert (store.origin, _times(store)) == (origin, _at(0, 1, 2))


def test_the_password_of_the_database_is_on_no_command_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("mariadb-dump", "mysqldump"):
        (tools / name).write_text('#!/bin/sh\necho "$@" > "$0.words"\ncat "${1#*=}" > "$0.options"\nexit 1\n')
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    with pytest.raises(Exception, match="mysql://pi"):
        database.copy_database('mysql://pi:se"cret@127.0.0.1:9/readings', tmp_path)
    seen = [(tools / f"mariadb-dump.{part}").read_text() for part in ("words", "options")]
    assert "cret" not in seen[0]
    assert 'password = "se\\"cret"' in seen[1]


def test_a_missing_program_of_the_database_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(Exception, match="mariadb-client"):
        database.copy_database("mysql://pi:secret@127.0.0.1:9/readings", tmp_path)
