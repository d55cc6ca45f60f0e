"""Readings of packets and lines, unknown fields, clocks, missing readings."""

import math
import struct

import pytest

from pygnc_devices.framing import Frame, scan_to_end
from pygnc_devices.reading import Counters, Reading, RecordedStamp, Stamp
from pygnc_devices.vectornav.fields import GROUPS, LINES
from pygnc_devices.vectornav.framing import make_line, make_packet, scan
from pygnc_devices.vectornav.packets import header_of, place_of, raw_measurements, record_of, satellites
from pygnc_devices.vectornav.unit import VectorNavUnit
from tests.pygnc_devices.vectornav.vectors import DELTAS, PACKET, SDK_PACKET, SDK_ROW, SOLUTION, YMR

S = 1_000_000_000
DAY_S = 86_400
UNCHECKED = b"$VNYPR,+010.071,+000.278,-002.026*XX\r\n"


def frame(raw: bytes) -> Frame:
    (found,) = scan_to_end(scan, raw).frames
    return found


def reading(unit: VectorNavUnit, raw: bytes, t_ns: int | None = None) -> Reading:
    stamp = RecordedStamp(0, 0) if t_ns is None else Stamp(t_ns, t_ns)
    found = unit.interpret(frame(raw), stamp, Counters())
    assert found is not None
    return found


def packet(*names: str, **values: float | bytes) -> bytes:
    record = record_of(header_of(map(place_of, names)))
    assert record is not None
    return make_packet(record.encode(values))


def as_line(name: str, response: bytes) -> bytes:
    """Return the line with the values of the response of a register."""
    return make_line(f"{name},{response.decode().split(',', 2)[2].split('*')[0]}")


def degrees(found: Reading, name: str) -> float:
    value = found.values[name]
    assert isinstance(value, float)
    return math.degrees(value)


def test_decodes_the_packet_of_the_manual() -> None:
    found = reading(VectorNavUnit(), PACKET)
    assert [degrees(found, f"{name}_rad") for name in ("yaw", "pitch", "roll")] == pytest.approx(
        [43.578686, 1.8847202, -2.0249654e-3]
    )
    assert found.t_device_ns is None


def test_decodes_lines_of_manuals_and_of_the_makers_example() -> None:
    found = reading(VectorNavUnit(), YMR)
    assert degrees(found, "yaw_rad") == pytest.approx(100.949)
    assert found.values["mag_y_t"] == pytest.approx(-0.2449e-4)
    assert (found.values["accel_z_mps2"], found.values["rate_y_rad_s"]) == (-9.701, 0.001122)
    solution = reading(VectorNavUnit(), as_line("GPS", SOLUTION)).values
    assert (solution["gnss1_tow_s"], solution["gnss1_week"], solution["gnss1_fix"]) == (333_733.000159, 1694, 3)
    assert solution["gnss1_latitude_rad"] == pytest.approx(math.radians(32.9562208), rel=1e-12)
    assert (solution["gnss1_velocity_down_mps"], solution["gnss1_time_uncertainty_s"]) == (-2.86, 2e-8)
    assert reading(VectorNavUnit(), as_line("DTV", DELTAS)).values["delta_velocity_z_mps"] == -6.702


def test_decodes_all_words_as_the_makers_library() -> None:
    found = reading(VectorNavUnit(), SDK_PACKET)
    words = [field.to_word(found.values[field.name] or 0) for field in found.packet.fields]
    assert words == pytest.approx([float(text) for text in SDK_ROW.split(",")], rel=1e-6)


def test_appended_fields_make_a_kind_of_their_own() -> None:
    unit = VectorNavUnit()
    found = reading(unit, make_line("YPR,1,2,3,T1162704,S0F06"))
    assert found.packet.name == "YPR-TS"
    assert (found.values["appended_count"], found.values["appended_status"]) == (1_162_704, 0x0F06)
    assert found.packet.encode(found.values) == b"1,2,3,T1162704,S0F06"
    assert reading(unit, make_line("YPR,1,2,3,S1")).packet.name == "YPR-S"
    assert reading(unit, make_line("YPR,1,2,3")).packet is LINES["YPR"]


def test_lines_without_checksum_are_damage_unless_the_unit_says_that_it_sends_none() -> None:
    unit, counters = VectorNavUnit(), Counters()
    assert unit.interpret(frame(UNCHECKED), Stamp(0, 0), counters) is None
    assert (counters.damaged["checksum"], counters.skipped_bytes) == (1, len(UNCHECKED))
    assert unit.interpret(frame(b"$VNRRG,30,0,0,0,0,0,0,1*XX\r\n"), Stamp(0, 0), counters) is None
    assert reading(unit, UNCHECKED).packet.name == "YPR"
    assert unit.interpret(frame(make_line("WRG,30,0,0,0,0,1,0,1")), Stamp(0, 0), counters) is None
    assert unit.interpret(frame(UNCHECKED), Stamp(0, 0), counters) is None


def test_unknown_and_reserved_fields_are_counted_and_reported_once(caplog: pytest.LogCaptureFixture) -> None:
    unit = VectorNavUnit()
    unknown = make_packet(header_of([(0, 0), (2, 13), (9, 2)]) + bytes(20))
    first, *_ = scan_to_end(scan, unknown * 2).frames
    counters = Counters()
    for _ in range(2):
        assert unit.interpret(first, Stamp(0, 0), counters) is None
    assert unit.unknown_fields == {"imu.bit13": 2, "group9.bit2": 2}
    assert (counters.damaged["content"], counters.skipped_bytes) == (2, 2 * len(unknown))
    assert [entry.getMessage().split()[2] for entry in caplog.records] == ["imu.bit13", "group9.bit2"]
    reserved = record_of(header_of([(2, 9), (2, 12)]))
    assert reserved is not None
    found = reading(unit, make_packet(reserved.encode({"accel_x_mps2": 1.5})))
    assert (found.values["accel_x_mps2"], len(found.values)) == (1.5, 3)
    assert unit.unknown_fields["imu.bit12"] == 1


def test_a_value_in_two_groups_is_read_once() -> None:
    found = reading(
        VectorNavUnit(), packet("common.accel", "imu.accel", "imu.pressure", accel_y_mps2=2, pressure_pa=1e5)
    )
    assert list(found.values) == ["accel_x_mps2", "accel_y_mps2", "accel_z_mps2", "pressure_pa"]
    assert found.values["accel_y_mps2"] == 2.0
    assert found.values["pressure_pa"] == pytest.approx(1e5)


def test_lists_of_satellites_have_any_length() -> None:
    one = struct.pack("<5Bbh", 0, 7, 3, 44, 2, -5, 271)
    two = struct.pack("<4BbBHddf", 2, 9, 1, 0, -3, 50, 0x1FF, 2.2e7, 1.1e8, -250.5)
    fields = ("gnss1.satellite_info", "gnss1.raw_measurements", "gnss1.status")
    for count in (0, 1, 30):
        raw = packet(*fields, gnss1_satellite_list=one * count, gnss1_raw_list=two * 2, gnss1_status=5)
        values = reading(VectorNavUnit(), raw).values
        assert (values["gnss1_list_satellites"], values["gnss1_raw_count"], values["gnss1_status"]) == (count, 2, 5)
        assert isinstance(listed := values["gnss1_satellite_list"], bytes)
        assert satellites(listed) == [(0, 7, 3, 44, 2, -5, 271)] * count
        assert isinstance(measured := values["gnss1_raw_list"], bytes)
        assert raw_measurements(measured)[1] == (2, 9, 1, 0, -3, 50, 0x1FF, 2.2e7, 1.1e8, -250.5)


def test_doubtful_values_are_flagged() -> None:
    unit = VectorNavUnit()
    assert reading(unit, packet("ins.ins_status", "gnss1.fix", ins_status=0x44)).flags == (
        "gnss1 without fix",
        "INS not tracking",
        "GNSS error",
    )
    assert reading(unit, packet("ins.ins_status", "gnss1.fix", ins_status=6, gnss1_fix=3)).flags == ()
    assert reading(unit, packet("imu.saturation", saturation=0x201)).flags == ("saturated: mag x, pressure",)


def test_a_value_that_is_not_a_number_is_missing() -> None:
    assert reading(VectorNavUnit(), packet("imu.temperature", temperature_degc=math.nan)).values == {
        "temperature_degc": None
    }


@pytest.mark.parametrize(
    ("field", "value", "seconds"),
    [
        ("time.time_startup", "time_startup_ns", 1 / S),
        ("time.gps_tow", "tow_ns", 1 / S),
        ("time.time_gps", "time_gps_ns", 1 / S),
    ],
)
def test_the_best_clock_is_the_device_time(field: str, value: str, seconds: float) -> None:
    unit = VectorNavUnit()
    times = [reading(unit, packet(field, "gnss1.tow", **{value: 5 * S + k * S // 100})).t_device_ns for k in range(3)]
    assert times == [0, 10_000_000, 20_000_000]
    assert seconds


def test_kinds_share_the_origin_of_a_clock() -> None:
    unit = VectorNavUnit()
    assert reading(unit, packet("time.time_startup", time_startup_ns=10 * S)).t_device_ns == 0
    assert reading(unit, packet("common.time_startup", "imu.accel", time_startup_ns=11 * S)).t_device_ns == S
    assert reading(unit, packet("time.gps_tow", tow_ns=3 * S)).t_device_ns == S
    assert reading(unit, make_line(f"INS,4,2400,6{',0' * 12}")).t_device_ns == 2 * S


def test_time_continues_over_the_end_of_the_week() -> None:
    unit = VectorNavUnit()
    assert reading(unit, make_line(f"INS,{7 * DAY_S - 0.5},2400,6{',0' * 12}"), 0).t_device_ns == 0
    assert reading(unit, make_line(f"INS,0.5,2401,6{',0' * 12}"), S).t_device_ns == S


def test_missing_packets_are_counted_by_time_or_by_sync_events() -> None:
    numbers = (0, 1, 2, 3, 4, 7, 8)
    unit = VectorNavUnit()
    lost = [reading(unit, packet("time.time_startup", time_startup_ns=k * S // 100)).lost_before for k in numbers]
    assert lost == [0, 0, 0, 0, 0, 2, 0]
    lost = [reading(unit, packet("time.sync_in_count", sync_in_count=5 * k)).lost_before for k in numbers]
    assert lost == [0, 0, 0, 0, 0, 2, 0]


def test_an_impossible_time_is_no_time() -> None:
    assert reading(VectorNavUnit(), packet("time.time_startup", time_startup_ns=2**64 - 1)).t_device_ns is None
    assert reading(VectorNavUnit(), make_line(f"INS,9e99,2400,6{',0' * 12}")).t_device_ns is None


def test_all_fields_of_a_group_have_different_names() -> None:
    for name, fields in GROUPS.values():
        names = [field.name for part in fields for field in part.fields]
        assert len(set(names)) == len(names), name
