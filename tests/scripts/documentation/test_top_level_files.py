"""README, citation and templates have the form that readers and code hosts expect."""

import re
from pathlib import Path

import pytest
import yaml

from scripts.documentation.links import ROOT

README = (ROOT / "README.md").read_text()


def test_the_first_two_commands_of_the_readme_run_and_test() -> None:
    commands = [line.split("#")[0].strip() for line in README.split("```")[1].strip().splitlines()]
    assert commands == ["make run", "make test"]


@pytest.mark.parametrize("text", ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CODE_OF_CONDUCT.md"])
def test_relative_links_lead_to_files(text: str) -> None:
    linked = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / text).read_text())
    assert linked
    assert [link for link in linked if not (ROOT / link).exists()] == []


def test_make_targets_in_the_contributing_guide_exist() -> None:
    targets = set(re.findall(r"^make ([\w-]+)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE))
    assert targets
    assert targets <= set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def test_the_picture_is_small() -> None:
    assert (ROOT / "docs/_static/report.png").stat().st_size <= 200_000


def test_the_citation_has_the_required_keys_and_the_project_licence() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert {"authors", "cff-version", "message", "title"} <= set(citation)
    assert citation["license"] == "MIT"


@pytest.mark.parametrize("path", sorted((ROOT / ".github/ISSUE_TEMPLATE").glob("*.md")), ids=lambda path: path.name)
def test_issue_templates_have_name_and_description(path: Path) -> None:
    _, head, body = path.read_text().split("---\n", 2)
    assert {"name", "about"} <= set(yaml.safe_load(head))
    assert body.strip()
