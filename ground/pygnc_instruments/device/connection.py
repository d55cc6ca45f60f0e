"""From what a user has typed to an open device: which port, which family, which speed.

Readings one after the other, with a turn for the display in between, until enough have come.
"""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from pygnc_devices.device import BlockingDevice
from pygnc_devices.discovery import Discovery, Search, search
from pygnc_devices.engine import Wire
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import Family, all_families, family
from pygnc_devices.framing import scan_to_end
from pygnc_devices.reading import Reading
from pygnc_devices.ucb.openimu_packets import packets_from_json
from pygnc_instruments.device.terminal import say

_SAMPLE_BYTES: Final = 1 << 16
_LEAST_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True)
class DeviceSelection:
    """What a user has said about a device.

    Attributes:
        port: path or URL; "" for the only device that is found.
        family: "" to find out.
        baud: 0 to find out.
        user_packets: JSON description of packets of one's own, of OpenIMU applications.
    """

    port: str = ""
    family: str = ""
    baud: int = 0
    user_packets: Path | None = None


@dataclass(frozen=True, slots=True)
class ConnectedDevice:
    """An open device and its family; a context manager that closes it."""

    device: BlockingDevice
    family: Family

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.device.close()

    @property
    def is_recording(self) -> bool:
        """Whether it plays a file, and cannot be asked."""
        return self.device.url.startswith("file:")

    @property
    def unit(self) -> Any:  # noqa: ANN401 - each family's own
        """What controls take for their first argument."""
        return self.device.unit  # type: ignore[attr-defined]


def connect(wanted: DeviceSelection) -> ConnectedDevice:
    """Open a device.

    Raises:
        DeviceError: none or several are there, or it cannot be opened; the message says what helps.
    """
    url, kind, baud = _located(wanted)
    options = {}
    if wanted.user_packets is not None:
        if kind.name != "ucb":
            raise DeviceError(f"user packets are a matter of the family ucb, and this is {kind.name}")
        options["user_packets"] = packets_from_json(_text(wanted.user_packets))
    device: BlockingDevice = kind.device.open(url, baud, **options)  # type: ignore[attr-defined]
    return ConnectedDevice(device, kind)


def find_devices(ports: Sequence[str], family_name: str = "", baud: int = 0) -> Search:
    """Look for devices at these ports, or at all serial adapters; of all families and at their usual speeds, or one."""
    families = [family(family_name)] if family_name else list(all_families())
    return search(list(ports) or None, [replace(kind, bauds=(baud,)) for kind in families] if baud else families)


def _located(wanted: DeviceSelection) -> tuple[str, Family, int]:
    if wanted.port.startswith("file:") or Path(wanted.port).is_file():
        url = wanted.port if wanted.port.startswith("file:") else Path(wanted.port).resolve().as_uri()
        return url, family(wanted.family) if wanted.family else _of_recording(url), wanted.baud
    if wanted.port and wanted.family:
        kind = family(wanted.family)
        if wanted.baud or len(kind.bauds) == 1:
            return wanted.port, kind, wanted.baud or kind.bauds[0]
    found = _only(find_devices([wanted.port] if wanted.port else [], wanted.family, wanted.baud), wanted)
    return found.url, family(found.family), found.baud


def _only(outcome: Search, wanted: DeviceSelection) -> Discovery:
    for url, problem in outcome.problems.items():
        if url == wanted.port:
            raise PortError(problem)
    if len(outcome.found) == 1:
        return outcome.found[0]
    if outcome.found:
        seen = ", ".join(f"{entry.url} ({entry.family} {entry.serial_number})" for entry in outcome.found)
        raise DeviceError(f"there are several devices, name one: {seen}")
    if wanted.port:
        raise DeviceError(
            f"{wanted.port}: no device answers. Is it switched on? An unusual speed must be named: --baud 230400"
        )
    problems = "".join(f"; {problem}" for problem in outcome.problems.values())
    silent = f" ({', '.join(outcome.silent)} silent)" if outcome.silent else ""
    raise DeviceError(
        f"no device is found at any serial adapter{silent}{problems}. Name its port: /dev/ttyUSB0, COM3, socket://host:4000"
    )


def _of_recording(url: str) -> Family:
    """Return the family whose frames fill the beginning of a recording best."""
    parts = urlsplit(url)
    path = Path(unquote(parts.netloc + parts.path))
    try:
        with path.open("rb") as file:
            octets = file.read(_SAMPLE_BYTES)
    except OSError as error:
        raise PortError(f"{path}: {error.strerror}") from None
    shares = {kind.name: _share_of_frames(kind.recorded or kind.wire, octets) for kind in all_families()}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] < _LEAST_SHARE:
        raise DeviceError(f"{path}: this looks like no device's recording; if you know better: --family NAME")
    return family(best)


def _share_of_frames(wire: Wire, octets: bytes) -> float:
    return sum(len(frame.raw) for frame in scan_to_end(wire.scanner, octets).frames) / max(1, len(octets))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DeviceError(f"{path}: {error}") from None


TURN_S: Final = 0.2
_SILENCE_S: Final = 3.0


def start_streaming(connected: ConnectedDevice) -> None:
    """Have a device stream, if it waits to be told."""
    begin = connected.family.controls.start
    if begin is not None and not connected.is_recording:
        connected.device.run(begin(connected.unit))


def readings_of(
    connected: ConnectedDevice, count: int = 0, seconds: float = 0.0
) -> Generator[Reading | None, None, None]:
    """Yield readings, and None whenever none has come for a moment.

    Args:
        connected: the device.
        count: end after so many; 0: never.
        seconds: end after so long; 0: never.
    """
    end_s = time.monotonic() + seconds if seconds else float("inf")
    heard_s: float | None = time.monotonic()
    with closing(connected.device.engine.feed.subscribe()) as subscription:
        while (now_s := time.monotonic()) < end_s:
            reading = subscription.take(min(TURN_S, end_s - now_s))
            if reading is None and subscription.is_over:
                return
            if reading is not None:
                heard_s = now_s
            elif heard_s is not None and now_s - heard_s > _SILENCE_S:
                say(_silent(connected))
                heard_s = None
            yield reading
            count -= reading is not None
            if count == 0 and reading is not None:
                return


def _silent(connected: ConnectedDevice) -> str:
    if not connected.device.is_connected:
        return f"{connected.device.url}: the port is gone; it is looked for"
    if connected.device.statistics.bytes_received:
        return f"{connected.device.url}: bytes come, and no reading is in them: is the speed right, and the family?"
    return f"{connected.device.url}: nothing comes. Is the device quiet? `pygnc device get` shows its rate"
