"""Batches of batonopc: a CSV file of its whole table, often without column names, and a YAML file with its key."""

import csv
import io
import re
import shutil
import zipfile
from collections.abc import Iterator
from functools import partial
from itertools import chain, islice
from typing import Any, Final

from sqlalchemy import Connection

from pygnc_batonopc.table import FAMILY, KEYS, RAW, TABLES, Table, group_rows, origin_of, zone_of
from pygnc_station.errors import BadBatchError
from pygnc_station.server.ingest import BatchFormat, Ingested
from pygnc_station.server.ownership import owned_gadget
from pygnc_station.server_settings import Serve
from pygnc_station.store.readings import Layout, Stream
from pygnc_station.store.schema import MAX_NAME_LENGTH
from pygnc_station.store.store import make_stream, put

_CSV: Final = ".csv"
_YAML: Final = ".yaml"
_MAX_YAML_BYTES: Final = 65_536
_MAX_LINE_CHARACTERS: Final = 100_000
_MAX_STREAMS: Final = 100
_PAGE: Final = 2000
_TEXT_COLUMNS: Final = frozenset({"timestamp", "gadget_id", RAW})
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")


class BatonopcBatches(BatchFormat):
    """Batches of batonopc.

    Raises:
        StationError: batonopc_zone in [serve] is not a time zone.
    """

    def __init__(self, serve: Serve) -> None:
        self._zone = zone_of(serve.batonopc_zone)

    def recognises(self, archive: zipfile.ZipFile) -> bool:
        """Return True if a batch consists of a CSV and a YAML file of one name."""
        return bool(_stem_of(archive))

    def store(self, connection: Connection, gateway: int, archive: zipfile.ZipFile, latest_ms: int) -> Ingested:
        """Store the new readings of a batch within a transaction.

        Numbers increase, so readings below the stream's next number were stored before, and remain deleted if they were
        pruned.
        """
        stem = _stem_of(archive)
        gadget_id = _gadget_of(archive, stem + _YAML)
        readings = untimed = 0
        streams: dict[tuple[str, Layout], Stream] = {}
        with (
            archive.open(stem + _CSV) as octets,
            io.TextIOWrapper(octets, encoding="utf-8", newline="") as text,
        ):
            rows = csv.reader(_lines(text, stem + _CSV), strict=True)
            header, first = next(rows, None), next(rows, None)
            if header is None:
                raise BadBatchError(f"{stem}{_CSV} is empty")
            if first is None:
                return Ingested(0, 0, "", "")
            table, origin = Table(_names(header, len(first)), self._zone, gadget_id), origin_of(first)
            values = (_values_of(table.names, row, line) for line, row in enumerate(chain([first], rows), 2))
            while page := list(islice(values, _PAGE)):
                groups, without_time = group_rows(table, page)
                untimed += without_time
                for key, numbered in groups.items():
                    if key not in streams:
                        streams[key] = _stream(connection, gateway, *key, origin)
                        if len(streams) > _MAX_STREAMS:
                            raise BadBatchError(
                                f"the batch contains more than {_MAX_STREAMS} streams (kinds of readings of a device)"
                            )
                    stream = streams[key]
                    new = [entry for entry in numbered if entry[0] >= stream.next_number]
                    put(connection, stream.id, new, latest_ms)
                    readings += len(numbered)
        return Ingested(readings, 0, f"{untimed} rows without a valid time were left out" if untimed else "", "")

    def copy_without_secrets(self, archive: zipfile.ZipFile, target: zipfile.ZipFile) -> None:
        """Copy a batch without its YAML file, which contains the station's key."""
        name = _stem_of(archive) + _CSV
        with archive.open(name) as source, target.open(name, "w", force_zip64=True) as copy:
            shutil.copyfileobj(source, copy, 1 << 18)


def _stem_of(archive: zipfile.ZipFile) -> str:
    """Return the stem of the file names of batonopc's batch, "" if the batch is not batonopc's."""
    names = sorted(archive.namelist())
    stem = names[0].removesuffix(_CSV) if names else ""
    return stem if names == [stem + _CSV, stem + _YAML] else ""


def _gadget_of(archive: zipfile.ZipFile, name: str) -> str:
    """Return the device in the YAML file, "" if it contains none; error messages must not contain the key."""
    import yaml  # noqa: PLC0415 - only batonopc's batches need it

    if archive.getinfo(name).file_size > _MAX_YAML_BYTES:
        raise BadBatchError(f"{name} has {archive.getinfo(name).file_size} bytes; the limit is {_MAX_YAML_BYTES}")
    octets = archive.read(name)
    try:
        # Aliases could expand to a very large document.
        has_aliases = any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(octets, yaml.SafeLoader))
        found = None if has_aliases else yaml.safe_load(octets)
    except (yaml.YAMLError, ValueError, RecursionError):  # their messages may contain the key
        found = None
    if not isinstance(found, dict):
        raise BadBatchError(f"{name} is not a YAML mapping")
    gadget = found.get("gadget_id")
    return "" if gadget is None else str(gadget)


def _lines(text: io.TextIOWrapper, name: str) -> Iterator[str]:
    """Yield lines of limited length."""
    for number, line in enumerate(iter(partial(text.readline, _MAX_LINE_CHARACTERS), ""), 1):
        if not line.endswith(("\n", "\r")):
            why = (
                f"is longer than {_MAX_LINE_CHARACTERS} characters"
                if len(line) == _MAX_LINE_CHARACTERS
                else "is truncated"
            )
            raise BadBatchError(f"{name}: line {number} {why}")
        yield line


def _names(header: list[str], width: int) -> tuple[str, ...]:
    """Return the names of the columns: those in the header, or those of batonopc's table of this width."""
    if not any(header):
        if width not in TABLES:
            raise BadBatchError(
                f"{width} columns without names; batonopc's tables have {', '.join(map(str, sorted(TABLES)))} columns"
            )
        return TABLES[width]
    if len(set(header)) != len(header) or not {"rdg_no", "timestamp"} <= set(header):
        raise BadBatchError(f"columns {header!r:.80}: names must be unique and include {' and '.join(KEYS[:2])}")
    for name in header:
        if len(name) > MAX_NAME_LENGTH or not name.isprintable():
            raise BadBatchError(f"column name {name!r:.80} must have at most {MAX_NAME_LENGTH} printable characters")
    return tuple(header)


def _values_of(names: tuple[str, ...], row: list[str], line: int) -> list[Any]:
    """Return the values of a row as they were in batonopc's database."""
    if len(row) != len(names):
        raise BadBatchError(f"row {line}: {len(row)} cells instead of {len(names)}")
    if sum(map(len, row)) > _MAX_LINE_CHARACTERS:
        raise BadBatchError(f"row {line} is longer than {_MAX_LINE_CHARACTERS} characters")
    values = [cell or None if name in _TEXT_COLUMNS else _value(cell) for name, cell in zip(names, row, strict=True)]
    number = values[names.index("rdg_no")]
    if not isinstance(number, int) or number < 1:
        raise BadBatchError(f"row {line}: rdg_no must be a positive integer, not {number!r:.40}")
    return values


def _value(cell: str) -> int | float | str | None:
    if _INTEGER.fullmatch(cell):
        return int(cell)
    try:
        return float(cell) if cell else None
    except ValueError:
        return cell


def _stream(connection: Connection, gateway: int, gadget_id: str, layout: Layout, origin: str) -> Stream:
    if not 0 < len(gadget_id) <= MAX_NAME_LENGTH or not gadget_id.isprintable():
        raise BadBatchError(f"device name {gadget_id!r:.80} must have 1 to {MAX_NAME_LENGTH} printable characters")
    stored = owned_gadget(connection, gateway, gadget_id, origin, FAMILY)
    return make_stream(connection, stored, layout, family=FAMILY, origin=origin)
