"""The worked examples in docs/interface.md are parsed by both implementations."""

import re

from pygnc.host.sentence import SentenceParser
from pygnc.host.sentence_types import TYPES
from scripts.controller import pygnc_controller
from scripts.generate import docs, sentence_tables

EXAMPLE = re.compile(r"^body ?([0-9a-f ]*)(?: \.\.\.)?\nline (.*)$", re.MULTILINE)


def documented() -> list[tuple[bytes, bytes]]:
    text = (docs.DOCS / "interface.md").read_text()
    return [(bytes.fromhex(body), line.encode() + b"\r\n") for body, line in EXAMPLE.findall(text)]


def test_both_ends_parse_the_documented_examples() -> None:
    found = documented()
    assert len(found) == len(sentence_tables.examples())
    for (body, line), (_, sentence) in zip(found, sentence_tables.examples(), strict=True):
        ours = SentenceParser().feed(line)
        assert ours.sentences == [sentence]
        assert not ours.skipped
        assert ours.sentences[0].body.startswith(body)
        TYPES[ours.sentences[0].kind].unpack(ours.sentences[0].body)
        (theirs,) = pygnc_controller.Parser().feed(line)
        assert theirs[-1] == ours.sentences[0].body
        assert theirs[1] == sentence.kind


def test_both_ends_parse_the_documented_nested_packet() -> None:
    text = (docs.DOCS / "interface.md").read_text().partition("nested in the chunk:")[2]
    lines = text.split("```")[1].strip().encode().replace(b"\n", b"\r\n") + b"\r\n"
    assert [s.kind for s in SentenceParser().feed(lines).sentences] == ["SENS", "UPCH"]
    assert [s[1] for s in pygnc_controller.Parser().feed(lines)] == ["SENS", "UPCH"]
