"""Files, tag and branch of a release change together or not at all; worktrees are removed in any case."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from packaging.version import Version

from scripts.release.errors import ReleaseError
from scripts.release.publication import compare, publish
from scripts.release.worktrees import VERSION_FILE, add_worktree, umask, working_folder
from tests.scripts.release.scratch import Scratch, new_repository

VERSION = Version("0.2.0")


@pytest.fixture
def repository(tmp_path: Path) -> Scratch:
    repository = new_repository(tmp_path / "repository")
    repository.git("config", "user.name", "Test")
    repository.git("config", "user.email", "test@example.org")
    (repository.path / ".gitignore").write_text("/build/\n/dist/\n")
    (repository.path / VERSION_FILE).parent.mkdir(parents=True)
    (repository.path / VERSION_FILE).write_text("0.1.0\n")
    (repository.path / "removed.txt").touch()
    repository.commit()
    return repository


def prepare(repository: Scratch, work: Path) -> tuple[str, Path]:
    """Make a release commit in a worktree, and files of the release; return both."""
    worktree = Scratch(add_worktree(repository.path, work / "first", "HEAD"))
    (worktree.path / VERSION_FILE).write_text("0.2.0\n")
    (worktree.path / "removed.txt").unlink()
    (worktree.path / "added.txt").touch()
    (work / "files").mkdir()
    (work / "files/flight.zip").touch()
    return worktree.commit("Release"), work / "files"


def test_files_tag_and_branch_are_published(repository: Scratch) -> None:
    with working_folder(repository.path) as work:
        commit, files = prepare(repository, work)
        target = publish(repository.path, commit, VERSION, files)
    assert [path.name for path in target.iterdir()] == ["flight.zip"]
    assert repository.git("rev-parse", "HEAD") == repository.git("rev-parse", "v0.2.0^{commit}") == commit
    assert repository.git("status", "--porcelain") == ""
    assert (repository.path / VERSION_FILE).read_text() == "0.2.0\n"
    assert len(repository.git("worktree", "list").splitlines()) == 1
    assert not list((repository.path / "build").iterdir())


def forbid_tags(repository: Scratch) -> None:
    repository.hook("reference-transaction", '[ "$1" = prepared ] && grep -q refs/tags/ && exit 1; exit 0')


def forbid_to_move_the_branch(repository: Scratch) -> None:
    repository.hook("reference-transaction", '[ "$1" = prepared ] && grep -q refs/heads/main && exit 1; exit 0')


def commit_meanwhile(repository: Scratch) -> None:
    (repository.path / "other.txt").touch()
    repository.commit("Other work")


def change_meanwhile(repository: Scratch) -> None:
    (repository.path / VERSION_FILE).write_text("work in progress\n")


def add_meanwhile(repository: Scratch) -> None:
    (repository.path / "added.txt").write_text("work in progress\n")


@pytest.mark.parametrize(
    "disturb", [forbid_tags, forbid_to_move_the_branch, commit_meanwhile, change_meanwhile, add_meanwhile]
)
def test_what_fails_is_undone(repository: Scratch, disturb: Callable[[Scratch], None]) -> None:
    with working_folder(repository.path) as work:
        commit, files = prepare(repository, work)
        disturb(repository)
        before, content = repository.state()[:2], repository.git("status", "--porcelain")
        with pytest.raises(ReleaseError, match=r"git (tag|merge) .* failed"):
            publish(repository.path, commit, VERSION, files)
    assert repository.state()[:2] == before
    assert repository.git("status", "--porcelain") == content
    assert not list((repository.path / "dist").iterdir())


def test_a_second_release_is_refused_while_one_runs(repository: Scratch) -> None:
    with (
        working_folder(repository.path),
        pytest.raises(ReleaseError, match="another release is running"),
        working_folder(repository.path),
    ):
        pass


def test_what_a_killed_release_left_is_removed(repository: Scratch) -> None:
    before = repository.state()
    add_worktree(repository.path, repository.path / "build/release/first", "HEAD")
    assert repository.state() != before
    with working_folder(repository.path) as work:
        assert not list(work.iterdir())
        prepare(repository, work)
    assert repository.state()[:4] == before[:4]


def test_an_error_in_the_folder_is_passed_on_after_it_is_removed(repository: Scratch) -> None:
    def fail() -> None:
        with working_folder(repository.path) as work:
            prepare(repository, work)
            raise KeyboardInterrupt

    before = repository.state()
    with pytest.raises(KeyboardInterrupt):
        fail()
    assert repository.state()[:4] == before[:4]


def test_permissions_of_new_files_are_changed_for_a_while(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with umask(0o077):
            (tmp_path / "private").touch()
        (tmp_path / "public").touch()
    finally:
        os.umask(before)
    modes = [(tmp_path / name).stat().st_mode & 0o777 for name in ("private", "public")]
    assert modes == [0o600, 0o644]


@pytest.mark.parametrize(
    ("second", "different"),
    [
        ({"a": "1", "b": "2"}, None),
        ({"a": "1", "b": "3"}, "b"),
        ({"a": "1"}, "b"),
        ({"a": "1", "b": "2", "c": ""}, "c"),
        ({"a": "2", "b": "1"}, "a, b"),
    ],
)
def test_two_builds_must_agree_in_names_and_bytes(
    tmp_path: Path, second: dict[str, str], different: str | None
) -> None:
    for folder, content in (("one", {"a": "1", "b": "2"}), ("two", second)):
        (tmp_path / folder).mkdir()
        for name, text in content.items():
            (tmp_path / folder / name).write_text(text)
    if different is None:
        compare(tmp_path / "one", tmp_path / "two")
    else:
        with pytest.raises(ReleaseError, match=f"differ in {different}$"):
            compare(tmp_path / "one", tmp_path / "two")
