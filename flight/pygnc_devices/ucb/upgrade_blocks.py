"""The image, block after block, and the start of the application that it holds."""

import time
from dataclasses import replace
from typing import Final

from pygnc_devices.errors import NoAnswerError
from pygnc_devices.procedure import Procedure
from pygnc_devices.ucb import bootloader_procedures as bootloader
from pygnc_devices.ucb import firmware_commands
from pygnc_devices.ucb.firmware_commands import BLOCK_BYTES
from pygnc_devices.ucb.upgrade_job import UpgradeJob
from pygnc_devices.ucb.upgrade_progress import Phase

_RESTARTS: Final = 5
_LOOK_S: Final = 1.0
_JUMPS: Final = (False, False, True, False)
"""Whether the CRC of each JA is swapped."""


def write(job: UpgradeJob) -> Procedure[None]:
    """Write all blocks; go on after a loss of the port, and begin anew where the bootloader wants that.

    Raises:
        UpgradeError: a block is not taken, however often it is sent.
    """
    while job.address < len(job.image):
        job.tell(Phase.WRITE if job.address else Phase.ERASE)
        losses = job.interruptions
        if (yield from job.through_losses(lambda: _write_block(job))):
            continue
        if losses == job.interruptions and not (yield from job.through_losses(lambda: _is_waiting(job))):
            raise job.broken(f"the block at {job.address:#x} is not taken in {job.settings.block_tries} tries")
        job.restarts += 1
        if job.restarts > _RESTARTS:
            raise job.broken(f"writing has begun anew {_RESTARTS} times, and the block at {job.address:#x} fails")
        job.address = 0


def start_application(job: UpgradeJob) -> Procedure[tuple[int, str]]:
    """Leave the bootloader; return the application's speed and what it says that it is.

    Raises:
        UpgradeError: it does not answer.
    """
    bauds = (job.home_baud, job.unit.first_baud)
    for swapped_crc in _JUMPS:
        job.tell(Phase.START)
        yield from bootloader.jump(job.settings.bootloader_baud, swapped_crc=swapped_crc)
        found = yield from bootloader.find_application(job.unit, bauds, job.settings.start_s)
        if found is not None:
            return found[0], found[1].text
    raise job.broken("the whole image is written, and the application does not answer; switch the unit off and on")


def _write_block(job: UpgradeJob) -> Procedure[bool]:
    """Send the next block until it is confirmed; False when the tries are used up."""
    block = job.image[job.address : job.address + BLOCK_BYTES]
    limit_s = job.patience_s()
    request = firmware_commands.write_block(job.address, block, limit_s)
    job.is_erased = True
    for attempt in range(job.settings.block_tries):
        job.retries += attempt > 0
        sent_s = time.monotonic()
        try:
            frame = (yield request if attempt == 0 else replace(request, octets=request.again))[-1]
        except NoAnswerError:
            continue
        if frame.kind != "WA":  # refused: what came was not what was sent, or not what is wanted next
            continue
        if job.address:
            job.took(time.monotonic() - sent_s)
        if attempt and not frame.payload:
            # It does not say which block it means: what it may still say about this one must not count later.
            yield from _let_pass(job, limit_s)
        job.address += len(block)
        return True
    return False


def _let_pass(job: UpgradeJob, limit_s: float) -> Procedure[None]:
    try:
        yield replace(firmware_commands.write_block(job.address, b"", limit_s), octets=b"")
    except NoAnswerError:
        return


def _is_waiting(job: UpgradeJob) -> Procedure[bool]:
    return (yield from bootloader.is_in_bootloader(job.settings.bootloader_baud, _LOOK_S))
