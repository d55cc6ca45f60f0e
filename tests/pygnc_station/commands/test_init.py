"""`pygnc station init` with a simulated device, a server process, and a person or script."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pygnc_station.commands import init as module
from pygnc_station.commands.main import app
from pygnc_station.settings_file import read_settings
from pygnc_station.store import query
from pygnc_station.store.store import Store
from pygnc_system import files
from tests.fakes.terminal import Terminal
from tests.pygnc_station.commands.test_doctor import findings
from tests.pygnc_station.logger.samples import ROOT, command_line, environment, line, run, start
from tests.pygnc_station.server.samples import certificate, server

DEADLINE_S = 40.0


def _terminal(*arguments: object) -> Terminal:
    return Terminal(command_line(*arguments), environment(), ROOT)


@contextmanager
def _server(folder: Path, more: str = "") -> Iterator[str]:
    folder.mkdir(exist_ok=True)
    path = folder / "station.toml"
    path.write_text(f'[store]\nurl = "central.db"\n[serve]\nport = 0\n{more}')
    process = start("serve", "-s", path)
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip().rstrip("/")
    finally:
        process.terminate()
        process.communicate()


def _new_pin(folder: Path) -> str:
    return run("pin", "-s", folder / "station.toml").stdout.strip()


def _simulated_unit(port: Path) -> subprocess.Popen[str]:
    script = "import sys; from pygnc_cli.app import main; sys.exit(main())"
    words = [sys.executable, "-c", script, "device", "simulate", "openimu", "--pty", str(port)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment())
    assert process.stdout is not None
    process.stdout.readline()
    return process


@pytest.mark.slow
def test_questions_lead_to_the_first_reading_on_the_server(tmp_path: Path) -> None:
    port, pi = tmp_path / "port", tmp_path / "pi"
    unit = _simulated_unit(port)
    try:
        with _server(tmp_path / "server") as url:
            with _terminal("init", "--folder", pi) as terminal:
                terminal.answer("ports)", f"{tmp_path}/nowhere")
                assert "no such port" in terminal.answer("ports)", str(port))
                terminal.answer("Name of Aceinna", "a/b")
                assert "may contain only" in terminal.answer("Name of Aceinna", "imu")
                assert "imu  " in terminal.answer("Name of the station", "roof")
                terminal.answer("Address of the server", "http://127.0.0.1:9")
                assert "check that the server is running" in terminal.answer("Address of the server", url)
                terminal.answer("PIN from", "00000000")
                assert "the PIN is wrong" in terminal.answer("PIN from", _new_pin(tmp_path / "server"))
                terminal.wait_for(f"first readings on {url}: 1")
                terminal.wait_for(f"station install --settings {pi}/station.toml")
                assert terminal.end() == 0
            with Store.open(str(tmp_path / "server/central.db")) as central:
                assert [(stream.gadget_id, query.count(central, stream)) for stream in query.streams(central)] == [
                    ("imu", 1)
                ]
            settings = read_settings(pi / "station.toml")
            assert (settings.name, settings.device[0].family, settings.device[0].port) == ("roof", "ucb", str(port))
            assert (pi / "station.toml").stat().st_mode & 0o777 == 0o600
            assert (pi / "units/pygnc-station-upload.timer").exists()
            found = findings(pi / "station.toml", time.time())
            assert all(text.startswith("+") for text in found.values()), found
            # A second run replaces nothing, and with --force needs no PIN.
            text = (pi / "station.toml").read_text()
            assert "--force replaces it" in run("init", "--folder", pi, expected=(3,)).stderr
            assert (pi / "station.toml").read_text() == text
            options = ("--port", port, "--gadget", "other", "--name", "roof", "--server", url)
            done = run("init", "--folder", pi, "--force", *options)
            assert f"{url} accepts the key" in done.stdout
            assert read_settings(pi / "station.toml").device[0].gadget == "other"
    finally:
        unit.send_signal(signal.SIGTERM)
        unit.communicate()


@pytest.mark.slow
def test_asks_for_the_authority_of_a_server_that_is_not_trusted(tmp_path: Path) -> None:
    certificate(tmp_path)
    with line(tmp_path) as unit, _server(tmp_path, 'tls_cert = "cert.pem"\ntls_key = "key.pem"\n') as url:
        options = ("init", "--folder", tmp_path / "pi", "--port", unit.url, "--name", "roof", "--gadget", "imu")
        assert "--ca-file" in run(*options, "--server", url, expected=(3,)).stderr
        with _terminal(*options) as terminal:
            terminal.answer("Address of the server", url.removeprefix("https://"))
            assert "is not trusted" in terminal.answer("File of the CA", str(tmp_path / "cert.pem"))
            terminal.answer("PIN from", _new_pin(tmp_path))
            terminal.wait_for(f"first readings on {url}: 1")
            terminal.wait_for("station install")
            assert terminal.end() == 0


@pytest.mark.slow
def test_ctrl_c_at_a_question_leaves_nothing(tmp_path: Path) -> None:
    with line(tmp_path) as unit, _server(tmp_path / "server") as url:
        pi = tmp_path / "pi"
        options = ("init", "--folder", pi, "--port", unit.url, "--name", "roof", "--gadget", "imu")
        for question, more in (("Address of the server", ()), ("PIN from", ("--server", url))):
            with _terminal(*options, *more) as terminal:
                terminal.wait_for(question)
                assert terminal.interrupt() not in {0, -signal.SIGKILL}
            assert list(pi.rglob("*")) == []


def _invoke(*arguments: object) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["init", *map(str, arguments)])
    return result.exit_code, result.output


def test_a_station_that_only_logs_needs_no_server(tmp_path: Path) -> None:
    pi = tmp_path / "pi"
    with line(tmp_path) as unit:
        code, output = _invoke("--folder", pi, "--port", unit.url, "--family", "ucb", "--gadget", "imu")
        assert code != 0
        assert "--server is missing" in output
        assert list(pi.glob("*")) == []
        names = ("--name", 'a "name" with \\ and ä')
        code, output = _invoke("--folder", pi, "--port", unit.url, "--family", "ucb", "--server", "", *names)
    assert code == 0, output
    settings = read_settings(pi / "station.toml")
    assert settings.name == names[1]
    assert settings.upload.url == ""
    assert sorted(path.name for path in (pi / "units").iterdir()) == [
        "pygnc-station-prune.service", "pygnc-station-prune.timer", "pygnc-station.service"
    ]  # fmt: skip


def test_a_station_may_use_a_key_that_it_has_already(tmp_path: Path) -> None:
    with line(tmp_path) as unit, server(tmp_path / "server") as there:
        key = there.new_key()
        options = ("--port", unit.url, "--family", "ucb", "--gadget", "imu", "--server", there.url)
        code, output = _invoke("--folder", tmp_path / "bad", *options, "--pin", "k" * 20)
        assert code != 0
        assert "does not accept the key" in output
        assert [path for path in (tmp_path / "bad").rglob("*") if path.is_file()] == []
        code, output = _invoke("--folder", tmp_path / "pi", *options, "--pin", key)
        assert code == 0, output
        assert key not in output
        assert (tmp_path / "pi/gateway_key.txt").read_text() == f"{key}\n"
        assert (tmp_path / "pi/gateway_key.txt").stat().st_mode & 0o777 == 0o600
        assert [query.count(there.store, stream) for stream in query.streams(there.store)] == [1]


def test_an_interruption_while_writing_leaves_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pi = tmp_path / "pi"

    def interrupted(path: Path, content: bytes, mode: int = 0o644) -> None:
        if path.name == "station.toml":
            raise KeyboardInterrupt
        files.durable_write(path, content, mode)

    monkeypatch.setattr(module, "durable_write", interrupted)
    with line(tmp_path) as unit:
        code, _ = _invoke("--folder", pi, "--port", unit.url, "--family", "ucb", "--server", "")
    assert code != 0
    assert [path for path in pi.rglob("*") if path.is_file()] == []


def test_refuses_a_silent_port_whatever_its_name(tmp_path: Path) -> None:
    master, slave = os.openpty()
    port = tmp_path / "line, to the unit"
    port.symlink_to(os.ttyname(slave))
    try:
        code, output = _invoke("--folder", tmp_path / "pi", "--port", port, "--family", "emus")
    finally:
        os.close(master)
        os.close(slave)
    assert code != 0
    assert "no device responds" in output
    assert str(port) in " ".join(output.split())
    with line(tmp_path) as unit, socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}"
        closed.close()
        options = ("--folder", tmp_path / "pi", "--port", unit.url, "--family", "ucb", "--server", url)
        code, output = _invoke(*options, "--pin", "no key!")
    assert code != 0
    assert "check that the server is running" in output
    assert not (tmp_path / "pi/station.toml").exists()
