"""Firmware over the bridge: one at a time, never by accident, every step told to all clients."""

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from pygnc_devices.errors import DeviceError
from pygnc_devices.ucb.driver import AsyncUcb
from pygnc_devices.ucb.firmware import ImageError, UpgradeError, UpgradeProgress, UpgradeSettings, check_image
from pygnc_instruments.bridge.device_link import DeviceLink
from pygnc_instruments.bridge.messages import BridgeError, ErrorCode, Event, Upgrade

_log = logging.getLogger(__name__)


class FirmwareUpgrader:
    """Upgrades, one after the other.

    Args:
        link: to the unit.
        tell: told of each step; see `Event`.

    Attributes:
        progress: of the upgrade that runs or ran last; None if there was none.
    """

    def __init__(self, link: DeviceLink, tell: Callable[[Event], None]) -> None:
        self._link = link
        self._tell = tell
        self._task: asyncio.Task[None] | None = None
        self.progress: dict[str, Any] | None = None

    @property
    def is_running(self) -> bool:
        """Whether a unit is being written to."""
        return self._task is not None and not self._task.done()

    def start(self, command: Upgrade) -> dict[str, Any]:
        """Begin an upgrade and return at once; the rest is told by events.

        Raises:
            BridgeError: it is not confirmed, the image is none, there is no such unit, or one is running.
        """
        if self.is_running:
            raise BridgeError(ErrorCode.UPGRADE, "firmware is being written already")
        try:
            check_image(command.image, sha256=command.sha256)
        except ImageError as error:
            raise BridgeError(ErrorCode.BAD_VALUE, str(error)) from None
        if not command.confirmed:
            raise BridgeError(
                ErrorCode.UPGRADE, 'an upgrade erases the firmware of the unit: say "confirm": true to mean it'
            )
        device = self._link.need_ucb()
        self._task = asyncio.create_task(self._run(device, command))
        return {"started": True, "total_bytes": len(command.image)}

    async def finish(self) -> None:
        """Wait until the unit is whole again."""
        if self._task is not None and self.is_running:
            _log.warning("firmware is being written; the bridge ends when the unit is whole")
            await asyncio.wait([self._task])

    async def _run(self, device: AsyncUcb, command: Upgrade) -> None:
        loop = asyncio.get_running_loop()

        def pass_on(progress: UpgradeProgress) -> None:
            loop.call_soon_threadsafe(self._report, _running(progress))

        self._report({"state": "running", "phase": "begin", "written_bytes": 0, "total_bytes": len(command.image)})
        try:
            result = await device.upgrade(
                command.image,
                write_firmware=command.confirmed,
                recover=command.recover,
                on_progress=pass_on,
                settings=UpgradeSettings(sha256=command.sha256),
            )
        except DeviceError as error:
            mute = isinstance(error, UpgradeError) and error.is_in_bootloader
            self._report({"state": "failed", "message": str(error), "is_in_bootloader": mute})
        except Exception:  # noqa: BLE001 - nobody must be left with an upgrade that seems to run
            _log.exception("the upgrade has failed")
            self._report({"state": "failed", "message": "the bridge has failed; its log says more"})
        else:
            await self._link.identify()
            self._tell(Event("device", self._link.summary()))
            self._report({"state": "done", "before": result.before, "after": result.after, "retries": result.retries})

    def _report(self, progress: dict[str, Any]) -> None:
        self.progress = progress
        self._tell(Event("upgrade_progress", progress))


def _running(progress: UpgradeProgress) -> dict[str, Any]:
    return {
        "state": "running",
        "phase": str(progress.phase),
        "written_bytes": progress.written_bytes,
        "total_bytes": progress.total_bytes,
        "retries": progress.retries,
    }
