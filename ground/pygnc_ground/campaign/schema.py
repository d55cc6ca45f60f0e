"""Columns of the results of a campaign: one row per run in `runs.parquet`, one per time bin in `bins.parquet`."""

import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import polars as pl

from pygnc_ground.campaign.definition import Campaign
from pygnc_ground.campaign.draws import drawn_value


class Column(NamedTuple):
    """Column of a table of results."""

    name: str
    dtype: Any
    unit: str
    meaning: str


ESTIMATOR_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "orbit": ("filter", "smoother", "batch"),
    "attitude": ("filter", "smoother"),
    "formation": ("batch", "filter"),
}
"""Names of the estimators by kind, in the order of their columns."""
FAILED: Final = "failed"
DONE: Final = "done"

_SECTIONS: Final = tomllib.loads(Path(__file__).with_name("columns.toml").read_text(encoding="utf-8"))
_WHOLE_NUMBERS: Final = frozenset({"run", "point", "repetition", "seed", "epochs"})


def _columns(section: str, prefix: str = "", estimator: str = "") -> Iterator[Column]:
    for name, (unit, meaning, *only) in _SECTIONS[section].items():
        dtype = pl.Int64 if name in _WHOLE_NUMBERS else pl.Float64 if unit else pl.String
        if not only or estimator in only[0]:
            yield Column(prefix + name, dtype, unit, meaning)


def _metrics() -> Iterator[Column]:
    for kind, estimators in ESTIMATOR_NAMES.items():
        for estimator in estimators:
            yield from _columns(f"{kind}_estimator", f"{kind}_{estimator}_", estimator)
        if kind in _SECTIONS:
            yield from _columns(kind, f"{kind}_")


_KEYS: Final = (*_columns("runs"),)
METRICS: Final = (*_metrics(),)
"""Figures of a run; null if there is none."""
RUNS: Final = (*_KEYS, *METRICS)
"""Columns of `runs.parquet` except those of varied settings."""
BINS: Final = (*_columns("bins"),)
EFFORT: Final = (*_columns("effort"),)
"""Columns of `effort.parquet`, the only table that differs between repetitions of a campaign."""


def parameter_columns(campaign: Campaign) -> Mapping[str, Any]:
    """Return the types of the columns of the varied settings by name: numbers as such, everything else as JSON."""
    grids = {name: all(_is_number(value) for value in values) for name, values in campaign.grid.items()}
    drawn = [*campaign.random.items(), *(item for case in campaign.cases for item in case.random.items())]
    for name, draw in drawn:
        values = draw.choice or draw.cycle or (drawn_value(draw, name, 0, 0, 1),)
        grids[name] = grids.get(name, True) and "*" not in name and all(map(_is_number, values))
    return {name: pl.Float64 if is_number else pl.String for name, is_number in grids.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def runs_schema(campaign: Campaign) -> dict[str, Any]:
    """Return names and types of the columns of `runs.parquet`."""
    return {**schema_of(_KEYS), **parameter_columns(campaign), **schema_of(METRICS)}


def schema_of(columns: tuple[Column, ...]) -> dict[str, Any]:
    """Return names and types of columns."""
    return {column.name: column.dtype for column in columns}
