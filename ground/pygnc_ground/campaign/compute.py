"""Campaigns from Python: compute all runs, and return their tables."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from pygnc_ground.campaign.definition import campaign_from_tables, plan_run, read_campaign, runs_in_order
from pygnc_ground.campaign.run import RunResult, run_one
from pygnc_ground.campaign.store import Store, load_tables


def run_campaign(
    definition: Mapping[str, Any] | Path | str,
    folder: Path | str,
    *,
    workers: int = 1,
    advance: Callable[[], None] = lambda: None,
) -> Mapping[str, pl.DataFrame]:
    """Compute all runs of a campaign that are not in its folder yet, and return its tables, as `campaign_tables` does.

    Clusters, and the report of an interrupted campaign, have the command `pygnc campaign`.

    Args:
        definition: Mapping with the structure of a campaign's TOML file, or the path of such a file.
        folder: Folder of the results, or an address such as s3://bucket/noise; the same one continues a campaign.
        workers: Number of processes; 1 computes in this process. More need the extra `campaign`.
        advance: Function that is called after each run.

    Raises:
        OSError: A file cannot be read or written.
        ValueError: The definition is wrong, or the folder contains something else.
    """
    if isinstance(definition, Path | str):
        campaign = read_campaign(Path(definition))
    else:
        campaign = campaign_from_tables(msgspec.to_builtins(definition), "definition")
    with Store(folder, campaign) as store:

        def deliver(result: RunResult, worker: str = "this process") -> None:
            store.add(result, worker)
            advance()

        plans = (plan_run(campaign, run) for run in runs_in_order(campaign) if run not in store.finished)
        if workers == 1:
            for plan in plans:
                deliver(run_one(plan))
        else:
            from pygnc_ground.campaign.cluster import local_cluster  # noqa: PLC0415 - Dask is an extra

            with local_cluster(workers) as cluster:
                cluster.compute(plans, deliver)
        store.merge()
    return campaign_tables(folder)


def campaign_tables(folder: Path | str) -> Mapping[str, pl.DataFrame]:
    """Return the tables `runs`, `bins` and `effort` of a campaign, finished or not; docs/campaign.md has their columns.

    Raises:
        OSError: A file cannot be read.
        ValueError: The folder contains no campaign, or no run is finished.
    """
    return load_tables(folder)
