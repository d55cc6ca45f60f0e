"""Sends batches by tinycloud's protocol: ask for an id, upload by SCP or HTTPS, ask until the status is known."""

import hashlib
import re
import time
from pathlib import Path
from typing import Final

from pygnc_station.station.batches import Batch
from pygnc_station.station.errors import StationError
from pygnc_station.station.http import ask, http_client, reason_of
from pygnc_station.station.key_file import read_key
from pygnc_station.station.scp import Target, copy_by_scp
from pygnc_station.station.sending import Sent, TransferError
from pygnc_station.station.settings import Settings
from pygnc_station.store.pieces import State

POLLS: Final = 19
POLL_S: Final = 5.0
_ID: Final = re.compile(r"[0-9a-f]{32}")
_STATES: Final = {"Processed": State.ACCEPTED, "Rejected": State.REJECTED}


class TinycloudSender:
    """A way to a tinycloud server.

    Args:
        settings: url in [upload] is that of the API, such as https://tinycloud.purit.ie/api/v1.
        poll_s: between questions for the status.
    """

    def __init__(self, settings: Settings, poll_s: float = POLL_S) -> None:
        self._settings = settings
        self._key = read_key(settings.path(settings.upload.key_file))
        self._client = http_client(settings, self._key)
        self._poll_s = poll_s

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def send(self, batch: Batch, path: Path) -> Sent:
        """Send a batch, or ask for one that was sent; see `Sender.send`."""
        if batch.state is State.SENT and batch.remote_id:
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
        answer = ask(self._client, "POST", "quarantine_request/", data=form)
        told = answer.json() if answer.status_code == 200 else {}
        remote_id = str(told.get("batchid", ""))
        if answer.status_code == 413:
            return Sent(State.REJECTED, reason_of(answer))
        if not _ID.fullmatch(remote_id):
            raise StationError(f"{self._client.base_url}: no id for {batch.name}: {reason_of(answer)}")
        domain, port = str(told.get("domain", "")), int(told.get("port", 0) or 0)
        destination = str(told.get("destination", ""))
        if self._settings.upload.scp and destination:
            folder = f"{destination.rstrip('/')}/{self._key}/inbox"
            target = Target(domain, port or 22, self._key, remote_id, f"{folder}/{remote_id}.zip")
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
            answer = ask(self._client, "POST", str(place), headers=headers, files=files)
        if answer.status_code != 200:
            raise TransferError(f"{place}: {reason_of(answer)}")

    def _poll(self, remote_id: str) -> Sent:
        for poll in range(POLLS):
            if poll:
                time.sleep(self._poll_s)
            answer = ask(self._client, "GET", f"upload_status/{remote_id}/")
            if answer.status_code == 404:
                return Sent(State.READY, "the server does not know it any more")
            told = answer.json() if answer.status_code == 200 else {}
            state = _STATES.get(str(told.get("status", "")))
            if state is not None:
                return Sent(state, str(told.get("reason", "")), remote_id)
        return Sent(State.SENT, "", remote_id)
