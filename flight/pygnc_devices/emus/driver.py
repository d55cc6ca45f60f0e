"""The driver of EMUS' G1 Control Unit: `Emus` for plain scripts, `AsyncEmus`."""

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import Final, Self

from pygnc_devices.emus import controls, framing, procedures, writing
from pygnc_devices.emus.sentences import SENTENCES, UNKNOWN
from pygnc_devices.emus.unit import EmusUnit
from pygnc_devices.engine import Engine, Wire
from pygnc_devices.faces import AsyncDevice, BlockingDevice, UnitDevice, method
from pygnc_devices.family import Family

DEFAULT_BAUD: Final = 57600
WIRE: Final = Wire(framing.scan, framing.LONGEST)


def _open(url: str, baud: int, ask: Sequence[str], every_s: float, allow_writes: bool) -> tuple[Engine, EmusUnit]:  # noqa: FBT001 - as given
    for name in ask:
        procedures.check_name(name)
    unit = EmusUnit(allow_writes=allow_writes)
    engine = Engine(url, baud, WIRE, unit)
    if ask:
        engine.keep(partial(procedures.ask_over_and_over, unit, tuple(ask), every_s))
    return engine, unit


class EmusMethods(UnitDevice[EmusUnit]):
    """What a unit can be told, by either face. Methods raise what their procedure says."""

    identify = method(procedures.identify)
    ask = method(procedures.ask)
    read_cells = method(procedures.read_cells)
    read_log = method(procedures.read_log)
    read_statistics = method(procedures.read_statistics)
    read_parameter = method(procedures.read_parameter)
    is_logged_in = method(procedures.is_logged_in)

    write_parameter = method(writing.write_parameter)
    write_function_flag = method(writing.write_function_flag)
    open_contactor = method(writing.open_contactor)
    release_contactor = method(writing.release_contactor)
    log_in = method(writing.log_in)
    log_out = method(writing.log_out)
    set_password = method(writing.set_password)
    set_state_of_charge = method(writing.set_state_of_charge)
    zero_current_sensor = method(writing.zero_current_sensor)
    restart = method(writing.restart)
    reset_to_factory = method(writing.reset_to_factory)
    clear_log = method(writing.clear_log)
    clear_statistics = method(writing.clear_statistics)


class Emus(EmusMethods, BlockingDevice):
    """A unit for plain scripts."""

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
        """Open a unit and listen to what it broadcasts.

        Args:
            url: serial path, `usb://0403:6001/SERIAL`, `socket://host:port`, `file://recording.raw`.
            baud: speed of the line.
            ask: sentences to ask for again and again as well, such as BV2 and BT2, which are not broadcast.
            every_s: how often.
            allow_writes: whether methods that change the unit do so, or raise WriteForbiddenError.

        Raises:
            DeviceError: one of `ask` is no name of a sentence.
            PortError: the port cannot be opened.
        """
        return cls(*_open(url, baud, ask, every_s, allow_writes))


class AsyncEmus(EmusMethods, AsyncDevice):
    """A unit for asyncio."""

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
    probe=procedures.probe,
    controls=controls.CONTROLS,
)
