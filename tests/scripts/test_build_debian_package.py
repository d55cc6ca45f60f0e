"""The Debian package: its bytes, lintian's judgement, and a station with it on a clean Debian 12."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.fakes.debian_system import DebianSystem
from tests.programs import find_program, needs
from tests.pygnc_station.logger.samples import wait_for

ROOT = Path(__file__).resolve().parents[2]
LIMIT_MB = 80
SETTINGS = """
name = "roof"
folder = "/var/lib/pygnc-station"
[[device]]
gadget = "imu"
family = "ucb"
port = "/run/imu"
[store]
write_s = 0
"""
FAST = {} if "PYGNC_DEBIAN" in os.environ else {"DPKG_DEB_COMPRESSOR_LEVEL": "0"}
"""Variables for dpkg-deb: the best compression takes 20 s of a processor, and lintian looks at what is inside."""
IMPATIENT = "[Service]\nWatchdogSec=3\nTimeoutAbortSec=2\nRestartSec=0\n"

# One worker builds for all of them.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.index,
    pytest.mark.timeout(600),  # downloads and packs 40 MB on a machine with other work
    pytest.mark.xdist_group("debian"),
    needs("dpkg-deb", "x86_64-linux-gnu-strip"),
]


whole = pytest.mark.skipif("PYGNC_DEBIAN" not in os.environ, reason="a minute of two processors: set PYGNC_DEBIAN=1")


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("wheels")


def build(out: Path, wheels: Path) -> Path:
    command = [sys.executable, "-m", "scripts.build_debian_package", "--out", str(out), "--wheels", str(wheels)]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | FAST, capture_output=True, text=True, check=False)
    if done.returncode and "No matching distribution" in done.stderr:
        pytest.skip("no package index answers")
    assert done.returncode == 0, done.stderr
    (package,) = out.glob("pygnc-station_*_amd64.deb")
    return package


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory, wheels: Path) -> Path:
    return build(tmp_path_factory.mktemp("package"), wheels)


@whole
def test_the_same_tree_gives_the_same_bytes(package: Path, wheels: Path, tmp_path: Path) -> None:
    assert build(tmp_path, wheels).read_bytes() == package.read_bytes()


@needs("lintian")
def test_lintian_finds_no_error(package: Path) -> None:
    command = [str(find_program("lintian")), "--allow-root", "--fail-on", "error", str(package)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@contextmanager
def simulated_unit(system: DebianSystem) -> Iterator[None]:
    """Run a simulated unit; its pseudo-terminal is a new one each time, as a real port is after its last close."""
    link = system.root / "run/imu"
    simulate = ("/usr/bin/pygnc", "device", "simulate", "openimu", "--pty", "/run/imu")
    system.run("systemd-run", "--quiet", "--collect", "--unit=imu", *simulate)
    try:
        show = ("/bin/sh", "-c", "test -e /run/imu && chmod 666 $(readlink -f /run/imu) && echo made || true")
        wait_for(lambda: "made" in system.run(*show), f"{link}")
        yield
    finally:
        system.run("systemctl", "stop", "imu")


def as_station(system: DebianSystem, *words: str) -> str:
    return system.run("/usr/sbin/runuser", "-u", "pygnc-station", "--", "/usr/bin/pygnc", "station", *words)


def count(system: DebianSystem) -> int:
    return len(as_station(system, "recent", "-n", "100000", "--json").splitlines())


@whole
@needs("debootstrap", "systemd-nspawn")
def test_a_station_runs_on_a_clean_debian_until_the_package_is_purged(package: Path, tmp_path: Path) -> None:
    system = DebianSystem.create(tmp_path / "debian")
    shutil.copy(package, system.root / "package.deb")
    system.run("/usr/bin/dpkg", "--install", "/package.deb")
    assert "Log sensors" in system.run("/usr/bin/pygnc", "station", "--help")
    installed = sum(
        file.stat().st_size for file in (system.root / "usr/lib/pygnc-station").rglob("*.*") if file.is_file()
    )
    assert installed < LIMIT_MB * 1e6
    settings, units = system.root / "etc/pygnc-station/station.toml", system.root / "etc/systemd/system"
    assert settings.stat().st_mode & 0o777 == 0o640
    settings.write_text(SETTINGS)
    with system.booted():
        options = ("--settings", "/etc/pygnc-station/station.toml", "--user", "pygnc-station")
        drop_in = units / "pygnc-station.service.d/impatient.conf"
        drop_in.parent.mkdir()
        drop_in.write_text(IMPATIENT)
        system.run("/usr/bin/pygnc", "station", "install", *options)
        assert system.run("systemctl", "is-active", "pygnc-station").strip() == "active"
        assert "notify" in system.run("systemctl", "show", "pygnc-station", "--property=Type")
        with simulated_unit(system):
            wait_for(lambda: count(system) > 0, "a reading")
            # A logger that hangs is restarted and continues.
            system.run("systemctl", "kill", "--kill-whom=main", "--signal=STOP", "pygnc-station")
            show = ("systemctl", "show", "pygnc-station", "--value", "--property")
            wait_for(lambda: int(system.run(*show, "NRestarts")) > 0, "the restart of the logger")
        before = count(system)
        with simulated_unit(system):
            wait_for(lambda: count(system) > before, "a reading after the restart")
        system.run("/usr/bin/dpkg", "--remove", "pygnc-station")
        assert system.run(*show, "MainPID").strip() == "0"
    assert list(units.glob("pygnc-station*.service")) == []
    assert list(units.glob("*.wants/pygnc-station*")) == []
    assert settings.read_text() == SETTINGS
    assert (system.root / "var/lib/pygnc-station/readings.db").exists()
    system.run("/usr/bin/dpkg", "--purge", "pygnc-station")
    system.run("/usr/bin/id", "pygnc-station", code=1)
    left = [path for folder in ("etc", "usr", "var/lib") for path in (system.root / folder).rglob("*pygnc*")]
    assert [path for path in left if path != drop_in.parent] == []
