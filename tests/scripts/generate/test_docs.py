"""The documentation matches the code."""

import re
from pathlib import Path

import pytest

from pygnc.configuration.load import load
from pygnc.configuration.settings import Settings
from pygnc.supervisor.process import ExitCode
from scripts.generate import docs


@pytest.mark.parametrize(("path", "content"), docs.documents().items(), ids=lambda item: getattr(item, "name", ""))
def test_generated_parts_are_up_to_date(path: Path, content: str) -> None:
    assert path.read_text() == content, "run: python -m scripts.generate.docs"


def test_every_exit_code_is_documented() -> None:
    text = (docs.DOCS / "interface.md").read_text()
    section = text.partition("## Exit codes")[2].partition("\n## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", section, re.MULTILINE)} == set(ExitCode)


def test_the_documented_settings_are_accepted(tmp_path: Path) -> None:
    text = (docs.DOCS / "settings.md").read_text()
    (tmp_path / "pygnc.toml").write_text(text.partition("```toml\n")[2].partition("```")[0])
    assert load(None, tmp_path) == Settings()


def test_every_requirement_names_an_existing_test() -> None:
    root = docs.DOCS.parent
    sheets = [docs.DOCS / "reliability.md", *(docs.DOCS / "components").glob("*.md")]
    assert len(sheets) > 1
    for sheet in sheets:
        text = sheet.read_text()
        items = re.findall(r"^- \*\*([A-Z]+-\d+)\*\*:((?:.|\n  )*)$", text, re.MULTILINE)
        requirements = items + re.findall(r"^\| ([A-Z]+-\d+) \|.*\| (.+) \|$", text, re.MULTILINE)
        assert requirements, f"{sheet.name} has no requirements"
        for number, proofs in requirements:
            for file, test in re.findall(r"`([\w/]+\.py)::(\w+)`", proofs):
                assert f"def {test}(" in (root / "tests" / file).read_text(), f"{sheet.name} {number}: {file}::{test}"
            assert "::" in proofs, f"{sheet.name} {number} names no test"
