"""A new firmware for a unit: into the bootloader, block after block, and out again (JI, WA, JA).

Until the bootloader has been entered nothing is at stake. From then on the unit has no application until a whole image
is written, so whatever goes wrong - lost words, a lost port, an impatient caller - writing goes on if it can at all,
and if it cannot, the error says how to go on. Order, speed and pauses: python-imu380 and python-openimu.
"""

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Final, TypeVar

from pygnc_devices.errors import AbortedError, DeviceError, NoAnswerError, PortGoneError
from pygnc_devices.procedure import Procedure, SetBaud, WaitForPort
from pygnc_devices.ucb import bootloader_procedures as bootloader
from pygnc_devices.ucb import commands, firmware_commands, line_procedures
from pygnc_devices.ucb.fields import RATE
from pygnc_devices.ucb.firmware_commands import BLOCK_BYTES
from pygnc_devices.ucb.firmware_image import check_image
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_devices.ucb.unit_procedures import identify
from pygnc_devices.ucb.upgrade_progress import (
    HOW_TO_GO_ON,
    NotMeantError,
    OnProgress,
    Phase,
    UpgradeError,
    UpgradeProgress,
    UpgradeResult,
    UpgradeSettings,
)

T = TypeVar("T")

_RESTARTS: Final = 5
_JUMPS: Final = (False, False, True, False)
"""Whether the CRC of each JA is swapped."""
_LOOK_S: Final = 1.0
_BLOCKS_TO_JUDGE: Final = 16
_PATIENCE: Final = 4.0
_LEAST_PATIENCE_S: Final = 0.2

_log = logging.getLogger(__name__)


def upgrade(
    unit: UcbUnit,
    image: bytes,
    *,
    write_firmware: bool = False,
    recover: bool = False,
    on_progress: OnProgress | None = None,
    settings: UpgradeSettings | None = None,
) -> Procedure[UpgradeResult]:
    """Replace the firmware and return when the new one has told who it is.

    Args:
        unit: see `driver`.
        image: of the application.
        write_firmware: that this is meant.
        recover: the unit is in its bootloader already, as an upgrade that broke off left it.
        on_progress: is told of every step.
        settings: for bootloaders that are another way.

    Raises:
        ImageError: this is no image; nothing was sent.
        NotMeantError: `write_firmware` is not set; nothing was sent.
        UpgradeError: it broke off. The message says what state the unit is in and how to go on.
    """
    settings = settings or UpgradeSettings()
    check_image(image, any_content=settings.any_content, sha256=settings.sha256)
    if not write_firmware:
        raise NotMeantError(
            "an upgrade erases the firmware of the unit: say that this is meant by write_firmware=True "
            "(pygnc device upgrade PORT IMAGE --write-firmware)"
        )
    return (yield from _Upgrade(unit, image, settings, on_progress).run(recover=recover))


class _Upgrade:
    """One upgrade on its way."""

    def __init__(self, unit: UcbUnit, image: bytes, settings: UpgradeSettings, on_progress: OnProgress | None) -> None:
        self._unit = unit
        self._image = image
        self._settings = settings
        self._on_progress = on_progress
        self._home_baud = unit.baud
        self._address = 0
        self._retries = 0
        self._interruptions = 0
        self._restarts = 0
        self._took_s: deque[float] = deque(maxlen=_BLOCKS_TO_JUDGE)
        self._start_s = time.monotonic()

    def run(self, *, recover: bool) -> Procedure[UpgradeResult]:
        """Do all of it."""
        before = yield from self._begin(recover=recover)
        try:
            yield from self._write()
            baud, after = yield from self._through_losses(self._start_application)
        except UpgradeError:
            raise
        except AbortedError:
            _log.warning(
                "the upgrade was given up at %d of %d bytes. %s", self._address, len(self._image), HOW_TO_GO_ON
            )
            raise
        except DeviceError as error:
            raise self._broken(str(error)) from error
        else:
            self._home_baud = baud
            self._unit.volatile.clear()
            self._tell(Phase.DONE)
        finally:
            self._unit.is_upgrading = False
            self._unit.baud = self._unit.first_baud = self._home_baud
            try:
                yield SetBaud(self._home_baud)
            except DeviceError:
                _log.debug("the line cannot be set back to %d baud: the port is gone", self._home_baud)
        return UpgradeResult(
            before,
            after,
            len(self._image),
            self._retries,
            self._interruptions,
            self._restarts,
            time.monotonic() - self._start_s,
        )

    def _begin(self, *, recover: bool) -> Procedure[str]:
        """Bring the unit into its bootloader; return who it was."""
        self._tell(Phase.ENTER)
        baud = self._settings.bootloader_baud
        if self._settings.at_power_up:
            yield from self._catch()
            return ""
        if recover or not (yield from self._answers()):
            return (yield from self._find_bootloader(recover=recover))
        who = yield from identify(self._unit)
        divider = yield from line_procedures.go_quiet(self._unit)
        self._unit.is_upgrading = True
        has_entered = False
        try:
            has_entered = yield from self._through_losses(
                lambda: bootloader.enter(self._home_baud, baud, self._settings.enter_s)
            )
        finally:
            if not has_entered:
                yield from self._stay(divider)
        if not has_entered:
            raise UpgradeError(
                "the unit does not enter its bootloader; it is as it was. Some listen for that only just after they "
                "are switched on: at_power_up=True (--at-power-up)",
                is_in_bootloader=False,
            )
        return who.text

    def _stay(self, divider: int) -> Procedure[None]:
        """Bring the application back, from which nothing has been erased, and its stream."""
        self._unit.is_upgrading = False
        self._unit.volatile[RATE] = divider
        try:
            yield from bootloader.jump(self._settings.bootloader_baud, swapped_crc=False)
            yield SetBaud(self._home_baud)
            yield from line_procedures.end_quiet(self._unit, divider)
        except DeviceError as error:
            _log.warning("%s; nothing is erased: switch the unit off and on if it stays mute", error)

    def _answers(self) -> Procedure[bool]:
        try:
            yield commands.ping()
        except NoAnswerError:
            return False
        return True

    def _find_bootloader(self, *, recover: bool) -> Procedure[str]:
        """Find a unit that an earlier upgrade has left in its bootloader."""
        self._unit.is_upgrading = True
        if (yield from bootloader.is_in_bootloader(self._settings.bootloader_baud, self._settings.enter_s)):
            return ""
        is_alive = yield from bootloader.is_application(self._home_baud)
        if is_alive or not recover:
            self._unit.is_upgrading = False
            yield SetBaud(self._home_baud)
            what = "the unit's application answers: it needs no recovery, but an upgrade"
            if not is_alive:
                what = (
                    f"nobody answers at {self._home_baud} baud, and no bootloader at {self._settings.bootloader_baud}: "
                    "is the speed right? If an upgrade broke off before: recover=True (--recover)"
                )
            raise UpgradeError(what, is_in_bootloader=False)
        yield SetBaud(self._settings.bootloader_baud)  # it may be one that answers no ping: the first block will tell
        return ""

    def _catch(self) -> Procedure[None]:
        """Wait until the unit is switched off and on, and have it stay in its bootloader."""
        self._unit.is_upgrading = True
        self._tell(Phase.SWITCH)
        end_s = time.monotonic() + self._settings.power_up_s
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                yield SetBaud(self._settings.bootloader_baud)
                frame = (yield firmware_commands.catch_at_power_up(left_s))[-1]
            except NoAnswerError:
                continue
            except PortGoneError:  # a unit that is fed by its cable: the port goes and comes with it
                yield WaitForPort(left_s)
                continue
            if frame.kind == "JI":
                return
        self._unit.is_upgrading = False
        yield SetBaud(self._home_baud)
        raise UpgradeError(
            f"no bootloader was caught within {self._settings.power_up_s:.0f} s; the unit is as it was",
            is_in_bootloader=False,
        )

    def _write(self) -> Procedure[None]:
        """Write all blocks; go on after a loss of the port, and begin anew where the bootloader wants that."""
        size = len(self._image)
        while self._address < size:
            self._tell(Phase.ERASE if self._address == 0 else Phase.WRITE)
            losses = self._interruptions
            if (yield from self._through_losses(self._write_block)):
                continue
            if losses == self._interruptions and not (yield from self._through_losses(self._is_waiting)):
                raise self._broken(
                    f"the block at {self._address:#x} is not taken in {self._settings.block_tries} tries"
                )
            self._restarts += 1
            if self._restarts > _RESTARTS:
                raise self._broken(
                    f"writing has begun anew {_RESTARTS} times, and the block at {self._address:#x} fails"
                )
            self._address = 0
        self._tell(Phase.START)

    def _write_block(self) -> Procedure[bool]:
        """Send the next block until it is confirmed; False when the tries are used up."""
        block = self._image[self._address : self._address + BLOCK_BYTES]
        limit_s = self._patience_s() if self._address else self._settings.erase_s
        request = firmware_commands.write_block(self._address, block, limit_s)
        for attempt in range(self._settings.block_tries):
            self._retries += attempt > 0
            sent_s = time.monotonic()
            try:
                frame = (yield request if attempt == 0 else replace(request, octets=request.again))[-1]
            except NoAnswerError:
                continue
            if frame.kind == "WA":
                if attempt and not frame.payload:
                    # It does not say which block it means: what it may still say about this one must not count later.
                    yield from self._let_pass(limit_s)
                if self._address:
                    self._took_s.append(time.monotonic() - sent_s)
                self._address += len(block)
                return True
        return False

    def _patience_s(self) -> float:
        """Return how long to wait for the confirmation of a block: some times of what the last ones took."""
        if len(self._took_s) < _BLOCKS_TO_JUDGE:
            return self._settings.block_s
        return min(self._settings.block_s, max(_LEAST_PATIENCE_S, _PATIENCE * max(self._took_s)))

    def _let_pass(self, limit_s: float) -> Procedure[None]:
        try:
            yield replace(firmware_commands.write_block(self._address, b"", limit_s), octets=b"")
        except NoAnswerError:
            return

    def _is_waiting(self) -> Procedure[bool]:
        return (yield from bootloader.is_in_bootloader(self._settings.bootloader_baud, _LOOK_S))

    def _start_application(self) -> Procedure[tuple[int, str]]:
        """Leave the bootloader; return the application's speed and what it says that it is."""
        bauds = (self._home_baud, self._unit.first_baud)
        for swapped_crc in _JUMPS:
            self._tell(Phase.START)
            yield from bootloader.jump(self._settings.bootloader_baud, swapped_crc=swapped_crc)
            found = yield from bootloader.find_application(self._unit, bauds, self._settings.start_s)
            if found is not None:
                return found[0], found[1].text
        raise self._broken(
            "the whole image is written, and the application does not answer; switch the unit off and on"
        )

    def _through_losses(self, step: Callable[[], Procedure[T]]) -> Procedure[T]:
        """Take steps; whenever the port is lost wait for it, bring the unit to where it was, and take them again."""
        is_back = True
        while True:
            try:
                if not is_back:
                    yield from self._come_back()
                    is_back = True
                return (yield from step())
            except PortGoneError:
                self._interruptions += is_back
                is_back = False
                self._tell(Phase.WAIT)
                yield WaitForPort(self._settings.port_s)

    def _come_back(self) -> Procedure[None]:
        """Find the unit after the port was lost: in its bootloader, or, if nothing was erased, in its application."""
        baud = self._settings.bootloader_baud
        if (yield from bootloader.is_in_bootloader(baud, self._settings.enter_s)):
            return
        if self._address < len(self._image) and (yield from bootloader.is_application(self._home_baud)):
            self._address = 0
            yield from bootloader.enter(self._home_baud, baud, self._settings.enter_s)
        yield SetBaud(baud)

    def _broken(self, why: str) -> UpgradeError:
        return UpgradeError(
            f"the upgrade broke off at {self._address} of {len(self._image)} bytes: {why}. {HOW_TO_GO_ON}",
            is_in_bootloader=True,
            written_bytes=self._address,
        )

    def _tell(self, phase: Phase) -> None:
        if self._on_progress is not None:
            try:
                self._on_progress(UpgradeProgress(phase, self._address, len(self._image), self._retries))
            except Exception:  # noqa: BLE001 - a listener's fault must not leave a unit without firmware
                _log.exception("whoever was to be told of the upgrade's progress has failed")
