"""The bridge's end of the line: finds the unit, keeps it, tells when it goes and when it is back."""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum, unique
from typing import Any, Final
from urllib.parse import urlsplit

from pygnc_devices.device import AsyncDevice
from pygnc_devices.discovery import search
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import Family, all_families, family
from pygnc_devices.reading import Reading
from pygnc_devices.ucb.driver import AsyncUcb
from pygnc_devices.ucb.fields import RATE
from pygnc_instruments.bridge.errors import BridgeError, Code
from pygnc_instruments.bridge.events import Event

SEARCH_PAUSE_S: Final = 2.0
_LOOK_S: Final = 0.1
_SILENCE_S: Final = 1.0
_ELSEWHERE_S: Final = 5.0

_log = logging.getLogger(__name__)


@unique
class State(StrEnum):
    """How the line is."""

    SEARCHING = "searching"
    STREAMING = "streaming"
    SILENT = "silent"
    UNPLUGGED = "unplugged"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Place:
    """Where to look for a unit.

    Attributes:
        url: its port; None: any serial adapter on the USB.
        baud: None: tried.
        family: by name; None: any.
    """

    url: str | None = None
    baud: int | None = None
    family: str | None = None


class Link:
    """One unit, found again whenever it goes.

    Attributes:
        device: the driver, None while there is none.
        family: of the unit.
        identity: serial number and model, as it says them; "" while unknown.
        divider: field 1 of a UCB unit; None while unknown.
        latest: the newest reading.
        state: how the line is; every change is told.
    """

    def __init__(self, place: Place, tell: Callable[[Event], None]) -> None:
        self._place = place
        self._tell = tell
        self._reason = "no unit has been found yet"
        self.device: AsyncDevice | None = None
        self.family: Family | None = None
        self.identity = ""
        self.divider: int | None = None
        self.latest: Reading | None = None
        self.state = State.SEARCHING
        self.taps: list[Callable[[Reading], None]] = []

    @property
    def is_connected(self) -> bool:
        """Whether the unit can be talked to."""
        return self.device is not None and self.device.is_connected

    def need(self) -> AsyncDevice:
        """Return the driver.

        Raises:
            BridgeError: there is no unit.
        """
        if self.device is None or not self.device.is_connected:
            raise BridgeError(Code.NO_DEVICE, self._reason or "the unit is not connected")
        return self.device

    def need_ucb(self) -> AsyncUcb:
        """Return the driver of a unit that has fields.

        Raises:
            BridgeError: there is no unit, or it has none.
        """
        device = self.need()
        if not isinstance(device, AsyncUcb):
            title = "this unit" if self.family is None else self.family.title
            raise BridgeError(Code.NOT_SUPPORTED, f"{title} has no fields; Aceinna's units have")
        return device

    def summary(self) -> dict[str, Any]:
        """Return how the unit is, for status and events."""
        return {
            "connected": self.is_connected,
            "state": str(self.state),
            "reason": "" if self.is_connected else self._reason,
            "id": self.identity,
            "url": self._place.url or "" if self.device is None else self.device.url,
            "baud": None if self.device is None else self.device.baud,
            "family": "" if self.family is None else self.family.name,
            "packet": "" if self.latest is None else self.latest.packet.name,
            "divider": self.divider,
        }

    @property
    def is_recording(self) -> bool:
        """Whether a recording is played in a unit's place."""
        return self.device is not None and urlsplit(self.device.url).scheme == "file"

    async def run(self) -> None:
        """Serve units, one after the other, until cancelled; or a recording to its end."""
        while self.state is not State.ENDED:
            self.device = device = await self._find()
            try:
                await self._serve(device)
            except Exception:  # noqa: BLE001 - a fault of its driver ends neither the bridge nor the hope for its next try
                _log.exception("serving %s has failed", device.url)
                self._change(State.SEARCHING, f"{device.url}: its driver has failed; the bridge's log says more")
                await asyncio.sleep(SEARCH_PAUSE_S)
            finally:
                await asyncio.shield(device.close())

    async def _serve(self, device: AsyncDevice) -> None:
        """Read until there is nothing to be read any more."""
        await self.identify()
        await self._start(device)
        async with asyncio.TaskGroup() as group:
            watch = group.create_task(self._watch(device))
            async for reading in device.readings():
                self._take(reading)
            watch.cancel()
        if self.is_recording:
            self._change(State.ENDED, f"{device.url}: the recording has ended")
        else:
            self._change(State.SEARCHING, f"{device.url} is gone; all serial adapters are looked at")

    async def _find(self) -> AsyncDevice:
        """Look until there is a unit."""
        while True:
            try:
                return await self._open()
            except DeviceError as error:
                self._change(State.SEARCHING, str(error))
            await asyncio.sleep(SEARCH_PAUSE_S)

    async def _open(self) -> AsyncDevice:
        place = self._place
        is_recording = place.url is not None and urlsplit(place.url).scheme == "file"
        if place.url is not None and (is_recording or (place.baud and place.family)):
            self.family = family(place.family or "ucb")
            return await _open(self.family, place.url, place.baud)
        families = all_families() if place.family is None else [family(place.family)]
        result = await asyncio.to_thread(search, None if place.url is None else [place.url], families)
        for found in result.found:
            if place.baud in (None, found.baud):
                self.family = family(found.family)
                return await _open(self.family, found.url, found.baud)
        where = place.url or "serial adapters on the USB"
        problems = "; ".join(result.problems.values())
        raise PortError(problems or f"no unit answers at {where}; is it on, and the cable in?")

    async def identify(self) -> None:
        """Ask who the unit is and what its rate is; a bad line may keep it from us."""
        identity, divider = "" if self.family is None else self.family.title, None
        with contextlib.suppress(DeviceError, BridgeError):
            if isinstance(self.device, AsyncUcb) and not self.is_recording:
                who = await self.device.identify()
                identity = f"{who.serial_number} {who.text}"
                divider = (await self.device.get_fields([RATE]))[RATE]
            else:
                told = await self.describe()
                identity = " ".join(told[key] for key in ("serial_number", "model") if key in told) or identity
        self.identity, self.divider = identity, divider

    async def describe(self) -> dict[str, str]:
        """Return what the unit tells of itself; empty if it cannot be asked.

        Raises:
            BridgeError: there is no unit.
            DeviceError: it does not tell.
        """
        device, kind = self.need(), self.family
        if kind is None or kind.controls.describe is None or self.is_recording:
            return {}
        return await device.run(kind.controls.describe(_unit(device)))

    async def _start(self, device: AsyncDevice) -> None:
        """Have a unit stream that does so only when it is told to."""
        start = None if self.family is None else self.family.controls.start
        if start is not None and not self.is_recording:
            with contextlib.suppress(DeviceError):  # its silence will be told
                await device.run(start(_unit(device)))

    def _take(self, reading: Reading) -> None:
        self.latest = reading
        if self.state not in (State.STREAMING, State.UNPLUGGED):
            self._change(State.STREAMING, "")
        for tap in self.taps:
            tap(reading)

    async def _watch(self, device: AsyncDevice) -> None:
        """Notice that the port is gone, that it is back, that nothing comes."""
        since_s, was_connected, reconnects = time.monotonic(), True, 0
        while True:
            await asyncio.sleep(_LOOK_S)
            before = was_connected, reconnects
            was_connected, reconnects = device.is_connected, device.engine.counters.reconnects
            if (was_connected, reconnects) != before:
                since_s = time.monotonic()
                if not was_connected:
                    self._change(State.UNPLUGGED, f"{device.url} is gone: unplugged or switched off; it is looked for")
                    continue
                await self.identify()  # it may be another unit
                self._change(State.STREAMING if device.latest(_SILENCE_S) else State.SILENT, "")
            if time.monotonic() - since_s < _SILENCE_S:
                continue
            age_s = device.statistics.age_s
            if was_connected and (age_s is None or age_s > _SILENCE_S):
                self._change(State.SILENT, "")
            elif not was_connected and self._place.url is None and time.monotonic() - since_s > _ELSEWHERE_S:
                await device.close()  # it may come back at another port

    def _change(self, state: State, reason: str) -> None:
        if (state, reason) != (self.state, self._reason):
            self.state, self._reason = state, reason
            self._tell(Event("device", self.summary()))


def _unit(device: AsyncDevice) -> Any:  # noqa: ANN401 - each family has its own
    """Return the unit as its family's procedures take it."""
    return getattr(device, "unit", None)


async def _open(kind: Family, url: str, baud: int | None) -> AsyncDevice:
    opened: AsyncDevice = await kind.async_device.open(url, baud or kind.bauds[0])  # type: ignore[attr-defined]
    return opened
