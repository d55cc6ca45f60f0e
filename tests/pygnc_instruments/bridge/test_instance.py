"""Starting, stopping and finding a bridge from another program, and the window, on a virtual display."""

import os
import shutil
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from pygnc_instruments.bridge import instance as instance_module
from pygnc_instruments.bridge.instance import (
    BridgeProcess,
    BridgeProcessError,
    find_running,
    instance_path,
    read_instance_pid,
    write_instance_file,
)
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from tests.programs import needs
from tests.pygnc_command import app
from tests.pygnc_instruments.bridge.running import PATIENCE_S, ROOT, RunningBridge, environment, until

HAS_TK = subprocess.run([sys.executable, "-c", "import tkinter"], capture_output=True, check=False).returncode == 0
UNPACK_LIMIT_S = 120.0
needs_tk = pytest.mark.skipif(not HAS_TK and "CI" not in os.environ, reason="no Tk: apt-get install python3-tk")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let started programs find the code, and use a home of their own."""
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.fixture
def control(port: int) -> Iterator[BridgeProcess]:
    control = BridgeProcess(port)
    yield control
    control.stop()
    if control._child is not None:
        try:
            control._child.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:  # the test failed before the bridge answered
            control._child.kill()
            control._child.wait()


def place(line: PtyEndpoint) -> tuple[str, ...]:
    return (line.url, "--baud", "115200", "--family", "ucb")


def test_starts_finds_and_stops_a_bridge(control: BridgeProcess, line: PtyEndpoint) -> None:
    assert not control.state().is_running
    control.start(*place(line))
    state = until(
        lambda: (found := control.state()).is_running and found.details["state"] == "streaming" and found, "it"
    )
    details = state.details
    assert details["device"].startswith("2008705635")
    assert details["CRC errors"] == "0"
    assert details["log"] == "not logging"
    until(lambda: "packet S1" in control.state().details["rate"], "its rate")
    control.start()  # no effect: it is running already
    control.stop()
    until(lambda: not control.state().is_running, "its end")
    assert control.state().problem == ""


def test_finds_and_stops_a_bridge_started_elsewhere(bridge: RunningBridge) -> None:
    control = BridgeProcess(bridge.port)
    assert control.state().url == bridge.url
    control.stop()
    assert bridge.process.wait(PATIENCE_S) == 0


def test_reports_why_the_bridge_did_not_start(control: BridgeProcess, port: int) -> None:
    with socket.create_server(("127.0.0.1", port)):
        control.start()
        problem = until(lambda: control.state().problem, "the reason")
    assert "choose another port" in problem


def test_does_not_stop_another_users_bridge(bridge: RunningBridge) -> None:
    instance_path(bridge.port).unlink()
    control = BridgeProcess(bridge.port)
    assert control.state().is_running
    with pytest.raises(BridgeProcessError, match="another user"):
        control.stop()
    write_instance_file(os.getpid(), bridge.port, bridge.url)  # names another process
    with pytest.raises(BridgeProcessError):
        control.stop()
    assert bridge.process.poll() is None


def test_reports_a_program_that_cannot_be_started(control: BridgeProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance_module, "server_command", lambda: ["/nowhere/python"])
    with pytest.raises(BridgeProcessError, match="No such file"):
        control.start()


def test_another_program_at_the_port_is_not_a_bridge() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert find_running(silent.getsockname()[1]) is None


def test_instance_file_is_private_and_invalid_content_is_ignored(port: int) -> None:
    write_instance_file(1, port, "http://127.0.0.1/")
    assert stat.S_IMODE(instance_path(port).stat().st_mode) == 0o600
    assert read_instance_pid(port) == 1
    for content in ("", "[]", "{}", '{"pid": "x", "port": 1, "url": ""}'):
        instance_path(port).write_text(content)
        assert read_instance_pid(port) is None


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with subprocess.Popen(
        [shutil.which("Xvfb") or "Xvfb", "-displayfd", "1", "-screen", "0", "900x700x24", "-nolisten", "tcp"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        name = f":{server.stdout.readline().strip()}"
        monkeypatch.setenv("DISPLAY", name)
        yield name
        server.terminate()


def use_window(*arguments: str) -> None:
    command = [sys.executable, "-W", "error", str(Path(__file__).with_name("window_steps.py")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@needs_tk
@needs("Xvfb")
@pytest.mark.usefixtures("screen")
def test_window_starts_stops_and_watches_the_bridge(line: PtyEndpoint, port: int) -> None:
    use_window("manage", str(port), *place(line))


@needs_tk
@needs("Xvfb")
@pytest.mark.usefixtures("screen")
def test_window_finds_a_running_bridge_and_leaves_it_running(bridge: RunningBridge) -> None:
    use_window("watch", str(bridge.port))
    assert bridge.process.poll() is None


@needs_tk
def test_window_reports_a_missing_display(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pygnc_instruments.bridge"],
        env=environment(tmp_path, DISPLAY=""),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("pygnc: the window needs a display")


def is_drawn(screen: str) -> bool:
    from PIL import ImageGrab  # noqa: PLC0415 - only this test needs Pillow

    return ImageGrab.grab(xdisplay=screen).getbbox() is not None


@needs_tk
@pytest.mark.slow
@needs("Xvfb", "objdump")
@pytest.mark.timeout(600)  # packing takes half a minute
def test_packed_program_contains_bridge_and_window(
    screen: str, line: PtyEndpoint, port: int, control: BridgeProcess, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts/build_bridge.py"), "--out", str(tmp_path)],
        env=environment(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    program = done.stdout.strip()
    alone = {"PATH": os.defpath, "HOME": str(tmp_path), "DISPLAY": screen}  # neither Python nor this project's code
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PYTHONPATH")
        patch.setattr(instance_module, "server_command", lambda: [program, "serve"])
        control.start(line.url)  # the search needs all families
        until(lambda: "Hz" in control.state().details.get("rate", ""), "the packed bridge", UNPACK_LIMIT_S)
    assert Path(program).stat().st_size < 60_000_000
    with subprocess.Popen([program, "--port", str(port)], env=alone) as window:
        until(lambda: is_drawn(screen), "the packed window", UNPACK_LIMIT_S)
        assert window.poll() is None
        window.terminate()
    control.stop()
    until(lambda: not control.state().is_running, "its end")
    assert control._child is not None
    assert control._child.wait(UNPACK_LIMIT_S) == 0


@needs_tk
def test_bridge_and_window_are_subcommands_of_pygnc() -> None:
    for command, words in (("bridge", ("--protocol", "--origin")), ("bridge-window", ("--port",))):
        result = CliRunner().invoke(app, [command, "--help"], env={"NO_COLOR": "1", "COLUMNS": "120"})
        assert result.exit_code == 0
        assert all(word in result.stdout for word in words)


def test_window_reports_missing_tk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tkinter", None)
    monkeypatch.delitem(sys.modules, "pygnc_instruments.bridge.window", raising=False)
    result = CliRunner().invoke(app, ["bridge-window"])
    assert result.exit_code == 1
    assert "apt install python3-tk" in result.stderr
