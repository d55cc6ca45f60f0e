"""IMU with the API of monoDrive's own client: configured by JSON, read by `get_message()`; a thread, not a process."""

import contextlib
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Final, Self, TypeAlias

from pygnc_devices.errors import PortError
from pygnc_devices.monodrive.configuration import SensorConfiguration, read_configuration, read_vehicle
from pygnc_devices.monodrive.driver import MonoDrive
from pygnc_devices.monodrive.framing import header_order, likely_order, unpack
from pygnc_devices.monodrive.packets import FRAME_BYTES
from pygnc_devices.reading import Reading
from pygnc_devices.subscriptions import Subscription

Message: TypeAlias = dict[str, int | float | list[float]]
QUEUE_DEPTH: Final = 10
"""Messages that a queue holds before the oldest are dropped and counted."""
_CONNECT_PAUSE_S: Final = 0.2


class ImuSensor:
    """Simulated IMU with the API of monoDrive's client.

    Args:
        configuration: configuration, or its JSON text.
        server_ip: address of the simulator.

    Raises:
        DeviceError: the configuration is invalid.
    """

    def __init__(self, configuration: SensorConfiguration | str, server_ip: str = "127.0.0.1") -> None:
        if isinstance(configuration, str):
            configuration = read_configuration(configuration)
        self.configuration = configuration
        self.name = f"IMU_{configuration.listen_port}"
        self._server_ip = server_ip
        self._stopping = threading.Event()
        self._device: MonoDrive | None = None
        self._messages: Subscription | None = None
        self._display: Subscription | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def device(self) -> MonoDrive:
        """The driver, with readings in SI and statistics.

        Raises:
            PortError: the sensor is not started.
        """
        if self._device is None:
            raise PortError(f"{self.name} is not started; call start() or use a with block")
        return self._device

    def start(self, timeout_s: float = 1.0) -> None:
        """Connect. A connection that is lost later is reopened until `stop`.

        Raises:
            PortError: no simulator responds within `timeout_s` seconds.
        """
        url, end_s = self.configuration.url(self._server_ip), time.monotonic() + timeout_s
        self._stopping.clear()
        while self._device is None:
            try:
                self._device = MonoDrive.open(url, layout=self.configuration)
            except PortError:
                if time.monotonic() >= end_s or self._stopping.wait(_CONNECT_PAUSE_S):
                    raise
        self._messages = self._device.subscribe(QUEUE_DEPTH)
        if self.configuration.display_process:
            self._display = self._device.subscribe(QUEUE_DEPTH)

    def stop(self) -> None:
        """Close the port; threads that wait for a message get None."""
        self._stopping.set()
        if self._device is not None:
            self._device.close()

    def get_message(self, block: bool = True, timeout: float | None = None) -> Message | None:  # noqa: FBT001, FBT002 - the client's own signature
        """Return the next message; None after the timeout, or if the sensor was stopped."""
        return self._next(self._messages, block=block, timeout=timeout)

    def get_messages(self, block: bool = True, timeout: float | None = None) -> list[Message]:  # noqa: FBT001, FBT002 - as above
        """Return all messages in the queue; wait for the first one."""
        return self._all(self._messages, block=block, timeout=timeout)

    def get_display_message(self, block: bool = True, timeout: float | None = None) -> Message | None:  # noqa: FBT001, FBT002 - as above
        """Return the next message of the queue for a display, which `display_process` enables."""
        return self._next(self._display, block=block, timeout=timeout)

    def get_display_messages(self, block: bool = True, timeout: float | None = None) -> list[Message]:  # noqa: FBT001, FBT002 - as above
        """Return all messages in the queue for a display."""
        return self._all(self._display, block=block, timeout=timeout)

    def wait_until_ready(self, timeout: float | None = None) -> bool:
        """Wait up to `timeout` seconds for the first frame; return True if a frame has arrived."""
        with contextlib.closing(self.device.subscribe(1)) as first:
            return self.device.statistics.readings > 0 or first.take(timeout) is not None

    def get_frame_count(self) -> int:
        """Return the number of frames received."""
        return self.device.statistics.readings

    def digest_frame(self, frame: bytes, time_stamp: int = 0, game_time: float = 0.0) -> Message:
        """Return the message of a frame of 35 bytes, as `get_message` does; may be overridden.

        Vectors have the units of the frame; readings of `device` are in SI.

        Raises:
            ValueError: the frame has another length.
        """
        if len(frame) != FRAME_BYTES:
            raise ValueError(f"{len(frame)} bytes are not a frame of an IMU, which has {FRAME_BYTES}")
        order = self.configuration.byte_order
        if order == "auto":
            order = likely_order(frame, ">" if self._device is None else self._device.unit.order)
        words = unpack(frame, order)
        return {
            "time_stamp": time_stamp,
            "game_time": game_time,
            "acceleration_vector": [float(word) for word in words[:3]],
            "angular_velocity_vector": [float(word) for word in words[3:6]],
            "timer": int(words[6]),
            "time_of_week": int(words[8]),
        }

    def _next(self, queue: Subscription | None, *, block: bool, timeout: float | None) -> Message | None:
        reading = None if queue is None else queue.take(timeout if block else 0)
        return None if reading is None else self._message(reading)

    def _all(self, queue: Subscription | None, *, block: bool, timeout: float | None) -> list[Message]:
        messages: list[Message] = []
        while (message := self._next(queue, block=block and not messages, timeout=timeout)) is not None:
            messages.append(message)
        return messages

    def _message(self, reading: Reading) -> Message:
        header, _ = header_order(reading.raw)
        time_stamp, game_time = reading.values["time_stamp_ms"], reading.values["game_time"]
        return self.digest_frame(
            reading.raw[header:],
            time_stamp if isinstance(time_stamp, int) else 0,
            game_time if isinstance(game_time, float) else 0.0,
        )


def make_sensors(configurations: Path | Iterable[SensorConfiguration], server_ip: str = "127.0.0.1") -> list[ImuSensor]:
    """Return the IMUs of a vehicle whose `sensor_process` is not false.

    Raises:
        DeviceError: the file is invalid.
    """
    entries = read_vehicle(configurations) if isinstance(configurations, Path) else configurations
    return [ImuSensor(entry, server_ip) for entry in entries if entry.sensor_process]
