"""Readings of messages with any items and number formats, time, missing messages."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.framing import Frame, scan_to_end
from pygnc_devices.reading import Counters, Reading, RecordedStamp, Stamp
from pygnc_devices.xsens import items
from pygnc_devices.xsens.framing import make_data, make_frame, scan
from pygnc_devices.xsens.unit import MtUnit
from tests.pygnc_devices.xsens.vectors import DATA, FIXED

MS = 1_000_000
DAY = 864_000_000
ACCEL = (0x4020, bytes(12))


def frame(raw: bytes) -> Frame:
    (found,) = scan_to_end(scan, raw).frames
    return found


def reading(unit: MtUnit, raw: bytes, t_ns: int | None = None) -> Reading:
    stamp = RecordedStamp(0, 0) if t_ns is None else Stamp(t_ns, t_ns)
    found = unit.interpret(frame(raw), stamp, Counters())
    assert found is not None
    return found


def tell(unit: MtUnit, kind: str, data: bytes = b"") -> None:
    assert unit.interpret(frame(make_frame(kind, data)), Stamp(0, 0), Counters()) is None


def ticks(count: int) -> tuple[int, bytes]:
    return 0x1060, (count % (1 << 32)).to_bytes(4, "big")


def counter(count: int) -> tuple[int, bytes]:
    return 0x1020, (count & 0xFFFF).to_bytes(2, "big")


def test_decodes_a_message_of_the_makers_library() -> None:
    values = reading(MtUnit(), DATA).values
    assert (values["packet_counter"], values["sample_time_ticks"], values["status_word"]) == (513, 123_456_789, 3)
    assert [values[f"accel_{axis}_mps2"] for axis in "xyz"] == [0.5, -1.25, 9.75]
    assert [values[f"rate_{axis}_rad_s"] for axis in "xyz"] == [0.125, -0.5, 2.0]
    assert [values[f"{angle}_rad"] for angle in ("roll", "pitch", "yaw")] == pytest.approx(
        [math.radians(angle) for angle in (12.5, -45.0, 90.0)]
    )
    assert (values["pressure_pa"], values["temperature_degc"]) == (101_325, 31.25)


def test_decodes_fixed_point_and_double_precision_of_the_makers_library() -> None:
    values = reading(MtUnit(), FIXED).values
    assert [values[f"accel_{axis}_mps2"] for axis in "xyz"] == pytest.approx([0.5, -1.25, 9.75], abs=2**-20)
    assert [values[f"rate_{axis}_rad_s"] for axis in "xyz"] == pytest.approx([0.125, -0.5, 2.0], abs=2**-32)
    assert values["latitude_rad"] == pytest.approx(math.radians(52.25), abs=1e-15)
    assert values["longitude_rad"] == pytest.approx(math.radians(-6.875), abs=1e-15)
    assert values["altitude_m"] == pytest.approx(-12.5, abs=2**-32)


@pytest.mark.parametrize("number_format", range(4))
def test_any_item_in_any_format_decodes_to_what_was_encoded(number_format: int) -> None:
    for identifier, item in items.ITEMS.items():
        full = identifier | number_format if item.is_real else identifier
        values = {field.name: field.to_value(3 + k) for k, field in enumerate(item.fields) if field.code[-1] != "s"}
        found = reading(MtUnit(), make_data(items.encode_items([full], values)))
        assert {name: found.values[name] for name in values} == pytest.approx(values, abs=1e-6), item.name
        assert found.packet.encode(found.values) == found.raw[4:-1]
        assert items.identifier_of(items.identifier_text(full)) == full


@given(
    st.lists(
        st.tuples(st.one_of(st.sampled_from([*items.ITEMS]), st.integers(0, 0xFFFF)), st.integers(0, 3), st.binary()),
        min_size=1,
        max_size=6,
    )
)
def test_any_items_are_readings_or_are_counted(entries: list[tuple[int, int, bytes]]) -> None:
    unit = MtUnit()
    message = make_data([(identifier | number_format, data[:255]) for identifier, number_format, data in entries])
    found = unit.interpret(frame(message), Stamp(0, 0), Counters())
    known = 0 if found is None else len(found.packet.parts)  # type: ignore[attr-defined]
    assert known + sum(unit.unknown_fields.values()) == len(entries)


def test_unknown_items_and_messages_are_skipped_and_counted() -> None:
    unit = MtUnit()
    for _ in range(2):
        found = reading(unit, make_data([(0xC830, bytes(5)), ACCEL, (0x1020, b"of another length"), ACCEL]))
    assert found.values.keys() == {f"accel_{axis}_mps2" for axis in "xyz"}
    assert unit.unknown_fields == {"C830": 2, "1020": 2, "4020": 2}
    assert unit.interpret(frame(make_data([(0xC830, b"")])), Stamp(0, 0), Counters()) is None
    tell(unit, "32", bytes(20))
    assert unit.unknown_fields["message 32"] == 1


def test_items_with_lower_rates_are_empty_in_between_and_new_ones_begin_a_new_kind() -> None:
    unit = MtUnit()
    names = [reading(unit, make_data(parts)).packet.name for parts in ([ACCEL], [ACCEL, counter(1)], [ACCEL])]
    assert names == ["data", "data-2", "data-2"]
    assert reading(unit, make_data([counter(2)])).values["accel_x_mps2"] is None
    unit.declare([0x4020])
    assert reading(unit, make_data([ACCEL])).packet.name == "data-3"


def test_the_satellites_are_one_value() -> None:
    data = (1500).to_bytes(4, "big") + b"\x02\0\0\0" + bytes([0, 7, 41, 0x1F, 6, 3, 22, 0x14])
    values = reading(MtUnit(), make_data([(0x7020, data)])).values
    octets = values["satellites"]
    assert isinstance(octets, bytes)
    assert (values["satellites_tow_s"], values["satellites_count"]) == (1.5, 2)
    assert items.satellites(octets) == [(0, 7, 41, 0x1F), (6, 3, 22, 0x14)]


def test_messages_of_the_receiver_have_their_own_time_and_share_the_counter() -> None:
    unit = MtUnit()
    pvt = (0x7010, bytes(94))
    late = [reading(unit, make_data([counter(2 * k), ticks(100 * k), ACCEL]), 10 * MS * k) for k in range(1, 16)]
    gnss = []
    for k in range(16, 70, 10):  # the sample times of the receiver are 80 ms old
        late.append(reading(unit, make_data([counter(2 * k), ticks(100 * k), ACCEL]), 10 * MS * k))
        gnss.append(reading(unit, make_data([counter(2 * k + 1), ticks(100 * k - 800), pvt]), 10 * MS * k))
    assert {entry.packet.name for entry in late} == {"data"}
    assert {entry.packet.name for entry in gnss} == {"gnss"}
    assert not any(entry.is_estimate for entry in [*late, *gnss])
    for entries in (late[15:], gnss):
        times = [entry.t_device_ns for entry in entries]
        assert [after - before for before, after in pairwise(times)] == [100 * MS] * 5  # type: ignore[operator]
    assert late[15].t_device_ns == 150 * MS
    assert gnss[0].t_device_ns == 70 * MS
    assert [entry.lost_before for entry in gnss] == [0] * 6
    assert sum(entry.lost_before for entry in late) == 14 + 1 + 5 * 9
    together = reading(unit, make_data([counter(134), ticks(6700), ACCEL, pvt]))
    assert (together.packet.name, together.lost_before) == ("data-2", 0)


@pytest.mark.parametrize("lost", [0.05, 0.2, 0.6])
def test_each_kind_counts_its_own_missing_messages(lost: float) -> None:
    unit, dice, count = MtUnit(), random.Random(3), 0  # noqa: S311 - repeatable
    pvt = (0x7010, bytes(94))
    found: dict[str, list[tuple[int, int]]] = {"data": [], "gnss": []}
    for k in range(6000):  # inertial messages at 100 Hz, the receiver's at 4 Hz
        for kind, part in (("data", ACCEL), *([("gnss", pvt)] if k % 25 == 0 else [])):
            count += 1
            if dice.random() >= lost:
                raw = make_data([counter(count), ticks(100 * k), part])
                found[kind].append((k, reading(unit, raw, 10 * MS * k).lost_before))
    for kind, step in (("data", 1), ("gnss", 25)):
        sent = (found[kind][-1][0] - found[kind][0][0]) // step + 1
        counted = len(found[kind]) + sum(missing for _, missing in found[kind][1:])
        assert counted == pytest.approx(sent, rel=0.01), kind


def test_the_outputs_declare_both_kinds_of_readings() -> None:
    unit = MtUnit()
    outputs = [0x1020, 0x1060, 0x4020, 0x7010, 0xE020, 0xC830]
    unit.declare(outputs)
    assert [unit.data.record.parts, unit.gnss.record.parts] == [(0x1020, 0x1060, 0x4020, 0xE020), (0x7010,)]
    for _ in range(2):
        assert reading(unit, make_data([counter(1), (0x7010, bytes(94))])).packet.name == "gnss"
        unit.declare(outputs)


def test_a_value_that_is_not_a_number_is_missing() -> None:
    assert reading(MtUnit(), make_data([(0x0810, b"\x7f\xc0\0\0")])).values["temperature_degc"] is None


@pytest.mark.parametrize(
    ("status", "flags"),
    [(0x03, ()), (0x01, ("orientation invalid",)), (0x4102, ("accel clipped", "mag clipped"))],
)
def test_the_status_word_flags_doubtful_values(status: int, flags: tuple[str, ...]) -> None:
    raw = make_data([(0x2010, bytes(16)), (0xE020, status.to_bytes(4, "big"))])
    assert reading(MtUnit(), raw).flags == flags


def test_errors_are_counted_by_their_meaning() -> None:
    unit, counters = MtUnit(), Counters()
    for data in (b"\x21", b"\x29", b"\x77", b""):
        unit.interpret(frame(make_frame("42", data)), Stamp(0, 0), counters)
    assert unit.errors == {
        "invalid parameter": 1,
        "more data than the line can carry": 1,
        "error 0x77": 1,
        "error 0x00": 1,
    }
    assert counters.refusals == 1


@pytest.mark.parametrize("start", [1000, DAY - 550, (1 << 32) - 550])
def test_time_continues_over_both_wraps_of_the_clock(start: int) -> None:
    unit = MtUnit()
    counts = [start + 100 * k for k in range(20)]
    modulus = DAY if start < DAY else 1 << 32
    times = [
        reading(unit, make_data([ticks(count % modulus)]), 10 * MS * k).t_device_ns for k, count in enumerate(counts)
    ]
    assert times == [10 * MS * k for k in range(20)]


def test_missing_messages_are_counted_by_the_packet_counter_over_its_wraps() -> None:
    unit = MtUnit()
    numbers = [65_530, 65_531, 65_533, 65_540, *range(65_541, 65_560), 65_559 + 3 * 65_536 + 10]
    found = [reading(unit, make_data([ticks(100 * k), counter(k)])) for k in numbers]
    assert [entry.lost_before for entry in found] == [
        after - before - 1 for before, after in pairwise([65_529, *numbers])
    ]


def test_a_wrong_count_with_a_right_checksum_is_no_loss() -> None:
    unit = MtUnit()
    counts = [*range(20), 30_000, *range(21, 30), 32]
    times = [*range(30), 32]
    found = [reading(unit, make_data([ticks(100 * t), counter(k)])) for t, k in zip(times, counts, strict=True)]
    assert [entry.lost_before for entry in found] == [0] * 30 + [2]


def test_without_sample_time_the_counter_and_the_rate_give_the_time() -> None:
    unit = MtUnit()
    unit.counter.period_ns = 10 * MS
    found = [reading(unit, make_data([counter(k)]), 10 * MS * k) for k in (0, 1, 4, 5)]
    assert [entry.t_device_ns for entry in found] == [0, 10 * MS, 40 * MS, 50 * MS]
    assert [entry.lost_before for entry in found] == [0, 0, 2, 0]


def test_without_counter_the_usual_step_counts() -> None:
    unit = MtUnit()
    found = [reading(unit, make_data([ticks(100 * k), ACCEL])) for k in (0, 1, 2, 3, 4, 7, 8)]
    assert [entry.lost_before for entry in found] == [0, 0, 0, 0, 0, 2, 0]


@pytest.mark.parametrize("clock_restarts", [False, True])
def test_a_pause_for_settings_is_no_loss(*, clock_restarts: bool) -> None:
    unit = MtUnit()
    for k in range(10):
        reading(unit, make_data([ticks(5000 + 100 * k), counter(k)]), 10 * MS * k)
    tell(unit, "31")
    assert unit.is_configuring
    tell(unit, "11")
    assert not unit.is_configuring
    first = 0 if clock_restarts else 6900
    after = [reading(unit, make_data([ticks(first + 100 * k), counter(k)]), (190 + 10 * k) * MS) for k in range(300)]
    assert (after[0].lost_before, after[0].is_estimate) == (0, clock_restarts)
    assert not any(entry.lost_before for entry in after)
    assert after[-1].t_device_ns == pytest.approx(3180 * MS, abs=MS)


def test_a_unit_left_in_its_settings_is_returned_to_its_measurements() -> None:
    async def recover() -> None:
        pass

    unit = MtUnit(recover=recover)
    assert unit.reconnected() is None
    tell(unit, "31")
    operation = unit.reconnected()
    assert operation is not None
    operation.close()
