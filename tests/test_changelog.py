"""Fragments of the changelog can be assembled: each has a known kind, and text without the marks that are added."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
TOWNCRIER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["towncrier"]
FRAGMENTS = ROOT / TOWNCRIER["directory"]
KINDS = {kind["directory"] for kind in TOWNCRIER["type"]}


def fault_of(name: str, text: str) -> str | None:
    """Return what is wrong with a fragment, None if nothing is."""
    kind = re.fullmatch(r"\+[a-z0-9-]+\.([a-z]+)\.md", name)
    if kind is None:
        return "the name is not +TOPIC.KIND.md with a topic of lower-case letters, digits and hyphens"
    if kind[1] not in KINDS:
        return f"unknown kind {kind[1]}; choose from {', '.join(sorted(KINDS))}"
    return fault_of_text(text)


def fault_of_text(text: str) -> str | None:
    if not text.strip():
        return "no text"
    if re.match(r"\s|[-*+] |#|\d+\. ", text):
        return "the text starts with a space, bullet or heading, which the release adds"
    if "\n\n" in text.strip():
        return "more than one paragraph"
    if missing := [link for link in re.findall(r"\]\(([^)#:]+)[#)]", text) if not (FRAGMENTS / link).exists()]:
        return f"no file at {missing[0]}, relative to {FRAGMENTS.name}/"
    return None


def test_all_fragments_can_be_assembled() -> None:
    fragments = {path.name: path for path in FRAGMENTS.iterdir()}
    assert fragments.keys() >= set(TOWNCRIER["ignore"])
    texts = {name: path.read_text("utf-8") for name, path in fragments.items() if name not in TOWNCRIER["ignore"]}
    faults = {name: fault for name, text in texts.items() if (fault := fault_of(name, text))}
    assert not faults


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("19.added.md", "Text.\n"),
        ("+topic.feature.md", "Text.\n"),
        ("+topic.added.rst", "Text.\n"),
        ("+Topic.added.md", "Text.\n"),
        ("+topic.added.md", " \n"),
        ("+topic.added.md", "- Text.\n"),
        ("+topic.added.md", "### Added\nText.\n"),
        ("+topic.added.md", "Text.\n\nMore.\n"),
        ("+topic.added.md", "See [orbits](docs/replay.md#player).\n"),
    ],
)
def test_a_fragment_that_cannot_be_assembled_is_named(name: str, text: str) -> None:
    assert fault_of(name, text) is not None


def test_the_changelog_has_one_place_for_the_next_release() -> None:
    assert (ROOT / TOWNCRIER["filename"]).read_text().count(TOWNCRIER["start_string"]) == 1
