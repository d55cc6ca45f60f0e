"""Outcome of one replay: tables, digests of everything that the estimators returned, and errors against the truth."""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import polars as pl

from pygnc_ground.gate.digest import digest
from pygnc_ground.replay.collect import Collected
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.replay.tables import all_tables
from pygnc_ground.report.comparison import compared_attitudes, compared_orbits, compared_partners
from pygnc_ground.report.statistics import estimate_figures


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
    """Outcome of one replay.

    Attributes:
        tables: Tables of `pygnc replay` by name.
        digests: Digest of each table, and of the parts without a table, by name.
        accuracy: Accuracy of all solutions.
    """

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
        "attitude messages": [record.estimate for record in collected.samples],
        "formation messages": collected.partners,
        "counters and notes": [result.counts, collected.range_counts, result.notes],
    }


def _accuracy(result: ReplayResult) -> Iterator[Accuracy]:
    for orbit in compared_orbits(result):
        figures = estimate_figures(orbit)
        of = figures.accuracy
        name, known = f"orbit {orbit.name}", figures.states
        position, velocity = (of.position_error_m, of.position_sigma_m), (of.velocity_error_mps, of.velocity_sigma_mps)
        yield Accuracy(name, "position", "m", known, *_numbers(position))
        yield Accuracy(name, "velocity", "m/s", known, *_numbers(velocity))
    for attitude in compared_attitudes(result.attitude):
        whole = attitude.accuracy.whole
        numbers = _numbers((whole.error_deg, whole.sigma_deg))
        yield Accuracy(f"attitude {attitude.name}", "angle", "deg", attitude.accuracy.known, *numbers)
    for partner in compared_partners(result.formation):
        accuracy, known = partner.accuracy, int(partner.result.states.known.sum())
        yield Accuracy(partner.name, "position", "m", known, *_numbers((accuracy.error_m, accuracy.sigma_m)))


def _numbers(values: Sequence[float]) -> Iterator[float | None]:
    return (value if math.isfinite(value) else None for value in values)
