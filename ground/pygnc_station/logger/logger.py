"""Takes readings from devices into the store until it is told to stop. Ports that go are waited for.

A reading is in the store within a quarter of a second; killed at any moment, what is in the store stays whole.
"""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from pygnc_devices.device import BlockingDevice
from pygnc_devices.errors import DeviceError, PortBusyError, PortError
from pygnc_devices.reading import Reading
from pygnc_devices.subscriptions import Subscription
from pygnc_station.errors import RefusedReadingsError, StoreError
from pygnc_station.logger.devices import family_of, interval_options, open_device
from pygnc_station.settings import Device
from pygnc_station.store.layout import Layout
from pygnc_station.store.readings import NewReading
from pygnc_station.store.store import Store, append

FLUSH_S: Final = 0.25
_DEPTH: Final = 100_000
"""Readings that may wait while the store cannot be written: hours of a slow device, minutes of a fast one."""
_RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
_STORE_RETRY_S: Final = 5.0
_TELL_AGAIN_S: Final = 600.0
_LOOK_S: Final = 1.0

_log = logging.getLogger(__name__)
Listener = Callable[[str, Reading], None]


class LoggedDevice:
    """One device of a logger: open or waited for, its readings thinned to the interval.

    Args:
        device: its settings.
        on_news: called when a reading has come, in the device's thread.
    """

    def __init__(self, device: Device, on_news: Callable[[], None]) -> None:
        self.device = device
        self._family = family_of(device)
        self._on_news = on_news
        self._interval_s = 0.0 if interval_options(self._family, None) else device.interval_s or 0.0
        self._open: BlockingDevice | None = None
        self._subscription: Subscription | None = None
        self._due_s: dict[str, float] = {}
        self._attempts = 0
        self._next_try_s = 0.0
        self._heard_s = time.monotonic()
        self._is_silent = False

    def attend(self, now_s: float) -> None:
        """Open the device if it is time, and warn of silence.

        Raises:
            PortBusyError: another program has the port.
            StationError: the driver cannot be opened with these settings.
        """
        if self._open is None and now_s >= self._next_try_s:
            self._try_to_open(now_s)
        if not self._is_silent and now_s - self._heard_s > self.device.silence_s:
            self._is_silent = True
            _log.warning("%s: no reading for %.0f s", self.device.gadget, self.device.silence_s)

    def take(self) -> list[Reading]:
        """Return what has come and is due."""
        if self._subscription is None:
            return []
        readings = []
        try:
            while (reading := self._subscription.take(0)) is not None:
                if self._is_due(reading):
                    readings.append(reading)
            is_over = self._subscription.is_over
        except Exception as error:  # noqa: BLE001 - a fault of a driver: it is opened anew
            _log.error("%s: %s", self.device.gadget, error)
            is_over = True
        if readings:
            self._heard_s = time.monotonic()
            if self._is_silent:
                _log.warning("%s: readings are back", self.device.gadget)
            self._is_silent = False
        if is_over:
            self.close()
            self._wait_longer(time.monotonic())
        return readings

    def close(self) -> None:
        """Switch the device off and give its port back."""
        if self._open is not None:
            self._open.close()
        self._open = None

    def _try_to_open(self, now_s: float) -> None:
        try:
            self._open = open_device(self.device)
        except PortBusyError:
            raise
        except PortError as error:
            if self._attempts == 0:
                _log.warning("%s: %s; it is tried again", self.device.gadget, error)
            self._wait_longer(now_s)
            return
        if self._attempts:
            _log.warning("%s: %s is there", self.device.gadget, self.device.port)
        self._attempts = 0
        self._subscription = self._open.subscribe(_DEPTH, self._on_news)

    def _wait_longer(self, now_s: float) -> None:
        self._next_try_s = now_s + _RETRY_S[min(self._attempts, len(_RETRY_S) - 1)]
        self._attempts += 1

    def _is_due(self, reading: Reading) -> bool:
        """Tell whether an interval is over, on a grid that does not drift."""
        if not self._interval_s:
            return True
        name, now_s = reading.packet.name, reading.t_mono_ns / 1e9
        due_s = self._due_s.get(name, now_s)
        if now_s < due_s:
            return False
        self._due_s[name] = due_s + self._interval_s * (1 + (now_s - due_s) // self._interval_s)
        return True


Entry: TypeAlias = tuple[LoggedDevice, Reading]


class Logger:
    """Devices and a store, until it is stopped.

    Args:
        store: where readings go.
        devices: the devices.
        listener: told of each reading when it is in the store.
    """

    def __init__(self, store: Store, devices: Sequence[Device], listener: Listener | None = None) -> None:
        self._store = store
        self._listener = listener
        self._news = threading.Event()
        self._stopping = False
        self._logged = [LoggedDevice(device, self._news.set) for device in devices]
        self._waiting: list[Entry] = []
        self._told_s: float | None = None
        self._lost = 0
        self.stored = 0

    def stop(self) -> None:
        """End `run`; may be called by a signal's handler."""
        self._stopping = True
        self._news.set()

    def run(self) -> None:
        """Log until stopped; devices are switched off in every case.

        Raises:
            PortBusyError: another program has a port.
            StationError: a driver cannot be opened with its settings.
        """
        try:
            while not self._stopping:
                for logged in self._logged:
                    logged.attend(time.monotonic())
                self._news.wait(_LOOK_S)
                self._news.clear()
                self._collect()
                if self._waiting and not self._flush():
                    self._pause(_STORE_RETRY_S)
                self._pause(FLUSH_S)
        finally:
            for logged in self._logged:
                try:
                    logged.close()
                except DeviceError as error:
                    _log.warning("%s: %s", logged.device.gadget, error)
            self._collect()
            if self._waiting and not self._flush():
                _log.error("%d readings are lost: the store cannot be written, and logging ends", len(self._waiting))

    def _pause(self, pause_s: float) -> None:
        """Let readings gather, unless it is time to stop."""
        end_s = time.monotonic() + pause_s
        while not self._stopping and (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(left_s, FLUSH_S))

    def _collect(self) -> None:
        for logged in self._logged:
            self._waiting += [(logged, reading) for reading in logged.take()]

    def _flush(self) -> bool:
        """Store what waits in one transaction; False if the store cannot be written now."""
        try:
            try:
                self._store_first(len(self._waiting))
            except RefusedReadingsError:
                self._store_one_by_one()
        except StoreError as error:
            self._keep_waiting(error)
            return False
        if self._told_s is not None:
            _log.warning("readings are stored again" + (f"; {self._lost} are lost" if self._lost else ""))
            self._told_s, self._lost = None, 0
        return True

    def _keep_waiting(self, error: StoreError) -> None:
        """Keep the newest readings until the store can be written, and say so now and then."""
        surplus = max(0, len(self._waiting) - _DEPTH)
        del self._waiting[:surplus]
        self._lost += surplus
        now_s = time.monotonic()
        if self._told_s is None or now_s - self._told_s >= _TELL_AGAIN_S:
            self._told_s = now_s
            lost = f", {self._lost} are lost" if self._lost else ""
            _log.error("%d readings wait%s: %s", len(self._waiting), lost, error)

    def _store_first(self, count: int) -> None:
        """Store the first readings that wait; then they wait no more, whatever comes after."""
        entries = self._waiting[:count]
        groups: dict[int, list[NewReading]] = {}
        for logged, reading in entries:
            stream = self._store.stream(logged.device.gadget, Layout.of(reading.packet), family=logged.device.family)
            groups.setdefault(stream.id, []).append(NewReading.of(reading))
        with self._store.writes() as connection:
            for stream_id, new in groups.items():
                append(connection, stream_id, new)
        del self._waiting[:count]
        self.stored += count
        if self._listener is not None:
            for logged, reading in entries:
                self._listener(logged.device.gadget, reading)

    def _store_one_by_one(self) -> None:
        while self._waiting:
            logged, reading = self._waiting[0]
            try:
                self._store_first(1)
            except RefusedReadingsError as error:
                _log.error("%s: refused: %s; bytes: %s", logged.device.gadget, error, reading.raw.hex())
                del self._waiting[0]
