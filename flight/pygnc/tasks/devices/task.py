"""Reads the sensors that the settings name, into a stream of their own, from which ingest numbers them.

As with the host's packets, that stream's journal is kept in memory, for the truth is the input journal. Whatever
happens to a device is told, and harms nothing else.
"""

import contextlib
import os
import threading
import time
from collections.abc import Sequence
from typing import Final

import zmq

from pygnc.bus import control
from pygnc.bus.messages import DEVICES, DeviceReading
from pygnc.tasks.devices.line import DeviceLine
from pygnc.tasks.runtime import Notify, Run, Task
from pygnc_devices.reading import Reading

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
