"""Find and open the device that a user selects, and iterate over its readings."""

import time
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self

from pygnc_devices.device import BlockingDevice
from pygnc_devices.discovery import Discovery, Search, search
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import Family, all_families, family
from pygnc_devices.reading import Reading
from pygnc_devices.scheduler import Operation
from pygnc_devices.subscriptions import Subscription
from pygnc_devices.ucb.openimu import packets_from_json
from pygnc_instruments.device.recording import families_of, no_frames, recording_path
from pygnc_instruments.device.terminal import print_note, read_progress

_POLL_S: Final = 0.2
_SILENCE_S: Final = 3.0
_READINGS_PER_REPORT: Final = 1000


@dataclass(frozen=True, slots=True)
class DeviceSelection:
    """The device that a user has selected.

    Attributes:
        port: path or URL; "" for the only device found at the USB serial adapters.
        family: name of the family; "" to detect it.
        baud: baud rate, bits per second; 0 to detect it.
        user_packets: JSON description of the user-defined packets of an OpenIMU application.
    """

    port: str = ""
    family: str = ""
    baud: int = 0
    user_packets: Path | None = None


@dataclass(frozen=True, slots=True)
class ConnectedDevice:
    """Open device and its family; a context manager that closes the device."""

    device: BlockingDevice
    family: Family

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.device.close()

    @property
    def unit(self) -> Any:  # noqa: ANN401 - each family has its own type
        """First argument of the family's controls."""
        return self.device.unit  # type: ignore[attr-defined]

    def operation(
        self, control: Callable[..., Operation[Any]] | None, what: str, *arguments: object, **options: object
    ) -> Operation[Any]:
        """Return an operation of the family's controls on this device; `what` names the capability in the error.

        Raises:
            DeviceError: the family has no such control.
        """
        if control is None:
            raise DeviceError(f"{self.family.title}: these devices do not support {what}")
        return control(self.unit, *arguments, **options)

    def run(
        self, control: Callable[..., Operation[Any]] | None, what: str, *arguments: object, **options: object
    ) -> Any:  # noqa: ANN401 - see above
        """Carry out an operation of the family's controls and return its result; see `operation`."""
        return self.device.run(self.operation(control, what, *arguments, **options))

    def describe(self) -> dict[str, str]:
        """Return identity and configuration as the device reports them; {} if the device has no such command."""
        describe = self.family.controls.describe
        return {} if describe is None or self.device.engine.is_recording else self.device.run(describe(self.unit))

    def start_streaming(self, is_stopped: Callable[[], bool] = lambda: False) -> None:
        """Switch the stream on, for families that do not stream by default, unless `is_stopped` returns True."""
        start = self.family.controls.start
        if start is None or self.device.engine.is_recording:
            return
        procedure = self.device.engine.start(start(self.unit))
        try:
            while not is_stopped():
                with suppress(TimeoutError):
                    procedure.result(_POLL_S)
                    return
        finally:
            self.device.engine.abort(procedure)

    def readings(
        self,
        count: int = 0,
        seconds: float = 0.0,
        is_stopped: Callable[[], bool] = lambda: False,
        arrived: Subscription | None = None,
    ) -> Generator[Reading | None, None, None]:
        """Yield readings, and None after each 0.2 s without a reading; print a note after 3 s without readings.

        Readings that have arrived before the end are yielded although their receiver is late.

        Args:
            count: number of readings after which to stop; 0 for no limit.
            seconds: time after which to stop, s; 0 for no limit.
            is_stopped: returns True if the readings are to end.
            arrived: queue with the readings that have arrived already; None: only further readings.
        """
        left = count or float("inf")
        end_s = time.monotonic() + seconds if seconds else float("inf")
        last_s: float | None = time.monotonic()
        skipped = 0
        with closing(arrived or self.device.subscribe()) as subscription:
            while (now_s := time.monotonic()) < end_s and not is_stopped():
                reading = subscription.take(min(_POLL_S, end_s - now_s))
                if reading is None and subscription.is_over:
                    self._require_frames()
                    return
                if reading is not None:
                    last_s = now_s
                    skipped = self.device.engine.counters.skipped_bytes
                elif last_s is not None and now_s - last_s > _SILENCE_S:
                    print_note(self._reason_for_silence(skipped))
                    last_s = None
                yield reading
                left -= reading is not None
                if not left:
                    return
            subscription.close()
            while left and (reading := subscription.take(0.0)) is not None:
                yield reading
                left -= 1

    def recorded(self) -> Generator[Reading, None, None]:
        """Yield the readings of a recording to its end, with a progress bar on a terminal."""
        size = recording_path(self.device.url).stat().st_size
        with read_progress("read", size) as report:
            for number, reading in enumerate(self.device.readings()):
                if number % _READINGS_PER_REPORT == 0:
                    share = self.device.engine.progress
                    report(size if share is None else round(size * share))  # the file is closed at its end
                yield reading
        self._require_frames()

    def _require_frames(self) -> None:
        if self.device.engine.is_recording and not self.device.statistics.frame_bytes:
            raise no_frames(recording_path(self.device.url), self.family.name)

    def _reason_for_silence(self, skipped_before: int) -> str:
        if not self.device.is_connected:
            return f"{self.device.url}: disconnected; reconnecting"
        if self.device.engine.counters.skipped_bytes > skipped_before:
            url = self.device.url
            return f"{url}: the received bytes contain no valid frame; `pygnc device list {url}` names their sender"
        return f"{self.device.url}: no data; the device may be in quiet mode: `pygnc device get` shows its rate"


def connect(selection: DeviceSelection) -> ConnectedDevice:
    """Open the selected device, or the only device that a search finds.

    Raises:
        DeviceError: no device or several devices match, or the device cannot be opened.
    """
    url, kind, baud = _locate(selection)
    options = {}
    if selection.user_packets is not None:
        if kind.name != "ucb":
            raise DeviceError(
                f"{url}: --user-packets applies to the family ucb only, not to the family {kind.name}; omit it"
            )
        try:
            options["user_packets"] = packets_from_json(selection.user_packets.read_text())
        except (OSError, UnicodeDecodeError) as error:
            raise DeviceError(f"{selection.user_packets}: the packet description cannot be read: {error}") from None
    device: BlockingDevice = kind.device.open(url, baud, **options)  # type: ignore[attr-defined]
    return ConnectedDevice(device, kind)


def recording_url(port: str) -> str | None:
    """Return the URL of a recording; None for another port."""
    if port.startswith("file:"):
        return port
    return Path(port).resolve().as_uri() if Path(port).is_file() else None


def selections(selection: DeviceSelection) -> dict[str, DeviceSelection]:
    """Return the selections of all devices in a recording by family; of another port, the selection by the name ""."""
    url = recording_url(selection.port)
    if url is None or selection.family:
        return {"": selection}
    kinds = families_of(recording_path(url))
    if len(kinds) == 1:
        return {"": replace(selection, family=kinds[0].name)}
    return {kind.name: replace(selection, family=kind.name) for kind in kinds}


def find_devices(ports: Sequence[str], family_name: str = "", baud: int = 0) -> Search:
    """Search for devices.

    Args:
        ports: paths or URLs to search; empty for all USB serial adapters.
        family_name: name of the only family to try; "" for all.
        baud: the only baud rate to try, bits per second; 0 for the default baud rates of each family.
    """
    families = [family(family_name)] if family_name else all_families()
    if baud:
        families = [replace(kind, bauds=(baud,), rare_bauds=()) for kind in families]
    return search(list(ports) or None, families)


def _locate(selection: DeviceSelection) -> tuple[str, Family, int]:
    port = selection.port
    if (url := recording_url(port)) is not None:
        kind = family(selection.family) if selection.family else families_of(recording_path(url))[0]
        return url, kind, selection.baud
    if port and selection.family:
        kind = family(selection.family)
        if selection.baud or len(kind.bauds) == 1:
            return port, kind, selection.baud or kind.bauds[0]
    found = _single_device(find_devices([port] if port else [], selection.family, selection.baud), port)
    return found.url, family(found.family), found.baud


def _single_device(outcome: Search, port: str) -> Discovery:
    if port in outcome.problems:
        raise PortError(outcome.problems[port])
    if len(outcome.found) == 1:
        return outcome.found[0]
    if outcome.found:
        found = ", ".join(f"{entry.url} ({entry.family} {entry.serial_number})" for entry in outcome.found)
        raise DeviceError(f"several devices were found; name the port of the device to use: {found}")
    if port:
        raise DeviceError(outcome.reason(port))
    problems = "".join(f"; {problem}" for problem in outcome.problems.values())
    silent = f" ({'; '.join(map(outcome.reason, outcome.silent))})" if outcome.silent else ""
    raise DeviceError(
        f"no device was found at the USB serial adapters{silent}{problems}; "
        "name a port such as /dev/ttyUSB0, COM3 or socket://host:4000"
    )
