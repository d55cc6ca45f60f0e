"""Updates in which a system call of the installer fails, or kills it, or after each step of which the power is cut.

The update is repeated then, without a fault.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from pygnc_controller.update.command import INSTALLER
from pygnc_system.installer import CHECK_PREFIX
from pygnc_system.version_trial import find_damage
from tests.faults.lost_writes import TRACER, Cut, Disk
from tests.faults.operations import Share, ShortFlights, Sweep, Tried
from tests.faults.power_cuts import record
from tests.pygnc_controller.update.conftest import PYTHON, Package, in_use, install

BY_HAND: Final = "of a folder unpacked by hand"
BACK: Final = "back to the previous version"
CASES: Final = ("to a third version", BY_HAND, BACK)
ROLL_BACK: Final = "--roll-back"
DESCRIPTION_MAX: Final = 150
_FULL: Final = ("write", "mkdir", "rename", "renameat2", "symlink", "fsync", "syncfs")
_DEAD: Final = ("openat", "read", "newfstatat", "getdents64", "readlink", "unlink", "unlinkat", "rmdir")
ERRORS: Final = dict.fromkeys(_FULL, "ENOSPC") | dict.fromkeys(_DEAD, "EIO")
"""Calls that fail, and their errors."""
ONCE, LASTING, KILL = "error once", "error from then on", "kill"
HOW: Final = {
    ONCE: "error={error}:when={number}",
    LASTING: "error={error}:when={number}+",
    KILL: "signal=KILL:when={number}",
}
"""Words for `strace` by what befalls a call."""


def _in_hex(text: str) -> str:
    return "".join(f"\\x{octet:02x}" for octet in text.encode())


class Update:
    """Update of a home from one version to the next, or back to the previous one."""

    def __init__(self, folder: Path, case: str) -> None:
        self.folder = Path(tempfile.mkdtemp(dir=folder))
        self.home = self.folder / "home"
        self.home.mkdir(parents=True)
        self._packages = [Package(self.folder, name) for name in ("older", "old", "new")]
        older, old, new = self._packages
        if case == BY_HAND:
            with zipfile.ZipFile(old.path) as archive:
                archive.extractall(self.home / "pygnc")
            (self.home / "pygnc" / ".venv").symlink_to(sys.prefix)
        else:
            for package in (old, new) if case == BACK else (older, old):
                self._install(package)
        self.words = [ROLL_BACK] if case == BACK else self._words(new)
        self._start = Disk.read(self.home)
        self._record = self.folder / "record"
        if not case.startswith("back"):
            self.words = self._words(new)

    def _words(self, package: Package) -> list[str]:
        return ["--unsigned", str(shutil.copy(package.path, self.home)), package.sha256, "--python", PYTHON]

    def _install(self, package: Package) -> None:
        done = install(self.home, *self._words(package))
        if done.returncode:
            raise RuntimeError(f"{done.stdout}{done.stderr}")
        for trial in (self.home / "pygnc_versions").glob("*/trial"):
            trial.unlink()  # it has flown

    @property
    def command(self) -> list[str]:
        """The installer, which reads its own text from the standard input."""
        return [PYTHON, "-", *self.words]

    def repeat_after(self, cut: Cut) -> Tried:
        """Repeat the update after a power cut."""
        shutil.rmtree(self.home)
        cut.image.write(self.home)
        return Tried(cut.what, self._repeat())

    def calls(self) -> Iterator[tuple[str, int, str]]:
        """Yield name, number and description of the calls of the installer that concern files of the home."""
        names = f"trace={','.join(ERRORS)}"
        self._trace("-xx", "-y", "-s", "9999", "-e", names)
        pattern = re.compile(r'(?<=["<])' + re.escape(_in_hex(f"{self.home}/")) + r"(?:\\x[0-9a-f]{2})*")
        found = {bytes.fromhex(path.replace("\\x", "")).decode() for path in pattern.findall(self._record.read_text())}
        self._paths = [word for path in sorted(found) if CHECK_PREFIX not in path for word in ("-P", path)]
        self._paths += ["-P", str(self.home)]
        self._trace(*self._paths, "-e", names)
        counts = Counter[str]()
        for line in self._record.read_text().splitlines():
            name, _, rest = line.partition("(")
            if name in ERRORS:
                counts[name] += 1
                yield name, counts[name], rest.replace(f"{self.home}/", "~/")[:DESCRIPTION_MAX]

    def fail(self, case: tuple[str, int, str], how: str) -> Tried:
        """Let a call of the installer fail, or all calls of its name from it on, or kill it; then repeat the update."""
        name, number, what = case
        error = f"inject={name}:{HOW[how].format(error=ERRORS[name], number=number)}"
        done = self._trace(*self._paths, "-e", f"trace={name}", "-e", error)
        expected = {-signal.SIGKILL} if how == KILL else {0, 2, 3, 4}
        reasons = [f"exit code {done.returncode}"] if done.returncode not in expected else []
        if "Traceback" in done.stderr:
            reasons.append(f"traceback: {done.stderr[-600:]!r}")
        return Tried(f"{name} {number} {what}: exit code {done.returncode}", reasons + self._repeat())

    def _trace(self, *words: str) -> "subprocess.CompletedProcess[str]":
        """Run the installer in a new copy of the home."""
        shutil.rmtree(self.home)
        self._start.write(self.home)
        return subprocess.run(
            [TRACER[0], "-qq", "-o", str(self._record), "-e", "signal=none", *words, *self.command],
            input=INSTALLER.read_text(),
            env=os.environ | {"HOME": str(self.home)},
            cwd="/",
            capture_output=True,
            text=True,
            check=False,
        )

    def _repeat(self) -> list[str]:
        """Check the version in use, repeat the update, and check again; return what is wrong."""
        reasons = self._judge()
        if self.words != [ROLL_BACK]:
            shutil.copy(self._packages[-1].path, self.home)
        done = install(self.home, *self.words)
        if done.returncode:
            reasons.append(f"the repeated update failed: {done.stdout}{done.stderr}")
        elif self.words != [ROLL_BACK] and in_use(self.home) != "new":
            reasons.append(f"the repeated update led to {in_use(self.home)}")
        reasons += self._judge()
        left = [path.name for path in (*self.home.glob(".pygnc*"), *(self.home / "pygnc_versions").glob(".*"))]
        return reasons + [f"{name} is left" for name in left]

    def _judge(self) -> list[str]:
        """Return why no complete version would run."""
        version = (self.home / "pygnc").resolve()
        damage = find_damage(version)
        if damage:
            version = (self.home / "pygnc_versions" / "previous").resolve()
            damage = find_damage(version)
        if damage or not any(_contains(version, package) for package in self._packages):
            return [f"{version} is not complete {damage}"]
        return []


def _contains(version: Path, package: Package) -> bool:
    with zipfile.ZipFile(package.path) as archive:
        files = {version / name: archive.read(name) for name in archive.namelist()}
    return all(path.is_file() and path.read_bytes() == content for path, content in files.items())


def cut_updates(flights: ShortFlights, share: Share) -> Iterator[Sweep]:
    """Yield the sweeps over the images of updates."""
    for case in CASES:
        update = Update(flights.folder, case)
        cuts, done = record(update.home, update.command, update.folder / "trace", INSTALLER.read_text())
        if done.returncode:
            raise RuntimeError(f"the recorded update failed: {done.stdout}{done.stderr}")
        yield Sweep(f"power cut of an update {case}", len(cuts), map(update.repeat_after, share.of(case, cuts)))


def fail_updates(flights: ShortFlights, share: Share, ways: Sequence[str] = (ONCE, LASTING)) -> Iterator[Sweep]:
    """Yield the sweeps over the calls of the installer."""
    for case in CASES:
        update = Update(flights.folder, case)
        calls = list(update.calls())
        for how in ways:
            runs = map(partial(update.fail, how=how), share.of(f"{case} {how}", calls))
            yield Sweep(f"{how} in an update {case}", len(calls), runs)


kill_updates: Final = partial(fail_updates, ways=(KILL,))
