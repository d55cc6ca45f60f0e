import pytest

from pygnc_devices.framing import Frame
from pygnc_devices.gx2.packets import PACKETS
from pygnc_devices.gx2.unit import GX2_HZ, GX3_HZ, Gx2Unit, Timer
from pygnc_devices.reading import Counters, RecordedStamp

S = 1_000_000_000
WRAP = 1 << 32


def test_the_steps_identify_the_model() -> None:
    # A real Inertia-Link at 12 Hz steps by 6554112 ticks in four cycles; the slowest 3DM-GX3-25 by 62500.
    gx2_steps, gx3_steps = (6_554_112, 170 * 384, 51_200 * 384), (625, 62_500, 125 * 384)
    for step, hz in [(step, GX2_HZ) for step in gx2_steps] + [(step, GX3_HZ) for step in gx3_steps]:
        timer = Timer()
        times = [timer.advance(k * step, None) for k in range(4)]
        assert times[:3] == [None] * 3
        assert timer.hz == hz
        assert times[3] == pytest.approx(3 * step * S / hz, abs=1)


def test_continues_over_wraps_and_bridges_gaps_by_the_host_clock() -> None:
    timer = Timer(GX2_HZ)
    first = WRAP - GX2_HZ
    assert timer.advance(first, 0) == 0
    assert timer.advance(GX2_HZ, 2 * S) == 2 * S
    timer.restart()
    later_s = 1000
    assert timer.advance((GX2_HZ * (1 + later_s)) % WRAP, (2 + later_s) * S) == (2 + later_s) * S


def test_a_restart_of_the_unit_does_not_count_as_a_wrap() -> None:
    timer = Timer(GX2_HZ)
    timer.advance(100 * GX2_HZ, 0)
    assert timer.advance(0, 3 * S) == pytest.approx(3 * S, abs=100)


def test_recorded_polls_that_wake_a_unit_are_no_readings() -> None:
    unit, counters = Gx2Unit(), Counters()

    def kinds(*sent: str) -> list[str]:
        frames = [Frame(kind, PACKETS[kind].encode({"command": 0xCC}), b"") for kind in sent]
        readings = [unit.interpret(frame, RecordedStamp(0, 0), counters) for frame in frames]
        return [reading.packet.name for reading in readings if reading is not None]

    assert kinds("C2", "C4", "C2", "C2", "C4", "CC", "CC") == ["C2", "CC", "CC"]
    assert kinds("C2", "CC") == ["C2", "CC"]  # polled by a user while the unit streams
