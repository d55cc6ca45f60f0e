"""Faults around the start, the checkpoints, the end and the logs of many runs, with real processes."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pygnc.common.clock import week_from_gps_ms
from pygnc.formats.status import OrbitMode, Phase, TaskState
from pygnc.launch.workspace import runtime_folder
from tests.e2e.conftest import Flight, all_estimates, copy_first_hour, runs_in, write_old_runs
from tests.fakes.small_disk import disk_of

pytestmark = pytest.mark.slow

# --- Start --------------------------------------------------------------------------------------------------------

BROKEN = """
import importlib.abc, sys

class Refusal(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "pygnc.tasks.attitude.task":
            raise ImportError("a test breaks this module")

sys.meta_path.insert(0, Refusal())
"""


@pytest.fixture
def run_first(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Return a function that lets each Python program of the test run a text first."""

    def write(text: str) -> None:
        folder = tmp_path_factory.mktemp("site")
        (folder / "sitecustomize.py").write_text(text)
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")]))

    return write


def test_a_task_that_fails_at_every_start_does_not_keep_the_run_starting(
    demo: Flight, demo_time_s: int, run_first: Callable[[str], None]
) -> None:
    run_first(BROKEN)
    assert demo.run("10", str(demo_time_s), "--exit-when-done", timeout_s=60.0) == 9
    final = demo.status()
    assert (final["phase"], final["task_attitude_state"]) == (Phase.STOPPED, TaskState.FAILED)
    assert b"\nWARN TASK\n" in (demo.home / "pygnc_info.txt").read_bytes()
    assert any(event.name == "limited" and "TASK: attitude:" in event.text for event in demo.events())
    assert final["orbit_mode"] == OrbitMode.PREDICTED


SURPRISING = """
import importlib

def added(progress):
    def counts(self):
        found = progress(self)
        found.counts.update({"surprises": 3, "fixes_waiting": "many"})
        return found
    return counts

import pygnc.tasks.runtime as runtime
make = runtime.TaskLoop.__init__

def make_surprising(self, spec, *others):
    if spec.name == "orbit":
        module = importlib.import_module("pygnc.tasks.orbit.task")
        module.OrbitTask.progress = added(module.OrbitTask.progress)
    make(self, spec, *others)

runtime.TaskLoop.__init__ = make_surprising
"""


def test_unknown_counters_of_a_task_cost_neither_the_status_nor_the_run(
    demo: Flight, demo_time_s: int, run_first: Callable[[str], None]
) -> None:
    run_first(SURPRISING)
    assert demo.run("10", str(demo_time_s), "--exit-when-done", timeout_s=60.0) == 0
    final = demo.status()
    assert (final["phase"], final["orbit_mode"]) == (Phase.STOPPED, OrbitMode.PREDICTED)
    assert int(final["fixes_accepted"]) > 0
    named = [event.text for event in demo.events() if event.name == "status_value"]
    assert sorted({word for text in named for word in ("surprises", "fixes_waiting") if word in text}) == [
        "fixes_waiting",
        "surprises",
    ]


def test_sigchld_inherited_as_ignored(demo: Flight, demo_time_s: int) -> None:
    program = (
        "import os, signal, sys; signal.signal(signal.SIGCHLD, signal.SIG_IGN); os.execv(sys.argv[1], sys.argv[1:])"
    )
    ignoring = Flight(demo.home, (sys.executable, "-c", program))
    assert ignoring.run("10", str(demo_time_s), "--exit-when-done") == 0


# --- Checkpoints --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["", "not a checkpoint"], ids=["empty", "damaged"])
@pytest.mark.parametrize("task", ["orbit", "attitude", "formation"])
def test_a_damaged_checkpoint_costs_nothing(
    demo: Flight, demo_time_s: int, flown_hour: Flight, task: str, damage: str
) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    pid = demo.tasks()[task]
    os.kill(pid, signal.SIGSTOP)
    (runtime_folder(demo.home) / f"{task}.checkpoint").write_text(damage)
    os.kill(pid, signal.SIGKILL)
    demo.until_replaced(task, pid)
    demo.until_elapsed(2.0)
    demo.until_phase(Phase.IDLE)
    demo.signal(signal.SIGINT)
    assert demo.wait() == 0
    names = [event.name for event in demo.events() if event.task == task]
    assert names.count("restart") == names.count("checkpoint") == 1
    assert all_estimates(demo) == all_estimates(flown_hour)


# --- End ----------------------------------------------------------------------------------------------------------


def test_a_frozen_status_task_does_not_leave_a_stale_final_record(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until(lambda: "status" in demo.tasks() and (demo.home / "pygnc_status.bin").exists())
    os.kill(demo.tasks()["status"], signal.SIGSTOP)
    demo.until(lambda: any(event.text == "idle" for event in demo.events()))
    os.kill(demo.tasks()["status"], signal.SIGSTOP)  # on a slow machine it has been replaced in the meantime
    demo.signal(signal.SIGINT)
    assert demo.wait() == 6
    final = demo.status()
    newest = demo.estimates()[-1]
    assert final["phase"] == Phase.STOPPED
    assert (final["orbit_gps_week"], final["orbit_gps_tow_ms"]) >= week_from_gps_ms(newest.gps_ms)
    assert final["orbit_mode"] != OrbitMode.NONE
    assert final["fixes_accepted"] == len(demo.estimates())
    states = {name: value for name, value in final.items() if name.startswith("task_") and name.endswith("_state")}
    assert set(states.values()) <= {TaskState.NONE, TaskState.STOPPED}
    info = (demo.home / "pygnc_info.txt").read_text()
    assert f"STOPPED SC {int(final['spacecraft_time_s'])}" in info


def test_the_last_record_reports_that_main_has_crashed(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    demo.signal(signal.SIGSEGV)
    assert demo.wait() == -signal.SIGSEGV
    assert demo.status()["phase"] == Phase.FAILED
    assert b"\nWARN MAIN\n" in (demo.home / "pygnc_info.txt").read_bytes()


JUMPS_TO_ITSELF = {"x86_64": b"\xeb\xfe", "aarch64": b"\0\0\0\x14"}


@pytest.mark.slow
@pytest.mark.skipif(os.uname().machine not in JUMPS_TO_ITSELF, reason="no machine code for this processor")
def test_main_in_an_endless_loop_below_python_is_ended_and_reported(demo: Flight, demo_time_s: int) -> None:
    demo.start("10", str(demo_time_s))
    demo.until_phase(Phase.IDLE)
    process = Path(f"/proc/{demo.process.pid}")
    while (call := (process / "syscall").read_text().split())[0] == "running":
        time.sleep(0.01)
    with (process / "mem").open("r+b", buffering=0) as memory:
        memory.seek(int(call[-1], 16))  # where the process continues after its wait
        memory.write(JUMPS_TO_ITSELF[os.uname().machine])
    demo.signal(signal.SIGINT)
    assert demo.wait() == -signal.SIGPROF
    assert demo.status()["phase"] == Phase.FAILED
    assert b"\nWARN MAIN\n" in (demo.home / "pygnc_info.txt").read_bytes()


# --- Logs of many runs --------------------------------------------------------------------------------------------

RUNS = 4000
RUN_BYTES = 4 * 4096
"""Size of an old run on the disk; all have 65.5 MB, the ceiling is 64 MB."""


@pytest.fixture(scope="module")
def many_runs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return a home with the logs of many runs, on a disk in memory."""
    with disk_of(tmp_path_factory.mktemp("many") / "home", "400m") as home:
        copy_first_hour(home)
        write_old_runs(home, RUNS)
        yield home


@pytest.mark.timeout(300)
def test_many_old_runs_are_removed_after_the_first_status(many_runs: Path, demo_time_s: int) -> None:
    flight = Flight(many_runs)
    try:
        flight.start("10", str(demo_time_s))
        flight.until_phase(Phase.IDLE)
        at_idle = len(runs_in(many_runs))
        flight.until(lambda: len(runs_in(many_runs)) < 50_000_000 / RUN_BYTES, 120.0)
        flight.signal(signal.SIGINT)
        assert flight.wait() == 0
        assert at_idle > RUNS / 2
        assert [event for event in flight.events() if event.name in {"restart", "silent", "killed"}] == []
        assert flight.status()["not_recorded"] == 0
        assert flight.newest_run().name == f"run-{RUNS + 1:05d}"
        assert len(runs_in(many_runs)) > 40_000_000 / RUN_BYTES
        assert f"run-{RUNS:05d}" in runs_in(many_runs)
    finally:
        flight.stop_hard()


def test_a_stop_does_not_wait_for_old_runs(many_runs: Path, demo_time_s: int) -> None:
    (many_runs / "pygnc.toml").write_text("[formation]\narc_max_s = 120.0\n[logs]\nceiling_bytes = 4000000\n")
    flight = Flight(many_runs)
    try:
        before = len(runs_in(many_runs))
        flight.start("10", str(demo_time_s))
        flight.until_phase(Phase.IDLE)
        flight.until(lambda: len(runs_in(many_runs)) < before)
        flight.signal(signal.SIGINT)
        assert flight.wait() == 0
        at_s = {event.name: event.t_mono_ns * 1e-9 for event in flight.events()}
        assert "killed" not in at_s
        assert len(runs_in(many_runs)) > 1
    finally:
        flight.stop_hard()


UNUSABLE = """
import pygnc.launch.run as run
header = run._journal_header

def failing(arguments, settings, number, orientation):
    if settings.formation.own_id == 76:
        raise MemoryError
    return header(arguments, settings, number, orientation)

run._journal_header = failing
"""
"""Settings with which main.py ends with a traceback."""


def test_settings_with_which_every_start_fails_are_given_up_for_those_that_flew(
    flight: Flight, demo_time_s: int, run_first: Callable[[str], None]
) -> None:
    (flight.home / "pygnc.toml").write_text("[formation]\nown_id = 75\n")
    assert flight.run("10", str(demo_time_s), "--exit-when-done") == 0
    (flight.home / "pygnc.toml").write_text("[formation]\nown_id = 76\n")
    run_first(UNUSABLE)
    assert [flight.run("10", str(demo_time_s), "--exit-when-done") for _ in range(3)] == [1, 1, 9]
    assert b"\nWARN SETTINGS\n" in (flight.home / "pygnc_info.txt").read_bytes()
    assert "2 starts with the new settings failed" in flight.stderr
    [event] = [event for event in flight.events() if event.name == "settings"]
    assert "the run uses the settings of the last good run" in event.text
    assert (flight.home / "pygnc.toml").read_text() == "[formation]\nown_id = 76\n"


def test_settings_with_which_a_task_is_given_up_are_given_up_too(
    demo: Flight, demo_time_s: int, run_first: Callable[[str], None]
) -> None:
    run_first(BROKEN)
    for failed in range(3):
        demo.run("10", str(demo_time_s), "--exit-when-done", timeout_s=60.0)
        events = {event.name: event.text for event in demo.events()}
        assert ("settings_trial" in events, "settings" in events) == (failed == 1, failed == 2)
    assert "2 starts with the new settings failed" in events["settings"]
