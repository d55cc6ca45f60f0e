"""Scans of damaged sense files deliver exactly the intact records and report all other bytes."""

import tracemalloc
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pygnc.formats import sense_scan
from pygnc.formats.damage import DUPLICATE_REACH, Anomaly, AnomalyReason, Damage, DamageReason
from pygnc.formats.gps_packet import decode_gps_packets
from pygnc.formats.sense import SenseLayout, decode_sensors
from pygnc.formats.sense_scan import PIECE_BYTES, SenseScan, SenseScanner, scan
from tests.pygnc.formats.streams import ANY, IN_PLACE, YEAR_S, Stream, damaged, joined, pieces, sense_records

BARE = SenseLayout(terminated=False)

# Without a checksum the right loss at the right place makes one good record of two; a search would find it some day.
FIXED_EXAMPLES = settings(derandomize=True, max_examples=150)


def stream_of(records: NDArray[np.void]) -> Stream:
    return Stream.of([record.tobytes() for record in records])


@st.composite
def pristine(draw: st.DrawFn, layout: SenseLayout, *, random_payload: bool = True) -> Stream:
    return stream_of(
        sense_records(
            draw(st.integers(0, 24)),
            layout=layout,
            seed=draw(st.integers(0, 1000)),
            has_fix=draw(st.booleans()),
            random_payload=random_payload and draw(st.booleans()),
        )
    )


def assert_every_byte_is_accounted_for(octets: bytes, result: SenseScan, size: int) -> None:
    uses = np.zeros(len(octets), int)
    for offset in result.offsets:
        uses[offset : offset + size] += 1
    for damage in result.damage:
        assert damage.start < damage.stop
        uses[damage.start : damage.stop] += 1
    assert (uses == 1).all()
    for before, after in pairwise(result.damage):
        assert before.stop < after.start or after.reason is DamageReason.CUT_TAIL, "neighbouring damage is merged"
    rows = [octets[offset : offset + size] for offset in result.offsets]
    assert result.records.tobytes() == b"".join(rows)


def assert_exactly_the_intact_ones(stream: Stream, originals: Sequence[bytes], layout: SenseLayout) -> None:
    octets = bytes(stream)
    result = scan(octets, layout)
    assert_every_byte_is_accounted_for(octets, result, layout.size)
    delivered = set(result.offsets.tolist())
    assert stream.intact().keys() <= delivered
    for offset in delivered - stream.intact().keys():
        # By chance, damage may restore what it removed; the record is then intact.
        assert octets[offset : offset + layout.size] in originals, f"false record at {offset}"


@FIXED_EXAMPLES
@given(st.data(), st.sampled_from([SenseLayout(), SenseLayout(3), SenseLayout(8)]))
def test_exactly_the_intact_records_are_delivered(data: st.DataObject, layout: SenseLayout) -> None:
    original = data.draw(pristine(layout))
    stream = data.draw(damaged(st.just(original)))
    records = [bytes(original)[start : start + size] for start, size in original.sizes.items()]
    assert_exactly_the_intact_ones(stream, records, layout)


@given(st.data())
def test_without_terminator_every_intact_record_is_delivered(data: st.DataObject) -> None:
    stream = data.draw(damaged(pristine(BARE, random_payload=False), ANY))
    result = scan(bytes(stream), BARE)
    assert_every_byte_is_accounted_for(bytes(stream), result, BARE.size)
    assert stream.intact().keys() <= set(result.offsets.tolist())


@given(st.data(), st.sampled_from([SenseLayout(), BARE, SenseLayout(1), SenseLayout(2)]))
def test_pieces_do_not_change_the_result(data: st.DataObject, layout: SenseLayout) -> None:
    octets = bytes(data.draw(damaged(pristine(layout, random_payload=False))))
    whole = scan(octets, layout, base_offset=1000)
    scanner = SenseScanner(layout, base_offset=1000)
    parts = [scanner.feed(piece) for piece in data.draw(pieces(octets))]
    parts.append(scanner.finish())
    np.testing.assert_array_equal(joined(parts, "offsets"), whole.offsets)
    assert b"".join(part.records.tobytes() for part in parts) == whole.records.tobytes()
    assert joined(parts, "damage") == whole.damage
    assert joined(parts, "anomalies") == whole.anomalies


def test_every_lost_byte_costs_one_record() -> None:
    records = sense_records(3)
    stream = stream_of(records)
    originals = [record.tobytes() for record in records]
    for place in range(len(stream)):
        damaged_stream = stream.lose(place, 1)
        assert_exactly_the_intact_ones(damaged_stream, originals, SenseLayout())
        (damage,) = scan(bytes(damaged_stream)).damage
        start = place // 251 * 251
        reason = DamageReason.CUT_TAIL if place >= 502 else DamageReason.LENGTH
        assert damage == Damage(start, start + 250, reason)


@pytest.mark.parametrize("inserted", [b"\x4a", b"\r\n", b"0123456789"])
def test_every_inserted_byte_costs_one_record(inserted: bytes) -> None:
    """This includes two bytes inserted before satellite counts of 13 and 10, which read like CR LF."""
    records = sense_records(3, satellites=(13, 10))
    stream = stream_of(records)
    originals = [record.tobytes() for record in records]
    for place in range(len(stream) + 1):
        assert_exactly_the_intact_ones(stream.insert(place, inserted), originals, SenseLayout())


def test_every_cut_costs_the_record_it_cuts() -> None:
    stream = stream_of(sense_records(3))
    for length in range(len(stream)):
        result = scan(bytes(stream.cut(length)))
        whole, rest = divmod(length, 251)
        assert result.offsets.tolist() == [251 * k for k in range(whole)]
        assert result.damage == ((Damage(251 * whole, length, DamageReason.CUT_TAIL),) if rest else ())


@pytest.mark.parametrize("page", [512, 4096])
@pytest.mark.parametrize("fill", [0x00, 0xFF, 0x38])
def test_erased_pages_cost_the_records_they_touch(page: int, fill: int) -> None:
    stream = stream_of(sense_records(100, has_fix=False))
    for start in range(0, len(stream), page):
        erased = stream.overwrite(start, bytes([fill]) * page)
        result = scan(bytes(erased))
        assert result.offsets.tolist() == sorted(erased.intact())
        assert [damage.reason for damage in result.damage if damage.stop < len(stream)] in ([DamageReason.FILL], [])
        assert result.damage[0].start <= start
        assert result.damage[-1].stop >= min(start + page, len(stream))


def test_short_zeroed_ranges_over_times_are_damage() -> None:
    stream = stream_of(sense_records(5))
    for start in range(251, 251 + 150):
        zeroed = stream.overwrite(start, bytes(64))
        assert scan(bytes(zeroed)).offsets.tolist() == sorted(zeroed.intact())


@pytest.mark.parametrize("step_s", [20 * YEAR_S, 26 * YEAR_S + 77, -1760, -20 * YEAR_S])
def test_a_record_with_a_clock_step_is_delivered(step_s: int) -> None:
    """Set the clock between any two packets of any record of a file."""
    for record in range(6):
        for packet in range(6):
            records = sense_records(6)
            times = np.column_stack([records["sensors"]["t_spacecraft_s"], records["gps"]["t_spacecraft_s"]])
            flat = times.astype(np.int64).ravel()
            flat[6 * record + packet :] += step_s
            records["sensors"]["t_spacecraft_s"] = flat.reshape(6, 6)[:, :5]
            records["gps"]["t_spacecraft_s"] = flat.reshape(6, 6)[:, 5]
            result = scan(records.tobytes())
            assert (len(result.records), result.damage) == (6, ())
            named = {(anomaly.record, anomaly.reason.value) for anomaly in result.anomalies}
            if packet > 0:
                assert named == {(record, "clock_step")}
            else:
                assert named == ({(record, "out_of_order")} if step_s < 0 and record > 0 else set())


def test_halves_of_different_records_are_not_a_record_with_a_clock_step() -> None:
    """A loss of whole record lengths leaves length and CR LF in place; only the times do not match."""
    records = sense_records(20)
    originals = [record.tobytes() for record in records]
    for place in range(251 * 3 + 1, 251 * 3 + 154):
        for records_lost in (1, 3, 15):
            shortened = stream_of(records).lose(place, 251 * records_lost)
            assert_exactly_the_intact_ones(shortened, originals, SenseLayout())


def test_a_single_wrong_time_is_damage() -> None:
    """A flipped high bit of a time between others looks like two steps of the clock."""
    for packet in range(6):
        records = sense_records(3)
        times = records["gps"]["t_spacecraft_s"] if packet == 5 else records["sensors"]["t_spacecraft_s"][:, packet]
        times[1] ^= 1 << 28
        result = scan(records.tobytes())
        assert result.offsets.tolist() == [0, 502]
        assert result.damage == (Damage(251, 502, DamageReason.CONTENT),)


def test_jitter_and_unknown_statuses_are_not_damage() -> None:
    records = sense_records(50)
    rng = np.random.default_rng(5)
    nominal = 946_684_810 + 25 * np.arange(50)[:, None] + 5 * np.arange(5)
    records["sensors"]["t_spacecraft_s"] = nominal + rng.integers(-3, 4, (50, 5))
    records["gps"]["t_spacecraft_s"] = records["sensors"]["t_spacecraft_s"][:, -1]
    records["gps"]["time_status"] = rng.integers(0, 256, 50)
    records["gps"]["position_status"] = rng.integers(0, 256, 50)
    records["gps"]["velocity_status"] = rng.integers(0, 256, 50)
    result = scan(records.tobytes())
    assert (len(result.records), result.damage) == (50, ())


def test_cr_lf_in_payloads_does_not_split_records() -> None:
    records = sense_records(20, satellites=(13, 10))
    records["sensors"]["mag"] = records["sensors"]["gyro"] = int.from_bytes(b"\r\n", "little")
    records["sensors"]["lux"] = int.from_bytes(b"\r\n", "big")
    result = scan(records.tobytes())
    assert (len(result.records), result.damage) == (20, ())
    stream = stream_of(records)
    for place in range(251, 502):
        assert scan(bytes(stream.lose(place, 1))).offsets.tolist() == [0, *range(501, 251 * 20 - 1, 251)]


def test_in_place_damage_of_unterminated_records() -> None:
    stream = stream_of(sense_records(40, layout=BARE))
    for start in range(0, len(stream), 512):
        erased = stream.overwrite(start, bytes(512))
        assert scan(bytes(erased), BARE).offsets.tolist() == sorted(erased.intact())


def test_bytes_lost_in_an_unterminated_record_are_damage() -> None:
    stream = stream_of(sense_records(6, layout=BARE))
    for place in range(249 + 154, 498):
        shortened = stream.lose(place, 1)
        assert scan(bytes(shortened), BARE).offsets.tolist() == sorted(shortened.intact())


@pytest.mark.parametrize("layout", [SenseLayout(), BARE])
@pytest.mark.parametrize("fill", [b"\x00", b"\xff", b"\x41", b"\r\n", b"\x00\x01"])
def test_fill_is_never_a_record(layout: SenseLayout, fill: bytes) -> None:
    octets = fill * 5000
    result = scan(octets, layout)
    assert len(result.records) == 0
    assert_every_byte_is_accounted_for(octets, result, layout.size)


def test_noise_is_one_range_of_damage_in_bounded_memory() -> None:
    noise = np.random.default_rng(6).bytes(PIECE_BYTES)
    scanner = SenseScanner()
    scanner.feed(noise)
    tracemalloc.start()
    parts = [scanner.feed(noise) for _ in range(11)]
    parts.append(scanner.finish())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * PIECE_BYTES
    assert sum(len(part.records) for part in parts) == 0
    tail = 12 * PIECE_BYTES % 251
    assert joined(parts, "damage") == (
        Damage(0, 12 * PIECE_BYTES - tail, DamageReason.CONTENT),
        Damage(12 * PIECE_BYTES - tail, 12 * PIECE_BYTES, DamageReason.CUT_TAIL),
    )


def test_empty_input() -> None:
    result = scan(b"")
    assert (len(result.records), len(result.offsets), result.damage, result.anomalies) == (0, 0, (), ())
    assert decode_sensors(result.records).mag_imu_ut.shape == (0, 5, 3)
    assert len(decode_gps_packets(result.records["gps"])) == 0


def test_one_byte_is_a_cut_tail() -> None:
    assert scan(b"\x5f").damage == (Damage(0, 1, DamageReason.CUT_TAIL),)


def test_records_of_an_undamaged_file_are_a_view_of_it() -> None:
    octets = sense_records(10).tobytes()
    records = scan(octets).records
    assert np.shares_memory(records, np.frombuffer(octets, np.uint8))
    assert not records.flags.writeable


def test_a_large_file_is_scanned_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = sense_records(10).tobytes()
    octets = octets[:700] + octets[800:]
    whole = scan(octets, base_offset=9)
    monkeypatch.setattr(sense_scan, "PIECE_BYTES", 600)
    divided = scan(octets, base_offset=9)
    assert divided.offsets.tolist() == whole.offsets.tolist()
    assert divided.records.tobytes() == whole.records.tobytes()
    assert (divided.damage, divided.anomalies) == (whole.damage, whole.anomalies)


def test_records_of_one_sensor_packet_are_found_without_terminator() -> None:
    layout = SenseLayout(1, terminated=False)
    octets = sense_records(6, layout=layout).tobytes()
    assert scan(b"\x01" + octets, layout).offsets.tolist() == [1 + k * layout.size for k in range(6)]


def test_an_implausible_last_record_does_not_end_an_overlap_without_terminator() -> None:
    records = sense_records(4, layout=BARE)
    records["gps"]["position_ecef_m"][3] = np.nan
    octets = records.tobytes()
    size = BARE.size
    damaged_octets = octets[: 2 * size - 5] + octets[2 * size :] + bytes(10)
    assert scan(damaged_octets, BARE).offsets.tolist() == [0, 2 * size - 5]


def test_a_repeated_record_with_a_clock_step_is_delivered() -> None:
    """Damage does not occur twice in the same way."""
    records = sense_records(5)[[0, 1, 1, 2]]
    records["sensors"]["t_spacecraft_s"][1:3, 4] += 5000
    records["gps"]["t_spacecraft_s"][1:3] += 5000
    assert len(scan(records.tobytes()).records) == 4


@given(st.data())
def test_swaps_duplicates_and_pages_in_unterminated_streams(data: st.DataObject) -> None:
    stream = data.draw(damaged(pristine(BARE, random_payload=False), IN_PLACE))
    assert stream.intact().keys() <= set(scan(bytes(stream), BARE).offsets.tolist())


def named(octets: bytes) -> list[tuple[int, AnomalyReason]]:
    result = scan(octets)
    assert not result.damage
    for anomaly in result.anomalies:
        start = int(result.offsets[anomaly.record])
        assert (anomaly.start, anomaly.stop) == (start, start + 251)
    return [(anomaly.record, anomaly.reason) for anomaly in result.anomalies]


def test_an_undamaged_file_has_no_anomalies() -> None:
    assert named(sense_records(200).tobytes()) == []


def test_duplicates_are_delivered_and_reported() -> None:
    records = sense_records(10)
    order = [0, 1, 2, 2, 3, 1, 4, 5, 5, 5, 6]
    duplicate = AnomalyReason.DUPLICATE
    assert named(records[order].tobytes()) == [(3, duplicate), (5, duplicate), (8, duplicate), (9, duplicate)]


def test_swapped_records_are_delivered_and_reported() -> None:
    records = sense_records(10)
    assert named(records[[0, 1, 3, 2, 4]].tobytes()) == [(3, AnomalyReason.OUT_OF_ORDER)]


def test_a_similar_record_is_not_a_duplicate() -> None:
    records = sense_records(3)[[0, 1, 1, 2]]
    records["sensors"]["hall"][2, 0] += 1
    assert named(records.tobytes()) == [(2, AnomalyReason.OUT_OF_ORDER)]


@pytest.mark.parametrize(("distance", "found"), [(DUPLICATE_REACH, True), (DUPLICATE_REACH + 1, False)])
def test_duplicates_are_found_within_the_reach(distance: int, *, found: bool) -> None:
    records = sense_records(distance)
    order = [*range(distance), 0]
    reason = AnomalyReason.DUPLICATE if found else AnomalyReason.OUT_OF_ORDER
    assert named(records[order].tobytes()) == [(distance, reason)]


@pytest.mark.parametrize("exponent", [12, 13, 14, 15])
def test_impossible_light_words_are_anomalies(exponent: int) -> None:
    records = sense_records(4)
    records["sensors"]["lux"][2, 3, 5] = exponent << 12 | 5
    assert named(records.tobytes()) == [(2, AnomalyReason.IMPLAUSIBLE_LIGHT)]


def test_a_record_can_have_several_anomalies() -> None:
    records = sense_records(4)[[0, 2, 1, 3]]
    records["gps"]["velocity_ecef_mps"][2] = np.nan
    records["sensors"]["lux"][2] = 0xFFFF
    octets = records.tobytes()
    assert named(octets) == [
        (2, AnomalyReason.OUT_OF_ORDER),
        (2, AnomalyReason.IMPLAUSIBLE_LIGHT),
        (2, AnomalyReason.IMPLAUSIBLE_FIX),
    ]
    assert scan(octets, base_offset=7).anomalies[0] == Anomaly(2, 509, 760, AnomalyReason.OUT_OF_ORDER)
