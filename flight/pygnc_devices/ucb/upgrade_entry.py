"""How an upgrade begins: the unit is asked who it is, held quiet and told to enter its bootloader, or is there already.

Nothing has been erased up to here: whatever goes wrong, the unit goes on as before.
"""

import logging
import time

from pygnc_devices.errors import DeviceError, NoAnswerError, PortGoneError
from pygnc_devices.procedure import Procedure, SetBaud, WaitForPort
from pygnc_devices.ucb import bootloader_procedures as bootloader
from pygnc_devices.ucb import commands, firmware_commands, line_procedures
from pygnc_devices.ucb.fields import RATE
from pygnc_devices.ucb.unit_procedures import identify
from pygnc_devices.ucb.upgrade_job import UpgradeJob
from pygnc_devices.ucb.upgrade_progress import Phase, UpgradeError

_log = logging.getLogger(__name__)


def begin(job: UpgradeJob, *, recover: bool) -> Procedure[str]:
    """Bring the unit into its bootloader; return who it was, "" if it was there already.

    Raises:
        UpgradeError: it is not, and has been left as it was.
    """
    job.tell(Phase.ENTER)
    if job.settings.at_power_up:
        yield from _catch(job)
        return ""
    if recover or not (yield from _answers()):
        yield from _find_bootloader(job, recover=recover)
        return ""
    who = yield from identify(job.unit)
    divider = yield from line_procedures.go_quiet(job.unit)
    job.unit.is_upgrading = True
    has_entered = False
    try:
        has_entered = yield from job.through_losses(
            lambda: bootloader.enter(job.home_baud, job.settings.bootloader_baud, job.settings.enter_s)
        )
    finally:
        if not has_entered:
            yield from _stay(job, divider)
    if not has_entered:
        raise UpgradeError(
            "the unit does not enter its bootloader; it is as it was. Some listen for that only just after they "
            "are switched on: at_power_up=True (--at-power-up)",
            is_in_bootloader=False,
        )
    return who.text


def _stay(job: UpgradeJob, divider: int) -> Procedure[None]:
    """Bring the application back, and its stream."""
    job.unit.is_upgrading = False
    job.unit.volatile[RATE] = divider
    try:
        yield from bootloader.jump(job.settings.bootloader_baud, swapped_crc=False)
        yield SetBaud(job.home_baud)
        yield from line_procedures.end_quiet(job.unit, divider)
    except DeviceError as error:
        _log.warning("%s; nothing is erased: switch the unit off and on if it stays mute", error)


def _answers() -> Procedure[bool]:
    try:
        yield commands.ping()
    except NoAnswerError:
        return False
    return True


def _find_bootloader(job: UpgradeJob, *, recover: bool) -> Procedure[None]:
    """Find a unit that an earlier upgrade has left in its bootloader."""
    baud = job.settings.bootloader_baud
    job.unit.is_upgrading = True
    if (yield from bootloader.is_in_bootloader(baud, job.settings.enter_s)):
        return
    if (yield from bootloader.is_application(job.home_baud)):
        raise UpgradeError(
            "the unit's application answers: it needs no recovery, but an upgrade", is_in_bootloader=False
        )
    if not recover:
        raise UpgradeError(
            f"nobody answers at {job.home_baud} baud, and no bootloader at {baud}: is the speed right? If an upgrade "
            "broke off before: recover=True (--recover)",
            is_in_bootloader=False,
        )
    yield SetBaud(baud)  # it may be one that answers no ping: the first block will tell


def _catch(job: UpgradeJob) -> Procedure[None]:
    """Wait until the unit is switched off and on, and have it stay in its bootloader."""
    job.unit.is_upgrading = True
    job.tell(Phase.SWITCH)
    end_s = time.monotonic() + job.settings.power_up_s
    while (left_s := end_s - time.monotonic()) > 0:
        try:
            yield SetBaud(job.settings.bootloader_baud)
            frame = (yield firmware_commands.catch_at_power_up(left_s))[-1]
        except NoAnswerError:
            continue
        except PortGoneError:  # a unit that is fed by its cable: the port goes and comes with it
            yield WaitForPort(left_s)
            continue
        if frame.kind == "JI":
            return
    raise UpgradeError(
        f"no bootloader was caught within {job.settings.power_up_s:.0f} s; the unit is as it was",
        is_in_bootloader=False,
    )
