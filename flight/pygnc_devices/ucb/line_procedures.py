"""Rate, packet type, speed of the line, and quiet."""

import time
from concurrent.futures import Future
from dataclasses import replace
from typing import Final

from pygnc_devices.errors import DeviceError, NoAnswerError, PortGoneError, RefusedError
from pygnc_devices.frames import Frame
from pygnc_devices.procedure import Pause, Procedure, SetBaud
from pygnc_devices.requests import Claim, Request
from pygnc_devices.ucb import commands
from pygnc_devices.ucb.field_procedures import NotKeptError, get_fields, set_fields
from pygnc_devices.ucb.fields import BAUD, CODE_OF_BAUD, DIVIDER_OF_HZ, PACKET_TYPE, RATE, FieldError, type_value
from pygnc_devices.ucb.unit import UcbUnit

_IDLE_S: Final = 0.1
_IDLE_FRAMES: Final = 50
"""So many frames after the order to be quiet are no longer what was on its way."""
_RATE_TOLERANCE: Final = 0.3
_RATE_FRAMES: Final = 10
_RATE_MEASUREMENTS_S: Final = (0.0, 0.0, 1.0, 2.0, 4.0)
_RESTORES: Final = 3
_SETTLE_S: Final = 0.1
_BAUD_PINGS: Final = 5


def set_rate(unit: UcbUnit, rate_hz: int) -> Procedure[float]:
    """Set the rate of the stream (field 1), measure it, and return what was measured; 0 is quiet.

    Raises:
        FieldError: the unit has no such rate.
        NotKeptError: it streams at another one.
    """
    divider = DIVIDER_OF_HZ.get(rate_hz)
    if divider is None:
        raise FieldError(f"there is no rate of {rate_hz} Hz, but {', '.join(map(str, DIVIDER_OF_HZ))}")
    yield from set_fields(unit, {RATE: divider})
    if rate_hz == 0:
        yield from _wait_until_idle(unit)
        return 0.0
    yield _next_readings(unit, 1, rate_hz)
    measured_hz = 0.0
    for seconds in _RATE_MEASUREMENTS_S:  # a busy computer holds short ones up
        frames = max(_RATE_FRAMES, round(seconds * rate_hz))
        start_s = time.monotonic()
        yield _next_readings(unit, frames, rate_hz)
        measured_hz = frames / (time.monotonic() - start_s)
        if abs(measured_hz / rate_hz - 1) <= _RATE_TOLERANCE:
            return measured_hz
    raise NotKeptError(f"the rate was set to {rate_hz} Hz, and {measured_hz:.1f} Hz are measured")


def set_packet_type(unit: UcbUnit, kind: str) -> Procedure[None]:
    """Set which packet is streamed (field 3). The unit refuses one that the line cannot carry at the rate."""
    yield from set_fields(unit, {PACKET_TYPE: type_value(kind)})


def go_quiet(unit: UcbUnit) -> Procedure[int]:
    """End the stream, wait until what was on its way has come, and return field 1 as it was."""
    before = (yield from get_fields(unit, [RATE]))[RATE]
    try:
        yield from set_fields(unit, {RATE: 0})
        yield from _wait_until_idle(unit)
    except DeviceError:
        yield from end_quiet(unit, before)
        raise
    return before


def end_quiet(unit: UcbUnit, divider: int) -> Procedure[None]:
    """Set field 1 as it was, and see to it that it is."""
    for attempt in range(_RESTORES):
        try:
            yield from set_fields(unit, {RATE: divider})
        except PortGoneError:
            unit.volatile[RATE] = divider  # set when the port is back
            raise
        except (NoAnswerError, NotKeptError):
            if attempt == _RESTORES - 1:
                raise
        else:
            return


def undo_quiet(unit: UcbUnit, holding: "Future[int]") -> Procedure[None]:
    """End what `go_quiet` began, if it came to its end; if it did not, it has put back itself what it changed."""
    if holding.done() and holding.exception() is None:
        yield from end_quiet(unit, holding.result())


def change_baud(unit: UcbUnit, baud: int) -> Procedure[None]:
    """Change the speed of the line, at the unit and here; if the unit cannot be heard then, go back to the old one.

    The answer to the command comes at the new speed, and some of the stream is lost in between, so that a ping tells.

    Raises:
        FieldError: the unit has no such speed.
        RefusedError: it does not take it; the line is as it was.
        NoAnswerError: it is heard at neither speed; the message says what helps.
    """
    if baud not in CODE_OF_BAUD:
        raise FieldError(f"there is no speed of {baud} baud, but {', '.join(map(str, sorted(CODE_OF_BAUD)))}")
    current = unit.baud
    request = commands.put_fields("SF", {BAUD: CODE_OF_BAUD[baud]})
    order = Request(request.octets, request.accept, request.queue, _SETTLE_S, tries=1)
    try:
        answer: tuple[Frame, ...] = yield order
    except NoAnswerError:  # it comes at the new speed
        answer = ()
    if any(commands.is_nak(frame, "SF") for frame in answer):
        raise RefusedError(f"the unit refuses {baud} baud; its stream may need more than that carries")
    if (yield from _is_heard_at(baud)):
        unit.baud = baud
        return
    if (yield from _is_heard_at(current)):
        raise RefusedError(f"the unit is not heard at {baud} baud; the line is at {current} baud as before")
    raise NoAnswerError(
        f"the unit is heard neither at {baud} nor at {current} baud; the speed is not in EEPROM: switch it off and on"
    )


def recover(unit: UcbUnit) -> Procedure[None]:
    """Bring a unit whose port is back to what its user had set; it may have lost its power in between."""
    if not (yield from _is_heard_at(unit.baud)) and unit.baud != unit.first_baud:
        wanted, unit.baud = unit.baud, unit.first_baud
        yield SetBaud(unit.baud)
        yield from change_baud(unit, wanted)
    if unit.volatile:
        yield from set_fields(unit, unit.volatile)


def _is_heard_at(baud: int) -> Procedure[bool]:
    yield SetBaud(baud)
    yield Pause(_SETTLE_S)
    try:
        yield replace(commands.ping(), timeout_s=_SETTLE_S, tries=_BAUD_PINGS)
    except NoAnswerError:
        return False
    return True


def _next_readings(unit: UcbUnit, count: int, rate_hz: int) -> Request:
    """Wait for so many readings; the engine gives them to subscribers all the same."""
    left = count

    def accept(frame: Frame) -> Claim:
        nonlocal left
        packet = unit.packets.get(frame.kind)
        if packet is None or not packet.is_reading:
            return Claim.NO
        left -= 1
        return Claim.PART if left else Claim.LAST

    wait_s = 1.0 + 3.0 / rate_hz
    return Request(b"", accept, "readings", wait_s, tries=1, grace_s=wait_s, what="readings at the new rate")


def _wait_until_idle(unit: UcbUnit) -> Procedure[None]:
    """Wait until no reading has come for a while."""
    for _ in range(_IDLE_FRAMES):
        request = _next_readings(unit, 1, 1)
        try:
            yield Request(b"", request.accept, "idle", _IDLE_S, tries=1)
        except NoAnswerError:
            return
    raise NotKeptError("the unit goes on streaming though it has accepted to be quiet")
