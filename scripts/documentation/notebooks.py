"""Notebooks of the documentation: Python files with cells, executed and written as Markdown pages.

Usage: python -m scripts.documentation.notebooks --out DIR [NAME ...]

With names, only these notebooks are executed, and the pages of the others have no outputs.

A cell begins with `# %%`, a cell of text with `# %% [markdown]`: the percent format of Jupytext, VS Code and Spyder.
Each page shows the cells with what they print, the value of a last expression, and the figures of Matplotlib. Beside
each page is the same notebook for Jupyter, without outputs.
"""

import argparse
import ast
import contextlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from scripts.documentation.links import ROOT

NOTEBOOKS: Final = ROOT / "docs/notebooks"


class Cell(NamedTuple):
    """Text in Markdown, or code."""

    is_text: bool
    source: str


def main(arguments: list[str] | None = None) -> int:
    """Execute the named notebooks, by default all, and write all pages."""
    parser = argparse.ArgumentParser(description="Execute notebooks and write them as Markdown pages.")
    parser.add_argument("--out", type=Path, required=True, help="Folder of the pages.")
    parser.add_argument("names", nargs="*", metavar="NAME", help="Notebooks to execute (default: all).")
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    for path in notebooks():
        write_page(path, options.out.absolute(), execute=path.stem in (options.names or [path.stem]))
    return 0


def notebooks() -> list[Path]:
    """Return the files of all notebooks in alphabetical order."""
    return sorted(NOTEBOOKS.glob("*.py"))


def cells(text: str) -> Iterator[Cell]:
    """Yield the cells of a notebook in the percent format."""
    for part in ("\n" + text).split("\n# %%")[1:]:
        head, _, body = part.partition("\n")
        if head.strip() == "[markdown]":
            lines = (line.removeprefix("#").removeprefix(" ") for line in body.strip().split("\n"))
            yield Cell(is_text=True, source="\n".join(lines))
        else:
            yield Cell(is_text=False, source=body.strip())


def write_page(path: Path, folder: Path, *, execute: bool = True) -> None:
    """Execute a notebook in a temporary folder; write its page, its figures and the notebook for Jupyter."""
    found = list(cells(path.read_text(encoding="utf-8")))
    name = path.stem.replace("_", "-")
    parts: list[str] = []
    values: dict[str, Any] = {"__name__": "__main__"}
    # Settings of Polars hold for the notebook that makes them.
    with tempfile.TemporaryDirectory(prefix="pygnc-notebook-") as work, contextlib.chdir(work), pl.Config():
        for number, cell in enumerate(found):
            if cell.is_text:
                parts.append(cell.source)
            else:
                parts.append(f"```python\n{cell.source}\n```")
                parts += _outputs(cell.source, values, folder / f"{name}-{number}") if execute else []
    head, _, rest = parts[0].partition("\n")
    download = f"Download: [{name}.ipynb]({name}.ipynb) for Jupyter."
    page = "\n\n".join(part for part in (head, rest.strip(), *parts[1:], download) if part)
    (folder / f"{name}.md").write_text(page + "\n", encoding="utf-8")
    (folder / f"{name}.ipynb").write_text(json.dumps(_for_jupyter(found), indent=1) + "\n", encoding="utf-8")


def _outputs(source: str, values: dict[str, Any], figures: Path) -> Iterator[str]:
    """Execute a cell and yield what it prints, the value of its last expression, and its figures, as Markdown."""
    tree = ast.parse(source)
    last = tree.body[-1] if tree.body else None
    expression = ast.Expression(last.value) if isinstance(last, ast.Expr) else None
    if expression is not None:
        tree.body.pop()
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(tree, figures.name, "exec"), values)  # noqa: S102 - our own notebooks
        value = None if expression is None else eval(compile(expression, figures.name, "eval"), values)  # noqa: S307
    if printed.getvalue():
        yield f"```text\n{printed.getvalue().rstrip()}\n```"
    shown = _figures(figures)
    yield from shown
    html = getattr(value, "_repr_html_", None)
    if html is not None:
        yield f'```{{raw}} html\n<div class="shown">{html()}</div>\n```'
    elif value is not None and not shown:
        yield f"```text\n{value!r}\n```"


def _figures(path: Path) -> list[str]:
    """Write and close the figures of Matplotlib; return them as Markdown."""
    if "matplotlib.pyplot" not in sys.modules:
        return []
    import matplotlib.pyplot as plt  # noqa: PLC0415 - only if a notebook has imported it

    shown = []
    for number in plt.get_fignums():
        file = path.with_name(f"{path.name}-{number}.png")
        plt.figure(number).savefig(file, dpi=110, bbox_inches="tight", metadata={"Software": None})
        shown.append(f"![Figure]({file.name})")
    plt.close("all")
    return shown


def _for_jupyter(found: list[Cell]) -> dict[str, object]:
    """Return a notebook without outputs in the format of Jupyter."""
    entries: list[dict[str, object]] = []
    for number, cell in enumerate(found):
        kind: dict[str, object] = {"cell_type": "code", "execution_count": None, "outputs": []}
        if cell.is_text:
            kind = {"cell_type": "markdown"}
        lines = cell.source.splitlines(keepends=True)
        entries.append({"id": f"cell-{number}", "metadata": {}, "source": lines, **kind})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {"cells": entries, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}


if __name__ == "__main__":
    # As in the `pygnc` command: another number of threads is slower and rounds differently.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("MPLBACKEND", "agg")
    sys.exit(main())
