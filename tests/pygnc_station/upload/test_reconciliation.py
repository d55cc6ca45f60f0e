"""Servers whose database is restored from a backup, and stations that send again what these servers have lost."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from msgspec.structs import replace
from typer.testing import CliRunner

from pygnc_station.commands.doctor import examine
from pygnc_station.commands.main import app
from pygnc_station.server.background import check_alerts
from pygnc_station.server.fleet import read_fleet
from pygnc_station.settings import StationSettings
from pygnc_station.settings_file import read_settings
from pygnc_station.store import query
from pygnc_station.store.batches import BatchState, batches
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.uploader import UploadReport
from tests.pygnc_station.server.samples import Running, batch_of, server, station, upload
from tests.pygnc_station.store.samples import new

NAMES = ("roof", "cellar")


class Fleet:
    """Two stations with stores of their own."""

    def __init__(self, folder: Path, there: Running) -> None:
        self.settings = {name: station(folder / name, there.url, there.new_key(name), name=name) for name in NAMES}
        self._folder = folder
        self._next = dict.fromkeys(NAMES, 0)

    def store(self, name: str) -> Store:
        return Store.open(str(self._folder / f"{name}.db"))

    def log(self, name: str, count: int) -> None:
        first = self._next[name]
        self._next[name] += count
        with self.store(name) as store:
            batch_of(store, self.settings[name], range(first, first + count), gadget=f"imu {name}")

    def upload(self, name: str) -> UploadReport:
        with self.store(name) as store:
            make_batch(store, self.settings[name], clock_ms())
            return upload(store, self.settings[name])

    def check(self, there: Store) -> None:
        """Check that the server has every reading once."""
        for name in NAMES:
            found = query.between(there, query.streams(there, f"imu {name}"))
            assert [item.t_utc_ms for item in found] == [new(rank).t_utc_ms for rank in range(self._next[name])]


@contextmanager
def _served(folder: Path, fleet: Fleet) -> Iterator[Running]:
    """Start a server anew, and point the stations to its address."""
    with server(folder) as there:
        for name, settings in fleet.settings.items():
            fleet.settings[name] = replace(settings, upload=replace(settings.upload, url=there.url))
        yield there


def _restore(folder: Path, backup: Path) -> None:
    shutil.rmtree(folder)
    shutil.copytree(backup, folder)


@pytest.mark.parametrize("zips", ["kept", "deleted"])
def test_stations_send_again_what_a_restored_server_has_lost(
    tmp_path: Path, zips: str, caplog: pytest.LogCaptureFixture
) -> None:
    home = tmp_path / "server"
    with server(home) as there:
        fleet = Fleet(tmp_path, there)
        for name in NAMES:
            fleet.log(name, 5)
            assert fleet.upload(name).notes == []
    shutil.copytree(home, tmp_path / "yesterday")
    with _served(home, fleet) as there:
        for _ in range(3):
            for name in NAMES:
                fleet.log(name, 4)
                fleet.upload(name)
        fleet.check(there.store)
    _restore(home, tmp_path / "yesterday")
    if zips == "deleted":
        for name in NAMES:
            shutil.rmtree(tmp_path / name / "batches_uploaded")
    with _served(home, fleet) as there:
        for name in NAMES:
            fleet.log(name, 2)
            report = fleet.upload(name)
            assert "has lost 3 batches with 12 readings" in report.notes[0]
            fleet.upload(name)
        fleet.check(there.store)
        with fleet.store("roof") as store:
            assert [batch.state for batch in batches(store)] == [BatchState.ACCEPTED] * 5
        # The operator of the server is told.
        assert "batches that were accepted from gateway roof are unknown here" in caplog.text
        check_alerts(there.store, StationSettings(folder=str(tmp_path)), [], tmp_path, clock_ms())
        with there.store.reads() as connection:
            found = read_fleet(connection, clock_ms(), StationSettings().serve.alerts)
        assert [[alert.name for alert in gateway.alerts] for gateway in found.gateways] == [["restored"]] * 2
        for name in NAMES:
            assert fleet.upload(name).notes == []


def test_a_restoration_between_two_batches_of_one_upload_is_noticed(tmp_path: Path) -> None:
    home = tmp_path / "server"
    with server(home) as there:
        fleet = Fleet(tmp_path, there)
        fleet.log("roof", 5)
        fleet.upload("roof")
    shutil.copytree(home, tmp_path / "backup")
    with _served(home, fleet) as there:
        fleet.log("roof", 4)
        fleet.log("roof", 3)
        fleet.upload("roof")
        fleet.upload("roof")  # checks the two
    _restore(home, tmp_path / "backup")
    with _served(home, fleet) as there:
        fleet.log("roof", 2)
        with fleet.store("roof") as store, pytest.MonkeyPatch.context() as patch:
            # As if the backup was restored after the check at the beginning of this upload.
            patch.setattr("pygnc_station.upload.uploader.reconcile", lambda *_: [])
            assert upload(store, fleet.settings["roof"]).accepted
        assert "has lost 2 batches with 7 readings" in fleet.upload("roof").notes[0]
        fleet.upload("roof")
        fleet.check(there.store)


def test_another_server_gets_earlier_readings_only_on_demand(tmp_path: Path) -> None:
    with server(tmp_path / "one") as there:
        fleet = Fleet(tmp_path, there)
        fleet.log("roof", 5)
        fleet.upload("roof")
        fleet.upload("roof")
    with _served(tmp_path / "two", fleet) as there:
        fleet.settings["roof"] = station(tmp_path / "roof", there.url, there.new_key("roof"))
        fleet.log("roof", 2)
        (note,) = fleet.upload("roof").notes
        assert "another server than before" in note
        assert len(query.between(there.store, query.streams(there.store))) == 2
        assert fleet.upload("roof").notes == []
        toml = tmp_path / "roof/station.toml"
        toml.write_text(f'name = "roof"\n[store]\nurl = "{tmp_path}/roof.db"\n[upload]\nurl = "{there.url}"\n')
        for since, count in (("2100-01-01", 0), ("2020-01-01", 2)):
            result = CliRunner().invoke(app, ["batch", "--again", "--since", since, "--settings", str(toml)])
            assert f"{count} batches" in result.output, result.output
        fleet.upload("roof")
        times = [item.t_utc_ms for item in query.between(there.store, query.streams(there.store))]
        assert times == [new(rank).t_utc_ms for rank in range(7)]


def test_readings_that_are_sent_again_by_hand_are_stored_once(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        fleet = Fleet(tmp_path, there)
        fleet.log("roof", 5)
        fleet.log("roof", 3)
        fleet.upload("roof")
        with there.store.writes() as connection:  # as after an accident in the server's database
            connection.exec_driver_sql("DELETE FROM readings WHERE number IN (2, 7)")
        toml = tmp_path / "roof/station.toml"
        toml.write_text(f'name = "roof"\n[store]\nurl = "{tmp_path}/roof.db"\n[upload]\nurl = "{there.url}"\n')
        result = CliRunner().invoke(app, ["batch", "--again", "--since", "2020-01-01", "--settings", str(toml)])
        assert result.output == "2 batches with 8 readings are ready again\nnothing new\n"
        findings = examine(read_settings(toml), clock_ms() / 1000)
        assert any("2 batches that the server had accepted wait" in item.text for item in findings)
        fleet.upload("roof")
        found = query.between(there.store, query.streams(there.store))
        assert [item.number for item in found] == list(range(1, 9))
        for words in (["--again"], ["--since", "2026-01-01"], ["some"], ["--again", "some", "--since", "2026-01-01"]):
            assert CliRunner().invoke(app, ["batch", *words, "--settings", str(toml)]).exit_code == 2


def test_batches_whose_readings_were_deleted_are_named(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    home = tmp_path / "server"
    with server(home) as there:
        fleet = Fleet(tmp_path, there)
        fleet.log("roof", 5)
        fleet.upload("roof")
        shutil.copytree(home, tmp_path / "backup")
        fleet.log("roof", 4)
        fleet.upload("roof")
    _restore(home, tmp_path / "backup")
    shutil.rmtree(tmp_path / "roof/batches_uploaded")
    with fleet.store("roof") as store, store.writes() as connection:
        connection.exec_driver_sql("DELETE FROM readings WHERE number IN (7, 8)")
    with _served(home, fleet) as there:
        fleet.upload("roof")
        fleet.upload("roof")
        fleet.upload("roof")
        assert len(query.between(there.store, query.streams(there.store))) == 7
    assert "2 of its 4 readings were deleted from the store" in caplog.text


def test_a_server_of_an_older_version_is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = httpx.Client.request

    def older(client: httpx.Client, method: str, url: str, **content: object) -> httpx.Response:
        return request(client, method, "api/v0/" if "gateway" in url else url, **content)  # type: ignore[arg-type]

    monkeypatch.setattr(httpx.Client, "request", older)
    with server(tmp_path / "server") as there:
        fleet = Fleet(tmp_path, there)
        fleet.log("roof", 5)
        assert fleet.upload("roof").accepted
        fleet.check(there.store)


def test_batches_that_an_older_station_has_sent_are_checked_once(tmp_path: Path) -> None:
    home = tmp_path / "server"
    with server(home) as there:
        fleet = Fleet(tmp_path, there)
        fleet.log("roof", 5)
        fleet.upload("roof")
    shutil.copytree(home, tmp_path / "backup")
    with _served(home, fleet) as there:
        fleet.log("roof", 4)
        fleet.upload("roof")
    _restore(home, tmp_path / "backup")
    with fleet.store("roof") as store, store.writes() as connection:
        connection.exec_driver_sql("UPDATE batches SET acceptance = NULL, accepted_ms = NULL")
        connection.exec_driver_sql("DELETE FROM facts WHERE name = 'upload_server'")
    with _served(home, fleet) as there:
        assert "has lost 1 batches with 4 readings" in fleet.upload("roof").notes[0]
        fleet.upload("roof")
        fleet.check(there.store)
