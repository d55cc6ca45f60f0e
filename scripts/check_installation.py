"""Install each distribution from its built files and run its main job: `python -m scripts.check_installation`.

Each distribution and each of its extras gets an environment of its own, at the lowest versions of its libraries that
pyproject.toml allows and at the newest ones. Jobs are the tutorials of the documentation, and commands where there is
no tutorial. Needs uv and a package index. Prints a Markdown table of the minutes of processor time that installation
and job take; the exit code is 1 if one of them fails.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from scripts.build_distributions import build
from scripts.check_resolution import PYTHONS, ROOT, find_uv, libraries_of
from scripts.documentation.tutorial import TutorialError, follow

VERSIONS: Final = {"lowest": "lowest-direct", "newest": "highest"}
"""Strategies of uv. Libraries of our libraries are the newest in both, because we state no bounds for them."""
JOBS: Final[Mapping[str, str]] = {
    "pygnc-devices": "python -c 'from pygnc_devices.family import all_families; print(*all_families())'",
    "pygnc-devices[recordings]": """
python -c 'from pygnc_devices.ucb.recording import scan_recording; print(scan_recording(bytes(1000)))'""",
    "pygnc": """
head -c 6024 "$DATA/demo/sense.bin" > sense.bin
HOME=$PWD pygnc fly 10 946684800 --exit-when-done
grep "^R " pygnc_info.txt""",
    "pygnc-ground": """
pygnc demo --out demo
pygnc calibrate-mag demo/home/sense.bin --out calibration""",
    "pygnc-ground[mcap]": """
pygnc replay "$DATA/demo/sense.bin" --out replayed
pygnc export replayed --as mcap --out messages
test -s messages/estimates.mcap""",
    "pygnc-ground[scenario]": "tutorials: fly-a-batch replay-a-file",
    "pygnc-ground[campaign]": """
printf 'repetitions = 2\\npreset = "nominal"\\n[scenario]\\nduration_s = 1800\\n' > campaign.toml
pygnc campaign campaign.toml --out campaign --workers 2
pygnc campaign rerun campaign 1
pygnc campaign report campaign""",
    "pygnc-station": "tutorials: run-a-station write-a-driver",
    "pygnc-station[accounts]": """
printf '[store]\\nurl = "readings.db"\\n' > station.toml
echo "a long password" | pygnc station user add mary --role administrator
python -c 'from pygnc_station.server.accounts import new_totp_secret; print(len(new_totp_secret()))'""",
    "pygnc-station[alerts]": """
python -c 'from pygnc_station.server.destinations import Destination as D; D("a", "json://127.0.0.1")'""",
    "pygnc-station[analysis]": "tutorials: connect-an-imu",
    "pygnc-station[cloud]": """
echo 1 > log.csv
pygnc device upload log.csv --to "file://$PWD/store" --spool spool
test -n "$(find store -name 'log*')" """,
    "pygnc-station[mcap]": """
pygnc device simulate openimu --pty port > simulator.txt & trap "kill $!" EXIT
until [ -e port ]; do sleep 0.2; done
pygnc device log port --format mcap --name log --count 100""",
    "pygnc-batonopc": "pygnc station import --help",
    "pygnc-emus-lib": "python -c 'from emus_lib.constants import *; print(SEN_BV1)'",
    "pygnc-old-logs": """
python -c 'import msgpack; m = (1.0, (2.0, -1.0, 3.0), 0, (0.1, 0.2, 0.3), (0.0, 1e4, 2e4, 0.0, 0.0, 5.0))
open("old.log", "wb").write(3 * msgpack.packb(m))'
pygnc inspect old.log""",
    "pygnc-tinycloud": "pygnc station families",
}
"""Main job of each distribution and extra: commands of a shell, or tutorials."""
_PYENV: Final = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
_TUTORIALS: Final = "tutorials:"
_LAST_LINES: Final = 15


class Outcome(NamedTuple):
    """Outcome of an installation and its job.

    Attributes:
        installed_s: Processor time of the installation, with the compilation of all modules.
        worked_s: Processor time of the job.
        fault: Cause of a failure with the end of the output; empty if there was none.
    """

    installed_s: float
    worked_s: float
    fault: str = ""


def main() -> None:
    """Install and try the distributions, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", metavar="JOB", help="Distribution, or NAME[EXTRA] (default: all).")
    parser.add_argument("--files", type=Path, metavar="DIR", help="Folder of the built files (default: build them).")
    parser.add_argument("--python", action="append", choices=PYTHONS, help="Python; repeatable (default: all found).")
    parser.add_argument("--versions", action="append", choices=VERSIONS, help="Of libraries (default: both).")
    arguments = parser.parse_args()
    uv = find_uv()
    if uv is None:
        parser.error("uv is not installed: pip install uv")
    if unknown := set(arguments.jobs) - set(JOBS):
        parser.error(f"no job {', '.join(sorted(unknown))}; choose from {', '.join(JOBS)}")
    pythons = {name: path for name in arguments.python or PYTHONS if (path := find_python(uv, name))}
    if missing := set(arguments.python or ()) - set(pythons):
        parser.error(f"Python {', '.join(sorted(missing))} is not installed")
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    columns = [(python, versions) for python in pythons for versions in arguments.versions or VERSIONS]
    faults = []
    print("| distribution |", " | ".join(f"{python}, {versions}" for python, versions in columns), "|")
    print("|---|" + "---|" * len(columns))
    with tempfile.TemporaryDirectory() as folder:
        files = (arguments.files or build_all(declared, Path(folder) / "files")).absolute()
        for job in arguments.jobs or JOBS:
            cells = []
            for python, versions in columns:
                place = Path(folder) / job / python
                outcome = try_out(uv, job, declared, files, place, python=pythons[python], versions=versions)
                cells.append(
                    "**fails**"
                    if outcome.fault
                    else f"{outcome.installed_s / 60.0:.2f} + {outcome.worked_s / 60.0:.2f}"
                )
                faults += [f"{job}, Python {python}, {versions}: {outcome.fault}"] if outcome.fault else []
            print(f"| {job} |", " | ".join(cells), "|", flush=True)
    sys.exit("\n".join(faults) or 0)


def find_python(uv: str, version: str) -> str | None:
    """Return the path of a version of Python on this computer; None if there is none.

    uv sees no more than the first interpreter of a name on the PATH, and pyenv places a program there that ends with
    127 if the version is not the selected one.
    """
    installed = sorted(_PYENV.glob(f"versions/{version}.*/bin/python{version}"))
    for name in (version, *map(str, installed)):
        command = [uv, "python", "find", "--no-python-downloads", "--system", name]
        found = subprocess.run(command, capture_output=True, text=True, check=False)
        if found.returncode == 0:
            return found.stdout.strip()
    return None


def build_all(declared: Mapping[str, Any], out: Path) -> Path:
    """Build all distributions into a folder; return the folder."""
    for name in declared["tool"]["pygnc"]["distributions"]:
        build(name, declared, out)
    return out


def try_out(
    uv: str, job: str, declared: Mapping[str, Any], files: Path, folder: Path, *, python: str, versions: str
) -> Outcome:
    """Install a distribution, or one with an extra, into a new environment in a folder, and do its job."""
    environment, work = folder / versions, folder / f"work-{versions}"
    work.mkdir(parents=True)
    begin_s = processor_s()
    fault = install(uv, job, declared, files, environment, python=python, versions=versions)
    installed_s = processor_s()
    fault = fault or run_job(JOBS[job], environment, work)
    return Outcome(installed_s - begin_s, processor_s() - installed_s, fault)


def processor_s() -> float:
    """Return the processor time of the programs that have ended; other programs hardly change it."""
    times = os.times()
    return times.children_user + times.children_system


def install(
    uv: str,
    job: str,
    declared: Mapping[str, Any],
    files: Path,
    environment: Path,
    *,
    python: str,
    versions: str,
    compiled: bool = True,
) -> str:
    """Install what a job needs into a new environment, from wheels only; return the output of uv if that fails.

    All modules are compiled if `compiled`, else those that the job imports, when it does.
    """
    name, _, extra = job.rstrip("]").partition("[")
    # What is named here counts as direct: the lowest version of these is installed.
    words = [job, *libraries_of(name, declared, {extra} if extra else set())]
    options = ["--quiet", "--resolution", VERSIONS[versions], "--only-binary", ":all:", "--find-links", str(files)]
    options += ["--python", str(environment / "bin/python")]
    options += ["--compile-bytecode"] * compiled
    for command in (
        [uv, "venv", "--quiet", "--seed", "--python", python, str(environment)],
        [uv, "pip", "install", *options, *words],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            return done.stderr.strip() or f"{' '.join(command)} exited with {done.returncode}"
    return ""


def run_job(job: str, environment: Path, work: Path) -> str:
    """Do a job in a folder with the programs of an environment; return the fault, empty if there is none."""
    programs = environment / "bin"
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PYGNC", "VIRTUAL"))}
    if job.startswith(_TUTORIALS):
        for name in job.removeprefix(_TUTORIALS).split():
            (work / name).mkdir()
            try:
                follow(ROOT / "docs/tutorials" / f"{name}.md", work / name, programs, kept)
            except TutorialError as error:
                return f"{name}: {error}"
        return ""
    variables = kept | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "HOME": str(work),
        "DATA": str(ROOT / "data"),
    }
    command = ["/bin/bash", "-euc", job]
    done = subprocess.run(command, cwd=work, env=kept | variables, capture_output=True, text=True, check=False)
    last = "\n".join((done.stdout + done.stderr).splitlines()[-_LAST_LINES:])
    return f"exit code {done.returncode}: {last}" if done.returncode else ""


if __name__ == "__main__":
    main()
