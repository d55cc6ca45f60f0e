"""Copies a file by OpenSSH's scp. The host's key is checked; no password is on a command line.

Sends batches by tinycloud's protocol: ask for an id, upload by SCP or HTTPS, ask until the status is known.
"""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.store.batches import Batch, BatchState
from pygnc_station.upload.registration import read_key
from pygnc_station.upload.sender import Sent, http_client, reason_of, send_request

_LIMIT_S: Final = 600.0
_ANSWER: Final = '#!/bin/sh\nprintf "%s\\n" "$PYGNC_SCP_PASSWORD"\n'
_UNTRUSTED: Final = ("Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED", "host key is known")


@dataclass(frozen=True, slots=True)
class ScpTarget:
    """Where a file goes."""

    host: str
    port: int
    user: str
    password: str
    path: str


def copy_by_scp(source: Path, target: ScpTarget, settings: StationSettings) -> None:
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


def _why(text: str, target: ScpTarget, settings: StationSettings) -> StationError | TransferError:
    said = " ".join(text.split()) or "scp failed"
    where = f"{target.host} port {target.port}"
    if any(words in text for words in _UNTRUSTED):
        known = settings.path(settings.upload.known_hosts)
        return StationError(f"{where}: its host key is not the one in {known}: put the right one there ({said})")
    if "Permission denied" in text:
        return StationError(f"{where}: the login is refused ({said})")
    return TransferError(f"{where}: {said}")


POLLS: Final = 19
POLL_S: Final = 5.0
_ID: Final = re.compile(r"[0-9a-f]{32}")
_STATES: Final = {"Processed": BatchState.ACCEPTED, "Rejected": BatchState.REJECTED}


class TinycloudSender:
    """A way to a tinycloud server.

    Args:
        settings: url in [upload] is that of the API, such as https://tinycloud.purit.ie/api/v1.
        poll_s: between questions for the status.
    """

    def __init__(self, settings: StationSettings, poll_s: float = POLL_S) -> None:
        self._settings = settings
        self._key = read_key(settings.path(settings.upload.key_file))
        self._client = http_client(settings, self._key)
        self._poll_s = poll_s

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def send(self, batch: Batch, path: Path) -> Sent:
        """Send a batch, or ask for one that was sent; see `Sender.send`."""
        if batch.state is BatchState.SENT and batch.remote_id:
            return self._poll(batch.remote_id)
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
        answer = send_request(self._client, "POST", "quarantine_request/", data=form)
        told = answer.json() if answer.status_code == 200 else {}
        remote_id = str(told.get("batchid", ""))
        if answer.status_code == 413:
            return Sent(BatchState.REJECTED, reason_of(answer))
        if not _ID.fullmatch(remote_id):
            raise StationError(f"{self._client.base_url}: no id for {batch.name}: {reason_of(answer)}")
        domain, port = str(told.get("domain", "")), int(told.get("port", 0) or 0)
        destination = str(told.get("destination", ""))
        if self._settings.upload.scp and destination:
            folder = f"{destination.rstrip('/')}/{self._key}/inbox"
            target = ScpTarget(domain, port or 22, self._key, remote_id, f"{folder}/{remote_id}.zip")
            copy_by_scp(path, target, self._settings)
        else:
            self._post(path, remote_id)
        return self._poll(remote_id)

    def _post(self, path: Path, remote_id: str) -> None:
        """Upload by HTTPS to the host of the API."""
        headers = {"X-Gascloud-Logas": self._key, "X-Gascloud-Logpw": remote_id}
        with path.open("rb") as file:
            files = {"file": (f"{remote_id}.zip", file, "application/zip")}
            place = self._client.base_url.copy_with(path="/upload")
            answer = send_request(self._client, "POST", str(place), headers=headers, files=files)
        if answer.status_code != 200:
            raise TransferError(f"{place}: {reason_of(answer)}")

    def _poll(self, remote_id: str) -> Sent:
        for poll in range(POLLS):
            if poll:
                time.sleep(self._poll_s)
            answer = send_request(self._client, "GET", f"upload_status/{remote_id}/")
            if answer.status_code == 404:
                return Sent(BatchState.READY, "the server does not know it any more")
            told = answer.json() if answer.status_code == 200 else {}
            state = _STATES.get(str(told.get("status", "")))
            if state is not None:
                return Sent(state, str(told.get("reason", "")), remote_id)
        return Sent(BatchState.SENT, "", remote_id)
