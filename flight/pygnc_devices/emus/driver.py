"""Driver of the EMUS G1 Control Unit: `Emus`, `AsyncEmus` and their family."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final, Self

from pygnc_devices.device import AsyncDevice, BlockingDevice, UnitDevice, method
from pygnc_devices.emus import framing, operations, write_operations
from pygnc_devices.emus.operations import ask, identify
from pygnc_devices.emus.sentences import SENTENCES, UNKNOWN
from pygnc_devices.emus.unit import EmusUnit
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.family import Controls, Family


async def describe(unit: EmusUnit) -> dict[str, str]:
    """Return identity of the unit and number of its cells."""
    who = await identify(unit)
    cells = (await ask(unit, "BV1"))["cells"]
    return {
        "serial_number": who.serial_number,
        "model": f"EMUS {who.hardware}",
        "version": who.firmware,
        "cells": "no cell communication" if cells is None else str(cells),
        "rate": "as it broadcasts",
    }


CONTROLS: Final = Controls(describe=describe)


DEFAULT_BAUD: Final = 57600
WIRE: Final = Wire(framing.scan, framing.LONGEST)


def _open(url: str, baud: int, ask: Sequence[str], every_s: float, allow_writes: bool) -> tuple[Engine, EmusUnit]:  # noqa: FBT001 - as given
    for name in ask:
        operations.check_name(name)
    unit = EmusUnit(allow_writes=allow_writes)
    engine = Engine(url, baud, WIRE, unit)
    if ask:
        engine.run_while_connected(partial(operations.poll, unit, tuple(ask), every_s))
    return engine, unit


class EmusMethods(UnitDevice[EmusUnit]):
    """Methods of both APIs; the operations document them and the errors that they raise."""

    identify = method(operations.identify)
    ask = method(operations.ask)
    read_cells = method(operations.read_cells)
    read_log = method(operations.read_log)
    read_statistics = method(operations.read_statistics)
    read_parameter = method(operations.read_parameter)
    is_logged_in = method(operations.is_logged_in)

    write_parameter = method(write_operations.write_parameter)
    write_function_flag = method(write_operations.write_function_flag)
    open_contactor = method(write_operations.open_contactor)
    release_contactor = method(write_operations.release_contactor)
    log_in = method(write_operations.log_in)
    log_out = method(write_operations.log_out)
    set_password = method(write_operations.set_password)
    set_state_of_charge = method(write_operations.set_state_of_charge)
    zero_current_sensor = method(write_operations.zero_current_sensor)
    restart = method(write_operations.restart)
    reset_to_factory = method(write_operations.reset_to_factory)
    clear_log = method(write_operations.clear_log)
    clear_statistics = method(write_operations.clear_statistics)


class Emus(EmusMethods, BlockingDevice):
    """Synchronous driver."""

    @classmethod
    def open(
        cls,
        url: str,
        baud: int = DEFAULT_BAUD,
        *,
        ask: Sequence[str] = (),
        every_s: float = 10.0,
        allow_writes: bool = False,
    ) -> Self:
        """Open a unit and receive what it broadcasts.

        Args:
            url: serial path, `usb://0403:6001/SERIAL`, `socket://host:port`, `file://recording.raw`.
            baud: baud rate of the line.
            ask: sentences to request repeatedly, such as BV2 and BT2, which are not broadcast.
            every_s: interval of these requests.
            allow_writes: allow methods that change the unit; otherwise they raise WriteForbiddenError.

        Raises:
            DeviceError: one of `ask` is not the name of a sentence.
            PortError: the port cannot be opened.
        """
        return cls(*_open(url, baud, ask, every_s, allow_writes))


class AsyncEmus(EmusMethods, AsyncDevice):
    """Driver for asyncio."""

    @classmethod
    async def open(
        cls,
        url: str,
        baud: int = DEFAULT_BAUD,
        *,
        ask: Sequence[str] = (),
        every_s: float = 10.0,
        allow_writes: bool = False,
    ) -> Self:
        """Open a unit; see `Emus.open`."""
        return cls(*await asyncio.to_thread(_open, url, baud, ask, every_s, allow_writes))


FAMILY: Final = Family(
    name="emus",
    title="EMUS G1 battery management system",
    bauds=(DEFAULT_BAUD,),
    wire=WIRE,
    packets=(*SENTENCES.values(), UNKNOWN),
    device=Emus,
    async_device=AsyncEmus,
    interpreter=lambda _: EmusUnit(),
    probe=operations.probe,
    controls=CONTROLS,
)
