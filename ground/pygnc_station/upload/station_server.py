"""Sender for PyGNC servers: announces a batch, then sends it in chunks from the offset that the server has reached."""

from pathlib import Path
from typing import Any, Final

import httpx

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.store.batches import Batch, BatchState
from pygnc_station.upload.registration import read_key
from pygnc_station.upload.sender import Sent, error_of, http_client, json_object, send_request

CHUNK_BYTES: Final = 4 << 20
_MAX_ATTEMPTS: Final = 3
"""Number of times that a batch is sent if it arrives damaged."""


class StationSender:
    """Client of a PyGNC server."""

    def __init__(self, settings: StationSettings) -> None:
        self._client = http_client(settings, read_key(settings.path(settings.upload.key_file)))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def send(self, batch: Batch, path: Path) -> Sent:
        """Send a batch; see `Sender.send`."""
        for _ in range(_MAX_ATTEMPTS):
            announcement = {"name": batch.name, "bytes": batch.bytes, "sha256": batch.sha256}
            status = self._request("PUT", batch, json=announcement)
            with path.open("rb") as file:
                while status["state"] == "receiving" and status["offset"] < batch.bytes:
                    file.seek(status["offset"])
                    chunk = file.read(CHUNK_BYTES)
                    status = self._request("PATCH", batch, params={"offset": status["offset"]}, content=chunk)
                    if status["state"] == "receiving" and status["offset"] == 0:
                        break  # the server has discarded the batch because its checksum was wrong
            if status["state"] == "receiving" and status["offset"] == batch.bytes:  # received, but not verified yet
                status = self._request("PATCH", batch, params={"offset": batch.bytes}, content=b"")
            if status["state"] == "accepted":
                return Sent(BatchState.ACCEPTED)
            if status["state"] == "rejected":
                return Sent(BatchState.REJECTED, str(status["reason"]))
        raise TransferError(f"{batch.name} arrived damaged {_MAX_ATTEMPTS} times; it is sent again later")

    def _request(self, method: str, batch: Batch, **content: Any) -> dict[str, Any]:  # noqa: ANN401 - httpx's
        return _status_of(send_request(self._client, method, f"api/v1/batches/{batch.id}", **content))


def _status_of(response: httpx.Response) -> dict[str, Any]:
    if response.status_code == 413:
        return {"state": "rejected", "reason": error_of(response), "offset": 0}
    if response.status_code != 200:
        raise StationError(f"{response.url.host}: {error_of(response)}")
    status = json_object(response)
    if not {"state", "offset", "reason"} <= status.keys():
        raise StationError(f"{response.url.host} does not respond as a PyGNC server; check url in [upload]")
    return status
