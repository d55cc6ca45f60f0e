"""Recordings with several families, of another family, and their summaries."""

import contextlib
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.mip.framing import make_packet
from pygnc_devices.ucb.framing import make_frame
from pygnc_devices.ucb.unit import PACKETS
from pygnc_devices.xsens.framing import make_data
from pygnc_instruments.device import connection, recording
from pygnc_instruments.device.recording import families_of
from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator
from pygnc_instruments.simulators.receiver_units import NovatelSimulator
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.pygnc_instruments.device.running import run, run_json


def ucb_bytes(count: int) -> bytes:
    """Return packets A1 at 100 Hz."""
    return b"".join(make_frame("A1", PACKETS["A1"].encode({"itow_ms": 10 * k})) for k in range(count))


def novatel_bytes(count: int) -> bytes:
    unit = NovatelSimulator()
    return b"".join(unit.message(0.1 * k) for k in range(count))


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Recording of two lines in one file."""
    dice = random.Random(1)  # noqa: S311 - repeatable
    ucb, novatel = ucb_bytes(600), novatel_bytes(60)
    frames = [ucb[at : at + len(ucb) // 600] for at in range(0, len(ucb), len(ucb) // 600)]
    for at in range(0, len(novatel), len(novatel) // 60):
        frames.insert(10 * at // (len(novatel) // 60) + dice.randrange(9), novatel[at : at + len(novatel) // 60])
    (tmp_path / "mixed.raw").write_bytes(b"".join(frames))
    return tmp_path / "mixed.raw"


def test_info_names_and_reads_each_family_of_a_file(mixed: Path, tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(ucb_bytes(600) + bytes(50) + novatel_bytes(60))
    reports = run("info", tmp_path / "x.raw", "--json").stdout.splitlines()
    assert '"readings": "600 A1", "duration": "5.990 s", "rate": "100 Hz A1", "missing": "0"' in reports[0]
    assert '"family": "novatel"' in reports[1]
    assert '"readings": "60 BESTXYZ", "duration": "5.900 s", "rate": "10 Hz BESTXYZ", "missing": "0"' in reports[1]
    assert reports[1].endswith('"skipped_bytes": "50"}')
    divided = run("info", mixed, "--json").stdout.splitlines()
    assert '"readings": "600 A1", "duration": "5.990 s"' in divided[0]
    assert '"readings": "60 BESTXYZ", "duration": "5.900 s"' in divided[1]


def test_a_log_and_a_stream_contain_each_family_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(ucb_bytes(600) + novatel_bytes(60))
    names = [line.split()[0] for line in run("stream", tmp_path / "x.raw").stdout.splitlines()]
    assert (names.count("ucb"), names.count("novatel")) == (600, 60)
    run("log", tmp_path / "x.raw", "--out", tmp_path, "--name", "run")
    assert {path.name for path in tmp_path.glob("*.csv")} == {"run-ucb.csv", "run-novatel.csv"}


def test_frames_inside_frames_are_of_no_further_family(tmp_path: Path) -> None:
    unit = MonoDriveSimulator()
    octets = b"".join(unit.run(0.01 * k) for k in range(300))  # they contain packets C2 of a 3DM-GX2
    (tmp_path / "x.raw").write_bytes(octets)
    assert [kind.name for kind in families_of(tmp_path / "x.raw")] == ["monodrive"]


@pytest.mark.parametrize("command", ["info", "stream", "log", "noise"])
def test_a_recording_of_another_family_than_named_is_an_error(command: str, tmp_path: Path) -> None:
    (tmp_path / "x.raw").write_bytes(ucb_bytes(5))
    options = ("--out", tmp_path) if command == "log" else ()
    result = run(command, tmp_path / "x.raw", "--family", "mip", *options, code=ExitCode.DEVICE)
    assert "contains no frame of the family mip, but frames of ucb; omit --family" in result.stderr


def test_families_are_found_in_samples_of_a_large_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_SAMPLE_BYTES", 1024)
    (tmp_path / "x.raw").write_bytes(ucb_bytes(600) + novatel_bytes(50))
    assert [kind.name for kind in families_of(tmp_path / "x.raw")] == ["ucb", "novatel"]


def test_a_recording_is_read_in_pieces_with_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_PIECE_BYTES", 1000)
    octets = ucb_bytes(100)
    (tmp_path / "x.raw").write_bytes(octets)
    seen: list[int] = []
    kinds = families_of(tmp_path / "x.raw")
    (summary,) = recording.summarise(tmp_path / "x.raw", kinds, report=seen.append)
    assert seen == [*range(1000, len(octets), 1000), len(octets)]
    assert (summary["readings"], summary["skipped_bytes"]) == ("100 A1", "0")


def test_a_recording_that_a_command_reads_shows_its_progress(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.raw").write_bytes(ucb_bytes(4500))
    seen: list[int] = []

    @contextlib.contextmanager
    def progress(_: str, size: int) -> Iterator[Callable[[int], object]]:
        yield seen.append
        assert size == (tmp_path / "x.raw").stat().st_size

    monkeypatch.setattr(connection, "read_progress", progress)
    with connection.connect(connection.DeviceSelection(str(tmp_path / "x.raw"))) as connected:
        assert sum(1 for _ in connected.recorded()) == 4500
    assert len(seen) == 5
    assert seen == sorted(seen)
    assert 0 < seen[0] < seen[-1] <= (tmp_path / "x.raw").stat().st_size


def test_a_summary_equals_what_the_driver_reads(tmp_path: Path) -> None:
    unit = UcbSimulator()
    octets = bytearray(b"".join(unit.run(0.01 * k) for k in range(300)))
    octets[1000] ^= 1
    octets[3000:3400] = b""
    (tmp_path / "x.raw").write_bytes(octets)
    result = run_json("log", tmp_path / "x.raw", "--out", tmp_path)
    content = run_json("info", tmp_path / "x.raw")
    assert content["readings"] == f"{result['rows']} S1"
    assert content["missing"] == str(result["statistics"]["lost_readings"]) != "0"
    assert content["skipped_bytes"] == str(result["statistics"]["skipped_bytes"])


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (make_packet(0x80, [(0x7A, b"123"), (0x04, struct.pack(">3f", 0.0, 0.0, 1.0))]), "80:7A"),
        (make_data([(0xC830, bytes(5)), (0x4020, struct.pack(">3f", 0.0, 0.0, 9.8))]), "C830"),
    ],
)
def test_fields_without_a_declaration_are_counted_by_info_and_log(frame: bytes, name: str, tmp_path: Path) -> None:
    (tmp_path / "unknown.raw").write_bytes(frame * 300)
    assert run_json("info", tmp_path / "unknown.raw")["unknown_fields"] == f"{name} (300)"
    result = run("log", tmp_path / "unknown.raw", "--out", tmp_path)
    assert f"fields without a declaration were skipped: {name} (300)" in result.stderr
