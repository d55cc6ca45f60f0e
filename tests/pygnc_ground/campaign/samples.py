"""Campaigns of short flights that take a fraction of a second each."""

from pathlib import Path
from typing import Any

from pygnc_ground.campaign.definition import Campaign, campaign_from_tables
from pygnc_ground.scenario.settings import dump_tables, merge_tables

SHORT: dict[str, Any] = {
    "repetitions": 2,
    "scenario": {"duration_s": 300, "forces": {"gravity_degree": 4}},
    "estimators": {"attitude_settled_s": 100.0},
}


def short_campaign(**changes: object) -> Campaign:
    return campaign_from_tables(merge_tables(SHORT, changes), "short.toml")


def write_campaign(path: Path, **changes: object) -> Path:
    path.write_text(dump_tables(merge_tables(SHORT, changes)))
    return path
