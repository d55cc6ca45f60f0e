"""Who hangs on which port: candidate ports only, side by side, each closed again and left as it was."""

import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from pygnc_devices.engine import Engine
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import Family, Found, all_families
from pygnc_devices.serial_port import candidate_ports

TRY_LIMIT_S: Final = 1.0
"""Of each family and speed; what one does not need the others may have."""
ANSWER_LIMIT_S: Final = 2.0
"""Besides, for a device that is there: to say who it is."""
_AT_ONCE: Final = 32
_NETWORKS: Final = ("socket", "udp")


@dataclass(frozen=True, slots=True)
class Discovery:
    """A device that answered."""

    url: str
    baud: int
    family: str
    serial_number: str
    text: str


@dataclass(frozen=True, slots=True)
class Search:
    """What a search found.

    Attributes:
        found: devices that answered.
        problems: why a port was not looked at, by URL.
        silent: ports where nobody answered.
    """

    found: tuple[Discovery, ...]
    problems: dict[str, str]
    silent: tuple[str, ...]


def search(urls: Sequence[str] | None = None, families: Iterable[Family] | None = None) -> Search:
    """Look for devices.

    Args:
        urls: ports to look at; by default the serial adapters on the USB.
        families: kinds to look for; by default all.
    """
    ports = candidate_ports() if urls is None else list(urls)
    kinds = list(all_families() if families is None else families)
    if not ports:
        return Search((), {}, ())
    with ThreadPoolExecutor(min(len(ports), _AT_ONCE)) as pool:
        outcomes = list(pool.map(lambda url: _look(url, kinds), ports))
    pairs = list(zip(ports, outcomes, strict=True))
    return Search(
        found=tuple(outcome for outcome in outcomes if isinstance(outcome, Discovery)),
        problems={url: str(outcome) for url, outcome in pairs if isinstance(outcome, PortError)},
        silent=tuple(url for url, outcome in pairs if outcome is None),
    )


def _look(url: str, families: list[Family]) -> Discovery | PortError | None:
    """Try all families and their speeds on one port, the likeliest speeds of all first.

    Devices on networks are looked for on serial lines only if no others are.
    """
    if urlsplit(url).scheme not in _NETWORKS:
        families = [family for family in families if not family.is_networked] or families
    tries = [
        (family, family.bauds[rank])
        for rank in range(max(len(family.bauds) for family in families))
        for family in families
        if rank < len(family.bauds)
    ]
    end_s = time.monotonic() + TRY_LIMIT_S * len(tries) + ANSWER_LIMIT_S
    for family, baud in tries:
        if time.monotonic() > end_s:
            break
        try:
            found = _ask(url, baud, family, end_s)
        except PortError as error:
            return error
        except (DeviceError, TimeoutError):
            continue
        return Discovery(url, baud, family.name, found.serial_number, found.text)
    return None


def _ask(url: str, baud: int, family: Family, end_s: float) -> Found:
    engine = Engine(url, baud, family.wire, family.interpreter(baud))
    try:
        task = engine.start(family.probe())
        try:
            return task.result(max(0.0, end_s - time.monotonic()))
        finally:
            engine.abort(task)
    finally:
        engine.close()
