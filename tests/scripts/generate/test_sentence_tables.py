"""The worked examples in the interface document are what both ends read."""

import re

from pygnc.host.sentence import SentenceParser
from pygnc.host.sentence_types import TYPES
from scripts.controller import pygnc_controller
from scripts.generate import docs, sentence_tables

EXAMPLE = re.compile(r"^body ?([0-9a-f ]*)\nline (.*)$", re.MULTILINE)


def documented() -> list[tuple[bytes, bytes]]:
    text = (docs.DOCS / "interface.md").read_text()
    return [(bytes.fromhex(body), line.encode() + b"\r\n") for body, line in EXAMPLE.findall(text)]


def test_the_documented_examples_are_what_both_ends_read() -> None:
    found = documented()
    assert len(found) == len(sentence_tables.examples())
    for (body, line), example in zip(found, sentence_tables.examples(), strict=True):
        ours = SentenceParser().feed(line)
        assert ours.sentences == [example.sentence]
        assert not ours.skipped
        assert ours.sentences[0].body == body
        TYPES[ours.sentences[0].kind].unpack(body)
        (theirs,) = pygnc_controller.Parser().feed(line)
        assert theirs[-1] == body
        assert theirs[1] == example.sentence.kind


def test_the_documented_packet_in_the_midst_of_a_chunk_is_read_by_both_ends() -> None:
    text = (docs.DOCS / "interface.md").read_text().partition("in the midst of the chunk:")[2]
    lines = text.split("```")[1].strip().encode().replace(b"\n", b"\r\n") + b"\r\n"
    assert [s.kind for s in SentenceParser().feed(lines).sentences] == ["SENS", "UPCH"]
    assert [s[1] for s in pygnc_controller.Parser().feed(lines)] == ["SENS", "UPCH"]


def test_every_type_is_in_the_table() -> None:
    rows = sentence_tables.sentence_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(TYPES)


def test_the_refusals_causes_are_those_of_the_flight_software() -> None:
    causes = next(field.meaning for field in TYPES["NAKN"].fields if field.name == "cause")
    assert [int(number) for number in re.findall(r"\d+", causes)] == [1, 2, 3, 4, 5, 6, 7]
