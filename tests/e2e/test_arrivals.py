"""Partners' range files, and range files that come during the run: through real processes."""

import os
import random
import shutil
import signal
from pathlib import Path

import pytest

from pygnc.bus.messages import BatchBegin, BatchEnd, GnssFix, RangeMeasurement, SourceFile
from pygnc.formats.status import OrbitMode, Phase, TaskState
from tests.e2e.conftest import RANGE_EPOCH_BYTES, RANGES, SENSE, Flight, shorten_formation, write_ranges

pytestmark = pytest.mark.slow

CUT = 25 * RANGE_EPOCH_BYTES + 60
"""In the middle of a GPS packet of the demonstration's range files."""


def packets(flight: Flight, satellite_id: int = 0) -> list[GnssFix | RangeMeasurement]:
    """The packets of range files in the input journal, in order."""
    return [
        message
        for message in flight.inputs()
        if isinstance(message, GnssFix | RangeMeasurement)
        and message.source != "sense.bin"
        and message.satellite_id == satellite_id
    ]


def content(flight: Flight, satellite_id: int = 0) -> bytes:
    return b"".join(packet.raw for packet in packets(flight, satellite_id))


def numbers_are_whole(flight: Flight) -> bool:
    inputs = flight.inputs()
    return [message.seq for message in inputs] == list(range(1, len(inputs) + 1))


def books_balance(flight: Flight) -> bool:
    final = flight.status()
    own_fixes = sum(isinstance(message, GnssFix) and message.is_own for message in flight.inputs())
    sums_up = int(final["delivered_bytes"]) + int(final["damaged_bytes"]) == final["source_bytes"]
    return sums_up and final["gps_packets"] == final["fixes_received"] == own_fixes and final["lost_messages"] == 0


@pytest.fixture
def beginning(flight: Flight) -> Flight:
    """A home with the demonstration's sense file and the beginning of its range files."""
    (flight.home / "sense.bin").write_bytes(SENSE)
    shorten_formation(flight.home)
    (flight.home / "range").mkdir()
    (flight.home / "range" / "rng00007.bin").write_bytes(RANGES[:CUT])
    return flight


def test_partners_files_do_not_change_our_orbit(demo: Flight, demo_time_s: int) -> None:
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    alone = [estimate.position_ecef_m for estimate in demo.estimates()]
    attitudes = [estimate.quaternion_gcrf_from_body for estimate in demo.attitudes()]
    for folder in ("partner_75", "partner_M"):
        write_ranges(demo.home / "range" / folder)
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert content(demo, 75) == content(demo, 77) == content(demo) == RANGES
    assert [estimate.position_ecef_m for estimate in demo.estimates()] == alone
    assert [estimate.quaternion_gcrf_from_body for estimate in demo.attitudes()] == attitudes
    assert books_balance(demo)
    copied = demo.home / "pygnc_batch" / "range"
    for file in (demo.home / "range").rglob("*.bin"):
        assert (copied / file.relative_to(demo.home / "range")).read_bytes() == file.read_bytes()
    shutil.rmtree(demo.home / "range" / "partner_M")
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert not (copied / "partner_M").exists()


def test_orders_partners_packets_and_ours_by_time(demo: Flight, demo_time_s: int) -> None:
    write_ranges(demo.home / "range" / "partner_75")
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    fixes = [m for m in demo.inputs() if isinstance(m, GnssFix)]
    times_ms = [fix.gps_ms or 0 for fix in fixes]
    assert times_ms == sorted(times_ms)


def test_reports_folders_that_are_not_a_partners(demo: Flight, demo_time_s: int) -> None:
    complaints = {
        "partner_74": "74 is our own radio id",
        "partner_J": "74 is our own",
        "partner_78": "the name contains no radio id",
    }
    for folder in complaints:
        write_ranges(demo.home / "range" / folder)
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 9
    for folder, complaint in complaints.items():
        assert f"range/{folder}: {complaint}" in demo.stderr
    assert {m.satellite_id for m in demo.inputs() if isinstance(m, RangeMeasurement)} == {0}


def test_reads_only_one_of_two_folders_of_a_partner(demo: Flight, demo_time_s: int) -> None:
    for folder in ("partner_75", "partner_K"):
        write_ranges(demo.home / "range" / folder)
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 9
    assert "range/partner_K: range/partner_75 is of the same satellite" in demo.stderr
    assert content(demo, 75) == RANGES


def test_the_formation_task_starts_with_the_first_range(flight: Flight, demo_time_s: int) -> None:
    (flight.home / "sense.bin").write_bytes(SENSE)
    shorten_formation(flight.home)
    flight.start("10", str(demo_time_s))
    flight.until_phase(Phase.IDLE)
    flight.until(lambda: flight.status()["orbit_mode"] == OrbitMode.PREDICTED)
    assert "formation" not in flight.tasks()
    assert flight.status()["task_formation_state"] == TaskState.NONE
    (flight.home / "range").mkdir()
    (flight.home / "range" / "rng00007.bin").write_bytes(RANGES)
    flight.until(lambda: flight.status()["task_formation_state"] == TaskState.UP)
    flight.until_phase(Phase.IDLE)
    flight.until(lambda: flight.status()["partner1_id"] != 0)
    flight.signal(signal.SIGINT)
    assert flight.wait() == 0
    assert 0 < int(flight.status()["ranges_received"]) == flight.status()["range_packets"]


def test_reads_files_that_appear_and_grow_during_the_run(beginning: Flight, demo_time_s: int) -> None:
    folder = beginning.home / "range"
    beginning.start("10", str(demo_time_s))
    beginning.until_phase(Phase.IDLE)
    before = len(content(beginning))
    assert before == CUT - 60
    parts = [CUT, CUT + 3, CUT + 600, CUT + 2000, len(RANGES)]
    (folder / "rng00008.bin").write_bytes(RANGES[parts[0] : parts[1]])  # too little to complete the packet
    beginning.until_elapsed(1.2)
    assert len(content(beginning)) == before
    with (folder / "rng00008.bin").open("ab") as growing:
        growing.write(RANGES[parts[1] : parts[2]])
    beginning.until(lambda: len(content(beginning)) > before + 500)
    with (folder / "rng00008.bin").open("ab") as growing:
        growing.write(RANGES[parts[2] : parts[3]])
    (folder / "rng00009.bin").write_bytes(RANGES[parts[3] :])
    write_ranges(folder / "partner_76")
    beginning.until(lambda: content(beginning) == RANGES and content(beginning, 76) == RANGES)
    beginning.until_phase(Phase.IDLE)
    beginning.until(lambda: beginning.status()["damaged_bytes"] == 0 and books_balance(beginning))
    beginning.signal(signal.SIGINT)
    assert beginning.wait() == 0
    assert numbers_are_whole(beginning)
    assert books_balance(beginning)
    assert beginning.status()["source_files"] == 6
    assert beginning.status()["orbit_mode"] == OrbitMode.PREDICTED
    for file in folder.rglob("*.bin"):
        copied = beginning.home / "pygnc_batch" / "range" / file.relative_to(folder)
        assert copied.read_bytes() == file.read_bytes()
    inputs = beginning.inputs()
    assert sum(isinstance(message, BatchEnd) for message in inputs) == 1
    assert sum(isinstance(message, BatchBegin) for message in inputs) >= 3


@pytest.mark.timeout(120)
@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.slow) for seed in (1, 2))])
def test_a_killed_ingest_neither_repeats_nor_loses_late_packets(beginning: Flight, demo_time_s: int, seed: int) -> None:
    rng = random.Random(seed)  # noqa: S311 - moments, not secrets
    folder = beginning.home / "range"
    beginning.start("10", str(demo_time_s))
    beginning.until_phase(Phase.IDLE)
    borders = sorted([CUT, *rng.sample(range(CUT + 1, len(RANGES)), 3), len(RANGES)])
    written: dict[str, bytes] = {"rng00007.bin": RANGES[:CUT]}
    for k in range(len(borders) - 1):
        name = f"rng{8 + k // 2:05d}.bin"  # two parts each: the file grows
        part = RANGES[borders[k] : borders[k + 1]]
        written[name] = written.get(name, b"") + part
        hit = beginning.tasks()["ingest"]
        with (folder / name).open("ab") as file:
            file.write(part)
        beginning.until_elapsed(rng.uniform(0.0, 1.1))
        if k < 2:
            os.kill(hit, signal.SIGKILL)
            beginning.until_replaced("ingest", hit)
    beginning.until(lambda: len(content(beginning)) >= len(RANGES))
    beginning.until_elapsed(1.5)  # in which nothing more is read
    beginning.until(lambda: books_balance(beginning))
    beginning.signal(signal.SIGINT)
    assert beginning.wait() == 0
    assert content(beginning) == RANGES
    assert numbers_are_whole(beginning)
    assert books_balance(beginning)
    assert beginning.status()["damaged_bytes"] == 0
    for name, whole in written.items():
        assert (beginning.home / "pygnc_batch" / "range" / name).read_bytes() == whole


def test_a_restarted_ingest_reads_a_grown_file_as_it_was(beginning: Flight, demo_time_s: int) -> None:
    beginning.start("10", str(demo_time_s))
    beginning.until(lambda: "ingest" in beginning.tasks() and any((beginning.home / "pygnc_logs").glob("*/input*")))
    beginning.until(lambda: any(isinstance(message, BatchBegin) for message in beginning.inputs()))
    hit = beginning.tasks()["ingest"]
    os.kill(hit, signal.SIGSTOP)
    with (beginning.home / "range" / "rng00007.bin").open("ab") as file:
        file.write(RANGES[CUT:])
    os.kill(hit, signal.SIGKILL)
    beginning.until_replaced("ingest", hit)
    beginning.until(lambda: content(beginning) == RANGES)
    beginning.until(lambda: (beginning.home / "pygnc_status.bin").exists() and books_balance(beginning))
    beginning.signal(signal.SIGINT)
    assert beginning.wait() == 0
    assert numbers_are_whole(beginning)
    (end,) = [message for message in beginning.inputs() if isinstance(message, BatchEnd)]
    assert end.cause == ""
    assert books_balance(beginning)


def test_reports_and_ignores_a_file_replaced_by_a_shorter_one(beginning: Flight, demo_time_s: int) -> None:
    file = beginning.home / "range" / "rng00007.bin"
    beginning.start("10", str(demo_time_s))
    beginning.until_phase(Phase.IDLE)
    before = content(beginning)
    other = Path(f"{file}.new")
    other.write_bytes(RANGES[:500])
    other.replace(file)
    beginning.until(lambda: any(event.name == "unreadable" for event in beginning.events()))
    file.write_bytes(RANGES)
    beginning.until_elapsed(1.5)
    (beginning.home / "range" / "rng00003.bin").write_bytes(RANGES[: 102 + 12])  # an older number, after a gap
    beginning.until(lambda: len(content(beginning)) > len(before))
    beginning.signal(signal.SIGINT)
    assert beginning.wait() == 9
    assert content(beginning) == before + RANGES[: 102 + 12]
    assert "shorter than the" in beginning.stderr
    named = [message.name for message in beginning.inputs() if isinstance(message, SourceFile)]
    assert named == ["sense.bin", "range/rng00007.bin", "range/rng00007.bin", "range/rng00003.bin"]
