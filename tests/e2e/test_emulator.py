"""The emulator's program against the flight's processes, over lines with real faults."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_ground.emulator.aftermath import look_into
from pygnc_ground.emulator.line import Faults
from pygnc_ground.emulator.pi import PiOnPty
from tests.fakes.pty_relay import PtyRelay

from .conftest import DEMO, ROOT

RECORDS, RECORD_BYTES = 30, 251
CONTENT = (DEMO / "sense.bin").read_bytes()[: RECORDS * RECORD_BYTES]
PACKETS = 6 * 10
"""Live ones, in the last four minutes."""
BAD = Faults(lost=5e-5, flipped=1e-4, doubled=5e-5, stalled=5e-5, cuts=((4.0, 5.5),))


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    folder = tmp_path / "scenario"
    folder.mkdir()
    (folder / "sense.bin").write_bytes(CONTENT)
    return folder


@pytest.fixture
def pi(tmp_path: Path) -> Iterator[PiOnPty]:
    home = tmp_path / "home"
    home.mkdir()
    with PiOnPty(home) as pi:
        pi.install_from_here()
        yield pi


def emulator(scenario: Path, *words: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(ROOT / "scripts" / "pycubed_emulator.py"), str(scenario)]
    command += ["--out", str(scenario.parent / "out"), "--off-after", "1", "--fetch-kb", "5", *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def books(said: str) -> dict[str, tuple[int, int, int]]:
    """Return sent, acknowledged and lost by type, out of the summary."""
    rows = re.findall(r"│ ([A-Z]{4}) +│ (\d+) +│ (\d+) +│ ([^│]*)│", said)
    return {kind: (int(sent), int(done), sum(map(int, re.findall(r"\d+", lost)))) for kind, sent, done, lost in rows}


def test_a_whole_day_over_a_bad_line_leaves_balanced_books_and_valid_files(scenario: Path) -> None:
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
    found = books(said)
    assert found["SENS"][0] + found["GPSS"][0] == PACKETS
    assert all(sent == done + lost for sent, done, lost in found.values())
    assert "exit code 0 after" in said
    assert "terminal settings: as they were" in said
    assert "all in order" in said
    out = scenario.parent / "out"
    assert (out / "pygnc_info.txt").read_text().startswith("PyGNC run 2")
    assert (out / "pygnc_status.bin").read_bytes().startswith(b"PGST")


def test_the_shell_alone_will_do(scenario: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    process = emulator(scenario, "--plain", "--run-for", "4")
    said, _ = process.communicate()
    assert process.returncode == 0, said
    assert "through the shell" in said
    assert (scenario.parent / "out" / "pygnc_info.txt").read_text().startswith("PyGNC run 1 STOPPED")
    assert "FINE" in said


def test_on_a_serial_port_with_a_bad_cable_false_ctrl_c_are_resumed(scenario: Path, pi: PiOnPty) -> None:
    with PtyRelay(pi.master, BAD, seed=8, baud=115_200) as relay:
        process = emulator(scenario, "--live-min", "4", "--speed", "60", "--port", str(relay.port))
        heard = ""
        assert process.stdout is not None
        for line in process.stdout:
            heard += line
            if line.startswith(("Upload sense.bin", "Stream")):
                relay.inject(b"\x03")
        process.communicate()
    assert process.returncode == 0, heard
    assert heard.count("main.py has ended unasked") >= 2
    assert (pi.home / "sense.bin").read_bytes() == CONTENT[: (pi.home / "sense.bin").stat().st_size]
    found = books(heard)
    assert all(sent == done + lost for sent, done, lost in found.values())
    aftermath = look_into(pi.home)
    assert aftermath.faults == []
    assert aftermath.live >= found["SENS"][1] + found["GPSS"][1]
    assert relay.cable.to_pi.injected


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "/dev/nothing"], "could not open port"),
        (["--cut", "three"], "is not AT:FOR"),
        (["--package", "/etc/hostname"], "not a zip file"),
    ],
)
def test_what_cannot_be_is_told_in_a_line(scenario: Path, words: list[str], said: str) -> None:
    process = emulator(scenario, *words)
    heard, _ = process.communicate()
    assert process.returncode == 2
    assert said in " ".join(heard.split())
    assert "Traceback" not in heard
