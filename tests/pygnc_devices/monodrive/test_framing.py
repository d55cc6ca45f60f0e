import logging
import struct

import pytest

from pygnc_devices.framing import DamageReason, scan_to_end
from pygnc_devices.monodrive.driver import MonoDriveUnit
from pygnc_devices.monodrive.framing import likely_order, scanner
from pygnc_devices.monodrive.packets import Layout
from pygnc_devices.reading import Counters, Reading, RecordedStamp
from tests.pygnc_devices.monodrive import vectors

G = 9.80665
EVERY_HEADER = [
    vectors.HEADER_LITTLE,
    vectors.HEADER_BIG,
    vectors.HEADER_16,
    b"\x33\0\0\0" + vectors.HEADER_LITTLE[4:] + b"\x07\0\0\0",
    b"\x2f\0\0\0" + vectors.HEADER_UDP,
]


def read(octets: bytes, layout: Layout | None = None, counts: Counters | None = None) -> list[Reading]:
    layout = layout or Layout()
    unit = MonoDriveUnit(layout)
    frames = scan_to_end(scanner(layout), octets).frames
    return [unit.interpret(frame, RecordedStamp(0, 0), counts or Counters()) for frame in frames]


@pytest.mark.parametrize("header", EVERY_HEADER)
@pytest.mark.parametrize("body", [vectors.BIG, vectors.LITTLE, vectors.UNSUMMED])
def test_every_header_and_byte_order_gives_the_same_values(header: bytes, body: bytes) -> None:
    (reading,) = read(header + body)
    values = reading.values
    assert [values[f"accel_{axis}_mps2"] for axis in "xyz"] == pytest.approx([0.5 * G, -0.25 * G, -G])
    assert [values[f"rate_{axis}_rad_s"] for axis in "xyz"] == [0.125, -0.5, 2.0]
    assert (values["timer_ticks"], values["time_of_week_ms"]) == (49_152_000, 345_600_000)
    assert values["game_time"] == 1500.0
    assert values["sample_count"] == (7 if len(header) == 16 else None)
    assert reading.raw == header + body


def test_the_time_stamp_is_read_in_the_order_of_the_header() -> None:
    stamps = [read(header + vectors.BIG)[0].values["time_stamp_ms"] for header in EVERY_HEADER]
    assert stamps == [0x00149970, 345_600_000, 345_600_000, 0x00149970, 345_600_000]


@pytest.mark.parametrize("policy", ["off", "warn", "drop"])
def test_treats_a_wrong_checksum_as_configured(policy: str, caplog: pytest.LogCaptureFixture) -> None:
    body = vectors.BIG[:29] + b"\x05\xac" + vectors.BIG[31:]
    counts = Counters()
    with caplog.at_level(logging.WARNING):
        readings = read(vectors.HEADER_BIG + body, Layout(checksum=policy), counts)  # type: ignore[arg-type]
    assert len(readings) == (0 if policy == "drop" else 1)
    assert counts.damaged[DamageReason.CHECKSUM] == (policy == "warn")
    assert len(caplog.records) == (policy == "warn")


def test_without_a_checksum_the_byte_order_is_the_plausible_or_previous_one() -> None:
    little = vectors.LITTLE[:29] + bytes(2) + vectors.LITTLE[31:]
    assert likely_order(little, ">") == "<"
    assert likely_order(vectors.UNSUMMED, "<") == ">"
    at_rest = b"\xc2" + bytes(24) + b"\0\0\0\1" + bytes(6)
    assert (likely_order(at_rest, "<"), likely_order(at_rest, ">")) == ("<", ">")


def test_uses_the_byte_order_of_the_previous_frame_in_doubt() -> None:
    still = b"\xc2" + bytes(24) + struct.pack("<I", 60_000_000) + bytes(6)
    readings = read(vectors.HEADER_LITTLE + vectors.LITTLE + vectors.HEADER_LITTLE + still)
    assert readings[1].values["timer_ticks"] == 60_000_000


def test_uses_the_configured_byte_order() -> None:
    assert not read(vectors.HEADER_BIG + vectors.LITTLE, Layout(byte_order=">"))
    assert read(vectors.HEADER_BIG + vectors.LITTLE, Layout(byte_order="<"))


@pytest.mark.parametrize(("unit", "mps2"), [("g", G), ("m/s2", 1.0), ("cm/s2", 0.01)])
def test_acceleration_has_the_configured_unit(unit: str, mps2: float) -> None:
    (reading,) = read(vectors.HEADER_BIG + vectors.BIG, Layout(accel_unit=unit))  # type: ignore[arg-type]
    assert reading.values["accel_z_mps2"] == pytest.approx(-mps2)


def test_warns_once_of_gravity_in_another_unit(caplog: pytest.LogCaptureFixture) -> None:
    body = struct.pack(">B6fIHi", 0xC2, 0, 0, 981.0, 0, 0, 0, 0, 0, 0)
    with caplog.at_level(logging.WARNING):
        read((vectors.HEADER_BIG + body) * 30)
    assert [record.getMessage() for record in caplog.records] == [
        "acceleration of 981 looks like gravity in cm/s2, but accel_unit is g; correct accel_unit"
    ]


def test_counts_missing_samples_and_continues_over_timer_wraps() -> None:
    def frame(count: int, ticks: int) -> bytes:
        header = struct.pack("!IIfI", 51, 0, 0.0, count)
        return header + struct.pack(">B6fIHi", 0xC2, 0, 0, 1.0, 0, 0, 0, ticks, 0, 0)

    readings = read(frame(5, 0xFFFFFF00) + frame(6, 0x00) + frame(9, 0x100))
    assert [reading.lost_before for reading in readings] == [0, 0, 2]
    assert [reading.t_device_ns for reading in readings] == [0, 13021, 26042]
