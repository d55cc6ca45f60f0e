"""One run from its arguments to its exit code.

Gives the terminal back when main.py cannot: a process that waits for main.py's end and does nothing else.

Whatever ends main.py closes the pipe between the two, kill -9 included. No task can do this: they are killed with it.
"""

import contextlib
import ctypes
import gc
import importlib
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import erfa  # noqa: F401 - orbit, attitude and formation share it, as they do satkit
import msgspec
import satkit  # noqa: F401

import pygnc
from pygnc.bus.journal_writer import JournalWriter
from pygnc.bus.messages import Event
from pygnc.common.clock import SpacecraftReading
from pygnc.common.constants import batch_sensor_gps_packet_num_sensor_packets
from pygnc.common.files import remove_flat_folder
from pygnc.configuration.data_files import load_earth_orientation
from pygnc.configuration.load import ConfigurationError
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.launch.arguments import USAGE, Arguments, UsageError, parse
from pygnc.launch.workspace import (
    AlreadyRunningError,
    HomeLock,
    make_run_folder,
    make_runtime_folder,
    recover_older_runs,
    recover_run,
)
from pygnc.supervisor.process import STOP_SIGNALS, ExitCode, SignalInbox
from pygnc.supervisor.supervisor import Supervisor
from pygnc.tasks.batch_writer.folder import BATCH, LAST, retire_batch
from pygnc.tasks.host_link.settings import load_settings
from pygnc.tasks.runtime import Run, run_task, share_heap_among_threads
from pygnc.tasks.status.task import leave_last_words
from pygnc.tasks.table import DEVICE_READER, HOST_LINK, SHARED, SOURCE, TASKS

_HIGHEST_DESCRIPTOR: Final = 4096
_PR_SET_NAME: Final = 15
_IGNORED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGTTOU)
"""The host may signal every process before main.py has ended; and a shell may have taken the terminal by then."""


class TerminalGuard:
    """The guard of a terminal that was prepared.

    Args:
        terminal: it.
    """

    def __init__(self, terminal: "Terminal") -> None:
        ending, self._held = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            _watch(ending, terminal)
        os.close(ending)

    def dismiss(self) -> None:
        """End it: main.py gives the terminal back itself."""
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)
        os.close(self._held)


def _watch(ending: int, terminal: "Terminal") -> None:
    """Be the guard; never returns."""
    try:
        ctypes.CDLL(None).prctl(_PR_SET_NAME, b"pygnc-terminal")
        signal.set_wakeup_fd(-1)
        for number in _IGNORED:
            signal.signal(number, signal.SIG_IGN)
        # Its own end of the pipe, held open here too, would keep the other one waiting for ever.
        os.closerange(3, ending)
        os.closerange(ending + 1, _HIGHEST_DESCRIPTOR)
        while os.read(ending, 1):
            pass
        terminal.restore_if_left()
    finally:
        os._exit(0)


if TYPE_CHECKING:
    from pygnc.host.terminal import Terminal

_MIRRORED: Final = (
    "attitude.mounting.{} mirrors, as the fleet's map does; where the sensor is mounted otherwise, set it"
)
_FROM_HOME: Final = "the run begins with what the home holds"


def main(words: list[str]) -> int:
    """Run PyGNC for the host; return the exit code."""
    inbox = SignalInbox(STOP_SIGNALS)
    terminal = _find_terminal()
    home = Path(os.environ.get("HOME") or "HOME is not set")
    try:
        arguments = parse(words)
        settings, changes_fault = load_settings(arguments.config, home)
        lock = HomeLock(home)
    except UsageError as error:
        return _refuse(f"{error}; {USAGE}", ExitCode.USAGE)
    except ConfigurationError as error:
        return _refuse(str(error), ExitCode.USAGE)
    except AlreadyRunningError:
        return _refuse(f"another main.py is already running in {home}; stop it first", ExitCode.ALREADY_RUNNING)
    except OSError as error:
        return _refuse(f"HOME={str(home)!r}: {error.strerror}; set HOME to an existing folder", ExitCode.NO_HOME)
    runtime = make_runtime_folder(home)
    guard = _prepare(terminal) if terminal is not None else None
    try:
        return _fly(arguments, settings, home, runtime, inbox, terminal=terminal, changes_fault=changes_fault)
    finally:
        if terminal is not None and guard is not None:
            guard.dismiss()
            terminal.restore()
        remove_flat_folder(runtime)
        lock.release()


def _refuse(text: str, code: ExitCode) -> int:
    print(f"pygnc: {text}", file=sys.stderr)
    return code


def _find_terminal() -> "Terminal | None":
    """Return the terminal on which the host is, if it is on one."""
    if not (os.isatty(0) and os.isatty(1)):
        return None
    from pygnc.host.terminal import find_terminal  # noqa: PLC0415 - not needed where files are all there is

    return find_terminal()


def _prepare(terminal: "Terminal") -> "TerminalGuard":
    """Let the terminal carry sentences, and see to it that it is given back."""
    terminal.prepare()
    return TerminalGuard(terminal)


def _fly(
    arguments: Arguments,
    settings: Settings,
    home: Path,
    runtime: Path,
    inbox: SignalInbox,
    *,
    terminal: "Terminal | None",
    changes_fault: str,
) -> int:
    number, folder, fault = make_run_folder(home)
    orientation, orientation_fault = load_earth_orientation(home)
    run = Run(
        home=home,
        folder=folder,
        runtime=runtime,
        number=number,
        settings=settings,
        header=_journal_header(arguments, settings, number, orientation),
        earth_orientation=orientation,
        start=SpacecraftReading(arguments.t_spacecraft_s, time.monotonic_ns()),
        has_terminal=terminal is not None,
        config=arguments.config,
        from_last_run=arguments.from_last_run and _keep_last_batch(home),
    )
    log = EventLog(run)
    if run.from_last_run:
        _make_ready(run, log)
    if arguments.from_last_run and not run.from_last_run:
        log.report("supervisor", "warning", "no_last_run", f"no earlier run has left a whole {BATCH}; {_FROM_HOME}")
    if changes_fault:
        log.report("supervisor", "warning", "settings", changes_fault)
    if fault:
        log.report("supervisor", "error", "not_recorded", f"{fault}; the run goes on without logs")
    if orientation_fault:
        log.report("supervisor", "warning", "earth_orientation", orientation_fault)
    for name in settings.attitude.mounting.mirrors:
        log.report("supervisor", "warning", "mounting", _MIRRORED.format(name))
    for path in recover_older_runs(folder):
        log.report("supervisor", "warning", "recovered", f"{path.parent.name}/{path.name} was left open; closed")
    share_heap_among_threads()
    for module in SHARED:
        importlib.import_module(module)
    # Children share the memory of what is loaded now, as long as nobody touches it: not even to look for garbage.
    gc.freeze()
    gc.enable()
    supervisor = Supervisor(
        [spec for spec in TASKS if spec.name not in _absent_tasks(run)],
        lambda spec, channel: run_task(spec, run, channel),
        log,
        inbox,
        timeout_s=arguments.timeout_min * 60.0,
        exit_when_done=arguments.exit_when_done,
        source=SOURCE,
        last_act=terminal.restore if terminal else lambda: None,
    )
    code = supervisor.run()
    leave_last_words(home, failed=code == ExitCode.TASK_FAILED)
    log.close()
    recover_run(folder)
    return code or (ExitCode.NOT_RECORDED if supervisor.not_recorded or log.fault else ExitCode.OK)


def _absent_tasks(run: Run) -> set[str]:
    """The tasks that have nothing to do in this run."""
    absent = set() if run.has_host else {HOST_LINK}
    return absent if run.settings.devices else absent | {DEVICE_READER}


def _keep_last_batch(home: Path) -> bool:
    """Put what the last run wrote to where no run writes; return whether there is anything."""
    try:
        return retire_batch(home)
    except OSError:
        return False


def _make_ready(run: Run, log: "EventLog") -> None:
    """Let the last run's files have what a power cut left open, and no more than they may."""
    from pygnc.tasks.batch_writer.last_batch import add_open_record, leave_out_oldest  # noqa: PLC0415 - most runs begin with a batch

    sensors = batch_sensor_gps_packet_num_sensor_packets
    try:
        added = add_open_record(run.home, sensors)
        removed = leave_out_oldest(run.home, run.settings.batch.ceiling_bytes // 2, sensors)
    except OSError as error:
        log.report("supervisor", "warning", "last_run_files", f"{LAST}: {error.strerror}; they are read as they are")
        return
    if added:
        text = f"{added} records that were not complete when the power went are made from its input journal"
        log.report("supervisor", "info", "last_run_files", text)
    if removed:
        text = f"the oldest {removed} bytes are left out: half of [batch] ceiling_bytes is for what comes"
        log.report("supervisor", "warning", "last_run_files", text)


def _journal_header(arguments: Arguments, settings: Settings, number: int, orientation: EarthOrientationTable) -> bytes:
    """Return what every journal of the run says of itself."""
    boot_id = Path("/proc/sys/kernel/random/boot_id")
    return msgspec.msgpack.encode(
        {
            "pygnc": pygnc.__version__,
            "python": sys.version.partition(" ")[0],
            "run": number,
            "boot_id": boot_id.read_text().strip() if boot_id.exists() else "",
            "t_mono_ns": time.monotonic_ns(),
            "t_wall_ns": time.time_ns(),
            "t_spacecraft_s": arguments.t_spacecraft_s,
            "timeout_min": arguments.timeout_min,
            "from_last_run": arguments.from_last_run,
            "earth_orientation": orientation.identification,
            "settings": settings,
        }
    )


class EventLog:
    """The events journal; warnings and errors also go to the terminal."""

    def __init__(self, run: Run) -> None:
        self._journal: JournalWriter = run.open_journal("events")

    @property
    def fault(self) -> str | None:
        """Why events are not recorded on disk, or None."""
        return self._journal.fault

    def report(self, task: str, severity: str, name: str, text: str) -> None:
        """Record an event."""
        event = Event(
            seq=self._journal.last_seq + 1,
            task=task,
            severity=severity,
            name=name,
            text=text,
            t_mono_ns=time.monotonic_ns(),
            t_wall_ns=time.time_ns(),
        )
        self._journal.append([msgspec.msgpack.encode(event)])
        if severity != "info":
            first_line = text.partition("\n")[0]
            with contextlib.suppress(OSError):  # the terminal may be gone; the journal has it
                print(f"pygnc: {task}: {first_line}", file=sys.stderr, flush=True)

    def sync_if_due(self) -> None:
        """Make durable what was recorded some time ago, and wait for it: a process that forks has one thread."""
        self._journal.sync_if_due()
        self._journal.finish_sync()

    def close(self) -> None:
        """Close the journal in order."""
        self._journal.close()
