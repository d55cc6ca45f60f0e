"""Accepted results of a run, in the folder `reference` of the run."""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import msgspec
import polars as pl
from polars.exceptions import PolarsError

import pygnc_devices
from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, MAIN_FIELD_TABLE
from pygnc_devices.files import data_file
from pygnc_ground.gate.constants import Record
from pygnc_ground.gate.corpus import REFERENCE_FOLDER, CorpusError
from pygnc_ground.gate.digest import digest
from pygnc_ground.gate.outcome import Accuracy, Outcome
from pygnc_ground.gate.platform import Platform

_FORMAT: Final = 1
_FILE: Final = "reference.json"
_AGAIN: Final = "accept the run again by pygnc gate accept"


class Reference(msgspec.Struct, frozen=True):
    """Accepted results without the tables, which lie beside it as Parquet files.

    Attributes:
        format: Version of this layout.
        accepted_utc: Time at which the results were accepted.
        version: Version of PyGNC.
        platform: Numerical platform.
        inputs: SHA-256 of the input files by path.
        data: SHA-256 of the data tables of the package by name.
        digests: Digests of tables and parts by name.
        accuracy: Accuracy of all solutions.
        constants: Numbers in the source of the estimators.
    """

    format: int
    accepted_utc: str
    version: str
    platform: Platform
    inputs: dict[str, str]
    data: dict[str, str]
    digests: dict[str, str]
    accuracy: list[Accuracy]
    constants: Record


def data_digests() -> dict[str, str]:
    """Return the digests of the data tables that the estimators read."""
    return {name: digest(data_file(name).read_bytes()) for name in (EARTH_ORIENTATION_TABLE, MAIN_FIELD_TABLE)}


def write_reference(
    run: Path, found: Outcome, platform: Platform, inputs: dict[str, str], constants: Record
) -> Reference:
    """Write the results of a run as its reference, which replaces an older one at once."""
    reference = Reference(
        format=_FORMAT,
        accepted_utc=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        version=pygnc_devices.__version__,
        platform=platform,
        inputs=inputs,
        data=data_digests(),
        digests=found.digests,
        accuracy=found.accuracy,
        constants=constants,
    )
    new, old = run / f"{REFERENCE_FOLDER}.new", run / f"{REFERENCE_FOLDER}.old"
    for folder in (new, old):
        shutil.rmtree(folder, ignore_errors=True)
    new.mkdir()
    for name, table in found.tables.items():
        table.write_parquet(new / f"{name}.parquet")
    (new / _FILE).write_bytes(msgspec.json.format(msgspec.json.encode(reference), indent=1))
    current = run / REFERENCE_FOLDER
    if current.exists():
        current.rename(old)
    new.rename(current)
    shutil.rmtree(old, ignore_errors=True)
    return reference


def read_reference(run: Path) -> Reference:
    """Return the reference of a run.

    Raises:
        CorpusError: The run has no reference, or it is damaged or of another version.
        OSError: It cannot be read.
    """
    file = run / REFERENCE_FOLDER / _FILE
    if not file.exists():
        raise CorpusError(f"{run}: has no accepted results; {_AGAIN}")
    try:
        reference = msgspec.json.decode(file.read_bytes(), type=Reference)
    except msgspec.MsgspecError as error:
        raise CorpusError(f"{file}: is damaged or of another version ({error}); {_AGAIN}") from error
    if reference.format != _FORMAT:
        raise CorpusError(f"{file}: has format {reference.format}, not {_FORMAT}; {_AGAIN}")
    return reference


def read_table(run: Path, name: str, reference: Reference) -> pl.DataFrame:
    """Return an accepted table.

    Raises:
        CorpusError: The file is damaged.
        OSError: It cannot be read.
    """
    file = run / REFERENCE_FOLDER / f"{name}.parquet"
    try:
        table = pl.read_parquet(file, glob=False)
    except PolarsError as error:
        raise CorpusError(f"{file}: is damaged; {_AGAIN}") from error
    if digest(table) != reference.digests[name]:
        raise CorpusError(f"{file}: does not have the accepted content; {_AGAIN}")
    return table
