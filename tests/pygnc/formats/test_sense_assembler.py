"""Assembled files are read by the scanner without damage for any sequence of packets, with minimum losses."""

import random
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.formats.gps_packet import SENSE_GPS_PACKET
from pygnc.formats.sense import SENSOR_PACKET, STANDARD_LAYOUT, SenseLayout
from pygnc.formats.sense_assembler import SenseAssembler, no_fix
from pygnc.formats.sense_scan import scan

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo" / "sense.bin"
RECORDS = 8
CONTENT = DEMO.read_bytes()[: RECORDS * STANDARD_LAYOUT.size]
START_S = int.from_bytes(CONTENT[:4], "big")
Packets = list[tuple[str, bytes]]


def packets(content: bytes = CONTENT, layout: SenseLayout = STANDARD_LAYOUT) -> Packets:
    """Return the packets of records in order."""
    found = []
    for record in np.frombuffer(content, layout.record):
        found += [("sample", sample.tobytes()) for sample in record["sensors"]]
        found.append(("fix", record["gps"].tobytes()))
    return found


def composed(stream: Iterable[tuple[str, bytes]], layout: SenseLayout = STANDARD_LAYOUT) -> tuple[bytes, list[bytes]]:
    """Return the file and the spare GPS packets."""
    composer = SenseAssembler(layout)
    records: list[bytes] = []
    spare: list[bytes] = []
    for _, raw in stream:
        done = composer.add(raw)
        records += done.records
        spare += done.spare_fixes
    done = composer.finish()
    return b"".join(records + done.records), spare + done.spare_fixes


def sample(t_spacecraft_s: int) -> tuple[str, bytes]:
    packet = np.zeros(1, SENSOR_PACKET)
    packet["t_spacecraft_s"] = t_spacecraft_s
    packet["mag"] = t_spacecraft_s % 1000
    return "sample", packet.tobytes()


def fix(t_spacecraft_s: int) -> tuple[str, bytes]:
    packet = np.zeros(1, SENSE_GPS_PACKET)
    packet["t_spacecraft_s"] = t_spacecraft_s
    packet["gps_week"], packet["gps_tow_ms"] = 2283, 1000 * (t_spacecraft_s % 604_800)
    return "fix", packet.tobytes()


def times(content: bytes) -> list[int]:
    return [int(t) for record in scan(content).records for t in record["sensors"]["t_spacecraft_s"]]


@pytest.mark.parametrize("terminated", [True, False])
def test_regular_packets_reproduce_the_file(terminated: bool) -> None:  # noqa: FBT001 - a parameter of the test
    layout = SenseLayout(5, terminated)
    content = CONTENT if terminated else b"".join(CONTENT[k : k + 249] for k in range(0, len(CONTENT), 251))
    composer = SenseAssembler(layout)
    for number, (_, raw) in enumerate(packets(content, layout), 1):
        done = composer.add(raw)
        assert len(done.records) == (number % 6 == 0)  # without delay
    assert composed(packets(content, layout), layout) == (content, [])


@given(st.integers(0, 2**32), st.floats(0.0, 0.4))
def test_late_missing_and_repeated_packets_yield_an_undamaged_file(seed: int, rate: float) -> None:
    rng = random.Random(seed)  # noqa: S311 - faults, not secrets
    stream = []
    for order, packet in enumerate(packets()):
        copies = 0 if rng.random() < rate else 1 + (rng.random() < rate)
        stream += [(order + (rng.uniform(0.0, 3.0) if rng.random() < rate else 0.0), packet) for _ in range(copies)]
    content, spare = composed(packet for _, packet in sorted(stream, key=lambda item: item[0]))
    found = scan(content)
    assert found.damage == ()
    assert len(found.records) * STANDARD_LAYOUT.size == len(content)
    given_out = {raw for _, (_, raw) in stream}
    for record in found.records:
        assert {one.tobytes() for one in record["sensors"]} <= given_out
        gps = record["gps"].tobytes()
        assert gps in given_out or gps == no_fix(int(record["sensors"]["t_spacecraft_s"][-1]))
    assert set(spare) <= given_out


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 60), st.integers(0, 3)), max_size=80))
def test_arbitrary_times_yield_an_undamaged_file(steps: list[tuple[bool, int, int]]) -> None:
    now_s, stream = START_S, []
    for is_sample, step_s, back in steps:
        now_s += step_s - (0, 3, 30, 500_000)[back]
        stream.append(sample(now_s) if is_sample else fix(now_s))
    content, _ = composed(stream)
    found = scan(content)
    assert found.damage == ()
    assert len(found.records) * STANDARD_LAYOUT.size == len(content)


@pytest.mark.parametrize("lost", range(4))
def test_a_lost_sample_costs_only_itself(lost: int) -> None:
    stream = packets()
    del stream[12 + lost]
    content, spare = composed(stream)
    assert (len(content), spare) == (len(CONTENT), [])
    records = scan(content).records
    assert records["gps"].tobytes() == np.frombuffer(CONTENT, STANDARD_LAYOUT.record)["gps"].tobytes()
    kept = [raw.tobytes() for raw in records[2]["sensors"]]
    assert kept == [raw for kind, raw in [*stream[12:16], stream[15]] if kind == "sample"]
    assert content[: 2 * 251] + content[3 * 251 :] == CONTENT[: 2 * 251] + CONTENT[3 * 251 :]


def test_a_fix_without_its_sample_is_spare_and_the_next_record_is_regular() -> None:
    stream = packets()
    del stream[12 + 4]
    content, spare = composed(stream)
    assert spare == [stream[16][1]]
    assert content[-4 * 251 :] == CONTENT[-4 * 251 :]
    kept = {raw for record in scan(content).records for raw in map(bytes, record["sensors"])}
    assert kept == {raw for kind, raw in stream if kind == "sample"}


def test_a_lost_gps_packet_is_replaced_by_one_without_a_fix() -> None:
    stream = packets()
    del stream[17]
    content, spare = composed(stream)
    found = scan(content).records
    assert (len(found), spare) == (RECORDS, [])
    expected = bytearray(CONTENT)
    expected[2 * 251 + 150 : 3 * 251 - 2] = no_fix(START_S + 70)
    assert content == bytes(expected)


def test_a_late_gps_packet_and_a_late_sample_are_in_their_record() -> None:
    stream = packets()
    stream[13], stream[14] = stream[14], stream[13]
    stream[16], stream[17] = stream[17], stream[16]
    assert composed(stream) == (CONTENT, [])


def test_one_packet_a_second_of_each_kind_fills_records_of_five_seconds() -> None:
    stream = [packet(START_S + k) for k in range(40) for packet in (sample, fix)]
    content, spare = composed(stream)
    assert times(content) == list(range(START_S, START_S + 40))
    assert [int(r["gps"]["t_spacecraft_s"]) for r in scan(content).records] == list(range(START_S + 4, START_S + 40, 5))
    assert spare == []


def test_only_the_first_sample_of_a_second_is_used() -> None:
    content, _ = composed(sample(START_S + k // 4) for k in range(80))
    assert times(content) == list(range(START_S, START_S + 20))


def test_fixes_without_samples_are_spare_every_twenty_seconds() -> None:
    content, spare = composed(fix(START_S + 5 * k) for k in range(13))
    assert content == b""
    assert [int.from_bytes(raw[:4], "big") for raw in spare] == [START_S + 20 * k for k in range(4)]


def test_samples_without_fixes_become_records_without_fixes() -> None:
    content, _ = composed(sample(START_S + 5 * k) for k in range(10))
    assert times(content) == [START_S + 5 * k for k in range(10)]


def test_a_clock_set_back_begins_a_new_record() -> None:
    first = [sample(START_S + 5000 + 5 * k) for k in range(3)]
    content, _ = composed([*first, *packets()])
    assert content[251:] == CONTENT
    assert times(content)[:5] == [START_S + 5000, START_S + 5005, *[START_S + 5010] * 3]


def test_memory_of_the_assembler_is_bounded() -> None:
    composer = SenseAssembler()
    for k in range(3):
        composer.add(sample(START_S + k)[1])
    for k in range(500):
        composer.add(fix(START_S + 3 + k)[1])
        assert len(composer._fixes) < 40
    assert composer._samples == {}
