"""Loading of true orbits and attitudes; the file type is recognised by its content.

Readers of other packages read further file types.
"""

import gzip
import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import polars as pl

from pygnc_ground.truth.attitude_truth import AttitudeTruth, attitude_truth
from pygnc_ground.truth.ephemeris import Ephemeris
from pygnc_ground.truth.oem import ephemeris_from_oem, read_kvn, read_xml
from pygnc_ground.truth.reader import added_reader, added_readers
from pygnc_ground.truth.sp3 import read_sp3
from pygnc_ground.truth.table import (
    DATED_ROW,
    csv_table,
    ephemeris_from_dated_table,
    ephemeris_from_table,
    parquet_table,
)
from pygnc_system.plugins import named_faults

_GZIP_MARK = b"\x1f\x8b"
_OTHER_PACKERS = {b"\x1f\x9d": "compressed by compress (.Z)", b"PK\x03\x04": "a ZIP archive"}
_PARQUET_MARK = b"PAR1"
_TABLE_MARK = b"gps_week,"
_XML_MARK = b"<"
_KVN_MARK = b"CCSDS_OEM_VERS"
SP3_MARK = re.compile(rb"#[a-z][PV]")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_Truth = TypeVar("_Truth")
_KINDS = (
    "the truth table of a scenario (truth.parquet, truth.csv.gz), SP3-c, SP3-d, a table of dated states,"
    " or a CCSDS OEM in KVN or XML"
)


def load_truth(path: Path | str, object_id: str | None = None) -> Ephemeris:
    """Read the true orbit of an object in a file (SP3, OEM), or for None of the only one; the file may be gzipped.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file type is unknown, the file is damaged, its object has to be named, or Earth orientation for
            an ephemeris in inertial axes is missing. The message names file, line and remedy.
    """
    return _loaded(path, lambda content: _ephemeris(content, object_id))


def load_attitude_truth(path: Path | str) -> AttitudeTruth | None:
    """Read the true attitude from a truth table; return None for other file types and tables without attitude.

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is damaged; the message names file, row and remedy.
    """
    return _loaded(path, _attitude)


def _loaded(path: Path | str, read: Callable[[bytes], _Truth]) -> _Truth:
    content = Path(path).read_bytes()
    try:
        return read(_unpacked(content))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _unpacked(content: bytes) -> bytes:
    for mark, packer in _OTHER_PACKERS.items():
        if content.startswith(mark):
            raise ValueError(f"the file is {packer}; unpack it first")
    if not content.startswith(_GZIP_MARK):
        return content
    try:
        return gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"the gzip file is damaged: {error}; copy it again") from error


def _table(content: bytes) -> pl.DataFrame | None:
    """Return a truth table, or None for other file types."""
    if content.startswith(_PARQUET_MARK):
        return parquet_table(content)
    return csv_table(content) if _begin(content).startswith(_TABLE_MARK) else None


def _attitude(content: bytes) -> AttitudeTruth | None:
    table = _table(content)
    if table is not None:
        return attitude_truth(table)
    begin = _begin(content)
    is_ours = begin.startswith((_XML_MARK, _KVN_MARK)) or SP3_MARK.match(begin) or DATED_ROW.match(begin)
    reader = None if is_ours else added_reader(content)
    if reader is None:
        return None
    with named_faults(f"the reader of {reader.kind}"):
        return reader.attitude(content)


def _ephemeris(content: bytes, object_id: str | None) -> Ephemeris:
    table = _table(content)
    if table is not None:
        return ephemeris_from_table(table)
    begin = _begin(content)
    if begin.startswith(_XML_MARK):
        return ephemeris_from_oem(read_xml(content), object_id)
    text = content.removeprefix(_BYTE_ORDER_MARK).decode("utf-8", errors="replace")
    if DATED_ROW.match(begin):
        return ephemeris_from_dated_table(content.removeprefix(_BYTE_ORDER_MARK))
    if SP3_MARK.match(begin):
        return read_sp3(text, object_id)
    if begin.startswith(_KVN_MARK):
        return ephemeris_from_oem(read_kvn(text), object_id)
    reader = added_reader(content)
    if reader is None:
        added = "".join(f", {reader.kind}" for reader in added_readers())
        raise ValueError(f"not a true orbit; supported files: {_KINDS}{added}")
    with named_faults(f"the reader of {reader.kind}"):
        return reader.orbit(content, object_id)


def _begin(content: bytes) -> bytes:
    """Return the beginning of the text, by which its type is recognised."""
    return content[:200].removeprefix(_BYTE_ORDER_MARK).lstrip()
