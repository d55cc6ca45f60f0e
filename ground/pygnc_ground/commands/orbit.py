"""`pygnc orbit`: determine the orbit of a satellite from logs of its receiver."""

from pathlib import Path
from typing import Annotated, Final, TypeAlias

import typer

from pygnc_cli.application import Application
from pygnc_cli.files import echo_files, report_user_errors
from pygnc_ground.commands.export import label
from pygnc_ground.commands.replay import ConfigOption, ObjectOption, TruthOption
from pygnc_ground.exports.choices import Kind, Notation

_KINDS: Final = (Kind.OEM, Kind.OMM, Kind.OPM, Kind.TLE)

app: Final = Application()
AntennaOffsetOption: TypeAlias = Annotated[
    tuple[float, float, float] | None,
    typer.Option(metavar="X Y Z", help="Receiver antenna from the centre of mass, m: x forwards, z to the Earth."),
]
AntennaSigmaOption: TypeAlias = Annotated[
    float | None,
    typer.Option(
        metavar="M", min=0.0, max=10.0, help="Standard deviation of each component, m; 0.03, or 0.5 without offset."
    ),
]


@app.command(example="pygnc orbit receiver.ubx --out orbit")
def determine_orbit(
    logs: Annotated[list[Path], typer.Argument(metavar="LOG...", help="Logs of a receiver, tables, or sense files.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for tables, report and messages, missing or empty.")],
    truth: TruthOption = None,
    object_name: ObjectOption = None,
    config: ConfigOption = None,
    earth_orientation: Annotated[
        Path | None, typer.Option(help="Earth orientation table; default: the table of the package.")
    ] = None,
    predict: Annotated[
        float, typer.Option(metavar="HOURS", min=0.0, max=72.0, help="Write the prediction for this time, too.")
    ] = 0.0,
    name: Annotated[str, typer.Option(help="Name of the satellite in the messages.")] = "",
    designator: Annotated[str, typer.Option(help="International designator, such as 1998-067A.")] = "",
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace the results of another replay in the folder.")
    ] = False,
    gnss_orbits: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE",
            help="Orbits of the GPS satellites: SP3, RINEX navigation, or a log with broadcast messages. LOG are then"
            " raw measurements. Can be repeated.",
        ),
    ] = None,
    antennas: Annotated[
        Path | None, typer.Option(help="ANTEX file of the GPS satellites; default: igs05 of the package.")
    ] = None,
    antenna_offset: AntennaOffsetOption = None,
    antenna_sigma: AntennaSigmaOption = None,
    single_frequency: Annotated[
        bool, typer.Option("--single-frequency", help="Use the C/A code and the L1 phase alone.")
    ] = False,
    live: Annotated[
        bool,
        typer.Option(
            "--live", help="Filter epoch by epoch as on board: one frequency, broadcast messages, no later measurement."
        ),
    ] = False,
    partner: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Raw measurements of a partner, for its relative position. Can be repeated."),
    ] = None,
    partner_offset: Annotated[
        tuple[float, float, float] | None,
        typer.Option(metavar="X Y Z", help="Antenna of the partner, as --antenna-offset; default: the same."),
    ] = None,
    partner_truth: Annotated[Path | None, typer.Option(help="True orbit of the partner, with --truth.")] = None,
    partner_ranges: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Range files of the radio, compared with the relative position."),
    ] = None,
    partner_radio: Annotated[
        int | None, typer.Option(metavar="ID", help="Radio id of the partner, if the range files have several.")
    ] = None,
) -> None:
    """Determine the orbit from logs of a receiver; write tables, a report, and CCSDS messages.

    Logs are recognised by content: NovAtel OEM, UBX of u-blox, Septentrio SBF, SkyTraq binary, NMEA 0183. The
    settings name the columns of other tables (CSV, Parquet). With --gnss-orbits, the logs are RINEX observation files,
    also compressed, or logs with raw measurements, and the orbit follows from codes and carrier phases.
    """
    from pygnc_ground.commands.orbit_replay import write_orbit
    from pygnc_ground.commands.raw_orbit import RawFiles, determine
    from pygnc_ground.commands.raw_partner import PartnerFiles
    from pygnc_ground.exports.export import Options
    from pygnc_ground.orbit.raw.determination import Receiver
    from pygnc_ground.receivers.raw_files import is_observation_file
    from pygnc_ground.replay import folder
    from pygnc_ground.replay.files import RecordedFiles

    with report_user_errors("pygnc orbit"):
        if not gnss_orbits:
            if partner or live:
                raise ValueError(
                    "--partner, --live: for raw measurements; give the orbits of the GPS satellites by --gnss-orbits"
                )
            if observations := next(filter(is_observation_file, logs), None):
                raise ValueError(
                    f"{observations}: a RINEX observation file; give the orbits of the GPS satellites by --gnss-orbits"
                )
        alone = {"offset": partner_offset, "truth": partner_truth, "ranges": partner_ranges, "radio": partner_radio}
        if not partner and (named := next((one for one, value in alone.items() if value is not None), None)):
            raise ValueError(f"--partner-{named}: give the partner's measurements by --partner")
        name, designator = label("--name", name), label("--designator", designator)
        folder.require_free(out, overwrite=overwrite)
        kinds = [*_KINDS, Kind.PREDICTION] if predict else _KINDS
        options = Options(kinds, Notation.KVN, name, designator, predict)
        if not gnss_orbits:
            recorded = RecordedFiles(
                sense=tuple(logs),
                truth=truth,
                object_name=object_name,
                config=config,
                earth_orientation=earth_orientation,
            )
            echo_files(write_orbit(recorded, out, options, overwrite=overwrite))
            return
        raw = RawFiles(
            observations=tuple(logs),
            gnss_orbits=tuple(gnss_orbits),
            receiver=Receiver.of(antenna_offset, antenna_sigma, dual=not single_frequency),
            antennas=antennas,
            live=live,
            partner=PartnerFiles(tuple(partner), partner_offset, partner_truth, partner_ranges, partner_radio)
            if partner
            else None,
            truth=truth,
            object_name=object_name,
            config=config,
            earth_orientation=earth_orientation,
        )
        result = determine(raw)
        if antenna_offset is None:
            typer.echo(
                "antenna of the receiver: taken as at the centre of mass +-"
                f" {raw.receiver.sigma_m:g} m; give --antenna-offset"
            )
        for line in result.lines:
            typer.echo(line)
        echo_files(result.write(out, options))
