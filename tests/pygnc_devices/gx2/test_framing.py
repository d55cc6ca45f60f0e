import math
import struct

import pytest

from pygnc_devices.framing import DamageReason, scan_to_end
from pygnc_devices.gx2 import framing
from pygnc_devices.gx2.attitude import euler_angles
from pygnc_devices.gx2.framing import make_frame, scan
from pygnc_devices.gx2.packets import PACKETS
from pygnc_devices.gx2.unit import Gx2Unit, decode
from pygnc_devices.reading import Counters, Stamp
from tests.pygnc_devices.gx2 import vectors

LENGTHS = {
    "C1": 31, "C2": 31, "C3": 31, "C4": 8, "C5": 43, "C6": 43, "C7": 19, "C8": 67, "C9": 19, "CA": 19, "CB": 43,
    "CC": 79, "CD": 19, "CE": 19, "CF": 31, "D0": 9, "D1": 15, "D2": 43, "D3": 43, "E4": 5, "E5": 5, "E9": 7, "EA": 20,
    "FB": 4, "D4": 4, "D7": 7, "D9": 10, "DA": 7, "DB": 19, "DD": 7, "DF": 23,
}  # fmt: skip
G = 9.80665


def decoded(raw: bytes) -> dict[str, object]:
    (frame,) = scan_to_end(scan, raw).frames
    assert frame.raw == raw
    return dict(decode(PACKETS[frame.kind], frame.payload))


def test_packets_have_the_documented_lengths() -> None:
    assert {name: packet.layout.size + 3 for name, packet in PACKETS.items()} == LENGTHS


def test_decodes_replies_worked_out_by_hand() -> None:
    rest = decoded(vectors.C2_REST)
    assert (rest["accel_z_mps2"], rest["timer_ticks"]) == (pytest.approx(G), 19_660_800)
    assert rest["rate_z_rad_s"] == pytest.approx(0.1)
    mixed = decoded(vectors.C2_MIXED)
    assert [mixed[f"accel_{axis}_mps2"] for axis in "xyz"] == pytest.approx([0.5 * G, -0.25 * G, -G])
    assert [mixed[f"rate_{axis}_rad_s"] for axis in "xyz"] == pytest.approx([0.125, -0.5, 2.0])
    assert mixed["timer_ticks"] == 49_152_000
    assert decoded(vectors.C2_LATE)["timer_ticks"] == 0xFFFFFF00
    assert decoded(vectors.C4_OF_FB) == {"command": 0xFB, "timer_ticks": 0xFFFFFF00}
    assert decoded(vectors.C4_OF_C2) == {"command": 0xC2, "timer_ticks": 0x01020304}
    assert decoded(vectors.E5_512) == {"word": 512}


def test_makes_frames_as_documented() -> None:
    assert make_frame("E5", b"\x02\x00") == vectors.E5_512
    assert make_frame("C4", bytes.fromhex("c201020304")) == vectors.C4_OF_C2


def test_decodes_a_real_reply_of_a_gx3() -> None:
    found = decoded(vectors.CC_GX3)
    accel_g = [value / G for name in "xyz" if isinstance(value := found[f"accel_{name}_mps2"], float)]
    assert accel_g == pytest.approx([0.00545, 0.00742, 0.99911], abs=1e-5)
    assert isinstance(found["timer_ticks"], int)
    assert found["timer_ticks"] / 62_500 == pytest.approx(348.317, abs=1e-3)
    roll, pitch, yaw = euler_angles(found)  # type: ignore[arg-type]
    assert [math.degrees(angle) for angle in (roll, pitch, yaw)] == pytest.approx([-178.90, 0.36, -60.52], abs=0.01)


def test_decodes_a_real_reply_of_an_inertia_link_without_magnetic_field() -> None:
    found = decoded(vectors.INERTIA_LINK)
    assert [found[f"mag_{axis}_t"] for axis in "xyz"] == [None, None, None]
    rows = [[found[f"m{row}{column}"] for column in (1, 2, 3)] for row in (1, 2, 3)]
    for row in rows:
        assert sum(x * x for x in row if isinstance(x, float)) == pytest.approx(1.0, abs=1e-5)
    # At rest the specific force is opposite to gravity, which is along the third column.
    accel = [found[f"accel_{axis}_mps2"] for axis in "xyz"]
    assert accel == pytest.approx([-G * row[2] for row in rows if isinstance(row[2], float)], abs=0.15 * G)


def test_rejects_noise_with_a_right_sum_and_impossible_values() -> None:
    for bad in (struct.pack(">f", 1e20), struct.pack(">f", math.inf)):
        raw = make_frame("CE", bad + bytes(12))
        scanned = scan_to_end(scan, raw)
        assert not scanned.frames
        assert scanned.damage[0].reason is DamageReason.CONTENT


def test_a_missing_value_has_an_empty_column() -> None:
    unit = Gx2Unit()
    (frame,) = scan_to_end(scan, vectors.INERTIA_LINK).frames
    reading = unit.interpret(frame, Stamp(0, 0), Counters())
    assert reading is not None
    row = reading.packet.row(reading.values)
    assert row[6:9] == [None, None, None]


def kinds(octets: bytes, node: int = 0x5F) -> list[str]:
    return [frame.kind for frame in scan_to_end(framing.scanner(node), octets).frames]


def test_wraps_a_command_as_documented() -> None:
    assert framing.wrap(76, b"\xc2") == bytes.fromhex("AA0B00004C0200C2011B")


def test_reads_real_radio_traffic_without_its_broken_reply() -> None:
    octets = vectors.RADIO_NOISE + b"\xaa" + vectors.RADIO_C4 + vectors.RADIO_CC_BROKEN + vectors.RADIO_CC
    scanned = scan_to_end(framing.scanner(0x5F), octets)
    assert [frame.kind for frame in scanned.frames] == ["ACK", "C4", "CC"]
    assert scanned.frames[1].payload == bytes.fromhex("cc5ed6aeb9")
    assert framing.link_quality(vectors.RADIO_CC) == (0x26, 0xD4)


def test_distinguishes_replies_of_other_nodes() -> None:
    assert kinds(vectors.RADIO_C4, node=76) == ["C4@95"]


def test_answers_of_one_byte_count_before_a_reply_or_at_the_end() -> None:
    assert kinds(b"\x02") == ["02"]
    assert kinds(b"\x21") == ["NACK"]
    assert kinds(b"\xaa") == ["ACK"]
    assert kinds(b"\x02\x03") == []
    assert kinds(b"\xaa" + vectors.RADIO_C4) == ["ACK", "C4"]
    assert kinds(b"\x21" + vectors.RADIO_C4) == ["NACK", "C4"]
    assert kinds(b"\x02\xaa\x07") == []
