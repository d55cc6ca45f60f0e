"""Last step of a release: compare the two builds, and publish files, tag and branch together."""

import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from packaging.version import Version

from scripts.release.checks import git, tag_of
from scripts.release.errors import ReleaseError

SUMS: Final = "SHA256SUMS"


def folder_of(tree: Path, version: Version) -> Path:
    """Return the folder for the files of a release."""
    return tree / "dist" / str(version)


def compare(first: Path, second: Path) -> None:
    """Raise ReleaseError if two folders differ in a name or a byte."""
    contents = [{path.name: path.read_bytes() for path in folder.iterdir()} for folder in (first, second)]
    names = sorted(set().union(*contents))
    if different := [name for name in names if contents[0].get(name) != contents[1].get(name) and name != SUMS]:
        message = f"two builds of the same commit differ in {', '.join(different)}"
        raise ReleaseError(message)


def publish(tree: Path, commit: str, version: Version, files: Path) -> Path:
    """Move the files to dist/VERSION, set the tag and move the branch to the commit; return the folder of the files.

    Raises:
        ReleaseError: one of these failed; what was done before is undone.
    """
    target, start = folder_of(tree, version), git(tree, "rev-parse", "HEAD")
    with ExitStack() as undo:
        target.parent.mkdir(exist_ok=True)
        undo.callback(shutil.rmtree, target, ignore_errors=True)
        files.rename(target)
        git(tree, "tag", "--annotate", "--message", f"PyGNC {version}", tag_of(version), commit)
        undo.callback(git, tree, "tag", "--delete", tag_of(version))
        undo.callback(_restore, tree, commit, start)
        git(tree, "merge", "--quiet", "--ff-only", commit)
        undo.pop_all()
    return target


def _restore(tree: Path, commit: str, start: str) -> None:
    """Restore the files of the start if a merge changed them and then could not move the branch."""
    if not git(tree, "diff", "--cached", "--name-only", commit):
        git(tree, "read-tree", "-m", "-u", commit, start)
