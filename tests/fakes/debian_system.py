"""A Debian 12 system in a folder: made by debootstrap, run by systemd in a container."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.programs import find_program

PACKAGES = "python3.11,adduser,systemd,systemd-sysv"
_BOOT_S = 30.0


def mirror() -> str:
    """Return the address of the Debian mirror that apt uses here."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    words = " ".join(path.read_text() for path in files if path.is_file()).split()
    return next((word for word in words if word.rstrip("/").endswith("/debian")), "http://deb.debian.org/debian")


class DebianSystem:
    """Debian 12 in a folder.

    Attributes:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._leader = 0

    @classmethod
    def create(cls, root: Path, packages: str = PACKAGES) -> "DebianSystem":
        """Download and unpack the system with packages; skip the test if that is not possible here."""
        if os.geteuid() != 0:
            pytest.skip("only root may make a Debian system in a folder")
        command = [
            str(find_program("debootstrap")),
            "--variant=minbase",
            f"--include={packages}",
            "bookworm",
            str(root),
        ]
        done = subprocess.run([*command, mirror()], capture_output=True, text=True, check=False)
        if done.returncode and "download" in f"{done.stdout}{done.stderr}".lower():
            pytest.skip(f"the Debian mirror {mirror()} does not answer: {done.stderr.strip()}")
        assert done.returncode == 0, done.stdout + done.stderr
        return cls(root)

    def run(self, *words: str, code: int = 0) -> str:
        """Run a program in the system; return its output."""
        done = subprocess.run(self.command(*words), capture_output=True, text=True, check=False)
        assert done.returncode == code, (words, done.stdout, done.stderr)
        return done.stdout

    def command(self, *words: str) -> list[str]:
        """Return the command that runs a program in the system."""
        if self._leader:
            return ["/usr/bin/nsenter", "--target", str(self._leader), "--all", *words]
        return ["/usr/sbin/chroot", str(self.root), *words]

    @contextmanager
    def booted(self) -> Iterator[None]:
        """Run the system with systemd as its first process; skip the test if containers are not permitted here."""
        nspawn = [str(find_program("systemd-nspawn")), "--register=no", "--keep-unit", "--directory", str(self.root)]
        probe = subprocess.run([*nspawn, "--quiet", "/bin/true"], capture_output=True, text=True, check=False)
        if probe.returncode:
            pytest.skip(f"no containers on this machine: {probe.stderr.strip()}")
        command = [*nspawn, "--boot", "--console=passive"]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=subprocess.STDOUT)
        try:
            self._leader = _first_child(process)
            self._wait_for_systemd()
            yield
        finally:
            if self._leader:
                os.kill(self._leader, signal.SIGKILL)  # the kernel then ends all processes of the container
            self._leader = 0
            process.wait()

    def _wait_for_systemd(self) -> None:
        command = self.command("systemctl", "is-system-running", "--wait")
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_BOOT_S)
        end_s = time.monotonic() + _BOOT_S
        while done.stdout.strip() not in {"running", "degraded"}:
            assert time.monotonic() < end_s, done
            time.sleep(0.2)
            done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_BOOT_S)


def _first_child(process: subprocess.Popen[bytes]) -> int:
    end_s = time.monotonic() + _BOOT_S
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    while time.monotonic() < end_s and process.poll() is None:
        for pid in children.read_text().split():
            if Path(f"/proc/{pid}/comm").read_text().strip() == "systemd":
                return int(pid)
        time.sleep(0.05)
    raise AssertionError("the container has not started")
