"""Rehearsal of the next release in a scratch clone (0.2.0 after 0.1.0), and of its failures."""

import json
import re
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from email.parser import Parser
from pathlib import Path

import pytest
import yaml
from packaging.version import Version

from scripts.package_flight_code import ROOT, read_version
from scripts.release.checks import CI_RECORD
from scripts.release.locks import read_lock
from tests.scripts.release.scratch import ENVIRONMENT, Scratch, clone_of_this_tree

PRESENT = Version(read_version())
VERSION = f"{PRESENT.major}.{PRESENT.minor + 1}.0"
DISTRIBUTIONS = (
    "pygnc",
    "pygnc_batonopc",
    "pygnc_devices",
    "pygnc_emus_lib",
    "pygnc_ground",
    "pygnc_old_logs",
    "pygnc_station",
    "pygnc_tinycloud",
)
DEBIAN_PACKAGES = {
    f"pygnc-station_{VERSION}+deb{release}_{architecture}.deb"
    for architecture in ("amd64", "arm64")
    for release in ("12", "13")
}
FILES = {
    *DEBIAN_PACKAGES,
    *(f"{name}-{VERSION}{suffix}" for name in DISTRIBUTIONS for suffix in (".tar.gz", "-py3-none-any.whl")),
    "SHA256SUMS",
    "bom.cdx.json",
    "flight.zip",
    "licences.md",
}

STAND_IN = """\
import sys
from pathlib import Path

from pygnc_system import __version__

_, _, architecture, _, release, _, wheels, _, out = sys.argv
Path(wheels).mkdir(parents=True, exist_ok=True)
(Path(out) / f"pygnc-station_{__version__}+deb{release}_{architecture}.deb").write_text(architecture)
"""
"""Program that takes the place of the one that builds the Debian package."""

# One worker installs the tools for all of them.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.index,
    pytest.mark.xdist_group("release"),
    pytest.mark.timeout(300),  # installs the tools, and builds the distributions twice
]


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the Python of an environment with the locked tools for releases."""
    environment = tmp_path_factory.mktemp("tools") / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    pip = [sys.executable, "-m", "pip", "--python", str(environment), "--disable-pip-version-check", "install"]
    locked = ["--quiet", "--require-hashes", "--only-binary", ":all:", "--no-compile"]
    locked += ["-r", str(ROOT / "requirements/release.txt")]
    done = subprocess.run([*pip, *locked], capture_output=True, text=True, check=False)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("no package index answers")
    assert done.returncode == 0, done.stderr
    return environment / "bin/python"


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Scratch:
    """Return a clone of this tree that .ci/run has passed, with one more change for users."""
    clone = clone_of_this_tree(tmp_path_factory.mktemp("origin") / "clone")
    # The tests of the Debian package build the real one, which takes long.
    (clone.path / "scripts/build_debian_package.py").write_text(STAND_IN)
    fragment = clone.path / "changelog.d/+rehearsal.added.md"
    fragment.write_text("A rehearsal of the release,\nin two lines.\n")
    clone.commit("Add a change for users")
    return clone


@pytest.fixture
def clone(origin: Scratch, tmp_path: Path) -> Scratch:
    """Return a clone with the record that its commit passed the checks."""
    subprocess.run(
        ["git", "clone", "--quiet", "--shared", str(origin.path), str(tmp_path / "clone")],  # noqa: S607
        env=ENVIRONMENT,
        check=True,
    )
    return passed(Scratch(tmp_path / "clone"))


def passed(clone: Scratch) -> Scratch:
    """Commit all changes and record that the commit passed, as .ci/run does."""
    head = clone.commit()
    record = clone.path / CI_RECORD
    record.parent.mkdir(exist_ok=True)
    record.write_text(f"{head} passed at 2026-11-23T12:00:00Z\n")
    return clone


def command(tools: Path, version: str = VERSION, *options: str) -> list[str]:
    fixed = ["--python", sys.executable, "--installations", "none"]
    return [str(tools), "-m", "scripts.release", version, *fixed, *options]


def release(clone: Scratch, tools: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(tools, *arguments), cwd=clone.path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )


def test_a_release_is_built_committed_and_tagged(clone: Scratch, tools: Path) -> None:
    start = clone.git("rev-parse", "HEAD")
    done = release(clone, tools)
    assert done.returncode == 0, done.stderr

    commit = clone.git("rev-parse", "HEAD")
    assert clone.git("symbolic-ref", "--short", "HEAD") == "main"
    assert (clone.git("rev-parse", "HEAD~1"), clone.git("rev-parse", f"v{VERSION}^{{commit}}")) == (start, commit)
    assert clone.git("cat-file", "-t", f"v{VERSION}") == "tag"
    assert clone.git("status", "--porcelain") == ""
    assert len(clone.git("worktree", "list").splitlines()) == 1
    check_tree(clone.path)

    files = clone.path / "dist" / VERSION
    assert {path.name for path in files.iterdir()} == FILES
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=files, check=True, capture_output=True)  # noqa: S607
    assert len((files / "SHA256SUMS").read_text().splitlines()) == len(FILES) - 1
    check_files(files, commit)
    check_bill_of_materials(files)


def check_tree(tree: Path) -> None:
    assert f'__version__ = "{VERSION}"' in (tree / "flight/pygnc_system/__init__.py").read_text()
    citation = yaml.safe_load((tree / "CITATION.cff").read_text())
    assert (citation["version"], len(citation["date-released"])) == (VERSION, len("2026-11-23"))
    assert citation["repository-code"].startswith("https://")
    newest = (tree / "CHANGELOG.md").read_text().partition("<!-- releases -->\n\n## ")[2].partition("\n## ")[0]
    assert re.match(re.escape(VERSION) + r" \(\d{4}-\d\d-\d\d\)\n\n### ", newest)
    assert "\n- A rehearsal of the release,\n  in two lines.\n" in newest
    assert [path.name for path in (tree / "changelog.d").iterdir()] == ["README.md"]
    assert {path.stat().st_mode & 0o777 for path in (tree / "flight").rglob("*.py")} == {0o644}


def check_files(files: Path, commit: str) -> None:
    for name in DISTRIBUTIONS:
        with zipfile.ZipFile(files / f"{name}-{VERSION}-py3-none-any.whl") as wheel:
            (metadata,) = [entry for entry in wheel.namelist() if entry.endswith(".dist-info/METADATA")]
            assert Parser().parsestr(wheel.read(metadata).decode())["Version"] == VERSION
    with zipfile.ZipFile(files / "flight.zip") as flight:
        assert flight.read("pygnc_version.info").decode().split()[1:] == [commit, VERSION]


def check_bill_of_materials(files: Path) -> None:
    bill = json.loads((files / "bom.cdx.json").read_text())
    components = {one["name"]: one["version"] for one in bill["components"]}
    ours = {name.replace("_", "-") for name in DISTRIBUTIONS}
    assert {components.pop(name) for name in ours} == {VERSION}
    lock = read_lock(ROOT / "requirements/development.txt")
    pages = json.loads((ROOT / "requirements/frontend/package-lock.json").read_text())["packages"]
    shown = {name: pages[f"node_modules/{name}"]["version"] for name in ("three", "uplot")}
    assert {name: components.pop(name) for name in shown} == shown
    assert "esbuild" not in components
    assert components == {name: str(lock[name].version) for name in lock if name in components}
    flight = read_lock(ROOT / "requirements/flight.txt")
    assert set(flight) <= components.keys()
    assert "pytest" not in components
    needs = {one["ref"]: set(one.get("dependsOn", ())) for one in bill["dependencies"]}
    assert f"pkg:pypi/numpy@{lock['numpy'].version}" in needs[f"pkg:pypi/pyerfa@{lock['pyerfa'].version}"]  # type: ignore[index]
    assert {one["ref"] for one in bill["dependencies"]} >= set().union(*needs.values())
    rows = [line.split(" | ") for line in (files / "licences.md").read_text().splitlines() if line.startswith("| ")]
    assert f"pkg:npm/uplot@{shown['uplot']}" in needs[f"pkg:pypi/pygnc-devices@{VERSION}"]
    assert {row[0].removeprefix("| "): row[1] for row in rows[1:]} == components | shown
    assert all(row[2].strip() for row in rows)


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def change_a_file(clone: Scratch) -> None:
    edit(clone.path / "README.md", "PyGNC", "PyGNC!")


def leave_files_of_another_build(clone: Scratch) -> None:
    (clone.path / "dist" / VERSION).mkdir(parents=True)


def remove_all_fragments(clone: Scratch) -> None:
    for path in (clone.path / "changelog.d").glob("+*"):
        path.unlink()
    passed(clone)


def add_a_fragment_of_an_unknown_kind(clone: Scratch) -> None:
    (clone.path / "changelog.d/+thing.feature.md").write_text("Text.\n")
    passed(clone)


def set_the_version_twice(clone: Scratch) -> None:
    with (clone.path / "flight/pygnc_system/__init__.py").open("a") as module:
        module.write('__version__ = "0.1.1"\n')
    passed(clone)


def forbid_commits(clone: Scratch) -> None:
    clone.hook("pre-commit", "echo no commits today >&2; exit 1")


def require_a_library_without_version(clone: Scratch) -> None:
    edit(clone.path / "pyproject.toml", 'requires = ["msgspec", "pyserial"]', 'requires = ["nothing"]')
    passed(clone)


def lack_a_program_for_the_debian_package(clone: Scratch) -> None:
    (clone.path / "scripts/build_debian_package.py").write_text(
        'raise SystemExit("aarch64-linux-gnu-strip is missing")\n'
    )
    build_one_distribution(clone)


def pack_the_permissions(clone: Scratch) -> None:
    edit(clone.path / "scripts/package_flight_code.py", "0o100644 << 16", "LOCK.stat().st_mode << 16")
    build_one_distribution(clone)


def build_one_distribution(clone: Scratch) -> None:
    """Leave out the other distributions, which saves time."""
    edit(
        clone.path / "scripts/release/files.py", '["distributions"]:', '["distributions"].fromkeys(["pygnc-devices"]):'
    )
    passed(clone)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (change_a_file, r"not committed \(README\.md\)"),
        (leave_files_of_another_build, rf"dist/{VERSION} exists"),
        (remove_all_fragments, r"no changes to release"),
        (add_a_fragment_of_an_unknown_kind, r"thing\.feature\.md"),
        (set_the_version_twice, r"__init__\.py: 2 lines start with '__version__ = '"),
        (forbid_commits, r"no commits today"),
        (require_a_library_without_version, r"build: .*exited with 1(.|\n)*KeyError: 'nothing'"),
        (lack_a_program_for_the_debian_package, r"\naarch64-linux-gnu-strip is missing\n"),
        (pack_the_permissions, r"two builds of the same commit differ in flight\.zip"),
    ],
)
def test_a_failure_is_named_and_leaves_the_tree_as_it_was(
    clone: Scratch, tools: Path, prepare: Callable[[Scratch], None], message: str
) -> None:
    prepare(clone)
    before = clone.state()
    done = release(clone, tools)
    assert done.returncode == 1, done.stdout
    assert re.search(message, done.stderr), done.stderr
    assert done.stderr.endswith("Nothing was released; the tree and its tags are unchanged.\n")
    assert "Traceback" not in done.stderr or "build: " in done.stderr
    assert clone.state() == before


def test_the_present_version_is_refused(clone: Scratch, tools: Path) -> None:
    before = clone.state()
    done = release(clone, tools, str(PRESENT))
    assert (done.returncode, "not above the present version" in done.stderr) == (1, True)
    assert clone.state() == before


def test_advisories_stop_a_release(clone: Scratch, tools: Path, tmp_path: Path) -> None:
    package = {"ecosystem": "PyPI", "name": "numpy"}
    affected = {"package": package, "ranges": [{"type": "ECOSYSTEM", "events": [{"introduced": "0"}]}]}
    (tmp_path / "advisory.json").write_text(json.dumps({"id": "TEST-1", "affected": [affected]}))
    before = clone.state()
    done = release(clone, tools, VERSION, "--advisories", str(tmp_path / "advisory.json"))
    assert done.returncode == 1
    assert re.search(r"flight\.txt: numpy [0-9.]+: TEST-1", done.stderr)
    assert clone.state() == before


def test_a_terminated_release_leaves_the_tree_as_it_was(clone: Scratch, tools: Path) -> None:
    before = clone.state()
    with subprocess.Popen(
        command(tools), cwd=clone.path, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as running:
        assert running.stdout is not None
        assert any("first build" in line for line in running.stdout)
        wait_for_files(clone)
        running.terminate()
        assert running.wait(timeout=30) == 1
    assert clone.state() == before


def wait_for_files(clone: Scratch) -> None:
    """Wait until the first build has begun to write files."""
    files, deadline_s = clone.path / "build/release/files", time.monotonic() + 60
    while not (files.exists() and any(files.iterdir())):
        assert time.monotonic() < deadline_s
        time.sleep(0.01)
