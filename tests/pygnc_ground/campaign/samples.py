"""Campaigns of short flights that take a fraction of a second each, and tables of results that are drawn."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from pygnc_ground.campaign.definition import Campaign, campaign_from_tables, count_runs, plan_run
from pygnc_ground.campaign.run import failed_row, key_row
from pygnc_ground.campaign.schema import runs_schema
from pygnc_ground.scenario.settings import dump_tables, merge_tables
from pygnc_ground.tables.declaration import schema

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


def drawn_tables(**changes: object) -> tuple[Campaign, dict[str, pl.DataFrame]]:
    """Return a campaign with figures that are drawn, proportional to the noise of the position; run 3 failed."""
    campaign = short_campaign(**changes)
    rng = np.random.default_rng(4)
    rows, bins = [], []
    for run in range(count_runs(campaign)):
        plan = plan_run(campaign, run)
        row = key_row(plan) if run != 3 else failed_row(plan, "ValueError: <b>no</b> fix", "Traceback")
        if run != 3:
            size = float(plan.parameters.get("scenario.gps.position_noise_m", 10.0)) / 10.0
            for kind, names, unit in (
                ("orbit", ("filter", "smoother", "batch"), "m"),
                ("attitude", ("filter",), "deg"),
            ):
                for name in names:
                    error = size * float(rng.lognormal(0.0, 0.1))
                    row |= {f"{kind}_{name}_{what}_{unit}": size for what in ("sigma", "bound")}
                    row |= {f"{kind}_{name}_error_{unit}": error, f"{kind}_{name}_nees": error**2 / size**2}
                    label = f"{kind} {name}"
                    bins += [(run, label, begin, 24, error, size, size, error**2, 1.0) for begin in (0.0, 600.0)]
            row |= {"orbit_filter_nis": 1.0, "attitude_silent_s": 0.0}
        rows.append(row)
    effort = [(row["run"], 2.0, "tls://127.0.0.1:1", 300.0) for row in rows]
    return campaign, {
        "runs": pl.DataFrame(rows, schema=runs_schema(campaign)),
        "bins": pl.DataFrame(bins, schema=schema("bins"), orient="row"),
        "effort": pl.DataFrame(effort, schema=schema("effort"), orient="row"),
    }
