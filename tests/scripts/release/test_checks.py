"""Conditions for a release: which versions are accepted, and which state of a tree."""

import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from packaging.version import Version

from scripts.release.checks import check_ci, check_clean, check_repository, check_tag, check_version
from scripts.release.errors import ReleaseError
from tests.scripts.release.scratch import ENVIRONMENT, ROOT, Scratch, new_repository

NUMBERS = st.integers(0, 10**6)


@given(NUMBERS, NUMBERS, NUMBERS, st.sampled_from(["", "a0", "b2", "rc11"]))
def test_a_version_of_three_numbers_above_the_present_one_is_accepted(
    major: int, minor: int, patch: int, suffix: str
) -> None:
    text = f"{major}.{minor}.{patch}{suffix}"
    assert check_version(text, f"{major}.{minor}.{patch}.dev0" if suffix else "0.0.0.dev0") == Version(text)


@given(st.one_of(st.text(), st.from_regex(r"\s*v?[0-9.]{0,8}[-_.]?(a|b|c|rc|alpha|post|dev|\+|!|\$)?[0-9]*\s*")))
@example("")
@example("0.2")
@example("0.2.0.0")
@example("00.2.0")
@example("v0.2.0")
@example("0.2.0-rc1")
@example("0.2.0\n")
@example("1!0.2.0")
@example("0.2.0+local")
@example("0.2.0.dev1")
@example("0.2.0.post1")
@example("٠.٢.٠")
@example("0.1.0")
@example("0.0.9")
@example("0.1.0rc1")
@example("0.2.0; rm -rf /")
def test_any_other_text_is_refused_with_its_reason(text: str) -> None:
    try:
        version = check_version(text, "0.1.0")
    except ReleaseError as error:
        assert repr(text) in str(error) or f"VERSION {text} is not above" in str(error)  # noqa: PT017
    else:
        assert re.fullmatch(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*)){2}((a|b|rc)(0|[1-9][0-9]*))?", text)
        assert version > Version("0.1.0")


@given(st.tuples(NUMBERS, NUMBERS, NUMBERS), st.tuples(NUMBERS, NUMBERS, NUMBERS))
def test_a_version_follows_only_lower_ones(one: tuple[int, ...], other: tuple[int, ...]) -> None:
    lower, higher = sorted([one, other])
    texts = [".".join(map(str, numbers)) for numbers in (lower, higher)]
    with pytest.raises(ReleaseError, match="is not above the present version"):
        check_version(texts[0], texts[1])


@pytest.mark.parametrize("version", ["", "0.2.0; touch injected", "$(touch injected)", "`touch injected`", '"0.2.0'])
def test_make_passes_the_version_as_it_is(version: str, tmp_path: Path) -> None:
    made = ["--old-file", ".venv/development.stamp", "--old-file", ".venv/release/stamp"]
    words = ["RELEASE=printf '%s\\n'", f"VERSION={version.replace('$', '$$')}"]
    command = ["make", "--silent", "-f", str(ROOT / "Makefile"), *made, "release", *words]
    done = subprocess.run(command, cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["scripts.release", version, "--python", ".venv/bin/python"]
    assert not list(tmp_path.iterdir())


@pytest.fixture
def repository(tmp_path: Path) -> Scratch:
    repository = new_repository(tmp_path / "repository")
    (repository.path / ".gitignore").write_text("/build/\n")
    (repository.path / "file.txt").write_text("text\n")
    repository.commit()
    return repository


def test_a_clean_tree_on_a_branch_is_accepted(repository: Scratch) -> None:
    (repository.path / "build").mkdir()
    (repository.path / "build/made.txt").touch()
    check_clean(repository.path)


@pytest.mark.parametrize("name", ["file.txt", "new.txt", "name with ä.txt"])
def test_a_change_is_named(repository: Scratch, name: str) -> None:
    repository.git("config", "core.quotePath", "false")
    (repository.path / name).write_text("changed\n")
    with pytest.raises(ReleaseError, match=name):
        check_clean(repository.path)


def test_a_detached_head_is_refused(repository: Scratch) -> None:
    repository.git("checkout", "--quiet", "--detach")
    with pytest.raises(ReleaseError, match="no branch is checked out"):
        check_clean(repository.path)


def test_a_folder_without_git_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match="git"):
        check_clean(tmp_path)


def test_an_existing_tag_is_refused(repository: Scratch) -> None:
    check_tag(repository.path, Version("0.2.0"))
    repository.git("tag", "v0.2.0")
    check_tag(repository.path, Version("0.2.1"))
    with pytest.raises(ReleaseError, match=r"v0\.2\.0 exists"):
        check_tag(repository.path, Version("0.2.0"))


@pytest.mark.parametrize(
    "remote",
    [
        "https://github.com/pygnc/pygnc",
        "https://somebody@GitHub.com/pygnc/pygnc.git",
        "git@github.com:pygnc/pygnc.git",
        "ssh://git@github.com:22/pygnc/pygnc/",
    ],
)
def test_the_declared_repository_must_be_a_remote_one(repository: Scratch, remote: str, tmp_path: Path) -> None:
    repository.git("remote", "add", "local", str(tmp_path))
    assert not check_repository(repository.path, "https://github.com/pygnc/pygnc")
    repository.git("remote", "add", "origin", remote)
    assert check_repository(repository.path, "https://github.com/pygnc/pygnc")
    with pytest.raises(ReleaseError, match=r"github\.com/pygnc/other, but the remote is"):
        check_repository(repository.path, "https://github.com/pygnc/other")


def test_the_record_must_name_the_present_commit(repository: Scratch, tmp_path: Path) -> None:
    record, passed = tmp_path / "ci-passed.txt", repository.git("rev-parse", "HEAD")
    record.write_text(f"{passed} passed at 2026-11-23T12:00:00Z\n")
    check_ci(repository.path, record)
    later = repository.commit()
    with pytest.raises(ReleaseError, match=f"passed for {passed[:12]}.*{later[:12]}"):
        check_ci(repository.path, record)


@pytest.mark.parametrize("content", [b"", b"passed\n", b"0123456 passed\n", b"\xff\xfe", b"\0" * 100])
def test_a_file_that_is_no_record_is_refused(repository: Scratch, tmp_path: Path, content: bytes) -> None:
    record = tmp_path / "ci-passed.txt"
    record.write_bytes(content)
    with pytest.raises(ReleaseError, match="record"):
        check_ci(repository.path, record)


def test_a_missing_record_is_named_with_the_remedy(repository: Scratch, tmp_path: Path) -> None:
    with pytest.raises(ReleaseError, match=r"absent\.txt: .*No such file.*run \.ci/run"):
        check_ci(repository.path, tmp_path / "absent.txt")
