"""Station that runs batonopc: its table, its batches, and the requests that upload them."""

import csv
import io
import sqlite3
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

DEADLINE_S = 30.0

BINS = [f"bin_{number}" for number in range(24)]
COLUMNS = [
    "temp", "rh", "pm_01", "pm_25", "pm_10", *BINS, "bin1_mtof", "bin3_mtof", "bin5_mtof", "bin7_mtof",
    "sampling_period", "sample_flow_rate", "reject_count_glitch", "reject_count_longtof",
    "reject_count_ratio", "reject_count_outofrange",
    "fan_rev_count", "last_status", "checksum",
]  # fmt: skip


def log(path: Path, rows: int) -> None:
    """Store one reading per minute."""
    reals = ", ".join(f"{name} REAL" for name in COLUMNS)
    with sqlite3.connect(path) as database:
        database.execute(
            f"CREATE TABLE IF NOT EXISTS opc (rdg_no INTEGER PRIMARY KEY AUTOINCREMENT, timestamp TEXT NOT NULL,"
            f" gadget_id VARCHAR, {reals})"
        )
        marks = ", ".join("?" * (2 + len(COLUMNS)))
        names = ", ".join(["timestamp", "gadget_id", *COLUMNS])
        for rank in range(rows):
            values = [f"2021-07-01 12:{rank:02d}", "OPC_7", 20.5, None, *[float(rank)] * (len(COLUMNS) - 2)]
            database.execute(f"INSERT INTO opc ({names}) VALUES ({marks})", values)  # noqa: S608 - constant names
    database.close()


def rows_of(path: Path) -> list[tuple[Any, ...]]:
    """Return the whole table."""
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT * FROM opc ORDER BY rdg_no").fetchall()
    database.close()
    return rows


def csv_of(rows: list[tuple[Any, ...]], header: list[str] | None = None) -> bytes:
    """Return the CSV file of a batch; batonopc writes an empty header."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(header or [])
    writer.writerows(rows)
    return text.getvalue().encode()


def batch_of(
    ref: str, key: str, table: bytes, *, method: int = zipfile.ZIP_STORED, description: bytes | None = None
) -> bytes:
    """Return a batch of batonopc, which contains the gateway's key."""
    files = [f"{ref}.csv", f"{ref}.yaml"]
    told = {
        "source": "Raspberry PI", "source_ref": ref, "version": "1.3 Dec 2020", "filelist": ",".join(files),
        "batch_type": "OPC", "batch_mode": "LIVE", "device_id": key, "timestamp": ref[:16], "gadget_id": "OPC_7",
        "reading_from": 0, "reading_to": 2,
    }  # fmt: skip
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        archive.writestr(files[0], table)
        archive.writestr(files[1], yaml.safe_dump(told).encode() if description is None else description)
    return buffer.getvalue()


@dataclass
class Station:
    """Client that sends batonopc's requests.

    Attributes:
        url: URL of the server.
        key: the gateway's key.
    """

    url: str
    key: str

    def request(self, ref: str, octets: bytes) -> dict[str, Any]:
        """Request the id of a batch."""
        form = {
            "key": self.key, "source_ref": ref, "filelist": f"{ref}.csv,{ref}.yaml", "batch_type": "OPC",
            "batch_mode": "LIVE", "zip_size": len(octets), "zip_md5": "d41d8cd98f00b204e9800998ecf8427e",
        }  # fmt: skip
        headers = {"authorization": "Bearer {self.gateway_key}"}  # batonopc sends this placeholder, literally
        answer = httpx.post(f"{self.url}/api/v1/quarantine_request/", data=form, headers=headers, timeout=DEADLINE_S)
        told: dict[str, Any] = answer.raise_for_status().json()
        return told

    def post(self, id_: str, octets: bytes) -> None:
        """Upload by HTTPS."""
        headers = {"X-Gascloud-Logas": self.key, "X-Gascloud-Logpw": id_}
        files = {"file": (f"{id_}.zip", octets, "application/zip")}
        httpx.post(f"{self.url}/upload", files=files, headers=headers, timeout=DEADLINE_S).raise_for_status()

    def status(self, id_: str) -> tuple[str, str]:
        """Return status and reason of a batch."""
        answer = httpx.get(f"{self.url}/api/v1/upload_status/{id_}/", headers=self._headers, timeout=DEADLINE_S)
        told = answer.raise_for_status().json()
        return told["status"], told["reason"]

    def upload(self, ref: str, octets: bytes) -> tuple[str, str]:
        """Upload a batch by HTTPS and return its status and reason."""
        id_ = self.request(ref, octets)["batchid"]
        self.post(id_, octets)
        return self.status(id_)

    @property
    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}
