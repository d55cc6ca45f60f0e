"""All ways to stop a run, with real processes.

`PYGNC_RANDOM_STOPS` sets the number of stops at random moments.
"""

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
from pygnc.supervisor.stop_plan import KILL_AT_S
from tests.e2e.conftest import ROOT, Flight

PATIENCE_S = 60.0
"""The supervisor's own deadlines are tested with a fake clock; here a slow machine may take longer."""
RANDOM_STOPS = int(os.environ.get("PYGNC_RANDOM_STOPS", "6"))


def end_of(flight: Flight, pids: dict[str, int]) -> int:
    """Wait for the end; no task may survive."""
    code = flight.wait(PATIENCE_S)
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
    demo.signal(signal.SIGINT)
    assert end_of(demo, tasks) == 0
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


@pytest.mark.slow
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


@pytest.mark.slow
def test_signals_inherited_as_blocked(demo: Flight, demo_time_s: int) -> None:
    program = (
        "import os, signal, sys; signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals());"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    blocking = Flight(demo.home, (sys.executable, "-c", program))
    blocking.start("10", str(demo_time_s))
    try:
        blocking.until_phase(Phase.IDLE)
        blocking.signal(signal.SIGINT)
        assert blocking.wait(PATIENCE_S) == 0
    finally:
        blocking.stop_hard()


@pytest.mark.parametrize("main", ["main.py", "pygnc_main.py"])
@pytest.mark.parametrize("delay_s", [0.0, 0.05])
def test_a_stop_at_the_first_moment_is_silent_and_recorded(
    demo: Flight, demo_time_s: int, main: str, delay_s: float
) -> None:
    demo.start("10", str(demo_time_s), main=main)
    demo.until(lambda: catches(demo.process.pid, signal.SIGTERM))
    demo.until_elapsed(delay_s)
    demo.signal(signal.SIGINT)
    assert demo.wait(PATIENCE_S) == 0
    assert "Traceback" not in demo.stderr
    assert demo.status()["phase"] == Phase.STOPPED
    assert b"\nWARN PARTIAL\n" in (demo.home / "pygnc_info.txt").read_bytes()
    assert [event.text for event in demo.events() if event.name == "stop"] == ["stopped by the host"]
    assert not list_segments([demo.newest_run()], "input"), "no task was started"
    assert all(not segment.is_open for segment in list_segments([demo.newest_run()]))


def test_a_stop_that_the_shell_script_has_noted_ends_the_run(
    demo: Flight, demo_time_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYGNC_STOP", "1")
    assert demo.run("10", str(demo_time_s)) == 0
    assert [event.text for event in demo.events() if event.name == "stop"] == ["stopped by the host"]
    assert not list_segments([demo.newest_run()], "input"), "no task was started"


def catches(pid: int, number: signal.Signals) -> bool:
    """Return True if a process has a handler of a signal."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    caught = next(int(line.split()[1], 16) for line in lines if line.startswith("SigCgt:"))
    return bool(caught >> (number - 1) & 1)


def test_output_that_nobody_takes_does_not_change_the_exit_code() -> None:
    main = str(ROOT / "flight" / "main.py")
    program = f"import runpy, sys; print('x'); sys.argv = [{main!r}]; runpy.run_path({main!r}, run_name='__main__')"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", program]
        ended = subprocess.run(command, env=environment, stdout=full, stderr=subprocess.DEVNULL, check=False)
    assert ended.returncode == 2


@pytest.mark.slow
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


def test_stops_despite_a_frozen_task(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    tasks = demo.tasks()
    os.kill(tasks["orbit"], signal.SIGSTOP)
    demo.signal(signal.SIGINT)
    assert end_of(demo, tasks) == 6
    assert demo.status()["phase"] == Phase.STOPPED
    assert_files_are_valid(demo)


@pytest.mark.slow
def test_a_second_ctrl_c_shortens_the_stop(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    tasks = demo.tasks()
    os.kill(tasks["ingest"], signal.SIGSTOP)
    demo.signal(signal.SIGINT)
    demo.until(lambda: demo.status()["phase"] == Phase.STOPPING)
    demo.signal(signal.SIGINT)
    assert end_of(demo, tasks) == 6
    at_s = {event.name: event.t_mono_ns * 1e-9 for event in demo.events()}
    assert at_s["killed"] - at_s["stop"] < KILL_AT_S


def test_no_task_survives_a_killed_main(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    tasks = demo.tasks()
    os.kill(tasks["batch_writer"], signal.SIGSTOP)
    demo.process.kill()
    demo.process.communicate()
    deadline = time.monotonic() + PATIENCE_S
    while any(is_alive(pid) for pid in tasks.values()):
        assert time.monotonic() < deadline, "orphans"
        os.sched_yield()  # they are not our children, so they cannot be waited for
    # The next run closes the journals that were left open.
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert any(event.name == "recovered" for event in demo.events())
    assert_files_are_valid(demo)


@pytest.mark.timeout(240)
@pytest.mark.slow
def test_stops_at_random_moments(demo: Flight, demo_time_s: int) -> None:
    rng = random.Random(20)  # noqa: S311 - not a secret
    for _ in range(RANDOM_STOPS):
        demo.start("10", str(demo_time_s))
        moment_s = rng.uniform(0.0, 1.2)
        with contextlib.suppress(subprocess.TimeoutExpired):
            demo.process.wait(moment_s)
        has_begun = (demo.home / "pygnc_logs").exists() and bool(demo.tasks())
        tasks = demo.tasks()
        demo.signal(signal.SIGINT)
        if not has_begun:
            # Before the first line of main.py, Ctrl-C ends Python itself; Python ignores it in a callback of an import,
            # so the controller sends another one.
            with contextlib.suppress(subprocess.TimeoutExpired):
                demo.process.wait(5.0)
            demo.process.send_signal(signal.SIGINT)
        code = end_of(demo, tasks)
        assert code == 0 or not has_begun
    assert demo.run("10", str(demo_time_s), "--exit-when-done") == 0
    assert_files_are_valid(demo)
