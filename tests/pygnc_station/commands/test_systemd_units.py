"""`pygnc station units | install | uninstall`: units that systemd accepts, and services that it watches."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_station.commands.main import app
from pygnc_station.commands.systemd_units import unit_files
from pygnc_station.settings import settings_of
from tests.fakes.service_manager import FakeServiceManager
from tests.programs import needs
from tests.pygnc_station.logger.samples import ROOT, command_line, environment, line, write_settings
from tests.unit_files import complaints, exposure

HIGHEST_EXPOSURE = 3.0
EVERYTHING = """
[sync]
url = "mysql://user@server/db"
[upload]
url = "https://stations.example"
[prometheus]
port = 9321
"""


def _invoke(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, [str(item) for item in arguments])
    assert result.exit_code == code, result.output
    return result.output


def _units(settings: Path, out: Path, *options: str) -> dict[str, Path]:
    _invoke("units", "--settings", settings, "--out", out, "--user", "root", *options)
    return {path.name: path for path in sorted(out.iterdir())}


@needs("systemctl")
def test_install_writes_and_enables_the_units_of_the_settings(tmp_path: Path) -> None:
    settings, root = write_settings(tmp_path, '[sync]\nurl = "c.db"\n'), tmp_path / "card"
    folder = root / "etc/systemd/system"
    output = _invoke("install", "--settings", settings, "--user", "pi", "--root", root)
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "pygnc-station-prune.service", "pygnc-station-prune.timer", "pygnc-station-sync.service",
        "pygnc-station-sync.timer", "pygnc-station.service",
    ]  # fmt: skip
    service = (folder / "pygnc-station.service").read_text()
    assert f"station log --settings {settings} --quiet" in service
    assert "User=pi" in service
    assert "starting at boot: pygnc-station.service pygnc-station-sync.timer pygnc-station-prune.timer" in output
    # The units of a server on the same computer are installed and removed on their own.
    _invoke("install", "--settings", settings, "--user", "pi", "--root", root, "--server")
    _invoke("uninstall", "--root", root)
    assert sorted(path.name for path in folder.iterdir() if path.is_file()) == [
        "pygnc-station-serve.service", "pygnc-station-server-prune.service", "pygnc-station-server-prune.timer",
    ]  # fmt: skip
    _invoke("uninstall", "--root", root, "--server")
    assert [path for path in folder.rglob("*") if path.is_file()] == []
    assert "no units" in _invoke("uninstall", "--root", root, code=ExitCode.INPUT)


@needs("systemd-analyze")
@pytest.mark.parametrize("options", [(), ("--server",)])
def test_systemd_accepts_units_with_any_station_name_and_folder(tmp_path: Path, options: tuple[str, ...]) -> None:
    folder, elsewhere = tmp_path / "pi's \"5 %n $HOME", tmp_path / "usb stick"
    folder.mkdir()
    settings = folder / "station.toml"
    settings.write_text(
        f'name = "roof %H"\n[store]\nurl = "{elsewhere}/store/readings.db"\n[serve]\nport = 443\n'
        f'[batches]\npending = "{elsewhere}/batches"\n[sync]\nurl = "../central/c.db"\n'
        f'[upload]\nurl = "file://{tmp_path}/share"\n'
    )
    made = _units(settings, tmp_path / "units", *options)
    assert complaints(list(made.values())) == []
    if options:
        assert "CAP_NET_BIND_SERVICE" in made["pygnc-station-serve.service"].read_text()
        return
    service = made["pygnc-station.service"].read_text()
    assert "PyGNC station roof %%H: log devices" in service
    assert f'--settings "{tmp_path}/pi\'s \\"5 %%n $$HOME/station.toml" --quiet' in service
    written = next(line for line in service.splitlines() if line.startswith("ReadWritePaths="))
    for path in ("usb stick/store", "usb stick/batches"):
        assert f'"{tmp_path}/{path}"' in written
    for path in ("share", "central"):
        assert f"{tmp_path}/{path}" in written
    assert "CAP_NET_BIND_SERVICE" not in service


@needs("systemd-analyze")
@pytest.mark.parametrize("options", [(), ("--server",)])
def test_every_service_is_closed_against_the_rest_of_the_computer(tmp_path: Path, options: tuple[str, ...]) -> None:
    settings = write_settings(tmp_path, EVERYTHING + "[serve]\nport = 443\n")
    made = _units(settings, tmp_path / "units", *options)
    rated = {name: exposure(file) for name, file in made.items() if name.endswith(".service")}
    assert len(rated) == (2 if options else 6)
    assert {name: level for name, level in rated.items() if level > HIGHEST_EXPOSURE} == {}


def test_a_logger_gets_a_network_only_if_its_settings_need_one(tmp_path: Path) -> None:
    local = _units(write_settings(tmp_path), tmp_path / "local")["pygnc-station.service"].read_text()
    remote = _units(write_settings(tmp_path, port="socket://host:1"), tmp_path / "remote")
    assert "PrivateNetwork=yes" in local
    assert "PrivateNetwork" not in remote["pygnc-station.service"].read_text()


@pytest.mark.slow
def test_systemd_learns_that_the_logger_starts_runs_hangs_and_stops(tmp_path: Path) -> None:
    settings = write_settings(tmp_path)
    with line(tmp_path), FakeServiceManager(tmp_path) as manager:
        words = command_line("log", "--settings", settings, "--quiet")
        process = subprocess.Popen(words, env=environment() | manager.environment(2.0), cwd=ROOT)
        try:
            manager.wait_for("READY=1")
            manager.wait_for("WATCHDOG=1")
            manager.wait_for("WATCHDOG=1")
            assert any("readings stored" in message for message in manager.messages)
            process.send_signal(signal.SIGSTOP)
            assert manager.is_silent_for(3.0)
            process.send_signal(signal.SIGCONT)
            manager.wait_for("WATCHDOG=1")
            process.send_signal(signal.SIGTERM)
            manager.wait_for("STOPPING=1")
            assert process.wait(40.0) == 0
        finally:
            process.kill()
            process.wait()


_HUNG = """
import sys, time
from pygnc_station.logger import process
from pygnc_station.logger.logger import Logger
Logger._collect = lambda self: time.sleep(3600)  # other threads of the process run on
sys.exit(process.main(sys.argv[1:]))
"""


@pytest.mark.slow
def test_a_main_loop_that_hangs_is_not_fed_by_another_thread(tmp_path: Path) -> None:
    settings = write_settings(tmp_path)
    with line(tmp_path), FakeServiceManager(tmp_path) as manager:
        words = [sys.executable, "-c", _HUNG, "--settings", str(settings)]
        process = subprocess.Popen(words, env=environment() | manager.environment(1.0), cwd=ROOT)
        try:
            manager.wait_for("READY=1")
            manager.wait_for("WATCHDOG=1")
            time.sleep(1.0)
            assert manager.is_silent_for(3.0)
            assert process.poll() is None
        finally:
            process.kill()
            process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("job", ["publish", "serve"])
def test_systemd_learns_that_other_services_start_run_and_stop(tmp_path: Path, job: str) -> None:
    settings = write_settings(tmp_path, "[prometheus]\nport = 0\n[serve]\nport = 0\n")
    if job == "publish":
        settings.write_text(settings.read_text() + '[influx]\nurl = "http://127.0.0.1:9/write?db=d"\n')
    with FakeServiceManager(tmp_path) as manager:
        words = command_line(job, "--settings", settings)
        process = subprocess.Popen(
            words, env=environment() | manager.environment(2.0), cwd=ROOT, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            manager.wait_for("READY=1")
            manager.wait_for("WATCHDOG=1")
            manager.wait_for("WATCHDOG=1")
            process.send_signal(signal.SIGTERM)
            manager.wait_for("STOPPING=1")
            assert process.wait(40.0) in {0, -signal.SIGTERM}  # systemd takes both as a clean end
        finally:
            process.kill()
            process.wait()


def test_a_station_without_a_name_of_its_own_is_described_once(tmp_path: Path) -> None:
    settings = settings_of({"name": "station"}, "station.toml")
    (service, *_) = unit_files(settings, tmp_path / "station.toml", "operator").values()
    assert "Description=PyGNC station: log devices\n" in service
