"""`pygnc omm`: write received mean elements as an Orbit Mean-elements Message."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Final

import typer
from msgspec.structs import replace

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.common.mean_elements import STATED_HOURS
from pygnc.formats import omm_record
from pygnc.formats.omm import write_kvn
from pygnc_cli.application import Application
from pygnc_cli.files import echo_files, report_user_errors

app: Final = Application()


def error_comments(error_m: Sequence[float]) -> tuple[str, ...]:
    """Return comments with the errors of mean elements at `STATED_HOURS`, m."""
    return tuple(
        f"Position error within {hours} h after the epoch, exceeded in 5 % of cases: {error / 1e3:.3f} km"
        for hours, error in zip(STATED_HOURS, error_m, strict=True)
    )


@app.command(example="pygnc omm pygnc_omm.bin --name STATION --out beacon.omm")
def write_omm(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Record of a beacon: pygnc_omm.bin.")],
    *,
    out: Annotated[Path, typer.Option(help="Message to write, in keyword = value notation.")],
    name: Annotated[str, typer.Option(help="Name of the object.")] = "",
    designator: Annotated[str, typer.Option(help="International designator, such as 1998-067A.")] = "",
) -> None:
    """Write received mean elements as an Orbit Mean-elements Message (CCSDS 502.0-B-3)."""
    with report_user_errors("pygnc omm"):
        try:
            elements, values = omm_record.decode(file.read_bytes())
        except omm_record.OmmRecordError as error:
            raise ValueError(f"{file}: {error}") from error
        elements = replace(elements, name=name, designator=designator)
        fix_ms = elements.epoch_gps_ms - round(1e3 * float(values["fix_age_s"]))
        comments = (
            f"Fitted to GPS fixes; newest fix {utc_iso_from_gps_ms(fix_ms)}",
            *error_comments([float(values[f"error_{hours}h_m"]) for hours in STATED_HOURS]),
        )
        out.write_text(write_kvn(elements, comments, elements.epoch_gps_ms))
    echo_files([out])
