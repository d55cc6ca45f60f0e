"""Markdown in short lines, with the same content."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.documentation.short_lines import LINE_MAX, ROOT, markdown_files, short_lines


@pytest.mark.parametrize("path", markdown_files(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_projects_markdown_has_short_lines(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert short_lines(text) == text, "run python -m scripts.documentation.short_lines"


@given(st.lists(st.text("ab-1.`#|*", min_size=1, max_size=30), min_size=30, max_size=80))
def test_wrapping_loses_no_word_and_is_stable(words: list[str]) -> None:
    text = f"Begin {' '.join(words)}\n"
    short = short_lines(text)
    assert " ".join(short.split()) == " ".join(text.split())
    assert short_lines(short) == short


def test_list_items_keep_their_indent_and_begin_no_new_item() -> None:
    lines = short_lines(f"- {'word ' * 22}and - a dash{' more' * 20}\n").splitlines()
    assert lines[0].startswith("- word")
    assert all(line.startswith("  ") and not line.lstrip().startswith("- ") for line in lines[1:])
    assert max(map(len, lines)) <= LINE_MAX


def test_a_table_with_long_text_becomes_a_list_with_the_same_content() -> None:
    proof = ", ".join(f"`test_{number}`" for number in range(12))
    table = f"| no. | requirement | proof |\n|---|---|---|\n| A-1 | It works. | {proof} |\n"
    short = short_lines(table)
    assert short.startswith("- **A-1**: It works. Proof: `test_0`")
    assert all(short.count(f"`test_{number}`") == 1 for number in range(12))
    assert max(map(len, short.splitlines())) <= LINE_MAX


def test_a_table_with_many_columns_of_figures_is_divided() -> None:
    header = [f"quantity {number}" for number in range(12)]
    rows = [[f"row {row}", *(f"{number}.5 m" for number in range(11))] for row in range(3)]
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in [header, ["---"] * 12, *rows]) + "\n"
    parts = short_lines(table).split("\n\n")
    assert len(parts) > 1
    assert all(part.startswith("| quantity 0 |") for part in parts)
    assert max(map(len, short_lines(table).splitlines())) <= LINE_MAX
    for number in range(11):
        assert sum(part.count(f" {number}.5 m ") for part in parts) == 3


def test_code_formulas_and_short_tables_are_unchanged() -> None:
    code = f"```\n{'x ' * 100}\n```\n\n$${'y ' * 80}$$\n\n| a | b |\n|---|---|\n| 1 | 2 |\n"
    assert short_lines(code) == code
