"""Reads the sensors that the settings name, into a stream of their own, from which ingest numbers them.

As with the host's packets, that stream's journal is kept in memory, for the truth is the input journal. Whatever
happens to a device is told, and harms nothing else.

One device during a run: opened as soon as it is there, thinned out, looked for when it is gone.
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
from pygnc_devices.device import BlockingDevice
from pygnc_devices.errors import DeviceError, PortError
from pygnc_devices.family import family
from pygnc_devices.reading import Reading
from pygnc_devices.scheduler import Operation
from pygnc_devices.scheduler import Task as RunningProcedure
from pygnc_devices.subscriptions import Subscription

PAUSES_S: Final = (0.5, 1.0, 2.0, 5.0)
"""Between attempts to open a port for the first time; the last one repeats. Later the driver sees to it."""
Tell = Callable[[str, str, str], None]


class DeviceLine:
    """A device of the settings.

    Args:
        name: its own.
        settings: what they say of it.
        tell: takes severity, name and text of an event.
        on_news: called, in another thread, when a reading has come.
    """

    def __init__(self, name: str, settings: DeviceSettings, tell: Tell, on_news: Callable[[], None]) -> None:
        self.name = name
        self._settings = settings
        self._tell = tell
        self._on_news = on_news
        self._device: BlockingDevice | None = None
        self._readings: Subscription | None = None
        self._beginning: RunningProcedure[Any] | None = None
        self._attempts = 0
        self._next_attempt_s = 0.0
        self._is_connected = True
        self._is_given_up = False
        self._kept_ns: dict[str, int] = {}
        self._lost: dict[str, int] = {}

    def look_after(self) -> None:
        """Open the port if that is due, and tell what has become of the device."""
        if self._device is None:
            if not self._is_given_up and time.monotonic() >= self._next_attempt_s:
                self._open()
            return
        if self._device.is_connected != self._is_connected:
            self._is_connected = self._device.is_connected
            word = "is back" if self._is_connected else "is gone; it is looked for"
            self._tell("warning", "device", f"{self.name}: {self._settings.port} {word}")
        if self._beginning is not None and self._beginning.future.done():
            error = self._beginning.future.exception()
            if error is not None:
                self._tell("error", "device", f"{self.name}: stream = {self._settings.stream!r}: {error}")
            self._beginning = None

    def take(self) -> Iterator[Reading]:
        """Yield what has come, of each kind of packet one reading in the time that the settings say."""
        if self._readings is None:
            return
        interval_ns = self._settings.interval_s * 1e9
        while (reading := self._next(self._readings)) is not None:
            kind = reading.packet.name
            self._lost[kind] = self._lost.get(kind, 0) + reading.lost_before
            if reading.t_mono_ns - self._kept_ns.get(kind, -(1 << 62)) >= interval_ns:
                self._kept_ns[kind] = reading.t_mono_ns
                yield reading

    def lost_before(self, reading: Reading) -> int:
        """How many readings of its kind were lost since the last one that was kept."""
        return self._lost.pop(reading.packet.name, 0)

    def close(self) -> None:
        """Give the port back."""
        if self._device is not None:
            self._device.close()

    def _next(self, readings: Subscription) -> Reading | None:
        try:
            return readings.take(0)
        except Exception as error:  # noqa: BLE001 - whatever a driver dies of: the run goes on, and so may the device
            self._tell("error", "device", f"{self.name}: its driver has failed: {error!r:.200}; it is started again")
            self._let_go()
            self._try_later()
            return None

    def _open(self) -> None:
        settings = self._settings
        try:
            driver: Any = family(settings.family).device
            options = settings.options | ({"baud": settings.baud} if settings.baud else {})
            device: BlockingDevice = driver.open(settings.port, **options)
        except (PortError, OSError) as error:
            if not self._attempts:
                self._tell("warning", "device", f"{self.name}: {error}; it is tried again")
            self._try_later()
            return
        except (DeviceError, TypeError, ValueError) as error:  # an option that the driver does not take, or not so
            text = f"{self.name}: {error}; see [devices.{self.name}] in the settings; the run goes on without it"
            self._tell("error", "device", text)
            self._is_given_up = True
            return
        self._device = device
        self._readings = device.subscribe(notify=self._on_news)
        self._tell("info", "device", f"{self.name}: {settings.port} is open")
        procedure = _beginning(device, settings)
        if procedure is not None:
            self._beginning = device.engine.start(procedure)

    def _try_later(self) -> None:
        self._next_attempt_s = time.monotonic() + PAUSES_S[min(self._attempts, len(PAUSES_S) - 1)]
        self._attempts += 1

    def _let_go(self) -> None:
        self._readings = self._beginning = None
        self._is_connected = True
        if self._device is not None:
            self._device.close()
            self._device = None


def _beginning(device: BlockingDevice, settings: DeviceSettings) -> Operation[Any] | None:
    """What makes a device say what the settings ask for."""
    if not settings.stream:
        return None
    unit: Any = getattr(device, "unit", None)
    if settings.family == "ucb":
        from pygnc_devices.ucb.configuration import set_rate  # noqa: PLC0415 - of the families, only what is used

        return set_rate(unit, int(settings.stream))
    if settings.family == "gx2":
        from pygnc_devices.gx2.operations import start_continuous  # noqa: PLC0415 - as above

        return start_continuous(unit, str(settings.stream))
    return None


CLOSING_S: Final = 2.5


class DevicesTask(Task):
    """Looks after all devices."""

    def __init__(self, run: Run, context: "zmq.Context[zmq.Socket[bytes]]", notify: Notify) -> None:
        super().__init__(run, context, notify)
        self._stream = self.open_stream(DEVICES, kept=False)
        self._news = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)
        self._lines = [
            DeviceLine(name, settings, notify, lambda: os.eventfd_write(self._news, 1))
            for name, settings in run.settings.devices.items()
        ]

    def sockets(self) -> Sequence[int]:
        """Wake for readings."""
        return [self._news]

    def work(self) -> bool:
        """Write what has come, and look after the devices."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._news)
        for line in self._lines:
            line.look_after()
            readings = [self._message(line, reading, k) for k, reading in enumerate(line.take())]
            if readings:
                self._stream.write(readings)
        return False

    def progress(self) -> control.Progress:
        """Say how many readings there are."""
        return control.Progress(through=self._stream.journal.last_seq)

    def close(self) -> None:
        """Give the ports back, side by side: some units are switched off in order, which takes its time."""
        closing = [threading.Thread(target=line.close, daemon=True) for line in self._lines]
        for thread in closing:
            thread.start()
        deadline = time.monotonic() + CLOSING_S
        for thread in closing:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._stream.close()

    def _message(self, line: DeviceLine, reading: Reading, place: int) -> DeviceReading:
        number = self._stream.next_seq + place
        return DeviceReading(
            seq=number,
            source=DEVICES,
            offset=number,
            device=line.name,
            family=self.run.settings.devices[line.name].family,
            packet=reading.packet.name,
            t_mono_ns=reading.t_mono_ns,
            t_wall_ns=reading.t_wall_ns,
            t_device_ns=reading.t_device_ns,
            lost_before=line.lost_before(reading),
            raw=reading.raw,
            flags=reading.flags,
            values={name: value.hex() if isinstance(value, bytes) else value for name, value in reading.values.items()},
        )
