"""The distributions: what they contain, and that each works alone when it is installed from its built files."""

import hashlib
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from configparser import ConfigParser
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import pygnc_system
from pygnc.formats.sense import SenseLayout
from scripts.build_frontend import FILES, LOCK
from scripts.check_installation import JOBS, find_python, install, run_job
from scripts.check_resolution import PYTHONS
from tests.e2e.conftest import minute_after
from tests.package_index import skip_without_index, uv
from tests.programs import needs

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DISTRIBUTIONS = PROJECT["tool"]["pygnc"]["distributions"]
SENSE = (ROOT / "data" / "demo" / "sense.bin").read_bytes()[: 24 * SenseLayout().size]
LIMITS_MB = {"pygnc-devices": 45, "pygnc-station": 80}
SHORT_JOBS = {
    "pygnc-ground": """
pygnc fly 10 {t_spacecraft_s} --exit-when-done
pygnc replay pygnc_logs/run-00001 --out replay""",
    "pygnc-ground[campaign]": """
printf 'preset = "nominal"\\n[scenario]\\nduration_s = 900\\n' > campaign.toml
pygnc campaign campaign.toml --out campaign --workers 1
pygnc campaign rerun campaign 0 --out again
pygnc replay again/sense.bin --out replay""",
    "pygnc-station": "pygnc station families",
}
"""Jobs of a few seconds in place of those of a release."""
LOWEST = {"pygnc-ground": "pygnc-ground[campaign]"}
"""Requirements that are installed at their lowest versions, where they are more than the distribution."""
QUICK = {"pygnc-devices", "pygnc-emus-lib"}
"""Distributions that are tried with every Python; `make installations` tries all of them."""
MISSING = {
    "pygnc-devices": ("replay", "pygnc-ground"),
    "pygnc": ("device", "pygnc-station"),
    "pygnc-ground": ("station", "pygnc-station"),
    "pygnc-station": ("fly", "pygnc"),
    "pygnc-emus-lib": ("device", "pygnc-station"),
    "pygnc-old-logs": ("station", "pygnc-station"),
    "pygnc-batonopc": ("fly", "pygnc"),
    "pygnc-tinycloud": ("fly", "pygnc"),
}

# One worker builds and installs for all of them.
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("distributions"), needs("npm")]


def build(out: Path, *names: str) -> dict[str, bytes]:
    """Build distributions; return the files by name."""
    command = [sys.executable, "-m", "scripts.build_distributions", "--out", str(out), *names]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    files = {path.name: path.read_bytes() for path in out.iterdir()}
    printed = {Path(line.split()[1]).name: line.split()[0] for line in done.stdout.splitlines()}
    assert printed == {name: hashlib.sha256(octets).hexdigest() for name, octets in files.items()}
    return files


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("distributions")
    build(out)
    return out


def wheel(built: Path, name: str) -> Path:
    (found,) = built.glob(f"{name.replace('-', '_')}-{pygnc_system.__version__}-*.whl")
    return found


def metadata(built: Path, name: str) -> Message:
    with zipfile.ZipFile(wheel(built, name)) as archive:
        (entry,) = [entry for entry in archive.namelist() if entry.endswith(".dist-info/METADATA")]
        return Parser().parsestr(archive.read(entry).decode())


def test_the_same_tree_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = build(tmp_path, "pygnc-devices", "pygnc-station")
    assert again == {name: (built / name).read_bytes() for name in again}


def test_every_package_and_data_file_is_in_exactly_one_distribution(built: Path) -> None:
    packages = [folder for one in DISTRIBUTIONS.values() for folder in one["packages"]]
    assert sorted(packages) == sorted(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    contents = [set(zipfile.ZipFile(wheel(built, name)).namelist()) for name in DISTRIBUTIONS]
    assert sum(map(len, contents)) == len(set().union(*contents))


def test_the_library_of_plots_is_included_with_its_licence(built: Path) -> None:
    names = zipfile.ZipFile(wheel(built, "pygnc-devices")).namelist()
    assert {f"pygnc_data/frontend/{name}" for name in (*FILES, LOCK.name)} <= set(names)


def test_every_entry_point_is_in_the_distribution_of_its_package(built: Path) -> None:
    found: dict[str, dict[str, str]] = {}
    for name, distribution in DISTRIBUTIONS.items():
        with zipfile.ZipFile(wheel(built, name)) as archive:
            texts = [archive.read(entry).decode() for entry in archive.namelist() if entry.endswith("entry_points.txt")]
        packages = {Path(folder).name for folder in distribution["packages"]}
        parser = ConfigParser(delimiters="=")
        for text in texts:
            parser.read_string(text)
        for group in parser.sections():
            for key, value in parser[group].items():
                assert value.partition(":")[0].partition(".")[0] in packages
                found.setdefault(group, {})[key] = value
    declared = PROJECT["project"]
    assert found == declared["entry-points"] | {"console_scripts": declared["scripts"]}


@pytest.mark.parametrize(
    "path", sorted(ROOT.glob("ground/plugins/*/pyproject.toml")), ids=lambda path: path.parent.name
)
def test_a_plug_in_declares_itself_as_its_distribution_is_declared(path: Path) -> None:
    own = tomllib.loads(path.read_text())["project"]
    declared = DISTRIBUTIONS[own["name"]]
    assert (own["description"], own["dependencies"]) == (declared["description"], declared["requires"])
    packages = {Path(one).name for one in declared["packages"]}
    found = {
        group: mine
        for group, entries in PROJECT["project"]["entry-points"].items()
        if (mine := {k: v for k, v in entries.items() if v.partition(":")[0].partition(".")[0] in packages})
    }
    assert own.get("entry-points", {}) == found


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_wheel_can_be_built_from_the_source_distribution(built: Path, name: str, tmp_path: Path) -> None:
    source = next(built.glob(f"{name.replace('-', '_')}-[0-9]*.tar.gz"))
    # Python's own tar file needs an argument that Python 3.11.2 of Debian 12 does not have.
    subprocess.run(["tar", "--extract", f"--file={source}", f"--directory={tmp_path}"], check=True)  # noqa: S607
    (tree,) = tmp_path.iterdir()
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel"], cwd=tree, check=True, capture_output=True
    )
    (again,) = (tree / "dist").iterdir()
    contents = [zipfile.ZipFile(path) for path in (wheel(built, name), again)]
    assert contents[0].namelist() == contents[1].namelist()
    assert all(contents[0].read(entry) == contents[1].read(entry) for entry in contents[0].namelist())


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distribution_requires_its_siblings_in_its_own_version(built: Path, name: str) -> None:
    required = [Requirement(text) for text in metadata(built, name).get_all("Requires-Dist", [])]
    siblings = {one.name: str(one.specifier) for one in required if one.name in DISTRIBUTIONS}
    assert siblings == {
        one: f"=={pygnc_system.__version__}" for one in DISTRIBUTIONS[name]["requires"] if one in DISTRIBUTIONS
    }
    always = {one.name for one in required if one.marker is None}
    heavy = {"scipy", "matplotlib", "polars", "numpy", "obstore", "mcap"}
    assert name in {"pygnc", "pygnc-ground", "pygnc-old-logs"} or not always & heavy


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distribution_describes_itself(built: Path, name: str) -> None:
    fields = metadata(built, name)
    text = str(fields.get_payload())
    assert text.startswith(f"# {name}\n")
    assert re.findall(r"\]\((?!https://)[^)]*\)", text) == []
    assert f"/blob/v{pygnc_system.__version__}/docs/installation.md" in text
    addresses = dict(one.split(", ") for one in fields.get_all("Project-URL", []))
    assert addresses.keys() >= {"Repository", "Documentation", "Issues", "Changelog"}
    repository = PROJECT["project"]["urls"]["Repository"]
    assert addresses["Repository"] == repository
    assert all(address.startswith(repository) for address in re.findall(r"https://github[^\s)]*", str(fields)))
    assert "PyGNC" in fields["Author-email"]
    assert "Programming Language :: Python :: 3.14" in fields.get_all("Classifier", [])
    assert "sensors" in fields["Keywords"]


@pytest.mark.index
@pytest.mark.timeout(300)  # downloads up to 150 MB
@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distribution_works_alone(built: Path, name: str, version: str, tmp_path: Path) -> None:
    if version in {"3.12", "3.13"} and name not in QUICK and "PYGNC_PYTHONS" not in os.environ:
        pytest.skip("a minute of a processor: set PYGNC_PYTHONS=1")
    python = find_python(uv(), version)
    if python is None:
        pytest.skip(f"no Python {version} on this machine")
    environment, work = tmp_path / "env", tmp_path / "work"
    work.mkdir()
    versions = "lowest" if version == PYTHONS[0] else "newest"
    job = LOWEST.get(name, name) if versions == "lowest" else name
    compiled = name in LIMITS_MB  # of the others, compiling all libraries takes longer than their jobs
    fault = install(uv(), job, PROJECT, built, environment, python=python, versions=versions, compiled=compiled)
    skip_without_index(fault)
    assert fault == ""
    (work / "sense.bin").write_bytes(SENSE)
    commands = SHORT_JOBS.get(job, JOBS[job]).replace("{t_spacecraft_s}", str(minute_after(SENSE)))
    assert run_job(commands, environment, work) == ""
    pygnc = environment / "bin/pygnc"
    listed = subprocess.run([pygnc, "--help"], capture_output=True, text=True, check=True).stdout
    subcommand, distribution = MISSING[name]
    assert f"  {subcommand} " not in listed
    failed = subprocess.run([pygnc, subcommand], capture_output=True, text=True, check=False)
    needs = f"pygnc: {subcommand} needs {distribution}: pip install {distribution}\n"
    assert (failed.returncode, failed.stderr) == (2, needs)
    (packages,) = (environment / "lib").glob("python*/site-packages")
    size_mb = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file()) / 1e6
    assert size_mb < LIMITS_MB.get(name, 1000)
