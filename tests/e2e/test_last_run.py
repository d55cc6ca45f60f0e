"""Runs that begin with the files of the last run, with real processes."""

import shutil

import pytest

from pygnc.bus.messages import GnssFix, RangeMeasurement, SensorSample
from pygnc.formats.sense_scan import scan
from tests.e2e.conftest import RANGES, SENSE, SENSE_RECORD_BYTES, Flight, copy_first_hour

pytestmark = pytest.mark.slow

CONTENT = SENSE[-60 * SENSE_RECORD_BYTES :]
HALF = 30 * SENSE_RECORD_BYTES


@pytest.fixture
def demo(demo: Flight) -> Flight:
    """The demonstration's home with less to fly."""
    (demo.home / "sense.bin").write_bytes(CONTENT)
    return demo


def raws(flight: Flight) -> list[bytes]:
    kinds = (SensorSample, GnssFix, RangeMeasurement)
    return [message.raw for message in flight.inputs() if isinstance(message, kinds)]


def names(flight: Flight) -> set[str]:
    return {event.name for event in flight.events()}


def test_begins_with_the_files_of_the_last_run(demo: Flight, demo_time_s: int) -> None:
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    first, estimates = raws(demo), demo.estimates()
    shutil.rmtree(demo.home / "range")
    (demo.home / "sense.bin").unlink()
    assert demo.run("10", str(demo_time_s), "--exit-when-done", "--from-last-run") == 0
    assert raws(demo) == first
    assert [one.position_ecef_m for one in demo.estimates()] == [one.position_ecef_m for one in estimates]
    assert (demo.home / "pygnc_batch" / "sense.bin").read_bytes() == CONTENT
    assert (demo.home / "pygnc_batch_last" / "sense.bin").read_bytes() == CONTENT
    assert "from_last_run" in names(demo)


def test_reads_each_packet_once_if_the_home_repeats_the_last_run(demo: Flight, demo_time_s: int) -> None:
    (demo.home / "sense.bin").write_bytes(CONTENT[:HALF])
    shutil.rmtree(demo.home / "range")
    (demo.home / "range").mkdir()
    (demo.home / "range" / "rng00000.bin").write_bytes(RANGES[:1000])
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    (demo.home / "sense.bin").write_bytes(CONTENT[HALF - 10 * SENSE_RECORD_BYTES :])
    (demo.home / "range" / "rng00000.bin").write_bytes(RANGES)
    assert demo.run("10", str(demo_time_s), "--exit-when-done", "--from-last-run") == 0
    resumed = raws(demo)
    assert len(resumed) == len(set(resumed))
    assert (demo.home / "pygnc_batch" / "sense.bin").read_bytes() == CONTENT
    together = b"".join(file.read_bytes() for file in sorted((demo.home / "pygnc_batch" / "range").iterdir()))
    assert together == RANGES
    shutil.rmtree(demo.home / "range")
    copy_first_hour(demo.home)
    (demo.home / "sense.bin").write_bytes(CONTENT)
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert sorted(raws(demo)) == sorted(resumed)


def test_begins_with_the_home_if_there_is_no_last_run(demo: Flight, demo_time_s: int) -> None:
    (demo.home / "pygnc_batch").mkdir()
    (demo.home / "pygnc_batch" / "sense.bin.part").write_bytes(CONTENT[:1000])
    assert demo.run("10", str(demo_time_s), "--exit-when-done", "--from-last-run") == 0
    assert "no earlier run has left a complete pygnc_batch" in demo.stderr
    assert (demo.home / "pygnc_batch" / "sense.bin").read_bytes() == CONTENT


def test_reports_a_restart_of_the_controller(demo: Flight, demo_time_s: int) -> None:
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert "new_boot" not in names(demo)
    later = bytearray(CONTENT)
    for at in range(
        0, len(later), SENSE_RECORD_BYTES
    ):  # an hour later by GPS, in a boot whose clock is a thousand seconds older
        week_ms = int.from_bytes(later[at + 157 : at + 161], "little") + 3_600_000
        later[at + 157 : at + 161] = week_ms.to_bytes(4, "little")
        for place in (*range(at, at + 150, 30), at + 150):
            t_spacecraft_s = int.from_bytes(later[place : place + 4], "big") - 1000
            later[place : place + 4] = t_spacecraft_s.to_bytes(4, "big")
    (demo.home / "sense.bin").write_bytes(later)
    assert demo.run("10", "946684900", "--exit-when-done", "--from-last-run") == 0
    assert {"new_boot", "clock_fell_back"} <= names(demo)
    found = scan((demo.home / "pygnc_batch" / "sense.bin").read_bytes())
    assert found.damage == ()
    assert len(found.records) == 2 * len(CONTENT) // SENSE_RECORD_BYTES
