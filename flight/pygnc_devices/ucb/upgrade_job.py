"""One upgrade on its way: what it has done, how it tells, how it outlasts the loss of the port."""

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TypeVar

from pygnc_devices.errors import PortGoneError
from pygnc_devices.procedure import Procedure, SetBaud, WaitForPort
from pygnc_devices.ucb import bootloader_procedures as bootloader
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_devices.ucb.upgrade_progress import (
    HOW_TO_GO_ON,
    OnProgress,
    Phase,
    UpgradeError,
    UpgradeProgress,
    UpgradeSettings,
)

T = TypeVar("T")

_BLOCKS_TO_JUDGE: Final = 16
_PATIENCE: Final = 4.0
_LEAST_PATIENCE_S: Final = 0.2

_log = logging.getLogger(__name__)


class UpgradeJob:
    """An upgrade's state.

    Attributes:
        unit: whose firmware is replaced.
        image: all of it.
        settings: see `UpgradeSettings`.
        home_baud: the application's speed.
        address: of the next block.
        is_erased: whether the unit may have no application any more.
        retries: blocks that were sent again.
        interruptions: losses of the port.
        restarts: new beginnings.
    """

    def __init__(self, unit: UcbUnit, image: bytes, settings: UpgradeSettings, on_progress: OnProgress | None) -> None:
        self.unit = unit
        self.image = image
        self.settings = settings
        self.home_baud = unit.baud
        self.address = 0
        self.is_erased = False
        self.retries = 0
        self.interruptions = 0
        self.restarts = 0
        self._on_progress = on_progress
        self._took_s: deque[float] = deque(maxlen=_BLOCKS_TO_JUDGE)
        self._start_s = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has taken so far."""
        return time.monotonic() - self._start_s

    def tell(self, phase: Phase) -> None:
        """Tell whoever listens how far it is."""
        if self._on_progress is not None:
            try:
                self._on_progress(UpgradeProgress(phase, self.address, len(self.image), self.retries))
            except Exception:  # noqa: BLE001 - a listener's fault must not leave a unit without firmware
                _log.exception("whoever was to be told of the upgrade's progress has failed")

    def broken(self, why: str) -> UpgradeError:
        """Return the error of an upgrade that leaves its unit in the bootloader."""
        return UpgradeError(
            f"the upgrade broke off at {self.address} of {len(self.image)} bytes: {why}. {HOW_TO_GO_ON}",
            is_in_bootloader=True,
            written_bytes=self.address,
        )

    def took(self, seconds: float) -> None:
        """Take note of how long the unit took for a block."""
        self._took_s.append(seconds)

    def patience_s(self) -> float:
        """Return how long to wait for the confirmation of a block: some times of what the last ones took."""
        if self.address == 0:
            return self.settings.erase_s
        if len(self._took_s) < _BLOCKS_TO_JUDGE:
            return self.settings.block_s
        return min(self.settings.block_s, max(_LEAST_PATIENCE_S, _PATIENCE * max(self._took_s)))

    def through_losses(self, step: Callable[[], Procedure[T]]) -> Procedure[T]:
        """Take steps; whenever the port is lost wait for it, bring the unit to where it was, and take them again."""
        is_back = True
        while True:
            try:
                if not is_back:
                    yield from self._come_back()
                    is_back = True
                return (yield from step())
            except PortGoneError:
                self.interruptions += is_back
                is_back = False
                self.tell(Phase.WAIT)
                yield WaitForPort(self.settings.port_s)

    def _come_back(self) -> Procedure[None]:
        """Find the unit after the port was lost: in its bootloader, or, if nothing was erased, in its application."""
        baud = self.settings.bootloader_baud
        if (yield from bootloader.is_in_bootloader(baud, self.settings.enter_s)):
            return
        if self.address < len(self.image) and (yield from bootloader.is_application(self.home_baud)):
            self.address = 0
            yield from bootloader.enter(self.home_baud, baud, self.settings.enter_s)
        yield SetBaud(baud)
