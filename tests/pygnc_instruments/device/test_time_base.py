"""UTC of times of measurement: by this computer's clock, and by a receiver's pulses that the kernel has timed."""

import csv
import threading
import time
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Self

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.continuity import Continuity, UnitClock
from pygnc_devices.declaration import Packet
from pygnc_devices.reading import NS_PER_S, Reading, Stamp
from pygnc_instruments.device.time_base import PulseError, Pulses, TimeBase
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from tests.pygnc_instruments.device.running import UCB, run

UTC_S = 1_800_000_000
CLOCK_ERROR_NS = 120_000_000
"""Error of the computer's clock."""


class Clock:
    """Clock of a computer, and the kernel's file of the newest pulse."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.after_ns = 300_000_000
        """Time since UTC_S."""
        self.error_ns = CLOCK_ERROR_NS

    def now(self) -> Stamp:
        return Stamp(self.after_ns, UTC_S * NS_PER_S + self.after_ns + self.error_ns)

    def pulse(self, late_ns: int = 0) -> None:
        second = self.after_ns // NS_PER_S
        seen_ns = (UTC_S + second) * NS_PER_S + self.error_ns + late_ns
        (self.folder / "assert").write_text(f"{seen_ns // NS_PER_S}.{seen_ns % NS_PER_S:09}#{second + 7}\n")

    def step(self) -> None:
        self.after_ns += NS_PER_S


@pytest.fixture
def clock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock(tmp_path)
    monkeypatch.setattr(Stamp, "now", made.now)
    return made


def test_pulses_correct_the_clock_of_the_computer(clock: Clock) -> None:
    clock.pulse()
    pulses = Pulses(clock.folder)
    assert pulses.offset_ns() == UTC_S * NS_PER_S
    clock.error_ns = -CLOCK_ERROR_NS  # the clock is set
    for _ in range(3):
        clock.step()
        clock.pulse()
        assert pulses.offset_ns() == UTC_S * NS_PER_S


def test_a_wrong_pulse_and_missing_pulses_do_no_harm(clock: Clock) -> None:
    clock.pulse()
    pulses = Pulses(clock.folder)
    for late_ns in (0, 0, 300_000_000, 0, 0):
        clock.step()
        clock.pulse(late_ns)
        assert pulses.offset_ns() == UTC_S * NS_PER_S
    for _ in range(10):
        clock.step()
        assert pulses.offset_ns() == UTC_S * NS_PER_S


@pytest.mark.parametrize("text", ["", "0.000000000#0\n", "no pulse", "1800000000.12#3"])
def test_a_device_without_pulses_is_named(clock: Clock, text: str) -> None:
    (clock.folder / "assert").write_text(text)
    with pytest.raises(PulseError, match=r"assert: no pulse in the last 2 s; check the receiver"):
        Pulses(clock.folder)


def test_an_old_pulse_is_no_pulse(clock: Clock) -> None:
    clock.pulse()
    clock.after_ns += 5 * NS_PER_S
    with pytest.raises(PulseError, match="no pulse"):
        Pulses(clock.folder)


def test_a_missing_device_is_an_error_of_the_command(tmp_path: Path) -> None:
    result = run("log", "socket://127.0.0.1:9", "--out", tmp_path, "--pps", tmp_path / "pps9", code=ExitCode.DEVICE)
    assert "pps9/assert: No such file or directory; `ldattach PPS PORT`" in result.stderr


class KernelPulses:
    """Kernel's file of the pulses of a receiver, until a log has some rows; the computer's clock is off.

    Args:
        folder: folder of the file.
        log: the log while it is written.
    """

    def __init__(self, folder: Path, log: Path) -> None:
        self.folder = folder
        self._log = log
        folder.mkdir()
        self._ends = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self.write()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.set()
        self._thread.join()

    def write(self) -> None:
        second = (time.time_ns() - CLOCK_ERROR_NS) // NS_PER_S
        seen_ns = second * NS_PER_S + CLOCK_ERROR_NS
        text = f"{seen_ns // NS_PER_S}.{seen_ns % NS_PER_S:09}#{second % 1000}\n"
        (self.folder / "new").write_text(text)
        (self.folder / "new").rename(self.folder / "assert")

    def _run(self) -> None:
        while not (self._log.exists() and self._log.stat().st_size > 10_000):
            if self._ends.wait(0.25):
                return
            self.write()
        (self.folder / "assert").unlink()  # the receiver is switched off while the log goes on


def test_a_log_of_a_device_follows_the_pulses(line: PtyEndpoint, tmp_path: Path) -> None:
    with KernelPulses(tmp_path / "pps0", tmp_path / "logs" / "run.csv.part") as pulses:
        log = ("log", line.url, "--pps", pulses.folder, "--out", tmp_path / "logs", "--name", "run", "--count", 300)
        run(*log, *UCB)
    lines = (tmp_path / "logs" / "run.csv").read_text().splitlines()
    assert f"# time_base: pulses of {pulses.folder}" in lines
    rows = csv.DictReader(row for row in lines if not row.startswith("#"))
    timed = [(datetime.fromisoformat(row["measured"]), row["utc"]) for row in rows if row["measured"]]
    assert len(timed) > 250
    assert all(before[0] < after[0] for before, after in pairwise(timed))
    # No reading arrives before it was measured; the first one with a time arrives in time.
    late_s = [(datetime.fromisoformat(utc) - measured).total_seconds() for measured, utc in timed]
    assert min(late_s) == pytest.approx(CLOCK_ERROR_NS / NS_PER_S, abs=0.01)


def test_devices_with_the_same_pulses_have_one_time_base(clock: Clock) -> None:
    clock.pulse()
    pulses = Pulses(clock.folder)
    bases = TimeBase(0, pulses), TimeBase(5, pulses)
    reading = Reading(Packet("x", (), meaning=""), b"", {}, 40_000_000, 0, 0)
    found = [base.measured(reading) for base in bases]
    assert [entry.time_ns for entry in found] == [UTC_S * NS_PER_S + 40_000_000] * 2


PACKET = Packet("x", (), meaning="")
PERIOD_NS = 10_000_000
EVENTS = st.sampled_from(["", "", "", "", "reconnected", "restarted", "new driver", "clock unknown", "clock set"])
STEPS = st.lists(st.tuples(EVENTS, st.integers(0, 300), st.integers(0, 300)), min_size=2, max_size=60)
"""An event, the number of readings that are missing then, and the delay of the next reading in readings."""


@given(steps=STEPS, modulus_ns=st.sampled_from([10**9, 1 << 32, 1 << 63]), rate=st.sampled_from([0.999, 1.0, 1.001]))
def test_times_of_a_kind_of_packet_ascend_over_any_line(
    steps: list[tuple[str, int, int]], modulus_ns: int, rate: float
) -> None:
    continuity, base = Continuity(), TimeBase()
    clock = UnitClock("x", 1, modulus_ns, {})
    sent_ns = boot_ns = wall_error_ns = 0
    arrival_ns, times_ns = 1, []
    for event, missing, delay in steps:
        sent_ns += (1 + missing) * PERIOD_NS
        arrival_ns = max(arrival_ns, sent_ns + delay * PERIOD_NS)
        if event in {"reconnected", "restarted"}:
            clock.interrupt()
            continuity.interrupt()
        if event == "restarted":
            boot_ns = sent_ns
        if event == "new driver":
            clock = UnitClock("x", 1, modulus_ns, {})
            continuity.interrupt(has_new_clock=True)
        if event == "clock set":
            wall_error_ns = -3 * NS_PER_S
        count = round((sent_ns - boot_ns) * rate) % modulus_ns
        device_ns = None if event == "clock unknown" else clock.time_ns(count, arrival_ns)
        wall_ns = UTC_S * NS_PER_S + arrival_ns + wall_error_ns
        reading = continuity.follow(Reading(PACKET, b"", {}, arrival_ns, wall_ns, device_ns))
        if device_ns is not None:
            reading = replace(reading, is_estimate=reading.is_estimate or clock.is_estimate)
        times_ns.append(base.measured(reading).time_ns)
        assert times_ns[-1] <= UTC_S * NS_PER_S + arrival_ns + 1000 * len(times_ns)
    assert all(before_ns < after_ns for before_ns, after_ns in pairwise(times_ns))


def test_the_arrivals_of_a_device_without_a_clock_follow_the_time_base() -> None:
    base = TimeBase(5 * NS_PER_S)
    found = [base.measured(Reading(PACKET, b"", {}, at_ns, 99, None)) for at_ns in (10_000, 10_000, 20_000)]
    assert [entry.time_ns - 5 * NS_PER_S for entry in found] == [10_000, 11_000, 20_000]
    assert [entry.sigma_ns for entry in found] == [None] * 3
