"""JSON documents: docs/commands.md names exactly their fields, and they have no other form than JSON's."""

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from msgspec import inspect

from pygnc_cli.document import Document, WrittenFile, echo_document
from pygnc_controller.emulator.document import EmulatorDocument
from pygnc_ground.commands.bound import BoundDocument
from pygnc_ground.commands.replay_document import ReplayDocument
from pygnc_ground.commands.scenario import Written
from pygnc_ground.formation.bound import FormationBoundDocument

TEXT = (Path(__file__).resolve().parents[2] / "docs/commands.md").read_text()
DOCUMENTS: dict[str, type[Document]] = {
    "pygnc replay": ReplayDocument,
    "pygnc scenario make, from-ephemeris": Written,
    "pygnc bound": BoundDocument,
    "pygnc bound --formation": FormationBoundDocument,
    "scripts/pycubed_emulator.py": EmulatorDocument,
}


def fields(kind: inspect.Type, path: str = "") -> Iterator[str]:
    """Yield the path of each value in a document, and those of objects that may be null."""
    if isinstance(kind, inspect.UnionType):
        if path and any(isinstance(one, inspect.StructType) for one in kind.types):
            yield path
        for one in kind.types:
            if not isinstance(one, inspect.NoneType):
                yield from fields(one, path)
    elif isinstance(kind, inspect.StructType):
        for field in kind.fields:
            yield from fields(field.type, f"{path}.{field.name}".lstrip("."))
    elif isinstance(kind, inspect.ListType):
        yield from fields(kind.item_type, f"{path}[]")
    elif isinstance(kind, inspect.DictType):
        yield from fields(kind.value_type, f"{path}.NAME")
    else:
        yield path


@pytest.mark.parametrize("title", DOCUMENTS)
def test_the_documentation_names_every_field(title: str) -> None:
    section = TEXT.split(f"### {title}\n")[1].split("\n#")[0]
    documented = [
        name
        for row in re.findall(r"^(?:\| |- \*\*)(`[^|*]*)(?: \||\*\*)", section, re.MULTILINE)
        for name in re.findall("`(.+?)`", row)
    ]
    found = set(fields(inspect.type_info(DOCUMENTS[title])))
    if title == "pygnc bound":  # each bound has the same figures
        bounds = {name.partition(".")[0] for name in found if "." in name}
        found = bounds | {name if "." not in name else f"NAME.{name.partition('.')[2]}" for name in found}
    assert sorted(documented) == sorted(found)


def test_numbers_that_are_not_finite_are_null(capsys: pytest.CaptureFixture[str]) -> None:
    class Numbers(Document, frozen=True):
        values: list[float]

    echo_document(Numbers(values=[1.5, math.nan, math.inf, -math.inf]))
    assert json.loads(capsys.readouterr().out) == {"values": [1.5, None, None, None]}


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="unknown field"):
        msgspec.json.decode(b'{"path": "a", "size_bytes": 1, "other": 2}', type=WrittenFile)
