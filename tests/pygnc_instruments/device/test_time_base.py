"""UTC of times of measurement: by this computer's clock, and by a receiver's pulses that the kernel has timed."""

from pathlib import Path

import pytest

from pygnc_cli.exit_codes import ExitCode
from pygnc_devices.declaration import Packet
from pygnc_devices.reading import NS_PER_S, Reading, Stamp
from pygnc_instruments.device.time_base import PulseError, Pulses, TimeBase
from tests.pygnc_instruments.device.running import run

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


def test_devices_with_the_same_pulses_have_one_time_base(clock: Clock) -> None:
    clock.pulse()
    pulses = Pulses(clock.folder)
    bases = TimeBase(0, pulses), TimeBase(5, pulses)
    reading = Reading(Packet("x", (), meaning=""), b"", {}, 40_000_000, 0, 0)
    found = [base.measured(reading) for base in bases]
    assert [entry.time_ns for entry in found if entry is not None] == [UTC_S * NS_PER_S + 40_000_000] * 2
