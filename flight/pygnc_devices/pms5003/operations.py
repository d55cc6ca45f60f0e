"""Operations of a PMS5003: modes, sleep, single measurements, and continuous requests.

Each operation raises NoAnswerError if the sensor does not respond.
"""

import contextlib
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from pygnc_devices.declaration import Value
from pygnc_devices.errors import NoAnswerError
from pygnc_devices.family import Found
from pygnc_devices.framing import Frame
from pygnc_devices.pms5003.framing import make_command
from pygnc_devices.pms5003.packets import MEASUREMENT, REPLY
from pygnc_devices.pms5003.unit import PmsUnit
from pygnc_devices.reading import NS_PER_S
from pygnc_devices.scheduler import Request, Sleep, accept_if

MODEL: Final = "PMS5003"
_MODE: Final = 0xE1
_READ: Final = 0xE2
_POWER: Final = 0xE4
_QUEUE: Final = "command"
_ANSWER_S: Final = 0.5
_TRIES: Final = 2
_PROBE_S: Final = 0.25
"""Time limit of a search for the acknowledgement, which follows the command; it listens longer where bytes arrive."""
LONGEST_INTERVAL_S: Final = 2.3
"""Interval at which the sensor sends by itself while the concentration is steady, s."""
SILENCE_S: Final = 3 * LONGEST_INTERVAL_S
"""Time without a measurement after which a sensor that should send by itself is woken, s."""


def _is_measurement(frame: Frame) -> bool:
    return frame.kind == MEASUREMENT.name


def _acknowledges(command: int) -> Callable[[Frame], bool]:
    return lambda frame: frame.kind == REPLY.name and frame.payload[0] == command


def _starts_sending(command: int) -> Callable[[Frame], bool]:
    """Return the condition for a response to a command after which the sensor sends; not all acknowledge it."""
    acknowledges = _acknowledges(command)
    return lambda frame: _is_measurement(frame) or acknowledges(frame)


def _activation() -> Request:
    octets, what = make_command(_MODE, 1), "the change to active mode"
    return Request(octets, accept_if(_starts_sending(_MODE)), _QUEUE, _ANSWER_S, _TRIES, what=what)


async def set_mode(unit: PmsUnit, *, is_active: bool) -> None:
    """Make the sensor send by itself (active), or only on request (passive)."""
    if is_active:
        await _activation()
    else:
        octets, what = make_command(_MODE, 0), "the change to passive mode"
        await Request(octets, accept_if(_acknowledges(_MODE)), _QUEUE, _ANSWER_S, _TRIES, what=what)
    unit.unrequested = 0


async def read_measurement(unit: PmsUnit) -> dict[str, Value]:
    """Request and return a measurement; a sensor in active mode may send it by itself."""
    octets, limit_s = make_command(_READ, 0), LONGEST_INTERVAL_S + _ANSWER_S
    unit.unrequested = 0
    (frame,) = await Request(octets, accept_if(_is_measurement), _QUEUE, limit_s, 2, what="a measurement")
    return MEASUREMENT.decode(frame.payload)


async def sleep(unit: PmsUnit) -> None:
    """Switch fan and laser off; the sensor measures nothing until `wake`."""
    octets, what = make_command(_POWER, 0), "the command to sleep"
    await Request(octets, accept_if(_acknowledges(_POWER)), _QUEUE, _ANSWER_S, _TRIES, what=what)
    unit.is_asleep = True


async def wake(unit: PmsUnit) -> None:
    """Switch fan and laser on. Measurements of the next 30 s are flagged.

    A sensor does not acknowledge this command reliably: its first measurement is awaited. It wakes in active mode.
    """
    octets, what = make_command(_POWER, 1), "the command to wake"
    await Request(octets, accept_if(_starts_sending(_POWER)), _QUEUE, LONGEST_INTERVAL_S, 2, what=what)
    unit.woken(time.monotonic_ns())
    if unit.sample_s is not None:
        await set_mode(unit, is_active=False)


async def start(unit: PmsUnit) -> None:
    """Make the sensor send measurements, unless it does already or is asked for them."""
    if unit.sample_s is None:
        await set_mode(unit, is_active=True)


async def run(unit: PmsUnit) -> None:
    """Keep measurements coming until aborted: request them, or wake a sensor that should send by itself.

    At the end a sensor that was asked is put back into active mode, its state after power-up.
    """
    if unit.sample_s is None:
        await _watch(unit)
        return
    try:
        await _poll(unit, unit.sample_s)
    finally:
        with contextlib.suppress(NoAnswerError):
            await _activation()


async def _watch(unit: PmsUnit) -> None:
    since_ns = time.monotonic_ns()
    while True:
        await Sleep(LONGEST_INTERVAL_S)
        if unit.heard_ns is not None and unit.heard_ns > since_ns:
            since_ns = unit.heard_ns
            unit.set_trouble(None)
        elif not unit.is_asleep and time.monotonic_ns() - since_ns > SILENCE_S * NS_PER_S:
            await _wake_silent(unit)


async def _poll(unit: PmsUnit, sample_s: float) -> None:
    next_s = time.monotonic()
    is_passive = False
    while True:
        try:
            if not unit.is_asleep:
                if not is_passive or unit.unrequested > 1:  # after a power cut the sensor is active again
                    is_passive = True
                    with contextlib.suppress(NoAnswerError):  # not all acknowledge it
                        await set_mode(unit, is_active=False)
                await read_measurement(unit)
                unit.set_trouble(None)
        except NoAnswerError:
            is_passive = False
            await _wake_silent(unit)
        next_s = max(next_s + sample_s, time.monotonic())
        await Sleep(next_s - time.monotonic())


async def _wake_silent(unit: PmsUnit) -> None:
    unit.set_trouble("the sensor sends no measurement; check power, cable and the pins SET and RESET")
    with contextlib.suppress(NoAnswerError):
        await wake(unit)
        await start(unit)


async def identify(unit: PmsUnit) -> int:
    """Return the version of the firmware; a sensor has no serial number."""
    return int((await read_measurement(unit))["version"])


async def probe() -> Found:
    """Identify a sensor, for a search: it is put into active mode, its state after power-up."""
    await replace(_activation(), timeout_s=_PROBE_S)
    return Found("", f"{MODEL} or a model with the same frame")
