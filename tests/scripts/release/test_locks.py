"""Locks: every library with its version, hashes and parents."""

import re
import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from scripts.build_distributions import libraries
from scripts.release.locks import read_lock
from tests.scripts.release.scratch import ROOT

HASH = f"--hash=sha256:{'ab' * 32}"


def test_the_lock_of_the_flight_is_read() -> None:
    lock = read_lock(ROOT / "requirements/flight.txt")
    numpy, pyerfa, cffi = (lock[canonicalize_name(name)] for name in ("numpy", "pyerfa", "cffi"))
    assert {"pygnc", "pyerfa"} <= numpy.required_by
    assert pyerfa.required_by == {"pygnc"}
    assert (pyerfa.marker, str(cffi.marker)) == (None, 'implementation_name == "pypy"')
    assert all(len(sha256) == 64 for library in lock.values() for sha256 in library.sha256)


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "requirements").glob("*.txt")))
def test_no_pin_of_a_lock_is_missed(name: str) -> None:
    text = (ROOT / "requirements" / name).read_text()
    lock = read_lock(ROOT / "requirements" / name)
    assert len(lock) == len(re.findall(r"^[a-z0-9-]+==", text, re.MULTILINE))
    assert sum(len(library.sha256) for library in lock.values()) == text.count("--hash=sha256:")
    # The locks of the station are made from a list of libraries, which has no name of its own.
    extras = {"station.txt": ("accounts",), "container.txt": ("accounts", "alerts", "cloud")}.get(name)
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())
    listed = [] if extras is None else libraries(["pygnc-station"], declared, extras)
    direct = {canonicalize_name(Requirement(one).name) for one in listed}
    assert {key for key, library in lock.items() if not library.required_by} <= direct


NAMES = st.sampled_from(["a", "one", "two-parts", "three-part-name", "v2", "viable", "x-0", "c"])


@given(st.dictionaries(NAMES, st.lists(NAMES, min_size=1, unique=True), min_size=1))
def test_parents_are_read_from_one_line_or_several(
    tmp_path_factory: pytest.TempPathFactory, parents: dict[str, list[str]]
) -> None:
    path = tmp_path_factory.getbasetemp() / "lock.txt"
    text = "# written by a test\n"
    for name, above in parents.items():
        text += f"{name}==1.0 \\\n    {HASH}\n    # via"
        text += f" {above[0]}\n" if len(above) == 1 else "".join(f"\n    #   {one}" for one in above) + "\n"
    path.write_text(text)
    assert {name: set(one.required_by) for name, one in read_lock(path).items()} == {
        name: set(above) for name, above in parents.items()
    }


@pytest.mark.parametrize(
    ("line", "text"),
    [
        (1, "one\n"),
        (1, "one==1.0\n"),
        (1, f"one>=1.0 {HASH}\n"),
        (1, f"one==1.0,<2 {HASH}\n"),
        (1, f"-e . {HASH}\n"),
        (4, f"one==1.0 \\\n  {HASH}\n  # via two\nthree @ file:///three {HASH}\n"),
        (2, f"one==1.0 {HASH}\nOne==2.0 {HASH}\n"),
    ],
)
def test_a_line_that_pins_nothing_is_named(tmp_path: Path, line: int, text: str) -> None:
    (tmp_path / "lock.txt").write_text(text)
    with pytest.raises(ValueError, match=rf"lock\.txt: line {line} "):
        read_lock(tmp_path / "lock.txt")


def test_a_marker_is_kept(tmp_path: Path) -> None:
    (tmp_path / "lock.txt").write_text(f"one==1.0rc1 ; sys_platform == 'win32' \\\n    {HASH}\n")
    (library,) = read_lock(tmp_path / "lock.txt").values()
    assert (library.version, str(library.marker)) == (Version("1.0rc1"), 'sys_platform == "win32"')
