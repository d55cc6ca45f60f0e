import os
from pathlib import Path

import pytest

from pygnc_station.commands import doctor
from pygnc_station.commands.doctor import examine
from pygnc_station.settings_file import read_settings
from pygnc_station.store.store import Store
from tests.pygnc_station.logger.samples import line, write_settings
from tests.pygnc_station.store.samples import LAYOUT, START_MS, new

NOW_S = START_MS / 1000 + 60


def _told(path: Path, now_s: float = NOW_S) -> dict[str, str]:
    found: dict[str, str] = {}
    for finding in examine(read_settings(path), now_s):
        found[finding.what] = f"{found.get(finding.what, '')}{'+' if finding.is_good else '-'} {finding.text}\n"
    return found


def test_a_station_that_is_well_has_no_problem(tmp_path: Path) -> None:
    path = write_settings(tmp_path)
    with Store.open(str(tmp_path / "readings.db")) as store:
        store.append(store.stream("imu", LAYOUT), [new(1)])
    with line(tmp_path):
        told = _told(path)
        assert all(not text.startswith("-") for text in told.values()), told
        assert "IMU381ZA-400" in told["device imu"]
        assert "+ it reads" in told["device imu"]
        assert "the newest reading is of 2026-09-21T14:13:25.000Z" in told["store"]


def test_a_missing_port_a_mute_unit_and_an_unknown_family_are_told_apart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "- " in _told(write_settings(tmp_path))["device imu"]
    assert "no such port; is the cable in?" in _told(write_settings(tmp_path))["device imu"]
    monkeypatch.setattr("pygnc_station.logger.devices._PROBE_S", 0.3)
    master, slave = os.openpty()
    try:
        told = _told(write_settings(tmp_path, port=os.ttyname(slave)))["device imu"]
    finally:
        os.close(master)
        os.close(slave)
    assert "can be opened, but no Aceinna" in told
    path = write_settings(tmp_path)
    path.write_text(path.read_text().replace('"ucb"', '"abc"'))
    assert "unknown device family 'abc'" in _told(path)["device imu"]


def test_a_logger_at_work_is_no_problem_unless_its_readings_stop(tmp_path: Path) -> None:
    path = write_settings(tmp_path)
    with line(tmp_path) as port, Store.open(str(tmp_path / "readings.db")) as store:
        from pygnc_devices.ucb.driver import Ucb  # noqa: PLC0415 - here alone

        with Ucb.open(port.url):
            assert "is in use" in _told(path)["device imu"]
            assert _told(path)["store"].startswith("-")
            store.append(store.stream("imu", LAYOUT), [new(0)])
            assert _told(path)["store"].startswith("+")
            assert "is 10 min old" in _told(path, NOW_S + 540)["store"]


def test_clock_disk_and_key_are_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_settings(tmp_path, '[upload]\nurl = "https://server"')
    told = _told(path, 946684800.0)
    assert told["clock"].startswith("- it is not 2000-01-01 00:00")
    assert "pygnc station register" in told["key"]
    key = tmp_path / "gateway_key.txt"
    key.write_text("k")
    key.chmod(0o644)
    assert "chmod 600" in _told(path)["key"]
    key.chmod(0o600)
    assert _told(path)["key"].startswith("+")
    monkeypatch.setattr(doctor, "_LITTLE_BYTES", 1 << 60)
    assert "set keep_days" in _told(path)["disk"]
    (tmp_path / "readings.db").unlink()
    (tmp_path / "readings.db").mkdir()
    assert "unable to open database file" in _told(path)["store"]


def test_settings_without_a_device_are_a_problem(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text("name = 'x'")
    assert "add a [[device]] table" in _told(tmp_path / "station.toml")["settings"]
