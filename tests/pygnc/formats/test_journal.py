"""Journal records are found despite damage around them."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.formats import journal
from pygnc.formats.journal import Kind

payloads = st.lists(st.binary(max_size=60), min_size=1, max_size=12)


def rows(scan: journal.JournalScan) -> list[tuple[int, bytes]]:
    return [(record.seq, record.payload) for record in scan.records]


@given(payloads)
def test_records_survive_encoding_and_scanning(contents: list[bytes]) -> None:
    scan = journal.scan(b"".join(journal.encode_messages(1, contents)))
    assert rows(scan) == list(enumerate(contents, 1))
    assert scan.damage == []


def flipped(blocks: list[bytes], bits: list[int]) -> bytes:
    content = bytearray(b"".join(blocks))
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8
    return bytes(content)


@given(payloads, st.data())
def test_a_flipped_bit_is_corrected_except_in_sync_marker_and_length(
    contents: list[bytes], data: st.DataObject
) -> None:
    blocks = journal.encode_messages(1, contents)
    bit = data.draw(st.integers(0, 8 * sum(map(len, blocks)) - 1))
    starts = [sum(map(len, blocks[:k])) for k in range(len(blocks))]
    hit = max(k for k, start in enumerate(starts) if start <= bit // 8)
    is_lost = bit // 8 - starts[hit] in {0, 1, 2, 3, 6, 7}
    scan = journal.scan(flipped(blocks, [bit]))
    assert rows(scan) == [row for k, row in enumerate(enumerate(contents, 1)) if k != hit or not is_lost]
    lost = [(starts[hit], starts[hit] + len(blocks[hit]))] if is_lost else []
    assert [(d.start, d.stop) for d in scan.damage] == lost


@given(payloads, st.data())
def test_two_flipped_bits_cost_one_record(contents: list[bytes], data: st.DataObject) -> None:
    blocks = journal.encode_messages(1, contents)
    hit = data.draw(st.integers(0, len(blocks) - 1))
    start, size = sum(map(len, blocks[:hit])), len(blocks[hit])
    bits = data.draw(st.lists(st.integers(8 * start, 8 * (start + size) - 1), min_size=2, max_size=2, unique=True))
    scan = journal.scan(flipped(blocks, bits))
    assert rows(scan) == [row for k, row in enumerate(enumerate(contents, 1)) if k != hit]
    assert [(d.start, d.stop) for d in scan.damage] == [(start, start + size)]


@given(payloads, st.data())
def test_a_growing_file_is_read_piece_by_piece(contents: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(journal.encode_messages(1, contents))
    cut = data.draw(st.integers(0, len(whole)))
    first = journal.scan(whole[:cut], final=False)
    second = journal.scan(whole[first.consumed :], base_offset=first.consumed)
    assert rows(first) + rows(second) == list(enumerate(contents, 1))
    assert first.damage == second.damage == []


@given(st.binary(max_size=300), payloads, st.binary(max_size=300))
def test_noise_around_records_is_damage(before: bytes, contents: list[bytes], after: bytes) -> None:
    inner = b"".join(journal.encode_messages(1, contents))
    scan = journal.scan(before + inner + after)
    assert rows(scan) == list(enumerate(contents, 1))
    assert sum(d.stop - d.start for d in scan.damage) == len(before) + len(after)


@given(payloads)
def test_two_files_in_one_are_both_read(contents: list[bytes]) -> None:
    one = b"".join(journal.encode_messages(1, contents))
    assert rows(journal.scan(one + one)) == 2 * list(enumerate(contents, 1))


def test_a_limit_ends_the_scan_after_a_record() -> None:
    whole = b"".join(journal.encode_messages(1, [b"a", b"b", b"c"]))
    scan = journal.scan(whole, limit=2)
    assert rows(scan) == [(1, b"a"), (2, b"b")]
    assert rows(journal.scan(whole[scan.consumed :])) == [(3, b"c")]


def test_a_payload_that_is_too_long_is_rejected() -> None:
    with pytest.raises(ValueError, match="at most 16384"):
        journal.encode(Kind.MESSAGE, 1, bytes(journal.PAYLOAD_MAX + 1))


def test_a_record_of_another_version_is_damage() -> None:
    body = b"\xa5PGJ" + bytes([Kind.MESSAGE, journal.VERSION + 1, 0, 0]) + bytes(8)
    scan = journal.scan(body + zlib.crc32(body[4:]).to_bytes(4, "little"))
    assert (scan.records, [(d.start, d.stop) for d in scan.damage]) == ([], [(0, 20)])


def test_a_damaged_length_does_not_hide_other_records() -> None:
    blocks = journal.encode_messages(1, [b"a" * 10, b"b" * 10])
    wild = bytearray(blocks[0])
    wild[6:8] = (journal.PAYLOAD_MAX).to_bytes(2, "little")
    assert rows(journal.scan(bytes(wild) + blocks[1])) == [(2, b"b" * 10)]
