"""Sends batches to a PyGNC server: announced, then in pieces from wherever it has come to."""

from pathlib import Path
from typing import Any, Final

import httpx

from pygnc_station.errors import StationError, TransferError
from pygnc_station.settings import StationSettings
from pygnc_station.store.batches import Batch, BatchState
from pygnc_station.upload.registration import read_key
from pygnc_station.upload.sender import Sent, http_client, reason_of, send_request

PIECE_BYTES: Final = 4 << 20
_TRIES: Final = 3
"""A batch that arrives damaged is sent again, so often."""


class StationSender:
    """A way to a PyGNC server."""

    def __init__(self, settings: StationSettings) -> None:
        self._client = http_client(settings, read_key(settings.path(settings.upload.key_file)))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def send(self, batch: Batch, path: Path) -> Sent:
        """Send a batch; see `Sender.send`."""
        place = f"api/v1/batches/{batch.id}"
        for _ in range(_TRIES):
            said = {"name": batch.name, "bytes": batch.bytes, "sha256": batch.sha256}
            told = _told(send_request(self._client, "PUT", place, json=said))
            with path.open("rb") as file:
                while told["state"] == "receiving" and told["offset"] < batch.bytes:
                    file.seek(told["offset"])
                    piece = file.read(PIECE_BYTES)
                    told = _told(
                        send_request(self._client, "PATCH", place, params={"offset": told["offset"]}, content=piece)
                    )
                    if told["state"] == "receiving" and told["offset"] == 0:
                        break  # it came, and was not what was announced
            if told["state"] == "accepted":
                return Sent(BatchState.ACCEPTED)
            if told["state"] == "rejected":
                return Sent(BatchState.REJECTED, str(told["reason"]))
            if told["offset"] == batch.bytes:
                told = _told(send_request(self._client, "PATCH", place, params={"offset": batch.bytes}, content=b""))
                if told["state"] == "accepted":
                    return Sent(BatchState.ACCEPTED)
        raise TransferError(f"{batch.name} arrives damaged again and again")


def _told(answer: httpx.Response) -> dict[str, Any]:
    if answer.status_code == 413:
        return {"state": "rejected", "reason": reason_of(answer), "offset": 0}
    if answer.status_code != 200:
        raise StationError(f"{answer.url.host}: {reason_of(answer)}")
    told = answer.json()
    if not isinstance(told, dict) or not {"state", "offset", "reason"} <= told.keys():
        raise StationError(f"{answer.url.host} does not answer as a PyGNC server: is url in [upload] right?")
    return told
