"""Messages, damage, resynchronisation."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.framing import DamageReason, scan_to_end
from pygnc_devices.xsens.framing import LONGEST_DATA, item_headers, make_data, make_frame, make_item, scan
from tests.pygnc_devices.xsens.vectors import CONFIGURING, DATA, FIXED, GO_TO_CONFIG, WAKE_UP

MESSAGES = [WAKE_UP, GO_TO_CONFIG, CONFIGURING, DATA, FIXED, make_frame("91", bytes(300))]


def test_messages_are_found() -> None:
    found = scan_to_end(scan, b"".join(MESSAGES))
    assert [frame.raw for frame in found.frames] == MESSAGES
    assert [frame.kind for frame in found.frames] == ["3E", "30", "31", "36", "36", "91"]
    assert found.damage == ()


@pytest.mark.parametrize("raw", MESSAGES)
def test_the_encoder_makes_the_same_bytes(raw: bytes) -> None:
    (frame,) = scan_to_end(scan, raw).frames
    assert make_frame(frame.kind, frame.payload) == raw


@given(st.binary(max_size=LONGEST_DATA))
def test_any_data_are_found_again(data: bytes) -> None:
    (frame,) = scan_to_end(scan, make_frame("0D", data)).frames
    assert frame.payload == data


@given(st.lists(st.tuples(st.integers(0, 0xFFFF), st.binary(max_size=40)), min_size=1, max_size=8))
def test_any_items_are_found_again(items: list[tuple[int, bytes]]) -> None:
    (frame,) = scan_to_end(scan, make_data(items)).frames
    assert item_headers(frame.payload) == tuple((identifier, len(data)) for identifier, data in items)


@pytest.mark.parametrize("payload", [b"", b"\x10", b"\x10\x20", make_item(0x1020, b"12")[:-1], b"\x10\x20\x00\x00"])
def test_items_that_do_not_fill_a_message_are_damage(payload: bytes) -> None:
    found = scan_to_end(scan, make_frame("36", payload) + DATA)
    assert [frame.raw for frame in found.frames] == [DATA]
    assert found.damage[0].reason is DamageReason.CONTENT


def test_an_impossible_length_costs_no_other_message() -> None:
    found = scan_to_end(scan, bytes.fromhex("faff36ffffff") + DATA)
    assert [frame.raw for frame in found.frames] == [DATA]
    assert found.damage[0].reason is DamageReason.CONTENT


@given(st.lists(st.sampled_from(MESSAGES), max_size=4), st.sampled_from(MESSAGES), st.data())
def test_a_cut_message_costs_no_other_one(messages: list[bytes], cut: bytes, data: st.DataObject) -> None:
    octets = cut[: data.draw(st.integers(0, len(cut) - 1))] + b"".join(messages)
    found = [frame.raw for frame in scan_to_end(scan, octets).frames]
    assert found[len(found) - len(messages) :] == messages
