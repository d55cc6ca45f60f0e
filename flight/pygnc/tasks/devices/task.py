"""Devices process: reads the sensors of the settings `[devices.NAME]` and writes their readings to a stream.

The stream's journal is in memory only, because ingest copies every reading to the input journal. Faults of a device
are reported as events and affect nothing else.
"""

import contextlib
import math
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import replace
from typing import Any, Final

from pygnc.bus import control
from pygnc.bus.messages import DEVICES, DeviceReading
from pygnc.configuration.run import Notify, Run
from pygnc.configuration.settings import DeviceSettings
from pygnc.tasks.runtime import WAIT_S, Context, Task
from pygnc_devices.device import BlockingDevice
from pygnc_devices.discovery import Search, search
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import family
from pygnc_devices.reading import Reading
from pygnc_devices.reconnecting import ReconnectingDevice
from pygnc_devices.scheduler import Procedure
from pygnc_system.backoff import Backoff

PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0)
"""Pauses between attempts to open a port the first time; afterwards the driver reconnects on its own."""
CLOSING_S: Final = 2.5
SILENCE_S: Final = 30.0
"""Time without a reading after which a stream is requested again; a device may have forgotten it in a power cut."""
AUTO: Final = "auto"
"""Name in the settings for a device whose family and baud rate are found."""


class DevicesTask(Task):
    """Process that reads all configured devices and writes the stream of their readings."""

    def __init__(self, run: Run, context: Context, notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream(DEVICES, durable=False)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._devices = [
            ConfiguredDevice(name, settings, notify, lambda: os.eventfd_write(self._wake, 1))
            for name, settings in run.settings.devices.items()
        ]

    def sockets(self) -> Sequence[int]:
        """Return the descriptor that becomes readable when readings arrive."""
        return [self._wake]

    def wait_s(self) -> float:
        """Return the time until the next check of the devices, s."""
        return WAIT_S

    def work(self) -> bool:
        """Open and check the devices and write all new readings; return False, as none remain."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        for device in self._devices:
            device.check()
            readings = [self._message(device, reading, k) for k, reading in enumerate(device.take())]
            if readings:
                self._stream.write(readings)
        return False

    def progress(self) -> control.Progress:
        """Return the number of readings written in this run as the progress."""
        return control.Progress(self._stream.journal.last_seq)

    def close(self) -> None:
        """Close all devices concurrently, because some need time to be switched off."""
        closing = [threading.Thread(target=device.connection.close, daemon=True) for device in self._devices]
        for thread in closing:
            thread.start()
        deadline = time.monotonic() + CLOSING_S
        for thread in closing:
            thread.join(max(0.0, deadline - time.monotonic()))
        super().close()

    def _message(self, device: "ConfiguredDevice", reading: Reading, position: int) -> DeviceReading:
        seq = self._stream.next_seq + position
        return DeviceReading(
            seq=seq,
            source=DEVICES,
            offset=seq,
            device=device.name,
            family=device.family,
            packet=reading.packet.name,
            t_mono_ns=reading.t_mono_ns,
            t_wall_ns=reading.t_wall_ns,
            t_device_ns=reading.t_device_ns,
            lost_before=reading.lost_before,
            raw=reading.raw,
            flags=reading.flags,
            values={name: value.hex() if isinstance(value, bytes) else value for name, value in reading.values.items()},
        )


class ConfiguredDevice:
    """Device of a section of the settings; its `connection` keeps one reading per interval of the settings.

    `on_reading` is called in another thread when a reading has arrived.
    """

    def __init__(self, name: str, settings: DeviceSettings, notify: Notify, on_reading: Callable[[], None]) -> None:
        self.name = name
        self._settings = settings
        self._notify = notify
        self.connection = ReconnectingDevice(
            self._open, self._report, on_reading, Backoff(PAUSES_S), interval_s=settings.interval_s
        )
        self._search: Future[Search] | None = None
        self._stream_request: Procedure[Any] | None = None
        self._stream_due_s = math.inf
        self._stream_fault = ""
        self._is_unusable = False

    @property
    def family(self) -> str:
        """Name of the family; AUTO until the search has found it."""
        return self._settings.family

    def check(self) -> None:
        """Open the device if an attempt is due; report unusable settings and a failed stream request."""
        if self._is_unusable:
            return
        try:
            is_new = self.connection.connect()
        except (DeviceError, TypeError, ValueError) as error:  # wrong family, option or value in the settings
            text = f"{error}; correct [devices.{self.name}] in the settings; the run continues without the device"
            self._report("error", text)
            self._is_unusable = True
            return
        if is_new and self._settings.stream:
            self._stream_due_s = 0.0
        device = self.connection.device
        if device is not None and device.is_connected and time.monotonic() >= self._stream_due_s:
            self._request_stream(device)
        if self._stream_request is not None and self._stream_request.future.done():
            failure = self._stream_request.future.exception()
            fault = "" if failure is None else f"{failure}; check setting and device"
            if fault and fault != self._stream_fault:
                self._report("error", f"stream = {self._settings.stream!r}: {fault}")
            self._stream_request, self._stream_fault = None, fault

    def take(self) -> list[Reading]:
        """Return the readings that have arrived, thinned to the interval of the settings."""
        readings = list(self.connection.take())
        if readings and self._settings.stream:
            self._expect_readings()
        return readings

    def _expect_readings(self) -> None:
        """Request the stream again after a silence."""
        self._stream_due_s = time.monotonic() + max(SILENCE_S, 3.0 * self._settings.interval_s)

    def _request_stream(self, device: BlockingDevice) -> None:
        self._stream_due_s = math.inf
        stream, unit = self._settings.stream, getattr(device, "unit", None)
        request = family(self._settings.family).controls.stream
        remedy = f"correct [devices.{self.name}] in the settings"
        if request is None:
            text = f"stream = {stream!r}: devices of the family {self._settings.family} have no stream to request"
            self._report("error", f"{text}; {remedy}")
            return
        try:
            self._stream_request = device.engine.start(request(unit, stream))
        except ValueError:  # the setting is not a number
            self._report("error", f"stream = {stream!r}: not a rate in Hz; {remedy}")
            return
        self._expect_readings()

    def _open(self) -> BlockingDevice:
        if self._settings.family == AUTO:
            self._settings = self._identified()
        settings = self._settings
        driver: Any = family(settings.family).device
        options = settings.options | ({"baud": settings.baud} if settings.baud else {})
        device: BlockingDevice = driver.open(settings.port, **options)
        return device

    def _identified(self) -> DeviceSettings:
        """Return the settings with family and baud rate of the device that a search in another thread has found.

        Raises:
            PortError: The search is in progress, or it has found no device.
        """
        port = self._settings.port
        if self._search is None:
            self._search = Future()
            threading.Thread(target=_search_into, args=(self._search, port), daemon=True).start()
        if not self._search.done():
            raise PortError(f"{port}: searching for a device of any family")
        result, self._search = self._search.result(), None
        for found in result.found:
            return replace(self._settings, family=found.family, baud=found.baud)
        raise PortError(result.problems.get(port) or result.reason(port))

    def _report(self, severity: str, text: str) -> None:
        self._notify(severity, "device", f"{self.name}: {text}")


def _search_into(outcome: "Future[Search]", port: str) -> None:
    try:
        outcome.set_result(search([port]))
    except Exception as error:  # noqa: BLE001 - the result raises it
        outcome.set_exception(error)
