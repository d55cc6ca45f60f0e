"""`pygnc export`: write the estimates of a replay, or the mean elements of a beacon, as messages for others."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from pygnc_cli.application import Application
from pygnc_cli.exit_codes import UsageError
from pygnc_cli.files import echo_files, report_user_errors
from pygnc_ground.exports.choices import Kind, Notation
from pygnc_system.files import durable_write

if TYPE_CHECKING:
    from pygnc_ground.exports.export import File, Options

_TEXT_MAX: Final = 60

app: Final = Application()


@app.command(example="pygnc export replayed --as opm --as oem --out messages")
def export(
    source: Annotated[
        Path,
        typer.Argument(metavar="SOURCE", help="Folder of pygnc replay or pygnc orbit, or a beacon's pygnc_omm.bin."),
    ],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the files; files of the same names are replaced.")],
    kinds: Annotated[
        list[Kind] | None, typer.Option("--as", help="Kind of file; repeat it for several; default: all.")
    ] = None,
    notation: Annotated[Notation, typer.Option(help="Notation of CCSDS messages.")] = Notation.KVN,
    name: Annotated[str, typer.Option(help="Name of the satellite.")] = "",
    designator: Annotated[str, typer.Option(help="International designator, such as 1998-067A.")] = "",
    predict: Annotated[
        float, typer.Option(metavar="HOURS", min=0.1, max=72.0, help="Time of predictions, in h.")
    ] = 24.0,
    earth_orientation: Annotated[
        Path | None, typer.Option(help="Earth orientation table of the replay; default: the table of the package.")
    ] = None,
) -> None:
    """Write estimates as messages that others read: orbit, attitude, mean elements, encounters, MCAP."""
    from pygnc_ground.exports.estimates import Estimates
    from pygnc_ground.exports.export import Options, files

    with report_user_errors("pygnc export"):
        every = [Kind.OMM, Kind.TLE] if source.is_file() else [*Kind]
        options = Options(kinds or every, notation, label("--name", name), label("--designator", designator), predict)
        found = (
            _of_record(source, options)
            if source.is_file()
            else files(Estimates.read(source, earth_orientation), options)
        )
        echo_files(write(found, out))


def label(option: str, text: str) -> str:
    """Return the value of an option for a line of a message.

    Raises:
        UsageError: The text is too long, or has other characters than printable ASCII.
    """
    from pygnc.common.mean_elements import printable_ascii

    if len(text) > _TEXT_MAX or printable_ascii(text) != text:
        raise UsageError(f"{option}: {text!r} is not up to {_TEXT_MAX} characters of printable ASCII")
    return text.strip()


def write(found: "Iterable[File]", out: Path) -> list[Path]:
    """Write files into a folder, print the notes, and return the paths."""
    paths: list[Path] = []
    for file in found:
        if file.note:
            typer.echo(f"{file.name}: {file.note}{'' if file.content else '; it is not written'}")
        if file.content:
            out.mkdir(parents=True, exist_ok=True)
            paths.append(out / file.name)
            durable_write(paths[-1], file.content, sync=False)
    return paths


def _of_record(path: Path, options: "Options") -> "Iterable[File]":
    from pygnc.common.clock import utc_iso_from_gps_ms
    from pygnc.common.mean_elements import STATED_HOURS
    from pygnc.formats import omm_record
    from pygnc_ground.exports.export import element_files

    try:
        elements, values = omm_record.decode(path.read_bytes())
    except omm_record.OmmRecordError as error:
        raise ValueError(f"{path}: {error}") from error
    fix_ms = elements.epoch_gps_ms - round(1e3 * float(values["fix_age_s"]))
    error_m = [float(values[f"error_{hours}h_m"]) for hours in STATED_HOURS]
    comment = f"Fitted to GPS fixes; newest fix {utc_iso_from_gps_ms(fix_ms)}"
    return element_files(elements, error_m, options, (comment,))
