"""Sentences survive faults of the line; all other bytes are reported."""

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc.host.sentence import (
    BODY_MAX,
    LINE_MAX,
    Delivery,
    Direction,
    LineDamage,
    Parsed,
    Sentence,
    SentenceParser,
    Skipped,
    encode,
)

WORDS = st.integers(0, 0xFFFF)
SENTENCES = st.builds(
    Sentence,
    st.sampled_from(Direction),
    st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=4, max_size=4),
    WORDS,
    st.sampled_from(Delivery),
    WORDS,
    st.binary(max_size=200),
    st.booleans(),
)
PROMPT = b"pi@raspberrypi:~ $ "
JUNK = st.one_of(
    st.binary(max_size=40), st.just(PROMPT), st.just(b"\x1b[?2004h"), st.just(b"bash: <: no such file\r\n")
)
GREETING = Sentence(Direction.TO_PI, "PING", 0x1F03, Delivery.UNORDERED, 0x12, b"\x01\x02\x03\x04")


def parse(data: bytes) -> Parsed:
    """Parse a stream and close it with a line end."""
    return SentenceParser().feed(data + b"\n")


@given(SENTENCES)
def test_a_sentence_survives_encoding_and_parsing(sentence: Sentence) -> None:
    assert parse(encode(sentence)) == Parsed([sentence], [])


def test_the_encoding_matches_the_documented_example() -> None:
    line = encode(GREETING)
    text = b">PING,1F03,i0012,AQIDBA==*"
    assert line == text + b"%08X\r\n" % zlib.crc32(text)


@given(SENTENCES)
def test_lines_are_short_and_printable(sentence: Sentence) -> None:
    line = encode(sentence)
    assert line.endswith(b"\r\n")
    assert all(0x20 <= octet < 0x7F for octet in line[:-2])
    assert not set(line[1:-2]) & set(b"<>")


def test_the_longest_sentence_fits_a_line() -> None:
    longest = GREETING._replace(body=bytes(BODY_MAX))
    assert LINE_MAX - 3 <= len(encode(longest)) <= LINE_MAX < 4096
    assert parse(encode(longest)).sentences == [longest]
    with pytest.raises(ValueError, match="at most"):
        encode(GREETING._replace(body=bytes(BODY_MAX + 1)))


@given(st.lists(st.one_of(SENTENCES.map(encode), JUNK), max_size=8), st.data())
def test_the_result_does_not_depend_on_the_pieces(parts: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(parts)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    parser = SentenceParser()
    found = Parsed([], [])
    for start, stop in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        piece = parser.feed(stream[start:stop])
        found.sentences.extend(piece.sentences)
        found.skipped.extend(piece.skipped)
    assert found == SentenceParser().feed(stream)


@pytest.mark.parametrize("cut_every", [1, 7, 1000])
def test_the_result_does_not_depend_on_the_pieces_of_endless_lines(cut_every: int) -> None:
    stream = b"x" * 10_000 + encode(GREETING) + b"<" * 3 + b">y" * 5000 + b"\0" * 9000 + encode(GREETING)
    whole = SentenceParser().feed(stream)
    parser = SentenceParser()
    pieces = [parser.feed(stream[at : at + cut_every]) for at in range(0, len(stream), cut_every)]
    assert [s for piece in pieces for s in piece.sentences] == whole.sentences == [GREETING, GREETING]
    assert [s for piece in pieces for s in piece.skipped] == whole.skipped


@given(st.lists(SENTENCES, min_size=1, max_size=4), st.data())
def test_a_flipped_bit_costs_the_sentence_it_touches_at_most(sentences: list[Sentence], data: st.DataObject) -> None:
    lines = [encode(sentence) for sentence in sentences]
    hit = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[hit]) - 1))
    broken = bytearray(lines[hit])
    broken[place] ^= 1 << data.draw(st.integers(0, 7))
    found = parse(b"".join([*lines[:hit], bytes(broken), *lines[hit + 1 :]])).sentences
    others = sentences[:hit] + sentences[hit + 1 :]
    assert found in (others, sentences)
    if place >= len(lines[hit]) - 2:
        assert found == sentences, "a line end costs nothing"


@given(st.lists(SENTENCES, min_size=1, max_size=5), st.data())
def test_lost_doubled_and_inserted_bytes_cost_one_sentence_each(sentences: list[Sentence], data: st.DataObject) -> None:
    lines = [encode(sentence) for sentence in sentences]
    hit = data.draw(st.integers(0, len(lines) - 1))
    place = data.draw(st.integers(0, len(lines[hit]) - 1))
    instead = data.draw(st.binary(max_size=3))
    lines[hit] = lines[hit][:place] + instead + lines[hit][place + 1 :]
    found = parse(b"".join(lines)).sentences
    assert found in (sentences[:hit] + sentences[hit + 1 :], sentences)


@pytest.mark.parametrize(
    "mangle",
    [
        lambda line: line.replace(b"\r\n", b"\n"),
        lambda line: line.replace(b"\r\n", b"\n\n"),
        lambda line: line.replace(b"\r\n", b"\r\r\n"),
        lambda line: line.replace(b"\r\n", b"\r"),
        lambda line: line.replace(b"\r\n", b"\r\n\r\n"),
        lambda line: line.replace(b"\r\n", b""),
        lambda line: b"\0".join(line[k : k + 1] for k in range(len(line))),
        lambda line: b"\0\0" + line.replace(b",", b",\x11\x13"),
        lambda line: PROMPT + line,
        lambda line: b"\x1b[0m" + line + PROMPT,
        lambda line: line[:20] + line,
    ],
)
def test_changes_made_by_terminals_lose_no_sentence(mangle: "object") -> None:
    sentences = [GREETING._replace(number=k) for k in range(3)]
    stream = b"".join(mangle(encode(sentence)) for sentence in sentences)  # type: ignore[operator]
    assert parse(stream).sentences == sentences


@given(SENTENCES, st.lists(SENTENCES, min_size=1, max_size=4), st.data())
def test_nested_sentences_are_all_found(long: Sentence, others: list[Sentence], data: st.DataObject) -> None:
    line = encode(long)
    stream, done = b"", 0
    for other in others:
        place = data.draw(st.integers(max(done, 1), len(line) - 2))
        stream += line[done:place] + encode(other)
        done = place
    parsed = parse(stream + line[done:])
    assert sorted(parsed.sentences) == sorted([long, *others])
    assert [s for s in parsed.sentences if s != long] == [s for s in others if s != long]
    assert not parsed.skipped


@given(SENTENCES, SENTENCES, st.data())
def test_damage_to_the_outer_sentence_does_not_affect_the_nested_one(
    long: Sentence, other: Sentence, data: st.DataObject
) -> None:
    line, inner = encode(long), encode(other)
    place = data.draw(st.integers(1, len(line) - 2))
    broken = bytearray(line[:place] + inner + line[place:])
    outer = [*range(place), *range(place + len(inner), len(broken))]
    broken[data.draw(st.sampled_from(outer))] ^= 1 << data.draw(st.integers(0, 7))
    found = parse(bytes(broken)).sentences
    assert other in found
    assert set(found) <= {long, other}


@given(SENTENCES, SENTENCES, st.data())
def test_damage_inside_a_nested_sentence_yields_no_false_sentence(
    long: Sentence, other: Sentence, data: st.DataObject
) -> None:
    line, inner = encode(long), bytearray(encode(other))
    place = data.draw(st.integers(1, len(line) - 2))
    inner[data.draw(st.integers(0, len(inner) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    found = parse(line[:place] + bytes(inner) + line[place:] + encode(GREETING)).sentences
    assert set(found) <= {long, other, GREETING}
    assert GREETING in found


def test_an_interrupted_sentence_without_continuation_is_reported() -> None:
    line = encode(GREETING)
    stream = line[:9] + line + PROMPT + b"\r\n" + line[:12] + line + line[:7] + line + PROMPT
    at = 9 + len(line)
    behind = at + len(PROMPT) + 2
    last = behind + 12 + len(line)
    parsed = parse(stream)
    assert parsed.sentences == [GREETING] * 3
    assert parsed.skipped == [
        Skipped(0, 9, LineDamage.CORRUPT),
        Skipped(at, at + len(PROMPT), LineDamage.JUNK),
        Skipped(behind, behind + 12, LineDamage.CORRUPT),
        Skipped(last, last + 7, LineDamage.CORRUPT),
        Skipped(last + 7 + len(line), len(stream), LineDamage.JUNK),
    ]


def test_an_echo_keeps_its_direction() -> None:
    echo = parse(encode(GREETING)).sentences[0]
    assert echo.direction is Direction.TO_PI


def test_skipped_bytes_are_reported_with_offsets_and_reason() -> None:
    line = encode(GREETING)
    broken = line.replace(b"1F03", b"1F04")
    stream = PROMPT + line + broken + line[:-2] + b"tail\0!\r\n"
    at = len(PROMPT) + len(line)
    tail_at = at + len(broken) + len(line) - 2
    assert parse(stream).skipped == [
        Skipped(0, len(PROMPT), LineDamage.JUNK),
        Skipped(at, at + len(broken) - 2, LineDamage.CORRUPT),
        Skipped(tail_at, tail_at + 6, LineDamage.JUNK),
    ]


@given(st.lists(st.one_of(SENTENCES.map(encode), JUNK), max_size=8))
def test_every_printable_byte_is_in_a_sentence_or_skipped(parts: list[bytes]) -> None:
    stream = b"".join(parts) + b"\n!"  # after which the parser holds no bytes back
    parsed = parse(stream)
    printable = sum(0x20 <= octet < 0x7F for octet in stream)
    in_sentences = sum(len(encode(sentence)) - 2 for sentence in parsed.sentences)
    in_skipped = sum(sum(0x20 <= octet < 0x7F for octet in stream[part.start : part.stop]) for part in parsed.skipped)
    assert in_sentences + in_skipped == printable


def test_memory_is_bounded() -> None:
    parser = SentenceParser()
    for _ in range(1000):
        parser.feed(b">" + b"A" * 999)
        parser.feed(b"\0" * 10_000)
    assert len(parser._pending) <= LINE_MAX
    for _ in range(1000):
        parser.feed(b">" + b"A" * 999 + encode(GREETING) + b"B" * 999 + encode(GREETING))
        assert parser._interrupted is None or len(parser._interrupted.text) <= LINE_MAX
