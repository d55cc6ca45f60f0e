"""Firmware upgrades for clients of the bridge: one at a time, only with confirmation, with progress for all clients."""

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
    """Runs firmware upgrades.

    Args:
        link: connection to the device.
        publish: called with an event for each step.

    Attributes:
        progress: state of the current or last upgrade as JSON; None before the first.
    """

    def __init__(self, link: DeviceLink, publish: Callable[[Event], None]) -> None:
        self._link = link
        self._publish = publish
        self._task: asyncio.Task[None] | None = None
        self.progress: dict[str, Any] | None = None

    @property
    def is_running(self) -> bool:
        """Whether an upgrade is running."""
        return self._task is not None and not self._task.done()

    def start(self, command: Upgrade) -> dict[str, Any]:
        """Start an upgrade and return at once; events report its progress.

        Raises:
            BridgeError: it is not confirmed, the image is not valid, no device has firmware to upgrade, or an upgrade
                is running.
        """
        if self.is_running:
            raise BridgeError(ErrorCode.UPGRADE, "an upgrade is running already")
        try:
            check_image(command.image, sha256=command.sha256)
        except ImageError as error:
            raise BridgeError(ErrorCode.BAD_VALUE, str(error)) from None
        if not command.confirmed:
            raise BridgeError(
                ErrorCode.UPGRADE, 'an upgrade erases the firmware of the device; confirm it with "confirm": true'
            )
        device = self._link.connected_ucb()
        self._task = asyncio.create_task(self._run(device, command))
        return {"started": True, "total_bytes": len(command.image)}

    async def finish(self) -> None:
        """Wait until a running upgrade has ended."""
        if self._task is not None and self.is_running:
            _log.warning("a firmware upgrade is running; the bridge stops when it is done")
            await asyncio.wait([self._task])

    async def _run(self, device: AsyncUcb, command: Upgrade) -> None:
        loop = asyncio.get_running_loop()

        def on_progress(progress: UpgradeProgress) -> None:
            loop.call_soon_threadsafe(self._report, _running(progress))

        self._report({"state": "running", "phase": "begin", "written_bytes": 0, "total_bytes": len(command.image)})
        try:
            result = await device.upgrade(
                command.image,
                write_firmware=command.confirmed,
                recover=command.recover,
                on_progress=on_progress,
                settings=UpgradeSettings(sha256=command.sha256),
            )
        except DeviceError as error:
            is_in_bootloader = isinstance(error, UpgradeError) and error.is_in_bootloader
            self._report({"state": "failed", "message": str(error), "is_in_bootloader": is_in_bootloader})
        except Exception:  # noqa: BLE001 - clients must not see an upgrade that seems to run for ever
            _log.exception("the upgrade failed")
            self._report({"state": "failed", "message": "internal error of the bridge; see its log"})
        else:
            await self._link.identify()
            self._publish(Event("device", self._link.summary()))
            self._report({"state": "done", "before": result.before, "after": result.after, "retries": result.retries})

    def _report(self, progress: dict[str, Any]) -> None:
        self.progress = progress
        self._publish(Event("upgrade_progress", progress))


def _running(progress: UpgradeProgress) -> dict[str, Any]:
    return {
        "state": "running",
        "phase": str(progress.phase),
        "written_bytes": progress.written_bytes,
        "total_bytes": progress.total_bytes,
        "retries": progress.retries,
    }
