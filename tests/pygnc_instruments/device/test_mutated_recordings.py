"""Recordings with right checksums and wrong values; `make fuzz-recordings` reads more."""

import random
from pathlib import Path

import pytest

from pygnc_devices.family import BUILT_IN
from pygnc_devices.mip.fields import FIELDS
from pygnc_devices.mip.framing import make_packet
from pygnc_devices.receivers import packets
from pygnc_instruments.simulators.receiver_units import skytraq_frame
from tests.pygnc_instruments.device import mutated_recordings
from tests.pygnc_instruments.device.mutated_recordings import mutated_recording, read
from tests.pygnc_instruments.device.running import run, run_json


def test_all_families_have_such_recordings() -> None:
    assert mutated_recordings.MAKERS.keys() == BUILT_IN.keys()


@pytest.mark.parametrize("name", BUILT_IN)
def test_wrong_values_of_any_family_end_no_command(name: str, tmp_path: Path) -> None:
    for seed in range(12):
        path = tmp_path / f"{seed}.raw"
        path.write_bytes(mutated_recording(name, random.Random(seed)))  # noqa: S311 - repeatable
        read(name, path, tmp_path / str(seed))


@pytest.mark.parametrize("name", BUILT_IN)
def test_recordings_consist_of_frames_with_right_checksums(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mutated_recordings, "MUTATED", (0,))
    (tmp_path / "x.raw").write_bytes(mutated_recording(name, random.Random(1)))  # noqa: S311 - repeatable
    content = run_json("info", tmp_path / "x.raw", "--family", name)
    assert (content["bad_checksums"], content["skipped_bytes"]) == ("0", "0")
    assert content["readings"].startswith(f"{mutated_recordings.FRAMES} ")


@pytest.mark.parametrize("tow_s", [float("inf"), float("-inf"), float("nan"), 1e300, -1e300, 1.7e308])
def test_a_packet_with_an_impossible_time_has_no_time_and_ends_no_log(tow_s: float, tmp_path: Path) -> None:
    accel, time = FIELDS[0x80][0x04], FIELDS[0x80][0xD3]
    frames = [
        make_packet(0x80, [(0x04, accel.encode({})), (0xD3, time.encode({"gps_tow_s": tow_s if k == 5 else 0.01 * k}))])
        for k in range(10)
    ]
    (tmp_path / "x.raw").write_bytes(b"".join(frames))
    run("log", tmp_path / "x.raw", "--out", tmp_path, "--name", "run")
    rows = [line.split(",") for line in (tmp_path / "run.csv").read_text().splitlines() if line[0].isdigit()]
    assert len(rows) == 10
    assert float(rows[9][0]) - float(rows[4][0]) == pytest.approx(0.05)
    run("log", tmp_path / "x.raw", "--out", tmp_path, "--name", "run", "--format", "mcap")


def test_a_clock_that_restarts_in_a_recording_goes_on(tmp_path: Path) -> None:
    time = FIELDS[0x80][0xD5]
    counts = [*range(50, 55), *range(5)]
    frames = [make_packet(0x80, [(0xD5, time.encode({"reference_time_ns": 10_000_000 * k}))]) for k in counts]
    (tmp_path / "x.raw").write_bytes(b"".join(frames))
    assert run_json("info", tmp_path / "x.raw")["duration"] == "0.080 s"


def test_a_receiver_with_an_impossible_time_of_week_ends_no_stream(tmp_path: Path) -> None:
    state = packets.SKYTRAQ["receiver state"]
    number = bytes([packets.SKYTRAQ_NUMBERS["receiver state"]])
    values = [{"state": 3, "fix_type": 3, "tow_s": tow_s, "week": 2400} for tow_s in (1.0, 1.7e308, -5.0, 2.0)]
    (tmp_path / "x.raw").write_bytes(b"".join(skytraq_frame(number + state.encode(entry)) for entry in values))
    assert len(run("stream", tmp_path / "x.raw").stdout.splitlines()) == len(values)


def test_json_of_a_stream_has_null_for_what_is_no_number(tmp_path: Path) -> None:
    accel = FIELDS[0x80][0x04]
    frame = make_packet(0x80, [(0x04, accel.encode({"accel_x_mps2": float("inf")}))])
    (tmp_path / "x.raw").write_bytes(frame)
    assert run_json("stream", tmp_path / "x.raw")["values"]["accel_x_mps2"] is None
