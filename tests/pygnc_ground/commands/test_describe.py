"""`pygnc describe`."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pygnc_ground.commands.describe import app


@pytest.mark.parametrize("layout", ["status", "sentences", "journal"])
@pytest.mark.parametrize(("form", "first"), [("xtce", "<?xml"), ("c", "/* Decoder"), ("markdown", "# ")])
def test_each_layout_has_each_form(layout: str, form: str, first: str) -> None:
    done = CliRunner().invoke(app, [layout, "--as", form])
    assert done.exit_code == 0
    assert done.stdout.startswith(first)
    assert done.stdout.endswith("\n")


def test_a_description_is_written_to_a_file(tmp_path: Path) -> None:
    file = tmp_path / "status.h"
    done = CliRunner().invoke(app, ["status", "--as", "c", "--out", str(file)])
    assert done.stdout.startswith(str(file))
    assert file.read_text() == CliRunner().invoke(app, ["status", "--as", "c"]).stdout


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["status", "--out", str(tmp_path / "missing" / "status.md")])
    assert done.exit_code == 3
    assert "missing" in done.stderr


def test_an_unknown_layout_is_refused_with_those_that_exist() -> None:
    done = CliRunner().invoke(app, ["beacon"])
    assert done.exit_code == 2
    assert "'status', 'sentences', 'journal'" in done.stderr
