import os
from pathlib import Path

import pytest

from pygnc_station.commands.doctor import examine
from pygnc_station.diagnosis import computer
from pygnc_station.settings_file import read_settings
from pygnc_station.store.store import Store
from tests.pygnc_station.logger.samples import line, write_settings
from tests.pygnc_station.store.samples import LAYOUT, START_MS, new

NOW_S = START_MS / 1000 + 60


def findings(path: Path, now_s: float = NOW_S) -> dict[str, str]:
    """Return the findings by subject, a line with + or - for each."""
    results: dict[str, str] = {}
    for finding in examine(read_settings(path), now_s, path):
        results[finding.subject] = (
            f"{results.get(finding.subject, '')}{'+' if finding.is_good else '-'} {finding.text}\n"
        )
    return results


def test_finds_no_problem_in_a_healthy_station(tmp_path: Path) -> None:
    path = write_settings(tmp_path)
    with Store.open(str(tmp_path / "readings.db")) as store:
        store.append(store.stream("imu", LAYOUT), [new(1)])
    with line(tmp_path):
        found = findings(path)
        assert all(not text.startswith("-") for text in found.values()), found
        assert "IMU381ZA-400" in found["device imu"]
        assert "+ the reading is good" in found["device imu"]
        assert "newest reading: 2026-09-21T14:13:25.000Z" in found["store"]


def test_distinguishes_missing_port_silent_unit_and_unknown_family(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "- " in findings(write_settings(tmp_path))["device imu"]
    assert "no such port; check the cable" in findings(write_settings(tmp_path))["device imu"]
    monkeypatch.setattr("pygnc_station.logger.devices._PROBE_S", 0.3)
    master, slave = os.openpty()
    try:
        found = findings(write_settings(tmp_path, port=os.ttyname(slave)))["device imu"]
    finally:
        os.close(master)
        os.close(slave)
    assert "can be opened, but no Aceinna" in found
    path = write_settings(tmp_path)
    path.write_text(path.read_text().replace('"ucb"', '"abc"'))
    assert "unknown device family 'abc'" in findings(path)["device imu"]


def test_a_running_logger_is_a_problem_only_if_its_readings_stop(tmp_path: Path) -> None:
    path = write_settings(tmp_path)
    with line(tmp_path) as port, Store.open(str(tmp_path / "readings.db")) as store:
        from pygnc_devices.ucb.driver import Ucb  # noqa: PLC0415 - used here only

        with Ucb.open(port.url):
            assert "is in use" in findings(path)["device imu"]
            assert findings(path)["store"].startswith("-")
            store.append(store.stream("imu", LAYOUT), [new(0)])
            assert findings(path)["store"].startswith("+")
            assert "is 10 min old" in findings(path, NOW_S + 540)["store"]


def test_checks_clock_disk_and_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_settings(tmp_path, '[upload]\nurl = "https://server"')
    found = findings(path, 946684800.0)
    assert found["clock"].startswith("- the time 2000-01-01 00:00")
    assert "pygnc station register" in found["key"]
    key = tmp_path / "gateway_key.txt"
    key.write_text("k")
    key.chmod(0o644)
    assert "chmod 600" in findings(path)["key"]
    key.chmod(0o600)
    assert findings(path)["key"].startswith("+")
    monkeypatch.setattr(computer, "LOW_DISK_BYTES", 1 << 60)
    assert "set keep_days" in findings(path)["disk"]
    (tmp_path / "readings.db").unlink()
    (tmp_path / "readings.db").mkdir()
    assert "unable to open database file" in findings(path)["store"]


def test_reports_settings_without_a_device(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text("name = 'x'")
    assert "add a [[device]] table" in findings(tmp_path / "station.toml")["settings"]
