"""`pygnc gate`: replay an archive of recorded runs and compare the estimates with the accepted ones."""

import json
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TypeAlias

import typer

from pygnc_cli.application import Application, FirstByDefault
from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.files import report_user_errors
from pygnc_ground.commands.terminal import progress_bar

if TYPE_CHECKING:
    from pygnc_ground.gate.report import RunReport

app: Final = Application(
    "Replay a corpus of recorded runs and compare the estimates with the accepted ones.",
    example="pygnc gate corpus",
    cls=FirstByDefault,
)

Corpus: TypeAlias = Annotated[Path, typer.Argument(metavar="CORPUS", help="Folder of the corpus.")]
Runs: TypeAlias = Annotated[
    list[str] | None, typer.Argument(metavar="RUN", help="Names of runs; default: all runs of the corpus.")
]
Workers: TypeAlias = Annotated[
    int | None, typer.Option("--workers", min=1, help="Number of processes; default: number of cores.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")]


@app.command(example="pygnc gate check corpus")
def check(
    corpus: Corpus,
    runs: Runs = None,
    *,
    workers: Workers = None,
    worse: Annotated[
        float,
        typer.Option(min=0.0, max=1.0, help="Share by which an error, or the lost estimates, may grow before `worse`."),
    ] = 0.01,
    reports: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Folder for the reports of runs that changed.")
    ] = None,
    to_json: AsJson = False,
) -> None:
    """Replay the runs and report which estimates changed, by how much, and whether they came closer to the truth.

    Exit codes: 0 unchanged, 1 changed, 6 worse, 3 a file is missing or damaged.
    """
    from pygnc_ground.gate.check import check_run, source_changes
    from pygnc_ground.gate.constants import record
    from pygnc_ground.gate.corpus import run_folders
    from pygnc_ground.gate.report import corpus_lines, run_lines, source_lines

    with report_user_errors("pygnc gate"):
        folders = run_folders(corpus, runs or ())
        constants = record()
        for line in () if to_json else source_lines(source_changes(folders, constants)):
            typer.echo(line)
        work = partial(check_run, constants=constants, limit=worse, reports=reports)
    found = _printed(work, folders, workers, None if to_json else run_lines)
    for line in () if to_json else corpus_lines(found):
        typer.echo(line)
    raise typer.Exit(_exit_code(found))


@app.command(example="pygnc gate accept corpus")
def accept(corpus: Corpus, runs: Runs = None, *, workers: Workers = None, to_json: AsJson = False) -> None:
    """Replay the runs and accept their present results as the reference."""
    from pygnc_ground.gate.check import accept_run
    from pygnc_ground.gate.constants import record
    from pygnc_ground.gate.corpus import run_folders

    with report_user_errors("pygnc gate accept"):
        folders = run_folders(corpus, runs or ())
        work = partial(accept_run, constants=record())
    reports = _printed(work, folders, workers, None if to_json else _accepted_lines)
    raise typer.Exit(_exit_code(reports))


@app.command(example="pygnc gate add corpus first-light sense.bin")
def add(
    corpus: Annotated[Path, typer.Argument(metavar="CORPUS", help="Folder of the corpus; it is created if missing.")],
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the run.")],
    sense: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[SENSE...]", help="Sense files, or the folder of one run in ~/pygnc_logs."),
    ] = None,
    *,
    satellite: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FOLDER", help="Files of one satellite instead of SENSE.")
    ] = None,
    ranges: Annotated[Path | None, typer.Option(help="Folder with the range files.")] = None,
    truth: Annotated[Path | None, typer.Option(help="True orbit, as for pygnc replay.")] = None,
    object_name: Annotated[str | None, typer.Option("--object", help="Object in a truth file with several.")] = None,
    partner_truth: Annotated[
        list[str] | None, typer.Option(metavar="NAME=FILE", help="True orbit of a partner; repeat it for several.")
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings (TOML) as for main.py.")] = None,
    earth_orientation: Annotated[Path | None, typer.Option(help="Earth orientation table of the run.")] = None,
    elements: Annotated[Path | None, typer.Option(help="Mean elements (TLE or OMM) of the run.")] = None,
    note: Annotated[str, typer.Option(help="Description of the run.")] = "",
) -> None:
    """Copy the files of a run into the corpus, replay it, and accept its results.

    The options are those of `pygnc replay`.
    """
    from pygnc_ground.gate.check import accept_run
    from pygnc_ground.gate.constants import record
    from pygnc_ground.gate.corpus import add_run
    from pygnc_ground.replay.files import RecordedFiles
    from pygnc_ground.replay.satellites import SatelliteFolder

    with report_user_errors("pygnc gate add"):
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
        files.context()
        files.inputs()
        folder = add_run(corpus, name, files, note)
        work = partial(accept_run, constants=record())
    reports = _printed(work, [folder], 1, _accepted_lines)
    raise typer.Exit(_exit_code(reports))


def _exit_code(reports: "Sequence[RunReport]") -> ExitCode:
    from pygnc_ground.gate.report import Verdict, corpus_verdict

    codes = {
        Verdict.UNCHANGED: ExitCode.DONE,
        Verdict.TOLERATED: ExitCode.DONE,
        Verdict.CHANGED: ExitCode.FAILURE,
        Verdict.WORSE: ExitCode.WORSE,
        Verdict.INPUT_ERROR: ExitCode.INPUT,
    }
    return codes[corpus_verdict(reports)]


def _accepted_lines(report: "RunReport") -> Iterator[str]:
    done = f"NOT accepted: {report.reason}" if report.reason else f"accepted ({report.seconds:.1f} s)"
    yield f"{report.name}: {done}"


def _printed(
    work: "Callable[[Path], RunReport]",
    folders: Sequence[Path],
    workers: int | None,
    lines: "Callable[[RunReport], Iterator[str]] | None",
) -> "list[RunReport]":
    """Return the reports of all runs by name; print the lines about each one when it arrives, or all as JSON."""
    from pygnc_ground.gate.check import on_all_cores
    from pygnc_ground.gate.report import as_json

    found: list[RunReport] = []
    with progress_bar() as progress:
        for report in progress.track(on_all_cores(work, folders, workers), len(folders), description="runs"):
            found.append(report)
            for line in lines(report) if lines else ():
                typer.echo(line)
    found.sort(key=lambda report: report.name)
    if not lines:
        typer.echo(json.dumps(as_json(found)))
    return found
