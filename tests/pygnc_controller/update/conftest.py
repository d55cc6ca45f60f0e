"""Fixtures of a Pi for updates: home folder, small packages, keys, ssh server on loopback."""

import base64
import getpass
import hashlib
import os
import shutil
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pygnc_controller.update.command import INSTALLER

GOOD = """\
import os, sys
from pathlib import Path
assert sys.argv[1:] == ["1", "0", "--exit-when-done"]
Path(os.environ["HOME"], "pygnc_info.txt").write_text("PyGNC run 1 STOPPED SC 0\\n")
"""
BROKEN = "import sys\nsys.exit('no such thing')\n"
BROKEN_IN_PLACE = GOOD + "sys.exit('not here' if Path(sys.argv[0]).parent.name == 'pygnc' else 0)\n"


PYTHON = str(Path(sys.base_prefix) / "bin" / "python3")
"""Python without the libraries of the tests, not a script that calls it."""
"""A main.py without libraries, which starts at once."""


class Package:
    """Package with a minimal main.py."""

    def __init__(self, folder: Path, name: str, main: str = GOOD, **files: str) -> None:
        self.path = folder / f"{name}.zip"
        content = {
            "main.py": main,
            "pygnc_version.info": f"2026-01-01T00:00:00Z {name} 0.1.0\n",
            "requirements.txt": "",
        }
        with zipfile.ZipFile(self.path, "w") as archive:
            for file, text in (content | files).items():
                archive.writestr(file, text)

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


class Signer:
    """Key that signs in the format of minisign."""

    def __init__(self, key_id: bytes = bytes(range(8))) -> None:
        self._key_id = key_id
        self._key = Ed25519PrivateKey.generate()
        self.id = key_id[::-1].hex().upper()
        self.public = base64.b64encode(b"Ed" + key_id + self._key.public_key().public_bytes_raw()).decode()

    def sign(self, package: Path, comment: bytes = b"a comment") -> bytes:
        signature = self._key.sign(hashlib.blake2b(package.read_bytes()).digest())
        first, second = b"ED" + self._key_id + signature, self._key.sign(signature + comment)
        lines = (b"untrusted comment: -", base64.b64encode(first), b"trusted comment: " + comment)
        content = b"\n".join((*lines, base64.b64encode(second), b""))
        package.with_name(package.name + ".minisig").write_bytes(content)
        return content


class SshServer:
    """Unprivileged sshd with its own host key; `config` makes ssh find it and check that key."""

    def __init__(self, folder: Path, home: Path) -> None:
        self._folder = folder
        sshd = shutil.which("sshd") or "/usr/sbin/sshd"
        for name in ("host_key", "user_key"):
            words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(words, check=True, stdin=subprocess.DEVNULL)
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        (folder / "authorized").write_text((folder / "user_key.pub").read_text())
        (folder / "known").write_text(f"[127.0.0.1]:{self.port} {(folder / 'host_key.pub').read_text()}")
        (folder / "sshd_config").write_text(
            f"Port {self.port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\nPasswordAuthentication no\n"
            f"PermitRootLogin yes\nSubsystem sftp internal-sftp -d {home}\n"
            f"SetEnv HOME={home}\nForceCommand {folder}/login\n"
        )
        # Sessions begin in the home folder of the Pi, not in that of the account.
        (folder / "login").write_text(
            f'#!/bin/sh\nexport HOME={home}\ncd "$HOME"\n'
            'case "$SSH_ORIGINAL_COMMAND" in internal-sftp*) exec /usr/lib/openssh/sftp-server;; esac\n'
            'eval "$SSH_ORIGINAL_COMMAND"\n'
        )
        (folder / "login").chmod(0o755)
        self.config = folder / "ssh_config"
        self.config.write_text(
            f"Host pi\nHostName 127.0.0.1\nPort {self.port}\nUser {getpass.getuser()}\nIdentityFile {folder}/user_key\n"
            f"IdentitiesOnly yes\nUserKnownHostsFile {folder}/known\nGlobalKnownHostsFile /dev/null\n"
            "StrictHostKeyChecking yes\n"
        )
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)  # needed by an sshd started by root
        self._log = (folder / "log").open("w")
        self._process = subprocess.Popen(
            [sshd, "-D", "-e", "-f", str(folder / "sshd_config")], stdin=subprocess.DEVNULL, stderr=self._log
        )
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + 20.0
        while True:
            assert self._process.poll() is None, (self._folder / "log").read_text()
            try:
                socket.create_connection(("127.0.0.1", self.port), 1.0).close()
            except OSError:
                assert time.monotonic() < deadline
                time.sleep(0.01)
            else:
                return

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._log.close()


@pytest.fixture
def home(tmp_path: Path) -> Path:
    home = tmp_path / "home"
    home.mkdir()
    return home


@pytest.fixture
def server(tmp_path: Path, home: Path) -> Iterator[SshServer]:
    folder = tmp_path / "ssh"
    folder.mkdir()
    server = SshServer(folder, home)
    yield server
    server.stop()


@pytest.fixture
def old(tmp_path: Path, home: Path) -> Package:
    """A version that is already in use."""
    package = Package(tmp_path, "old")
    shutil.copy(package.path, home / "old.zip")
    assert install(home, "old.zip", package.sha256, "--python", PYTHON).returncode == 0
    return package


def install(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    """Run the installer as on the Pi, without a signature."""
    return run_installer(home, "--unsigned", *words)


def run_installer(home: Path, *words: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [PYTHON, "-", *words],
        input=INSTALLER.read_text(),
        env=os.environ | {"HOME": str(home)},
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )


def in_use(home: Path) -> str:
    """Return the name of the version in use."""
    return (home / "pygnc_version.info").read_text().split()[1]
