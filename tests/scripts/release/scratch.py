"""Scratch repositories for the tests of releases."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[3]
# Nothing of the caller's git settings reaches what is tested.
ENVIRONMENT: Final = {
    "PATH": os.environ["PATH"],
    "LANG": "C.UTF-8",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
    "GIT_AUTHOR_NAME": "Test",
    "GIT_AUTHOR_EMAIL": "test@example.org",
    "GIT_COMMITTER_NAME": "Test",
    "GIT_COMMITTER_EMAIL": "test@example.org",
}


@dataclass(frozen=True)
class Scratch:
    """A git repository of a test."""

    path: Path

    def git(self, *arguments: str) -> str:
        command = [shutil.which("git") or "git", "-C", str(self.path), *arguments]
        return subprocess.run(command, env=ENVIRONMENT, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, message: str = "Change") -> str:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", message)
        return self.git("rev-parse", "HEAD")

    def hook(self, name: str, script: str) -> None:
        """Let git run a script."""
        path = self.path / ".git/hooks" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def state(self) -> tuple[str, ...]:
        """Return all that a failed release must leave as it was: branch, refs, worktrees, changes and built files."""
        built = sorted(str(path) for folder in ("build", "dist") for path in (self.path / folder).rglob("*"))
        commands = ("symbolic-ref HEAD", "for-each-ref", "worktree list", "status --porcelain", "diff HEAD")
        return (*(self.git(*command.split()) for command in commands), *built)


def new_repository(path: Path) -> Scratch:
    path.mkdir(parents=True)
    repository = Scratch(path)
    repository.git("init", "--quiet", "--initial-branch", "main")
    return repository


def clone_of_this_tree(path: Path) -> Scratch:
    """Clone this checkout, and commit what is not committed in it."""
    subprocess.run(
        [shutil.which("git") or "git", "clone", "--quiet", "--no-tags", str(ROOT), str(path)],
        env=ENVIRONMENT,
        check=True,
    )
    clone, origin = Scratch(path), Scratch(ROOT)
    clone.git("checkout", "--quiet", "-B", "main")
    present = set(origin.git("ls-files", "--cached", "--others", "--exclude-standard", "-z").strip("\0").split("\0"))
    for name in {*clone.git("ls-files", "-z").strip("\0").split("\0"), *present}:
        source, target = ROOT / name, path / name
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        else:
            target.unlink(missing_ok=True)
    clone.commit("Work in progress")
    return clone
