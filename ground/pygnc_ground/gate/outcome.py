"""Outcome of one replay: tables, errors against the truth, and digests of everything that the estimators returned.

Digests differ if any bit of any number differs.
"""

import dataclasses
import hashlib
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt
import polars as pl

from pygnc_ground.replay.collect import Collected
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.replay.tables import all_tables
from pygnc_ground.report.comparison import compared_attitudes, compared_orbits, compared_partners


class Accuracy(msgspec.Struct, frozen=True):
    """Accuracy of one quantity of one solution.

    Attributes:
        solution: Solution, such as "orbit filter".
        quantity: Quantity, such as "position".
        unit: Unit of error and standard deviation.
        known: Number of estimates.
        error: Three-axis RMS error, as `pygnc replay` reports it; None without a truth.
        sigma: Formal standard deviation over the same estimates; None if unknown.
    """

    solution: str
    quantity: str
    unit: str
    known: int
    error: float | None
    sigma: float | None

    @property
    def name(self) -> str:
        """Solution and quantity."""
        return f"{self.solution} {self.quantity}"


class Outcome(NamedTuple):
    """Tables of one replay, digests of them and of parts without a table by name, and the accuracy of all solutions."""

    tables: dict[str, pl.DataFrame]
    digests: dict[str, str]
    accuracy: list[Accuracy]


def outcome(result: ReplayResult, collected: Collected, folder: Path) -> Outcome:
    """Return the outcome of a replay whose files lie in `folder`; it does not depend on where the folder is."""
    tables = {
        name: table.with_columns(pl.col("source").str.strip_prefix(f"{folder}/"))
        if "source" in table.columns
        else table
        for name, table in all_tables(result, collected).items()
        if name != "approaches"  # they follow from the table `formation`, and times jump from one encounter to another
    }
    digests = {name: digest(table) for name, table in tables.items()}
    digests |= {name: digest(part) for name, part in _parts(result, collected).items()}
    return Outcome(tables, digests, list(_accuracy(result)))


def _parts(result: ReplayResult, collected: Collected) -> dict[str, Any]:
    """Return what the tables do not contain: whole covariances, messages, and the internals of filters."""
    formation = collected.formation
    return {
        "updates of the orbit filter": collected.updates,
        "covariances of the orbit": [
            None if solution is None else solution.covariance_ecef
            for solution in (result.solution, result.smoothed, result.batch)
        ],
        "updates of the attitude filter": [record.outcome.update for record in collected.samples],
        "covariances of the attitude": [result.attitude.solution, result.attitude.smoothed, result.attitude.light],
        "hypotheses of the formation": None if formation is None else formation.hypotheses,
        "orbit messages": collected.estimates,
        "attitude messages": collected.attitudes,
        "formation messages": collected.partners,
        "counters and notes": [result.counts, collected.range_counts, result.notes],
    }


def _accuracy(result: ReplayResult) -> Iterator[Accuracy]:
    for orbit in compared_orbits(result):
        of, name, known = orbit.accuracy, f"orbit {orbit.name}", orbit.accuracy.states
        position, velocity = (of.position_error_m, of.position_sigma_m), (of.velocity_error_mps, of.velocity_sigma_mps)
        yield Accuracy(name, "position", "m", known, *_numbers(position))
        yield Accuracy(name, "velocity", "m/s", known, *_numbers(velocity))
    for attitude in compared_attitudes(result.attitude):
        overall = attitude.accuracy.overall
        numbers = _numbers((overall.error_deg, overall.sigma_deg))
        yield Accuracy(f"attitude {attitude.name}", "angle", "deg", attitude.accuracy.known, *numbers)
    for partner in compared_partners(result.formation):
        accuracy, known = partner.accuracy, int(partner.result.states.known.sum())
        yield Accuracy(partner.name, "position", "m", known, *_numbers((accuracy.error_m, accuracy.sigma_m)))
        if partner.nearest is not None:
            near = partner.orbits[partner.nearest]
            numbers = _numbers((near.accuracy.error_m, near.accuracy.sigma_m))
            yield Accuracy(f"{partner.name} nearest candidate", "position", "m", len(near.orbit.rtn), *numbers)


def _numbers(values: Sequence[float]) -> Iterator[float | None]:
    return (value if math.isfinite(value) else None for value in values)


def digest(value: Any) -> str:  # noqa: ANN401 - any nesting of the types below
    """Return the SHA-256 of arrays, tables, numbers, texts and messages, in any nesting of containers and dataclasses.

    Signs of zeros and payloads of NaNs count too.

    Raises:
        TypeError: The value contains another type.
    """
    found = hashlib.sha256()
    for part in _encoded(value):
        found.update(len(part).to_bytes(8, "little"))
        found.update(part)
    return found.hexdigest()


def _encoded(value: Any) -> Iterator[bytes]:  # noqa: ANN401 - see `digest`
    kind = type(value).__name__
    if isinstance(value, np.ndarray | np.generic):
        yield from _encoded_array(np.asarray(value))
    elif isinstance(value, pl.DataFrame):
        for column in value.get_columns():
            yield f"column {column.name} {column.dtype}".encode()
            yield from _encoded_column(column)
    elif isinstance(value, float):
        yield b"float" + struct.pack("<d", value)
    elif isinstance(value, msgspec.Struct):
        yield msgspec.msgpack.encode(value)
    elif value is None or isinstance(value, int | str | bytes):
        yield f"{kind} {value!r}".encode()
    else:
        members = list(_members(value))
        yield f"{len(members)} members".encode()
        for name, member in members:
            yield name.encode()
            yield from _encoded(member)


def _members(value: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - see `digest`
    """Yield names and values of the members of a dataclass, a mapping or a sequence."""
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            yield field.name, getattr(value, field.name)
    elif isinstance(value, Mapping):
        for key in sorted(value, key=repr):
            yield repr(key), value[key]
    elif isinstance(value, Sequence):
        for member in value:
            yield "", member
    else:
        raise TypeError(f"{type(value).__name__} has no digest")


def _encoded_array(array: npt.NDArray[Any]) -> Iterator[bytes]:
    if array.dtype.hasobject:
        raise TypeError("arrays of objects have no digest")
    yield f"array {array.dtype.str} {array.shape}".encode()
    yield np.ascontiguousarray(array).tobytes()


def _encoded_column(column: pl.Series) -> Iterator[bytes]:
    if column.dtype.is_numeric():
        yield column.is_null().to_numpy().tobytes()
        yield column.fill_null(0).to_numpy().tobytes()
    else:
        texts = column.cast(pl.String).to_list()
        yield "\0".join("\1" if text is None else text for text in texts).encode()
