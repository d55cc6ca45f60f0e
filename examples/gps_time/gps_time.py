"""A subcommand: `pygnc gps-time 2358 345638` prints the time in UTC."""

from typing import Annotated

import typer

from pygnc.common.clock import gps_ms_from_week, utc_iso_from_gps_ms
from pygnc_cli.exit_codes import ExitCode

app = typer.Typer(add_completion=False)


@app.command()
def gps_time(
    week: Annotated[int, typer.Argument(help="GPS week, not modulo 1024.")],
    tow_s: Annotated[float, typer.Argument(help="Time of week in seconds.")],
) -> None:
    """Convert GPS week and time of week to UTC."""
    gps_ms = gps_ms_from_week(week, round(1000 * tow_s))
    if gps_ms is None:
        typer.echo(f"pygnc gps-time: week {week}, {tow_s} s is no GPS time", err=True)
        raise typer.Exit(ExitCode.INPUT)
    typer.echo(utc_iso_from_gps_ms(gps_ms))
