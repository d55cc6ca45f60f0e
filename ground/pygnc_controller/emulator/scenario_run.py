"""One day of a controller: log in, upload, start, watch, stream, fetch, stop, and the power goes.

A false Ctrl-C, a cut line or a Pi that restarts interrupt it; whatever was begun is then resumed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from typing import Final

from pygnc.formats import status
from pygnc.formats.status import Phase
from pygnc.host.host_transfer import TransferState
from pygnc.host.sentence_types import STOP
from pygnc_controller.emulator.controller import Transfer
from pygnc_controller.emulator.display import Display
from pygnc_controller.emulator.main_program import MainProgram, MainProgramError
from pygnc_controller.emulator.scenario import LIVE_TYPES, Scenario, with_time_marks
from pygnc_controller.emulator.shell import SCRATCH, Connection, Shell

WATCH_S: Final = 1.0
BATCH_MAX_S: Final = 600.0
GOODBYE_S: Final = 3.0
SETTLE_S: Final = 30.0
"""As long as that is waited for the last acknowledgements."""
STATUS_FILES: Final = ("pygnc_status.bin", "pygnc_info.txt")


@dataclass(frozen=True)
class RunPlan:
    """What is to be done.

    Attributes:
        scenario: what the controller has.
        speed: seconds of the scenario per second while streaming; infinity: as fast as the line takes it.
        plain: upload and fetch by the shell alone, and stream nothing.
        plain_run_s: so long main.py runs then, for it can be asked nothing meanwhile; 0: until it has done the batch.
        fetch_bytes: results are fetched, newest first, up to so much.
        out: where they are put.
        off_after_s: from Ctrl-C to the power switch.
        waits: for that time, though main.py has ended.
        timeout_min: what main.py is told.
        start: how main.py is started, without its arguments.
        user: who must be logged in; empty: anybody.
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
    """What came of it.

    Attributes:
        uploaded_s: bytes and seconds of the uploads.
        fetched: bytes by name.
        exit_code: of main.py after Ctrl-C.
        exit_s: from Ctrl-C to the shell's prompt.
        terminal_restored: whether the shell found the terminal's settings as they were; None: not known.
        restarts: times that main.py had ended unasked and was started again.
        info: the info line as `cat` shows it at the end.
        faults: what went wrong, in words.
    """

    uploaded_bytes: int = 0
    uploaded_s: float = 0.0
    fetched: dict[str, bytes] = field(default_factory=dict)
    exit_code: int | None = None
    exit_s: float = inf
    terminal_restored: bool | None = None
    restarts: int = 0
    info: str = ""
    faults: list[str] = field(default_factory=list)


class ScenarioRun:
    """Flies a plan.

    Args:
        station: the controller at its port.
        plan: what is to be done.
        display: who watches.
    """

    def __init__(self, station: Connection, plan: RunPlan, display: Display) -> None:
        self.outcome = RunResult()
        self._station = station
        self._controller = station.controller
        self._plan = plan
        self._display = display
        self._shell = Shell(station)
        self._run = MainProgram(station, self._shell, plan.start)
        self._is_batch_done = False

    def fly(self) -> RunResult:
        """Do everything up to the moment before the power goes.

        Raises:
            ShellError: there is no shell.
            RunError: main.py does not come up.
        """
        self._log_in()
        if self._plan.plain:
            self._upload_plainly()
        else:
            self._upload()
        self._start()
        self._watch_batch()
        if not self._plan.plain:
            self._stream()
            self._fetch()
        off_at_s = self._stop()
        self._read_plainly()
        self._display.step("Power off")
        if self._plan.waits:
            self._station.pause(off_at_s - time.monotonic())
        return self.outcome

    def _log_in(self) -> None:
        self._display.step("Log in")
        self._station.cable.begin_spans()
        self._shell.wake()
        who = self._shell.ask("whoami").text
        version = self._shell.ask("cat ~/pygnc_version.info")
        self._display.note(f"user {who}; flight code {version.text}")
        if self._plan.user and who != self._plan.user:
            self.outcome.faults.append(f"whoami says {who!r}, not {self._plan.user!r}")

    def _upload_plainly(self) -> None:
        for name, content in self._plan.scenario.batch.items():
            self._display.step(f"Upload {name}, {len(content)} bytes, through the shell")
            began_s = time.monotonic()
            self._shell.put(name, content)
            self._note_upload(len(content), time.monotonic() - began_s)

    def _upload(self) -> None:
        if not self._plan.scenario.batch:
            return
        self._display.step("Start main.py to take files")
        self._run.start(self._plan.timeout_min, self._plan.scenario.start_s)
        for name, content in self._plan.scenario.batch.items():
            self._display.step(f"Upload {name}, {len(content)} bytes")
            began_s = time.monotonic()
            upload = self._controller.upload(name, content, began_s)
            self._keep(
                lambda: self._controller.is_transferred,
                lambda upload=upload, name=name: (name, upload.offset, len(upload.content)),  # type: ignore[misc]
            )
            self._judge(upload, name)
            self._note_upload(len(content), time.monotonic() - began_s)
        self._controller.fall_silent()
        self._controller.send(STOP, now_s=time.monotonic())
        code = self._run.until_ended(SETTLE_S)
        self._display.note("main.py has not ended after STOP" if code is None else f"stopped: exit code {code}")

    def _start(self) -> None:
        self._display.step("Start main.py")
        began_s = time.monotonic()
        option = "--exit-when-done" * self._ends_by_itself
        start_s = self._plan.scenario.start_s
        self._run.start(self._plan.timeout_min, start_s, talks=not self._plan.plain, option=option)
        if not self._plan.plain:
            self._controller.watch(WATCH_S, time.monotonic())
            about = self._controller.heard.software
            self._display.note(f"{about} answers after {time.monotonic() - began_s:.2f} s")

    def _watch_batch(self) -> None:
        """Wait until the batch is done."""
        self._display.step("Watch the batch")
        if self._plan.plain:  # a shell that runs main.py can be asked nothing
            if self._ends_by_itself:
                self._run.until_ended(BATCH_MAX_S)
            else:
                self._station.pause(self._plan.plain_run_s)
            return
        self._keep(lambda: self._phase() in {Phase.IDLE, Phase.NO_DATA}, self._batch_progress, BATCH_MAX_S)
        self._is_batch_done = True
        self._station.run(lambda: " IDLE " in self._controller.heard.info, 3.0 * WATCH_S)
        for line in self._controller.heard.info.splitlines():
            self._display.note(line)

    def _stream(self) -> None:
        scenario, speed = self._plan.scenario, self._plan.speed
        if not scenario.packets:
            return
        total = len(scenario.packets)
        duration_s = scenario.packets[-1].after_s
        pace = f"{duration_s:.0f} s at {speed:g} times their speed" if speed < inf else "as fast as they are taken"
        self._display.step(f"Stream {total} packets, {pace}")
        packets = with_time_marks(scenario.packets, scenario.start_s) if speed == 1.0 else iter(scenario.packets)
        self._controller.stream(packets, speed, time.monotonic())
        limit_s = 4.0 * duration_s / speed + total / 20.0 + SETTLE_S
        self._keep(lambda: self._controller.is_streamed, lambda: ("packets", self._live_sent(), total), limit_s)
        self._display.note(self._newest())

    def _fetch(self) -> None:
        self._display.step("Fetch results, newest first")
        self._controller.list_files(time.monotonic())
        self._keep(lambda: self._controller.listing is not None, lambda: ("names", 0, 0), SETTLE_S)
        left = self._plan.fetch_bytes
        for listed in self._controller.listing or []:
            if listed.size > left:
                continue
            download = self._controller.download(listed.name, time.monotonic())
            self._keep(
                lambda: self._controller.is_transferred,
                lambda download=download: (download.name, len(download.content), download.size),  # type: ignore[misc]
            )
            self._judge(download, listed.name)
            if download.state is TransferState.DONE:
                self._keep_result(listed.name, bytes(download.content))
                left -= len(download.content)
        self._controller.fall_silent()
        self._station.run(lambda: self._controller.books.under_way == 0, GOODBYE_S)

    @property
    def _ends_by_itself(self) -> bool:
        return self._plan.plain and not self._plan.plain_run_s

    def _stop(self) -> float:
        """Press Ctrl-C; return when the power goes."""
        outcome = self.outcome
        self._controller.fall_silent()
        if self._ends_by_itself:
            ended = self._run.how_it_ended()
        else:
            self._display.step("Ctrl-C")
            ended = self._run.interrupt(self._plan.off_after_s)
            outcome.exit_s = ended.after_s
        outcome.exit_code = ended.code
        outcome.terminal_restored = ended.terminal_restored
        if ended.code is None:
            outcome.faults.append(f"main.py has not ended {self._plan.off_after_s:g} s after Ctrl-C")
        else:
            after = f" after {ended.after_s:.2f} s" if ended.after_s < inf else ""
            self._display.note(f"exit code {ended.code}{after}")
        if not ended.terminal_restored:
            outcome.faults.append("the terminal's settings are not what they were before the start")
        self._controller.books.close()
        return ended.pressed_s + self._plan.off_after_s

    def _read_plainly(self) -> None:
        if self.outcome.exit_code is None:
            return
        self._display.step("cat ~/pygnc_info.txt")
        self._shell.ask(f"rm -rf ~/{SCRATCH}")
        self.outcome.info = self._shell.ask("cat ~/pygnc_info.txt").text
        for line in self.outcome.info.splitlines():
            self._display.note(line)
        if self._plan.plain:
            for name in STATUS_FILES:
                self._keep_result(name, self._shell.get(name))

    def _keep(
        self, is_done: Callable[[], bool], progress: Callable[[], tuple[str, float, float]], limit_s: float = inf
    ) -> None:
        """Go on until something is true; start main.py again whenever it has ended unasked."""
        limit_s = min(limit_s, BATCH_MAX_S)
        deadline = time.monotonic() + limit_s
        while not is_done():
            if time.monotonic() >= deadline:
                raise MainProgramError(
                    f"{progress()[0]}: not done within {limit_s:.0f} s; the line is too bad, or main.py hangs"
                )
            self._station.run(is_done, 0.1)
            text, done, total = progress()
            self._display.bar(f"{text}  {self._newest()}", done, total)
            if not is_done() and not self._run.is_up():
                self.outcome.restarts += 1
                self._display.note("main.py has ended unasked (a false Ctrl-C?); it is started again", bad=True)
                elapsed_s = int(time.monotonic() - self._run.first_start_s)
                t_spacecraft_s = self._plan.scenario.start_s + elapsed_s
                self._run.start(self._plan.timeout_min, t_spacecraft_s, option="--from-last-run" * self._is_batch_done)

    def _judge(self, transfer: Transfer, name: str) -> None:
        if transfer.state is TransferState.REFUSED:
            self.outcome.faults.append(f"{name}: {transfer.cause}")

    def _keep_result(self, name: str, content: bytes) -> None:
        self.outcome.fetched[name] = content
        path = self._plan.out / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        self._display.note(f"{name}, {len(content)} bytes")

    def _note_upload(self, size: int, duration_s: float) -> None:
        self.outcome.uploaded_bytes += size
        self.outcome.uploaded_s += duration_s
        share = size / (duration_s * self._station.cable.to_pi.baud / 10.0)
        self._display.note(f"{duration_s:.1f} s, {share:.0%} of the line")

    def _batch_progress(self) -> tuple[str, float, float]:
        return "batch", 0.0, 0.0

    def _live_sent(self) -> int:
        return sum(self._controller.books.sent[kind] for kind in LIVE_TYPES)

    def _phase(self) -> Phase | None:
        record = self._status()
        return None if record is None else Phase(int(record["phase"]))

    def _status(self) -> dict[str, status.Value] | None:
        try:
            return status.decode(self._controller.heard.status)
        except status.StatusError:
            return None

    def _newest(self) -> str:
        """Return the newest status in a few words."""
        record = self._status()
        if record is None:
            return ""
        fix = f"fix {float(record['orbit_age_s']):.0f} s old" if record["orbit_mode"] else "no orbit"
        attitude = status.AttitudeMode(int(record["attitude_mode"])).name.lower()
        return f"{Phase(int(record['phase'])).name} {fix}, attitude {attitude}"
