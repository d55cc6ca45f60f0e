"""Benchmarks of the host link for docs/benchmarks: files, live packets, status, stop.

Usage: python scripts/bench/bench_link.py [--runs N] [--stops N]

Prints a Markdown table. Files, packets and status are measured in virtual time on a simulated line at 115200 baud, with
repeatable results. Stops are measured in real runs of main.py on a pseudo-terminal.
"""

import argparse
import contextlib
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain, cycle
from math import inf
from pathlib import Path
from typing import Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.formats import status
from pygnc.host.sentence_types import GPSS, LIVE_TYPES, SENS
from pygnc_controller.emulator.controller import Controller
from pygnc_controller.emulator.home_check import check_home
from pygnc_controller.emulator.host_transfer import DownloadReceiver, TransferState, UploadSender
from pygnc_controller.emulator.main_program import MainProgram
from pygnc_controller.emulator.pty_pi import PtyPi
from pygnc_controller.emulator.scenario import TimedPacket, load_scenario
from pygnc_controller.emulator.scenario_run import RunPlan
from pygnc_controller.emulator.serial_line import LineFaults, PacedPort, SerialLine
from pygnc_controller.emulator.shell import Connection, Shell
from scripts.bench.processes import ROOT
from scripts.bench.table import Row, print_rows
from scripts.bench.virtual_link import LineEnd, VirtualLink, VirtualPi

DEMO: Final = ROOT / "data" / "demo"
RAW_BYTES_PER_S: Final = 11_520.0
HOUR_BYTES: Final = 144 * 251
BAD: Final = LineFaults(lost=2.5e-5, flipped=5e-5, doubled=2.5e-5)
CLEAN: Final = LineFaults()
TEN_MINUTES_S: Final = 600
KILLED_BY_CTRL_C: Final = 130
"""Exit code in the shell if Ctrl-C arrives while Python itself starts."""
INFO: Final = b"x" * 197


class Link:
    """Controller and Pi on a simulated line."""

    def __init__(self, home: Path, faults: LineFaults, seed: int) -> None:
        self.controller = Controller(1 + seed)
        self.pi = VirtualPi(home, status.encode({}), INFO)
        host = LineEnd(self.controller.receive, self.controller.next_output, self.controller.wakeup_s)
        lines = [SerialLine(2 * seed + k, faults) for k in range(2)]
        self.session = VirtualLink([host, self.pi.end()], lines)
        self.until(lambda: self.controller.channel.is_ready)

    @property
    def now_s(self) -> float:
        """Virtual time."""
        return self.session.now_s

    def until(self, is_done: Callable[[], bool], limit_s: float = 2000.0) -> None:
        """Advance the time until a condition holds."""
        if not self.session.run(is_done, limit_s):
            raise TimeoutError(f"the condition was not fulfilled within {limit_s} s of virtual time")

    def pass_time(self, duration_s: float) -> None:
        """Advance the time."""
        end_s = self.now_s + duration_s
        self.session.at(end_s, lambda _: None)
        self.until(lambda: self.now_s >= end_s)


def main() -> int:
    """Run all measurements and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=100, help="Uploads over a line with errors (default: 100).")
    parser.add_argument("--stops", type=int, default=100, help="Real runs to stop; 0: none (default: 100).")
    given = parser.parse_args()
    virtual = chain(uploads(given.runs), throughput(), streams(max(1, given.runs // 10)), answers())
    return print_rows(chain(virtual, stops(given.stops)))


# --- files --------------------------------------------------------------------------------------------------------


def uploads(runs: int) -> Iterator[Row]:
    """Upload the default batch over a line with errors, once per seed."""
    results = [transfer(upload, sense_bytes()[:HOUR_BYTES], BAD, seed) for seed in range(runs)]
    seconds, are_exact, links = zip(*results, strict=True)
    spread = f"{statistics.median(seconds):.1f} s typical, maximum {max(seconds):.1f} s"
    interrupts = sum(link.pi.interrupts for link in links)
    retried = sum(link.controller.channel.counts.retried for link in links)
    yield Row(
        f"upload of {HOUR_BYTES} B, 1e-4 of the bytes damaged, both directions",
        f"{sum(are_exact)} of {runs} bit-exact; {spread};"
        f" {retried / runs:.1f} sentences repeated; {interrupts} false Ctrl-C",
        "all",
        all(are_exact),
    )


def throughput() -> Iterator[Row]:
    """Measure the duration of an upload and a download on a line without errors."""
    whole = sense_bytes()
    for content in (whole[:HOUR_BYTES], whole):
        for begin in (upload, download):
            duration_s, is_exact, _ = transfer(begin, content, CLEAN, 0)
            share = len(content) / duration_s / RAW_BYTES_PER_S
            limit_s = 14.0 if begin is upload else inf
            yield Row(
                f"{begin.__name__} of {len(content)} B, clean line",
                f"{duration_s:.1f} s, {share:.1%} of the line",
                "70 %, 14 s" if begin is upload and content is whole else "70 %",
                is_exact and share >= 0.70 and duration_s <= limit_s,
            )


def sense_bytes() -> bytes:
    """Return the demonstration batch."""
    return (DEMO / "sense.bin").read_bytes()


def transfer(
    begin: Callable[[Link, Path, bytes], UploadSender | DownloadReceiver], content: bytes, faults: LineFaults, seed: int
) -> tuple[float, bool, Link]:
    """Return the duration in seconds, True if the file is exact, and the link."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        link = Link(home, faults, seed)
        began_s = link.now_s
        running = begin(link, home, content)
        link.until(lambda: running.state is TransferState.DONE)
        arrived = running.content if isinstance(running, DownloadReceiver) else (home / "sense.bin").read_bytes()
        return link.now_s - began_s, arrived == content, link


def upload(link: Link, _home: Path, content: bytes) -> UploadSender:
    """Start an upload."""
    return link.controller.upload("sense.bin", content, link.now_s)


def download(link: Link, home: Path, content: bytes) -> DownloadReceiver:
    """Start the download of a file with a given content."""
    (home / "pygnc_batch").mkdir(exist_ok=True)
    (home / "pygnc_batch" / "sense.bin").write_bytes(content)
    return link.controller.download("pygnc_batch/sense.bin", link.now_s)


# --- live packets -------------------------------------------------------------------------------------------------


def streams(runs: int) -> Iterator[Row]:
    """Stream ten minutes of 1 Hz sensor and 1 Hz GPS packets over lines of several kinds."""
    lines = {
        "clean line": CLEAN,
        "1e-4 of the bytes damaged": BAD,
        "1e-3 of the bytes damaged": LineFaults(lost=2.5e-4, flipped=5e-4, doubled=2.5e-4),
        "1e-4 damaged, delays, 20 s interrupted, 2 s of noise": LineFaults(
            2.5e-5, 5e-5, 2.5e-5, 1e-4, cuts=((200.0, 220.0),), garbled=((400.0, 402.0),)
        ),
    }
    for name, faults in lines.items():
        total: Counter[str] = Counter()
        for seed in range(runs):
            total += stream(faults, seed)
        yield Row(
            f"10 min of 1 Hz sensor + 1 Hz GPS, {name}, {runs} runs",
            f"{total['sent']} sent = {total['acknowledged']} acknowledged + {total['lost']} reported lost;"
            f" {total['unreported']} lost unreported, {total['twice']} delivered twice",
            "0 unreported, 0 twice",
            not total["unreported"] and not total["twice"] and not total["unbalanced"],
        )


def stream(faults: LineFaults, seed: int) -> Counter[str]:
    """Stream ten minutes of packets over a line with `faults`; return the numbers of packets by outcome."""
    with tempfile.TemporaryDirectory() as folder:
        link = Link(Path(folder), faults, seed)
        link.controller.stream(iter(one_hertz()), 1.0, link.now_s)
        link.until(lambda: link.controller.is_streamed)
        counters = link.controller.counters
        acknowledged = sum(counters.acknowledged[kind] for kind in LIVE_TYPES)
        lost = sum(counters.lost_of(kind) for kind in LIVE_TYPES)
        sent = sum(counters.sent[kind] for kind in LIVE_TYPES)
        arrived = Counter(body for _, body in link.pi.packets)
        results = zip(link.controller.streamed, one_hertz(), strict=True)
        unreported = sum(p.body not in arrived and ticket not in counters.lost_tickets for ticket, p in results)
        return Counter(
            sent=sent,
            acknowledged=acknowledged,
            lost=lost,
            unreported=unreported,
            twice=sum(count - 1 for count in arrived.values()),
            unbalanced=int(sent != acknowledged + lost or not counters.is_balanced),
        )


def one_hertz() -> Iterator[TimedPacket]:
    """Yield ten minutes of different packets."""
    for second in range(TEN_MINUTES_S):
        clock = second.to_bytes(4, "big")
        yield TimedPacket(float(second), SENS, (), clock + bytes(26))
        yield TimedPacket(float(second), GPSS, (), clock + bytes(95))


# --- status -------------------------------------------------------------------------------------------------------


def answers() -> Iterator[Row]:
    """Measure the time from the moment a status request is due to the end of the response."""
    states: dict[str, Callable[[Link, Path, bytes], object]] = {
        "nothing else": lambda *_: None,
        "1 Hz sensor + 1 Hz GPS": lambda link, *_: link.controller.stream(iter(one_hertz()), 1.0, link.now_s),
        "an upload": upload,
        "a download": download,
    }
    for state, begin in states.items():
        times_s = answer_times_s(begin)
        typical, worst = 1e3 * statistics.median(times_s), 1e3 * max(times_s)
        yield Row(
            f"status on request, {status.SIZE} B; on the line: {state}",
            f"{typical:.0f} ms typical, {worst:.0f} ms at most, {len(times_s)} answers",
            "100 ms",
            worst <= 100.0,
        )


def answer_times_s(begin: Callable[[Link, Path, bytes], object]) -> list[float]:
    """Request the status repeatedly during the activity that `begin` starts; return the response times in s."""
    with tempfile.TemporaryDirectory() as folder:
        link = Link(Path(folder), CLEAN, 1)
        link.pass_time(1.0)
        begin(link, Path(folder), sense_bytes() * 3)
        link.controller.watch(0.317, link.now_s)
        link.pass_time(30.0)
        counts = link.controller.channel.counts, link.pi.counts
        if any(count.retried for count in counts):
            raise RuntimeError(f"retransmissions on a line without errors: {counts}")
        return link.controller.reports.response_times_s


# --- stops --------------------------------------------------------------------------------------------------------


def stops(runs: int) -> Iterator[Row]:
    """Stop real runs by Ctrl-C during various activities."""
    if not runs:
        return
    activities = ("start", "upload", "batch", "stream", "download", "idle")
    found = [(activity, *stop(activity, k)) for k, activity in zip(range(runs), cycle(activities), strict=False)]
    for activity in [*activities[:runs], "all"]:
        some = [results for stopped, *results in found if activity in {stopped, "all"}]
        times_s, prompts_s, faults = zip(*some, strict=True)
        typical, worst = statistics.median(times_s), max(times_s)
        broken = list(chain.from_iterable(faults))
        yield Row(
            f"Ctrl-C, {'in all' if activity == 'all' else 'during ' + activity}, {len(some)} runs",
            f"{typical:.2f} s typical, {worst:.2f} s at most, prompt after {max(prompts_s):.2f} s at most;"
            f" {faults.count([])} with all files valid and the terminal as it was",
            "1 s, 9 s, all",
            typical <= 1.0 and worst <= 9.0 and not broken,
        )
        for fault in broken if activity == "all" else []:
            print(fault, file=sys.stderr)


def stop(activity: str, seed: int) -> tuple[float, float, list[str]]:
    """Start main.py and an activity, and send Ctrl-C at a random time.

    Returns:
        Time to the exit of main.py and time to the prompt of the shell, s, and faults.
    """
    chance = random.Random(seed)  # noqa: S311 - repeatable times
    scenario = load_scenario(DEMO, 600.0)
    with tempfile.TemporaryDirectory(prefix="pygnc-bench-") as folder:
        home = Path(folder)
        with PtyPi(home) as pi:
            pi.install_from_here()
            connection = Connection(PacedPort(pi.master), Controller(1 + seed))
            connection.chores.append(pi.ensure_login)
            if activity not in {"start", "upload"}:
                (home / "sense.bin").write_bytes(scenario.batch["sense.bin"])
            run = MainProgram(connection, Shell(connection), RunPlan.start)
            run.start(60, scenario.start_s, streams=activity != "start")
            connection.run(lambda: main_of(pi) is not None, 20.0)
            now_s = time.monotonic()
            if activity == "upload":
                connection.controller.upload("sense.bin", scenario.batch["sense.bin"], now_s)
            elif activity == "stream":
                connection.controller.stream(iter(scenario.packets), 100.0, now_s)
            elif activity == "download":
                name = "pygnc_batch/sense.bin"
                connection.run((home / name).exists, 20.0)
                connection.controller.download(name, time.monotonic())
            elif activity == "idle":
                connection.pause(2.0)
            connection.pause(chance.uniform(0.0, 0.7 if activity == "start" else 2.0))
            main = main_of(pi) or Path("/proc/none")
            gone_s: list[float] = []
            connection.chores.append(lambda: None if gone_s or main.exists() else gone_s.append(time.monotonic()))
            ended = run.interrupt(12.0)
        faults = [] if activity == "start" and not (home / "pygnc_status.bin").exists() else check_home(home)[1]
    if ended.code not in ({0, KILLED_BY_CTRL_C} if activity == "start" else {0}):
        faults.append(f"exit code {ended.code}")
    if not ended.terminal_restored:
        faults.append("the terminal settings were not restored")
    exit_s = min([*gone_s, inf]) - ended.pressed_s
    return exit_s, ended.after_s, [f"{activity}, run {seed}: {fault}" for fault in faults]


def main_of(pi: PtyPi) -> Path | None:
    """Return the folder of the process of main.py in /proc, or None."""
    process = Path("/proc", str(os.tcgetpgrp(pi.master)))
    with contextlib.suppress(OSError):
        return process if b"main.py" in (process / "cmdline").read_bytes() else None
    return None


if __name__ == "__main__":
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    sys.exit(main())
