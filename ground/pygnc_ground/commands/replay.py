"""`pygnc replay`: run recorded files through the estimators of the flight software; write tables and a report."""

import math
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc_cli.application import Application
from pygnc_cli.document import echo_document
from pygnc_cli.files import echo_files, report_user_errors
from pygnc_ground.attitude.accuracy import RIGHT_DEG, WRONG_DEG, AngleRms
from pygnc_ground.attitude.mounting_remedy import axes_lines
from pygnc_ground.commands.replay_document import replay_document
from pygnc_ground.commands.terminal import progress_bar
from pygnc_ground.formation.conjunction import COMBINED_RADIUS_M, Encounter
from pygnc_ground.replay import folder
from pygnc_ground.replay.files import RecordedFiles
from pygnc_ground.replay.pipeline import flown_inputs
from pygnc_ground.replay.result import AttitudeResult, FormationResult, orbit_name
from pygnc_ground.replay.run import FilterName
from pygnc_ground.replay.satellites import SatelliteFolder
from pygnc_ground.report.comparison import (
    ComparedAttitude,
    ComparedPartner,
    compared_attitudes,
    compared_partners,
)
from pygnc_ground.report.replay import Replay
from pygnc_ground.report.wording import NEGLIGIBLE, Part, by_cause, duration, plural, probability


def attitude_lines(result: AttitudeResult) -> Iterator[str]:
    """Yield lines with the number of samples with an attitude and, with a truth, its accuracy."""
    found = compared_attitudes(result)
    known, again = found[0].accuracy.known, int(result.samples.found_again.sum())
    lost = f", lost and re-acquired {plural(again, 'time')}" if again else ""
    yield f"{len(result.samples)} sensor samples: {known} with an attitude{lost}"
    for one in found:
        if len(one.errors):
            yield f"{one.name:8} {_errors(one)}"
    if len(found[0].errors):
        accuracy = found[0].accuracy
        right = f"after {accuracy.right_after_s:.0f} s" if math.isfinite(accuracy.right_after_s) else "never"
        yield (
            f"filter   within {RIGHT_DEG:.0f} deg of the true attitude {right}; longest time off by more than "
            f"{WRONG_DEG:.0f} deg: {accuracy.wrong_s:.0f} s"
        )


def _errors(one: ComparedAttitude) -> str:
    accuracy = one.accuracy
    kinds = {"in sunlight": accuracy.sunlight, "in eclipse": accuracy.eclipse}
    parts = [_error(kind, where) for where, kind in kinds.items() if math.isfinite(kind.error_deg)]
    errors = ", ".join(parts) or _error(accuracy.overall, "overall")
    settling = duration(1000.0 * accuracy.settling_s).removesuffix(" 00 s")
    return f"attitude error (three-axis RMS) from {settling} after the first attitude: {errors}"


def _error(kind: AngleRms, where: str) -> str:
    return f"{kind.error_deg:.3f} deg {where} (bound {kind.bound_deg:.3f})"


def count_line(what: str, used: int, not_used: Mapping[str, int], part: Part) -> str:
    """Return a line that accounts for every record; `not_used` has the numbers by cause."""
    left = sum(not_used.values())
    causes = f" ({by_cause(not_used, part, str)})" if left else ""
    return f"{used + left} {what}: {used} used, {left} not used{causes}"


def error_lines(replay: Replay) -> Iterator[str]:
    """Yield a line with the errors of each orbit solution against the truth; none without a truth."""
    for one in replay.orbits:
        if one.errors is not None and not len(one.errors):
            yield f"{one.name:8} no orbit within the time span of the truth"
        elif one.errors is not None:
            accuracy = one.accuracy
            position, velocity = f"{accuracy.position_error_m:.3f} m", f"{accuracy.velocity_error_mps:.5f} m/s"
            yield f"{one.name:8} 3-D RMS error after a third of the time: {position}, {velocity}"


def formation_lines(result: FormationResult | None) -> Iterator[str]:
    """Yield lines with the accuracy of each partner's orbit and the closest approaches."""
    if result is None:
        return
    for one in compared_partners(result):
        yield f"{one.name}: {_line(result, one)}"
        yield from _approach_lines(result, one)


def _approach_lines(result: FormationResult, one: ComparedPartner) -> Iterator[str]:
    """Yield the nearest encounter within a day by all orbits that fit, and the most probable collision."""
    nearest, worst = result.nearest(one.result.partner), result.most_dangerous(one.result.partner)
    if nearest is None or worst is None:
        return
    yield f"{one.name}: closest approach within a day ({result.name_of(nearest)}): {_encounter(nearest.nearest)}"
    when = "" if worst.probability < NEGLIGIBLE else f", likeliest at {_encounter(worst.likeliest)}"
    yield (
        f"{one.name}: probability of a collision within a day ({result.name_of(worst)}, combined radius"
        f" {result.collision_radius_m:g} m): {probability(worst.probability)}{when}"
    )


def _encounter(of: Encounter) -> str:
    return f"{utc_iso_from_gps_ms(of.gps_ms)}: {of.distance_m:.0f} m (sigma {of.sigma_m:.0f} m)"


def _line(result: FormationResult, one: ComparedPartner) -> str:
    if one.state == "not known":
        text = f"not known: {one.result.cause}"
        return text if one.mirror is None else f"{text}; {len(one.orbits)} candidate orbits"
    if one.state == "certain":
        return f"{_accuracy(one)}, certain"
    if one.mirror is None:
        return f"{_accuracy(one)}, ambiguous"
    text = (
        f"ambiguous: best and mirror differ by {one.mirror.distance_m:.0f} m (3-D RMS); "
        f"chi-square {result.chi_squares(one.result)}"
    )
    if one.nearest is not None:
        accuracy = one.orbits[one.nearest].accuracy
        text += (
            f"; nearest to the truth: {orbit_name(one.nearest)}, 3-D RMS error {accuracy.error_m:.1f} m "
            f"(sigma {accuracy.sigma_m:.1f} m)"
        )
    return text


def _accuracy(one: ComparedPartner) -> str:
    accuracy = one.accuracy
    if math.isfinite(accuracy.error_m):
        return f"3-D RMS error {accuracy.error_m:.1f} m (sigma {accuracy.sigma_m:.1f} m)"
    return f"3-D RMS sigma {accuracy.sigma_m:.1f} m"


app: Final = Application()


@app.command(example="pygnc replay sense.bin --truth truth.parquet --out replayed")
def replay_files(
    sense: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[SENSE...]", help="Sense files, or the folder of one run in ~/pygnc_logs."),
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
    truth: Annotated[
        Path | None, typer.Option(help="True orbit: truth.parquet of a scenario, an SP3 or a CCSDS OEM file.")
    ] = None,
    object_name: Annotated[
        str | None,
        typer.Option("--object", help="Identifier of the object in an SP3 or OEM file with several objects."),
    ] = None,
    partner_truth: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FILE",
            help="True orbit of a partner; repeat it for several; default: truth.parquet in --satellite folders.",
        ),
    ] = None,
    config: Annotated[Path | None, typer.Option(help="Settings (TOML) as for main.py.")] = None,
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
        context = files.context()
        folder.require_free(out, overwrite=overwrite)
        out.mkdir(parents=True, exist_ok=True)
        with flown_inputs(files) if pipeline else nullcontext() as flown:
            inputs = files.inputs() if flown is None else flown.inputs
            with progress_bar() as progress:
                advance = partial(progress.advance, progress.add_task("GPS records", total=inputs.records))
                found = context.replay(
                    inputs, filter_name=filter_name, collision_radius_m=collision_radius, advance=advance
                )
        if flown is not None:
            flown.require_same(found[1])
        replay = Replay.of(files, *found)
        paths = replay.write(out, csv=csv, overwrite=overwrite)
    if as_json:
        echo_document(replay_document(replay.result, paths, flown=flown is not None))
    else:
        _print_summary(replay, flown is not None, paths)


def _print_summary(replay: Replay, flown: bool, paths: list[Path]) -> None:  # noqa: FBT001 - one caller, above
    result = replay.result
    typer.echo(count_line("GPS records", int(result.solution.accepted.sum()), result.not_used, "orbit"))
    if flown:
        typer.echo("the processes of the flight software gave the same estimates, bit for bit")
    for note in result.notes:
        typer.echo(note)
    for line in error_lines(replay):
        typer.echo(line)
    attitude, mounting = result.attitude, result.settings.attitude.mounting
    axes = axes_lines(attitude.axes, mounting) if len(attitude.samples) else ()
    ranges = [count_line("ranges", result.ranges.used, result.ranges.not_used, "range")] if len(result.ranges) else []
    for line in (*attitude_lines(attitude), *axes, *ranges, *formation_lines(result.formation)):
        typer.echo(line)
    echo_files(paths)
