"""Search for devices on ports, several ports at a time. Each port is closed again, its settings restored."""

import itertools
import re
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from pygnc_devices.errors import PortError
from pygnc_devices.family import Family, all_families
from pygnc_devices.foreign import LISTEN_BAUDS, foreign_protocol
from pygnc_devices.probing import Heard, probe_families
from pygnc_devices.serial_port import candidate_ports

TRY_LIMIT_S: Final = 1.0
"""Time for each family and baud rate at a port; unused time remains for later ones."""
ANSWER_LIMIT_S: Final = 2.0
"""Additional time for a device that responds to identify itself."""
LISTEN_S: Final = 1.2
"""Time for an unrecognised device that sends once per second, for each of its usual baud rates."""
_ASKING_S: Final = 0.6
"""Time in which all families are asked at a baud rate, s; a message that arrives meanwhile delays nothing."""
_REPETITIONS: Final = 3
"""Repetitions at a silent port with only one baud rate to try: the device may send by itself every two seconds."""
_KEPT_BYTES: Final = 4096
_TEXT: Final = re.compile(rb"[\t\r\n -~]{15,}[\r\n]")
"""Readable text, of one line or of several; what is received at a wrong baud rate does not resemble it."""
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

    A device that may be of another family is returned only if it is not recognised at another baud rate. Baud rates at
    which the port was silent are tried again once something was received: a device that sends once per second may have
    been silent for so long. Where readable text is received, the baud rate is right, or the port has none: no other
    rate is tried. If the port may have none, all families are asked.
    """
    uncertain: Discovery | None = None
    heard = Heard()
    foreign = ""
    is_network = urlsplit(url).scheme in _NETWORKS
    if not is_network:
        families = [family for family in families if not family.is_networked] or families
    if len(families) == 1:  # a search for one family also asks silent devices
        families = [replace(family, quiet_bauds=None) for family in families]
    end_s = time.monotonic() + TRY_LIMIT_S * sum(len(family.bauds) for family in families) + ANSWER_LIMIT_S
    plan = _Plan(families, has_bauds=not is_network)
    while (step := plan.next_step(heard.next_message_s(time.monotonic()))) is not None and time.monotonic() < end_s:
        if step.is_rare and (uncertain is not None or foreign):
            break
        heard_before = len(heard.octets)
        if step.families or (heard.octets and uncertain is None):
            listeners = step.listeners if uncertain is None else []
            listens = not foreign and not step.received and (is_network or step.baud in LISTEN_BAUDS)
            try:
                found = probe_families(
                    url,
                    step.baud,
                    step.families,
                    listeners,
                    heard,
                    end_s - time.monotonic(),
                    LISTEN_S * listens,
                    asked=step.asked,
                    received=step.received,
                )
            except PortError as error:
                return error
            if found is not None:
                family, identity = found
                baud = family.bauds[0] if is_network else step.baud
                discovery = Discovery(url, baud, family.name, identity.serial_number, identity.text)
                if identity.is_certain:
                    return discovery
                uncertain = uncertain or discovery
            else:
                foreign = foreign or foreign_protocol(bytes(heard.octets[-_KEPT_BYTES:]))
        is_text = uncertain is None and _TEXT.search(heard.octets, heard_before) is not None
        text = bytes(heard.octets[heard_before:]) if is_text else b""
        plan.adapt(step, text, is_silent=not heard.octets, has_baud=heard_before > 0)
    return uncertain or foreign


@dataclass(frozen=True, slots=True)
class _Step:
    """Families that are tried at a baud rate.

    Attributes:
        baud: baud rate, bits per second.
        families: families whose probes are sent.
        listeners: families that are tried only if something is received.
        is_rare: True if it is carried out only if nothing was found before.
        asked: families that did not respond before at this baud rate.
        received: bytes that were received before at this baud rate.
    """

    baud: int
    families: list[Family]
    listeners: list[Family]
    is_rare: bool = False
    asked: Sequence[Family] = ()
    received: bytes = b""


class _Plan:
    """Steps of the search at a port.

    Rates at which the search listens for a message alternate with others, until a message was received. Then the search
    listens when the next message is due, and tries others in the time before it. Where nothing was received before a
    device began to send, the search listens again after the next rate that is asked anyway.

    Args:
        families: families to search for.
        has_bauds: False for a port without baud rates, which needs one step.
    """

    def __init__(self, families: list[Family], *, has_bauds: bool) -> None:
        only = _step(families[0].bauds[0], [(family, family.bauds[0]) for family in families])
        steps = _steps(families) if has_bauds else [only]
        self._listened = [step for step in steps if step.baud in LISTEN_BAUDS]
        self._others = [step for step in steps if step.baud not in LISTEN_BAUDS]
        self._listens_next = True
        self._families = families
        self._silent: list[_Step] = []
        self._repetitions = _REPETITIONS if has_bauds and len(steps) == 1 else 0
        self._is_readable = False

    def next_step(self, next_message_s: float | None) -> _Step | None:
        """Return the next step, which is then no longer to come; None at the end.

        Args:
            next_message_s: time until the next message, s; None if unknown.
        """
        listens = self._listens_next if next_message_s is None else next_message_s < _ASKING_S
        queue = self._listened if listens else self._others
        queue = queue or self._others or self._listened
        self._listens_next = queue is self._others
        return queue.pop(0) if queue else None

    def adapt(self, step: _Step, text: bytes, *, is_silent: bool, has_baud: bool) -> None:
        """Adapt the steps to come after a step.

        Args:
            step: step that was carried out.
            text: what the step has received, if it is readable text.
            is_silent: True if nothing was received until now.
            has_baud: True if something was received at other rates, where it was not readable. Then the families that
                do not use the rate of the text are asked only if it contains their frames.
        """
        if is_silent and (step.listeners or step.baud in LISTEN_BAUDS):
            self._silent.append(replace(step, is_rare=True))
        if text and not self._is_readable:
            self._is_readable = True
            tried = (*step.families, *step.listeners, *step.asked)
            others = [family for family in self._families if family not in tried]
            last = _Step(step.baud, [] if has_baud else others, [], asked=others, received=text)
            self._listened, self._others, self._silent = [], [last] * bool(others), []
        if not is_silent:
            self._listened[1:1] = [replace(entry, families=[], asked=entry.families) for entry in self._silent]
            self._silent = []
        elif self._repetitions:
            self._listened, self._silent, self._repetitions = self._silent, [], self._repetitions - 1


def _steps(families: list[Family]) -> list[_Step]:
    ranked = itertools.zip_longest(*(family.bauds for family in families))
    usual = dict.fromkeys(baud for rank in ranked for baud in rank if baud is not None)
    rare = dict.fromkeys(baud for family in families for baud in family.rare_bauds if baud not in usual)
    return [
        _step(
            baud,
            [(family, baud) for family in families if baud in (*family.bauds, *family.rare_bauds)],
            is_rare=baud in rare,
        )
        for baud in (*usual, *rare)
    ]


def _step(baud: int, tried: list[tuple[Family, int]], *, is_rare: bool = False) -> _Step:
    asked = [family for family, at in tried if family.quiet_bauds is None or at in family.quiet_bauds]
    return _Step(baud, asked, [family for family, _ in tried if family not in asked], is_rare)
