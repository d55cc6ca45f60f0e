"""Disks that fail during a run, with real processes."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pygnc.bus.messages import LIVE
from pygnc.bus.streams import socket_file
from pygnc.formats import status
from pygnc.formats.status import OrbitMode, Phase
from pygnc.launch.workspace import runtime_folder
from tests.e2e.conftest import RANGES, SENSE, SENSE_RECORD_BYTES, Flight, all_estimates, copy_first_hour
from tests.e2e.linked_flight import RECORDS, LinkedFlight, stream, time_of
from tests.fakes.small_disk import DyingDisk, disk_of, dying_disk_of, fill_inodes

pytestmark = pytest.mark.slow

FIRST_LIVE = RECORDS - 6
KILLED = ("orbit", "batch_writer")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[DyingDisk]:
    with dying_disk_of(tmp_path / "card", "8M") as disk:
        yield disk


@pytest.fixture
def linked(disk: DyingDisk) -> Iterator[LinkedFlight]:
    flight = LinkedFlight(disk.folder)
    yield flight
    flight.stop_hard()
    flight.host.close()


@pytest.fixture
def linked_home(tmp_path: Path) -> Iterator[LinkedFlight]:
    flight = LinkedFlight(tmp_path)
    yield flight
    flight.stop_hard()
    flight.host.close()


@pytest.mark.parametrize(
    ("fault", "text"),
    [(DyingDisk.turn_read_only, "Read-only file system"), (DyingDisk.fail, "Input/output error")],
)
def test_a_dying_card_stops_recording_but_not_the_run(
    disk: DyingDisk, linked: LinkedFlight, fault: Callable[[DyingDisk], None], text: str
) -> None:
    copy_first_hour(disk.folder)
    (disk.folder / "sense.bin").write_bytes(SENSE[: FIRST_LIVE * SENSE_RECORD_BYTES])
    with (disk.folder / "pygnc.toml").open("a") as settings:
        settings.write("[logs]\nreserve_bytes = 0\n")
    os.sync()
    host = linked.connect("10", str(time_of(FIRST_LIVE)))
    linked.until_phase(Phase.IDLE)
    tasks = linked.tasks()
    fixes = int(linked.status()["fixes_received"])
    fault(disk)
    stream(host, range(FIRST_LIVE, RECORDS))
    newest = linked.status_over_line()

    def has_used_all() -> bool:
        newest.update(linked.status_over_line())
        return newest["fixes_received"] == fixes + RECORDS - FIRST_LIVE and int(newest["not_recorded"]) > 0

    host.run(has_used_all)
    assert newest["phase"] == Phase.IDLE
    assert newest["orbit_mode"] in {OrbitMode.AT_FIX, OrbitMode.PREDICTED}
    assert newest["lost_messages"] == 0
    assert linked.tasks() == tasks, "no task was restarted"
    for name in KILLED:
        os.kill(tasks[name], signal.SIGKILL)
    host.run(lambda: all(linked.tasks().get(name, pid) != pid for name, pid in tasks.items() if name in KILLED))

    def are_up() -> bool:
        newest = linked.status_over_line()
        return all(
            (newest[f"task_{k}_restarts"], newest[f"task_{k}_state"]) == (1, status.TaskState.UP) for k in KILLED
        )

    host.run(are_up)
    linked.signal(signal.SIGINT)
    assert linked.until_ended() == 5
    heard = host.heard.decode(errors="replace")
    assert text in heard
    assert "Traceback" not in heard


def test_a_full_disk_that_is_freed_is_used_again(tmp_path: Path, demo_time_s: int) -> None:
    with disk_of(tmp_path / "small", "2m") as home:
        copy_first_hour(home)
        with (home / "pygnc.toml").open("a") as settings:
            settings.write("[logs]\nreserve_bytes = 0\n")
        ballast = home / "ballast"
        ballast.write_bytes(bytes(1_700_000))
        flight = Flight(home)
        try:
            flight.start("10", str(demo_time_s))
            flight.until_phase(Phase.IDLE)
            assert int(flight.status()["not_recorded"]) > 0
            ballast.unlink()
            flight.until(lambda: flight.status()["not_recorded"] == 0)
            flight.until_phase(Phase.IDLE)
            flight.signal(signal.SIGINT)
            assert flight.wait() == 0
            assert {event.name for event in flight.events()} >= {"not_recorded", "recorded"}
            inputs = flight.inputs()
            assert [message.seq for message in inputs] == list(range(1, len(inputs) + 1))
            assert (home / "pygnc_batch" / "sense.bin").read_bytes() == SENSE
        finally:
            flight.stop_hard()


def test_a_disk_without_inodes_keeps_the_status_current(tmp_path: Path, demo_time_s: int) -> None:
    with disk_of(tmp_path / "small", "40m,nr_inodes=40") as home:
        copy_first_hour(home)
        flight = Flight(home)
        try:
            flight.start("10", str(demo_time_s))
            flight.until_phase(Phase.IDLE)
            fill_inodes(home)
            before = flight.status()
            flight.until(lambda: int(flight.status()["generation"]) > int(before["generation"]) + 3)
            fill_inodes(home)
            before = flight.status()
            flight.until(lambda: int(flight.status()["generation"]) > int(before["generation"]) + 3)
            flight.signal(signal.SIGINT)
            assert flight.wait() in {0, 5}
            assert flight.status()["phase"] == Phase.STOPPED
            assert "Traceback" not in flight.stderr
        finally:
            flight.stop_hard()


def test_a_private_folder_that_the_system_removes_is_made_again(linked_home: LinkedFlight) -> None:
    linked, host = linked_home, linked_home.host
    copy_first_hour(linked.home)
    (linked.home / "sense.bin").write_bytes(SENSE[: FIRST_LIVE * SENSE_RECORD_BYTES])
    linked.connect("10", str(time_of(FIRST_LIVE)))
    linked.until_phase(Phase.IDLE)
    fixes = int(linked.status()["fixes_received"])
    tasks = linked.tasks()
    shutil.rmtree(runtime_folder(linked.home))
    stream(host, range(FIRST_LIVE, FIRST_LIVE + 2))
    host.run(lambda: linked.status()["fixes_received"] == fixes + 2)
    host.run(socket_file(runtime_folder(linked.home), LIVE).exists)
    killed = {"orbit", "ingest"}
    for name in killed:
        os.kill(tasks[name], signal.SIGKILL)
    host.run(lambda: all(linked.tasks().get(name, tasks[name]) != tasks[name] for name in killed))
    stream(host, range(FIRST_LIVE + 2, RECORDS))
    host.run(lambda: linked.status()["fixes_received"] == fixes + RECORDS - FIRST_LIVE)
    assert {name for name, pid in linked.tasks().items() if tasks[name] != pid} == killed
    linked.signal(signal.SIGINT)
    assert linked.until_ended() == 0
    assert "Traceback" not in host.heard.decode(errors="replace")


@pytest.mark.parametrize("options", ["40m,nr_inodes=4", "44k"])
def test_the_status_exists_if_the_disk_becomes_full_before_the_first(
    tmp_path: Path, demo_time_s: int, options: str
) -> None:
    with disk_of(tmp_path / "small", options) as home:
        (home / "sense.bin").write_bytes(SENSE)
        flight = Flight(home)
        assert flight.run("10", str(demo_time_s), "--exit-when-done") == 5
        assert flight.status()["phase"] == Phase.STOPPED
        assert b"\nWARN DISK\n" in (home / "pygnc_info.txt").read_bytes()
        assert "Traceback" not in flight.stderr


def test_a_status_for_which_the_disk_has_no_room_is_printed(tmp_path: Path, demo_time_s: int) -> None:
    with disk_of(tmp_path / "small", "36k") as home:
        (home / "sense.bin").write_bytes(SENSE)
        flight = Flight(home)
        assert flight.run("10", str(demo_time_s), "--exit-when-done") == 5
        assert "No space left on device; it is: PyGNC run 1 STOPPED SC" in flight.stderr


FLAKY = """
import errno, os, random

home, chance = os.environ["HOME"] + "/", random.Random(3)

def flaky(read):
    def call(place, *arguments, **options):
        is_on_card = not isinstance(place, (str, os.PathLike)) or os.fspath(place).startswith(home)
        if is_on_card and chance.random() < {share}:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return read(place, *arguments, **options)
    return call

os.pread, os.listdir, os.scandir, os.stat = map(flaky, (os.pread, os.listdir, os.scandir, os.stat))
"""


def test_transient_read_errors_change_no_estimate(
    demo: Flight,
    demo_time_s: int,
    flown_hour: Flight,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(FLAKY.format(share=0.3))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert all_estimates(demo) == all_estimates(flown_hour)


def test_a_card_that_is_dead_at_the_start_does_not_end_the_run(
    demo: Flight, demo_time_s: int, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path_factory.mktemp("site")
    (folder / "sitecustomize.py").write_text(FLAKY.format(share=1.0))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 5
    assert "Traceback" not in demo.stderr
    assert "sense.bin: Input/output error; the file is ignored" in demo.stderr
    assert "restarting" not in demo.stderr


MEMORY_BYTES = 2 << 30
"""Limit of the memory: a program that reads 4 GB fails."""
OLD_RUN = "pygnc_logs/run-00001"


def put(kind: str, path: Path) -> None:
    """Put a FIFO or a file of 4 GB without content in place of a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.touch()
        os.truncate(path, 4 << 30)


@pytest.mark.parametrize("kind", ["fifo", "large"])
@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("sense.bin", 9),
        ("range/rng00000.bin", 9),
        ("pygnc_elements.txt", 0),
        ("pygnc_earth_orientation.csv", 0),
        ("pygnc.toml", 9),
        ("pygnc_settings_0.bin", 9),
        ("pygnc_status.bin", 0),
        ("pygnc_status.bin.part", 0),
        ("pygnc_info.txt.part", 0),
        (f"{OLD_RUN}/input-00000.pgj.part", 0),
        (f"{OLD_RUN}/events-00000.pgj.part", 0),
    ],
)
def test_a_fifo_or_a_huge_file_is_neither_awaited_nor_read(flight: Flight, name: str, code: int, kind: str) -> None:
    put(kind, flight.home / name)
    limited = Flight(flight.home, ("prlimit", f"--as={MEMORY_BYTES}"))
    assert limited.run("10", "1000", "--exit-when-done", timeout_s=20.0) == code
    assert "Traceback" not in limited.stderr
    assert limited.status()["phase"] == Phase.STOPPED
    assert code == 0 or Path(name).name in limited.stderr


def test_folders_in_place_of_output_files_are_renamed(flight: Flight) -> None:
    names = ("pygnc_status.bin", "pygnc_info.txt", "pygnc_settings_trial.json", "pygnc_settings_0.bin")
    for name in names:
        (flight.home / name / "kept").mkdir(parents=True)
    (flight.home / "pygnc_status.bin.moved-1").touch()
    (flight.home / "pygnc_logs").touch()
    assert flight.run("10", "1000", "--exit-when-done") == 0
    assert flight.status()["phase"] == Phase.STOPPED
    assert "pygnc_status.bin is a folder; renamed to pygnc_status.bin.moved-2" in flight.stderr
    assert (flight.home / "pygnc_status.bin.moved-2" / "kept").is_dir()
    assert "pygnc_logs is no folder; renamed to pygnc_logs.moved-1" in flight.stderr
    assert all(f"{name}.moved-" in flight.stderr for name in names)


@pytest.mark.parametrize("kind", ["fifo", "large"])
@pytest.mark.parametrize("name", ["pygnc_batch_last/sense.bin", f"{OLD_RUN}/input-00000.pgj"])
def test_a_run_from_the_last_one_reads_no_fifo_and_no_huge_file(demo: Flight, name: str, kind: str) -> None:
    (demo.home / "pygnc_batch_last").mkdir()
    (demo.home / "pygnc_batch_last" / "rng00000.bin").write_bytes(RANGES)
    put(kind, demo.home / name)
    limited = Flight(demo.home, ("prlimit", f"--as={MEMORY_BYTES}"))
    code = limited.run("10", "1000", "--exit-when-done", "--from-last-run", timeout_s=40.0)
    assert code == (9 if (kind, Path(name).name) == ("fifo", "sense.bin") else 0)
    assert "Traceback" not in limited.stderr
    assert limited.status()["orbit_mode"] != OrbitMode.NONE
