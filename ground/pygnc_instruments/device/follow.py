"""Readings one after the other, with a turn for the display in between, until enough have come."""

import time
from collections.abc import Generator
from contextlib import closing
from typing import Final

from pygnc_devices.reading import Reading
from pygnc_instruments.device.connection import Connected
from pygnc_instruments.device.terminal import say

TURN_S: Final = 0.2
_SILENCE_S: Final = 3.0


def start(connected: Connected) -> None:
    """Have a device stream, if it waits to be told."""
    begin = connected.family.controls.start
    if begin is not None and not connected.is_recording:
        connected.device.run(begin(connected.unit))


def follow(connected: Connected, count: int = 0, seconds: float = 0.0) -> Generator[Reading | None, None, None]:
    """Yield readings, and None whenever none has come for a moment.

    Args:
        connected: the device.
        count: end after so many; 0: never.
        seconds: end after so long; 0: never.
    """
    end_s = time.monotonic() + seconds if seconds else float("inf")
    heard_s: float | None = time.monotonic()
    with closing(connected.device.subscribe()) as subscription:
        while (now_s := time.monotonic()) < end_s:
            reading = subscription.take(min(TURN_S, end_s - now_s))
            if reading is None and subscription.is_over:
                return
            if reading is not None:
                heard_s = now_s
            elif heard_s is not None and now_s - heard_s > _SILENCE_S:
                say(_silent(connected))
                heard_s = None
            yield reading
            count -= reading is not None
            if count == 0 and reading is not None:
                return


def _silent(connected: Connected) -> str:
    if not connected.device.is_connected:
        return f"{connected.device.url}: the port is gone; it is looked for"
    if connected.device.statistics.bytes_received:
        return f"{connected.device.url}: bytes come, and no reading is in them: is the speed right, and the family?"
    return f"{connected.device.url}: nothing comes. Is the device quiet? `pygnc device get` shows its rate"
