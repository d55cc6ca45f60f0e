"""Continuous mode: begun, ended, brought back. It lives in RAM; the EEPROM can begin it at power-up."""

from typing import Final

from pygnc_devices.errors import NoAnswerError, RefusedError
from pygnc_devices.gx2 import commands
from pygnc_devices.gx2.procedures import ask, check_kind
from pygnc_devices.gx2.unit import Gx2Unit
from pygnc_devices.procedure import Procedure

_STARTS: Final = 4
_POLLS: Final = 2
_STOPS: Final = 10
_FIRST_S: Final = 1.3
"""For the first reply of the stream: more than a cycle of the slowest rate."""
_IDLE_S: Final = 0.15


def start_continuous(unit: Gx2Unit, kind: str = "CC") -> Procedure[None]:
    """Have a reply sent in every cycle, and wait for the first (C4). Other commands work beside it.

    A unit that has just got its power may answer C4 and not obey; after a few polls it does.

    Raises:
        DeviceError: there is no such reply.
        NoAnswerError: the unit does not answer, or does not stream.
    """
    check_kind(kind)
    for attempt in range(_STARTS):
        try:
            yield from ask(unit, commands.continuous(kind))
            yield commands.streamed(kind, _FIRST_S)
        except NoAnswerError:
            if attempt == _STARTS - 1:
                raise
            yield from _wake(unit)
        else:
            unit.stream = kind
            unit.polled.discard(kind)
            unit.relearn()
            return


def stop_continuous(unit: Gx2Unit) -> Procedure[None]:
    """End continuous mode and wait until it is quiet (C4, FA).

    Raises:
        RefusedError: the unit goes on; by radio that may be a matter of trying again.
    """
    kind, unit.stream = unit.stream, None
    for _ in range(_STOPS):
        try:
            yield from ask(unit, commands.continuous("00"))
        except NoAnswerError:
            yield from _stop_unheard(unit)
        try:
            yield commands.streamed(kind or "CC", _IDLE_S)
        except NoAnswerError:
            return
    raise RefusedError("the unit goes on streaming though it was told to stop")


def recover(unit: Gx2Unit) -> Procedure[None]:
    """Bring continuous mode back; the unit may have lost its power."""
    if unit.stream is not None:
        yield from start_continuous(unit, unit.stream)


def _wake(unit: Gx2Unit) -> Procedure[None]:
    for _ in range(_POLLS):
        try:
            yield from ask(unit, commands.command("C2", tries=1))
        except NoAnswerError:
            continue


def _stop_unheard(unit: Gx2Unit) -> Procedure[None]:
    request = commands.stop(is_gx3=unit.is_gx3)
    try:
        yield unit.wrap(request if unit.node is None else commands.acknowledged(request))
    except NoAnswerError:
        return
