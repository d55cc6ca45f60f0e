"""`pygnc station init`: from a new computer to the first reading on the server, by a few questions or options."""

import contextlib
import re
import socket
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Final, TypeVar

import msgspec
import typer

from pygnc_cli.text import printable
from pygnc_devices.discovery import Discovery, search
from pygnc_devices.errors import DeviceError, NoAnswerError, PortError
from pygnc_devices.family import family as family_named
from pygnc_devices.reading import Reading
from pygnc_station.commands.common import command, show_names
from pygnc_station.commands.settings_template import settings_text
from pygnc_station.commands.systemd_units import install_command, unit_files
from pygnc_station.diagnosis.computer import examine_clock
from pygnc_station.diagnosis.station import FLAG_REMEDIES, examine_offset
from pygnc_station.errors import RefusalError, StationError, TransferError, UntrustedError
from pygnc_station.logger.devices import read_one
from pygnc_station.logger.display import as_stored, line_of
from pygnc_station.settings import Device, StationSettings, Upload, check_gadget
from pygnc_station.settings_file import NAMES, read_settings
from pygnc_station.store.export import portable_name
from pygnc_station.store.readings import Layout, NewReading, clock_ms
from pygnc_station.store.reserve import keep_reserve
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.station_server import StationSender, http_client, register, send_request, writing_key
from pygnc_station.upload.uploader import sender_of, upload_all
from pygnc_system.files import durable_write
from pygnc_system.service_unit import invoking_user

T = TypeVar("T")

_READING_TIMEOUT_S: Final = 60.0
_PIN: Final = re.compile(r"[0-9]{1,12}")
_UNITS: Final = "units"


def _ask(given: str | None, option: str, question: str, default: str | None, use: Callable[[str], T]) -> T:
    """Return an option or answer, converted by `use`; prompt again if `use` raises an error.

    Raises:
        StationError: the option is missing, has no default, and there is no terminal.
    """
    is_interactive = given is None and sys.stdin.isatty()
    text = default if given is None else given
    if text is None and not is_interactive:
        raise StationError(f"{option} is missing, and there is no terminal to ask on; name it as an option")
    while True:
        try:
            return use(str(typer.prompt(question, default=default)).strip() if is_interactive else text or "")
        except (DeviceError, StationError, TransferError) as error:
            if not is_interactive:
                raise
            typer.echo(printable(str(error)), err=True)


@command(example="pygnc station init --folder station")
def init(
    *,
    folder: Annotated[Path, typer.Option(help="Folder of the station, which is created if missing.")] = Path(),
    ports: Annotated[
        list[str] | None,
        typer.Option("--port", help="Port of a device; may be repeated. By default all serial adapters are searched."),
    ] = None,
    gadgets: Annotated[
        list[str] | None, typer.Option("--gadget", help="Name of a device, in the order of the devices.")
    ] = None,
    family: Annotated[str, typer.Option(help="Family of the devices; by default every family is tried.")] = "",
    name: Annotated[str | None, typer.Option(help="Name of the station; by default the computer's.")] = None,
    server: Annotated[
        str | None, typer.Option(metavar="URL", help='URL of the server; "" for a station that only logs.')
    ] = None,
    pin: Annotated[
        str | None,
        typer.Option(envvar="PYGNC_PIN", help="PIN of the server, or the station's key. Other users can read options."),
    ] = None,
    ca_file: Annotated[str, typer.Option(help="Additional CA certificates to check the server with.")] = "",
    insecure: Annotated[bool, typer.Option("--insecure", help="Allow plain HTTP to another computer.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace existing settings and units.")] = False,
) -> None:
    """Set up a station: find its devices, test device, clock, server and key, write settings and systemd units.

    The command ends with the first reading on the server. Without a terminal it asks nothing and needs the options.
    """
    folder = folder.absolute()
    file = folder / NAMES[0]
    existing = [folder / known for known in (*NAMES, _UNITS) if (folder / known).exists()]
    if existing and not force:
        raise StationError(f"{existing[0]}: it exists; --force replaces it, --folder names another folder")
    clock = examine_clock(time.time())
    if not clock.is_good:
        raise StationError(f"clock: {clock.text}")
    devices = _choose_devices(ports, gadgets or [], family)
    first = [(device, _first_reading(device)) for device in devices]
    host = socket.gethostname().partition(".")[0] or "station"
    station = _ask(name, "--name", "Name of the station", host, _station_name)
    folder.mkdir(parents=True, exist_ok=True)
    draft = StationSettings(name=station, folder=str(folder), device=devices)

    authority = str(Path(ca_file).absolute()) if ca_file else ""

    def connect(url: str) -> StationSettings:
        upload = Upload(_url(url), ca_file=authority, insecure=insecure)
        try:
            return _with_server(draft, upload)
        except UntrustedError as error:
            if not sys.stdin.isatty():
                raise StationError(f"{upload.url}: its certificate is not trusted; name its CA by --ca-file") from None
            typer.echo(printable(str(error).partition(";")[0]), err=True)
            given = str(typer.prompt("File of the CA's certificate")).strip()
            return _with_server(draft, msgspec.structs.replace(upload, ca_file=str(Path(given).absolute())))

    question = "Address of the server, such as https://stations.example (- for none)"
    settings = _ask(server, "--server", question, None, connect)
    if settings.upload.url and settings.upload.kind == "station" and not _has_key(settings):
        question = "PIN from `pygnc station pin` on the server, or this station's key"
        _ask(pin, "--pin", question, None, lambda text: _obtain_key(settings, text))
    _write(settings, file, settings_text(settings))
    _finish(read_settings(file), file, first)


def _choose_devices(ports: list[str] | None, gadgets: list[str], family: str) -> list[Device]:
    """Return the devices that the user chooses among those that respond."""
    names = iter(gadgets)
    if ports:
        found = _find(ports, family)
    else:
        typer.echo("searching the serial adapters ...")
        candidates = search(families=[family_named(family)] if family else None).found
        for rank, item in enumerate(candidates, 1):
            typer.echo(f"  {rank}  {_title(item)} at {item.url}")

        def choose(text: str) -> list[Discovery]:
            words = text.replace(",", " ").split()
            if words and all(word.isdigit() and 1 <= int(word) <= len(candidates) for word in words):
                return [candidates[int(word) - 1] for word in dict.fromkeys(words)]
            return _find(words, family)

        default = " ".join(str(rank) for rank in range(1, len(candidates) + 1)) or None
        question = "Devices (numbers or ports)" if candidates else "No device was found; name it (ports)"
        found = _ask(None, "--port", question, default, choose)
    devices: list[Device] = []
    for item in found:

        def named(text: str, item: Discovery = item) -> Device:
            if text in [device.gadget for device in devices]:
                raise StationError(f"{text!r} is the name of another device; choose another one")
            kind = family_named(item.family)
            baud = 0 if item.baud == kind.bauds[0] else item.baud
            return Device(check_gadget(text), item.family, item.url, baud)

        devices.append(
            _ask(
                next(names, None),
                "--gadget",
                f"Name of {_title(item)}",
                portable_name(f"{item.family}_{item.serial_number}"),
                named,
            )
        )
    return devices


def _find(urls: Sequence[str], family: str) -> list[Discovery]:
    """Return the devices at ports.

    Raises:
        DeviceError: a port cannot be opened, or no device responds.
    """
    if not any(urls):
        raise StationError("no port was named; ports are such as /dev/ttyACM0 or usb://0403:6001")
    result = search(urls, [family_named(family)] if family else None)
    for problem in result.problems.values():
        raise PortError(problem)
    for url in result.silent:
        raise NoAnswerError(result.reason(url))
    return list(result.found)


def _title(item: Discovery) -> str:
    return " ".join(filter(None, (family_named(item.family).title, item.serial_number)))


def _first_reading(device: Device) -> Reading:
    """Take a reading and print it, with the causes of its flags."""
    typer.echo(f"{device.gadget}: taking a reading ...")
    reading = read_one(device, _READING_TIMEOUT_S)
    typer.echo(line_of(device.gadget, Layout.of(reading.packet), as_stored(reading)))
    for flag in reading.flags:
        typer.echo(f"{device.gadget}: the reading is doubtful: {FLAG_REMEDIES.get(flag, flag)}", err=True)
    return reading


def _station_name(text: str) -> str:
    if not text or not text.isprintable() or "${" in text:
        raise StationError("the name of a station is one line of text without ${")
    return text


def _url(text: str) -> str:
    """Return the URL of a server; https is the default."""
    if text in {"", "-"}:
        return ""
    return text if "://" in text else f"https://{text}"


def _with_server(draft: StationSettings, upload: Upload) -> StationSettings:
    """Return settings with a server that responds.

    Raises:
        RefusalError: the address is not that of a server, or its certificate is not trusted.
        TransferError: the server does not respond.
    """
    settings = msgspec.structs.replace(draft, upload=upload)
    if upload.kind == "object_store":
        with contextlib.closing(sender_of(settings)) as sender:
            sender.check()
    elif upload.url:
        with http_client(settings) as client:
            response = send_request(client, "GET", "health")
        if response.status_code != 200:
            raise RefusalError(f"{upload.url}: HTTP {response.status_code} instead of a PyGNC server's answer")
        for finding in examine_offset(response.headers.get("date", ""), time.time()):
            typer.echo(f"{finding.subject}: {finding.text}", err=True)
        typer.echo(f"{upload.url} responds")
    return settings


def _has_key(settings: StationSettings) -> bool:
    """Return True if the folder contains a key that the server accepts."""
    try:
        with contextlib.closing(sender_of(settings)) as sender:
            sender.check()
    except StationError:
        return False
    typer.echo(f"{settings.upload.url} accepts the key in {settings.path(settings.upload.key_file)}")
    return True


def _obtain_key(settings: StationSettings, text: str) -> None:
    """Exchange a PIN for a key, or check a key, and store it."""
    path = settings.path(settings.upload.key_file)
    if _PIN.fullmatch(text):
        register(settings, text)
    else:
        if not text.isalnum():
            raise StationError("this is neither a PIN nor a key, which consists of letters and digits")
        with contextlib.closing(StationSender(settings, text)) as sender:
            sender.check()
        with writing_key(path) as write:
            write(text)
    typer.echo(f"the key is stored in {path}")
    show_names(settings)


def _write(settings: StationSettings, file: Path, text: str) -> None:
    """Write units and settings, the settings last; remove the units if that fails or is interrupted."""
    folder = file.parent / _UNITS
    folder.mkdir(exist_ok=True)
    with contextlib.ExitStack() as undo:
        for name, unit in unit_files(settings, file, invoking_user()).items():
            undo.callback((folder / name).unlink, missing_ok=True)
            durable_write(folder / name, unit.encode())
        durable_write(file, text.encode(), 0o600)
        undo.pop_all()
    typer.echo(f"{file} and {folder} are written")


def _finish(settings: StationSettings, file: Path, readings: Sequence[tuple[Device, Reading]]) -> None:
    """Store the first readings, send them, and print how to start the services."""
    keep_reserve(settings.store_url)
    with Store.open(settings.store_url) as store:
        for device, reading in readings:
            stream = store.stream(device.gadget, Layout.of(reading.packet), family=device.family)
            store.append(stream, [NewReading.of(reading)])
        if settings.upload.url:
            made = make_batch(store, settings, clock_ms())
            with contextlib.closing(sender_of(settings)) as sender:
                report = upload_all(store, settings, sender, clock_ms())
            if report.problem:
                raise TransferError(f"{report.problem}; then run `pygnc station upload --now`")
            for _, reason in report.rejected:
                raise RefusalError(f"{settings.upload.url} rejects the first batch: {reason}")
            count = sum(batch.readings for batch in made if batch.name in report.accepted)
            typer.echo(f"first readings on {settings.upload.url}: {count}")
    typer.echo(f"to log from now on, also after a restart:\n{install_command(file)}")
