"""Notebooks become pages with their outputs, and notebooks for Jupyter without."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from scripts.documentation.links import ROOT
from scripts.documentation.notebooks import cells, notebooks, write_page

SMALL = """# %% [markdown]
# # Title
#
# Text with `code`.

# %%
import matplotlib
matplotlib.use("agg")
import matplotlib.pyplot as plt
print("printed")
1 + 1

# %%
plt.plot([1, 2])
plt.show()
"""


def test_a_page_shows_what_cells_print_their_last_value_and_figures(tmp_path: Path) -> None:
    (tmp_path / "small_one.py").write_text(SMALL)
    write_page(tmp_path / "small_one.py", tmp_path)
    page = (tmp_path / "small-one.md").read_text()
    assert page.startswith("# Title\n\nText with `code`.\n\n```python\nimport matplotlib")
    assert "```text\nprinted\n```\n\n```text\n2\n```" in page
    assert "![Figure](small-one-2-1.png)" in page
    assert (tmp_path / "small-one-2-1.png").stat().st_size > 1000
    saved = json.loads((tmp_path / "small-one.ipynb").read_text())
    assert [cell["cell_type"] for cell in saved["cells"]] == ["markdown", "code", "code"]
    assert saved["cells"][1]["outputs"] == []


def test_a_page_that_is_not_executed_has_no_outputs(tmp_path: Path) -> None:
    (tmp_path / "small_one.py").write_text(SMALL)
    write_page(tmp_path / "small_one.py", tmp_path, execute=False)
    page = (tmp_path / "small-one.md").read_text()
    assert "```python\nplt.plot" in page
    assert "```text" not in page
    assert not list(tmp_path.glob("*.png"))


def test_every_notebook_is_in_the_navigation_and_begins_with_a_title() -> None:
    navigation = (ROOT / "docs/navigation.toml").read_text()
    for path in notebooks():
        assert f'"notebooks/{path.stem.replace("_", "-")}.md"' in navigation
        first, *_ = cells(path.read_text())
        assert first.is_text
        assert first.source.startswith("# ")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.skipif("CI" in os.environ, reason="the documentation of each commit executes one notebook")
@pytest.mark.parametrize("name", [path.stem for path in notebooks()])
def test_the_notebooks_run(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "scripts.documentation.notebooks", "--out", str(tmp_path), name]
    subprocess.run(command, cwd=ROOT, check=True)
