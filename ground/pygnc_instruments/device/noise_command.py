"""`pygnc device noise`: noise coefficients of sensors at rest, and settings of the attitude filter."""

from pathlib import Path
from typing import Annotated

import typer

from pygnc_instruments.device.connection import DeviceSelection
from pygnc_instruments.device.log_files import LogError
from pygnc_instruments.device.terminal import FamilyName, Json, UserPackets, reported_errors


def noise(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Log of a unit at rest: CSV, MCAP, or recording of bytes (.raw).")
    ],
    *,
    plot: Annotated[Path | None, typer.Option(help="Figure of the Allan deviation to write, PNG or SVG.")] = None,
    packet: Annotated[str, typer.Option(help="Kind of packet; default: the most frequent kind with sensors.")] = "",
    rate: Annotated[float, typer.Option(min=0.0, help="Rate of the readings, Hz; default: by the log's time.")] = 0.0,
    family: FamilyName = "",
    user_packets: UserPackets = None,
    as_json: Json = False,
) -> None:
    """Show the noise of gyros, accelerometers and magnetometers at rest, by their Allan deviation."""
    # Both load SciPy, Matplotlib and polars, which the other commands do not need.
    from pygnc_instruments.device.noise_report import report_noise  # noqa: PLC0415 - see above
    from pygnc_instruments.device.sensor_log import read_sensor_log  # noqa: PLC0415 - see above

    with reported_errors():
        if not file.is_file():
            raise LogError(f"{file}: no such file; name a log of `pygnc device log`")
        selection = DeviceSelection(str(file), family, 0, user_packets)
        log = read_sensor_log(file, selection, packet=packet, rate_hz=rate)
        report_noise(log, file.name, plot, as_json=as_json)
