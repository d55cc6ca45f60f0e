"""Accepted results of a run, in the folder `reference` of the run, and the numerical platform that they come from.

The same source gives the same bits only with the same libraries on the same kind of CPU: OpenBLAS, NumPy and the C
library choose their code by the CPU's features, and fused operations round once where others round twice. The
fingerprint is the digest of a few hundred results of these libraries, and differs where that choice differs.
"""

import math
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import polars as pl
import scipy.linalg
from polars.exceptions import PolarsError

import pygnc_system
from pygnc.configuration.data_files import EARTH_ORIENTATION_TABLE, MAIN_FIELD_TABLE
from pygnc_ground.gate.constants import Record
from pygnc_ground.gate.corpus import REFERENCE_FOLDER, CorpusError
from pygnc_ground.gate.outcome import Accuracy, Outcome, digest
from pygnc_ground.tables.declaration import metadata
from pygnc_system.files import data_file

_FORMAT: Final = 1
_FILE: Final = "reference.json"
_AGAIN: Final = "accept the run again by pygnc gate accept"
_LIBRARIES: Final = ("numpy", "scipy", "pyerfa", "satkit")
_VARIABLES: Final = ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS", "NPY_DISABLE_CPU_FEATURES", "GLIBC_TUNABLES")
"""Environment variables that change the choice of code"""
_SIZES: Final = (3, 10, 35, 128)


class Platform(msgspec.Struct, frozen=True):
    """Libraries, processor and arithmetic, on which the bits of a result depend besides source and inputs.

    Attributes:
        versions: Versions of Python, the C library and the numerical libraries.
        cpu: Architecture and the CPU features that NumPy uses.
        variables: Environment variables that change the libraries' choice of code.
        arithmetic: Digest of results of the libraries.
    """

    versions: dict[str, str]
    cpu: list[str]
    variables: dict[str, str]
    arithmetic: str

    def differences(self, other: "Platform") -> list[str]:
        """Return a text for each difference from `other`; empty if the bits of results can be compared.

        CPU features and variables alone do not count: the arithmetic contains their effect.
        """
        found = _differences(other.versions, self.versions, " ", "missing")
        if self.arithmetic != other.arithmetic:
            then, now = ({"CPU features": " ".join(one.cpu)} for one in (other, self))
            causes = _differences(then, now, " ", "") + _differences(other.variables, self.variables, "=", "")
            found.append("other rounding of the libraries" + (f" ({'; '.join(causes)})" if causes else ""))
        return found


def _differences(then: dict[str, str], now: dict[str, str], between: str, missing: str) -> list[str]:
    """Return a text for each name whose values differ."""
    return [
        f"{name}{between}{then.get(name, missing)} then, {now.get(name, missing)} now"
        for name in sorted(then.keys() | now.keys())
        if then.get(name) != now.get(name)
    ]


def this_platform() -> Platform:
    """Return the platform of this process."""
    versions = {name: version(name) for name in _LIBRARIES}
    libc, libc_version = platform.libc_ver()
    versions |= {"python": platform.python_version(), libc or "C library": libc_version or sys.platform}
    configuration: Any = np.show_config(mode="dicts")
    instructions = configuration["SIMD Extensions"]
    return Platform(
        versions=versions,
        cpu=[platform.machine(), *instructions.get("baseline", []), *instructions.get("found", [])],
        variables={name: os.environ[name] for name in _VARIABLES if name in os.environ},
        arithmetic=digest(list(_results())),
    )


def _results() -> Iterator[Any]:
    """Yield results of the elementary functions, of BLAS and of LAPACK in sizes that the estimators use."""
    x = np.linspace(-3.0, 3.0, 257)
    functions = (np.sin, np.cos, np.tan, np.exp, np.expm1, np.arctan, np.tanh)
    yield [function(x) for function in functions]
    yield np.log(x + 3.5), np.sqrt(x + 3.0), np.power(x + 3.5, 2.3), np.arctan2(x, 0.7), np.hypot(x, 0.3)
    yield [(math.sin(v), math.cos(v), math.exp(v), math.atan2(v, 0.7), math.pow(v + 3.5, 2.3)) for v in x.tolist()]
    for size in _SIZES:
        matrix = np.sin(0.7 * np.arange(1.0, size * size + 1.0)).reshape(size, size)
        positive = matrix.dot(matrix.T) + size * np.eye(size)
        yield positive, matrix.dot(matrix[0]), np.einsum("ij,ij->i", matrix, matrix), matrix.sum()
        yield np.linalg.cholesky(positive), np.linalg.qr(matrix), np.linalg.solve(positive, matrix)
        yield np.linalg.svd(matrix)[1], np.linalg.eigh(positive), np.linalg.inv(positive), np.linalg.det(matrix)
        yield scipy.linalg.cho_factor(positive)[0], scipy.linalg.solve_triangular(np.tril(positive), matrix, lower=True)


class Reference(msgspec.Struct, frozen=True):
    """Accepted results without the tables, which are Parquet files in the same folder.

    `inputs` are the SHA-256 of the input files by path, `data` those of the data tables of the package by name.
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


def write_reference(run: Path, found: Outcome, inputs: dict[str, str], constants: Record) -> Reference:
    """Write the results of a run as its reference; the old reference is removed only when the new one is complete."""
    reference = Reference(
        format=_FORMAT,
        accepted_utc=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        version=pygnc_system.__version__,
        platform=this_platform(),
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
        table.write_parquet(new / f"{name}.parquet", metadata=metadata(name))
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
        raise CorpusError(f"{file}: not a reference of this version: {error}; {_AGAIN}") from error
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
        raise CorpusError(f"{file}: not a readable Parquet file: {error}; {_AGAIN}") from error
    if digest(table) != reference.digests[name]:
        raise CorpusError(f"{file}: does not have the accepted content; {_AGAIN}")
    return table
