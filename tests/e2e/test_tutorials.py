"""Every tutorial of the documentation, typed line by line in a new folder, prints what the page says."""

import contextlib
import os
import re
import site
import socket
import sys
import venv
from pathlib import Path

import pytest

from scripts.documentation.tutorial import Command, NewFile, agrees, follow, limit_s, steps, with_free_ports

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = sorted((ROOT / "docs/tutorials").glob("*.md"))
ASKED = ROOT / "docs/asked-elsewhere.md"
PROGRAMS = Path(sys.executable).parent
OFFLINE = {"PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
"""pip installs into the tutorial's environment what its folder contains, and fetches nothing."""


def environment(folder: Path) -> Path:
    """Create an environment of its own that also sees the packages of this one; return the folder of its programs."""
    venv.create(folder, with_pip=False, symlinks=True)
    programs = folder / "bin"
    paths = [*site.getsitepackages(), *map(str, (ROOT / "flight", ROOT / "ground", *ROOT.glob("ground/plugins/*")))]
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "outer.pth").write_text("\n".join(paths) + "\n")
    for name, module, function in (("pygnc", "pygnc_cli.app", "main"), ("pip", "pip._internal.cli.main", "main")):
        program = programs / name
        program.write_text(f"#!{programs}/python\nfrom {module} import {function}\nraise SystemExit({function}())\n")
        program.chmod(0o755)
    return programs


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "tutorial",
    [*TUTORIALS, pytest.param(ASKED, marks=pytest.mark.skipif("CI" in os.environ, reason="too long for every commit"))],
    ids=lambda path: path.stem,
)
def test_prints_what_the_page_says(tutorial: Path, tmp_path: Path) -> None:
    programs = environment(tmp_path / "environment")
    folder = tmp_path / "new"
    folder.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYGNC_", "PYTEST"))}
    follow(tutorial, folder, programs, kept | OFFLINE)


@pytest.mark.parametrize(("load", "limit"), [(0.1, 90.0), (2.0, 90.0), (40.0, 1800.0)])
def test_commands_have_more_time_on_a_busy_machine(load: float, limit: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (load, 0.0, 0.0))
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    assert limit_s() == limit


def test_a_port_that_is_in_use_is_replaced() -> None:
    used = 8329
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # another program uses it already
            stack.enter_context(socket.create_server(("127.0.0.1", used)))
        page = with_free_ports(f"port = {used}\n$ curl http://127.0.0.1:{used}/")
    port, url = re.findall(r"[0-9]{4}", page)
    assert port == url != str(used)


def test_the_five_tutorials_have_commands() -> None:
    assert {path.stem for path in TUTORIALS} == {
        "connect-an-imu",
        "fly-a-batch",
        "replay-a-file",
        "run-a-station",
        "write-a-driver",
    }
    assert all(sum(isinstance(step, Command) for step in steps(path.read_text())) >= 5 for path in TUTORIALS)


@pytest.mark.parametrize(
    ("expected", "printed", "result"),
    [
        ((), "", True),
        ((), "anything\n", False),
        (("a ... c",), "a b c\n", True),
        (("a ... c",), "a b\nc\n", False),
        (("a", "...", "z"), "a\nz\n", True),
        (("a", "...", "z"), "a\nb\n\nz\n", True),
        (("a", "...", "z"), "a\nb\n", False),
        (("a.c",), "abc\n", False),
        (("", "a"), "   \na  \n", True),
    ],
)
def test_dots_stand_for_text_and_lines(expected: tuple[str, ...], printed: str, *, result: bool) -> None:
    assert agrees(expected, printed) == result


def test_reads_files_commands_and_continued_lines() -> None:
    program = "<!-- file: a.py -->\n```python\nx = 1\n```\n"
    page = program + "\n```console\n$ one \\\n    two\nout\n$ three &\n```\n```\nno command\n```\n"
    assert list(steps(page)) == [
        NewFile("a.py", "x = 1\n"),
        Command("one two", ("out",)),
        Command("three &", ()),
    ]
