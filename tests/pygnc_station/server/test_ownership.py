"""Gadgets belong to the gateways that upload their readings."""

import logging
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import httpx
import pytest
from msgspec import structs
from sqlalchemy import Connection, update
from typer.testing import CliRunner, Result

from pygnc_cli.exit_codes import ExitCode
from pygnc_station.commands.doctor import examine
from pygnc_station.commands.main import app
from pygnc_station.diagnosis.server import _examine_names
from pygnc_station.errors import StationError
from pygnc_station.server import ownership
from pygnc_station.server.access import list_gateways, new_pin, new_token, rename, revoke, visit
from pygnc_station.server.access import register as new_key
from pygnc_station.settings import StationSettings
from pygnc_station.settings_file import read_settings
from pygnc_station.store import query, schema
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store, make_device
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.station_server import read_key, register
from pygnc_station.upload.uploader import UploadReport
from tests.fakes import batonopc
from tests.fakes.batonopc import batch_of, csv_of, log, rows_of
from tests.pygnc_station.server.samples import Running, server, station, upload
from tests.pygnc_station.store.samples import LAYOUT, new


class Station:
    """A station with its store."""

    def __init__(self, there: Running, folder: Path, name: str, **upload: str) -> None:
        url = upload.pop("url", there.url)
        self.settings: StationSettings = station(folder / name, url, there.new_key(name), name=name, **upload)
        self.store = Store.open(str(folder / f"{name}.db"))

    def upload(self, ranks: range, gadget: str = "imu") -> UploadReport:
        self.store.append(self.store.stream(gadget, LAYOUT, family="ucb"), [new(rank) for rank in ranks])
        return self.send()

    def send(self) -> UploadReport:
        make_batch(self.store, self.settings, clock_ms())
        return upload(self.store, self.settings)


def times(there: Running) -> dict[str, list[int]]:
    """Return the times of the readings of each gadget on the server."""
    found: dict[str, list[int]] = {}
    for stream in query.streams(there.store):
        found.setdefault(stream.gadget_id, []).extend(item.t_utc_ms for item in query.between(there.store, [stream]))
    return {name: sorted(moments) for name, moments in found.items()}


def at(ranks: range) -> list[int]:
    return [new(rank).t_utc_ms for rank in ranks]


def owners(there: Running) -> dict[str, list[str]]:
    return {gateway.name: gateway.gadgets for gateway in list_gateways(there.store)}


def test_gadgets_of_one_name_are_kept_apart(tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture) -> None:
    with server(tmp_path / "server", url) as there, caplog.at_level(logging.WARNING):
        roof, cellar = Station(there, tmp_path, "roof"), Station(there, tmp_path, "cellar")
        assert roof.upload(range(3)).problem == ""
        cellar.upload(range(3, 5), "IMU")
        roof.upload(range(5, 6), "Imu")  # of the same gateway, upper and lower case are not distinguished
        cellar.upload(range(6, 7), "IMU")
        assert times(there) == {"imu": at(range(3)) + at(range(5, 6)), "IMU@cellar": at(range(3, 5)) + at(range(6, 7))}
        assert owners(there) == {"roof": ["imu"], "cellar": ["IMU@cellar"]}
        assert "gateway cellar: its gadget IMU is stored as IMU@cellar" in caplog.text


def test_two_gateways_of_one_name_get_gadgets_of_their_own(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        for folder in "abc":
            Station(there, tmp_path / folder, "roof").upload(range(2))
        assert sorted(times(there)) == ["imu", "imu@3", "imu@roof"]


def test_a_forged_upload_is_refused_and_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with server(tmp_path / "server") as there, caplog.at_level(logging.WARNING):
        roof, thief = Station(there, tmp_path, "roof"), Station(there, tmp_path, "thief")
        roof.upload(range(3))
        # Readings of other values under the next numbers of the genuine store, as if it had numbered them.
        forged = thief.store.stream("imu", LAYOUT, family="ucb", origin=roof.store.origin)
        thief.store.put(forged, [(number, new(90 + number)) for number in range(1, 9)])
        report = thief.upload(range(3), "other")
        ((_, reason),) = report.rejected
        assert "belong to gateway roof" in reason
        assert "of gateway 2 is refused" in caplog.text
        assert times(there) == {"imu": at(range(3))}
        assert roof.upload(range(3, 6)).notes == []
        assert times(there) == {"imu": at(range(6))}


def test_a_restored_backup_of_a_copy_adds_no_reading_twice(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        roof, clone = Station(there, tmp_path, "roof"), Station(there, tmp_path, "clone")
        roof.upload(range(2))
        for _ in range(2):  # the second time, readings 2 and 3 have reached the server under another origin
            clone.store.close()
            roof.store.close()
            for path in tmp_path.glob("clone.db*"):
                path.unlink()
            (tmp_path / "clone.db").write_bytes((tmp_path / "roof.db").read_bytes())
            clone.store = Store.open(str(tmp_path / "clone.db"))
            clone.upload(range(2, 4))
            clone.send()
            clone.upload(range(4, 5))
        assert times(there) == {"imu": at(range(2)), "imu@clone": at(range(2, 5))}


@pytest.mark.parametrize("way", ["station", "tinycloud"])
def test_a_copy_of_a_store_with_a_key_of_its_own_loses_nothing(tmp_path: Path, way: str) -> None:
    with server(tmp_path / "server") as there:
        url = there.url if way == "station" else f"{there.url}/api/v1"
        roof = Station(there, tmp_path, "roof")
        roof.upload(range(3))
        roof.store.close()  # so that the file contains the whole store
        (tmp_path / "clone.db").write_bytes((tmp_path / "roof.db").read_bytes())
        clone = Station(there, tmp_path, "clone", way=way, url=url)
        origin = clone.store.origin
        first = clone.upload(range(100, 103))
        assert (first.rejected, clone.store.origin != origin) == ([], True)
        clone.upload(range(103, 105))
        clone.send()
        assert times(there) == {"imu": at(range(3)), "imu@clone": at(range(100, 105))}
        assert roof.upload(range(3, 5)).notes == []


def test_a_gadget_is_transferred_explicitly(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        roof, spare = Station(there, tmp_path, "roof"), Station(there, tmp_path, "spare")
        roof.upload(range(3))
        settings = tmp_path / "server" / "station.toml"
        settings.write_text('[store]\nurl = "central.db"\n[serve]\nport = 1\n')

        def run(*words: str) -> Result:
            return CliRunner().invoke(app, [*words, "--settings", str(settings)])

        log = tmp_path / "server/server_log/failures.log"
        log.parent.mkdir()
        log.touch(mode=0o600)  # as the server begins it
        assert "belonged to roof before" in run("gateways", "transfer", "imu", "spare").stdout
        assert log.read_text().endswith("gadget imu: transferred from gateway roof to spare\n")
        spare.upload(range(3, 5))
        assert times(there) == {"imu": at(range(5))}
        assert owners(there) == {"roof": [], "spare": ["imu"]}
        entries = httpx.get(f"{there.url}/api/v1/gadget/imu/log/").json()["results"]
        assert [entry["action"] for entry in entries] == ["transferred from gateway roof to spare"]
        for gadget, gateway in (("nothing", "roof"), ("imu", "nobody")):
            failed = run("gateways", "transfer", gadget, gateway)
            assert (failed.exit_code, failed.stderr.count("\n")) == (ExitCode.INPUT, 1)
            assert failed.stderr.startswith("pygnc station gateways transfer: ")
        assert run("gateways", "rename", "spare", "roof").exit_code == ExitCode.INPUT
        run("gateways", "rename", "spare", "attic")
        assert "attic" in run("gateways", "list").stdout
        run("gateways", "revoke", "attic")
        assert "revoked" in run("gateways", "list").stdout
        assert run("gateways", "revoke", "attic").exit_code == ExitCode.INPUT


def test_a_gadget_of_an_older_server_goes_to_the_gateway_that_continues_it(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        roof, other = Station(there, tmp_path, "roof"), Station(there, tmp_path, "other")
        old = there.store.stream("imu", LAYOUT, family="ucb", origin=roof.store.origin)
        there.store.put(old, [(1, new(0))])
        other.upload(range(50, 52))
        roof.upload(range(3))
        assert times(there) == {"imu": at(range(3)), "imu@other": at(range(50, 52))}
        assert owners(there) == {"roof": ["imu"], "other": ["imu@other"]}


def test_a_registered_gadget_without_readings_goes_to_the_first_gateway(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        with there.store.writes() as connection:
            make_device(connection, "imu")
        Station(there, tmp_path, "roof").upload(range(2))
        assert owners(there) == {"roof": ["imu"]}


def test_registering_anew_keeps_the_gateway_and_its_gadgets(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        roof = Station(there, tmp_path, "roof")
        roof.upload(range(2))
        old = read_key(tmp_path / "roof" / "gateway_key.txt")
        register(roof.settings, new_pin(there.store, clock_ms(), 5))
        assert read_key(tmp_path / "roof" / "gateway_key.txt") == old
        roof.upload(range(2, 4))
        assert times(there) == {"imu": at(range(4))}
        assert owners(there) == {"roof": ["imu"]}
        # The old key is lost: a PIN for the gateway.
        (tmp_path / "roof" / "gateway_key.txt").unlink()
        register(roof.settings, new_pin(there.store, clock_ms(), 5, "roof"))
        roof.upload(range(4, 6))
        assert times(there) == {"imu": at(range(6))}
        assert new_key(there.store, "00000000", "", "roof", clock_ms(), old_key=old) is None


def test_a_replaced_station_without_its_key_is_told_what_to_do(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        roof = Station(there, tmp_path, "roof")
        roof.upload(range(2))
        (tmp_path / "roof" / "gateway_key.txt").unlink()
        register(roof.settings, new_pin(there.store, clock_ms(), 5))
        report = roof.upload(range(2, 4))
        assert "transfer" in " ".join(report.notes)
        roof.upload(range(4, 5))
        roof.send()
        assert sorted(moment for moments in times(there).values() for moment in moments) == at(range(5))


def test_a_store_of_the_revision_before_gets_owners(tmp_path: Path) -> None:
    path = tmp_path / "central.db"
    with Store.open(str(path)) as store:
        store.put(store.stream("imu", LAYOUT, family="ucb", origin="a"), [(1, new(0))])
    with closing(sqlite3.connect(path)) as connection:
        for table, column in (("devices", "gateway_id"), ("devices", "local_name"), ("pins", "gateway_id")):
            connection.execute(f"ALTER TABLE {table} DROP COLUMN {column}")
        connection.execute("UPDATE alembic_version SET version_num = '0004'")
        connection.commit()
    with server(tmp_path, str(path)) as there:
        roof = Station(there, tmp_path, "roof")
        roof.upload(range(2))
        assert owners(there) == {"roof": ["imu@roof"]}
        assert times(there)["imu"] == at(range(1))


def test_a_station_that_cannot_issue_pins_says_so(tmp_path: Path) -> None:
    settings = tmp_path / "station.toml"
    settings.write_text('[upload]\nurl = "https://stations.example"\n')
    result = CliRunner().invoke(app, ["pin", "--settings", str(settings)])
    assert result.exit_code == ExitCode.INPUT
    assert "run this on the server at https://stations.example" in result.stderr


def test_names_outside_ascii_have_owners_too(tmp_path: Path, url: str) -> None:
    with server(tmp_path / "server", url) as there:
        roof, cellar = Station(there, tmp_path, "roof"), Station(there, tmp_path, "cellar")
        roof.upload(range(2), "ÄTHER")
        cellar.upload(range(2, 4), "ÄTHER")
        roof.upload(range(4, 6), "ÄTHER")
        assert times(there) == {"ÄTHER": at(range(2)) + at(range(4, 6)), "ÄTHER@cellar": at(range(2, 4))}
        assert httpx.get(f"{there.url}/api/v1/gadget/ÄTHER/").json()["factory_id"] == "ÄTHER"


def test_two_gateways_cannot_take_one_name_at_the_same_time(
    tmp_path: Path, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other gateway's device appears between the look for the name and the creation of the device."""
    with server(tmp_path / "server", url) as there:
        there.new_key("roof")
        there.new_key("cellar")

        def make_device_of_roof(connection: Connection, name: str, family: str = "") -> int:
            id_ = make_device(connection, name, family)
            if name == "imu":
                table = schema.devices
                connection.execute(update(table).where(table.c.id == id_).values(gateway_id=1, local_name=name))
            return id_

        monkeypatch.setattr(ownership, "make_device", make_device_of_roof)
        with there.store.writes() as connection:
            assert ownership.owned_gadget(connection, 2, "imu", "b", "ucb") == "imu@cellar"
        assert owners(there) == {"roof": ["imu"], "cellar": ["imu@cellar"]}


def test_a_station_keeps_its_other_gadgets_after_a_transfer(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        roof, spare = Station(there, tmp_path, "roof"), Station(there, tmp_path, "spare")
        roof.upload(range(3))
        roof.upload(range(3), "opc")
        origin = roof.store.origin
        with there.store.writes() as connection:
            ownership.transfer(connection, "imu", "spare", clock_ms())
        spare.upload(range(3, 5))
        report = roof.upload(range(3, 5), "opc")
        assert (report.rejected, report.notes, roof.store.origin) == ([], [], origin)
        assert times(there) == {"imu": at(range(5)), "opc": at(range(5))}


def test_a_gadget_can_be_transferred_to_a_gateway_with_one_of_the_same_name(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        Station(there, tmp_path, "roof").upload(range(2))
        spare = Station(there, tmp_path, "spare")
        spare.upload(range(2, 4))
        with there.store.writes() as connection:
            ownership.transfer(connection, "imu", "spare", clock_ms())
        spare.upload(range(4, 6))
        assert times(there) == {"imu": at(range(2)) + at(range(4, 6)), "imu@spare": at(range(2, 4))}
        assert owners(there)["spare"] == ["imu", "imu@spare"]


def test_an_import_goes_to_the_gadget_of_this_name_in_any_case(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        Station(there, tmp_path, "roof").upload(range(2))
        token = new_token(there.store, "tinycloud", clock_ms(), may_write=True)
        sent = {"gadget_id": "IMU", "readings": [{"timestamp": "2026-01-01T00:00:00Z", "temp": 20.0}]}
        headers = {"authorization": f"Bearer {token}"}
        httpx.post(f"{there.url}/api/v1/readings/", json=sent, headers=headers).raise_for_status()
        assert set(times(there)) == {"imu"}


def test_a_wrong_pin_is_reported_as_such_although_the_station_has_a_key(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        roof = Station(there, tmp_path, "roof")
        with pytest.raises(StationError, match="does not register this station: the PIN is wrong"):
            register(roof.settings, "00000000")
        assert roof.upload(range(2)).problem == ""


def test_revoking_a_station_whose_name_is_a_number_spares_the_gateway_of_this_number(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        there.new_key("roof")
        there.new_key("1")
        revoke(there.store, "1", clock_ms())
        assert [gateway.name for gateway in list_gateways(there.store) if gateway.revoked_ms] == ["1"]


def test_a_copied_card_that_registers_anew_does_not_lock_out_its_original(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        roof = Station(there, tmp_path, "roof")
        roof.upload(range(2))
        for name in ("roof", "clone"):
            shutil.copytree(tmp_path / "roof", tmp_path / f"copy of {name}")
            copy = structs.replace(roof.settings, name=name, folder=str(tmp_path / f"copy of {name}"))
            register(copy, new_pin(there.store, clock_ms(), 5))
        assert roof.upload(range(2, 4)).problem == ""
        assert owners(there) == {"roof": ["imu"], "clone": []}


def test_a_pin_for_a_gateway_replaces_its_key(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        old = there.new_key("roof")
        key = new_key(there.store, new_pin(there.store, clock_ms(), 5, "roof"), "", "roof", clock_ms(), old_key=old)
        assert [visit(there.store, str(each), clock_ms()) for each in (old, key)] == [None, 1]


def test_a_name_is_free_after_any_number_of_transfers(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        roof, spare = Station(there, tmp_path, "roof"), Station(there, tmp_path, "spare")
        roof.upload(range(1))
        for rank in range(1, 5):
            spare.upload(range(rank, rank + 1))
            spare.send()  # under a new origin: that of its last gadget went to the new owner
            with there.store.writes() as connection:
                ownership.transfer(connection, owners(there)["spare"][0], "roof", clock_ms())
        assert sorted(times(there)) == ["imu", "imu@2", "imu@2-2", "imu@2-3", "imu@spare"]


def test_a_copied_database_of_batonopc_is_refused_with_another_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log(tmp_path / "old.db", 2)
    table = csv_of(rows_of(tmp_path / "old.db"))
    with server(tmp_path / "server", batonopc_zone="Europe/Dublin") as there, caplog.at_level(logging.WARNING):
        genuine = batonopc.Station(there.url, there.new_key("roof"))
        thief = batonopc.Station(there.url, there.new_key("thief"))
        assert genuine.upload("a_1", batch_of("a_1", genuine.key, table)) == ("Processed", "")
        status, reason = thief.upload("b_1", batch_of("b_1", thief.key, table))
        assert (status, "belong to gateway roof" in reason) == ("Rejected", True)
        assert "of gateway 2 is refused" in caplog.text
        other = csv_of([(1, "2021-07-01 11:30", *row[2:]) for row in rows_of(tmp_path / "old.db")[:1]])
        assert thief.upload("b_2", batch_of("b_2", thief.key, other)) == ("Processed", "")
        assert {name: len(moments) for name, moments in times(there).items()} == {"OPC_7": 2, "OPC_7@thief": 1}


def test_names_of_gateways_are_printable(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        form = {"pin": new_pin(there.store, clock_ms(), 5), "name": "\x1b[2Jroof\n2026 ERROR", "device_id": "a\nb"}
        httpx.post(f"{there.url}/api/v1/activate/", data=form).raise_for_status()
        assert [gateway.name for gateway in list_gateways(there.store)] == ["[2Jroof2026 ERROR"]
        for name in ("", "a\nb", "x" * 121):
            with pytest.raises(StationError, match="printable"):
                rename(there.store, "1", name)


def test_a_name_of_a_batch_adds_no_line_to_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with server(tmp_path / "server") as there, caplog.at_level(logging.WARNING):
        log(tmp_path / "old.db", 2)
        table = csv_of(rows_of(tmp_path / "old.db"))
        genuine = batonopc.Station(there.url, there.new_key("roof"))
        thief = batonopc.Station(there.url, there.new_key("thief"))
        genuine.upload("a_1", batch_of("a_1", genuine.key, table))
        assert thief.upload("b_1\n2026 ERROR", batch_of("b_1", thief.key, table))[0] == "Rejected"
        assert all("\n" not in record.getMessage() for record in caplog.records)


def test_the_operator_of_a_second_station_of_a_name_is_told(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        first = Station(there, tmp_path, "roof")
        first.upload(range(2))
        folder = tmp_path / "second"
        folder.mkdir()
        path = folder / "station.toml"
        device = '[[device]]\ngadget = "imu"\nfamily = "ucb"\nport = "/dev/missing"\n'
        path.write_text(f'name = "roof"\n{device}[store]\nurl = "r.db"\n[upload]\nurl = "{there.url}"\n')
        pin = new_pin(there.store, clock_ms(), 5)
        result = CliRunner().invoke(app, ["register", "--settings", str(path), "--pin", pin])
        assert result.exit_code == 0, result.output
        assert "another station is registered as roof (gateway 1, last request 20" in result.output
        assert "pygnc station pin --gateway 1" in result.output
        assert "imu is stored as imu@roof: the other roof has a gadget of this name" in result.output
        problems = [item.text for item in examine(read_settings(path), clock_ms() / 1000) if item.subject == "name"]
        assert len(problems) == 2
        assert "another station is registered as roof" in problems[0]
        found = [item.text for item in _examine_names(there.store)]
        assert found == ["2 stations are registered as roof; `pygnc station gateways` lists, renames and revokes them"]
        # It replaces the first one.
        pin = new_pin(there.store, clock_ms(), 5, "1")
        revoke(there.store, "2", clock_ms())
        result = CliRunner().invoke(app, ["register", "--settings", str(path), "--pin", pin])
        assert "note" not in result.output, result.output
        assert not [item for item in examine(read_settings(path), clock_ms() / 1000) if item.subject == "name"]
        # Another name, whose gadget is renamed all the same.
        path.write_text(path.read_text().replace("roof", "cellar"))
        pin = new_pin(there.store, clock_ms(), 5)
        (folder / "gateway_key.txt").unlink()
        result = CliRunner().invoke(app, ["register", "--settings", str(path), "--pin", pin])
        assert "imu is stored as imu@cellar: roof has a gadget of this name" in result.output
        (remark,) = (item for item in examine(read_settings(path), clock_ms() / 1000) if item.subject == "name")
        assert remark.is_good
