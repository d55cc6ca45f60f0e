"""Speed and faults of a simulated line."""

from dataclasses import replace
from math import inf

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygnc_controller.emulator.serial_line import LineFaults, SerialLine

CONTENT = bytes(range(256)) * 200
BYTES_PER_S = 11_520.0


def passed(
    faults: LineFaults, seed: int = 1, content: bytes = CONTENT, spans_from_s: float = 0.0
) -> tuple[bytes, SerialLine]:
    line = SerialLine(seed, faults, spans_from_s=spans_from_s)
    line.write(content, 0.0)
    return line.read(inf), line


def test_bytes_arrive_at_the_speed_of_the_line() -> None:
    line = SerialLine(1)
    line.write(CONTENT, 5.0)
    assert line.busy_until_s == pytest.approx(5.0 + len(CONTENT) / BYTES_PER_S)
    half_s = 5.0 + 0.5 * len(CONTENT) / BYTES_PER_S
    first = line.read(half_s)
    assert len(first) == pytest.approx(len(CONTENT) / 2, abs=16)
    assert line.next_arrival_s() > half_s
    assert first + line.read(inf) == CONTENT
    assert (line.written, line.delivered) == (len(CONTENT), len(CONTENT))


@pytest.mark.parametrize("name", ["lost", "flipped", "doubled", "stalled"])
def test_each_fault_occurs_at_its_rate_and_is_counted(name: str) -> None:
    arrived, line = passed(replace(LineFaults(), **{name: 0.01}))  # type: ignore[arg-type]
    count = line.injected[name]
    assert count == pytest.approx(0.01 * len(CONTENT), rel=0.2)
    assert list(line.injected) == [name]
    more = {"lost": -count, "flipped": 0, "doubled": count, "stalled": 0}[name]
    assert len(arrived) == len(CONTENT) + more
    if name == "flipped":
        differing = [a ^ b for a, b in zip(arrived, CONTENT, strict=True) if a != b]
        assert len(differing) == count
        assert all(bits.bit_count() == 1 for bits in differing)
    if name == "stalled":
        assert arrived == CONTENT


@settings(max_examples=30)
@given(st.integers(0, 1000), st.lists(st.integers(1, 500), max_size=20))
def test_faults_depend_only_on_the_seed(seed: int, cuts: list[int]) -> None:
    faults = LineFaults(0.01, 0.01, 0.01, 0.01)
    content = CONTENT[:2000]
    once, _ = passed(faults, seed, content)
    line = SerialLine(seed, faults)
    line.write(content, 0.0)
    assert b"".join([*(line.read(cut * 1e-3) for cut in sorted(cuts)), line.read(inf)]) == once


def test_cuts_deliver_nothing_and_wrong_speeds_deliver_noise() -> None:
    spans = LineFaults(cuts=((1.0, 2.0),), garbled=((3.0, 3.5),))
    arrived, line = passed(spans)
    assert line.injected["cut"] == pytest.approx(BYTES_PER_S, abs=16)
    assert line.injected["garbled"] == pytest.approx(BYTES_PER_S / 2, abs=16)
    assert len(arrived) == len(CONTENT) - line.injected["cut"]
    assert arrived[:11_000] == CONTENT[:11_000]
    assert arrived[-5000:] == CONTENT[-5000:]
    assert passed(spans, spans_from_s=inf)[0] == CONTENT


def test_a_delayed_byte_delays_all_later_ones() -> None:
    line = SerialLine(3, LineFaults(stalled=1e-3, stall_s=5.0))
    line.write(CONTENT, 0.0)
    in_time = line.read(line.busy_until_s)
    assert len(in_time) < len(CONTENT)
    assert in_time + line.read(line.busy_until_s + 5.0) == CONTENT
