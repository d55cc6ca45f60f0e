"""Devices process: reads the sensors of the settings `[devices.NAME]` into a stream, from which ingest numbers them.

The stream's journal is in memory only, because ingest copies every reading to the input journal. Faults of a device
are reported as events and affect nothing else.
"""

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import zmq

from pygnc.bus import control
from pygnc.bus.messages import DEVICES, DeviceReading
from pygnc.configuration.settings import DeviceSettings
from pygnc.tasks.runtime import Notify, Run, Task
from pygnc_devices.backoff import Backoff
from pygnc_devices.device import BlockingDevice
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import family
from pygnc_devices.reading import Reading
from pygnc_devices.scheduler import Operation
from pygnc_devices.scheduler import Task as RunningProcedure
from pygnc_devices.subscriptions import Subscription

PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0)
"""Pauses between attempts to open a port the first time; afterwards the driver reconnects on its own."""
CLOSING_S: Final = 2.5


class DevicesTask(Task):
    """Reads all configured devices and writes the stream of their readings."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream(DEVICES, durable=False)
        self._wake = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._devices = [
            ConfiguredDevice(name, settings, notify, lambda: os.eventfd_write(self._wake, 1))
            for name, settings in run.settings.devices.items()
        ]

    def sockets(self) -> Sequence[int]:
        """Wake for readings."""
        return [self._wake]

    def work(self) -> bool:
        """Write the new readings; open and check the devices."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        for device in self._devices:
            device.check()
            readings = [self._message(device, reading, k) for k, reading in enumerate(device.take())]
            if readings:
                self._stream.write(readings)
        return False

    def progress(self) -> control.Progress:
        """Return the number of readings."""
        return control.Progress(last_sequence_processed=self._stream.journal.last_seq)

    def close(self) -> None:
        """Close all devices concurrently, because some need time to be switched off."""
        closing = [threading.Thread(target=device.close, daemon=True) for device in self._devices]
        for thread in closing:
            thread.start()
        deadline = time.monotonic() + CLOSING_S
        for thread in closing:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._stream.close()

    def _message(self, device: "ConfiguredDevice", reading: Reading, position: int) -> DeviceReading:
        seq = self._stream.next_seq + position
        return DeviceReading(
            seq=seq,
            source=DEVICES,
            offset=seq,
            device=device.name,
            family=self.run.settings.devices[device.name].family,
            packet=reading.packet.name,
            t_mono_ns=reading.t_mono_ns,
            t_wall_ns=reading.t_wall_ns,
            t_device_ns=reading.t_device_ns,
            lost_before=device.lost_before(reading),
            raw=reading.raw,
            flags=reading.flags,
            values={name: value.hex() if isinstance(value, bytes) else value for name, value in reading.values.items()},
        )


class ConfiguredDevice:
    """A device of the settings: opened when its port exists, thinned out, reopened after a failure of its driver.

    Args:
        name: name of the device in the settings.
        settings: section of the settings.
        notify: reports an event.
        on_reading: called in another thread when a reading has arrived.
    """

    def __init__(self, name: str, settings: DeviceSettings, notify: Notify, on_reading: Callable[[], None]) -> None:
        self.name = name
        self._settings = settings
        self._notify = notify
        self._on_reading = on_reading
        self._device: BlockingDevice | None = None
        self._readings: Subscription | None = None
        self._stream_request: RunningProcedure[Any] | None = None
        self._backoff = Backoff(PAUSES_S)
        self._next_attempt_s = 0.0
        self._is_connected = True
        self._is_unusable = False
        self._kept_ns: dict[str, int] = {}
        self._lost: dict[str, int] = {}

    def check(self) -> None:
        """Open the port if an attempt is due; report disconnection, reconnection and a failed stream request."""
        if self._device is None:
            if not self._is_unusable and time.monotonic() >= self._next_attempt_s:
                self._open()
            return
        if self._device.is_connected != self._is_connected:
            self._is_connected = self._device.is_connected
            change = "reconnected" if self._is_connected else "disconnected; reconnecting"
            self._notify("warning", "device", f"{self.name}: {self._settings.port} {change}")
        if self._stream_request is not None and self._stream_request.future.done():
            error = self._stream_request.future.exception()
            if error is not None:
                self._notify("error", "device", f"{self.name}: stream = {self._settings.stream!r}: {error}")
            self._stream_request = None

    def take(self) -> Iterator[Reading]:
        """Yield new readings, of each packet type at most one per `interval_s`."""
        if self._readings is None:
            return
        interval_ns = self._settings.interval_s * 1e9
        while (reading := self._next_reading(self._readings)) is not None:
            packet = reading.packet.name
            self._lost[packet] = self._lost.get(packet, 0) + reading.lost_before
            if reading.t_mono_ns - self._kept_ns.get(packet, -(1 << 62)) >= interval_ns:
                self._kept_ns[packet] = reading.t_mono_ns
                yield reading

    def lost_before(self, reading: Reading) -> int:
        """Return how many readings of this packet type were lost since the last kept one."""
        return self._lost.pop(reading.packet.name, 0)

    def close(self) -> None:
        """Close the port."""
        if self._device is not None:
            self._device.close()

    def _next_reading(self, readings: Subscription) -> Reading | None:
        try:
            return readings.take(0)
        except Exception as error:  # noqa: BLE001 - a failed driver must affect neither the run nor other devices
            self._notify("error", "device", f"{self.name}: the driver has failed: {error!r:.200}; restarting it")
            self._discard()
            self._retry_later()
            return None

    def _open(self) -> None:
        settings = self._settings
        try:
            driver: Any = family(settings.family).device
            options = settings.options | ({"baud": settings.baud} if settings.baud else {})
            device: BlockingDevice = driver.open(settings.port, **options)
        except (PortError, OSError) as error:
            if not self._backoff.failures:
                self._notify("warning", "device", f"{self.name}: {error}; retrying")
            self._retry_later()
            return
        except (DeviceError, TypeError, ValueError) as error:  # unknown family or option, or a value out of range
            text = f"{self.name}: {error}; see [devices.{self.name}] in the settings; the run continues without it"
            self._notify("error", "device", text)
            self._is_unusable = True
            return
        self._device = device
        self._readings = device.subscribe(notify=self._on_reading)
        self._notify("info", "device", f"{self.name}: {settings.port} is open")
        procedure = _stream_request(device, settings)
        if procedure is not None:
            self._stream_request = device.engine.start(procedure)

    def _retry_later(self) -> None:
        self._next_attempt_s = time.monotonic() + self._backoff.next()

    def _discard(self) -> None:
        self._readings = self._stream_request = None
        self._is_connected = True
        if self._device is not None:
            self._device.close()
            self._device = None


def _stream_request(device: BlockingDevice, settings: DeviceSettings) -> Operation[Any] | None:
    """Return the procedure that requests the stream of the settings, or None."""
    if not settings.stream:
        return None
    unit: Any = getattr(device, "unit", None)
    if settings.family == "ucb":
        from pygnc_devices.ucb.configuration import set_rate  # noqa: PLC0415 - loads only the families in use

        return set_rate(unit, int(settings.stream))
    if settings.family == "gx2":
        from pygnc_devices.gx2.operations import start_continuous  # noqa: PLC0415 - as above

        return start_continuous(unit, str(settings.stream))
    return None
