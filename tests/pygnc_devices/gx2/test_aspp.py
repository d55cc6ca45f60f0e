from pygnc_devices.frames import scan_to_end
from pygnc_devices.gx2 import aspp
from tests.pygnc_devices.gx2 import vectors


def kinds(octets: bytes, node: int = 0x5F) -> list[str]:
    return [frame.kind for frame in scan_to_end(aspp.scanner(node), octets).frames]


def test_a_command_is_wrapped_as_the_sheet_has_it() -> None:
    assert aspp.wrap(76, b"\xc2") == bytes.fromhex("AA0B00004C0200C2011B")


def test_real_radio_traffic_is_read_and_its_broken_reply_left_out() -> None:
    octets = vectors.RADIO_NOISE + b"\xaa" + vectors.RADIO_C4 + vectors.RADIO_CC_BROKEN + vectors.RADIO_CC
    scanned = scan_to_end(aspp.scanner(0x5F), octets)
    assert [frame.kind for frame in scanned.frames] == ["ACK", "C4", "CC"]
    assert scanned.frames[1].payload == bytes.fromhex("cc5ed6aeb9")
    assert aspp.link_quality(vectors.RADIO_CC) == (0x26, 0xD4)


def test_replies_of_other_nodes_are_told_apart() -> None:
    assert kinds(vectors.RADIO_C4, node=76) == ["C4@95"]


def test_answers_of_one_byte_count_where_nothing_follows() -> None:
    assert kinds(b"\x02") == ["02"]
    assert kinds(b"\x21") == ["NACK"]
    assert kinds(b"\xaa") == ["ACK"]
    assert kinds(b"\x02\x03") == []
    assert kinds(b"\xaa" + vectors.RADIO_C4) == ["ACK", "C4"]
    assert kinds(b"\x21" + vectors.RADIO_C4) == ["NACK", "C4"]
    assert kinds(b"\x02\xaa\x07") == []
