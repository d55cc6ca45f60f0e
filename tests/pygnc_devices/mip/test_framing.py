"""Packets of other programs, damage, resynchronisation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.framing import DamageReason, scan_to_end
from pygnc_devices.mip.framing import make_field, make_frame, make_packet, scan, split_fields
from tests.pygnc_devices.mip.vectors import FILTER, FORMAT, HARD_IRON, IDLE, PING, PING_REPLY, REAL, SENSOR

PACKETS = [PING, PING_REPLY, IDLE, FORMAT, REAL, SENSOR, FILTER, HARD_IRON]


def test_packets_of_other_programs_are_found() -> None:
    found = scan_to_end(scan, b"".join(PACKETS))
    assert [frame.raw for frame in found.frames] == PACKETS
    assert [frame.kind for frame in found.frames] == ["01", "01", "01", "0C", "80", "80", "82", "0C"]
    assert found.damage == ()


@pytest.mark.parametrize("raw", PACKETS)
def test_the_encoder_makes_the_same_bytes(raw: bytes) -> None:
    assert make_packet(raw[2], split_fields(raw[4:-2])) == raw


@pytest.mark.parametrize(
    "payload", [b"", b"\x00\x01", b"\x01\x01", make_field(0x04) + b"\x02", b"\x05\x04\x00", b"\xff\x04\x00\x00"]
)
def test_fields_that_do_not_fill_the_payload_are_damage(payload: bytes) -> None:
    found = scan_to_end(scan, make_frame("80", payload) + SENSOR)
    assert [frame.raw for frame in found.frames] == [SENSOR]
    assert found.damage[0].reason is DamageReason.CONTENT


@given(st.lists(st.sampled_from(PACKETS), min_size=1, max_size=6), st.data())
def test_a_damaged_packet_costs_no_other_one(packets: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(packets) - 1))
    garbage = data.draw(st.binary(max_size=40))
    found = {frame.raw for frame in scan_to_end(scan, b"".join([*packets[:at], garbage, *packets[at + 1 :]])).frames}
    assert found >= {*packets[:at], *packets[at + 1 :]}


@given(st.lists(st.sampled_from(PACKETS), max_size=4), st.sampled_from(PACKETS), st.data())
def test_a_cut_packet_costs_no_other_one(packets: list[bytes], cut: bytes, data: st.DataObject) -> None:
    octets = cut[: data.draw(st.integers(0, len(cut) - 1))] + b"".join(packets)
    assert [frame.raw for frame in scan_to_end(scan, octets).frames][-len(packets) :] == packets
