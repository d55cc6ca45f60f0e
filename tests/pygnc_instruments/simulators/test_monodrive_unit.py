"""Frames of the simulated monoDrive IMU, read with the offsets of its documentation."""

import struct
from typing import Literal

import pytest

from pygnc_instruments.simulators.monodrive_unit import MonoDriveSimulator

TICKS_PER_S = 19_660_800


@pytest.mark.parametrize("header", [8, 12, 16])
@pytest.mark.parametrize("order", ["<", ">"])
def test_frames_have_the_documented_layout(header: Literal[8, 12, 16], order: Literal["<", ">"]) -> None:
    unit = MonoDriveSimulator(header=header, header_order=order, order=order, time_of_week_ms=1000)
    raw = unit.frame(2.0)
    assert len(raw) == header + 35
    words = struct.unpack({8: "x", 12: f"{order}I", 16: f"{order}I"}[header], raw[: 1 if header == 8 else 4])
    assert words == (() if header == 8 else (header + 35,))
    frame = raw[header:]
    assert frame[0] == 0xC2
    assert struct.unpack(f"{order}IHi", frame[25:35]) == (2 * TICKS_PER_S, sum(frame[:29]), 3000)


def test_frames_are_sent_at_their_rate_and_restart_with_the_game() -> None:
    unit = MonoDriveSimulator(fps=10.0)
    assert len(unit.run(0.95)) == 10 * 47
    unit.power_cycle(5.0)
    assert len(unit.run(5.05)) == 47
    assert unit.next_s() == pytest.approx(5.1)
