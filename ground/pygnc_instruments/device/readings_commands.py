"""`pygnc device log`, `upload` and `noise`: log readings to files, send the files to a store, evaluate them."""

import contextlib
import re
import threading
from collections.abc import Generator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from enum import StrEnum, unique
from pathlib import Path
from typing import Annotated, Any, Final, Self

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

import pygnc_system
from pygnc_cli.exit_codes import ExitCode, UsageError
from pygnc_cli.files import echo_files
from pygnc_cli.signals import stopped_by_signals, until_interrupted
from pygnc_devices.engine import unknown_fields
from pygnc_devices.errors import NoAnswerError
from pygnc_devices.reading import Stamp, Statistics
from pygnc_devices.subscriptions import Subscription
from pygnc_instruments.device.connection import ConnectedDevice, DeviceSelection, connect, selections
from pygnc_instruments.device.csv_log import CsvLog
from pygnc_instruments.device.log_files import LogError, RawLog, ReadingsLog, Rotation, checked_log_name
from pygnc_instruments.device.log_recovery import recover_logs
from pygnc_instruments.device.terminal import (
    DRAWS_PER_S,
    Baud,
    Count,
    FamilyName,
    Json,
    Seconds,
    UserPackets,
    print_json,
    print_note,
    print_settings,
    reported_errors,
    reports_partial_changes,
    statistics_line,
    stderr_console,
)
from pygnc_instruments.device.time_base import Pulses, TimeBase
from pygnc_instruments.device.upload import Destination, Spool, Uploader, destination

_MEGABYTE: Final = 1_000_000
_POLL_S: Final = 0.1


@unique
class LogFormat(StrEnum):
    """Format of log files."""

    CSV = "csv"
    MCAP = "mcap"


To = Annotated[
    str,
    typer.Option("--to", metavar="URL", help="Object store for finished files: az://container/prefix, s3://, gs:// or "
                 "file:///; default: PYGNC_STORE_URL. The environment provides the credentials."),
]  # fmt: skip
User = Annotated[
    str, typer.Option("--user", help="User name that prefixes the files in the store; default: PYGNC_STORE_USER.")
]
SpoolFolder = Annotated[
    Path | None, typer.Option("--spool", help="Folder of pending uploads; default: PYGNC_SPOOL or ~/.pygnc_spool.")
]
Logs = Annotated[
    list[Path], typer.Argument(metavar="FILE", help="Logs of the unit: CSV, MCAP, or recordings of bytes (.raw).")
]
Packet = Annotated[str, typer.Option(help="Kind of packet; default: the most frequent kind with sensors.")]
Rate = Annotated[float, typer.Option(min=0.0, help="Rate of the readings, Hz; default: by the log's time.")]
Latitude = Annotated[float | None, typer.Option(min=-90.0, max=90.0, help="Latitude of the place, deg.")]
WritePort = Annotated[
    str, typer.Option("--write", metavar="PORT", help="Write the calibration to the unit at PORT, if it can hold one.")
]
Combine = Annotated[
    bool, typer.Option("--combine", help="Combine it with the one in the unit, with which the log was made.")
]
CalibrationFile = Annotated[Path | None, typer.Option("--out", help="New file for the calibration, TOML.")]


def log(
    ports: Annotated[
        list[str] | None,
        typer.Argument(metavar="PORT", help="Paths or URLs of one or more ports; default: the only device found."),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="Folder for the files; created if missing.")] = Path(),
    file_format: Annotated[
        LogFormat, typer.Option("--format", help="Format: csv, or mcap for Foxglove, Lichtblick and PlotJuggler.")
    ] = LogFormat.CSV,
    name: Annotated[str, typer.Option(help="File name; default: data- and the local time.")] = "",
    raw: Annotated[bool, typer.Option("--raw", help="Write all received bytes to a .raw file, for replay.")] = False,
    rotate_mb: Annotated[float, typer.Option(min=0.0, help="Begin a new file at this size, MB; 0: never.")] = 0.0,
    rotate_minutes: Annotated[float, typer.Option(min=0.0, help="Begin a new file at this age, min; 0: never.")] = 0.0,
    count: Count = 0,
    seconds: Seconds = 0.0,
    pps: Annotated[
        Path | None,
        typer.Option(help="Kernel's device of a receiver's pulses for exact UTC, such as /sys/class/pps/pps0."),
    ] = None,
    to: To = "",
    user: User = "",
    spool: SpoolFolder = None,
    family: FamilyName = "",
    baud: Baud = 0,
    user_packets: UserPackets = None,
    as_json: Json = False,
) -> None:
    """Log readings of one or more devices to CSV or MCAP files until Ctrl-C, with one time base."""
    with reported_errors(), contextlib.ExitStack() as stack:
        store = destination(to, user)
        rotation = Rotation(round(rotate_mb * _MEGABYTE), rotate_minutes * 60.0)
        file_name = checked_log_name(name) if name else ""
        for path in recover_logs(out) if out.is_dir() else []:
            print_note(f"{path}: recovered; its last rows may be missing")
        now = Stamp.now()
        pulses = None if pps is None else Pulses(pps)
        parts = _parts(ports or [""], family, baud, user_packets)
        # A device that cannot be opened leaves no file of the others. Until then readings and bytes wait in memory.
        sources = {label: _Source.open(stack.enter_context(connect(part)), raw) for label, part in parts.items()}
        logs: list[_DeviceLog] = []
        for label, source in sources.items():
            head = _head(source.connected, pps)
            written = _log_class(file_format)(out, file_name, head, rotation, label=label)
            is_recording = source.connected.device.engine.is_recording
            written.time_base = None if is_recording else TimeBase(now.t_wall_ns - now.t_mono_ns, pulses)
            if source.raw is not None:
                source.raw.open(out, file_name, label)
            logs.append(_DeviceLog(source, written))
        stopped = threading.Event()
        with stopped_by_signals(stopped.set):  # a second Ctrl-C must not interrupt the closing of the files
            with _uploader(store, spool) as uploader:
                _write(logs, uploader, count, seconds, stopped)
            for entry in logs:
                entry.report(as_json=as_json)
            if any(entry.statistics.queue_drops for entry in logs):
                print_note("the log could not keep up; `lost_before` counts the dropped readings")
                raise typer.Exit(ExitCode.FAILURE)


def upload(
    files: Annotated[list[Path] | None, typer.Argument(metavar="FILE", help="Further files to send.")] = None,
    *,
    to: To = "",
    user: User = "",
    spool: SpoolFolder = None,
) -> None:
    """Send pending files of earlier commands, and the given files, to an object store."""
    with reported_errors():
        store = destination(to, user)
        if store is None:
            raise UsageError("no object store is named; use --to az://container/prefix or set PYGNC_STORE_URL")
        for path in files or []:
            if not path.is_file():
                raise LogError(f"{path}: no such file; check the path")
        uploader = Uploader(store, Spool(spool), print_note)
        for path in files or []:
            uploader.add(path)
        pending = uploader.close()
    if pending:
        print_note(f"{pending} files stay in the spool")
        raise typer.Exit(ExitCode.NETWORK)


def noise(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Log of a unit at rest: CSV, MCAP, or recording of bytes (.raw).")
    ],
    *,
    plot: Annotated[Path | None, typer.Option(help="Figure of the Allan deviation to write, PNG or SVG.")] = None,
    kalibr: Annotated[Path | None, typer.Option(help="New file for kalibr: noise of the IMU, YAML.")] = None,
    rostopic: Annotated[str, typer.Option(help="ROS topic of the readings, for kalibr.")] = "/imu0",
    packet: Packet = "",
    rate: Rate = 0.0,
    family: FamilyName = "",
    user_packets: UserPackets = None,
    as_json: Json = False,
) -> None:
    """Show the noise of gyros, accelerometers and magnetometers at rest, by their Allan deviation."""
    # Both load NumPy, and the figure loads Matplotlib, which needs 40 MB of memory.
    from pygnc_instruments.device.noise_report import report_noise  # noqa: PLC0415 - see above
    from pygnc_instruments.device.sensor_log import read_sensor_log  # noqa: PLC0415 - see above

    with reported_errors():
        if plot is not None:
            from pygnc_instruments.device import noise_figure  # noqa: PLC0415 - see above

            noise_figure.check_format(plot)
        if not file.is_file():
            raise LogError(f"{file}: no such file; name a log of `pygnc device log`")
        selection = DeviceSelection(str(file), family, 0, user_packets)
        log = read_sensor_log(file, selection, packet=packet, rate_hz=rate)
        found = report_noise(log, file.name, kalibr, rostopic, as_json=as_json)
        if plot is not None:
            noise_figure.write_figure(plot, found, f"{file.name}, packet {log.packet}")
            print_note(f"{plot}: written")


def calibrate_positions(
    files: Logs,
    *,
    gravity: Annotated[float, typer.Option(min=0.0, help="Local gravity, m/s²; default: by --latitude.")] = 0.0,
    latitude: Latitude = None,
    height: Annotated[float, typer.Option(help="Height of the place above the ellipsoid, m.")] = 0.0,
    still: Annotated[float, typer.Option(min=0.5, help="Shortest rest that counts as a position, s.")] = 2.0,
    out: CalibrationFile = None,
    write: WritePort = "",
    combine: Combine = False,
    packet: Packet = "",
    rate: Rate = 0.0,
    family: FamilyName = "",
    as_json: Json = False,
) -> None:
    """Calibrate the accelerometers, and the bias of the gyros, by six or more positions at rest."""
    from pygnc_instruments.device import calibrate_command  # noqa: PLC0415 - loads SciPy

    with reported_errors():
        strength = calibrate_command.local_gravity(gravity, latitude, height)
        logs = calibrate_command.read_logs(files, packet, rate, family)
        content = calibrate_command.by_positions(logs, strength, latitude, still)
        result = calibrate_command.report("positions", logs, content, out, as_json=as_json)
        if write:
            _write_calibration(DeviceSelection(write, family), result, is_combined=combine, as_json=as_json)


def calibrate_rates(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Log of the unit on a turntable.")],
    *,
    turn: Annotated[
        list[str] | None, typer.Option(metavar="AXIS=RATE@START-END", help="Rate, deg/s, and times in the log, s.")
    ] = None,
    turns: Annotated[Path | None, typer.Option(help="CSV file of rates: start,end,axis,rate in s and deg/s.")] = None,
    latitude: Latitude = None,
    out: CalibrationFile = None,
    write: WritePort = "",
    combine: Combine = False,
    packet: Packet = "",
    rate: Rate = 0.0,
    family: FamilyName = "",
    as_json: Json = False,
) -> None:
    """Calibrate the gyros by known rates about each axis."""
    from pygnc_instruments.device import calibrate_command  # noqa: PLC0415 - loads SciPy

    with reported_errors():
        rates = calibrate_command.known_rates(turn or [], turns)
        logs = calibrate_command.read_logs([file], packet, rate, family)
        content = calibrate_command.by_rates(logs[0], rates, latitude)
        result = calibrate_command.report("rates", logs, content, out, as_json=as_json)
        if write:
            _write_calibration(DeviceSelection(write, family), result, is_combined=combine, as_json=as_json)


def _write_calibration(
    selection: DeviceSelection, result: Mapping[str, Any], *, is_combined: bool, as_json: bool
) -> None:
    from pygnc_instruments.device.calibrate_command import unit_values  # noqa: PLC0415 - loads SciPy

    with connect(selection) as connected:
        values = unit_values(connected, result, is_combined=is_combined)
        with reports_partial_changes(selection.port):
            settings = connected.run(connected.family.controls.write, "settings", values)
    if as_json:  # the result is the only JSON object
        print_note(f"{selection.port}: {', '.join(values)} written and read back")
    else:
        print_settings("written and read back", settings, as_json=False)


def calibrate_temperature(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Log of the unit at rest while its temperature changes.")
    ],
    *,
    temperature: Annotated[str, typer.Option(help="Name of the temperature in the log; default: the first.")] = "",
    order: Annotated[
        int | None, typer.Option(min=0, max=6, help="Order of the polynomials; default: by significance, at most 4.")
    ] = None,
    out: CalibrationFile = None,
    packet: Packet = "",
    rate: Rate = 0.0,
    family: FamilyName = "",
    as_json: Json = False,
) -> None:
    """Fit polynomials to the biases of gyros and accelerometers at rest over temperature."""
    from pygnc_instruments.device import calibrate_command  # noqa: PLC0415 - loads SciPy

    with reported_errors():
        logs = calibrate_command.read_logs([file], packet, rate, family)
        content = calibrate_command.by_temperature(logs[0], temperature, order)
        calibrate_command.report("temperature", logs, content, out, as_json=as_json)


@contextlib.contextmanager
def _uploader(store: Destination | None, spool: Path | None) -> Generator[Uploader | None, None, None]:
    if store is None:
        yield None
        return
    uploader = Uploader(store, Spool(spool), print_note)
    try:
        yield uploader
    finally:
        with until_interrupted():
            uploader.close()
        pending = len(uploader.pending())
        if pending:
            print_note(f"{pending} files stay in the spool; `pygnc device upload` sends them")


def _head(connected: ConnectedDevice, pps: Path | None) -> dict[str, str]:
    try:
        description = connected.describe()
    except NoAnswerError:  # wired for reception only, for example
        print_note(f"{connected.device.url}: does not respond to commands; its stream is logged without a description")
        description = {}
    time_base = "monotonic clock of the computer" if pps is None else f"pulses of {pps}"
    return description | {
        "software": f"pygnc {pygnc_system.__version__}",
        "family": connected.family.name,
        "port": connected.device.url,
        **({} if connected.device.engine.is_recording else {"time_base": time_base}),
    }


def _log_class(file_format: LogFormat) -> type[ReadingsLog]:
    if file_format is LogFormat.CSV:
        return CsvLog
    from pygnc_instruments.device.mcap_log import McapLog  # noqa: PLC0415 - loads its library on demand

    return McapLog


@dataclass(frozen=True, slots=True)
class _Source:
    """Open device, the readings that it has sent since, and its bytes if they are requested."""

    connected: ConnectedDevice
    arrived: Subscription
    raw: RawLog | None

    @classmethod
    def open(cls, connected: ConnectedDevice, has_raw: bool) -> Self:  # noqa: FBT001 - an option of the command
        """Return the source of a log at a device that has just been opened."""
        device = connected.device
        return cls(connected, device.subscribe(), RawLog(device.engine) if has_raw else None)


@dataclass(slots=True)
class _DeviceLog:
    """Log of a device, and the statistics of the device at its end."""

    source: _Source
    readings: ReadingsLog
    statistics: Statistics = field(default_factory=Statistics)
    closed: list[Path] = field(default_factory=list)
    estimates: int = 0
    """Rows whose time and losses continue by this computer's clock, for example after a restart of the device."""

    def write(self, uploader: Uploader | None, count: int, seconds: float, stopped: threading.Event) -> None:
        """Write readings to the end, and complete the files; an error ends the other logs."""

        def finish(path: Path) -> None:
            self.closed.append(path)
            if uploader is not None:
                uploader.add(path)

        self.readings.on_closed = finish
        try:
            connected, arrived = self.source.connected, self.source.arrived
            connected.start_streaming(stopped.is_set)
            for reading in connected.readings(count, seconds, stopped.is_set, arrived):
                if reading is not None:
                    self.readings.write(reading)
                    self.estimates += reading.is_estimate
            self.statistics = connected.device.statistics
        except BaseException:
            stopped.set()
            raise
        finally:
            self.readings.close()
            if self.source.raw is not None:
                finish(self.source.raw.close())

    def state(self) -> Text:
        """Return progress and statistics as a line."""
        statistics = statistics_line(self.source.connected.device.statistics)
        share = self.source.connected.device.engine.progress
        done = "" if share is None else f"{share:.0%} of the recording; "
        return Text(f"{self.readings.current or 'waiting'}: {done}{self.readings.rows} rows; {statistics}")

    def report(self, *, as_json: bool) -> None:
        """Close the device, and print files and statistics."""
        self.source.connected.device.close()
        rates, unknown = self._clock_rates(), unknown_fields(self.source.connected.unit)
        if as_json:
            print_json(
                {
                    "files": [str(path) for path in self.closed],
                    "rows": self.readings.rows,
                    "estimates": self.estimates,
                    "statistics": asdict(self.statistics),
                    "clock_rates": rates,
                    "unknown_fields": unknown,
                }
            )
            return
        echo_files(self.closed)
        print_note(f"{self.readings.rows} rows; {statistics_line(self.statistics)}")
        if self.estimates:
            print_note(
                f"rows marked as estimates: {self.estimates}; time and missing readings before them, and so all later "
                "times, follow this computer's clock, as after a restart of the device"
            )
        if unknown:
            print_note(f"fields without a declaration were skipped: {unknown}")
        for kind, (rate, sigma) in rates.items():
            print_note(f"clock of {kind}: {1e6 * rate:+.2f} ppm by this computer's clock, sigma {1e6 * sigma:.2f} ppm")

    def _clock_rates(self) -> dict[str, tuple[float, float]]:
        clocks = {} if self.readings.time_base is None else self.readings.time_base.clocks
        return {kind: clock.rate for kind, clock in clocks.items() if clock.rate is not None}


def _parts(ports: Sequence[str], family: str, baud: int, user_packets: Path | None) -> dict[str, DeviceSelection]:
    """Return the devices at the ports, and those in recordings with several families, by the end of their file names.

    Raises:
        UsageError: the same port is named twice.
    """
    found: dict[str, DeviceSelection] = {}
    for port in ports:
        label = re.sub("[^A-Za-z0-9]+", "-", port.rstrip("/").rpartition("/")[2]).strip("-") if len(ports) > 1 else ""
        for name, part in selections(DeviceSelection(port, family, baud, user_packets)).items():
            key = "-".join(filter(None, (label, name)))
            if key in found:
                raise UsageError(f"{port}: file names with {key} would be ambiguous; name each port once")
            found[key] = part
    return found


def _write(
    logs: Sequence[_DeviceLog], uploader: Uploader | None, count: int, seconds: float, stopped: threading.Event
) -> None:
    """Write all logs to their ends, each in a thread, and show their progress on a terminal."""
    live = Live(
        get_renderable=lambda: Group(*(entry.state() for entry in logs)),
        console=stderr_console,
        refresh_per_second=DRAWS_PER_S,
    )
    with (
        live if stderr_console.is_terminal else contextlib.nullcontext(),
        ThreadPoolExecutor(len(logs), "log") as threads,
    ):
        running = [threads.submit(entry.write, uploader, count, seconds, stopped) for entry in logs]
        while wait(running, _POLL_S).not_done:  # a wait without an end would delay the handlers of signals
            pass
        for task in running:
            task.result()
