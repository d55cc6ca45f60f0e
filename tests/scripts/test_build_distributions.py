"""The distributions: what they contain, and that each works alone when it is installed from its built files."""

import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from configparser import ConfigParser
from email.parser import Parser
from pathlib import Path

import msgpack
import pytest
from packaging.requirements import Requirement

import pygnc_system
from pygnc.formats.sense import SenseLayout
from scripts.check_resolution import PYTHONS
from tests.e2e.conftest import minute_after
from tests.package_index import skip_without_index, uv

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
DISTRIBUTIONS = PROJECT["tool"]["pygnc"]["distributions"]
SENSE = (ROOT / "data" / "demo" / "sense.bin").read_bytes()[: 24 * SenseLayout().size]
LIMITS_MB = {"pygnc-devices": 45, "pygnc-station": 80}
MAIN_JOBS = {
    "pygnc-devices": ["{python}", "-c", "from pygnc_devices.family import all_families; print(len(all_families()))"],
    "pygnc": ["{python}", "-m", "pygnc", "--version"],
    "pygnc-ground": ["{pygnc}", "demo", "--out", "{folder}/demo"],
    "pygnc-station": ["{pygnc}", "station", "families"],
    "pygnc-emus-lib": ["{python}", "-c", "from emus_lib.constants import *; print(SEN_BV1)"],
    "pygnc-old-logs": ["{pygnc}", "inspect", "{folder}/old.log"],
    "pygnc-batonopc": ["{pygnc}", "station", "import", "--help"],
    "pygnc-tinycloud": ["{pygnc}", "station", "families"],
}
SHORT_JOB = (
    ["{pygnc}", "fly", "10", "{t_spacecraft_s}", "--exit-when-done"],
    ["{pygnc}", "replay", "{folder}/pygnc_logs/run-00001", "--out", "{folder}/replay"],
)
"""Flight and replay of ten minutes, for all Pythons but one: the demonstration takes 20 s of processor time."""
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
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("distributions")]


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


def test_the_same_tree_gives_the_same_bytes(built: Path, tmp_path: Path) -> None:
    again = build(tmp_path, "pygnc-devices", "pygnc-station")
    assert again == {name: (built / name).read_bytes() for name in again}


def test_every_package_and_data_file_is_in_exactly_one_distribution(built: Path) -> None:
    packages = [folder for one in DISTRIBUTIONS.values() for folder in one["packages"]]
    assert sorted(packages) == sorted(PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"])
    contents = [set(zipfile.ZipFile(wheel(built, name)).namelist()) for name in DISTRIBUTIONS]
    assert sum(map(len, contents)) == len(set().union(*contents))


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
    with tarfile.open(next(built.glob(f"{name.replace('-', '_')}-[0-9]*.tar.gz"))) as archive:
        archive.extractall(tmp_path, filter="data")
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
    with zipfile.ZipFile(wheel(built, name)) as archive:
        (entry,) = [entry for entry in archive.namelist() if entry.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(entry).decode())
    required = [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]
    siblings = {one.name: str(one.specifier) for one in required if one.name in DISTRIBUTIONS}
    assert siblings == {
        one: f"=={pygnc_system.__version__}" for one in DISTRIBUTIONS[name]["requires"] if one in DISTRIBUTIONS
    }
    always = {one.name for one in required if one.marker is None}
    heavy = {"scipy", "matplotlib", "polars", "numpy", "obstore", "mcap"}
    assert name in {"pygnc", "pygnc-ground", "pygnc-old-logs"} or not always & heavy


def interpreter(version: str) -> str:
    """Return a Python of a version on this machine."""
    places = [Path(os.environ.get("PYENV_ROOT", "~/.pyenv")) / "versions", Path("~/.local/share/uv/python")]
    found = [path for place in places for path in place.expanduser().glob(f"*/bin/python{version}")]
    for path in (sys.executable, shutil.which(f"python{version}"), *map(str, found)):
        check = f"import sys; sys.exit(sys.version_info[:2] != {tuple(map(int, version.split('.')))})"
        if path and subprocess.run([path, "-c", check], capture_output=True, check=False).returncode == 0:
            return path
    pytest.skip(f"no Python {version} on this machine")


@pytest.mark.index
@pytest.mark.timeout(300)  # downloads up to 150 MB
@pytest.mark.parametrize("version", PYTHONS)
@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_a_distribution_works_alone(built: Path, name: str, version: str, tmp_path: Path) -> None:
    python, pygnc = tmp_path / "env/bin/python", tmp_path / "env/bin/pygnc"
    # uv installs in seconds what takes pip half a minute; where the size is limited it compiles as pip does for a user.
    subprocess.run([uv(), "venv", "--quiet", "--python", interpreter(version), str(tmp_path / "env")], check=True)
    install = [uv(), "pip", "install", "--quiet", "--python", str(python), "--find-links", str(built), name]
    install += ["--compile-bytecode"] * (name in LIMITS_MB)
    installed = subprocess.run(install, capture_output=True, text=True, check=False)
    if installed.returncode:
        skip_without_index(installed.stderr)
    assert installed.returncode == 0, installed.stderr
    sensor_message = (1000.0, (20.0, -10.0, 30.0), 0, (0.1, 0.2, 0.3), (0.0, 1e4, 2e4, 0.0, 0.0, 5.0))
    (tmp_path / "old.log").write_bytes(3 * msgpack.packb(sensor_message))
    (tmp_path / "sense.bin").write_bytes(SENSE)
    values = {"python": python, "pygnc": pygnc, "folder": tmp_path, "t_spacecraft_s": minute_after(SENSE)}
    jobs = SHORT_JOB if name == "pygnc-ground" and version != PYTHONS[0] else (MAIN_JOBS[name],)
    variables = os.environ | {"HOME": str(tmp_path)}
    for job in jobs:
        words = [word.format(**values) for word in job]
        done = subprocess.run(words, cwd=tmp_path, env=variables, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert done.stdout
    listed = subprocess.run([pygnc, "--help"], capture_output=True, text=True, check=True).stdout
    subcommand, distribution = MISSING[name]
    assert f"  {subcommand} " not in listed
    failed = subprocess.run([pygnc, subcommand], capture_output=True, text=True, check=False)
    needs = f"pygnc: {subcommand} needs {distribution}: pip install {distribution}\n"
    assert (failed.returncode, failed.stderr) == (2, needs)
    (packages,) = (tmp_path / "env/lib").glob("python*/site-packages")
    size_mb = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file()) / 1e6
    assert size_mb < LIMITS_MB.get(name, 1000)
