"""Published and damaged sentences."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_devices.emus.framing import crc8, make_sentence, scan
from pygnc_devices.emus.sentences import SENTENCES
from pygnc_devices.framing import LINE_END, Frame, scan_to_end
from tests.pygnc_devices.emus import vectors
from tests.pygnc_devices.emus.vectors import REQUESTS

BC1 = b"BC1,000456F0,00057E40,1EDC,3C"
BV2 = b"BV2,00,0000,08,8B85858585868587,93"


def sentences(octets: bytes) -> list[str]:
    return [frame.kind for frame in scan_to_end(scan, octets).frames if frame.kind != LINE_END]


def test_the_checksum_matches_the_catalogue() -> None:
    assert crc8(b"123456789") == 0xA1


@pytest.mark.parametrize("text", vectors.SENTENCES)
def test_decodes_published_sentences(text: str) -> None:
    (frame,) = scan(text.encode() + b"\r\n", False).frames  # noqa: FBT003 - the signature of every scanner
    expected = vectors.SENTENCES[text]
    values = SENTENCES[frame.kind].decode(frame.payload)
    assert frame.kind == text[:3]
    assert {name: values[name] for name in expected} == expected


def test_declares_all_thirty_sentences() -> None:
    assert len(vectors.SENTENCES) == 31  # one line of the sheet has two sentences
    assert len(set(vectors.SENTENCES)) == 31


@pytest.mark.parametrize("text", REQUESTS)
def test_requests_have_the_published_checksums(text: str) -> None:
    name, fields = text[:3], text[4:-3]
    assert make_sentence(name, fields) == text.encode() + b"\r\n"


@pytest.mark.parametrize("whole", [BC1, BV2])
def test_detects_any_flipped_hexadecimal_digit(whole: bytes) -> None:
    for at in range(4, len(whole)):
        for digit in b"0123456789ABCDEF":
            if whole[at] != digit and whole[at] != ord(","):
                assert sentences(whole[:at] + bytes([digit]) + whole[at + 1 :] + b"\r\n") == []


@pytest.mark.parametrize("whole", [BC1, BV2])
def test_detects_any_flipped_bit(whole: bytes) -> None:
    for at in range(len(whole)):
        for bit in range(8):
            found = sentences(whole[:at] + bytes([whole[at] ^ 1 << bit]) + whole[at + 1 :] + b"\r\n")
            # The digits of the checksum may be lower-case letters.
            is_letter = at >= len(whole) - 2 and bit == 5 and whole[at] >= ord("A")
            assert found == ([whole[:3].decode()] if is_letter else [])


def test_detects_a_lost_comma() -> None:
    assert sentences(BC1.replace(b",3C", b"3C") + b"\r\n") == []


def test_accepts_lower_case_checksums() -> None:
    assert sentences(BC1.replace(b"3C", b"3c") + b"\r\n") == ["BC1"]


@pytest.mark.parametrize("between", [b"\0\n", b"\r\n", b"\r", b"\n", b"\r\n\r\n\0\0\n"])
def test_empty_lines_are_not_damage(between: bytes) -> None:
    scan_result = scan_to_end(scan, between + BC1 + b"\r\n" + between + BV2 + b"\r\n")
    assert [frame.kind for frame in scan_result.frames if frame.kind != LINE_END] == ["BC1", "BV2"]
    assert scan_result.damage == ()


@pytest.mark.parametrize("end", [b"\r", b"\n", b"\r\n"])
def test_accepts_each_line_terminator(end: bytes) -> None:
    assert sentences(BC1 + end + BV2 + end) == ["BC1", "BV2"]


def test_rejects_two_sentences_without_a_terminator_between_them() -> None:
    assert sentences(BC1 + BV2 + b"\r\n") == ["BV2"]
    assert sentences(BC1 + BV2) == []


def test_a_sentence_without_line_feed_is_complete_after_a_while() -> None:
    assert scan(BC1 + b"\r", False).used == 0  # noqa: FBT003
    assert [frame.kind for frame in scan(BC1 + b"\r", True).frames] == ["BC1"]  # noqa: FBT003


def test_finds_the_sentence_after_a_cut_one() -> None:
    assert sentences(BC1[:12] + b"\r\n" + BV2 + b"\r\n") == ["BV2"]
    assert sentences(BC1[:12] + BV2 + b"\r\n") == ["BV2"]


@pytest.mark.parametrize("text", ["00,0000,08,8B85", "00,0000,02,8B8", "00,0000,02,8B8G", "0x,0000,00,"])
def test_rejects_a_sentence_that_does_not_match_its_declaration(text: str) -> None:
    assert sentences(make_sentence("BV2", text)) == []


def test_additional_fields_are_not_damage() -> None:
    assert sentences(make_sentence("BC1", "000456F0,00057E40,1EDC,what,is,this")) == ["BC1"]


def test_gives_up_an_endless_line() -> None:
    found = scan(b"BC1," + b"0" * 10_000, False)  # noqa: FBT003
    assert found.used > 9_990
    assert sentences(b"BC1," + b"0" * 10_000 + b"\r\n" + BC1 + b"\r\n") == ["BC1"]


@given(
    st.from_regex(r"[A-Z]{2}[0-9]", fullmatch=True).filter(lambda name: name not in SENTENCES),
    st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=100),
)
def test_accepts_undeclared_sentences(name: str, text: str) -> None:
    sentence = make_sentence(name, text)
    assert scan(sentence, False).frames == (Frame(name, text.encode(), sentence),)  # noqa: FBT003


@given(st.binary(max_size=300))
def test_never_raises_on_any_bytes(octets: bytes) -> None:
    scan_result = scan_to_end(scan, octets)
    assert scan_result.used == len(octets)
