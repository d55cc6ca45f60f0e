"""Check of the locks against advisories: which versions one concerns, and in which files they are found."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from packaging.utils import canonicalize_name
from packaging.version import Version

from scripts.release.advisories import Advisory, check_advisories, concerns, read_advisories
from scripts.release.errors import ReleaseError

HASH = f"--hash=sha256:{'ab' * 32}"
NAME = canonicalize_name("example-library")


def advisory(*ranges: list[dict[str, str]], versions: tuple[str, ...] = ()) -> Advisory:
    return Advisory("TEST-1", NAME, frozenset(versions), tuple(map(tuple, ranges)))


@pytest.mark.parametrize(
    ("version", "concerned"),
    [("0.9", False), ("1.0", True), ("1.0.1", True), ("1.1rc1", True), ("1.1", False), ("2.0", True), ("2.3", False)],
)
def test_a_range_ends_before_the_fixed_version(version: str, concerned: bool) -> None:  # noqa: FBT001 (a column)
    events = [{"introduced": "1.0"}, {"fixed": "1.1"}, {"introduced": "2.0"}, {"fixed": "2.2.1"}]
    assert concerns(advisory(events), Version(version)) is concerned
    assert concerns(advisory(events[2:], events[:2]), Version(version)) is concerned


@pytest.mark.parametrize(("version", "concerned"), [("1.0", True), ("1.4", True), ("1.4.1", False)])
def test_a_range_contains_its_last_affected_version(version: str, concerned: bool) -> None:  # noqa: FBT001
    assert concerns(advisory([{"introduced": "0"}, {"last_affected": "1.4"}]), Version(version)) is concerned


def test_a_range_without_end_concerns_all_later_versions() -> None:
    assert concerns(advisory([{"introduced": "0"}]), Version("0.0.0.dev1"))
    assert concerns(advisory([{"introduced": "3"}]), Version("99"))
    assert not concerns(advisory([{"introduced": "3"}]), Version("3rc1"))


def test_listed_versions_are_compared_as_versions() -> None:
    assert concerns(advisory(versions=("1.0", "not a version")), Version("1.0.0"))
    assert not concerns(advisory(versions=("1.0", "not a version")), Version("1.1"))


def test_what_cannot_be_judged_concerns_every_version() -> None:
    assert concerns(advisory(), Version("1.0"))
    assert concerns(advisory([{"introduced": "0"}, {"fixed": "r42"}]), Version("1.0"))


NUMBERS = st.integers(0, 40)


@given(st.lists(NUMBERS, min_size=2, unique=True), NUMBERS, st.randoms())
def test_ranges_agree_with_intervals(bounds: list[int], version: int, random: Any) -> None:  # noqa: ANN401 (of hypothesis)
    bounds = sorted(bounds[: len(bounds) // 2 * 2])
    intervals = list(zip(bounds[::2], bounds[1::2], strict=True))
    events = [event for first, end in intervals for event in ({"introduced": str(first)}, {"fixed": str(end)})]
    random.shuffle(events)
    assert concerns(advisory(events), Version(str(version))) is any(first <= version < end for first, end in intervals)


def record(name: str = "Example_Library", **fields: object) -> dict[str, Any]:
    events = [{"introduced": "0"}, {"fixed": "1.10"}]
    affected = {"package": {"ecosystem": "PyPI", "name": name}, "ranges": [{"type": "ECOSYSTEM", "events": events}]}
    return {"id": "TEST-1", "affected": [affected]} | fields


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A project whose lock pins example-library 1.9."""
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements/flight.txt").write_text(f"example-library==1.9 {HASH}\n")
    (tmp_path / "pyproject.toml").write_text("[tool.pygnc]\n")
    return tmp_path


def as_json(folder: Path) -> Path:
    (folder / "record.json").write_text(json.dumps(record()))
    return folder / "record.json"


def as_yaml(folder: Path) -> Path:
    (folder / "record.yaml").write_text("id: TEST-1\naffected:\n- package: {ecosystem: PyPI, name: example.library}\n")
    with (folder / "record.yaml").open("a") as file:
        file.write("  ranges:\n  - type: ECOSYSTEM\n    events: [introduced: 0, fixed: 1.10]\n")
    return folder / "record.yaml"


def as_folder(folder: Path) -> Path:
    (folder / "records/deep").mkdir(parents=True)
    (folder / "records/.github").mkdir()
    (folder / "records/.github/workflow.yaml").write_text("on: push\n")
    (folder / "records/other.json").write_text(json.dumps(record("other")))
    (folder / "records/README.md").write_text("text\n")
    as_yaml(folder / "records/deep")
    return folder / "records"


def as_zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.writestr("TEST-2.json", json.dumps(record("other")))
        archive.writestr("TEST-1.json", json.dumps(record()))
    return folder / "all.zip"


@pytest.mark.parametrize("write", [as_json, as_yaml, as_folder, as_zip])
def test_a_locked_version_is_found_in_every_form_of_advisories(tree: Path, write: Callable[[Path], Path]) -> None:
    path = write(tree)
    with pytest.raises(ReleaseError, match=r"flight\.txt: example-library 1\.9: TEST-1"):
        check_advisories(tree, path)
    (tree / "requirements/flight.txt").write_text(f"example-library==1.10 {HASH}\n")
    assert "none concerns the 1 locked" in check_advisories(tree, path)


def test_an_accepted_advisory_does_not_count(tree: Path) -> None:
    path = as_json(tree)
    (tree / "pyproject.toml").write_text('[tool.pygnc.advisories]\naccepted = { TEST-1 = "not called" }\n')
    assert "none concerns" in check_advisories(tree, path)


@pytest.mark.parametrize(
    "content", [record(withdrawn="2026-01-01T00:00:00Z"), record() | {"affected": [{"package": {"ecosystem": "npm"}}]}]
)
def test_without_an_advisory_for_the_package_index_nothing_is_declared_safe(
    tree: Path, content: dict[str, Any]
) -> None:
    (tree / "record.json").write_text(json.dumps(content))
    with pytest.raises(ReleaseError, match="no advisories"):
        check_advisories(tree, tree / "record.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"7", b'{"affected": 7}', b'{"affected": [{"package": {"ecosystem": "PyPI"}}]}', b"\xff\xfe"],
)
@pytest.mark.parametrize("suffix", ["json", "yaml"])
def test_a_file_that_is_no_record_is_named(tmp_path: Path, content: bytes, suffix: str) -> None:
    path = tmp_path / f"record.{suffix}"
    path.write_bytes(content)
    with pytest.raises(ReleaseError, match=f"record.{suffix}"):
        list(read_advisories(path))


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"absent: .*No such file"):
        list(read_advisories(tmp_path / "absent"))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(record())), inner, max_size=3),
)


@given(st.fixed_dictionaries({"id": JSON, "affected": JSON}) | JSON)
def test_any_content_is_an_advisory_or_an_error(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    for name, text in (("any.json", json.dumps(content)), ("any.yaml", yaml.safe_dump(content))):
        path = tmp_path_factory.getbasetemp() / name
        path.write_text(text, encoding="utf-8")
        try:
            for one in read_advisories(path):
                concerns(one, Version("1.0"))
        except ReleaseError as error:
            assert name in str(error)  # noqa: PT017
