"""`pygnc campaign`: simulate and judge many flights, on all cores or on a cluster; repeat a run; write a report."""

import os
import shlex
import shutil
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple

import typer

import pygnc_ground as pg
from pygnc_cli.application import Application, FirstByDefault
from pygnc_cli.exit_codes import ExitCode, UsageError
from pygnc_cli.files import echo_files, report_user_errors
from pygnc_cli.signals import interruptible
from pygnc_cli.text import printable
from pygnc_ground.commands.terminal import progress_bar

if TYPE_CHECKING:
    from pygnc_ground.campaign.cluster import Cluster
    from pygnc_ground.campaign.definition import Campaign, RunPlan
    from pygnc_ground.campaign.run import RunResult
    from pygnc_ground.campaign.store import Store

_KEPT: Final = "finished runs are kept; repeat the command to continue"

app: Final = Application(
    "Simulate and judge many flights.", example="pygnc campaign campaign.toml --out results", cls=FirstByDefault
)


@app.command(name="run", example="pygnc campaign run campaign.toml --out results")
def run_campaign(
    definition: Annotated[Path, typer.Argument(metavar="CAMPAIGN.toml", help="Definition of the campaign (TOML).")],
    *,
    out: Annotated[
        str,
        typer.Option(
            metavar="FOLDER",
            help="Folder of the results, or an address such as s3://bucket/noise; the same one continues a campaign.",
        ),
    ],
    workers: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Worker processes; default: one per core.")
    ] = None,
    scheduler: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Scheduler of a Dask cluster, such as tcp://10.0.0.5:8786."),
    ] = None,
    scheduler_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="File in which a Dask scheduler has written its address."),
    ] = None,
    wait: Annotated[
        float,
        typer.Option(
            metavar="S", min=0.0, help="Time to wait for a worker of the cluster if there is none, or none any more."
        ),
    ] = 20.0,
) -> None:
    """Simulate all runs of a campaign and write their figures to the tables runs, bins and effort."""
    from pygnc_ground.campaign.definition import count_runs, read_campaign, runs_in_order
    from pygnc_ground.campaign.store import Store

    with report_user_errors("pygnc campaign"):
        named = [option is not None for option in (workers, scheduler, scheduler_file)]
        if sum(named) > 1:
            raise UsageError("--workers starts workers here; leave it out with --scheduler")
        campaign = read_campaign(definition)
        total = count_runs(campaign)
        with Store(out, campaign) as store:
            missing = [run for run in runs_in_order(campaign) if run not in store.finished]
            if 0 < len(missing) < total:
                typer.echo(f"{total - len(missing)} of {total} runs are in {out} already", err=True)
            try:
                if missing:
                    found = scheduler if scheduler_file is None else scheduler_file
                    _compute(campaign, missing, store, Workers(workers or _cores(), found, wait))
                sizes = store.merge()
            except OSError as error:
                kind = ConnectionError if isinstance(error, ConnectionError) else OSError
                raise kind(f"{error}; {len(store.finished)} of {total} runs: {_KEPT}") from error
            failed = store.failed
    for place, size in sizes.items():
        typer.echo(f"{place}  {size} bytes")
    if failed:
        typer.echo(f"{failed} of {total} runs failed; see the columns error and traceback of {next(iter(sizes))}")
    typer.echo(f"report: pygnc campaign report {shlex.quote(out)}")


@app.command(example="pygnc campaign rerun results 17")
def rerun(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Folder or address of a campaign.")],
    run: Annotated[int, typer.Argument(min=0, help="Number of the run.")],
    *,
    out: Annotated[
        Path | None, typer.Option(help="Write scenario and settings of the run to this folder, for pygnc replay.")
    ] = None,
) -> None:
    """Repeat one run here, print its figures, and compare them with those of the campaign."""
    from pygnc_ground.campaign.definition import count_runs, plan_run
    from pygnc_ground.campaign.run import run_one
    from pygnc_ground.campaign.store import load_campaign, same_figures, stored_row

    with report_user_errors("pygnc campaign rerun"):
        campaign = load_campaign(folder)
        if run >= count_runs(campaign):
            raise UsageError(f"{folder}: no run {run}; the campaign has runs 0 to {count_runs(campaign) - 1}")
        plan = plan_run(campaign, run)
        stored = stored_row(folder, run)
        if out is not None:
            _write_inputs(plan, out)
    row = run_one(plan).row
    for name, value in row.items():
        if value not in {"", None} and name != "traceback" and value == value:  # noqa: PLR0124 - omits NaN
            typer.echo(f"{name:40} {value}")
    if row["error"]:
        typer.echo(row["traceback"], err=True)
    if stored is None:
        typer.echo("the campaign has not computed this run yet")
    elif same_figures(row, stored):
        typer.echo("equal to the campaign's figures, bit for bit")
    else:
        typer.echo("differs from the campaign's figures: the program, a library or the computer has changed")
        raise typer.Exit(ExitCode.FAILURE)


@app.command(example="pygnc campaign report results --against earlier")
def report(
    folder: Annotated[str, typer.Argument(metavar="FOLDER", help="Folder or address of a campaign, finished or not.")],
    *,
    against: Annotated[
        str | None,
        typer.Option(metavar="FOLDER", help="Folder or address of a campaign to compare with."),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Report to write; default: FOLDER/report.html.")] = None,
) -> None:
    """Write an HTML report: distributions, consistency, bounds, sensitivity, worst runs, comparison."""
    from pygnc_ground.campaign.report import write_report

    with report_user_errors("pygnc campaign report"):
        place, size = write_report(folder, out, against)
    typer.echo(f"{place}  {size} bytes")


def _write_inputs(plan: "RunPlan", out: Path) -> None:
    from pygnc.configuration.load import write_checksum
    from pygnc_ground.scenario.settings import dump_tables

    scenario = pg.make_scenario(settings=plan.scenario_settings())
    settings = scenario.settings
    own, partners = out, list[Path]()
    if settings.formation.all_satellites:
        own = out / str(settings.formation.own_id)
        partners = [out / str(partner.id) for partner in settings.partners]
    echo_files(scenario.write(out))
    for partner in partners:
        # The flight has the partners' range files beside its own, but not their sense files.
        shutil.copytree(partner / "range", own / "range" / f"partner_{partner.name}")
    config = out / "pygnc.toml"
    config.write_text(dump_tables(plan.settings), encoding="utf-8")
    write_checksum(config)
    words: list[object] = ["pygnc", "replay", own / "sense.bin"]
    if settings.partners:
        words += ["--ranges", own / "range"]
    words += ["--truth", own / "truth.parquet"]
    for partner in partners:
        words += ["--partner-truth", f"{partner.name}={partner / 'truth.parquet'}"]
    words += ["--config", config, "--out", out / "replay"]
    typer.echo(f"replay: {shlex.join(map(str, words))}")
    if plan.sensor_faults or plan.begin != "start":
        typer.echo("the files contain neither sensor faults nor the later begin of the run")


class Workers(NamedTuple):
    """Workers of a campaign."""

    here: int
    """Processes to start without a cluster."""
    scheduler: str | Path | None
    """Address of the scheduler of a cluster, or the file with it."""
    wait_s: float
    """Time to wait for a worker of the cluster."""


def _compute(campaign: "Campaign", missing: list[int], store: "Store", workers: Workers) -> None:
    # Dask is an extra, which reports do without.
    from pygnc_ground.campaign.cluster import ClusterError, local_cluster, remote_cluster
    from pygnc_ground.campaign.definition import count_runs, plans

    total = count_runs(campaign)
    found: AbstractContextManager[Cluster]
    if workers.scheduler is None:
        found = local_cluster(workers.here)
    else:
        found = remote_cluster(workers.scheduler, workers.wait_s, lambda text: typer.echo(text, err=True))
    try:
        with interruptible(), found as cluster:
            typer.echo(f"{cluster.threads()} workers, dashboard: {cluster.dashboard}", err=True)
            with progress_bar() as progress:
                bar = progress.add_task("runs", total=total, completed=total - len(missing))
                failed = store.failed

                def deliver(result: "RunResult", worker: str) -> None:
                    nonlocal failed
                    store.add(result, worker)
                    failed += bool(result.row["error"])
                    progress.update(bar, advance=1, description=f"runs, {failed} failed" if failed else "runs")

                cluster.compute(plans(campaign, missing), deliver)
    except ClusterError as error:
        store.write()
        typer.echo(f"pygnc campaign: {printable(str(error))}\n{len(store.finished)} of {total} runs: {_KEPT}", err=True)
        raise typer.Exit(ExitCode.NETWORK) from None
    except KeyboardInterrupt:
        store.write()
        typer.echo(f"interrupted after {len(store.finished)} of {total} runs: {_KEPT}", err=True)
        raise typer.Exit(ExitCode.INTERRUPTED) from None


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
