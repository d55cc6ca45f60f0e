"""Commands of all clients on the one device that they share: state, fields, log files and firmware."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Final

from pygnc_devices.declaration import Record
from pygnc_devices.errors import DeviceError
from pygnc_devices.ucb.configuration import ask_known
from pygnc_devices.ucb.driver import AsyncUcb
from pygnc_devices.ucb.fields import BAUD, BAUD_OF_CODE, FIELD_TABLE, RATE
from pygnc_devices.ucb.firmware import ImageError, UpgradeError, UpgradeProgress, UpgradeSettings, check_image
from pygnc_instruments.bridge.device_link import DeviceLink, describe, device_properties
from pygnc_instruments.bridge.messages import (
    DEVICE_COMMANDS,
    BridgeError,
    ErrorCode,
    Event,
    Request,
    bridge_error,
)
from pygnc_instruments.bridge.parameters import Parameters
from pygnc_instruments.bridge.recorder import Recorder

LARGEST_FILE_BYTES: Final = 32 * 1024 * 1024
_log = logging.getLogger(__name__)


class FirmwareUpgrader:
    """Firmware upgrades: one at a time, only with confirmation, with progress for all clients.

    Args:
        link: connection to the device.
        publish: function that is called with an event for each step.

    Attributes:
        progress: state of the current or last upgrade as JSON; None before the first upgrade.
    """

    def __init__(self, link: DeviceLink, publish: Callable[[Event], None]) -> None:
        self._link = link
        self._publish = publish
        self._task: asyncio.Task[None] | None = None
        self.progress: dict[str, Any] | None = None

    @property
    def is_running(self) -> bool:
        """True while an upgrade is running."""
        return self._task is not None and not self._task.done()

    async def start(self, image: bytes, *, confirmed: bool, recover: bool, sha256: str) -> dict[str, Any]:
        """Start an upgrade and return at once; events report its progress.

        Args:
            image: firmware image.
            confirmed: True if the message contains the required confirmation.
            recover: True if the device is already in its bootloader.
            sha256: expected SHA-256 of the image; "" to skip this check.

        Raises:
            BridgeError: the upgrade is not confirmed, the image is not valid, no device has firmware to upgrade, or
                another upgrade is running.
        """
        if self.is_running:
            raise BridgeError(ErrorCode.UPGRADE, "a firmware upgrade is running already; wait until it is done")
        try:
            check_image(image, sha256=sha256)
        except ImageError as error:
            raise BridgeError(ErrorCode.BAD_VALUE, str(error)) from None
        if not confirmed:
            raise BridgeError(
                ErrorCode.UPGRADE, 'an upgrade erases the firmware of the device; confirm it with "confirm": true'
            )
        device = self._link.connected_ucb()
        self._task = asyncio.create_task(self._run(device, image, recover=recover, sha256=sha256))
        return {"started": True, "total_bytes": len(image)}

    async def finish(self) -> None:
        """Wait until a running upgrade has ended."""
        if self._task is not None and self.is_running:
            _log.warning("a firmware upgrade is running; the bridge stops when it is done")
            await asyncio.wait([self._task])

    async def _run(self, device: AsyncUcb, image: bytes, *, recover: bool, sha256: str) -> None:
        loop = asyncio.get_running_loop()

        def on_progress(progress: UpgradeProgress) -> None:
            loop.call_soon_threadsafe(self._report, {"state": "running", **asdict(progress)})

        self._report({"state": "running", "phase": "begin", "written_bytes": 0, "total_bytes": len(image)})
        try:
            result = await device.upgrade(
                image,
                write_firmware=True,
                recover=recover,
                on_progress=on_progress,
                settings=UpgradeSettings(sha256=sha256),
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


class CommandHandler:
    """Commands of all clients on the device."""

    def __init__(self, link: DeviceLink, recorder: Recorder, firmware: FirmwareUpgrader, folder: Path) -> None:
        self._link = link
        self._recorder = recorder
        self._firmware = firmware
        parameters = Parameters(link, self._set)
        self._commands: dict[str, Callable[..., Awaitable[Any]]] = {
            "status": self.status,
            "describe": self._describe,
            "GF": partial(self._get, "GF"),
            "RF": partial(self._get, "RF"),
            "SF": self._set,
            "WF": lambda values: link.connected_ucb().write_fields(values),
            "start_log": recorder.start,
            "stop_log": recorder.stop,
            "list_files": lambda: asyncio.to_thread(list_log_files, folder),
            "load_file": lambda name: asyncio.to_thread(load_log_file, folder, name),
            "upgrade": firmware.start,
            "conf": parameters.describe,
            "params": parameters.get,
            "set_params": parameters.set,
            "save_params": parameters.save,
            "reset_params": parameters.reset,
        }

    async def handle(self, request: Request) -> Any:  # noqa: ANN401 - each command has its own result
        """Carry out a command and return its result as JSON; the result of a field command is values by field number.

        Raises:
            BridgeError: the command cannot be carried out.
        """
        if request.command in DEVICE_COMMANDS and self._firmware.is_running:
            raise BridgeError(ErrorCode.UPGRADE, "a firmware upgrade is running; access the device when it is done")
        try:
            return await self._commands[request.command](**request.arguments)
        except DeviceError as error:
            raise bridge_error(error) from None

    async def status(self) -> dict[str, Any]:
        """Return the state of device, connection, log and upgrade as JSON."""
        device = self._link.device
        return {
            "device": self._link.summary(),
            "statistics": None if device is None else asdict(device.statistics),
            "log": self._recorder.summary(),
            "upgrade": self._firmware.progress,
            "properties": device_properties(self._link.identity, self._packets(), has_fields=self._has_fields()),
        }

    async def _describe(self) -> dict[str, Any]:
        return describe(self._packets(), has_fields=self._has_fields(), model=self._link.model)

    async def _get(self, kind: str, ids: Sequence[int] | None) -> dict[int, int]:
        device = self._link.connected_ucb()
        if ids is None:
            return await device.run(ask_known(kind, list(FIELD_TABLE)))
        return await (device.read_fields if kind == "RF" else device.get_fields)(ids)

    async def _set(self, values: dict[int, int]) -> dict[int, int]:
        device = self._link.connected_ucb()
        others = {number: value for number, value in values.items() if number != BAUD}
        result = await device.set_fields(others) if others else {}
        self._link.divider = result.get(RATE, self._link.divider)
        if BAUD in values:
            FIELD_TABLE[BAUD].check(values[BAUD])
            await device.change_baud(BAUD_OF_CODE[values[BAUD]])
            result = {**result, BAUD: values[BAUD]}
        return result

    def _has_fields(self) -> bool:
        return self._link.family is not None and self._link.family.name == "ucb"

    def _packets(self) -> list[Record]:
        declared = () if self._link.family is None else self._link.family.packets
        return list({**{packet.name: packet for packet in declared}, **self._link.packets}.values())


def list_log_files(folder: Path) -> list[dict[str, Any]]:
    """Return name, size (bytes) and time of modification (UTC) of each log file, newest first."""
    if not folder.is_dir():
        return []
    files = [(path, path.stat()) for path in folder.iterdir() if _is_log(path)]
    return [
        {
            "name": path.name,
            "bytes": stat.st_size,
            "modified": datetime.fromtimestamp(stat.st_mtime, UTC).isoformat(timespec="seconds"),
        }
        for path, stat in sorted(files, key=lambda entry: (-entry[1].st_mtime, entry[0].name))
    ]


def load_log_file(folder: Path, name: str) -> dict[str, str]:
    """Return name and text of a log file.

    Raises:
        BridgeError: the log file does not exist or is too large for a message.
    """
    path = folder / name
    # Reject names that lead out of the folder, and links, whose target may be anywhere.
    if Path(name).name != name or "\0" in name or "\\" in name or not _is_log(path):
        raise BridgeError(
            ErrorCode.NO_FILE, f"log file {name!r:.80} does not exist; choose a name from the list of files"
        )
    size = path.stat().st_size
    if size > LARGEST_FILE_BYTES:
        limit = f"{LARGEST_FILE_BYTES // 1024 // 1024} MiB"
        message = f"log file {name} has {size} bytes, more than {limit}; copy it from {folder} instead"
        raise BridgeError(ErrorCode.TOO_LARGE, message)
    return {"name": name, "text": path.read_text(errors="replace")}


def _is_log(path: Path) -> bool:
    return path.suffix == ".csv" and path.is_file() and not path.is_symlink()
