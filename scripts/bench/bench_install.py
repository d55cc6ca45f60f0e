"""Benchmark of the distributions in docs/benchmarks: time and size of an installation, start of `pygnc`.

Usage: python -m scripts.bench.bench_install

Each distribution is built, and installed with pip into an environment of its own. Needs a package index; downloads
that pip has in its cache are not repeated, so run it twice. Prints a Markdown table.
"""

import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from scripts.bench.table import Row, print_rows

ROOT: Final = Path(__file__).resolve().parents[2]
LIMITS_MB: Final = {"pygnc-devices": 45, "pygnc-station": 80}
HELP_LIMIT_S: Final = 0.15
STARTS: Final = 9
MODULES: Final = {
    "pygnc-devices": ("pygnc_cli.app", "pygnc_devices.family", "pygnc_devices.ucb.driver"),
    "pygnc": ("pygnc.launch.run",),
    "pygnc-ground": (
        "pygnc_ground.inspection.registry",
        "pygnc_ground.commands.replay",
        "pygnc_ground.commands.orbit_replay",
        "pygnc_controller.emulator.command",
    ),
    "pygnc-station": (
        "pygnc_instruments.device.command",
        "pygnc_instruments.bridge.command",
        "pygnc_station.commands.main",
        "pygnc_station.logger.process",
        "pygnc_station.server.application",
    ),
}
"""Modules of each distribution that its programs import first."""


def main() -> None:
    """Build, install and start all distributions, and print the table."""
    names = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pygnc"]["distributions"]
    with tempfile.TemporaryDirectory() as folder:
        built = Path(folder) / "dist"
        build = [sys.executable, "-m", "scripts.build_distributions", "--out", str(built)]
        subprocess.run(build, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        print_rows(row for name in names for row in install(name, built, Path(folder) / name))


def install(name: str, built: Path, folder: Path) -> Iterator[Row]:
    """Install a distribution and yield its figures."""
    subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
    pip = [str(folder / "bin/python"), "-m", "pip", "--disable-pip-version-check"]
    begin_s = time.monotonic()
    subprocess.run([*pip, "install", "--quiet", "--find-links", str(built), name], check=True)
    took_s = time.monotonic() - begin_s
    subprocess.run([*pip, "uninstall", "--quiet", "--yes", "pip", "setuptools"], check=True)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    size_mb = sum(path.stat().st_size for path in packages.rglob("*") if path.is_file()) / 1e6
    limit_mb = LIMITS_MB.get(name)
    yield Row(
        f"{name}: environment, with bytecode; installation",
        f"{size_mb:.0f} MB; {took_s:.1f} s",
        f"{limit_mb} MB" if limit_mb else "",
        limit_mb is None or size_mb <= limit_mb,
    )
    for module in MODULES[name]:
        yield Row(f"{name}: import of {module}, processor time", f"{import_s(folder, module):.3f} s")
    help_s = min(_time(str(folder / "bin/pygnc"), "--help") for _ in range(STARTS))
    yield Row(f"{name}: pygnc --help", f"{help_s:.3f} s", f"{HELP_LIMIT_S} s", help_s < HELP_LIMIT_S)
    if name == "pygnc-station":
        list_s = min(_time(str(folder / "bin/pygnc"), "device", "list", "--help") for _ in range(STARTS))
        yield Row(f"{name}: pygnc device list --help", f"{list_s:.3f} s")


def import_s(folder: Path, module: str) -> float:
    """Return the processor time of an import, without that of the start of Python; other programs hardly change it."""
    python = str(folder / "bin/python")
    started_s, imported_s = (
        min(_processor_s(python, "-c", program) for _ in range(STARTS)) for program in ("pass", f"import {module}")
    )
    return imported_s - started_s


def _processor_s(*command: str) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _time(*command: str) -> float:
    begin_s = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begin_s


if __name__ == "__main__":
    main()
