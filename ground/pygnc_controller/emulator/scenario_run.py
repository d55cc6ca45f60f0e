"""Complete run of a scenario: log in, upload, start, stream, download, stop, power off.

A false Ctrl-C, an interrupted line or a restart of the Pi is handled: the interrupted step is resumed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from pygnc.formats import status
from pygnc.formats.status import Phase
from pygnc.host.sentence_types import LIVE_TYPES, STOP
from pygnc_cli.text import printable
from pygnc_controller.emulator.controller import Transfer
from pygnc_controller.emulator.host_transfer import TransferState
from pygnc_controller.emulator.main_program import NOT_ENDED, Ended, MainProgram
from pygnc_controller.emulator.scenario import Scenario, with_time_marks
from pygnc_controller.emulator.shell import SCRATCH, Connection, PiError, Shell

WATCH_S: Final = 1.0
BATCH_MAX_S: Final = 600.0
GOODBYE_S: Final = 3.0
SETTLE_S: Final = 30.0
"""Wait for the last acknowledgements."""
STATUS_FILES: Final = ("pygnc_status.bin", "pygnc_info.txt")


@dataclass(frozen=True)
class RunPlan:
    """Options of a run.

    Attributes:
        scenario: Batch and live packets.
        out: Folder for downloaded files.
        speed: Scenario seconds per second while streaming; infinity: as fast as the line permits.
        plain: True to use only the shell for uploads and downloads, and to stream nothing.
        plain_run_s: With `plain`: duration of main.py, s; 0: until the batch is done.
        fetch_bytes: Maximum size of the downloads, newest files first.
        off_after_s: Time from Ctrl-C to power-off, s.
        waits: True to wait for `off_after_s` even if main.py has ended.
        timeout_min: Timeout argument of main.py, minutes.
        start: Command that starts main.py, without its arguments.
        user: Required user name; empty: any.
    """

    scenario: Scenario
    out: Path
    speed: float = 1.0
    plain: bool = False
    plain_run_s: float = 10.0
    fetch_bytes: int = 100_000
    off_after_s: float = 10.0
    waits: bool = True
    timeout_min: int = 60
    start: str = "~/pygnc/.venv/bin/python ~/pygnc/main.py"
    user: str = ""


@dataclass
class RunResult:
    """Result of a run.

    Attributes:
        uploaded_bytes: Number of bytes uploaded.
        uploaded_s: Duration of the uploads, s.
        fetched: Downloaded files.
        ended: End of main.py.
        restarts: Number of restarts after an unexpected end of main.py.
        faults: Descriptions of errors.
    """

    uploaded_bytes: int = 0
    uploaded_s: float = 0.0
    fetched: list[Path] = field(default_factory=list)
    ended: Ended = NOT_ENDED
    restarts: int = 0
    faults: list[str] = field(default_factory=list)


class ScenarioRun:
    """Run of a scenario; steps, results and progress are printed on the console."""

    def __init__(self, connection: Connection, plan: RunPlan, console: Console) -> None:
        self.result = RunResult()
        self._connection = connection
        self._controller = connection.controller
        self._plan = plan
        self._console = console
        columns = (TextColumn("  {task.description}"), BarColumn(30), TextColumn("{task.fields[state]}"))
        self._progress = Progress(
            *columns, TimeElapsedColumn(), console=console, transient=True, disable=not console.is_terminal
        )
        self._bar = self._progress.add_task("", visible=False, state="")
        self._shell = Shell(connection)
        self._main = MainProgram(connection, self._shell, plan.start)
        self._is_batch_done = False

    def run(self) -> RunResult:
        """Execute all steps up to power-off.

        Raises:
            PiError: main.py or the shell does not respond.
        """
        with self._progress:
            self._log_in()
            if self._plan.plain:
                self._upload_by_shell()
            else:
                self._upload()
            self._start()
            self._watch_batch()
            if not self._plan.plain:
                self._stream()
                self._fetch()
            off_at_s = self._stop()
            self._read_by_shell()
            self._step("Power off")
            if self._plan.waits:
                self._connection.pause(off_at_s - time.monotonic())
        return self.result

    def _step(self, text: str) -> None:
        self._progress.reset(self._bar, visible=False)
        self._console.print(Text(printable(text), style="bold"))

    def _note(self, text: str, *, bad: bool = False) -> None:
        self._console.print(Text(f"  {printable(text)}", style="red" if bad else ""))

    def _log_in(self) -> None:
        self._step("Log in")
        self._connection.port.begin_spans()
        self._shell.wake()
        who = self._shell.run("whoami").text
        version = self._shell.run("cat ~/pygnc_version.info")
        self._note(f"user {who}; flight code {version.text}")
        if self._plan.user and who != self._plan.user:
            self.result.faults.append(f"logged in as {who!r} instead of {self._plan.user!r}")

    def _upload_by_shell(self) -> None:
        for name, content in self._plan.scenario.batch.items():
            self._step(f"Upload {name}, {len(content)} bytes, by the shell")
            began_s = time.monotonic()
            self._shell.put(name, content)
            self._note_upload(len(content), time.monotonic() - began_s)

    def _upload(self) -> None:
        if not self._plan.scenario.batch:
            return
        self._step("Start main.py for the uploads")
        self._main.start(self._plan.timeout_min, self._plan.scenario.start_s)
        for name, content in self._plan.scenario.batch.items():
            self._step(f"Upload {name}, {len(content)} bytes")
            began_s = time.monotonic()
            upload = self._controller.upload(name, content, began_s)
            self._run_until(
                lambda: self._controller.is_transferred,
                lambda upload=upload, name=name: (name, upload.offset, len(upload.content)),  # type: ignore[misc]
            )
            self._check_transfer(upload, name)
            self._note_upload(len(content), time.monotonic() - began_s)
        self._controller.cancel_all()
        self._controller.send(STOP, now_s=time.monotonic())
        code = self._main.wait(SETTLE_S)
        self._note("main.py has not ended after STOP" if code is None else f"stopped: exit code {code}")

    def _start(self) -> None:
        self._step("Start main.py")
        began_s = time.monotonic()
        option = "--exit-when-done" * self._exits_when_done
        start_s = self._plan.scenario.start_s
        self._main.start(self._plan.timeout_min, start_s, streams=not self._plan.plain, option=option)
        if not self._plan.plain:
            self._controller.watch(WATCH_S, time.monotonic())
            about = self._controller.reports.software
            self._note(f"{about} responds after {time.monotonic() - began_s:.2f} s")

    def _watch_batch(self) -> None:
        self._step("Watch the batch")
        if self._plan.plain:  # the shell is busy with main.py
            if self._exits_when_done:
                self._main.wait(BATCH_MAX_S)
            else:
                self._connection.pause(self._plan.plain_run_s)
            return
        self._run_until(lambda: self._phase() in {Phase.IDLE, Phase.NO_DATA}, lambda: ("batch", 0.0, 0.0), BATCH_MAX_S)
        self._is_batch_done = True
        self._connection.run(lambda: " IDLE " in self._controller.reports.info, 3.0 * WATCH_S)
        for line in self._controller.reports.info.splitlines():
            self._note(line)

    def _stream(self) -> None:
        scenario, speed = self._plan.scenario, self._plan.speed
        if not scenario.packets:
            return
        total = len(scenario.packets)
        duration_s = scenario.packets[-1].after_s
        pace = f"{duration_s:.0f} s at {speed:g} times the original rate" if speed < inf else "as fast as possible"
        self._step(f"Stream {total} packets, {pace}")
        packets = with_time_marks(scenario.packets, scenario.start_s) if speed == 1.0 else iter(scenario.packets)
        self._controller.stream(packets, speed, time.monotonic())
        limit_s = 4.0 * duration_s / speed + total / 20.0 + SETTLE_S
        sent = self._controller.counters.sent
        self._run_until(
            lambda: self._controller.is_streamed,
            lambda: ("packets", sum(sent[kind] for kind in LIVE_TYPES), total),
            limit_s,
        )
        self._note(self._summary())

    def _fetch(self) -> None:
        self._step("Fetch results, newest first")
        self._controller.list_files(time.monotonic())
        self._run_until(lambda: self._controller.listing is not None, lambda: ("names", 0, 0), SETTLE_S)
        left = self._plan.fetch_bytes
        for listed in self._controller.listing or []:
            if listed.size > left:
                continue
            download = self._controller.download(listed.name, time.monotonic())
            self._run_until(
                lambda: self._controller.is_transferred,
                lambda download=download: (download.name, len(download.content), download.size),  # type: ignore[misc]
            )
            self._check_transfer(download, listed.name)
            if download.state is TransferState.DONE:
                self._save(listed.name, bytes(download.content))
                left -= len(download.content)
        self._controller.cancel_all()
        self._connection.run(lambda: self._controller.counters.in_flight == 0, GOODBYE_S)

    @property
    def _exits_when_done(self) -> bool:
        return self._plan.plain and not self._plan.plain_run_s

    def _stop(self) -> float:
        """Stop main.py and return the monotonic time of power-off, s."""
        result = self.result
        self._controller.cancel_all()
        if self._exits_when_done:
            ended = self._main.end_by_itself()
        else:
            self._step("Ctrl-C")
            ended = self._main.interrupt(self._plan.off_after_s)
        result.ended = ended
        if ended.code is None:
            result.faults.append(f"main.py has not ended {self._plan.off_after_s:g} s after Ctrl-C")
        else:
            after = f" after {ended.after_s:.2f} s" if ended.after_s < inf else ""
            self._note(f"exit code {ended.code}{after}")
        if not ended.terminal_restored:
            result.faults.append("the terminal settings after the run differ from those before")
        self._controller.counters.close()
        return ended.pressed_s + self._plan.off_after_s

    def _read_by_shell(self) -> None:
        if self.result.ended.code is None:
            return
        self._step("cat ~/pygnc_info.txt")
        self._shell.run(f"rm -rf ~/{SCRATCH}")
        for line in self._shell.run("cat ~/pygnc_info.txt").text.splitlines():
            self._note(line)
        if self._plan.plain:
            for name in STATUS_FILES:
                self._save(name, self._shell.get(name))

    def _run_until(
        self, is_done: Callable[[], bool], progress: Callable[[], tuple[str, float, float]], limit_s: float = inf
    ) -> None:
        """Run the connection until a condition holds; restart main.py whenever it has ended unexpectedly."""
        limit_s = min(limit_s, BATCH_MAX_S)
        deadline = time.monotonic() + limit_s
        while not is_done():
            if time.monotonic() >= deadline:
                raise PiError(
                    f"{progress()[0]}: not done within {limit_s:.0f} s; check the line and the log of main.py"
                )
            self._connection.run(is_done, 0.1)
            text, done, total = progress()
            share = f"{min(1.0, done / total):4.0%}" if total > 0.0 else ""
            shown = f"{text}  {self._summary()}"
            self._progress.update(self._bar, visible=True, completed=done, total=total, description=shown, state=share)
            if not is_done() and not self._main.is_up():
                self.result.restarts += 1
                self._note("main.py has ended unexpectedly, as after a false Ctrl-C; restarting it", bad=True)
                elapsed_s = int(time.monotonic() - self._main.first_start_s)
                t_spacecraft_s = self._plan.scenario.start_s + elapsed_s
                self._main.start(self._plan.timeout_min, t_spacecraft_s, option="--from-last-run" * self._is_batch_done)

    def _check_transfer(self, transfer: Transfer, name: str) -> None:
        if transfer.state is TransferState.REFUSED:
            self.result.faults.append(f"{name}: {transfer.cause}")

    def _save(self, name: str, content: bytes) -> None:
        path = self._plan.out / name
        self.result.fetched.append(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._note(f"{name}, {len(content)} bytes")

    def _note_upload(self, size: int, duration_s: float) -> None:
        self.result.uploaded_bytes += size
        self.result.uploaded_s += duration_s
        share = size / (duration_s * self._connection.port.to_pi.baud / 10.0)
        self._note(f"{duration_s:.1f} s, {share:.0%} of the line")

    def _phase(self) -> Phase | None:
        record = self._status()
        return None if record is None else Phase(int(record["phase"]))

    def _status(self) -> dict[str, status.Value] | None:
        try:
            return status.decode(self._controller.reports.status)
        except status.StatusError:
            return None

    def _summary(self) -> str:
        record = self._status()
        if record is None:
            return ""
        fix = f"fix {float(record['orbit_age_s']):.0f} s old" if record["orbit_mode"] else "no orbit"
        attitude = status.AttitudeMode(int(record["attitude_mode"])).name.lower()
        return f"{Phase(int(record['phase'])).name} {fix}, attitude {attitude}"
