"""`pygnc station colocate | calibrations`: calibrations of units that have measured beside a reference."""

import csv
import json
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from pygnc_station.commands.common import JsonOption, SettingsOption, command, note, open_store, time_of
from pygnc_station.errors import StationError
from pygnc_station.server.colocation import Colocation, Comparison, compare
from pygnc_station.store import calibrations as stored
from pygnc_station.store.query import Span
from pygnc_station.store.readings import HOUR_MS, iso_time

_FEWEST_DAYS: Final = 14
"""Days below which the report advises a longer co-location."""


@command(name="colocate", example="pygnc station colocate OPC_7 REFERENCE --since 2026-10-01 --until 2026-11-01")
def fit_beside(  # noqa: PLR0917 - options of a command
    gadget: Annotated[str, typer.Argument(metavar="GADGET", help="Unit to calibrate.")],
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="Gadget with the readings of the reference.")],
    settings: SettingsOption = None,
    value: Annotated[str, typer.Option("--value", metavar="NAME", help="Value to calibrate.")] = "pm_2_5_ug_m3",
    reference_value: Annotated[
        str,
        typer.Option("--reference-value", metavar="NAME", help="Value of the reference, if it has another name."),
    ] = "",
    since: Annotated[str, typer.Option("--since", metavar="TIME", help="Begin of the period (ISO 8601, UTC).")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="End of the period, exclusive.")] = "",
    out: Annotated[Path | None, typer.Option("--out", help="New CSV file of the hourly values and residuals.")] = None,
    apply_from: Annotated[
        str, typer.Option("--apply-from", metavar="TIME", help="Correct values from this time on by the fit.")
    ] = "",
    *,
    no_humidity: Annotated[bool, typer.Option("--no-humidity", help="Fit gain and offset only.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Fit gain, offset and humidity correction of a unit to a reference beside it, and report the residuals."""
    span = Span(time_of(since), time_of(until))
    apply_ms = time_of(apply_from)
    with open_store(settings) as store:
        compared = compare(store, gadget, reference, value, reference_value, span, with_humidity=not no_humidity)
        if out is not None:
            _write_residuals(out, compared)
        number = None
        if apply_ms is not None:
            number = compared.apply(store, apply_ms)
            from_time = f"from {iso_time(apply_ms)}"
            note(store, f'Calibrate a gadget: "{gadget}" beside "{reference}", {value}, {from_time}')
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(compared.found) | {"calibration": number}))
        return
    _print_report(f"{gadget} beside {reference}: {value}", compared.found, is_wet=compared.is_wet)
    if out is not None:
        typer.echo(f"wrote {out}")
    if apply_ms is not None:
        typer.echo(f"calibration {number} is in effect for values from {iso_time(apply_ms)} on")
    else:
        typer.echo("nothing is changed; --apply-from TIME corrects values from then on")


@command(name="calibrations", example="pygnc station calibrations --remove 3")
def list_calibrations(
    settings: SettingsOption = None,
    *,
    remove: Annotated[
        int, typer.Option("--remove", metavar="NUMBER", help="Remove this calibration; readings are unchanged.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """List the calibrations of units that were fitted beside a reference."""
    with open_store(settings) as store:
        if remove:
            stored.remove(store, remove)
            note(store, f"Remove a calibration: number {remove}")
            typer.echo(f"removed calibration {remove}")
            return
        with store.reads() as connection:
            found = stored.calibrations(connection)
    for each in found:
        since_ms, gain, offset, kappa = each.calibration
        if as_json:
            typer.echo(json.dumps(each.to_json()))
        else:
            what = f"{each.id} {each.gadget_id} {each.name} from {iso_time(since_ms)}"
            typer.echo(f"{what}: gain {gain:.4g}, offset {offset:+.4g}, kappa {kappa:.3g}, beside {each.reference}")
    if not found:
        typer.echo("there are no calibrations", err=True)


def _print_report(title: str, found: Colocation, *, is_wet: bool) -> None:
    gap = f"; {found.left_out} hours with too few readings were left out" if found.left_out else ""
    typer.echo(f"{title}, {found.hours} hours on {found.days} days{gap}")
    fit, sigma = found.fit, found.sigma
    typer.echo(f"gain    {fit.gain:8.4f} +- {sigma.gain:.4f}")
    typer.echo(f"offset  {fit.offset:+8.3f} +- {sigma.offset:.3f}")
    if is_wet:
        typer.echo(f"kappa   {fit.kappa:8.3f} +- {sigma.kappa:.3f}")
    typer.echo("                  as stored   corrected")
    for name in ("mean", "rms", "correlation"):
        before, after = getattr(found.stored, name), getattr(found.corrected, name)
        label = "correlation" if name == "correlation" else f"{name} difference"
        typer.echo(f"{label:16} {before:10.3f}  {after:10.3f}")
    for low, high, hours, mean in found.by_humidity:
        typer.echo(f"mean residual at {low:.0f} % to {high:.0f} % humidity: {mean:+.2f} ({hours} hours)")
    typer.echo(f"drift of the residual: {found.drift_per_month:+.2f} per 30 days")
    if found.days < _FEWEST_DAYS:
        typer.echo(f"{found.days} days are few for an uncertainty; {_FEWEST_DAYS} days or more are better")


def _write_residuals(path: Path, compared: Comparison) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["time_utc", "stored", "humidity_percent", "reference", "corrected", "residual"])
            for pair in compared.pairs:
                corrected = compared.found.fit.apply(pair)
                humidity = "" if pair.humidity is None else f"{pair.humidity:.2f}"
                numbers = (pair.reference, corrected, pair.reference - corrected)
                shown = [f"{pair.value:.4f}", humidity, *(f"{number:.4f}" for number in numbers)]
                writer.writerow([iso_time(pair.hour * HOUR_MS), *shown])
    except OSError as error:
        raise StationError(f"{path}: {error.strerror}; name another file") from None
