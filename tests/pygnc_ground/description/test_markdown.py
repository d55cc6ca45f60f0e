"""Tables of the layouts."""

import re

import pytest

from pygnc.formats.layout import Field, scalars
from pygnc.host.sentence_types import TYPES
from pygnc_ground.description import markdown

LAYOUTS = markdown.RECORDS | markdown.PACKETS


@pytest.mark.parametrize("fields", LAYOUTS.values(), ids=LAYOUTS)
def test_every_field_is_at_its_offset_or_in_a_repeated_block(fields: tuple[Field, ...]) -> None:
    shown = {
        name: int(offset)
        for offset, names in re.findall(r"^\| (\d+) \|[^|]*\| ([^|]*) \|", markdown.record_table(fields), re.MULTILINE)
        for name in re.findall(r"`(\w+)`", names)[:1]
    }
    offset = 0
    for field in scalars(fields):
        assert shown.pop(field.name, offset) == offset
        offset += field.size
    assert not shown


def test_every_type_is_in_the_table() -> None:
    rows = markdown.sentence_table().splitlines()[2:]
    assert [row.split("`")[1] for row in rows] == list(TYPES)
