"""A new firmware for a unit: into the bootloader, block after block, and out again (JI, WA, JA).

Until the first block nothing is at stake. From then on the unit has no application until a whole image is written, so
whatever goes wrong - lost words, a lost port, an impatient caller - writing goes on if it can at all, and if it cannot,
the error says how to go on. Order, speed and pauses: python-imu380 and python-openimu.

Into the bootloader and out of it, on a line that may lose any word of either side.

One upgrade on its way: what it has done, how it tells, how it outlasts the loss of the port.

How an upgrade begins: the unit is asked who it is, held quiet and told to enter its bootloader, or is there already.

Nothing has been erased up to here: whatever goes wrong, the unit goes on as before.

The image, block after block, and the start of the application that it holds.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final, TypeVar

from pygnc_devices.errors import AbortedError, DeviceError, NoAnswerError, PortGoneError
from pygnc_devices.scheduler import Operation, SetBaud, Sleep, WaitForPort
from pygnc_devices.ucb import commands, configuration
from pygnc_devices.ucb.commands import BLOCK_BYTES
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
from pygnc_devices.ucb.operations import Identity, identify
from pygnc_devices.ucb.unit import UcbUnit

_SETTLE_S: Final = 0.05
_LOOK_S: Final = 0.2
_ENTRIES: Final = 4


async def is_in_bootloader(baud: int, limit_s: float) -> bool:
    """Tell whether a bootloader says that it is there; one that answers no ping is not found out."""
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
        if attempt:
            # Somebody else answers: an application, which may be about to leave after the first of these.
            return False
        await Sleep(_LOOK_S)
    return False


async def is_application(baud: int) -> bool:
    """Tell whether an application says who it is; a bootloader has no identity."""
    await SetBaud(baud)
    await Sleep(_SETTLE_S)
    try:
        return (await replace(commands.get_packet("ID"), timeout_s=_LOOK_S, tries=3))[-1].kind == "ID"
    except NoAnswerError:
        return False


async def enter(home_baud: int, bootloader_baud: int, limit_s: float) -> bool:
    """Bring a unit into its bootloader; False if its application goes on.

    The answer to JI comes at the old speed. If it is lost the bootloader's ping tells; if it has come, and the
    bootloader answers no ping, it is believed.
    """
    for _ in range(_ENTRIES):
        await SetBaud(home_baud)
        await Sleep(_SETTLE_S)
        try:
            frame = (await commands.enter_bootloader())[-1]
            has_agreed = frame.kind == "JI"
        except NoAnswerError:
            has_agreed = False
        if await is_in_bootloader(bootloader_baud, limit_s if has_agreed else limit_s / 2):
            return True
        is_alive = await is_application(home_baud)
        if has_agreed and not is_alive:
            await SetBaud(bootloader_baud)
            return True
    return False


async def jump(bootloader_baud: int, *, swapped_crc: bool) -> None:
    """Tell the bootloader to start the application. Whether it answers or not says little."""
    await SetBaud(bootloader_baud)
    await Sleep(_SETTLE_S)
    try:
        await commands.start_application(swapped_crc=swapped_crc)
    except NoAnswerError:
        return


async def find_application(unit: UcbUnit, bauds: Iterable[int], limit_s: float) -> tuple[int, Identity] | None:
    """Look for an application that tells who it is, at several speeds; the first one is the likeliest."""
    likely, *others = dict.fromkeys((*bauds, *sorted(CODE_OF_BAUD, reverse=True)))
    per_round_s = 2 * (_LOOK_S + _SETTLE_S)
    for attempt in range(max(1, round(limit_s / per_round_s))):
        for baud in (likely, others[attempt % len(others)]):
            await SetBaud(baud)
            await Sleep(_SETTLE_S)
            try:
                await replace(commands.ping(), timeout_s=_LOOK_S, tries=1)
                return baud, (await identify(unit))
            except PortGoneError:
                raise
            except DeviceError:  # nobody, or a bootloader, which has no identity
                continue
    return None


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
            f"the upgrade broke off at {self.address} of {len(self.image)} bytes: {why}. {HOW_TO_RECOVER}",
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

    async def through_losses(self, step: Callable[[], Operation[T]]) -> T:
        """Take steps; whenever the port is lost wait for it, bring the unit to where it was, and take them again."""
        is_back = True
        while True:
            try:
                if not is_back:
                    await self._come_back()
                    is_back = True
                return await step()
            except PortGoneError:
                self.interruptions += is_back
                is_back = False
                self.tell(Phase.WAIT)
                await WaitForPort(self.settings.port_s)

    async def _come_back(self) -> None:
        """Find the unit after the port was lost: in its bootloader, or, if nothing was erased, in its application."""
        baud = self.settings.bootloader_baud
        if await is_in_bootloader(baud, self.settings.enter_s):
            return
        if self.address < len(self.image) and (await is_application(self.home_baud)):
            self.address = 0
            await enter(self.home_baud, baud, self.settings.enter_s)
        await SetBaud(baud)


async def begin(job: UpgradeJob, *, recover: bool) -> str:
    """Bring the unit into its bootloader; return who it was, "" if it was there already.

    Raises:
        UpgradeError: it is not, and has been left as it was.
    """
    job.tell(Phase.ENTER)
    if job.settings.at_power_up:
        await _catch(job)
        return ""
    if recover or not (await _answers()):
        await _find_bootloader(job, recover=recover)
        return ""
    who = await identify(job.unit)
    divider = await configuration.go_quiet(job.unit)
    job.unit.is_upgrading = True
    has_entered = False
    try:
        has_entered = await job.through_losses(
            lambda: enter(job.home_baud, job.settings.bootloader_baud, job.settings.enter_s)
        )
    finally:
        if not has_entered:
            await _stay(job, divider)
    if not has_entered:
        raise UpgradeError(
            "the unit does not enter its bootloader; it is as it was. Some listen for that only just after they "
            "are switched on: at_power_up=True (--at-power-up)",
            is_in_bootloader=False,
        )
    return who.text


async def _stay(job: UpgradeJob, divider: int) -> None:
    """Bring the application back, and its stream."""
    job.unit.is_upgrading = False
    job.unit.volatile[RATE] = divider
    try:
        await jump(job.settings.bootloader_baud, swapped_crc=False)
        await SetBaud(job.home_baud)
        await configuration.end_quiet(job.unit, divider)
    except DeviceError as error:
        _log.warning("%s; nothing is erased: switch the unit off and on if it stays mute", error)


async def _answers() -> bool:
    try:
        await commands.ping()
    except NoAnswerError:
        return False
    return True


async def _find_bootloader(job: UpgradeJob, *, recover: bool) -> None:
    """Find a unit that an earlier upgrade has left in its bootloader."""
    baud = job.settings.bootloader_baud
    job.unit.is_upgrading = True
    if await is_in_bootloader(baud, job.settings.enter_s):
        return
    if await is_application(job.home_baud):
        raise UpgradeError(
            "the unit's application answers: it needs no recovery, but an upgrade", is_in_bootloader=False
        )
    if not recover:
        raise UpgradeError(
            f"nobody answers at {job.home_baud} baud, and no bootloader at {baud}: is the speed right? If an upgrade "
            "broke off before: recover=True (--recover)",
            is_in_bootloader=False,
        )
    await SetBaud(baud)  # it may be one that answers no ping: the first block will tell


async def _catch(job: UpgradeJob) -> None:
    """Wait until the unit is switched off and on, and have it stay in its bootloader."""
    job.unit.is_upgrading = True
    job.tell(Phase.SWITCH)
    end_s = time.monotonic() + job.settings.power_up_s
    while (left_s := end_s - time.monotonic()) > 0:
        try:
            await SetBaud(job.settings.bootloader_baud)
            frame = (await commands.catch_at_power_up(left_s))[-1]
        except NoAnswerError:
            continue
        except PortGoneError:  # a unit that is fed by its cable: the port goes and comes with it
            await WaitForPort(left_s)
            continue
        if frame.kind == "JI":
            return
    raise UpgradeError(
        f"no bootloader was caught within {job.settings.power_up_s:.0f} s; the unit is as it was",
        is_in_bootloader=False,
    )


_RESTARTS: Final = 5
_WAITING_S: Final = 1.0
_JUMPS: Final = (False, False, True, False)
"""Whether the CRC of each JA is swapped."""


async def write(job: UpgradeJob) -> None:
    """Write all blocks; go on after a loss of the port, and begin anew where the bootloader wants that.

    Raises:
        UpgradeError: a block is not taken, however often it is sent.
    """
    while job.address < len(job.image):
        job.tell(Phase.WRITE if job.address else Phase.ERASE)
        losses = job.interruptions
        if await job.through_losses(lambda: _write_block(job)):
            continue
        if losses == job.interruptions and not (await job.through_losses(lambda: _is_waiting(job))):
            raise job.broken(f"the block at {job.address:#x} is not taken in {job.settings.block_tries} tries")
        job.restarts += 1
        if job.restarts > _RESTARTS:
            raise job.broken(f"writing has begun anew {_RESTARTS} times, and the block at {job.address:#x} fails")
        job.address = 0


async def start_application(job: UpgradeJob) -> tuple[int, str]:
    """Leave the bootloader; return the application's speed and what it says that it is.

    Raises:
        UpgradeError: it does not answer.
    """
    bauds = (job.home_baud, job.unit.first_baud)
    for swapped_crc in _JUMPS:
        job.tell(Phase.START)
        await jump(job.settings.bootloader_baud, swapped_crc=swapped_crc)
        found = await find_application(job.unit, bauds, job.settings.start_s)
        if found is not None:
            return found[0], found[1].text
    raise job.broken("the whole image is written, and the application does not answer; switch the unit off and on")


async def _write_block(job: UpgradeJob) -> bool:
    """Send the next block until it is confirmed; False when the tries are used up."""
    block = job.image[job.address : job.address + BLOCK_BYTES]
    limit_s = job.patience_s()
    request = commands.write_block(job.address, block, limit_s)
    job.is_erased = True
    for attempt in range(job.settings.block_tries):
        job.retries += attempt > 0
        sent_s = time.monotonic()
        try:
            frame = (await (replace(request, octets=request.again) if attempt else request))[-1]
        except NoAnswerError:
            continue
        if frame.kind != "WA":  # refused: what came was not what was sent, or not what is wanted next
            continue
        if job.address:
            job.took(time.monotonic() - sent_s)
        if attempt and not frame.payload:
            # It does not say which block it means: what it may still say about this one must not count later.
            await _let_pass(job, limit_s)
        job.address += len(block)
        return True
    return False


async def _let_pass(job: UpgradeJob, limit_s: float) -> None:
    try:
        await replace(commands.write_block(job.address, b"", limit_s), octets=b"")
    except NoAnswerError:
        return


async def _is_waiting(job: UpgradeJob) -> bool:
    return await is_in_bootloader(job.settings.bootloader_baud, _WAITING_S)


async def upgrade(
    unit: UcbUnit,
    image: bytes,
    *,
    write_firmware: bool = False,
    recover: bool = False,
    on_progress: OnProgress | None = None,
    settings: UpgradeSettings | None = None,
) -> UpgradeResult:
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
        raise NotConfirmedError(
            "an upgrade erases the firmware of the unit: say that this is meant by write_firmware=True "
            "(pygnc device upgrade PORT IMAGE --write-firmware)"
        )
    return await _run(UpgradeJob(unit, image, settings, on_progress), recover=recover)


async def _run(job: UpgradeJob, *, recover: bool) -> UpgradeResult:
    try:
        before = await begin(job, recover=recover)
        await write(job)
        job.home_baud, after = await job.through_losses(lambda: start_application(job))
    except UpgradeError:
        raise
    except AbortedError:
        if job.is_erased:
            _log.warning("the upgrade was given up at %d of %d bytes. %s", job.address, len(job.image), HOW_TO_RECOVER)
        raise
    except DeviceError as error:
        if not job.is_erased:
            raise
        raise job.broken(str(error)) from error
    else:
        job.unit.first_baud = job.home_baud
        job.unit.volatile.clear()
        job.tell(Phase.DONE)
    finally:
        job.unit.is_upgrading = False
        job.unit.baud = job.home_baud
        await _back_to(job.home_baud)
    return UpgradeResult(before, after, len(job.image), job.retries, job.interruptions, job.restarts, job.seconds)


async def _back_to(baud: int) -> None:
    try:
        await SetBaud(baud)
    except DeviceError:
        _log.debug("the line cannot be set back to %d baud: the port is gone", baud)
