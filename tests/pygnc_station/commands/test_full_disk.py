"""A station whose disk is full can still delete what its server has, and send what the server lacks."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_station.commands.main import app
from pygnc_station.store import query
from pygnc_station.store.store import Store
from tests.fakes.small_disk import disk_of, fill
from tests.pygnc_station.server.samples import Running, batch_of, server, station, upload
from tests.pygnc_station.store.samples import LAYOUT, new


@pytest.fixture
def card(tmp_path: Path) -> Iterator[Path]:
    with disk_of(tmp_path / "card", "400m") as folder:
        yield folder


@pytest.fixture
def there(tmp_path: Path) -> Iterator[Running]:
    with server(tmp_path / "server") as running:
        yield running


def _settings(card: Path, there: Running) -> Path:
    station(card, there.url, there.new_key())
    path = card / "station.toml"
    path.write_text(f'name = "roof"\n[store]\nurl = "readings.db"\n[upload]\nurl = "{there.url}"\n')
    _run("prune", "-s", path)
    return path


def _run(*words: object, code: ExitCode = ExitCode.DONE) -> str:
    result = CliRunner().invoke(app, [*map(str, words)])
    assert result.exit_code == code, result.output
    return result.output


def test_prune_makes_room_on_a_full_disk(card: Path, there: Running) -> None:
    path = _settings(card, there)
    with Store.open(str(card / "readings.db")) as store:
        batch_of(store, station(card, there.url), range(20_000))
        upload(store, station(card, there.url))
        store.append(store.stream("imu", LAYOUT), [new(rank) for rank in range(20_000, 20_010)])
    fill(card / "zeros")
    assert "readings deleted" in _run("prune", "-s", path)
    with Store.open(str(card / "readings.db")) as store:
        kept = [reading.number for reading in query.between(store, query.streams(store))]
        assert kept[-10:] == list(range(20_001, 20_011)), "readings that the server lacks"
        assert len(kept) < 20_000
        # What was deleted makes room for new readings, although the file keeps its size.
        store.append(store.stream("imu", LAYOUT), [new(rank) for rank in range(20_010, 20_500)])


def test_upload_sends_what_waits_on_a_full_disk(card: Path, there: Running) -> None:
    path = _settings(card, there)
    with Store.open(str(card / "readings.db")) as store:
        batch_of(store, station(card, there.url), range(1000))
    fill(card / "zeros")
    assert "accepted" in _run("upload", "-s", path)
    assert sum(query.count(there.store, stream) for stream in query.streams(there.store)) == 1000
    assert "0 batches" not in _run("status", "-s", path)


def test_readings_that_are_in_no_batch_are_sent_from_a_full_disk(card: Path, there: Running) -> None:
    path = _settings(card, there)
    with Store.open(str(card / "readings.db")) as store:
        stream = store.stream("imu", LAYOUT)
        store.append(stream, [new(rank) for rank in range(20_000)])
    fill(card / "zeros")
    assert "20000 readings" in _run("batch", "-s", path)
    assert "accepted" in _run("upload", "-s", path)
    assert sum(query.count(there.store, stream) for stream in query.streams(there.store)) == 20_000


def test_prune_makes_room_without_a_reserve_from_the_zips_that_the_server_has(card: Path, there: Running) -> None:
    path = _settings(card, there)
    with Store.open(str(card / "readings.db")) as store:
        batch_of(store, station(card, there.url), range(20_000))
        upload(store, station(card, there.url))
    (card / "batches_uploaded/older.zip").write_bytes(bytes(3_000_000))
    (card / "readings.db.reserve").unlink()
    fill(card / "zeros")
    assert "2 zips deleted" in _run("prune", "-s", path)
    assert not list(card.glob("batches_uploaded/*.zip"))


def test_a_full_disk_without_a_reserve_is_named(card: Path, there: Running) -> None:
    path = _settings(card, there)
    with Store.open(str(card / "readings.db")) as store:
        store.append(store.stream("imu", LAYOUT), [new(rank) for rank in range(20_000)])
    (card / "readings.db.reserve").unlink()
    fill(card / "zeros")
    for command in ("batch", "upload", "prune"):
        message = _run(command, "-s", path, code=ExitCode.INPUT)
        assert "no reserve is left; delete other files until 10 MB are free, then run `pygnc station prune`" in message


def test_an_almost_full_disk_gets_a_smaller_reserve(tmp_path: Path, there: Running) -> None:
    with disk_of(tmp_path / "small", "6m") as card:
        path = _settings(card, there)
        reserve = card / "readings.db.reserve"
        assert 1_000_000 <= reserve.stat().st_size <= 3_200_000
        with Store.open(str(card / "readings.db")) as store:
            batch_of(store, station(card, there.url), range(5000))
        fill(card / "zeros")
        assert "accepted" in _run("upload", "-s", path)
        assert "readings deleted" in _run("prune", "-s", path)
        (card / "zeros").unlink()
        subprocess.run(["/bin/mount", "-o", "remount,size=400m", card], check=True)
        _run("prune", "-s", path)
        assert reserve.stat().st_size >= 8_000_000, "the reserve grows where there is room"
