"""Conditions for a release: the version, the state of the tree, and the record of the checks."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Final

from packaging.version import InvalidVersion, Version

from scripts.release.errors import ReleaseError

CI_RECORD: Final = Path("build/ci-passed.txt")
"""File in which .ci/run records the commit that passed it."""
RELEASE_NUMBERS: Final = 3
COMMIT: Final = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REMOTE: Final = re.compile(
    r"(?:(?:https?|ssh|git)://(?:[^@/]*@)?([^/:]+)(?::\d+)?/|[^@/:]+@([^/:]+):)(.+?)(?:\.git)?/?"
)
"""Address of a repository on a host, as https://host/path.git or user@host:path."""


def git(tree: Path, *arguments: str) -> str:
    """Run git in a tree and return its output.

    Raises:
        ReleaseError: git failed; the message contains its output.
    """
    command = [shutil.which("git") or "git", "-C", str(tree), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        message = f"git {' '.join(arguments)} failed: {(done.stderr or done.stdout).strip()}"
        raise ReleaseError(message)
    return done.stdout.rstrip("\n")


def check_version(text: str, present: str) -> Version:
    """Return the version of a release if it may follow the present one.

    Raises:
        ReleaseError: not a version, not written x.y.z, or not above the present version.
    """
    form = "three numbers such as 1.2.0, and a1, b1 or rc1 at the end of a pre-release"
    try:
        version = Version(text)
    except InvalidVersion:
        message = f"VERSION {text!r} is not a version (PEP 440); write {form}"
        raise ReleaseError(message) from None
    public = version.epoch == 0 and version.local is None and version.post is None and version.dev is None
    if not public or len(version.release) != RELEASE_NUMBERS or str(version) != text:
        message = f"VERSION {text!r} is not a version of this project; write {form}"
        raise ReleaseError(message)
    if version <= Version(present):
        message = f"VERSION {text} is not above the present version {present}"
        raise ReleaseError(message)
    return version


def tag_of(version: Version) -> str:
    """Return the name of a version's tag."""
    return f"v{version}"


def check_tag(tree: Path, version: Version) -> None:
    """Raise ReleaseError if the version has a tag."""
    if git(tree, "tag", "--list", tag_of(version)):
        message = f"the tag {tag_of(version)} exists; choose a higher version, or delete a tag that was never published"
        raise ReleaseError(message)


def check_clean(tree: Path) -> None:
    """Raise ReleaseError if the tree has uncommitted or untracked files, or is not on a branch."""
    if changes := git(tree, "status", "--porcelain").splitlines():
        shown = ", ".join(change[3:] for change in changes[:5])
        more = f" and {len(changes) - 5} more" if len(changes) > 5 else ""
        message = f"the tree has changes that are not committed ({shown}{more}); commit, ignore or remove them"
        raise ReleaseError(message)
    if not git(tree, "branch", "--show-current"):
        message = "no branch is checked out; check out the branch to release from"
        raise ReleaseError(message)


def check_repository(tree: Path, declared: str) -> bool:
    """Return True if a remote repository of the tree is the declared one, False if none is on a host.

    Raises:
        ReleaseError: the remote repositories are others; metadata and READMEs would link to a wrong address.
    """
    remotes = {line.split()[1] for line in git(tree, "remote", "-v").splitlines()}
    places = {remote: place for remote in remotes if (place := _place(remote))}
    if places and _place(declared) not in places.values():
        message = (
            f"pyproject.toml declares the repository {declared}, but the remote is {', '.join(sorted(places))};"
            " correct [project.urls]"
        )
        raise ReleaseError(message)
    return bool(places)


def _place(address: str) -> str:
    """Return host and path of a repository's address; empty if it is on no host."""
    found = _REMOTE.fullmatch(address)
    return f"{found[1] or found[2]}/{found[3]}".lower() if found else ""


def check_ci(tree: Path, record: Path) -> None:
    """Raise ReleaseError if the record of .ci/run is missing or belongs to another commit."""
    head = git(tree, "rev-parse", "HEAD")
    remedy = f"run .ci/run --all on {head[:12]}, or name the record of such a run: make release CI_RECORD=FILE"
    try:
        words = record.read_text(encoding="utf-8").split()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not text"
        message = f"{record}: no record that this commit passed its checks ({reason}); {remedy}"
        raise ReleaseError(message) from None
    if not words or COMMIT.fullmatch(words[0]) is None:
        message = f"{record}: not a record of .ci/run; {remedy}"
        raise ReleaseError(message)
    if words[0] != head:
        message = f"{record}: the checks passed for {words[0][:12]}, not for the present commit; {remedy}"
        raise ReleaseError(message)
