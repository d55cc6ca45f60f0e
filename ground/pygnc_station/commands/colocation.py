"""`pygnc station colocate | calibrations`: calibrations of units that have measured beside a reference."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from pygnc_station.commands.common import JsonOption, SettingsOption, command, open_store, time_of
from pygnc_station.errors import StationError
from pygnc_station.server.colocation import Colocation, Hours, Pair, colocate, pair_hours
from pygnc_station.server.corrections import HUMIDITY, has_humidity
from pygnc_station.store import calibrations as stored
from pygnc_station.store.calibrations import DatedCalibration
from pygnc_station.store.hourly import hours_of, update_hours
from pygnc_station.store.query import Span, streams
from pygnc_station.store.readings import HOUR_MS, Stream, clock_ms, iso_time
from pygnc_station.store.store import Store

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
        update_hours(store)
        units = _streams(store, gadget, value)
        is_wet = not no_humidity and any(has_humidity(stream.layout, value) for stream in units)
        truth = _streams(store, reference, reference_value or value)
        pairs, left_out = pair_hours(
            _hours(store, units, value, span, with_humidity=True),
            _hours(store, truth, reference_value or value, span, with_humidity=False),
        )
        found = colocate(pairs, with_humidity=is_wet, left_out=left_out)
        report = msgspec.json.encode(found).decode()
        if out is not None:
            _write_residuals(out, pairs, found)
        number = None
        if apply_ms is not None:
            name = units[0].gadget_id
            dated = DatedCalibration(apply_ms, *found.fit)
            number = stored.add(store, name, value, dated, truth[0].gadget_id, report, clock_ms())
    if as_json:
        typer.echo(json.dumps(msgspec.to_builtins(found) | {"calibration": number}))
        return
    _print_report(f"{gadget} beside {reference}: {value}", found, is_wet=is_wet)
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
            typer.echo(f"removed calibration {remove}")
            return
        with store.reads() as connection:
            found = stored.calibrations(connection)
    for each in found:
        since_ms, gain, offset, kappa = each.calibration
        if as_json:
            shown = each._asdict() | {"calibration": each.calibration._asdict(), "report": json.loads(each.report)}
            typer.echo(json.dumps(shown))
        else:
            what = f"{each.id} {each.gadget_id} {each.name} from {iso_time(since_ms)}"
            typer.echo(f"{what}: gain {gain:.4g}, offset {offset:+.4g}, kappa {kappa:.3g}, beside {each.reference}")
    if not found:
        typer.echo("there are no calibrations", err=True)


def _streams(store: Store, gadget: str, value: str) -> list[Stream]:
    """Return the streams of a gadget that contain a value.

    Raises:
        StationError: there is none.
    """
    of_gadget = streams(store, gadget)
    found = [stream for stream in of_gadget if value in stream.layout.names]
    if found:
        return found
    if not of_gadget:
        known = ", ".join(sorted({stream.gadget_id for stream in streams(store)})) or "none"
        raise StationError(f"{gadget}: the store has no readings of this gadget; known gadgets: {known}")
    names = ", ".join(dict.fromkeys(name for stream in of_gadget for name in stream.layout.names))
    raise StationError(f"{gadget}: no reading contains {value}; choose --value from {names}")


def _hours(store: Store, among: Sequence[Stream], value: str, span: Span, *, with_humidity: bool) -> Hours:
    wanted = [
        (stream, [value, *([HUMIDITY] if with_humidity and has_humidity(stream.layout, value) else [])])
        for stream in among
    ]
    with store.reads() as connection:  # of several streams, the one created last counts
        return {hour: found for _, hour, found in hours_of(connection, wanted, span)}


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


def _write_residuals(path: Path, pairs: Sequence[Pair], found: Colocation) -> None:
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["time_utc", "stored", "humidity_percent", "reference", "corrected", "residual"])
            for pair in pairs:
                corrected = found.fit.apply(pair)
                humidity = "" if pair.humidity is None else f"{pair.humidity:.2f}"
                numbers = (pair.reference, corrected, pair.reference - corrected)
                shown = [f"{pair.value:.4f}", humidity, *(f"{number:.4f}" for number in numbers)]
                writer.writerow([iso_time(pair.hour * HOUR_MS), *shown])
    except OSError as error:
        raise StationError(f"{path}: {error.strerror}; name another file") from None
