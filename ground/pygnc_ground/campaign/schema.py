"""Columns of the tables of a campaign that depend on it; `pygnc_ground.tables` declares the others."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import polars as pl

from pygnc_ground.campaign.definition import Campaign
from pygnc_ground.campaign.draws import drawn_value
from pygnc_ground.tables.declaration import GROUPS, TABLES, Quantity, schema

ESTIMATOR_NAMES: Final[Mapping[str, Sequence[str]]] = {
    "orbit": ("filter", "smoother", "batch", "prediction"),
    "attitude": ("filter", "smoother"),
    "formation": ("batch", "filter"),
}
"""Names of the estimators by kind, in the order of their columns."""
FAILED: Final = "failed"
DONE: Final = "done"
_KEYS: Final = tuple(quantity.name for group in TABLES["runs"].groups for quantity in GROUPS[group])


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


def varied_settings(campaign: Campaign) -> list[Quantity]:
    """Return the declaration of the columns of the varied settings."""
    meaning = "value of this setting in the run; its name ends in its unit, and values that are no numbers are JSON"
    return [
        Quantity((name,), meaning, kind="number" if dtype == pl.Float64 else "text")
        for name, dtype in parameter_columns(campaign).items()
    ]


def runs_schema(campaign: Campaign) -> dict[str, Any]:
    """Return names and types of the columns of `runs.parquet`; those of the varied settings precede the figures."""
    declared = schema("runs")
    keys = {name: dtype for name, dtype in declared.items() if name in _KEYS}
    return {**keys, **parameter_columns(campaign), **declared}
