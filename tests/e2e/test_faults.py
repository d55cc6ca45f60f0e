"""Damaged input, killed tasks and disk faults, with real processes."""

import contextlib
import os
import random
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from pygnc.bus.journal_files import list_segments
from pygnc.bus.messages import (
    BatchBegin,
    BatchEnd,
    GnssFix,
    OrbitEstimate,
    OrbitMessage,
    RangeMeasurement,
    SensorSample,
)
from pygnc.formats import status
from pygnc.formats.status import OrbitMode, Phase
from tests.e2e.conftest import (
    RANGE_EPOCH_BYTES,
    RANGES,
    SENSE,
    SENSE_RECORD_BYTES,
    Estimates,
    Flight,
    all_estimates,
    copy_first_hour,
    minute_after,
)
from tests.fakes.small_disk import disk_of
from tests.reference import recording

RANDOM_KILLS = int(os.environ.get("PYGNC_RANDOM_KILLS", "1"))
"""Kills of each task at random moments"""
WITHOUT_RIGHTS = ("setpriv", "--bounding-set", "-all", "--inh-caps", "-all") if os.getuid() == 0 else ()
"""As root, permissions mean nothing: such tests run without root's capabilities."""


def fixes_in(flight: Flight) -> int:
    return sum(isinstance(message, GnssFix) and message.source == "sense.bin" for message in flight.inputs())


@pytest.fixture(scope="session")
def undisturbed(flown_hour: Flight) -> Estimates:
    """Estimates of an undisturbed run."""
    return all_estimates(flown_hour)


# --- bad input ----------------------------------------------------------------------------------------------------


def test_an_empty_file(flight: Flight) -> None:
    (flight.home / "sense.bin").touch()
    assert flight.run("10", "1000", "--exit-when-done") == 0
    assert "sense.bin: the file is empty" in flight.stderr
    assert flight.status()["source_files"] == 1
    assert flight.status()["orbit_mode"] == OrbitMode.NONE


def test_a_directory_in_place_of_the_file(flight: Flight) -> None:
    (flight.home / "sense.bin").mkdir()
    assert flight.run("10", "1000", "--exit-when-done") == 9
    assert "sense.bin: Is a directory" in flight.stderr
    assert b"\nWARN INPUT\n" in (flight.home / "pygnc_info.txt").read_bytes()
    assert flight.status()["unreadable_files"] == 1


def test_an_unreadable_file(demo: Flight, demo_time_s: int) -> None:
    (demo.home / "sense.bin").chmod(0)
    unprivileged = Flight(demo.home, WITHOUT_RIGHTS)
    assert unprivileged.run("10", str(demo_time_s), "--exit-when-done") == 9
    assert "sense.bin: Permission denied" in unprivileged.stderr
    assert unprivileged.status()["unreadable_files"] == 1
    assert int(unprivileged.status()["source_files"]) >= 1  # the range files are read all the same


def test_a_gps_week_that_has_rolled_over_is_corrected(flight: Flight) -> None:
    records = 20
    content = bytearray(SENSE[: records * SENSE_RECORD_BYTES])
    for start in range(0, len(content), SENSE_RECORD_BYTES):
        week = int.from_bytes(content[start + 155 : start + 157], "little")
        content[start + 155 : start + 157] = (week - 1024).to_bytes(2, "little")
    (flight.home / "sense.bin").write_bytes(content)
    assert flight.run("10", str(minute_after(SENSE)), "--exit-when-done") == 0
    final = flight.status()
    assert (final["orbit_gps_week"], final["fixes_accepted"]) == (2358, records)
    (text,) = (event.text for event in flight.events() if event.name == "gps_week_rollover")
    assert "GPS week 1334 in input" in text
    assert "week 2358 is used" in text


def test_one_byte(flight: Flight) -> None:
    (flight.home / "sense.bin").write_bytes(b"\x00")
    assert flight.run("10", "1000", "--exit-when-done") == 0
    assert flight.status()["damaged_bytes"] == 1
    assert "sense.bin: 1 bytes at offset 0" in flight.stderr


def test_a_hundred_megabytes_of_noise_in_bounded_memory(flight: Flight) -> None:
    noise = random.Random(1).randbytes(1 << 20)  # noqa: S311 - noise, not secrets
    with (flight.home / "sense.bin").open("wb") as file:
        for _ in range(100):
            file.write(noise)
    flight.start("10", "1000", "--exit-when-done")
    peak_kb = 0

    def has_ended() -> bool:
        nonlocal peak_kb
        pid = flight.tasks().get("ingest")
        peak_kb = max(peak_kb, resident_kb(pid) if pid else 0)
        return (flight.home / "pygnc_status.bin").exists() and flight.status()["phase"] in {
            Phase.STOPPED,
            Phase.STOPPING,
        }

    flight.until(has_ended, 50.0)
    assert flight.wait() == 0
    assert 0 < peak_kb < 120_000
    assert flight.status()["delivered_bytes"] == 0
    assert flight.status()["damaged_bytes"] == 100 << 20


def resident_kb(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("VmRSS")), 0)


def test_a_truncated_file(demo: Flight, demo_time_s: int) -> None:
    file = demo.home / "sense.bin"
    file.write_bytes(file.read_bytes()[:-100])
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert fixes_in(demo) == len(SENSE) // SENSE_RECORD_BYTES - 1
    assert demo.status()["damaged_bytes"] == SENSE_RECORD_BYTES - 100


@pytest.mark.slow
def test_flipped_bits_cost_at_most_their_records(demo: Flight, demo_time_s: int) -> None:
    file = demo.home / "sense.bin"
    content = bytearray(file.read_bytes())
    rng = random.Random(7)  # noqa: S311 - faults, not secrets
    for position in rng.sample(range(len(content)), 30):
        content[position] ^= 1 << rng.randrange(8)
    file.write_bytes(content)
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    whole = len(content) // SENSE_RECORD_BYTES
    assert whole - 30 <= fixes_in(demo) <= whole
    final = demo.status()
    assert int(final["delivered_bytes"]) + int(final["damaged_bytes"]) == final["source_bytes"]
    assert final["orbit_mode"] == OrbitMode.PREDICTED


def test_first_fixes_of_a_wrong_week_are_not_the_newest_orbit(demo: Flight, demo_time_s: int) -> None:
    file = demo.home / "sense.bin"
    content = bytearray(file.read_bytes())
    for record in range(5):
        place = record * SENSE_RECORD_BYTES + 155
        content[place : place + 2] = (int.from_bytes(content[place : place + 2], "little") + 1).to_bytes(2, "little")
    file.write_bytes(content)
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    final = demo.status()
    assert int(final["fixes_received"]) - int(final["fixes_accepted"]) < 10
    assert final["orbit_gps_week"] == final["gps_week"]
    assert float(final["orbit_age_s"]) < 120.0
    assert max(float(final[f"position_sigma_m_{axis}"]) for axis in "xyz") < 10.0
    assert [event.name for event in demo.events() if event.name == "fix_times"] == ["fix_times"]


def test_an_inverted_first_position_without_velocities_is_rejected(demo: Flight, demo_time_s: int) -> None:
    file = demo.home / "sense.bin"
    content = bytearray(file.read_bytes())
    content[198::SENSE_RECORD_BYTES] = b"\x01" * (len(content) // SENSE_RECORD_BYTES)  # status of the velocities
    for axis in range(3):
        content[SENSE_RECORD_BYTES + 162 + 8 * axis + 7] ^= 0x80
    file.write_bytes(content)
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    final = demo.status()
    assert (final["rejected_start"], final["task_orbit_restarts"]) == (1, 0)
    assert float(final["orbit_age_s"]) < 120.0


@pytest.mark.slow
def test_orders_a_ring_file_by_time(demo: Flight, demo_time_s: int, undisturbed: Estimates) -> None:
    file = demo.home / "sense.bin"
    content = file.read_bytes()
    ring = content[-40 * SENSE_RECORD_BYTES :] + content[: -40 * SENSE_RECORD_BYTES]
    file.write_bytes(ring)
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert all_estimates(demo) == undisturbed
    assert (demo.home / "pygnc_batch" / "sense.bin").read_bytes() == ring


@pytest.mark.slow
def test_swapped_and_repeated_records_change_no_estimate(
    demo: Flight, demo_time_s: int, undisturbed: Estimates
) -> None:
    file = demo.home / "sense.bin"
    content = file.read_bytes()
    records = [content[k : k + SENSE_RECORD_BYTES] for k in range(0, len(content), SENSE_RECORD_BYTES)]
    records[20], records[21] = records[21], records[20]
    records.insert(50, records[49])
    file.write_bytes(b"".join(records))
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    used = [estimate for estimate in demo.estimates() if estimate.cause != "not_later"]
    messages = msgspec.msgpack.decode(undisturbed.orbits, type=list[OrbitMessage])
    expected = [message for message in messages if isinstance(message, OrbitEstimate)]
    assert [e.position_ecef_m for e in used] == [e.position_ecef_m for e in expected]
    assert demo.status()["rejected_not_later"] == 1
    assert (demo.home / "pygnc_batch" / "sense.bin").read_bytes() == file.read_bytes()


def test_continues_when_the_terminal_is_closed(flight: Flight) -> None:
    flight.start("10", "1000")
    for stream in (flight.process.stdout, flight.process.stderr):
        assert stream is not None
        stream.close()
    flight.until_phase(Phase.NO_DATA)
    os.kill(flight.tasks()["batch_writer"], signal.SIGKILL)
    flight.until(lambda: any(event.name == "restart" for event in flight.events()))
    flight.until(lambda: "batch_writer" in flight.tasks())
    flight.signal(signal.SIGINT)
    assert flight.process.wait(10) == 0


def test_reports_why_a_recording_has_no_fix(flight: Flight) -> None:
    shutil.copy(recording("recorded_sense.bin"), flight.home / "sense.bin")
    assert flight.run("10", "1000", "--exit-when-done") == 9
    final = flight.status()
    assert final["orbit_mode"] == OrbitMode.NONE
    assert final["fixes_received"] == 33
    assert final["fixes_accepted"] == 0
    assert int(final["rejected_no_time"]) + int(final["rejected_position_status"]) == 33


@pytest.mark.slow
def test_the_simulators_status_word_needs_an_explicit_option(flight: Flight) -> None:
    shutil.copy(recording("default_scenario.bin"), flight.home / "sense.bin")
    assert flight.run("10", "1606698100", "--exit-when-done") == 9
    assert flight.status()["rejected_position_status"] == 144
    assert b"\nWARN NOFIX\n" in (flight.home / "pygnc_info.txt").read_bytes()
    (text,) = (event.text for event in flight.events() if event.name == "limited")
    assert re.fullmatch(r"NOFIX: none of (\d+) fixes was used; \1 were rejected for position_status", text)
    (flight.home / "pygnc.toml").write_text("[orbit.screening]\naccept_position_status = [0, 1]\n")
    assert flight.run("10", "1606698100", "--exit-when-done") == 0
    assert int(flight.status()["fixes_accepted"]) > 100


@pytest.mark.slow
def test_ends_the_batch_if_an_input_file_changes_during_the_run(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until(lambda: "ingest" in demo.tasks())
    os.kill(demo.tasks()["ingest"], signal.SIGSTOP)
    (demo.home / "sense.bin").write_bytes(SENSE[:-SENSE_RECORD_BYTES])
    demo.until_phase(Phase.IDLE)  # the frozen task is replaced in the meantime
    demo.signal(signal.SIGINT)
    assert demo.wait() == 0
    ends = [message for message in demo.inputs() if isinstance(message, BatchEnd)]
    begins = [message for message in demo.inputs() if isinstance(message, BatchBegin)]
    assert len(ends) == len(begins) == 1
    final = demo.status()
    assert int(final["delivered_bytes"]) + int(final["damaged_bytes"]) == final["source_bytes"]
    if ends[0].cause:
        used = sum(len(m.raw) for m in demo.inputs() if isinstance(m, SensorSample | GnssFix | RangeMeasurement))
        assert final["delivered_bytes"] == used + 2 * fixes_in(demo)


@pytest.mark.slow
def test_a_sense_file_that_grows_while_it_is_read_is_used(flight: Flight, demo_time_s: int) -> None:
    file = flight.home / "sense.bin"
    file.write_bytes(SENSE[: 100 * SENSE_RECORD_BYTES])
    flight.start("10", str(demo_time_s))
    octets = iter(SENSE[100 * SENSE_RECORD_BYTES :])

    def grow() -> bool:
        with file.open("ab") as growing:
            growing.write(bytes([next(octets)]))
        status_file = flight.home / "pygnc_status.bin"
        return status_file.exists() and flight.status()["phase"] == Phase.IDLE

    flight.until(grow)
    flight.until(lambda: any(event.name == "input_changed" for event in flight.events()))
    flight.signal(signal.SIGINT)
    assert flight.wait() == 0
    final = flight.status()
    assert int(final["fixes_received"]) == fixes_in(flight) >= 100
    assert final["delivered_bytes"] == fixes_in(flight) * SENSE_RECORD_BYTES
    assert int(final["delivered_bytes"]) + int(final["damaged_bytes"]) == final["source_bytes"]


@pytest.mark.slow
def test_ranges_of_a_satellite_to_itself_are_counted_as_rejected(demo: Flight, demo_time_s: int) -> None:
    (demo.home / "pygnc.toml").write_text("[formation]\nown_id = 75\narc_max_s = 600.0\n")
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    final = demo.status()
    assert int(final["ranges_rejected"]) >= int(final["ranges_received"]) // 2 > 0


# --- dying tasks --------------------------------------------------------------------------------------------------


@pytest.mark.timeout(120)
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "task",
    [
        "orbit",
        *(
            pytest.param(n, marks=pytest.mark.slow)
            for n in ("ingest", "attitude", "formation", "batch_writer", "status")
        ),
    ],
)
def test_restarts_a_lost_task_without_changing_the_estimates(
    demo: Flight, demo_time_s: int, undisturbed: Estimates, task: str, number: signal.Signals
) -> None:
    rng = random.Random(f"{task}{number}")  # noqa: S311 - moments, not secrets
    for _ in range(RANDOM_KILLS):
        demo.start("10", str(demo_time_s))
        demo.until(lambda: task in demo.tasks())
        hit = demo.tasks()[task]
        demo.until_elapsed(rng.uniform(0.0, 0.8))
        os.kill(hit, number)
        demo.until_replaced(task, hit)
        demo.until_phase(Phase.IDLE)
        demo.until(lambda: demo.status()["orbit_mode"] == OrbitMode.PREDICTED)
        demo.signal(signal.SIGINT)
        assert demo.wait() == 0
        assert all_estimates(demo) == undisturbed
        assert [m.seq for m in demo.inputs()] == list(range(1, len(demo.inputs()) + 1))
        assert (demo.home / "pygnc_batch" / "sense.bin").read_bytes() == SENSE
        assert any(e.name == "restart" and e.task == task for e in demo.events())


@pytest.mark.slow
def test_gives_up_an_optional_task_that_always_fails_and_continues(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)

    def kill_again() -> bool:
        pid = demo.tasks().get("batch_writer")
        if pid:
            with contextlib.suppress(ProcessLookupError):  # it may have ended since it was listed
                os.kill(pid, signal.SIGKILL)
        return any(e.name == "failed" for e in demo.events())

    demo.until(kill_again, 30.0)
    assert set(demo.tasks()) == {"ingest", "orbit", "attitude", "formation", "status"}
    demo.signal(signal.SIGINT)
    assert demo.wait() == 9
    assert demo.status()["task_batch_writer_state"] == status.TaskState.FAILED


def test_reports_rates_without_an_orbit_task(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))

    def kill_again() -> bool:
        pid = demo.tasks().get("orbit")
        if pid:
            with contextlib.suppress(ProcessLookupError):  # it may have ended since it was listed
                os.kill(pid, signal.SIGKILL)
        return any(e.name == "failed" and e.task == "orbit" for e in demo.events())

    demo.until_phase(Phase.BATCH)
    demo.until(kill_again, 30.0)
    demo.until_phase(Phase.IDLE)
    demo.signal(signal.SIGINT)
    assert demo.wait() == 9
    attitudes = demo.attitudes()
    assert len(attitudes) == demo.status()["samples_received"] == demo.status()["sensor_packets"]
    late = [estimate for estimate in attitudes if estimate.orbit_late]
    assert late
    assert all(estimate.mode == "searching" for estimate in late if estimate.orbit_age_s is None)
    assert all(any(estimate.rate_body_rad_s) for estimate in late)
    assert [event.severity for event in demo.events() if (event.task, event.name) == ("attitude", "orbit_late")] == [
        "warning"
    ]


@pytest.mark.slow
def test_stops_in_order_when_a_critical_task_always_fails(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)

    def kill_again() -> bool:
        pid = demo.tasks().get("ingest")
        if pid:
            with contextlib.suppress(ProcessLookupError):  # it may have ended since it was listed
                os.kill(pid, signal.SIGKILL)
        return any(e.name == "stop" for e in demo.events())

    demo.until(kill_again, 30.0)
    assert demo.wait() == 4
    assert demo.status()["phase"] == Phase.FAILED
    assert all(not s.is_open for s in list_segments([demo.newest_run()]))


# --- bad disks ----------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 400 kB."""
    with disk_of(tmp_path / "small", "400k") as folder:
        yield folder


def test_a_full_disk_stops_recording_but_not_the_run(small_disk: Path, demo_time_s: int) -> None:
    copy_first_hour(small_disk)
    with (small_disk / "pygnc.toml").open("a") as settings:
        settings.write("[logs]\nreserve_bytes = 0\n")
    flight = Flight(small_disk)
    try:
        assert flight.run("10", str(demo_time_s), "--exit-when-done") == 5
        assert "No space left on device" in flight.stderr
        final = flight.status()
        assert int(final["not_recorded"]) >= 1
        assert final["orbit_mode"] == OrbitMode.PREDICTED
        assert final["fixes_received"] == final["gps_packets"]
        assert final["lost_messages"] == 0
    finally:
        flight.stop_hard()


def test_the_reserve_is_kept_free_for_status_and_host(small_disk: Path, demo_time_s: int) -> None:
    copy_first_hour(small_disk)
    flight = Flight(small_disk)
    try:
        assert flight.run("10", str(demo_time_s), "--exit-when-done") == 5
        assert "bytes are free on the disk" in flight.stderr
        assert list_segments([flight.newest_run()]) == []
        assert flight.status()["orbit_mode"] == OrbitMode.PREDICTED
    finally:
        flight.stop_hard()


def test_a_read_only_home(demo: Flight, demo_time_s: int) -> None:
    demo.home.chmod(0o555)
    flight = Flight(demo.home, WITHOUT_RIGHTS)
    try:
        assert flight.run("10", str(demo_time_s), "--exit-when-done") == 5
        assert "Permission denied" in flight.stderr
        assert "Traceback" not in flight.stderr
        assert not (demo.home / "pygnc_status.bin").exists()
    finally:
        demo.home.chmod(0o755)


@pytest.mark.slow
def test_more_range_files_than_a_process_may_open(demo: Flight, demo_time_s: int) -> None:
    folder = demo.home / "range"
    shutil.rmtree(folder)
    folder.mkdir()
    # Shorter than a packet, so that packets span several; the counter wraps around on the way.
    for k, start in enumerate(range(0, len(RANGES), 8)):
        (folder / f"rng{(65000 + k) % 65536:05d}.bin").write_bytes(RANGES[start : start + 8])
    assert len(list(folder.iterdir())) > 1024
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert demo.status()["damaged_bytes"] == 0
    assert demo.status()["range_packets"] == 2 * len(RANGES) // RANGE_EPOCH_BYTES
    for file in folder.iterdir():
        assert (demo.home / "pygnc_batch" / "range" / file.name).read_bytes() == file.read_bytes()
