import csv
import json
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_station.commands.main import app
from pygnc_station.store import clock
from pygnc_station.store.readings import DAY_MS, clock_ms
from pygnc_station.store.store import Store
from tests.pygnc_station.logger.samples import line, start, write_settings
from tests.pygnc_station.store.samples import LAYOUT, START_MS, new


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = write_settings(tmp_path)
    with Store.open(str(tmp_path / "readings.db")) as store:
        store.append(store.stream("imu", LAYOUT, family="ucb"), [new(rank) for rank in range(30)])
    return path


def _invoke(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(item) for item in arguments])
    assert result.exit_code == code, result.output
    return result.output


DATABASE = "mysql://pi:word@127.0.0.1:9/readings"  # nothing listens at port 9


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["upload"], '[store]\nurl = "readings.db"\n[upload]\nurl = "http://127.0.0.1:9"\n'),
        (["register", "--pin", "1"], '[store]\nurl = "readings.db"\n[upload]\nurl = "http://127.0.0.1:9"\n'),
        (["sync"], f'[store]\nurl = "readings.db"\n[sync]\nurl = "{DATABASE}"\n'),
        (["status"], f'[store]\nurl = "{DATABASE}"\n'),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_refused_connection_has_the_exit_code_of_servers(words: list[str], text: str, tmp_path: Path) -> None:
    path = tmp_path / "station.toml"
    path.write_text(f'name = "roof"\n{text}')
    (tmp_path / "gateway_key.txt").write_text("k" * 40)
    with Store.open(str(tmp_path / "readings.db")) as store:
        store.append(store.stream("imu", LAYOUT), [new(0)])
    if words == ["upload"]:
        _invoke("batch", "--settings", path)
    assert "refused" in _invoke(*words, "--settings", path, code=ExitCode.NETWORK)


def test_lists_device_families_with_their_readings() -> None:
    assert "Aceinna DMU38x" in _invoke("families")


def test_identifies_each_device_by_its_family(tmp_path: Path) -> None:
    path = write_settings(tmp_path)
    with line(tmp_path):
        output = _invoke("test", "--settings", path)
    assert "imu: IMU381ZA-400 5020-1383-01 10.00.01 2008705635" in output
    assert "xRate" in output
    assert "no such port; check the cable" in _invoke("test", "--settings", path, code=ExitCode.DEVICE)


def test_read_once_prints_a_reading_without_storing_it(tmp_path: Path) -> None:
    path = write_settings(tmp_path)
    with line(tmp_path):
        shown = json.loads(_invoke("read-once", "--json", "--settings", path))
    assert (shown["gadget_id"], shown["kind"]) == ("imu", "S1")
    assert 29 < shown["values"]["temperature_board_degc"] < 33
    assert not (tmp_path / "readings.db").exists()


def test_recent_prints_the_newest_readings_first(settings: Path) -> None:
    lines = _invoke("recent", "--settings", settings, "-n", 2).splitlines()
    assert lines == [
        "2026-09-21T14:15:45.000Z  imu  S1  zRate 1.66158 deg/s  temp_degc 29 degC  text ok",
        "2026-09-21T14:15:40.000Z  imu  S1  zRate 1.60428 deg/s  temp_degc 28 degC  text ok",
    ]
    assert json.loads(_invoke("recent", "--settings", settings, "-n", 1, "--json"))["raw"] == "1d"
    assert "no such readings" in _invoke("recent", "--settings", settings, "-g", "nobody")


@contextmanager
def _feeding(store: Store) -> Iterator[None]:
    stop = threading.Event()

    def feed() -> None:
        stream, rank = store.stream("imu", LAYOUT), 100
        while not stop.wait(0.1):
            store.append(stream, [new(rank)])
            rank += 1

    thread = threading.Thread(target=feed)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def test_watch_prints_new_readings_until_ctrl_c(settings: Path, tmp_path: Path) -> None:
    process = start("watch", "--settings", settings, "--json")
    assert process.stdout is not None
    try:
        with Store.open(str(tmp_path / "readings.db")) as store, _feeding(store):
            numbers = [json.loads(process.stdout.readline())["number"] for _ in range(3)]
    finally:
        process.send_signal(signal.SIGINT)
    assert process.communicate()[1] == ""
    assert process.returncode == 0
    assert numbers == [numbers[0], numbers[0] + 1, numbers[0] + 2]
    assert numbers[0] > 30


def test_watch_ends_after_count_readings(settings: Path, tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "readings.db")) as store, _feeding(store):
        assert len(_invoke("watch", "--settings", settings, "-n", 2).splitlines()) == 2


def test_exports_the_readings_of_a_time_span(settings: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    span = ("--since", "2026-09-21T14:15:00", "--until", "2026-09-21T14:15:30+00:00")
    assert "imu_S1.csv" in _invoke("export", out, "--settings", settings, *span)
    with (out / "imu_S1.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 7
    assert "imu_S1.parquet" in _invoke("export", out, "--settings", settings, "--form", "parquet")
    assert "invalid time 'soon'" in _invoke(
        "export", out, "--settings", settings, "--since", "soon", code=ExitCode.USAGE
    )


def test_prunes_by_age_and_size(settings: Path, tmp_path: Path) -> None:
    assert _invoke("prune", "--settings", settings) == "0 readings deleted\n0 zips deleted\n"
    assert _invoke("prune", "--settings", settings, "--days", 1) == "30 readings deleted\n0 zips deleted\n"
    uploaded = tmp_path / "batches_uploaded"
    uploaded.mkdir()
    for rank in range(4):
        path = uploaded / f"{rank}.zip"
        path.write_bytes(bytes(1000))
        os.utime(path, (1e9 + rank, 1e9 + rank))
    settings.write_text(settings.read_text() + "max_bytes = 1\n[batches]\nmax_uploaded_bytes = 2500\n")
    output = _invoke("prune", "--settings", settings)
    assert "are above max_bytes in [store]" in output
    assert "2 zips deleted" in output
    assert sorted(path.name for path in uploaded.iterdir()) == ["2.zip", "3.zip"]


def test_a_server_keeps_by_default_what_a_station_deletes(settings: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pygnc_station.settings._STATION_BYTES", 1)
    station = settings.read_text()
    settings.write_text(station + "[serve]\nport = 0\n")
    assert _invoke("prune", "--settings", settings) == "0 readings deleted\n0 zips deleted\n"
    settings.write_text(station)
    assert "30 readings deleted" in _invoke("prune", "--settings", settings)


def test_sync_sends_readings_to_the_central_store(tmp_path: Path, settings: Path) -> None:
    assert "set url in [sync]" in _invoke("sync", "--settings", settings, code=ExitCode.INPUT)
    settings.write_text(settings.read_text() + '[sync]\nurl = "central.db"\n')
    assert _invoke("sync", "--settings", settings) == "30 readings sent\n"
    assert (tmp_path / "central.db").exists()
    settings.write_text(settings.read_text().replace("central.db", "settings.toml/central.db"))
    (tmp_path / "settings.toml").write_text("a file in the way")
    assert "settings.toml" in _invoke("sync", "--settings", settings, code=ExitCode.INPUT)
    assert "the next attempt is due in" in _invoke("sync", "--settings", settings)
    assert "PROBLEM  central store: 1 failures in a row" in _invoke("doctor", "--settings", settings, code=1)


def test_imports_a_database_of_batonopc(settings: Path, tmp_path: Path) -> None:
    assert "does not exist" in _invoke("import", tmp_path / "none.db", "--settings", settings, code=ExitCode.INPUT)
    assert "unknown time zone" in _invoke(
        "import", tmp_path / "none.db", "--settings", settings, "--zone", "Mars", code=ExitCode.INPUT
    )


def test_readings_dated_in_the_future_lead_no_list_and_age_is_counted_from_a_confirmed_time(
    settings: Path, tmp_path: Path
) -> None:
    now_ms = clock_ms()
    with Store.open(str(tmp_path / "readings.db")) as store:
        ahead = [new(0)._replace(t_utc_ms=now_ms + rank * DAY_MS) for rank in (300, 301)]
        store.append(store.stream("imu", LAYOUT, family="ucb"), ahead)
        with store.writes() as connection:  # the clock is a year ahead since
            clock.confirm(connection, START_MS + DAY_MS)
    shown = _invoke("recent", "--settings", settings, "-n", 1, "--json")
    assert json.loads(shown.splitlines()[0])["number"] == 30
    assert "2 readings are dated in the future, by a wrong clock, and left out" in shown
    text = _invoke("prune", "--settings", settings, "--days", 3)
    assert "the clock was last confirmed at" in text
    assert "0 readings deleted" in text
    with Store.open(str(tmp_path / "readings.db")) as store, store.writes() as connection:
        clock.confirm(connection, now_ms)
    assert "30 readings deleted" in _invoke("prune", "--settings", settings, "--days", 3)
