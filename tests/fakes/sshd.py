"""OpenSSH server on a loopback port with its own keys and accounts."""

import os
import shutil
import socket
import subprocess
from pathlib import Path
from typing import Self

from tests.fakes.answering import knock, wait_for_answer

PROGRAM = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
WRAPPER = next(Path("/usr/lib").glob("*/libnss_wrapper.so"), None)
"""Library that serves sshd's lookups of users and passwords from files, so that no account of this machine is used."""


class Sshd:
    """A server of Debian's packages, for this user: logins by `client_key` of its folder, or as `accounts` say.

    Args:
        folder: for its files; is made.
        has_accounts: whether logins are those of `add_account` alone.
    """

    def __init__(self, folder: Path, *, has_accounts: bool = False) -> None:
        folder.mkdir()
        self.folder = folder
        self.client_key, self.known_hosts = folder / "client_key", folder / "known_hosts"
        for name in ("host_key", "client_key"):
            command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
            subprocess.run(command, check=True)
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port: int = listener.getsockname()[1]
        public = (folder / "host_key.pub").read_text()
        self.known_hosts.write_text(f"[127.0.0.1]:{self.port} {public}")
        self._environment = dict(os.environ)
        if has_accounts:
            # sshd locks itself in as one of its own.
            (folder / "passwd").write_text("sshd:x:65534:65534::/run/sshd:/bin/false\n")
            (folder / "shadow").write_text("")
            (folder / "group").write_text("nogroup:x:65534:\n")
            wrapper = {f"NSS_WRAPPER_{name.upper()}": str(folder / name) for name in ("passwd", "shadow", "group")}
            self._environment |= {"LD_PRELOAD": str(WRAPPER)} | wrapper
        self._process: subprocess.Popen[bytes] | None = None

    def add_account(self, name: str, password: str) -> None:
        """Let somebody in by password, with the rights of this user."""
        words = ["openssl", "passwd", "-6", "-stdin"]
        done = subprocess.run(words, input=password, capture_output=True, text=True, check=True)
        with (self.folder / "passwd").open("a") as passwd, (self.folder / "shadow").open("a") as shadow:
            passwd.write(f"{name}:x:{os.geteuid()}:{os.getegid()}::{self.folder}:/bin/sh\n")
            shadow.write(f"{name}:{done.stdout.strip()}:20000:0:99999:7:::\n")

    def __enter__(self) -> Self:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        options = {
            "Port": self.port, "ListenAddress": "127.0.0.1", "HostKey": self.folder / "host_key", "StrictModes": "no",
            "UsePAM": "no", "AuthorizedKeysFile": f"{self.client_key}.pub", "PidFile": "none",
            "PasswordAuthentication": "yes", "PermitRootLogin": "yes", "Subsystem": "sftp internal-sftp",
        }  # fmt: skip
        words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
        command = [str(PROGRAM), "-D", "-f", "/dev/null", *words]
        self._process = subprocess.Popen(command, env=self._environment, stderr=subprocess.DEVNULL)
        wait_for_answer(self._process, "sshd", lambda: knock(self.port))
        return self

    def __exit__(self, *_: object) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
