"""`pygnc follow`: estimate the orbit while a receiver sends raw measurements."""

from typing import Annotated, Final

import typer

from pygnc_cli.application import Application
from pygnc_cli.exit_codes import ExitCode
from pygnc_cli.files import report_user_errors
from pygnc_ground.commands.orbit import AntennaOffsetOption, AntennaSigmaOption
from pygnc_ground.commands.replay import ConfigOption

app: Final = Application()


@app.command(example="pygnc follow /dev/ttyUSB0 --baud 115200")
def follow(
    port: Annotated[
        str, typer.Argument(metavar="PORT", help="Path or URL of the receiver's port, or file://LOG for a recording.")
    ],
    *,
    baud: Annotated[int, typer.Option(min=1, help="Baud rate, bit/s.")] = 115_200,
    antenna_offset: AntennaOffsetOption = None,
    antenna_sigma: AntennaSigmaOption = None,
    config: ConfigOption = None,
) -> None:
    """Estimate the orbit on board from C/A code, L1 phase and broadcast messages; print each state as a line of JSON.

    The receiver sends RXM-RAWX and RXM-SFRBX (u-blox), RANGE or RANGECMP and RAWEPHEM (NovAtel), or MeasEpoch and
    GPSRawCA (Septentrio). Ctrl-C ends the command.
    """
    from pygnc_cli.signals import until_interrupted
    from pygnc_devices.errors import DeviceError
    from pygnc_ground.commands.raw_follower import states
    from pygnc_ground.orbit.raw.determination import Receiver

    receiver = Receiver.of(antenna_offset, antenna_sigma, dual=False)
    with (
        until_interrupted(),
        report_user_errors("pygnc follow", {DeviceError: ExitCode.DEVICE, ValueError: ExitCode.INPUT}),
    ):
        for line in states(port, baud, receiver, config, lambda note: typer.echo(note, err=True)):
            typer.echo(line)
