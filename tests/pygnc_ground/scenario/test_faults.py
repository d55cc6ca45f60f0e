"""Injected damage against its list and against the flight's parsers."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from pygnc.formats.range_scan import scan as scan_ranges
from pygnc.formats.sense_scan import scan as scan_sense
from pygnc_ground.scenario.faults import InjectedFaults, inject
from pygnc_ground.scenario.generate import Scenario, generate
from pygnc_ground.scenario.settings import Damage, Faults, Forces, Partner, Ranging, Settings

RECORDS = [bytes([number % 251]) * 40 for number in range(2000)]
EVERYTHING = Damage(
    flipped_bit_rate=0.02,
    lost_bytes_rate=0.02,
    inserted_bytes_rate=0.02,
    duplicated_rate=0.02,
    swapped_rate=0.02,
    cut_tail=True,
)
SETTINGS = Settings(
    duration_s=10_000,
    forces=Forces(gravity_degree=2, drag=False, radiation_pressure=False),
    ranging=Ranging(interval_s=50),
    partners=(Partner(id=75, position_rtn_m=(0.0, 500.0, 0.0)), Partner(id=76, position_rtn_m=(0.0, -500.0, 0.0))),
)
rates = st.floats(0.0, 1.0)
damages = st.builds(
    Damage,
    flipped_bit_rate=rates,
    lost_bytes_rate=rates,
    inserted_bytes_rate=rates,
    duplicated_rate=rates,
    swapped_rate=rates,
    cut_tail=st.booleans(),
)


def altered(faults: InjectedFaults) -> set[int]:
    """Numbers of records with changed bytes; a record that is also duplicated may have an intact copy."""
    return {number for kind in ("flipped_bit", "lost_bytes", "inserted_bytes", "cut_tail") for number in faults[kind]}


def bits(stream: bytes) -> np.ndarray:
    return np.unpackbits(np.frombuffer(stream, np.uint8))


def test_no_damage_changes_nothing() -> None:
    stream, done = inject(RECORDS, Damage(), seed=1, file="sense")
    assert stream == b"".join(RECORDS)
    assert not any(done.values())


def test_flipped_bits_are_one_per_record_named() -> None:
    stream, done = inject(RECORDS, Damage(flipped_bit_rate=0.1), seed=1, file="sense")
    flipped = np.flatnonzero(bits(stream) != bits(b"".join(RECORDS)))
    assert (flipped // 320).tolist() == done["flipped_bit"]
    assert len(done["flipped_bit"]) == pytest.approx(200, abs=4 * np.sqrt(180))


@pytest.mark.parametrize("kind", ["flipped_bit", "lost_bytes", "inserted_bytes", "duplicated"])
def test_the_number_of_damaged_records_follows_the_rate(kind: str) -> None:
    _, done = inject(RECORDS, replace(Damage(), **{f"{kind}_rate": 0.1}), seed=1, file="sense")
    counts = {name: len(records) for name, records in done.items()}
    assert counts.pop(kind) == pytest.approx(200, abs=4 * np.sqrt(180))
    assert not any(counts.values())


@pytest.mark.parametrize(
    ("kind", "changes"),
    [("lost_bytes", range(-16, 0)), ("inserted_bytes", range(1, 17)), ("duplicated", range(40, 41))],
)
def test_only_the_listed_records_change_length(kind: str, changes: range) -> None:
    lengths = set()
    for seed in range(400):
        # With one record, the length of the file is that of the record.
        stream, done = inject(RECORDS[:1], replace(Damage(), **{f"{kind}_rate": 0.5}), seed=seed, file="sense")
        assert (len(stream) != 40) == (done[kind] == [0])
        lengths.add(len(stream) - 40)
    assert lengths == {0, *changes}


def test_swapped_records_stand_in_each_others_place() -> None:
    stream, done = inject(RECORDS, Damage(swapped_rate=0.1), seed=1, file="sense")
    found = [stream[start : start + 40] for start in range(0, len(stream), 40)]
    expected = list(RECORDS)
    for number in done["swapped"]:
        expected[number], expected[number + 1] = expected[number + 1], expected[number]
    assert found == expected
    assert len(done["swapped"]) > 100
    assert min(np.diff(done["swapped"])) > 1


def test_a_truncated_file_ends_inside_its_last_record() -> None:
    whole = b"".join(RECORDS)
    lengths = set()
    for seed in range(200):
        stream, done = inject(RECORDS, Damage(cut_tail=True), seed=seed, file="sense")
        assert done["cut_tail"] == [1999]
        assert whole.startswith(stream)
        lengths.add(len(whole) - len(stream))
    assert lengths >= {1, 39}
    assert max(lengths) == 39


@given(damages, st.lists(st.binary(min_size=12, max_size=30), max_size=8))
def test_any_damage_is_possible_and_repeatable(damage: Damage, records: list[bytes]) -> None:
    stream, done = inject(records, damage, seed=7, file="ranges")
    assert inject(records, damage, seed=7, file="ranges") == (stream, done)
    assert altered(done) <= set(range(len(records)))
    json.dumps(done)
    assert all(record in stream for number, record in enumerate(records) if number not in altered(done))


def test_kinds_of_damage_are_independent() -> None:
    _, alone = inject(RECORDS, Damage(lost_bytes_rate=0.05), seed=1, file="sense")
    _, together = inject(
        RECORDS, Damage(lost_bytes_rate=0.05, duplicated_rate=0.5, swapped_rate=0.5), seed=1, file="sense"
    )
    assert alone["lost_bytes"] == together["lost_bytes"]
    assert inject(RECORDS, Damage(lost_bytes_rate=0.05), seed=1, file="ranges")[1] != alone
    assert inject(RECORDS, Damage(lost_bytes_rate=0.05), seed=2, file="sense")[1] != alone


def octets(packets: np.ndarray) -> list[bytes]:
    return [packet.tobytes() for packet in packets]


@pytest.fixture(scope="module")
def undamaged() -> Scenario:
    return generate(SETTINGS)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_flights_parser_delivers_every_undamaged_sense_record(undamaged: Scenario, seed: int) -> None:
    records = octets(scan_sense(undamaged.sense).records)
    stream, done = inject(records, EVERYTHING, seed=seed, file="sense")
    found = scan_sense(stream)
    assert len(altered(done)) > 10
    assert found.damage
    assert {*octets(found.records)} >= {record for number, record in enumerate(records) if number not in altered(done)}


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_flights_parser_delivers_every_undamaged_range_packet(undamaged: Scenario, seed: int) -> None:
    whole = scan_ranges(undamaged.ranges)
    fixes, ranges = iter(octets(whole.fixes)), iter(octets(whole.ranges))
    packets = [next(ranges if kind else fixes) for kind in whole.kinds]
    # Without swaps, neighbours stay neighbours.
    stream, done = inject(packets, replace(EVERYTHING, swapped_rate=0.0), seed=seed, file="ranges")
    found = scan_ranges(stream)
    assert len(altered(done)) > 10
    assert found.damage
    # A range packet has no end mark, so a packet next to damage cannot always be distinguished from damage.
    beside = {number + step for number in altered(done) for step in (-1, 1)}
    expected = {packet for number, packet in enumerate(packets) if number not in altered(done)}
    doubtful = {packet for number, packet in enumerate(packets) if number in beside and len(packet) == 12}
    assert {*octets(found.fixes), *octets(found.ranges)} >= expected - doubtful


def test_the_files_of_a_scenario_are_damaged_as_its_settings_say(undamaged: Scenario) -> None:
    assert not undamaged.faults
    damaged = generate(replace(SETTINGS, faults=Faults(ranges=EVERYTHING)))
    assert damaged.faults.keys() == {"ranges"}
    assert damaged.sense == undamaged.sense
    packets = [undamaged.ranges[:102], undamaged.ranges[102:114], undamaged.ranges[114:126]]
    assert damaged.ranges.startswith(b"".join(packets[: min(altered(damaged.faults["ranges"]))]))
    assert damaged.ranges != undamaged.ranges
    np.testing.assert_array_equal(damaged.truth.position_ecef_m, undamaged.truth.position_ecef_m)
