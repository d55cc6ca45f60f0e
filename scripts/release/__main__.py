"""Make a release: `make release VERSION=x.y.z`. docs/release.md describes each step.

Everything is prepared in worktrees below build/. The branch, its files and the tags change last and together, so that a
failure leaves the tree as it was.
"""

import argparse
import os
import signal
import subprocess
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from packaging.version import Version

from scripts.build_distributions import repository
from scripts.package_flight_code import ROOT, read_version
from scripts.release.advisories import check_advisories
from scripts.release.checks import (
    CI_RECORD,
    check_ci,
    check_clean,
    check_repository,
    check_tag,
    check_version,
    git,
    tag_of,
)
from scripts.release.errors import ReleaseError
from scripts.release.files import ARCHITECTURES
from scripts.release.publication import compare, folder_of, publish
from scripts.release.worktrees import VERSION_FILE, add_worktree, umask, working_folder

CITATION: Final = Path("CITATION.cff")
FRAGMENTS: Final = Path("changelog.d")
ELSEWHERE: Final = {"TZ": "Pacific/Auckland", "LC_ALL": "C", "PYTHONHASHSEED": "1"}
"""Environment of the second build, which must not change a byte."""
OUTPUT_LINES: Final = 15


def main() -> None:
    """Make a release; exit with 1 and leave the tree unchanged if that fails."""
    parser = argparse.ArgumentParser(
        prog="release", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("version", metavar="VERSION", help="Version x.y.z of the release.")
    parser.add_argument("--ci-record", type=Path, default=ROOT / CI_RECORD, metavar="FILE", help="Record of .ci/run.")
    parser.add_argument("--advisories", type=Path, metavar="PATH", help="OSV advisories that the locks are checked by.")
    parser.add_argument(
        "--python",
        type=Path,
        default=Path(sys.executable),
        help="Python of the environment with the project and its libraries (default: this one).",
    )
    parser.add_argument(
        "--debian",
        nargs="*",
        choices=ARCHITECTURES,
        default=ARCHITECTURES,
        metavar="ARCHITECTURE",
        help=f"Architectures of the Debian packages (default: {' '.join(ARCHITECTURES)}).",
    )
    parser.add_argument(
        "--installations",
        choices=("all", "none"),
        default="all",
        help="Install each distribution and do its main job, in half an hour, or do not (default: all).",
    )
    arguments = parser.parse_args()
    # A terminated release cleans up like an interrupted one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        # An absolute path, but not that of the interpreter which a virtual environment links to.
        options = ["--python", str(arguments.python.absolute()), "--debian", *arguments.debian]
        installed = arguments.installations == "all"
        release(arguments.version, arguments.ci_record, arguments.advisories, options, installed=installed)
    except (ReleaseError, OSError, ValueError) as error:
        sys.exit(f"release: {error}\nNothing was released; the tree and its tags are unchanged.")
    except KeyboardInterrupt:
        sys.exit("release: interrupted\nNothing was released; the tree and its tags are unchanged.")


def release(text: str, ci_record: Path, advisories: Path | None, options: list[str], *, installed: bool) -> None:
    """Check the conditions, prepare the release, then move the branch and set the tag.

    `options` are those of `scripts.release.files`. `installed`: install and try the distributions first.
    """
    version = check_version(text, read_version())
    target = folder_of(ROOT, version)
    with working_folder(ROOT) as work, umask(0o022):
        report("tree, tag and record of the checks")
        check_clean(ROOT)
        check_tag(ROOT, version)
        check_ci(ROOT, ci_record)
        address = repository(tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8")))
        if not check_repository(ROOT, address):
            report(f"no remote repository on a host; the address {address} is not checked")
        if target.exists():
            message = f"{target} exists; remove it"
            raise ReleaseError(message)
        if not any(path.name != "README.md" for path in (ROOT / FRAGMENTS).iterdir()):
            message = f"{FRAGMENTS} has no changes to release; add a fragment that says what is new"
            raise ReleaseError(message)
        if advisories is None:
            report("advisories: not checked, because no ADVISORIES are given")
        else:
            report("advisories")
            check_advisories(ROOT, advisories)
        start = git(ROOT, "rev-parse", "HEAD")
        report(f"version {version} and changelog")
        first = add_worktree(ROOT, work / "first", start)
        commit = commit_release(first, version, address)
        report("files, first build")
        options = ["--wheels", str(work / "wheels"), *options]
        files = build_files(first, work / "files", options)
        report("files, second build in another place")
        with umask(0o077):
            second = add_worktree(ROOT, work / "a second place", commit)
            again = build_files(second, work / "files again", options, **ELSEWHERE)
        compare(files, again)
        if installed:
            report("installations at the lowest and newest versions of the libraries")
            print(run(first, "installations", "scripts.check_installation", "--files", str(files)))
        publish(ROOT, commit, version, files)
    report(f"{tag_of(version)} is commit {commit[:12]}; its files are in {target.relative_to(ROOT)}")
    print(f"Publish it with: git push origin HEAD {tag_of(version)}")


def report(step: str) -> None:
    """Print a step of the release at once."""
    print(f"release: {step}", flush=True)


def run(tree: Path, step: str, *module: str, **environment: str) -> str:
    """Run a module of Python in a tree and return its output.

    Raises:
        ReleaseError: the module failed; the message contains the end of its output.
    """
    command = [sys.executable, "-m", *module]
    done = subprocess.run(command, cwd=tree, env=os.environ | environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-OUTPUT_LINES:])
        message = f"{step}: {' '.join(module)} exited with {done.returncode}:\n{last}"
        raise ReleaseError(message)
    return done.stdout


def commit_release(tree: Path, version: Version, address: str) -> str:
    """Set the version and the repository's address, assemble the changelog and commit both; return the commit."""
    today = datetime.now(UTC).date().isoformat()
    set_line(tree / VERSION_FILE, "__version__ = ", f'"{version}"')
    if (tree / CITATION).exists():
        set_line(tree / CITATION, "version: ", f'"{version}"')
        set_line(tree / CITATION, "repository-code: ", f'"{address}"')
        set_line(tree / CITATION, "date-released: ", f'"{today}"')
    run(tree, "changelog", "towncrier", "build", "--yes", "--version", str(version), "--date", today)
    git(tree, "commit", "--quiet", "--all", "--message", f"Release {version}")
    if left := git(tree, "status", "--porcelain"):
        message = f"files of the release are not in its commit: {left}"
        raise ReleaseError(message)
    return git(tree, "rev-parse", "HEAD")


def set_line(path: Path, key: str, value: str) -> None:
    """Replace the line of a file that starts with a key, or add one at its end.

    Raises:
        ReleaseError: several lines start with the key.
    """
    lines = path.read_text(encoding="utf-8").splitlines()
    places = [index for index, line in enumerate(lines) if line.startswith(key)] or [len(lines)]
    if len(places) > 1:
        message = f"{path.name}: {len(places)} lines start with {key!r}, not one"
        raise ReleaseError(message)
    lines[places[0] : places[0] + 1] = [key + value]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def build_files(tree: Path, out: Path, options: list[str], **environment: str) -> Path:
    """Build the files of the release in a tree."""
    run(tree, "build", "scripts.release.files", "--out", str(out), *options, **environment)
    return out


if __name__ == "__main__":
    main()
