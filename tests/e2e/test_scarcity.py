"""Lack of processor time, memory, processes and disk space, with real processes."""

import os
import signal
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from pygnc.bus.journal_files import list_segments
from pygnc.formats.status import OrbitMode, Phase, TaskState
from pygnc.tasks.table import TASKS
from tests.e2e.conftest import Flight, copy_first_hour
from tests.fakes.cgroup import Group, group_of
from tests.fakes.small_disk import disk_of, fill

pytestmark = pytest.mark.slow

PRIVATE_MEMORY = (
    "unshare",
    "--mount",
    "sh",
    "-c",
    'mount -t tmpfs -o size=8m tmpfs /dev/shm && exec "$@"',
    "sh",
)
"""Beginning of a command with an own /dev/shm."""


def names(flight: Flight, task: str) -> list[str]:
    return [event.name for event in flight.events() if event.task == task]


def has_restarted(flight: Flight, task: str, times: int) -> bool:
    return names(flight, task).count("restart") == times


# --- Processor time -----------------------------------------------------------------------------------------------


@pytest.fixture(params=[12_500, 6_250], ids=["eighth", "sixteenth"])
def slow_computer(request: pytest.FixtureRequest) -> Iterator[Group]:
    """A part of one core."""
    with group_of("cpu") as group:
        group.limit(request.param)
        yield group


@pytest.mark.timeout(400)
def test_a_slow_computer_causes_no_restart(slow_computer: Group, tmp_path: Path, demo_time_s: int) -> None:
    copy_first_hour(tmp_path)
    flight = Flight(tmp_path, slow_computer.prefix)
    try:
        assert flight.run("10", str(demo_time_s), "--exit-when-done", timeout_s=300.0) == 0
        assert [event for event in flight.events() if event.name in {"silent", "restart", "killed"}] == []
        assert flight.status()["phase"] == Phase.STOPPED
    finally:
        flight.stop_hard()


@pytest.mark.timeout(400)
def test_a_slow_computer_stops_in_time_with_the_best_estimate_so_far(
    slow_computer: Group, tmp_path: Path, demo_time_s: int
) -> None:
    copy_first_hour(tmp_path)
    flight = Flight(tmp_path, slow_computer.prefix)
    try:
        flight.start("10", str(demo_time_s))
        flight.until((tmp_path / "pygnc_status.bin").exists, timeout_s=120.0)
        flight.until(lambda: int(flight.status()["samples_used"]) > 0, timeout_s=120.0)
        flight.signal(signal.SIGINT)
        # Exit code 6 would say that the stop exceeded nine seconds.
        assert flight.wait() == 0
        assert flight.status()["phase"] == Phase.STOPPED
        assert flight.status()["orbit_mode"] != OrbitMode.NONE
        assert "PARTIAL" in (tmp_path / "pygnc_info.txt").read_text()
    finally:
        flight.stop_hard()


# --- Processes and threads ----------------------------------------------------------------------------------------


@pytest.fixture
def few_processes() -> Iterator[Group]:
    with group_of("pids") as group:
        yield group


def test_a_failed_fork_is_retried(few_processes: Group, tmp_path: Path, demo_time_s: int) -> None:
    copy_first_hour(tmp_path)
    flight = Flight(tmp_path, few_processes.prefix)
    try:
        flight.start("10", str(demo_time_s))
        flight.until_phase(Phase.IDLE)
        few_processes.limit(1)
        os.kill(flight.tasks()["batch_writer"], signal.SIGKILL)
        flight.until(lambda: "not_started" in names(flight, "batch_writer"))
        flight.until(lambda: flight.status()["task_batch_writer_state"] == TaskState.STARTING)
        few_processes.limit("max")
        flight.until(lambda: flight.status()["task_batch_writer_state"] == TaskState.UP)
        flight.signal(signal.SIGINT)
        assert flight.wait() == 0
        assert "Traceback" not in flight.stderr
        assert names(flight, "batch_writer").count("not_started") == 1
    finally:
        few_processes.limit("max")
        flight.stop_hard()


def test_a_task_without_threads_is_retried(few_processes: Group, tmp_path: Path, demo_time_s: int) -> None:
    copy_first_hour(tmp_path)
    flight = Flight(tmp_path, few_processes.prefix)
    try:
        flight.start("10", str(demo_time_s))
        flight.until_phase(Phase.IDLE)
        tasks = flight.tasks()
        pid = tasks["batch_writer"]
        # A second look or a writing thread may run now and leave room a moment later, so they are not counted.
        others = 1 + (len(tasks) - 1) * len(list(Path(f"/proc/{pid}/task").iterdir()))
        few_processes.limit(others + 2)  # the process and one of the two threads of ZeroMQ
        os.kill(pid, signal.SIGKILL)
        flight.until(lambda: "not_started" in names(flight, "batch_writer"))
        flight.until_elapsed(8.0)  # longer than three restarts with their pauses
        few_processes.limit("max")
        flight.until(lambda: flight.status()["task_batch_writer_state"] == TaskState.UP)
        flight.signal(signal.SIGINT)
        assert flight.wait() == 0
    finally:
        few_processes.limit("max")
        flight.stop_hard()


# --- Disk and memory in /dev/shm ----------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 8 MB."""
    with disk_of(tmp_path / "small", "8m") as folder:
        yield folder


def test_events_without_room_on_disk_and_in_memory_do_not_end_the_run(small_disk: Path, demo_time_s: int) -> None:
    copy_first_hour(small_disk)
    flight = Flight(small_disk, PRIVATE_MEMORY)
    try:
        flight.start("10", str(demo_time_s))
        flight.until_phase(Phase.IDLE)
        fill(small_disk / "filler")
        in_memory = Path(f"/proc/{flight.process.pid}/root/dev/shm/filler")
        fill(in_memory)
        (events,) = list_segments([flight.newest_run()], "events")
        with events.path.open("ab") as file:  # the last page of the file has room, too
            file.write(bytes(-file.tell() % os.sysconf("SC_PAGE_SIZE")))
        for name in ("attitude", "batch_writer"):
            pid = flight.tasks()[name]
            os.kill(pid, signal.SIGKILL)
            flight.until_replaced(name, pid)
        (small_disk / "filler").unlink()
        in_memory.unlink()
        flight.until(lambda: int(flight.status()["not_recorded"]) >= 1)  # also tasks that wrote while there was no room
        pid = flight.tasks()["attitude"]
        os.kill(pid, signal.SIGKILL)
        flight.until(lambda: any(event.name == "events_lost" for event in flight.events()))
        flight.signal(signal.SIGINT)
        assert flight.wait() == 5
        assert "Traceback" not in flight.stderr
        assert flight.status()["orbit_mode"] == OrbitMode.PREDICTED
    finally:
        flight.stop_hard()


# --- Memory -------------------------------------------------------------------------------------------------------


def test_the_kernel_kills_main_last_and_the_formation_first(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    own = int(Path("/proc/self/oom_score_adj").read_text())
    scores = {name: int(Path(f"/proc/{pid}/oom_score_adj").read_text()) for name, pid in demo.tasks().items()}
    main_score = int(Path(f"/proc/{demo.process.pid}/oom_score_adj").read_text())
    demo.signal(signal.SIGINT)
    assert demo.wait() == 0
    assert main_score == own < min(scores.values())
    assert max(scores, key=lambda name: scores[name]) == "formation"
    critical = [task.name for task in TASKS if task.critical]
    assert max(scores[name] for name in critical) < min(score for name, score in scores.items() if name not in critical)


@pytest.fixture
def no_memory() -> Iterator[Group]:
    """A group in which any allocation ends a process."""
    with group_of("memory") as group:
        group.limit(1 << 12)
        yield group


@pytest.mark.alone
def test_a_task_without_memory_comes_back_smaller_and_is_given_up_with_its_cause(
    no_memory: Group, demo: Flight, demo_time_s: int
) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    os.kill(demo.tasks()["formation"], signal.SIGKILL)
    for kill in range(3):
        demo.until(partial(has_restarted, demo, "formation", kill + 1))
        demo.until(lambda: "formation" in demo.tasks())
        if kill == 1:
            demo.until(lambda: "smaller" in names(demo, "formation"))
        no_memory.add(demo.tasks()["formation"])
    demo.until(lambda: "failed" in names(demo, "formation"))
    demo.signal(signal.SIGINT)
    assert demo.wait() == 8
    texts = [event.text for event in demo.events() if event.task == "formation"]
    assert sum("lack of memory" in text for text in texts if text.startswith("ended")) == 3
    assert b"\nWARN TASK MEMORY\n" in (demo.home / "pygnc_info.txt").read_bytes()
    assert demo.status()["task_formation_state"] == TaskState.FAILED
