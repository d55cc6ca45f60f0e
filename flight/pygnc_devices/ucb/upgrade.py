"""A new firmware for a unit: into the bootloader, block after block, and out again (JI, WA, JA).

Until the first block nothing is at stake. From then on the unit has no application until a whole image is written, so
whatever goes wrong - lost words, a lost port, an impatient caller - writing goes on if it can at all, and if it cannot,
the error says how to go on. Order, speed and pauses: python-imu380 and python-openimu.
"""

import logging

from pygnc_devices.errors import AbortedError, DeviceError
from pygnc_devices.procedure import Procedure, SetBaud
from pygnc_devices.ucb import upgrade_blocks, upgrade_entry
from pygnc_devices.ucb.firmware_image import check_image
from pygnc_devices.ucb.unit import UcbUnit
from pygnc_devices.ucb.upgrade_job import UpgradeJob
from pygnc_devices.ucb.upgrade_progress import (
    HOW_TO_GO_ON,
    NotMeantError,
    OnProgress,
    Phase,
    UpgradeError,
    UpgradeResult,
    UpgradeSettings,
)

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
    return (yield from _run(UpgradeJob(unit, image, settings, on_progress), recover=recover))


def _run(job: UpgradeJob, *, recover: bool) -> Procedure[UpgradeResult]:
    try:
        before = yield from upgrade_entry.begin(job, recover=recover)
        yield from upgrade_blocks.write(job)
        job.home_baud, after = yield from job.through_losses(lambda: upgrade_blocks.start_application(job))
    except UpgradeError:
        raise
    except AbortedError:
        if job.is_erased:
            _log.warning("the upgrade was given up at %d of %d bytes. %s", job.address, len(job.image), HOW_TO_GO_ON)
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
        yield from _back_to(job.home_baud)
    return UpgradeResult(before, after, len(job.image), job.retries, job.interruptions, job.restarts, job.seconds)


def _back_to(baud: int) -> Procedure[None]:
    try:
        yield SetBaud(baud)
    except DeviceError:
        _log.debug("the line cannot be set back to %d baud: the port is gone", baud)
