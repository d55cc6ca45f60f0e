"""What the engine keeps going: histograms at a pace, recovery from whatever goes wrong, all off at the end."""

import contextlib
import time
from typing import Final

from pygnc_devices.errors import AbortedError, DeviceError, PortGoneError
from pygnc_devices.framing import Frame
from pygnc_devices.opc_n3 import commands, framing
from pygnc_devices.opc_n3.commands import BrokenAnswerError
from pygnc_devices.opc_n3.operations import (
    OtherDeviceError,
    identify_alone,
    read_configuration_alone,
    read_histogram_alone,
    switch_off_alone,
    switch_on_alone,
)
from pygnc_devices.opc_n3.unit import OpcUnit
from pygnc_devices.scheduler import Deliver, Pause, Procedure

ZEROS: Final = 4
"""Histograms without a particle before fan and laser are started anew; each time in vain, twice as many."""
BROKEN_IN_A_ROW: Final = 3
RESET_EVERY: Final = 3
"""Attempts to start, before the counter is reset."""
_LOOK_AT: Final = 48


def keep_sampling(unit: OpcUnit) -> Procedure[None]:
    """Read histograms until given up; begin anew after errors.

    At the end fan and laser are switched off, and what has come of an average is delivered as a shorter one.

    Raises:
        OtherDeviceError: it is another kind of counter.
    """
    failures = 0
    try:
        while True:
            try:
                if unit.settings.sample_s is None:
                    yield from _stay_awake(unit)
                else:
                    yield from unit.alone(_start(unit))
                    yield from _sample(unit, unit.settings.sample_s)
            except (AbortedError, OtherDeviceError, PortGoneError):
                raise
            except DeviceError as error:
                failures = 1 if unit.trouble is None else failures + 1
                unit.note(str(error))
                unit.set_up_anew()
                yield Pause(unit.timing.rest_s)
                if failures % RESET_EVERY == 0:
                    with contextlib.suppress(commands.HandshakeError, BrokenAnswerError):
                        yield from unit.alone(_reset(unit))
    finally:
        if unit.may_be_on:
            with contextlib.suppress(DeviceError):
                yield from unit.alone(switch_off_alone(unit))
        yield Deliver(Frame(framing.UNFINISHED, b"", b""))


def _start(unit: OpcUnit) -> Procedure[None]:
    yield from identify_alone(unit)
    yield from read_configuration_alone(unit)
    yield from switch_on_alone(unit)


def _reset(unit: OpcUnit) -> Procedure[None]:
    yield from commands.read(unit.link, unit.timing, commands.RESET, 0)
    yield Pause(unit.timing.restart_s)


def _restart(unit: OpcUnit) -> Procedure[None]:
    yield from switch_off_alone(unit)
    yield Pause(unit.timing.laser_s)
    yield from switch_on_alone(unit)


def _stay_awake(unit: OpcUnit) -> Procedure[None]:
    """Say something now and then; methods say the rest."""
    while True:
        yield from unit.alone(commands.read(unit.link, unit.timing, commands.CHECK, 0))
        unit.note(None)
        yield Pause(unit.timing.keep_alive_s)


def _sample(unit: OpcUnit, sample_s: float) -> Procedure[None]:
    """Read histograms; the first one, and the first after an error, is discarded. Raises when reading keeps failing."""
    is_first, broken, zeros, restart_at = True, 0, 0, ZEROS
    next_s = time.monotonic()
    while True:
        try:
            raw = yield from unit.alone(read_histogram_alone(unit))
        except BrokenAnswerError:
            is_first, broken = True, broken + 1
            if broken == BROKEN_IN_A_ROW:
                raise
            yield Pause(unit.timing.rest_s)
            continue
        yield Deliver(Frame(framing.DISCARDED if is_first else framing.WHOLE, raw, raw))
        broken = 0
        zeros = 0 if any(raw[:_LOOK_AT]) or is_first else zeros + 1
        is_first = False
        if zeros == 0:
            restart_at = ZEROS
            unit.note(None)
        elif zeros == restart_at:
            unit.note(f"no particle in {zeros} histograms; fan and laser are started anew")
            yield from unit.alone(_restart(unit))
            zeros, restart_at, is_first = 0, restart_at * 2, True
        next_s = max(next_s + sample_s, time.monotonic())
        yield Pause(next_s - time.monotonic())
