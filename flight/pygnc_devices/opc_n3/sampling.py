"""Continuous sampling: read histograms at an interval, recover from errors, switch fan and laser off at the end."""

import contextlib
import time
from typing import Final

from pygnc_devices.errors import AbortedError, DeviceError, PortGoneError
from pygnc_devices.opc_n3.commands import BrokenAnswerError, HandshakeError
from pygnc_devices.opc_n3.operations import (
    OtherDeviceError,
    check,
    identify,
    publish_histogram,
    read_configuration,
    read_intact_histogram,
    reset,
    switch_off,
    switch_on,
)
from pygnc_devices.opc_n3.unit import OpcUnit
from pygnc_devices.reading import Stamp
from pygnc_devices.scheduler import Publish, Sleep

ZEROS: Final = 4
"""Histograms without a particle before fan and laser are restarted; doubled after each restart without success."""
BROKEN_IN_A_ROW: Final = 3
"""Broken histograms in a row that count as a failure."""
RESET_EVERY: Final = 3
"""Failures before the counter is reset."""
_COUNTS_BYTES: Final = 48


async def run(unit: OpcUnit) -> None:
    """Read and publish histograms until aborted; start again after errors.

    At the end fan and laser are switched off, and an incomplete average is published.

    Raises:
        OtherDeviceError: the device is another kind of counter.
    """
    failures = 0
    try:
        while True:
            try:
                if unit.options.sample_s is None:
                    await _keep_alive(unit)
                else:
                    await identify(unit)
                    await read_configuration(unit)
                    await switch_on(unit)
                    await _sample(unit, unit.options.sample_s)
            except (AbortedError, OtherDeviceError, PortGoneError):
                raise
            except DeviceError as error:
                failures = 1 if unit.trouble is None else failures + 1
                unit.set_trouble(str(error))
                unit.channel.is_set_up = False
                await Sleep(unit.timing.rest_s)
                if failures % RESET_EVERY == 0:
                    with contextlib.suppress(HandshakeError, BrokenAnswerError):
                        await reset(unit)
    finally:
        if unit.may_be_on:
            with contextlib.suppress(DeviceError):
                await switch_off(unit)
        reading = unit.finish_average()
        if reading is not None:
            await Publish(reading)


async def _keep_alive(unit: OpcUnit) -> None:
    """Send a command every `keep_alive_s` seconds, so that the counter does not begin to record autonomously."""
    while True:
        await check(unit)
        unit.set_trouble(None)
        await Sleep(unit.timing.keep_alive_s)


async def _sample(unit: OpcUnit, sample_s: float) -> None:
    """Read histograms; discard the first histogram, and the first after an error. Raise after several errors."""
    is_first, broken, zeros, restart_at = True, 0, 0, ZEROS
    next_s = time.monotonic()
    while True:
        try:
            raw = await read_intact_histogram(unit)
        except BrokenAnswerError:
            is_first, broken = True, broken + 1
            if broken == BROKEN_IN_A_ROW:
                raise
            await Sleep(unit.timing.rest_s)
            continue
        if is_first:
            unit.discard_histogram(Stamp.now())
        else:
            await publish_histogram(unit, raw)
        broken = 0
        zeros = 0 if any(raw[:_COUNTS_BYTES]) or is_first else zeros + 1
        is_first = False
        if zeros == 0:
            restart_at = ZEROS
            unit.set_trouble(None)
        elif zeros == restart_at:
            unit.set_trouble(f"no particle in {zeros} histograms; fan and laser are restarted")
            await switch_off(unit)
            await Sleep(unit.timing.laser_s)
            await switch_on(unit)
            zeros, restart_at, is_first = 0, restart_at * 2, True
        next_s = max(next_s + sample_s, time.monotonic())
        await Sleep(next_s - time.monotonic())
