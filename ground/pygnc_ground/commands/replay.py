"""`pygnc replay`: run recorded files through the estimators of the flight software; write tables and a report."""

from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

import pygnc_ground as pg
from pygnc_cli.application import Application
from pygnc_cli.document import echo_document
from pygnc_cli.files import echo_files, report_user_errors
from pygnc_ground.replay.choices import COMBINED_RADIUS_M, FilterName

app: Final = Application()

TruthOption: TypeAlias = Annotated[
    Path | None, typer.Option(help="True orbit: truth.parquet of a scenario, an SP3 or a CCSDS OEM file.")
]
ObjectOption: TypeAlias = Annotated[
    str | None, typer.Option("--object", help="Identifier of the object in an SP3 or OEM file with several objects.")
]
ConfigOption: TypeAlias = Annotated[Path | None, typer.Option(help="Settings (TOML) as for main.py.")]


@app.command(example="pygnc replay sense.bin --truth truth.parquet --out replayed")
def replay_files(
    sense: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[SENSE...]", help="Sense files, logs, tables, or the folder of a run in ~/pygnc_logs."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for tables and report, missing or empty.")],
    satellite: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER",
            help="Files of one satellite instead of SENSE; repeat it for a joint solution, our satellite first.",
        ),
    ] = None,
    ranges: Annotated[Path | None, typer.Option(help="Folder with the range files (rng00000.bin and so on).")] = None,
    truth: TruthOption = None,
    object_name: ObjectOption = None,
    partner_truth: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="True orbit of a partner; repeat it for several; default: truth.parquet in --satellite folders.",
        ),
    ] = None,
    config: ConfigOption = None,
    earth_orientation: Annotated[
        Path | None,
        typer.Option(help="Earth orientation table as uploaded to the satellite; default: the table of the package."),
    ] = None,
    elements: Annotated[
        Path | None,
        typer.Option(help="Mean elements (TLE or OMM) as uploaded to the satellite, for the time without fixes."),
    ] = None,
    filter_name: Annotated[
        FilterName,
        typer.Option("--filter", help="Filter: that of the flight software (ekf), or a reference by filterpy (ukf)."),
    ] = FilterName.EKF,
    collision_radius: Annotated[
        float,
        typer.Option(metavar="M", min=0.0, max=1e4, help="Combined radius of two satellites for collisions, in m."),
    ] = COMBINED_RADIUS_M,
    pipeline: Annotated[
        bool,
        typer.Option("--pipeline", help="Run the processes of the flight software too, and compare their estimates."),
    ] = False,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of another replay in the folder.")
    ] = False,
    csv: Annotated[bool, typer.Option("--csv/--no-csv", help="Write the tables as CSV too.")] = True,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
) -> None:
    """Run the estimators of the flight software on recorded files; write their solutions and a report.

    Solutions are those of filter, smoother and batch.
    """
    from pygnc_ground.commands.replay_document import replay_document
    from pygnc_ground.replay import folder
    from pygnc_ground.replay.files import RecordedFiles
    from pygnc_ground.replay.satellites import SatelliteFolder
    from pygnc_ground.report.player.page import MISSING_LIBRARIES
    from pygnc_ground.report.player.scripts import page_scripts

    with report_user_errors("pygnc replay"):
        files = RecordedFiles(
            sense=tuple(sense or ()),
            satellites=tuple(SatelliteFolder.named(text) for text in satellite or ()),
            ranges=ranges,
            truth=truth,
            object_name=object_name,
            partner_truth=tuple(partner_truth or ()),
            config=config,
            earth_orientation=earth_orientation,
            elements=elements,
        )
        folder.require_free(out, overwrite=overwrite)
        with folder.created(out):
            with ExitStack() as shown:
                replay = pg.Replay.run(
                    files,
                    filter_name=filter_name,
                    collision_radius_m=collision_radius,
                    pipeline=pipeline,
                    begin=partial(_progress, shown),
                )
            paths = replay.write(out, csv=csv, overwrite=overwrite)
    if page_scripts() is None:
        typer.echo(MISSING_LIBRARIES, err=True)
    if as_json:
        echo_document(replay_document(replay, paths))
    else:
        for line in replay.summary:
            typer.echo(line)
        echo_files(paths)


def _progress(shown: ExitStack, total: int | None) -> Callable[[], None]:
    """Show the progress bar until `shown` ends; return the function that advances it."""
    from pygnc_ground.commands.terminal import progress_bar

    progress = shown.enter_context(progress_bar())
    return partial(progress.advance, progress.add_task("GPS records", total=total))
