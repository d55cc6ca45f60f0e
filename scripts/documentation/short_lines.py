"""Markdown with short lines: wrapped text, and lists instead of tables whose rows are too long.

Usage: python -m scripts.documentation.short_lines [FILE...]

Rewrites the files, by default all Markdown files of the repository. A test fails if this would change one.
"""

import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
LINE_MAX: Final = 120
_FENCE: Final = re.compile(r"\s*(```|~~~)")
_ITEM: Final = re.compile(r"(\s*)([-*+]|\d+[.)])\s+")
_OTHER: Final = re.compile(r"\s*(#|>|<|\[[^\]]+\]:|\||---|\$\$|:::)|\s*$")
"""Lines that are no text to wrap: headings, quotations, comments, link targets, tables, formulas, blank lines."""
_SEPARATOR: Final = re.compile(r"(?<!\\)\|")
_MARKER: Final = re.compile(r"([-*+]|\d+[.)]|#+|>|\|)$")
"""A word that would begin a list, heading, quotation or table at the start of a line."""
_MAIN_COLUMNS: Final = ("requirement", "meaning", "purpose", "effect", "definition", "what happens")
_SHORT_CELL: Final = 40


def short_lines(text: str) -> str:
    """Return Markdown text with the same content in lines of at most `LINE_MAX` characters, as far as words allow."""
    return "".join(f"{line}\n" for block in _blocks(text.splitlines()) for line in block)


def _blocks(lines: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield the lines of each paragraph, list item, table and other part in its new form."""
    at = 0
    while at < len(lines):
        end = _end_of_block(lines, at)
        block = lines[at:end]
        if max(map(len, block)) <= LINE_MAX or _FENCE.match(block[0]) or (at == 0 and block[0] == "---"):
            yield block
        elif block[0].startswith("|"):
            yield _short_table(block)
        elif _OTHER.match(block[0]):
            yield block
        else:
            yield _wrapped(block)
        at = end


def _end_of_block(lines: Sequence[str], begin: int) -> int:
    """Return the number of the line after the block that begins at a line."""
    end = begin + 1
    if fence := _FENCE.match(lines[begin]):
        while end < len(lines) and not lines[end].strip().startswith(fence[1]):
            end += 1
        return min(end + 1, len(lines))
    if lines[begin].startswith("|"):
        while end < len(lines) and lines[end].startswith("|"):
            end += 1
    elif not _OTHER.match(lines[begin]):
        while end < len(lines) and not (
            _OTHER.match(lines[end]) or _ITEM.match(lines[end]) or _FENCE.match(lines[end])
        ):
            end += 1
    return end


def _wrapped(block: Sequence[str]) -> list[str]:
    item = _ITEM.match(block[0])
    indent = " " * (item.end() if item else len(block[0]) - len(block[0].lstrip()))
    words: list[str] = []
    for word in " ".join(line.strip() for line in block).split(" "):
        if words and len(words) > 1 and _MARKER.match(word):
            words[-1] += f"\0{word}"
        else:
            words.append(word)
    first = block[0][: item.start(2)] if item else indent
    lines = textwrap.wrap(
        " ".join(words), LINE_MAX, initial_indent=first, subsequent_indent=indent, break_long_words=False,
        break_on_hyphens=False,
    )  # fmt: skip
    return [line.replace("\0", " ") for line in lines]


# --- Tables -----------------------------------------------------------------------------------------------------------


def _short_table(rows: Sequence[str]) -> list[str]:
    """Return a table as several tables with some of the columns each, or as a list if cells are too long for that."""
    header, _, *cells = [[cell.strip() for cell in _SEPARATOR.split(row.strip().strip("|"))] for row in rows]
    rule = [cell.strip() for cell in _SEPARATOR.split(rows[1].strip().strip("|"))]
    groups = _column_groups([header, *cells])
    if not groups:
        return [line for row in cells for line in _wrapped([_list_item(header, row)])]
    tables: list[str] = []
    for group in groups:
        tables += ["", *(_row([row[column] for column in group]) for row in (header, rule, *cells))]
    return tables[1:]


def _column_groups(table: Sequence[Sequence[str]]) -> list[list[int]]:
    """Return the columns of each part of a table of figures, the first column in all; none if a part is too wide."""
    widths = [max(len(row[column]) for row in table) + 3 for column in range(len(table[0]))]
    groups = [[0]]
    for column in range(1, len(widths)):
        if 1 + widths[0] + widths[column] > LINE_MAX or widths[column] > LINE_MAX // 2:
            return []
        if 1 + sum(widths[used] for used in groups[-1]) + widths[column] > LINE_MAX:
            groups.append([0])
        groups[-1].append(column)
    # Text that belongs together is a list; a few more columns of figures are another table.
    return groups if min(map(len, groups)) > 1 and len(widths) > 3 else []


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |".replace("|  |", "| |")


def _list_item(header: Sequence[str], row: Sequence[str]) -> str:
    """Return a row as an item: first cell, short cells in brackets, main text, and the other cells by their names."""
    main = next((k for k, name in enumerate(header) if name.lower() in _MAIN_COLUMNS), 1)
    others = [k for k in range(1, len(row)) if k != main and row[k]]
    short = [k for k in others if k < main and len(row[k]) <= _SHORT_CELL]
    first = row[0] or "the same"
    head = f"- {first if first.startswith('**') else f'**{first}**'}"
    if short:
        head += f" ({', '.join(f'{header[k]} {row[k]}'.strip() for k in short)})"
    text = f"{head}: {row[main]}" if row[main] else head
    for k in others:
        if k not in short:
            text = f"{text.rstrip('.')}. {header[k][:1].upper()}{header[k][1:]}: {row[k]}"
    return text.replace("\\|", "|")


def markdown_files() -> list[Path]:
    """Return the Markdown files that git tracks."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True).stdout  # noqa: S607
    return [path for name in listed.splitlines() if (path := ROOT / name).exists()]


def main(names: Sequence[str]) -> int:
    """Rewrite the named files, by default all."""
    for path in [Path(name) for name in names] or markdown_files():
        path.write_text(short_lines(path.read_text(encoding="utf-8")), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
