"""Sender for tinycloud: requests an id, uploads by SCP or HTTPS, then polls the status of the batch."""

import hashlib
import os
import re
import shutil
import stat
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.store.batches import Batch, BatchState
from pygnc_station.upload.station_server import HttpSender, error_of, json_object, send_request

POLLS: Final = 19
POLL_S: Final = 5.0
_ID: Final = re.compile(r"[0-9a-f]{32}")
_STATES: Final = {"Processed": BatchState.ACCEPTED, "Rejected": BatchState.REJECTED}
_SCP_TIMEOUT_S: Final = 600.0
_ASKPASS: Final = '#!/bin/sh\nprintf "%s\\n" "$PYGNC_SCP_PASSWORD"\n'
_UNTRUSTED: Final = ("Host key verification failed", "REMOTE HOST IDENTIFICATION HAS CHANGED", "host key is known")
"""Parts of OpenSSH's messages about a wrong or unknown host key."""


class TinycloudSender(HttpSender):
    """Client of a tinycloud server.

    Args:
        settings: settings; url in [upload] is that of the API, such as https://tinycloud.purit.ie/api/v1.
        poll_s: seconds between status requests.
    """

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
            raise StationError(
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
            response = send_request(self._client, "GET", f"upload_status/{batch.remote_id}/")
            if response.status_code == 404:
                reason = "the server no longer knows the batch; the next upload sends it again"
                return replace(batch, state=BatchState.READY, remote_id="", reason=reason)
            values = json_object(response) if response.status_code == 200 else {}
            state = _STATES.get(str(values.get("status", "")))
            if state is not None:
                return replace(batch, state=state, reason=str(values.get("reason", "")))
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
    """Copy a file by OpenSSH's scp, which checks the host key; the password is not on a command line.

    Raises:
        StationError: the host key is not known, the login is refused, or scp is not installed.
        TransferError: the host does not respond or cannot store the file now.
    """
    program = shutil.which("scp")
    if program is None:
        raise StationError("scp is not installed; apt-get install openssh-client, or set scp = false in [upload]")
    upload = settings.upload
    if any(text.startswith("-") or not text.isprintable() for text in (target.host, target.user, target.path)):
        raise StationError(
            f"{target.host!r}: the server has sent an invalid destination for SCP; set scp = false in [upload]"
        )
    options = {
        "StrictHostKeyChecking": "yes",
        "UserKnownHostsFile": str(settings.path(upload.known_hosts)),
        "ConnectTimeout": str(int(upload.timeout_s)),
        "NumberOfPasswordPrompts": "1",
        "PreferredAuthentications": "publickey,password,keyboard-interactive",
    }
    if upload.scp_identity:
        options |= {"IdentityFile": str(settings.path(upload.scp_identity)), "IdentitiesOnly": "yes"}
    arguments = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    url = f"scp://{upload.scp_user or target.user}@{target.host}:{target.port}/{target.path}"
    with tempfile.TemporaryDirectory() as folder:
        askpass = Path(folder) / "askpass"  # prints the password, which is only in the environment
        askpass.write_text(_ASKPASS)
        askpass.chmod(stat.S_IRWXU)
        environment = os.environ | {
            "SSH_ASKPASS": str(askpass),
            "SSH_ASKPASS_REQUIRE": "force",
            "PYGNC_SCP_PASSWORD": target.password,
        }
        try:
            done = subprocess.run(  # noqa: S603 - the arguments from the server are checked above
                [program, "-F", "none", *arguments, str(source), url],
                env=environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=_SCP_TIMEOUT_S,
                check=False,
            )
        except subprocess.TimeoutExpired:
            why = f"scp did not finish within {_SCP_TIMEOUT_S:.0f} s; the next upload tries again"
            raise TransferError(f"{target.host}: {why}") from None
    if done.returncode:
        raise _scp_error(done.stderr, target, settings)


def _scp_error(stderr: str, target: ScpTarget, settings: StationSettings) -> StationError | TransferError:
    message = " ".join(stderr.split()) or "scp failed"
    where = f"{target.host} port {target.port}"
    if any(words in stderr for words in _UNTRUSTED):
        known = settings.path(settings.upload.known_hosts)
        return StationError(f"{where}: the host key does not match {known}; add the right key there ({message})")
    if "Permission denied" in stderr:
        return StationError(f"{where}: the login is refused ({message})")
    return TransferError(f"{where}: {message}")
