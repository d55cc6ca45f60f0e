"""Sender for tinycloud: requests an id, uploads by SCP or HTTPS, then polls the status of the batch."""

import hashlib
import os
import re
import select
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path
from typing import Final

from pygnc_station.errors import RefusalError, StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.store.batches import Batch, BatchState
from pygnc_station.upload.station_server import HttpSender, error_of, json_object, send_request

POLLS: Final = 19
POLL_S: Final = 5.0
_ID: Final = re.compile(r"[0-9a-f]{32}")
_STATES: Final = {"Processed": BatchState.ACCEPTED, "Rejected": BatchState.REJECTED}
_SCP_TIMEOUT_S: Final = 600.0
_PROMPT: Final = re.compile(r"pass(word|phrase)[^\n]*: ?\Z", re.IGNORECASE)
_UNTRUSTED: Final = ("Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED", "host key is known")
"""Parts of OpenSSH's messages about a wrong or unknown host key."""
_QUOTES: Final = frozenset("\"'\\*?[")
"""Characters with a meaning in sftp's commands and in ssh's configuration."""


class TinycloudSender(HttpSender):
    """Client of a tinycloud server.

    Args:
        settings: settings; url in [upload] is that of the API, such as https://tinycloud.purit.ie/api/v1.
        poll_s: seconds between status requests.
    """

    status_path = "upload_status/{}/"

    def __init__(self, settings: StationSettings, poll_s: float = POLL_S) -> None:
        super().__init__(settings)
        self._poll_s = poll_s

    def send(self, batch: Batch, path: Path) -> Batch:
        """Send a batch, or poll a batch that was sent before; see `Sender.send`."""
        if batch.state is BatchState.SENT and batch.remote_id:
            return self._poll(batch)
        with path.open("rb") as file:
            md5 = hashlib.file_digest(file, "md5").hexdigest()
        form = {
            "key": self._key,
            "source_ref": batch.name,
            "filelist": f"{batch.name}.csv,{batch.name}.yaml",
            "batch_type": self._settings.batches.type,
            "batch_mode": self._settings.batches.mode,
            "zip_size": str(batch.bytes),
            "zip_md5": md5,
        }
        response = send_request(self._client, "POST", "quarantine_request/", data=form)
        if response.status_code == 413 or (response.status_code in {400, 422} and json_object(response)):
            return replace(batch, state=BatchState.REJECTED, reason=error_of(response))
        values = json_object(response) if response.status_code == 200 else {}
        remote_id = str(values.get("batchid", ""))
        if not _ID.fullmatch(remote_id):
            raise RefusalError(
                f"{self._client.base_url}: the server assigns no id to {batch.name} ({error_of(response)})"
            )
        destination = str(values.get("destination", ""))
        if self._settings.upload.scp and destination:
            file_path = f"{destination.rstrip('/')}/{self._key}/inbox/{remote_id}.zip"
            port = int(values.get("port", 0) or 0) or 22
            target = ScpTarget(str(values.get("domain", "")), port, self._key, remote_id, file_path)
            copy_by_scp(path, target, self._settings)
        else:
            self._post(path, remote_id)
        return self._poll(replace(batch, remote_id=remote_id))

    def _post(self, path: Path, remote_id: str) -> None:
        """Upload by HTTPS to the host of the API."""
        headers = {"X-Gascloud-Logas": self._key, "X-Gascloud-Logpw": remote_id}
        url = self._client.base_url.copy_with(path="/upload")
        with path.open("rb") as file:
            files = {"file": (f"{remote_id}.zip", file, "application/zip")}
            response = send_request(self._client, "POST", str(url), headers=headers, files=files)
        if response.status_code != 200:
            raise TransferError(f"{url}: the upload failed ({error_of(response)}); the next upload tries again")

    def _poll(self, batch: Batch) -> Batch:
        for poll in range(POLLS):
            if poll:
                time.sleep(self._poll_s)
            response = send_request(self._client, "GET", self.status_path.format(batch.remote_id))
            if response.status_code == 404:
                reason = "the server no longer knows the batch; the next upload sends it again"
                return replace(batch, state=BatchState.READY, remote_id="", reason=reason)
            values = json_object(response) if response.status_code == 200 else {}
            state = _STATES.get(str(values.get("status", "")))
            if state is not None:
                reason, conflict = str(values.get("reason", "")), str(values.get("conflict", ""))
                return replace(batch, state=state, reason=reason, conflict=conflict)
        return replace(batch, state=BatchState.SENT, reason="")


@dataclass(frozen=True, slots=True)
class ScpTarget:
    """Destination and login of an SCP transfer."""

    host: str
    port: int
    user: str
    password: str
    path: str


def copy_by_scp(source: Path, target: ScpTarget, settings: StationSettings) -> None:
    """Copy a file by OpenSSH's sftp, whose protocol scp uses too; the host key is checked.

    Neither the login nor the destination, which contain the gateway's key, are on a command line, which every user of
    this computer could read.

    Raises:
        StationError: the host key is not known, the login is refused, or sftp is not installed.
        TransferError: the host does not respond or cannot store the file now.
    """
    program = shutil.which("sftp")
    if program is None:
        raise StationError("sftp is not installed; apt-get install openssh-client, or set scp = false in [upload]")
    upload = settings.upload
    user = upload.scp_user or target.user
    texts = (target.host, user, target.path)
    if target.host.startswith("-") or any(not text.isprintable() or set(text) & _QUOTES for text in texts):
        raise StationError(
            f"{target.host!r}: the server has sent an invalid destination for SCP; set scp = false in [upload]"
        )
    options = {
        "BatchMode": "no",  # -b would forbid the password
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(settings.path(upload.known_hosts)),
        "ConnectTimeout": str(int(upload.timeout_s)),
        "NumberOfPasswordPrompts": "1",
        "PreferredAuthentications": "publickey,password,keyboard-interactive",
        "Port": str(target.port),
    }
    if upload.scp_identity:
        options |= {"IdentityFile": str(settings.path(upload.scp_identity)), "IdentitiesOnly": "yes"}
    arguments = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    host = f"[{target.host}]" if ":" in target.host else target.host
    with tempfile.TemporaryDirectory() as folder:
        config, commands = Path(folder) / "config", Path(folder) / "commands"
        config.write_text(f'User "{user}"\n')
        commands.write_text(f'put "{source.name}" "{target.path}"\n')
        words = [program, "-F", str(config), *arguments, "-b", str(commands), host]
        code, output = _run_on_terminal(words, source.parent, target)
    if code:
        raise _scp_error(output, target, settings)


def _run_on_terminal(words: list[str], folder: Path, target: ScpTarget) -> tuple[int, str]:
    """Run a program and answer its request for a password; return exit code and output.

    The password goes through a terminal, because ssh's other ways show the login on the command line of a helper.

    Raises:
        TransferError: the program does not end in time.
    """
    master, slave = os.openpty()
    end_s = time.monotonic() + _SCP_TIMEOUT_S
    output = ""
    with os.fdopen(master, "r+b", buffering=0) as terminal:
        process = subprocess.Popen(  # noqa: S603 - the arguments from the server are checked by the caller
            ["setsid", "--ctty", "--wait", *words],  # noqa: S607 - of every Linux
            stdin=slave, stdout=slave, stderr=slave, cwd=folder, env=os.environ | {"SSH_ASKPASS_REQUIRE": "never"},
        )  # fmt: skip
        os.close(slave)
        with process:
            try:
                while octets := _read_until(terminal, end_s):
                    output += octets.decode(errors="replace")
                    if _PROMPT.search(output):
                        terminal.write(f"{target.password}\n".encode())
                        output = ""
            except BaseException:
                process.kill()
                raise
    return process.returncode, output


def _read_until(terminal: FileIO, end_s: float) -> bytes:
    """Return the next output on a terminal, b"" at its end; raise TransferError at the time `end_s`."""
    ready, _, _ = select.select([terminal], [], [], max(0.0, end_s - time.monotonic()))
    if not ready:
        raise TransferError(f"the transfer did not finish within {_SCP_TIMEOUT_S:.0f} s; the next upload tries again")
    try:
        return terminal.read(4096) or b""
    except OSError:  # EIO: all programs on the terminal have ended
        return b""


def _scp_error(stderr: str, target: ScpTarget, settings: StationSettings) -> StationError | TransferError:
    message = " ".join(stderr.split()) or "sftp failed"
    for secret in filter(None, (target.user, target.password)):
        message = message.replace(secret, "***")
    where = f"{target.host} port {target.port}"
    if any(words in stderr for words in _UNTRUSTED):
        known = settings.path(settings.upload.known_hosts)
        return RefusalError(f"{where}: the host key does not match {known}; add the right key there ({message})")
    if "Permission denied" in stderr:
        return RefusalError(f"{where}: the login is refused ({message})")
    if "subsystem request failed" in stderr:
        return StationError(f"{where}: the host does not offer SFTP; set scp = false in [upload] ({message})")
    return TransferError(f"{where}: {message}")
