"""Upgrade of the firmware: into the bootloader, block by block, and out again (JI, WA, JA).

Until the first block the unit keeps its firmware. From then on it has no application until a complete image is written.
After lost bytes or a lost port, writing continues if possible; otherwise the error names the next step. Order, baud
rate and pauses are those of python-imu380 and python-openimu.
"""

import logging
import struct
import time
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, TypeVar

from pygnc_devices.errors import AbortedError, DeviceError, NoAnswerError, PortGoneError
from pygnc_devices.scheduler import Operation, Request, SetBaud, Sleep, WaitForPort, responds
from pygnc_devices.ucb import commands, configuration
from pygnc_devices.ucb.fields import CODE_OF_BAUD, RATE
from pygnc_devices.ucb.firmware import (
    HOW_TO_RECOVER,
    NotConfirmedError,
    OnProgress,
    Phase,
    UpgradeError,
    UpgradeProgress,
    UpgradeResult,
    UpgradeSettings,
    check_image,
)
from pygnc_devices.ucb.operations import identify
from pygnc_devices.ucb.unit import UcbUnit

T = TypeVar("T")

BLOCK_BYTES: Final = 240
"""Bytes of the image in a WA command: the most that all firmware accepts."""
_CATCH_S: Final = 0.01
"""Interval of JI commands to a unit that listens for a tenth of a second after power-up."""
_JUMP_S: Final = 0.5
_SETTLE_S: Final = 0.05
_LISTEN_S: Final = 0.2
_FIND_BOOTLOADER_S: Final = 1.0
_ENTRIES: Final = 4
_MEASURED_BLOCKS: Final = 16
_TIMEOUT_FACTOR: Final = 4.0
_LEAST_TIMEOUT_S: Final = 0.2
_RESTARTS: Final = 5
_JUMPS: Final = (False, False, True, False)
"""For each JA command: True if its CRC is swapped."""

_log = logging.getLogger(__name__)


async def upgrade(
    unit: UcbUnit,
    image: bytes,
    *,
    write_firmware: bool = False,
    recover: bool = False,
    on_progress: OnProgress | None = None,
    settings: UpgradeSettings | None = None,
) -> UpgradeResult:
    """Replace the firmware and return when the new firmware has identified itself.

    Args:
        unit: state of the unit.
        image: image of the application.
        write_firmware: True confirms that the firmware is to be replaced.
        recover: True if the unit is in its bootloader already, left there by an upgrade that failed.
        on_progress: called at each step.
        settings: limits and options for bootloaders that differ; None: defaults.

    Raises:
        ImageError: the image is invalid; nothing was sent.
        NotConfirmedError: `write_firmware` is not set; nothing was sent.
        UpgradeError: the upgrade failed. The message states the state of the unit and the next step.
    """
    settings = settings or UpgradeSettings()
    check_image(image, any_content=settings.any_content, sha256=settings.sha256)
    if not write_firmware:
        raise NotConfirmedError(
            "an upgrade erases the firmware of the unit; confirm it by write_firmware=True "
            "(pygnc device upgrade PORT IMAGE --write-firmware)"
        )
    return await UpgradeJob(unit, image, settings, on_progress).run(recover=recover)


async def check_upgrade(unit: UcbUnit, image: bytes, *, settings: UpgradeSettings | None = None) -> str:
    """Check an image and find the unit, without a command that changes the unit.

    Args:
        unit: state of the unit.
        image: image of the application.
        settings: see `upgrade`.

    Returns:
        Identity of the unit; "" if it is in its bootloader.

    Raises:
        ImageError: the image is invalid; nothing was sent.
        UpgradeError: neither an application nor a bootloader responds.
    """
    settings = settings or UpgradeSettings()
    check_image(image, any_content=settings.any_content, sha256=settings.sha256)
    return await UpgradeJob(unit, image, settings, None).find()


async def is_in_bootloader(baud: int, limit_s: float) -> bool:
    """Return True if a bootloader responds to the ping; some bootloaders do not."""
    await SetBaud(baud)
    await Sleep(_SETTLE_S)
    request = commands.where_are_you()
    for attempt in range(max(1, round(limit_s / request.timeout_s))):
        try:
            frame = (await request)[-1]
        except NoAnswerError:
            continue
        if commands.is_bootloader(frame):
            return True
        if attempt:  # the first response may come from an application that is about to leave
            return False
        await Sleep(_LISTEN_S)
    return False


async def _is_application(baud: int) -> bool:
    """Return True if an application identifies itself; a bootloader has no identity."""
    await SetBaud(baud)
    await Sleep(_SETTLE_S)
    return await responds(replace(commands.get_packet("ID"), timeout_s=_LISTEN_S, tries=3), "ID")


def _catch_request(limit_s: float) -> Request:
    """Return the command JI, sent repeatedly with both byte orders of the CRC; some bootloaders expect it swapped."""
    request = commands.command("JI", timeout_s=_CATCH_S, tries=max(1, round(limit_s / _CATCH_S)))
    octets = request.octets + _swap_crc(request.octets)
    return replace(request, octets=octets, again=octets, what="JI command while the unit is switched off and on")


def _write_request(address: int, data: bytes, timeout_s: float) -> Request:
    """Return the command WA, sent once, with a block of the image. Its response has address and length or is empty."""
    head = struct.pack(">IB", address, len(data))
    request = commands.command(
        "WA", head + data, fits=lambda payload: payload[:5] in (head, b""), timeout_s=timeout_s, tries=1
    )
    return replace(request, what=f"WA command at {address:#x}")


def _swap_crc(frame: bytes) -> bytes:
    return frame[:-2] + frame[:-3:-1]


class UpgradeJob:
    """Upgrade in progress.

    Attributes:
        application_baud: baud rate of the application.
        address: address of the next block, bytes from the start of the image.
        is_erased: True if the unit may have no application any more.
        retries: number of repeated blocks.
        interruptions: number of losses of the port.
        restarts: number of times that writing began again.
    """

    def __init__(self, unit: UcbUnit, image: bytes, settings: UpgradeSettings, on_progress: OnProgress | None) -> None:
        self.unit = unit
        self.image = image
        self.settings = settings
        self.application_baud = unit.baud
        self.address = 0
        self.is_erased = False
        self.retries = 0
        self.interruptions = 0
        self.restarts = 0
        self._on_progress = on_progress
        self._block_times_s: deque[float] = deque(maxlen=_MEASURED_BLOCKS)
        self._start_s = time.monotonic()

    async def run(self, *, recover: bool) -> UpgradeResult:
        """Carry out the upgrade; see `upgrade`."""
        try:
            before = await self._begin(recover=recover)
            await self._write_image()
            self.application_baud, after = await self._retry_after_port_loss(self._start_application)
        except AbortedError:
            if self.is_erased:
                written = f"{self.address} of {len(self.image)} bytes"
                _log.warning("the upgrade was aborted after %s. %s", written, HOW_TO_RECOVER)
            raise
        except DeviceError as error:
            if isinstance(error, UpgradeError) or not self.is_erased:
                raise
            raise self._failure(str(error)) from error
        else:
            self.unit.first_baud = self.application_baud
            self.unit.volatile.clear()
            self._report(Phase.DONE)
        finally:
            self.unit.is_upgrading = False
            self.unit.baud = self.application_baud
            try:
                await SetBaud(self.application_baud)
            except DeviceError:
                _log.debug("the baud rate cannot be restored to %d: the port was lost", self.application_baud)
        seconds = time.monotonic() - self._start_s
        return UpgradeResult(before, after, len(self.image), self.retries, self.interruptions, self.restarts, seconds)

    async def find(self) -> str:
        """Return the identity of the unit, "" if it is in its bootloader; see `check_upgrade`."""
        try:
            if await responds(commands.ping()):
                return (await identify(self.unit)).text
            await self._find_bootloader(recover=False)
            return ""
        finally:
            self.unit.is_upgrading = False
            await SetBaud(self.application_baud)

    # Entering the bootloader. Nothing is erased yet: if this fails, the unit is unchanged.

    async def _begin(self, *, recover: bool) -> str:
        """Bring the unit into its bootloader; return its identity, "" if it was there already."""
        self._report(Phase.ENTER)
        if self.settings.at_power_up:
            await self._catch_at_power_up()
            return ""
        if recover or not await responds(commands.ping()):
            await self._find_bootloader(recover=recover)
            return ""
        identity = await identify(self.unit)
        divider = await configuration.go_quiet(self.unit)
        self.unit.is_upgrading = True
        has_entered = False
        try:
            has_entered = await self._retry_after_port_loss(self._enter)
        finally:
            if not has_entered:
                await self._return_to_application(divider)
        if not has_entered:
            raise UpgradeError(
                "the unit does not enter its bootloader and is unchanged. Some bootloaders listen only just after "
                "power-up: at_power_up=True (--at-power-up)",
                is_in_bootloader=False,
            )
        return identity.text

    async def _enter(self) -> bool:
        """Bring the unit from its application into its bootloader; return False if the application remains.

        The response to JI comes at the baud rate of the application and may be lost. The bootloader is active if it
        responds to the ping, or if the response to JI arrived and the application no longer responds.
        """
        limit_s = self.settings.enter_s
        for _ in range(_ENTRIES):
            await SetBaud(self.application_baud)
            await Sleep(_SETTLE_S)
            # Sent once: if the response is lost, the unit may be in its bootloader already.
            has_agreed = await responds(commands.command("JI", timeout_s=_JUMP_S, tries=1), "JI")
            if await is_in_bootloader(self.settings.bootloader_baud, limit_s if has_agreed else limit_s / 2):
                return True
            is_alive = await _is_application(self.application_baud)
            if has_agreed and not is_alive:
                await SetBaud(self.settings.bootloader_baud)
                return True
        return False

    async def _return_to_application(self, divider: int) -> None:
        """Start the application and its stream again."""
        self.unit.is_upgrading = False
        self.unit.volatile[RATE] = divider
        try:
            await self._jump(swapped_crc=False)
            await SetBaud(self.application_baud)
            await configuration.end_quiet(self.unit, divider)
        except DeviceError as error:
            _log.warning("%s; nothing is erased: switch the unit off and on if it sends nothing", error)

    async def _find_bootloader(self, *, recover: bool) -> None:
        """Find a unit that an earlier upgrade left in its bootloader."""
        baud = self.settings.bootloader_baud
        self.unit.is_upgrading = True
        if await is_in_bootloader(baud, self.settings.enter_s):
            return
        if await _is_application(self.application_baud):
            message = "the application of the unit responds: upgrade it without recover (--recover)"
            raise UpgradeError(message, is_in_bootloader=False)
        if not recover:
            raise UpgradeError(
                f"no unit responds at {self.application_baud} baud, and no bootloader at {baud} baud: check the baud "
                "rate. After an upgrade that failed: recover=True (--recover)",
                is_in_bootloader=False,
            )
        await SetBaud(baud)  # it may be a bootloader without a ping: the first block decides

    async def _catch_at_power_up(self) -> None:
        """Wait until the unit is switched off and on, and keep it in its bootloader."""
        self.unit.is_upgrading = True
        self._report(Phase.SWITCH)
        end_s = time.monotonic() + self.settings.power_up_s
        while (left_s := end_s - time.monotonic()) > 0:
            try:
                await SetBaud(self.settings.bootloader_baud)
                frame = (await _catch_request(left_s))[-1]
            except NoAnswerError:
                continue
            except PortGoneError:  # the unit is powered by its cable: the port goes and comes with it
                await WaitForPort(left_s)
                continue
            if frame.kind == "JI":
                return
        message = f"no bootloader responded within {self.settings.power_up_s:.0f} s; the unit is unchanged"
        raise UpgradeError(message, is_in_bootloader=False)

    # The image, block by block.

    async def _write_image(self) -> None:
        """Write all blocks; continue after losses of the port, and begin again if the bootloader requires that."""
        is_waiting = partial(is_in_bootloader, self.settings.bootloader_baud, _FIND_BOOTLOADER_S)
        while self.address < len(self.image):
            self._report(Phase.WRITE if self.address else Phase.ERASE)
            losses = self.interruptions
            if await self._retry_after_port_loss(self._write_block):
                continue
            if losses == self.interruptions and not await self._retry_after_port_loss(is_waiting):
                raise self._failure(
                    f"no response to the block at {self.address:#x} in {self.settings.block_tries} attempts"
                )
            self.restarts += 1
            if self.restarts > _RESTARTS:
                raise self._failure(f"the block at {self.address:#x} failed after {_RESTARTS} restarts of writing")
            self.address = 0

    async def _write_block(self) -> bool:
        """Send the next block until it is confirmed; return False after the last attempt."""
        block = self.image[self.address : self.address + BLOCK_BYTES]
        timeout_s = self._block_timeout_s()
        request = _write_request(self.address, block, timeout_s)
        self.is_erased = True
        for attempt in range(self.settings.block_tries):
            self.retries += attempt > 0
            sent_s = time.monotonic()
            try:
                frame = (await (replace(request, octets=request.again) if attempt else request))[-1]
            except NoAnswerError:
                continue
            if frame.kind != "WA":  # refused: damaged in transit, or not the expected address
                continue
            if self.address:
                self._block_times_s.append(time.monotonic() - sent_s)
            if attempt and not frame.payload:
                # The response does not name the block: a second response must not confirm a later block.
                await responds(replace(_write_request(self.address, b"", timeout_s), octets=b""))
            self.address += len(block)
            return True
        return False

    def _block_timeout_s(self) -> float:
        """Return the time limit for a block, s: a multiple of the longest time of the last blocks."""
        if self.address == 0:
            return self.settings.erase_s
        if len(self._block_times_s) < _MEASURED_BLOCKS:
            return self.settings.block_s
        return min(self.settings.block_s, max(_LEAST_TIMEOUT_S, _TIMEOUT_FACTOR * max(self._block_times_s)))

    # Out of the bootloader.

    async def _start_application(self) -> tuple[int, str]:
        """Leave the bootloader; return the application's baud rate and its identity."""
        for swapped_crc in _JUMPS:
            self._report(Phase.START)
            await self._jump(swapped_crc=swapped_crc)
            found = await self._find_application()
            if found is not None:
                return found
        raise self._failure(
            "the complete image is written, but the application does not respond; switch the unit off and on"
        )

    async def _jump(self, *, swapped_crc: bool) -> None:
        """Command the bootloader to start the application; many bootloaders do not respond."""
        await SetBaud(self.settings.bootloader_baud)
        await Sleep(_SETTLE_S)
        request = commands.command("JA", timeout_s=_JUMP_S, tries=1)
        octets = _swap_crc(request.octets) if swapped_crc else request.octets
        await responds(replace(request, octets=octets))

    async def _find_application(self) -> tuple[int, str] | None:
        """Search for the application at several baud rates; every second attempt uses the most likely rate."""
        bauds = (self.application_baud, self.unit.first_baud, *sorted(CODE_OF_BAUD, reverse=True))
        likely, *others = dict.fromkeys(bauds)
        per_round_s = 2 * (_LISTEN_S + _SETTLE_S)
        for attempt in range(max(1, round(self.settings.start_s / per_round_s))):
            for baud in (likely, others[attempt % len(others)]):
                await SetBaud(baud)
                await Sleep(_SETTLE_S)
                try:
                    await replace(commands.ping(), timeout_s=_LISTEN_S, tries=1)
                    return baud, (await identify(self.unit)).text
                except PortGoneError:
                    raise
                except DeviceError:  # no response, or a bootloader, which has no identity
                    continue
        return None

    async def _retry_after_port_loss(self, step: Callable[[], Operation[T]]) -> T:
        """Carry out a step. If the port is lost, wait for it, find the unit again and repeat the step."""
        is_back = True
        while True:
            try:
                if not is_back:
                    await self._find_unit()
                    is_back = True
                return await step()
            except PortGoneError:
                self.interruptions += is_back
                is_back = False
                self._report(Phase.WAIT)
                await WaitForPort(self.settings.port_s)

    async def _find_unit(self) -> None:
        """Find the unit after the port was lost: in its bootloader, or in its application if nothing was erased."""
        baud = self.settings.bootloader_baud
        if await is_in_bootloader(baud, self.settings.enter_s):
            return
        if self.address < len(self.image) and await _is_application(self.application_baud):
            self.address = 0
            await self._enter()
        await SetBaud(baud)

    def _report(self, phase: Phase) -> None:
        if self._on_progress is not None:
            try:
                self._on_progress(UpgradeProgress(phase, self.address, len(self.image), self.retries))
            except Exception:  # noqa: BLE001 - a fault of the callback must not leave a unit without firmware
                _log.exception("the callback for the upgrade's progress failed")

    def _failure(self, reason: str) -> UpgradeError:
        """Return the error of an upgrade that leaves its unit in the bootloader."""
        return UpgradeError(
            f"the upgrade failed after {self.address} of {len(self.image)} bytes: {reason}. {HOW_TO_RECOVER}",
            is_in_bootloader=True,
            written_bytes=self.address,
        )
