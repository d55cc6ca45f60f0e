"""`pygnc follow`: orbit while a receiver sends raw measurements."""

import json
import os
import socket
import threading
import tty
from collections.abc import Callable
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.port import Port
from pygnc_devices.ports import open_port
from pygnc_ground.commands import raw_follower
from pygnc_ground.commands.follow import app
from pygnc_ground.commands.raw_follower import states
from pygnc_ground.gnss.lnav import Messages, Subframe
from pygnc_ground.orbit.raw.determination import Receiver
from tests.fakes import raw_logs as fake
from tests.fakes.lnav import subframe_words
from tests.fakes.lnav_values import raw_values
from tests.pygnc_ground.scenario.raw_logs import receiver_log, ublox
from tests.pygnc_ground.scenario.raw_scenario import Made, scenario

pytestmark = [pytest.mark.timeout(240), pytest.mark.xdist_group("raw_gnss")]


@pytest.fixture(scope="module")
def flight() -> Made:
    return scenario(1200)


@pytest.fixture(scope="module")
def log(flight: Made) -> bytes:
    return receiver_log(flight, fake.rawx, ublox)


def error_m(flight: Made, line: str) -> float:
    state = json.loads(line)
    true = flight.path.states_gcrf([1e-3 * (state["gps_ms"] - flight.path.start_gps_ms)])[0]
    return float(np.linalg.norm(np.array(state["position_gcrf_m"]) - true[:3]))


def received(url: str, count: int, note: Callable[[str], None] = lambda _: None) -> list[str]:
    with closing(states(url, 115_200, Receiver(dual=False), None, note)) as lines:
        return list(islice(lines, count))


def test_recording_gives_the_orbit_of_each_epoch(flight: Made, log: bytes, tmp_path: Path) -> None:
    file = tmp_path / "receiver.ubx"
    file.write_bytes(b"noise" + log)
    printed = CliRunner().invoke(app, [f"file://{file}"])
    assert printed.exit_code == 0, printed.output
    lines = printed.stdout.splitlines()
    assert 90 < len(lines) < 110
    assert error_m(flight, lines[-1]) < 3.0
    state = json.loads(lines[-1])
    assert np.linalg.norm(state["position_itrf_m"]) == pytest.approx(np.linalg.norm(state["position_gcrf_m"]), abs=0.01)


def test_few_ephemerides_are_kept(flight: Made) -> None:
    rows = flight.broadcast.table[flight.broadcast.table["prn"] == 5]
    assert len(rows) > 1
    messages = Messages(1)
    for row in rows:
        for number in (1, 2, 3):
            tow_s = int(row["sent_gps_ns"]) // 1_000_000_000 % 604_800
            subframe = Subframe.of(subframe_words(number, tow_s + 6 * number, raw_values(row)))
            assert subframe is not None
            messages.add(5, subframe)
    np.testing.assert_array_equal(
        messages.ephemerides(int(rows["toe_gps_ns"][0]))["toe_gps_ns"], rows["toe_gps_ns"][-1:]
    )


def test_receiver_at_a_terminal_line(flight: Made, log: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    host, device = os.openpty()
    tty.setraw(device)
    os.set_blocking(host, False)
    has_ended = threading.Event()
    sender = threading.Thread(target=_write, args=(host, log, has_ended))

    def opened(url: str, baud: int) -> Port:
        port = open_port(url, baud)
        sender.start()  # what was sent before is discarded
        return port

    monkeypatch.setattr(raw_follower, "open_port", opened)
    lines = received(os.ttyname(device), 20)
    has_ended.set()
    sender.join()
    os.close(device)
    os.close(host)
    assert error_m(flight, lines[-1]) < 10.0


def _write(host: int, log: bytes, has_ended: threading.Event) -> None:
    while log and not has_ended.is_set():
        try:
            log = log[os.write(host, log[:500]) :]
        except BlockingIOError:
            has_ended.wait(0.01)


def test_orbit_continues_after_a_lost_connection(flight: Made, log: bytes) -> None:
    notes = list[str]()
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, log), daemon=True).start()
        lines = received(f"socket://127.0.0.1:{server.getsockname()[1]}", 90, notes.append)
    times_ms = [json.loads(line)["gps_ms"] for line in lines]
    assert len(notes) == 1
    assert "closed by the other end" in notes[0]
    assert np.diff(times_ms).max() <= 20_000
    assert error_m(flight, lines[-1]) < 3.0


def _serve(server: socket.socket, log: bytes) -> None:
    middle = len(log) // 2
    for part in (log[:middle], log[middle:]):
        connection, _ = server.accept()
        with connection:
            connection.sendall(part)


def test_log_without_ephemerides_gives_no_orbit_and_names_them(flight: Made, tmp_path: Path) -> None:
    file = tmp_path / "receiver.ubx"
    file.write_bytes(receiver_log(flight, fake.rawx, lambda *_: b""))
    printed = CliRunner().invoke(app, [f"file://{file}"])
    assert printed.exit_code == ExitCode.INPUT
    assert "120 epochs of raw measurements, ephemerides of 0 satellites and 0 messages" in printed.stderr


def test_missing_port_is_named() -> None:
    printed = CliRunner().invoke(app, ["/dev/no-such-port"])
    assert printed.exit_code == ExitCode.DEVICE
    assert "no such port" in printed.stderr
