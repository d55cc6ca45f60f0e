"""From what a user has typed to an open device: which port, which family, which speed."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, Self
from urllib.parse import unquote, urlsplit

from pygnc_devices.device import BlockingDevice
from pygnc_devices.discovery import Discovery, Search, search
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import Family, all_families, family
from pygnc_devices.framing import Scanner, scan_to_end
from pygnc_devices.ucb.openimu_packets import packets_from_json

_SAMPLE_BYTES: Final = 1 << 16
_LEAST_SHARE: Final = 0.2


@dataclass(frozen=True, slots=True)
class Wanted:
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
class Connected:
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


def connect(wanted: Wanted) -> Connected:
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
    return Connected(device, kind)


def look(ports: Sequence[str], family_name: str = "", baud: int = 0) -> Search:
    """Look for devices at these ports, or at all serial adapters; of all families and at their usual speeds, or one."""
    families = [family(family_name)] if family_name else list(all_families())
    return search(list(ports) or None, [replace(kind, bauds=(baud,)) for kind in families] if baud else families)


def _located(wanted: Wanted) -> tuple[str, Family, int]:
    if wanted.port.startswith("file:") or Path(wanted.port).is_file():
        url = wanted.port if wanted.port.startswith("file:") else Path(wanted.port).resolve().as_uri()
        return url, family(wanted.family) if wanted.family else _of_recording(url), wanted.baud
    if wanted.port and wanted.family:
        kind = family(wanted.family)
        if wanted.baud or len(kind.bauds) == 1:
            return wanted.port, kind, wanted.baud or kind.bauds[0]
    found = _only(look([wanted.port] if wanted.port else [], wanted.family, wanted.baud), wanted)
    return found.url, family(found.family), found.baud


def _only(outcome: Search, wanted: Wanted) -> Discovery:
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
    shares = {kind.name: _share_of_frames(kind.scanner, octets) for kind in all_families()}
    best = max(shares, key=lambda name: shares[name])
    if shares[best] < _LEAST_SHARE:
        raise DeviceError(f"{path}: this looks like no device's recording; if you know better: --family NAME")
    return family(best)


def _share_of_frames(scanner: Scanner, octets: bytes) -> float:
    return sum(len(frame.raw) for frame in scan_to_end(scanner, octets).frames) / max(1, len(octets))


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise DeviceError(f"{path}: {error}") from None
