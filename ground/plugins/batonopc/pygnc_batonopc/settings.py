"""Settings of batonopc, its settings.yaml, as settings of a station."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pygnc_station.errors import StationError

_FAMILIES: Final = {"OPCN3": "opc_n3"}
_NAMES: Final = {
    "API": "upload.url",
    "BATCH_DIR_PENDING": "batches.pending",
    "BATCH_DIR_UPLOADED": "batches.uploaded",
    "BATCH_MODE": "batches.mode",
    "BATCH_TYPE": "batches.type",
    "DELETE_BATCH_ON_UPLOAD": "batches.delete_when_accepted",
    "DELETE_READING_ON_ZIP": "batches.delete_readings",
}
_DEVICE: Final = {"GADGET_ID", "GADGET_TYPE", "LOGGING_INTERVAL_SECS", "PORT"}
_UNUSED: Final = {"DB_TABLE", "BATCH_DBNAME", "BATCH_TABLE", "GASCLOUD_KEY", "UPLOAD_INTERVAL_SECS"}
"""Keys without an equivalent: its tables are only imported, the key is in a file, and timers start uploads."""


def from_batonopc(table: Mapping[str, Any], source: str) -> dict[str, Any]:
    """Return the table of our settings for that of batonopc.

    Raises:
        StationError: a key is not one of batonopc's.
    """
    known = {"DBNAME", *_NAMES, *_DEVICE, *_UNUSED}
    unknown = sorted(set(table) - known)
    if unknown:
        raise StationError(
            f"{source}: unknown key {unknown[0]}; the file contains keys of batonopc, so all keys must be batonopc's"
        )
    ours: dict[str, dict[str, Any]] = {"batches": {}, "upload": {"way": "tinycloud"}, "store": {}}
    for theirs, name in _NAMES.items():
        if theirs in table:
            group, _, key = name.partition(".")
            ours[group][key] = table[theirs]
    if "DBNAME" in table:
        # batonopc's database is left unchanged; `pygnc station import` reads it.
        ours["store"]["url"] = str(Path(str(table["DBNAME"])).with_suffix(".pygnc.db"))
    kind = str(table.get("GADGET_TYPE", "OPCN3"))
    device = {
        "gadget": str(table.get("GADGET_ID", "opc")),
        "family": _FAMILIES.get(kind, kind.lower()),
        "port": str(table.get("PORT", "/dev/ttyACM0")),
        "interval_s": table.get("LOGGING_INTERVAL_SECS", 10),
    }
    return {**ours, "device": [device]}
