"""Readings of packets with any composition of fields, unknown fields, clocks."""

import math
import struct

import numpy as np
import pytest

from pygnc_devices.framing import Frame, scan_to_end
from pygnc_devices.mip.driver import PACKETS
from pygnc_devices.mip.fields import FIELDS
from pygnc_devices.mip.framing import make_packet, scan
from pygnc_devices.mip.unit import MipUnit
from pygnc_devices.reading import Counters, Reading, RecordedStamp, Stamp
from tests.pygnc_devices.mip.vectors import FILTER, REAL, SENSOR

S = 1_000_000_000
G = 9.80665
DAY_S = 86_400


def frame(raw: bytes) -> Frame:
    (found,) = scan_to_end(scan, raw).frames
    return found


def reading(unit: MipUnit, raw: bytes, t_ns: int | None = None) -> Reading:
    stamp = RecordedStamp(0, 0) if t_ns is None else Stamp(t_ns, t_ns)
    found = unit.interpret(frame(raw), stamp, Counters())
    assert isinstance(found, Reading)
    return found


def sensor(*fields: tuple[int, bytes]) -> bytes:
    return make_packet(0x80, fields)


def vector(descriptor: int, value: float = 0.5) -> tuple[int, bytes]:
    return descriptor, struct.pack(">3f", value, value, value)


def reference(t_ns: int) -> tuple[int, bytes]:
    return 0xD5, t_ns.to_bytes(8, "big")


def tow(t_s: float, week: int = 2400) -> tuple[int, bytes]:
    return 0x12, struct.pack(">dHH", t_s, week, 31)


def test_decodes_sensor_data_of_the_vendors_library() -> None:
    values = reading(MipUnit(), SENSOR).values
    assert [values[f"accel_{axis}_mps2"] for axis in "xyz"] == pytest.approx([G / 2, -G / 4, -G])
    assert [values[f"rate_{axis}_rad_s"] for axis in "xyz"] == [0.125, -0.5, 2.0]
    assert [values[f"mag_{axis}_t"] for axis in "xyz"] == pytest.approx([2.5e-5, -1.25e-5, 5e-5])
    assert values["pressure_pa"] == pytest.approx(101_325.0)
    assert values["reference_time_ns"] == 1_234_567_890_123


def test_decodes_filter_data_of_the_vendors_library_and_flags_what_is_invalid() -> None:
    found = reading(MipUnit(), FILTER)
    values = found.values
    assert (values["tow_s"], values["week"]) == (345_600.125, 2400)
    assert values["latitude_rad"] == pytest.approx(math.pi / 4)
    assert values["longitude_rad"] == pytest.approx(math.radians(-73.5))
    assert values["altitude_m"] == 120.25
    assert [values[f"q{k}"] for k in range(4)] == [1.0, 0.0, -0.5, 0.25]
    assert (values["filter_state"], values["status_flags"]) == (4, 7)
    assert found.flags == ("quaternion invalid",)


def test_decodes_a_packet_recorded_from_a_unit() -> None:
    values = reading(MipUnit(), REAL).values
    accel = [values[f"accel_{axis}_mps2"] for axis in "xyz"]
    assert math.hypot(*accel) == pytest.approx(G, rel=0.01)  # type: ignore[arg-type]
    assert values["mag_x_t"] == pytest.approx(0.1143876e-4, rel=1e-5)


@pytest.mark.parametrize("record", PACKETS)
def test_readings_encode_to_the_fields_that_have_values(record: object) -> None:
    unit = MipUnit()
    found = reading(unit, SENSOR)
    assert found.packet.encode(found.values) == SENSOR[4:-2]
    assert record in PACKETS


def test_each_occurrence_of_a_repeated_field_is_a_reading() -> None:
    unit = MipUnit()
    satellites = [(0x0C, struct.pack(">BBHhhHH", k, k, 40, 90, 10 * k, 3, 0 if k == 7 else 63)) for k in (3, 7, 9)]
    raw = make_packet(0x91, [satellites[0], (0x11, b"\x12\x00\x01"), *satellites[1:], (0xD5, S.to_bytes(8, "big"))])
    found = unit.interpret(frame(raw), Stamp(0, 0), Counters())
    assert isinstance(found, tuple)
    assert [entry.values["satellite_id"] for entry in found] == [3, 7, 9]
    assert [entry.values["satellite_elevation_rad"] for entry in found] == pytest.approx(np.radians([30, 70, 90]))
    assert [entry.values["leap_seconds_s"] for entry in found] == [18, None, None]
    assert [entry.flags for entry in found] == [(), ("satellite invalid",), ()]
    assert [entry.t_device_ns for entry in found] == [0, 0, 0]
    assert b"".join(entry.raw for entry in found) == raw


def test_unknown_fields_are_skipped_and_counted() -> None:
    unit = MipUnit()
    raw = sensor((0x7A, b"123"), vector(0x04), (0x05, b"of another length"))
    assert reading(unit, raw).values["accel_x_mps2"] == pytest.approx(G / 2)
    reading(unit, raw)
    assert unit.unknown_fields == {"80:7A": 2, "80:05": 2}
    assert unit.interpret(frame(sensor((0x7A, b"123"))), Stamp(0, 0), Counters()) is None
    assert unit.interpret(frame(make_packet(0xB0, [(1, b"?")])), Stamp(0, 0), Counters()) is None
    assert unit.unknown_fields["B0:01"] == 1


def test_fields_with_lower_rates_are_empty_in_between() -> None:
    unit = MipUnit()
    unit.streams[0x80].expect([0x04, 0x06, 0xD5])
    first = reading(unit, sensor(vector(0x04), reference(0)))
    second = reading(unit, sensor(vector(0x04), vector(0x06), reference(S)))
    assert first.packet is second.packet
    assert first.values["mag_x_t"] is None
    assert second.values["mag_x_t"] == pytest.approx(0.5e-4)
    assert not first.packet.is_partial({"mag_x_t"})


def test_a_new_field_begins_a_new_kind_of_reading() -> None:
    unit = MipUnit()
    packets = [sensor(vector(0x04)), sensor(vector(0x04), vector(0x05)), sensor(vector(0x04)), sensor(vector(0x06))]
    names = [reading(unit, raw).packet.name for raw in packets]
    assert names == ["sensor", "sensor-2", "sensor-2", "sensor-3"]


def test_a_value_that_is_not_a_number_is_missing() -> None:
    assert reading(MipUnit(), sensor(vector(0x06, math.nan))).values["mag_x_t"] is None


@pytest.mark.parametrize("clock", [lambda t: reference(round(t * S)), tow], ids=["reference", "tow"])
def test_the_sets_of_a_unit_share_the_origin_of_their_time(clock: object) -> None:
    unit = MipUnit()
    assert callable(clock)
    assert reading(unit, sensor(clock(10.0))).t_device_ns == 0
    assert reading(unit, sensor(clock(10.5))).t_device_ns == S // 2
    descriptor, data = clock(10.25)
    name = {0x12: 0x11}.get(descriptor, descriptor)
    assert reading(unit, make_packet(0x82, [(name, data)])).t_device_ns == S // 4


def test_sets_with_different_clocks_share_the_origin_of_their_time() -> None:
    unit = MipUnit()
    assert reading(unit, sensor(reference(10 * S))).t_device_ns == 0
    assert reading(unit, sensor(reference(12 * S))).t_device_ns == 2 * S
    _, data = tow(100_000.0)
    assert reading(unit, make_packet(0x82, [(0x11, data)])).t_device_ns == 2 * S
    _, data = tow(100_001.0)
    assert reading(unit, make_packet(0x82, [(0x11, data)])).t_device_ns == 3 * S


def test_time_continues_over_the_end_of_the_week_and_a_first_gps_fix() -> None:
    unit = MipUnit()
    assert reading(unit, sensor(tow(7 * DAY_S - 0.5)), 0).t_device_ns == 0
    assert reading(unit, sensor(tow(0.5, 2401)), S).t_device_ns == S
    # The unit learns the GPS time: its clock jumps, the host's clock bridges the jump.
    assert reading(unit, sensor(tow(3 * DAY_S, 2401)), 2 * S).t_device_ns == 2 * S
    assert reading(unit, sensor(tow(3 * DAY_S + 1, 2401)), 3 * S).t_device_ns == 3 * S


def test_the_internal_time_stamp_counts_at_62500_hz_and_wraps() -> None:
    unit = MipUnit()
    ticks = [2**32 - 62_500, 0, 62_500]
    times = [reading(unit, sensor((0x0E, tick.to_bytes(4, "big")))).t_device_ns for tick in ticks]
    assert times == [0, S, 2 * S]


def test_missing_packets_are_counted_when_packets_are_regular() -> None:
    unit = MipUnit()
    lost = [reading(unit, sensor(vector(0x04), reference(k * S // 100))).lost_before for k in (0, 1, 2, 3, 4, 7, 8)]
    assert lost == [0, 0, 0, 0, 0, 2, 0]
    # Dividers 2 and 3 of the base rate: no packet is missing.
    unit = MipUnit()
    due = {k: [vector(0x04)] * (k % 2 == 0) + [vector(0x05)] * (k % 3 == 0) for k in range(40)}
    assert not any(reading(unit, sensor(*fields)).lost_before for fields in due.values() if fields)


def test_all_fields_of_a_set_have_different_names() -> None:
    for fields in FIELDS.values():
        names = [field.name for part in fields.values() for field in part.fields]
        assert len(set(names)) == len(names)
