"""Copies a file by OpenSSH's scp. The host's key is checked; no password is on a command line."""

import os
import shutil
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pygnc_station.station.errors import StationError
from pygnc_station.station.sending import TransferError
from pygnc_station.station.settings import Settings

_LIMIT_S: Final = 600.0
_ANSWER: Final = '#!/bin/sh\nprintf "%s\\n" "$PYGNC_SCP_PASSWORD"\n'
_UNTRUSTED: Final = ("Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED", "host key is known")


@dataclass(frozen=True, slots=True)
class Target:
    """Where a file goes."""

    host: str
    port: int
    user: str
    password: str
    path: str


def copy_by_scp(source: Path, target: Target, settings: Settings) -> None:
    """Copy a file.

    Raises:
        StationError: the host's key is not known, the login is refused, or there is no scp.
        TransferError: the host does not answer, or cannot take the file now.
    """
    program = shutil.which("scp")
    if program is None:
        raise StationError("no scp: apt-get install openssh-client, or set scp = false in [upload]")
    upload = settings.upload
    if any(text.startswith("-") or not text.isprintable() for text in (target.host, target.user, target.path)):
        raise StationError("the server names an impossible place for uploads")
    options = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(settings.path(upload.known_hosts)),
        "ConnectTimeout": str(int(upload.timeout_s)),
        "NumberOfPasswordPrompts": "1",
        "PreferredAuthentications": "publickey,password,keyboard-interactive",
    }
    if upload.scp_identity:
        options |= {"IdentityFile": str(settings.path(upload.scp_identity)), "IdentitiesOnly": "yes"}
    words = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    place = f"scp://{upload.scp_user or target.user}@{target.host}:{target.port}/{target.path}"
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {
            "SSH_ASKPASS": str(_answering(Path(folder))),
            "SSH_ASKPASS_REQUIRE": "force",
            "PYGNC_SCP_PASSWORD": target.password,
        }
        try:
            done = subprocess.run(  # noqa: S603 - words of our own; the server's are checked above
                [program, "-F", "none", *words, str(source), place],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_LIMIT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise TransferError(f"{target.host}: copying takes too long") from None
    if done.returncode:
        raise _why(done.stderr, target, settings)


def _answering(folder: Path) -> Path:
    """Return a program that tells OpenSSH the password, which only the environment holds."""
    script = folder / "askpass"
    script.write_text(_ANSWER)
    script.chmod(stat.S_IRWXU)
    return script


def _why(text: str, target: Target, settings: Settings) -> StationError | TransferError:
    said = " ".join(text.split()) or "scp failed"
    where = f"{target.host} port {target.port}"
    if any(words in text for words in _UNTRUSTED):
        known = settings.path(settings.upload.known_hosts)
        return StationError(f"{where}: its host key is not the one in {known}: put the right one there ({said})")
    if "Permission denied" in text:
        return StationError(f"{where}: the login is refused ({said})")
    return TransferError(f"{where}: {said}")
