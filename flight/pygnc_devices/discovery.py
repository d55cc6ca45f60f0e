"""Search for devices on ports, several ports at a time. Each port is closed again, its settings restored."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pygnc_devices.engine import Engine
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import Family, Found, all_families
from pygnc_devices.foreign import LISTEN_BAUDS, foreign_protocol
from pygnc_devices.ports import open_port
from pygnc_devices.serial_port import candidate_ports

TRY_LIMIT_S: Final = 1.0
"""Time for each family and baud rate at a port; unused time remains for later attempts."""
ANSWER_LIMIT_S: Final = 2.0
"""Additional time for a device that responds to identify itself."""
LISTEN_S: Final = 1.2
"""Time for an unrecognised device that sends once per second, for each baud rate."""
_KEPT_BYTES: Final = 4096
_AT_ONCE: Final = 32
_NETWORKS: Final = ("socket", "udp")


@dataclass(frozen=True, slots=True)
class Discovery:
    """Device that a search has found; `text` is its name, model or state, and `serial_number` may be ""."""

    url: str
    baud: int
    family: str
    serial_number: str
    text: str


@dataclass(frozen=True, slots=True)
class Search:
    """Result of a search.

    Attributes:
        found: devices that responded.
        problems: errors of the ports that could not be opened, by URL.
        silent: URLs of ports at which no device responded.
        foreign: protocols of unrecognised devices, by URL of a silent port that receives them.
    """

    found: tuple[Discovery, ...]
    problems: dict[str, str]
    silent: tuple[str, ...]
    foreign: dict[str, str]

    def reason(self, url: str) -> str:
        """Return why no device was found at a silent port."""
        if url in self.foreign:
            return f"{url}: receives {self.foreign[url]}, but no driver recognises the device"
        return f"{url}: no device responds; check cable and power, or name an uncommon baud rate: --baud 460800"


def search(urls: Sequence[str] | None = None, families: Iterable[Family] | None = None) -> Search:
    """Search for devices.

    Args:
        urls: ports to search; None: the serial adapters on the USB.
        families: families to search for; None: all.
    """
    ports = candidate_ports() if urls is None else list(urls)
    kinds = list(all_families() if families is None else families)
    if not ports:
        return Search((), {}, (), {})
    with ThreadPoolExecutor(min(len(ports), _AT_ONCE)) as pool:
        results = list(pool.map(lambda url: _search_port(url, kinds), ports))
    pairs = list(zip(ports, results, strict=True))
    return Search(
        found=tuple(result for result in results if isinstance(result, Discovery)),
        problems={url: str(result) for url, result in pairs if isinstance(result, PortError)},
        silent=tuple(url for url, result in pairs if isinstance(result, str)),
        foreign={url: result for url, result in pairs if isinstance(result, str) and result},
    )


def _search_port(url: str, families: list[Family]) -> Discovery | PortError | str:
    """Return the device at a port, the error of the port, or the title of a foreign protocol ("" for none).

    Try all families and their baud rates on one port, the most likely rate of each family first.

    Networked families are tried on serial lines only if no other families are searched for. A device that may be of
    another family is returned only if no other attempt succeeds.
    """
    uncertain: Discovery | None = None
    heard = bytearray()
    foreign = ""
    if urlsplit(url).scheme not in _NETWORKS:
        families = [family for family in families if not family.is_networked] or families
    attempts = [
        (family, family.bauds[rank])
        for rank in range(max(len(family.bauds) for family in families))
        for family in families
        if rank < len(family.bauds)
    ]
    rare = dict.fromkeys(baud for family in families for baud in family.rare_bauds)
    attempts += [(family, baud) for baud in rare for family in families if baud in family.rare_bauds]
    end_s = time.monotonic() + TRY_LIMIT_S * len(attempts) + ANSWER_LIMIT_S
    for family, baud in attempts:
        if time.monotonic() > end_s:
            break
        if baud not in family.bauds and (uncertain is not None or foreign):
            break
        is_quiet = not heard or uncertain is not None
        if is_quiet and len(families) > 1 and family.quiet_bauds is not None and baud not in family.quiet_bauds:
            continue
        try:
            found = probe(url, baud, family, end_s - time.monotonic(), heard)
        except PortError as error:
            return error
        except (DeviceError, TimeoutError):
            foreign = foreign or foreign_protocol(bytes(heard[-_KEPT_BYTES:]))
            continue
        discovery = Discovery(url, baud, family.name, found.serial_number, found.text)
        if found.is_certain:
            return discovery
        uncertain = uncertain or discovery
    return uncertain or foreign or (_listen(url) if heard else "")


def _listen(url: str) -> str:
    """Return the title of the foreign protocol that a port receives at a usual baud rate; "" if there is none."""
    bauds = LISTEN_BAUDS[:1] if urlsplit(url).scheme in _NETWORKS else LISTEN_BAUDS
    for baud in bauds:
        heard = bytearray()
        try:
            with closing(open_port(url, baud)) as port:
                end_s = time.monotonic() + LISTEN_S
                while (left_s := end_s - time.monotonic()) > 0:
                    heard += port.read(left_s)
                    if title := foreign_protocol(bytes(heard[-_KEPT_BYTES:])):
                        return title
        except DeviceError:
            return ""
    return ""


def probe(url: str, baud: int, family: Family, timeout_s: float, heard: bytearray | None = None) -> Found:
    """Identify the device of a family at a port, and close the port again.

    Args:
        url: port.
        baud: baud rate in bit/s.
        family: family whose probe is sent.
        timeout_s: longest time from the call to the response, s.
        heard: the bytes that the port receives are appended to this buffer.

    Raises:
        DeviceError: the response is not from a device of the family.
        PortError: the port cannot be opened.
        TimeoutError: no device responds within `timeout_s`.
    """
    end_s = time.monotonic() + timeout_s
    with closing(Engine(url, baud, family.wire, family.interpreter(baud))) as engine:
        if heard is not None:
            engine.tap = heard.extend
        procedure = engine.start(family.probe())
        try:
            return procedure.result(max(0.0, end_s - time.monotonic()))
        finally:
            engine.abort(procedure)
