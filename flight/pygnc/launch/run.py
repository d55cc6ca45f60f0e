"""One run of main.py, from its arguments to its exit code."""

import contextlib
import ctypes
import gc
import importlib
import os
import signal
import sys
import time
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec
import satkit  # noqa: F401 - loaded before the fork, so that orbit, attitude and formation share its memory

import pygnc
from pygnc.bus.control import RunState
from pygnc.common.clock import SpacecraftReading
from pygnc.common.constants import HARD_EXIT_AT_S, LAST_BATCH
from pygnc.configuration.data_files import load_earth_orientation
from pygnc.configuration.load import ConfigurationError
from pygnc.configuration.run import Run
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.environment.gravity import gravity_by_all_coefficients
from pygnc.host.settings_slots import Loaded, load_settings
from pygnc.launch.arguments import Arguments, UsageError, parse
from pygnc.launch.restart import continued
from pygnc.launch.workspace import (
    AlreadyRunningError,
    clear_places,
    lock_home,
    make_run_folder,
    make_runtime_folder,
    next_run,
    recover_previous_run,
    recover_run,
)
from pygnc.outputs.batch_folder import BATCH, retire_batch
from pygnc.outputs.status_files import StatusFiles
from pygnc.outputs.status_values import STREAMS
from pygnc.supervisor.event_log import SUPERVISOR, EventLog
from pygnc.supervisor.process import (
    PR_SET_NAME,
    STOP_SIGNALS,
    ExitCode,
    SignalInbox,
    arm_hard_exit,
    close_all_but,
    limit_loop,
)
from pygnc.supervisor.supervisor import PARTIAL, SLOW, Supervisor
from pygnc.tasks.memory import find_unchanged_libraries, share_heap_among_threads, trim_heap, unmap_libraries
from pygnc.tasks.runtime import run_task
from pygnc.tasks.seal import MODULES, checksum
from pygnc.tasks.table import DEVICE_READER, HOST_LINK, SHARED, SOURCE, TASKS
from pygnc_system.files import remove_folder
from pygnc_system.service_notifier import ServiceNotifier
from pygnc_system.version_trial import FAILED_MAX, FAULT_VARIABLE, VersionTrial

if TYPE_CHECKING:
    from pygnc.host.terminal import Terminal

_MIRRORED: Final = "is a reflection (the fleet's default map); set it if the sensor is mounted otherwise"


def main(words: list[str], stops_s: Sequence[float] = ()) -> int:
    """Run PyGNC with these command-line arguments; return the exit code.

    `stops_s` are the monotonic times of stops requested so far, s.
    """
    terminal = find_terminal()
    restore = terminal.restore if terminal is not None else lambda: None
    # From here on, nothing may keep the run beyond the hard exit, not even a card that blocks during the start.
    inbox = SignalInbox(STOP_SIGNALS, stops_s, partial(arm_hard_exit, HARD_EXIT_AT_S, restore))
    home = Path(os.environ.get("HOME") or "HOME is not set")
    try:
        arguments = continued(parse(words))
        lock = lock_home(home)
        moved = clear_places(home)
        loaded = load_settings(arguments.config, home, strict=arguments.strict)
    except (UsageError, ConfigurationError) as error:
        return _refuse(str(error), ExitCode.USAGE)
    except AlreadyRunningError:
        VersionTrial().end(good=True)
        return _refuse(f"another main.py is already running in {home}; stop it first", ExitCode.ALREADY_RUNNING)
    except OSError as error:
        return _refuse(f"HOME={str(home)!r}: {error.strerror}; set HOME to an existing folder", ExitCode.NO_HOME)
    try:
        runtime = make_runtime_folder(home)
    except OSError as error:
        return _refuse(f"{error.filename}: {error.strerror}; free space for a temporary folder", ExitCode.NO_HOME)
    dismiss_guard = guard_terminal(terminal) if terminal is not None else lambda: None
    try:
        return _run(arguments, loaded, home, runtime, inbox, terminal=terminal, moved=moved)
    finally:
        dismiss_guard()
        restore()
        with contextlib.suppress(OSError):
            remove_folder(runtime)
        os.close(lock)


def _refuse(text: str, code: ExitCode) -> int:
    print(f"pygnc: {text}", file=sys.stderr)
    return code


def find_terminal(input_descriptor: int = 0, output_descriptor: int = 1) -> "Terminal | None":
    """Return the terminal of input and output, to which a host may be connected, if this process may use it."""
    if not (os.isatty(input_descriptor) and os.isatty(output_descriptor)):
        return None
    from pygnc.host.terminal import Terminal, may_use_terminal  # noqa: PLC0415 - runs that exchange files only do not need it

    return Terminal(input_descriptor) if may_use_terminal(input_descriptor) else None


def _run(
    arguments: Arguments,
    loaded: Loaded,
    home: Path,
    runtime: Path,
    inbox: SignalInbox,
    *,
    terminal: "Terminal | None",
    moved: list[str],
) -> int:
    settings, settings_fault, trial, unused_generation = loaded
    trial.begin()
    trials = (trial, VersionTrial())
    version_fault = os.environ.get(FAULT_VARIABLE, "")
    from_last_run = False
    with contextlib.suppress(OSError):  # on a failing disk, the run begins with the files in the home
        from_last_run = arguments.from_last_run and retire_batch(home)
    number, folder = next_run(home)
    orientation, orientation_fault = load_earth_orientation(home)
    run = Run(
        home=home,
        folder=folder,
        runtime=runtime,
        number=number,
        settings=settings,
        header=_journal_header(arguments, settings, number, orientation),
        earth_orientation=orientation,
        earth_orientation_crc=checksum(orientation)[0],
        start=SpacecraftReading(arguments.t_spacecraft_s, time.monotonic_ns()),
        has_terminal=terminal is not None,
        config=arguments.config,
        from_last_run=from_last_run,
        unused_generation=unused_generation,
    )
    run_crc = zlib.crc32(run.constants())
    log = EventLog(partial(run.open_journal, "events"))
    files = StatusFiles(run, partial(log.report, SUPERVISOR))
    files.claim(RunState("starting", (), 0))
    fault = make_run_folder(folder)
    if run.from_last_run:
        _prepare_last_batch(run, log)
    elif arguments.from_last_run:
        text = f"no earlier run has left a complete {BATCH}; the run begins with the files in the home"
        log.report(SUPERVISOR, "warning", "no_last_run", text)
    _report_home(moved, loaded, log)
    if version_fault:
        log.report(SUPERVISOR, "warning", "version", version_fault)
    if fault:
        log.report(SUPERVISOR, "error", "not_recorded", f"{fault}; the run continues without logs")
    if orientation_fault:
        log.report(SUPERVISOR, "warning", "earth_orientation", orientation_fault)
    for path in recover_previous_run(folder):
        log.report(SUPERVISOR, "warning", "recovered", f"{path.parent.name}/{path.name} was left open; closed")
    share_heap_among_threads()
    _load_shared(SHARED if not inbox.has_received else ())
    needed = {HOST_LINK: run.has_host, DEVICE_READER: bool(settings.devices)}
    supervisor = Supervisor(
        [spec for spec in TASKS if needed.get(spec.name, True)],
        lambda spec, channel: run_task(spec, run, channel, run_crc),
        log,
        inbox,
        timeout_s=arguments.timeout_min * 60.0,
        exit_when_done=arguments.exit_when_done,
        source=SOURCE,
        before_hard_exit=terminal.restore if terminal else lambda: None,
        watchdog=limit_loop,
        restore_code=partial(MODULES.restore, everything=True),
        limits={word: text for word, text in (("SETTINGS", settings_fault), ("VERSION", version_fault)) if text},
        on_up=[one.note_up for one in trials],
        on_phase=[trim_heap, unmap_libraries],
        on_failure=[one.note_failure for one in trials],
        service_manager=ServiceNotifier.from_environment(),
    )
    code = supervisor.run()
    files.write_final(supervisor.state)
    log.close()
    for one in trials:
        one.end(good=code is ExitCode.OK)
    recover_run(folder)
    if code or supervisor.not_recorded:
        return code or ExitCode.NOT_RECORDED
    # These causes are no faults: the time was too short.
    causes = set(files.final_causes(supervisor.state.limits)) - {PARTIAL, SLOW}
    return ExitCode.LIMITED if causes else ExitCode.OK


def _load_shared(modules: Sequence[str]) -> None:
    """Load what the forked tasks share until they write to it."""
    for module in modules:
        importlib.import_module(module)
    for kind in STREAMS.values():
        msgspec.msgpack.Decoder(kind)  # it stores what it finds out about the types; each task would modify their pages
    MODULES.search()
    MODULES.note_answer(gravity_by_all_coefficients)
    find_unchanged_libraries()
    gc.freeze()  # garbage collection would write to all objects
    gc.enable()


def _report_home(moved: list[str], loaded: Loaded, log: EventLog) -> None:
    for text in moved:
        log.report(SUPERVISOR, "warning", "moved", text)
    if loaded.fault:
        log.report(SUPERVISOR, "warning", "settings", loaded.fault)
    if failed := loaded.trial.failed_starts:
        text = f"{failed} start with these settings failed; after {FAILED_MAX}, they are given up"
        log.report(SUPERVISOR, "warning", "settings_trial", text)
    for name in loaded.settings.attitude.mounting.mirrors:
        log.report(SUPERVISOR, "warning", "mounting", f"attitude.mounting.{name} {_MIRRORED}")


def _prepare_last_batch(run: Run, log: EventLog) -> None:
    """Complete the last run's files from its input journal, limit their size, and report both as events."""
    from pygnc.outputs.last_batch import (  # noqa: PLC0415 - few runs need it, and it delays the start
        add_open_record,
        remove_oldest,
    )

    report = partial(log.report, SUPERVISOR)
    try:
        added = add_open_record(run.home)
        removed = remove_oldest(run.home, run.settings.batch.ceiling_bytes // 2)
    except OSError as error:
        report("warning", "last_run_files", f"{LAST_BATCH}: {error.strerror}; the files are read without changes")
        return
    if added:
        text = f"{LAST_BATCH}: added {added} incomplete records from the last run's input journal"
        report("info", "last_run_files", text)
    if removed:
        text = (
            f"{LAST_BATCH}: removed the oldest {removed} bytes; half of [batch] ceiling_bytes is reserved for new data"
        )
        report("warning", "last_run_files", text)


def _journal_header(arguments: Arguments, settings: Settings, number: int, orientation: EarthOrientationTable) -> bytes:
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


def guard_terminal(terminal: "Terminal") -> Callable[[], None]:
    """Prepare the terminal and fork a process that restores it if main.py cannot, for example after SIGKILL.

    The process waits for the end of a pipe that main.py holds open. A task cannot do this, because all tasks are killed
    when main.py ends. Returns a function that ends the process.
    """
    terminal.prepare()
    ending, held = os.pipe()
    try:
        pid = os.fork()
    except OSError:  # without a guard process, main.py still restores the terminal at every orderly end
        os.close(ending)
        return partial(os.close, held)
    if pid == 0:  # pragma: no cover: coverage does not measure the present frame of a forked process
        _wait_and_restore(ending, terminal)
    os.close(ending)

    def dismiss() -> None:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        os.close(held)

    return dismiss


def _wait_and_restore(ending: int, terminal: "Terminal") -> None:
    """Wait until the pipe is closed because main.py has ended, restore the terminal, and exit; never return."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_NAME, b"pygnc-terminal")
        signal.set_wakeup_fd(-1)
        # The host may send stop signals to all processes, and a shell may own the terminal by then (SIGTTOU).
        for number in (*STOP_SIGNALS, signal.SIGTTOU):
            signal.signal(number, signal.SIG_IGN)
        # This also closes the inherited write end of the pipe, which would keep the read below waiting for ever.
        close_all_but(ending)
        os.read(ending, 1)
        terminal.restore_if_left()
    finally:
        os._exit(0)
