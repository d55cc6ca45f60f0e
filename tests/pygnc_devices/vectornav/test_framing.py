"""Packets and lines of manuals and other programs, damage, resynchronisation, unknown layouts."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygnc_devices.framing import DamageReason, scan_to_end
from pygnc_devices.vectornav.fields import GROUPS
from pygnc_devices.vectornav.framing import UNKNOWN, make_line, make_packet, scan
from pygnc_devices.vectornav.packets import header_at, header_of, places_of, record_of
from tests.pygnc_devices.vectornav.vectors import DELTAS, MODEL, OUTPUT, PACKET, SOLUTION, YMR

FRAMES = [PACKET, YMR, SOLUTION, DELTAS, MODEL, OUTPUT]
FEWER = settings(max_examples=30)
PLACES = st.lists(
    st.sampled_from([(group, field.bit) for group, (_, fields) in GROUPS.items() for field in fields]), min_size=1
)


def test_published_frames_are_found() -> None:
    found = scan_to_end(scan, b"".join(FRAMES))
    assert [frame.raw for frame in found.frames] == FRAMES
    assert [frame.kind for frame in found.frames] == ["binary-01-0008", "YMR", *["RRG"] * 4]
    assert found.damage == ()


def test_a_line_that_another_one_cuts_costs_only_itself() -> None:
    # The checksum of the cut line, 0E, is also the exclusive or of * and $, so both lines together have a right one.
    cut = SOLUTION[: SOLUTION.index(b"*") + 1]
    assert [frame.raw for frame in scan_to_end(scan, cut + YMR).frames] == [YMR]


def test_the_encoder_makes_the_same_bytes() -> None:
    header = header_at(PACKET, 1)
    assert header
    record = record_of(header)
    assert record is not None
    assert make_packet(record.encode(record.decode(PACKET[1:-2]))) == PACKET


@FEWER
@given(PLACES)
def test_headers_and_fields_are_inverse(places: list[tuple[int, int]]) -> None:
    header = header_of(places)
    assert places_of(header) == sorted(set(places))
    assert header_at(header, 0) in {header, b""}  # more than ten words are no header


@pytest.mark.parametrize("header", [b"\x00", b"\x80\x80\x80\x01", b"\x01" + b"\xff\x80" * 11])
def test_what_no_unit_sends_is_no_header(header: bytes) -> None:
    assert header_at(header + bytes(40), 0) == b""


@pytest.mark.parametrize("text", ["YMR,1,2,3", "YPR,1,2,x", "YPR,1,2,3,4", "YPR,1,2,3,T1,S2,T3", "YPR,1,2,3,Tx"])
def test_a_line_with_other_fields_is_damage(text: str) -> None:
    found = scan_to_end(scan, make_line(text) + PACKET)
    assert [frame.raw for frame in found.frames] == [PACKET]
    assert found.damage[0].reason is DamageReason.CONTENT


def test_lines_have_one_of_two_checksums_or_none() -> None:
    texts = [b"*75", b"*0865", b"*XX", b"*XXXX", b"*", b"*76", b"*0866", b"*X8", b"*286"]
    found = scan_to_end(scan, b"".join(b"$VNRRG,06,1,1" + text + b"\r\n" for text in texts))
    checked, unchecked = "RRG", "RRG unchecked"
    assert [frame.kind for frame in found.frames] == [checked] * 2 + [unchecked] * 3
    assert [entry.reason for entry in found.damage if entry.reason is DamageReason.CHECKSUM] == ["checksum"] * 2


def test_packets_with_an_unknown_field_are_recognised_by_their_crc_and_the_next_packet() -> None:
    unknown = make_packet(header_of([(0, 0), (2, 13)]) + bytes(range(60)))
    found = scan_to_end(scan, PACKET + unknown * 3 + PACKET)
    assert [frame.kind for frame in found.frames] == ["binary-01-0008", UNKNOWN, UNKNOWN, "binary-01-0008"]
    assert sum(entry.stop - entry.start for entry in found.damage) == len(unknown)


@FEWER
@given(st.lists(st.sampled_from(FRAMES), min_size=1, max_size=6), st.data())
def test_a_damaged_frame_costs_no_other_one(frames: list[bytes], data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(frames) - 1))
    garbage = data.draw(st.binary(max_size=40))
    found = {frame.raw for frame in scan_to_end(scan, b"".join([*frames[:at], garbage, *frames[at + 1 :]])).frames}
    assert found >= {*frames[:at], *frames[at + 1 :]}


@FEWER
@given(st.lists(st.sampled_from(FRAMES), max_size=4), st.sampled_from(FRAMES), st.data())
def test_a_cut_frame_costs_no_other_one(frames: list[bytes], cut: bytes, data: st.DataObject) -> None:
    octets = cut[: data.draw(st.integers(0, len(cut) - 1))] + b"".join(frames)
    found = [frame.raw for frame in scan_to_end(scan, octets).frames]
    assert found[len(found) - len(frames) :] == frames


@FEWER
@given(st.binary(max_size=400))
def test_any_bytes_are_scanned(octets: bytes) -> None:
    assert scan_to_end(scan, b"\xfa" + octets).used == len(octets) + 1
