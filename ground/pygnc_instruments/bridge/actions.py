"""Carries out what clients ask for, on the one unit that all of them share."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pygnc_devices.declaration import Record
from pygnc_devices.errors import DeviceError
from pygnc_devices.ucb.configuration import ask_known
from pygnc_devices.ucb.fields import BAUD, BAUD_OF_CODE, FIELD_TABLE, RATE
from pygnc_instruments.bridge import files
from pygnc_instruments.bridge.commands import (
    AskFields,
    Command,
    Describe,
    ListFiles,
    LoadFile,
    PutFields,
    StartLog,
    Status,
    StopLog,
    Stream,
    Upgrade,
)
from pygnc_instruments.bridge.description import describe, device_properties
from pygnc_instruments.bridge.errors import BridgeError, Code, from_device
from pygnc_instruments.bridge.firmware import Firmware
from pygnc_instruments.bridge.link import Link
from pygnc_instruments.bridge.recorder import Recorder


class Actions:
    """What can be done.

    Args:
        link: to the unit.
        recorder: of readings.
        firmware: upgrades.
        folder: of the log files.
    """

    def __init__(self, link: Link, recorder: Recorder, firmware: Firmware, folder: Path) -> None:
        self._link = link
        self._recorder = recorder
        self._firmware = firmware
        self._folder = folder

    async def do(self, command: Command) -> Any:  # noqa: ANN401, PLR0911 - each command has its own result
        """Carry a command out and return its result.

        Raises:
            BridgeError: it cannot be done.
        """
        match command:
            case Status():
                return self.status()
            case Describe():
                return describe(self._packets(), has_fields=self._has_fields())
            case Stream():
                return {"on": command.on}
            case AskFields() | PutFields():
                return await self._fields(command)
            case StartLog():
                return await self._recorder.start(command)
            case StopLog():
                return await self._recorder.stop()
            case ListFiles():
                return await asyncio.to_thread(files.list_files, self._folder)
            case LoadFile():
                return await asyncio.to_thread(files.load_file, self._folder, command.name)
            case Upgrade():
                return self._firmware.start(command)

    def status(self) -> dict[str, Any]:
        """Return how the unit, its line and its log are."""
        device = self._link.device
        return {
            "device": self._link.summary(),
            "statistics": None if device is None else asdict(device.statistics),
            "log": self._recorder.summary(),
            "upgrade": self._firmware.progress,
            "properties": device_properties(self._link.identity, self._packets(), has_fields=self._has_fields()),
        }

    async def _fields(self, command: AskFields | PutFields) -> dict[int, int]:
        if self._firmware.is_running:
            raise BridgeError(Code.UPGRADE, "firmware is being written: fields can be asked for when that is done")
        try:
            return await (self._ask(command) if isinstance(command, AskFields) else self._put(command))
        except DeviceError as error:
            raise from_device(error) from None

    async def _ask(self, command: AskFields) -> dict[int, int]:
        device = self._link.need_ucb()
        if command.ids is None:
            return await device.run(ask_known("RF" if command.stored else "GF", list(FIELD_TABLE)))
        return await (device.read_fields if command.stored else device.get_fields)(command.ids)

    async def _put(self, command: PutFields) -> dict[int, int]:
        device = self._link.need_ucb()
        if command.stored:
            return await device.write_fields(command.values)
        others = {number: value for number, value in command.values.items() if number != BAUD}
        result = await device.set_fields(others) if others else {}
        self._link.divider = result.get(RATE, self._link.divider)
        if BAUD in command.values:
            code = command.values[BAUD]
            FIELD_TABLE[BAUD].check(code)
            await device.change_baud(BAUD_OF_CODE[code])
            result = {**result, BAUD: code}
        return result

    def _has_fields(self) -> bool:
        return self._link.family is not None and self._link.family.name == "ucb"

    def _packets(self) -> list[Record]:
        return [] if self._link.family is None else list(self._link.family.packets)
