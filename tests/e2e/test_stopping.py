"""Every way to stop a run, each through real processes."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pygnc.bus.journal_files import list_segments
from pygnc.formats import journal, sense_scan
from pygnc.formats.status import Phase
from tests.e2e.conftest import Flight

DEADLINE_S = 9.0


def end_of(flight: Flight, pids: dict[str, int]) -> int:
    """Wait for the end; nothing may be left."""
    code = flight.wait(DEADLINE_S + 1.0)
    assert not any(is_alive(pid) for pid in pids.values())
    return code


def is_alive(pid: int) -> bool:
    try:
        return "(zombie)" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def assert_files_are_valid(flight: Flight) -> None:
    for segment in list_segments(list((flight.home / "pygnc_logs").iterdir())):
        assert not segment.is_open, segment.path
        assert journal.scan(segment.path.read_bytes()).damage == []
    flight.status()
    assert (flight.home / "pygnc_info.txt").read_text().startswith("PyGNC run")
    for batch in (flight.home / "pygnc_batch").glob("sense.bin*"):
        assert sense_scan.scan(batch.read_bytes()).damage == ()


def test_sigint_to_main_only(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    tasks = demo.tasks()
    began = time.monotonic()
    demo.signal(signal.SIGINT)
    assert end_of(demo, tasks) == 0
    assert time.monotonic() - began < DEADLINE_S
    assert_files_are_valid(demo)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_whole_group(demo: Flight, demo_time_s: int, number: signal.Signals) -> None:
    demo.start("10", str(demo_time_s), new_group=True)
    demo.until_phase(Phase.IDLE)
    tasks = demo.tasks()
    os.killpg(demo.process.pid, number)
    assert end_of(demo, tasks) == 0
    assert demo.status()["phase"] == Phase.STOPPED
    assert_files_are_valid(demo)


def test_sigint_inherited_as_ignored(demo: Flight, demo_time_s: int) -> None:
    # A shell starts background jobs with SIGINT ignored.
    program = (
        "import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    ignoring = Flight(demo.home, (sys.executable, "-c", program))
    ignoring.start("10", str(demo_time_s))
    ignoring.until_phase(Phase.IDLE)
    ignoring.signal(signal.SIGINT)
    assert ignoring.wait() == 0


def test_the_controller_signals_every_process_right_after_main(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    tasks = demo.tasks()
    demo.signal(signal.SIGINT)
    for pid in tasks.values():
        os.kill(pid, signal.SIGTERM)
    assert end_of(demo, tasks) == 0
    assert not any(event.name == "restart" for event in demo.events())
    assert demo.status()["phase"] == Phase.STOPPED
    assert_files_are_valid(demo)


def test_a_frozen_task_does_not_hold_up_the_stop(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    tasks = demo.tasks()
    os.kill(tasks["orbit"], signal.SIGSTOP)
    began = time.monotonic()
    demo.signal(signal.SIGINT)
    assert end_of(demo, tasks) == 6
    assert time.monotonic() - began < DEADLINE_S
    assert demo.status()["phase"] == Phase.STOPPED
    assert_files_are_valid(demo)


def test_a_second_ctrl_c_is_faster(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    tasks = demo.tasks()
    os.kill(tasks["ingest"], signal.SIGSTOP)
    demo.signal(signal.SIGINT)
    demo.until(lambda: demo.status()["phase"] == Phase.STOPPING)
    began = time.monotonic()
    demo.signal(signal.SIGINT)
    assert end_of(demo, tasks) == 6
    assert time.monotonic() - began < 3.0


def test_no_task_survives_a_killed_main(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    tasks = demo.tasks()
    os.kill(tasks["batch_writer"], signal.SIGSTOP)
    demo.process.kill()
    demo.process.communicate()
    deadline = time.monotonic() + 5.0
    while any(is_alive(pid) for pid in tasks.values()):
        assert time.monotonic() < deadline, "orphans"
        os.sched_yield()  # not our children any more: there is nothing to wait on
    # What the kill left open is closed by the next run.
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert any(event.name == "recovered" for event in demo.events())
    assert_files_are_valid(demo)


@pytest.mark.timeout(240)
def test_twenty_stops_at_random_moments(demo: Flight, demo_time_s: int) -> None:
    rng = random.Random(20)  # noqa: S311 - moments, not secrets
    for _ in range(20):
        demo.start("10", str(demo_time_s))
        moment_s = rng.uniform(0.0, 1.2)
        with contextlib.suppress(subprocess.TimeoutExpired):
            demo.process.wait(moment_s)
        has_begun = (demo.home / "pygnc_logs").exists() and bool(demo.tasks())
        tasks = demo.tasks()
        demo.signal(signal.SIGINT)
        began = time.monotonic()
        code = end_of(demo, tasks)
        assert time.monotonic() - began < DEADLINE_S
        # Before main.py has installed its handlers, Ctrl-C ends Python itself.
        assert code == 0 or not has_begun
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert_files_are_valid(demo)
