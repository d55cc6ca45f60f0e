"""The PyCubed emulator against the flight's real processes, over lines with faults."""

import os
import re
import select
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator
from math import inf
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from pygnc.host.sentence_types import SENS
from pygnc_controller.emulator.command import app
from pygnc_controller.emulator.controller import Controller
from pygnc_controller.emulator.document import EmulatorDocument
from pygnc_controller.emulator.home_check import check_home
from pygnc_controller.emulator.main_program import MainProgram
from pygnc_controller.emulator.pty_pi import PtyPi
from pygnc_controller.emulator.scenario import TimedPacket
from pygnc_controller.emulator.scenario_run import RunPlan
from pygnc_controller.emulator.serial_line import LineFaults, PacedPort
from pygnc_controller.emulator.shell import Connection, Shell
from scripts.controller.pygnc_controller import Link, Upload
from tests.e2e.conftest import DEMO, ROOT
from tests.fakes.pty_flight import HostOnPty, end, start_on_pty
from tests.fakes.pty_relay import PtyRelay

pytestmark = pytest.mark.slow

RECORDS, RECORD_BYTES = 30, 251
CONTENT = (DEMO / "sense.bin").read_bytes()[: RECORDS * RECORD_BYTES]
PACKETS = 6 * 10
"""Live ones, in the last four minutes."""
BAD = LineFaults(lost=5e-5, flipped=1e-4, doubled=5e-5, stalled=5e-5, cuts=((4.0, 5.5),))


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    folder = tmp_path / "scenario"
    folder.mkdir()
    (folder / "sense.bin").write_bytes(CONTENT)
    return folder


@pytest.fixture
def pi(tmp_path: Path) -> Iterator[PtyPi]:
    home = tmp_path / "home"
    home.mkdir()
    with PtyPi(home) as pi:
        pi.install_from_here()
        yield pi


def emulator(scenario: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROOT / "scripts" / "pycubed_emulator.py"), str(scenario)]
    command += ["--out", str(scenario.parent / "out"), "--no-wait", "--fetch-kb", "5", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def sentence_counts(said: str) -> dict[str, tuple[int, int, int]]:
    """Return sent, acknowledged and lost by type, from the summary."""
    rows = re.findall(r"│ ([A-Z]{4}) +│ (\d+) +│ (\d+) +│ ([^│]*)│", said)
    return {kind: (int(sent), int(done), sum(map(int, re.findall(r"\d+", lost)))) for kind, sent, done, lost in rows}


def test_a_complete_run_over_a_bad_line_leaves_valid_files_and_consistent_counters(scenario: Path) -> None:
    faults = [
        "--lost",
        "5e-5",
        "--flipped",
        "1e-4",
        "--doubled",
        "5e-5",
        "--delayed",
        "5e-5",
        "--cut",
        "3:1",
        "--seed",
        "3",
    ]
    process = emulator(scenario, "--live-min", "4", "--speed", "60", "--seed", "3", *faults)
    said, _ = process.communicate()
    assert process.returncode == 0, said
    found = sentence_counts(said)
    assert found["SENS"][0] + found["GPSS"][0] == PACKETS
    assert all(sent == done + lost for sent, done, lost in found.values())
    assert "exit code 0 after" in said
    assert "terminal settings restored" in said
    out = scenario.parent / "out"
    assert (out / "pygnc_info.txt").read_text().startswith("PyGNC run 2")
    assert (out / "pygnc_status.bin").read_bytes().startswith(b"PGST")


def test_a_run_by_the_shell_alone(scenario: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    process = emulator(scenario, "--plain", "--run-for", "0")
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert "by the shell" in said
    assert (scenario.parent / "out" / "pygnc_info.txt").read_text().startswith("PyGNC run 1 STOPPED")
    assert "FINE" in said or "COARSE" in said


def test_json_has_the_figures_of_a_run(scenario: Path) -> None:
    command = [sys.executable, str(ROOT / "scripts" / "pycubed_emulator.py"), str(scenario), "--json", "--no-wait"]
    command += ["--out", str(scenario.parent / "out"), "--live-min", "4", "--speed", "0", "--fetch-kb", "5"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = msgspec.json.decode(done.stdout, type=EmulatorDocument)
    assert found.sentences["SENS"].sent + found.sentences["GPSS"].sent == PACKETS
    assert all(one.sent == one.acknowledged + sum(one.lost.values()) for one in found.sentences.values())
    assert found.home is not None
    assert found.home.live_packets == PACKETS
    assert (found.errors, found.exit_code, found.terminal_restored) == ([], 0, True)
    assert {file.path: file.size_bytes for file in found.downloaded} == {
        str(path): path.stat().st_size for path in (scenario.parent / "out").rglob("*") if path.is_file()
    }
    assert "Upload sense.bin" in done.stderr
    command[2] = str(scenario / "none")
    failed = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (failed.returncode, failed.stdout) == (2, "")
    assert "pycubed emulator: " in failed.stderr


def test_a_run_on_a_bad_serial_line_resumes_after_false_ctrl_c(scenario: Path, pi: PtyPi) -> None:
    with PtyRelay(pi.master, BAD, seed=8, baud=115_200) as relay:
        relay.chores.append(pi.ensure_login)
        process = emulator(scenario, "--live-min", "4", "--speed", "60", "--port", str(relay.port))
        heard = ""
        assert process.stdout is not None
        for line in process.stdout:
            heard += line
            if line.startswith(("Upload sense.bin", "Stream")):
                relay.inject(b"\x03")
        process.communicate()
    assert process.returncode == 0, heard
    assert heard.count("restarting it") >= 2
    assert (pi.home / "sense.bin").read_bytes() == CONTENT[: (pi.home / "sense.bin").stat().st_size]
    found = sentence_counts(heard)
    assert all(sent == done + lost for sent, done, lost in found.values())
    figures, faults = check_home(pi.home)
    assert faults == []
    assert figures.live_packets >= found["SENS"][1] + found["GPSS"][1]
    assert relay.cable.to_pi.injected


def test_packets_acknowledged_before_ctrl_c_are_in_the_journal(pi: PtyPi) -> None:
    packets = [TimedPacket(0.0, SENS, (), k.to_bytes(4, "big") + bytes(26)) for k in range(20_000)]
    station = Connection(PacedPort(pi.master, 4_000_000), Controller(5))
    run = MainProgram(station, Shell(station), RunPlan.start)
    run.start(10, 1000)
    info = pi.home / "pygnc_info.txt"
    assert station.run(lambda: info.exists() and b"NO_DATA" in info.read_bytes(), 30.0)
    station.controller.stream(iter(packets), inf, time.monotonic())
    books = station.controller.counters
    assert station.run(lambda: books.acknowledged["SENS"] > 100, 30.0)
    assert run.interrupt(12.0).code == 0
    books.close()
    assert books.sent["SENS"] < len(packets)
    assert books.lost_of("SENS") > 0
    assert check_home(pi.home)[0].live_packets >= books.acknowledged["SENS"]


def test_the_module_for_controllers_uploads_over_a_bad_line(tmp_path: Path) -> None:
    host = HostOnPty()
    process = start_on_pty(host, tmp_path, ROOT / "flight" / "main.py", "10", "1000")
    with PtyRelay(host.master, LineFaults(lost=1e-4, doubled=1e-4, stalled=1e-4), seed=2, baud=115_200) as relay:
        port = os.open(relay.port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        link = Link(session=7)
        upload = Upload(
            link, "sense.bin", len(CONTENT), zlib.crc32(CONTENT), lambda at, n: CONTENT[at : at + n], transfer=1
        )
        deadline = time.monotonic() + 60.0
        while upload.state != "done":
            assert time.monotonic() < deadline, upload.state
            turn(link, upload, port)
        os.close(port)
    assert (tmp_path / "sense.bin").read_bytes() == CONTENT
    assert relay.cable.to_pi.injected.total() > 0
    end(process)
    host.close()


def turn(link: Link, upload: Upload, port: int) -> None:
    """Do what the loop of a controller does once."""
    now_ms = int(time.monotonic() * 1e3)
    heard = os.read(port, 4096) if select.select([port], [], [], 0.005)[0] else b""
    for event in link.feed(heard, now_ms):
        upload.take(event, now_ms)
    upload.pump(now_ms)
    line = link.next_portion(now_ms)
    while line:
        select.select([], [port], [], 1.0)
        line = line[os.write(port, line) :]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "/dev/nothing"], "could not open port"),
        (["--cut", "three"], "AT:FOR"),
        (["--package", "/etc/hostname"], "not a zip file"),
    ],
)
def test_impossible_requests_are_reported_in_one_line(scenario: Path, words: list[str], said: str) -> None:
    done = CliRunner().invoke(app, [str(scenario), *words])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
