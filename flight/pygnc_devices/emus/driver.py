"""Driver of the EMUS G1 Control Unit: `Emus`, `AsyncEmus` and their family."""

from collections.abc import Sequence
from functools import partial
from typing import Final

from pygnc_devices.device import AsyncDevice, BlockingDevice, Opener, UnitDevice, method
from pygnc_devices.emus import framing, operations
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


def _open(
    url: str,
    baud: int = DEFAULT_BAUD,
    *,
    ask: Sequence[str] = (),
    every_s: float = 10.0,
    allow_writes: bool = False,
    name_cells: bool = False,
) -> tuple[Engine, EmusUnit]:
    """Open a unit and receive the sentences that it broadcasts.

    Args:
        url: serial path, `usb://0403:6001/SERIAL`, `socket://host:port`, `file://recording.raw`.
        baud: baud rate of the line.
        ask: names of sentences to request repeatedly, such as BV2 and BT2, which are not broadcast.
        every_s: interval of these requests in seconds.
        allow_writes: allow methods that change the unit; otherwise they raise WriteForbiddenError.
        name_cells: name values of single cells by the number of the cell, which makes each cell a series of its own.

    Raises:
        DeviceError: an entry of `ask` is not the name of a sentence.
        PortError: the port cannot be opened.
    """
    for name in ask:
        operations.check_name(name)
    unit = EmusUnit(allow_writes=allow_writes, name_cells=name_cells)
    engine = Engine(url, baud, WIRE, unit)
    if ask:
        engine.run_while_connected(partial(operations.poll, unit, tuple(ask), every_s))
    return engine, unit


class EmusMethods(UnitDevice[EmusUnit]):
    """Methods of both APIs; the operations document them and the errors that they raise."""

    open = Opener(_open)

    identify = method(operations.identify)
    ask = method(operations.ask)
    read_cells = method(operations.read_cells)
    read_log = method(operations.read_log)
    read_statistics = method(operations.read_statistics)
    read_parameter = method(operations.read_parameter)
    is_logged_in = method(operations.is_logged_in)

    write_parameter = method(operations.write_parameter)
    write_function_flag = method(operations.write_function_flag)
    open_contactor = method(operations.open_contactor)
    release_contactor = method(operations.release_contactor)
    log_in = method(operations.log_in)
    log_out = method(operations.log_out)
    set_password = method(operations.set_password)
    set_state_of_charge = method(operations.set_state_of_charge)
    zero_current_sensor = method(operations.zero_current_sensor)
    restart = method(operations.restart)
    reset_to_factory = method(operations.reset_to_factory)
    clear_log = method(operations.clear_log)
    clear_statistics = method(operations.clear_statistics)


class Emus(EmusMethods, BlockingDevice):
    """Synchronous driver."""


class AsyncEmus(EmusMethods, AsyncDevice):
    """Driver for asyncio."""


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
