"""Logger: stores the readings of devices until it is stopped.

Readings are written together, `write_s` after the last write at the latest, because each write costs a card several
pages, however few the readings. Devices whose port is missing are opened when it appears.
"""

import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

from sqlalchemy import Connection, update

from pygnc_devices.errors import DeviceError, PortBusyError
from pygnc_devices.reading import Reading
from pygnc_devices.reconnecting import ReconnectingDevice
from pygnc_station.errors import RefusedReadingsError, StoreError
from pygnc_station.logger.devices import family_of, interval_options, open_device
from pygnc_station.settings import Device
from pygnc_station.store import clock, query, schema
from pygnc_station.store.readings import DAY_MS, Layout, NewReading, Quality, Stream, clock_ms
from pygnc_station.store.store import Store, append
from pygnc_system.backoff import Backoff
from pygnc_system.service_notifier import ServiceNotifier

TICK_S: Final = 0.25
_MAX_WAITING: Final = 100_000
"""Readings that may wait while the store cannot be written: hours at 5 s per reading, minutes at 200 Hz."""
_OPEN_RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
_STORE_RETRY_S: Final = 5.0
_REPORT_INTERVAL_S: Final = 600.0
_POLL_S: Final = 1.0
_CONFIRMATION_INTERVAL_S: Final = 600.0
_CLOCK_JUMP_NS: Final = 5_000_000_000
"""Change of the clock between two readings beyond which it was set; NTP slews smaller errors."""

_log = logging.getLogger(__name__)
Listener = Callable[[str, Reading], None]


class LoggedDevice:
    """Device of a logger, with a warning when it is silent.

    Args:
        device: its settings.
        on_news: called in the driver's thread when a reading has arrived.
    """

    def __init__(self, device: Device, on_news: Callable[[], None]) -> None:
        self.settings = device
        has_own_interval = bool(interval_options(family_of(device), None))
        self.connection = ReconnectingDevice(
            partial(open_device, device),
            lambda severity, text: getattr(_log, severity)("%s: %s", device.gadget, text),
            on_news,
            Backoff(_OPEN_RETRY_S),
            interval_s=0.0 if has_own_interval else device.interval_s or 0.0,
            on_grid=True,
            depth=_MAX_WAITING,
            fatal=(PortBusyError,),
        )
        self._last_reading_s = time.monotonic()
        self._is_silent = False
        self._stored: dict[str, Reading] = {}

    def take(self) -> list[Reading]:
        """Return the readings that have arrived and are to be stored."""
        readings = list(self.connection.take())
        now_s = time.monotonic()
        if readings:
            self._last_reading_s = now_s
            if self._is_silent:
                _log.warning("%s: receiving readings again", self.settings.gadget)
            self._is_silent = False
        elif not self._is_silent and now_s - self._last_reading_s > self.settings.silence_s:
            self._is_silent = True
            _log.warning(
                "%s: no reading for %.0f s; check the cable and the power",
                self.settings.gadget,
                self.settings.silence_s,
            )
        return [reading for reading in readings if self._is_due(reading)] if self.settings.thin else readings

    def _is_due(self, reading: Reading) -> bool:
        """Return False for a reading of a slow kind that follows too soon, unless a code or flag has changed."""
        slow_s = reading.packet.slow_s
        if not slow_s:
            return True
        last = self._stored.get(reading.packet.name)
        # Half of a second is tolerated, so that a sentence per second is stored at the same second of each period.
        is_due = (
            last is None
            or reading.t_mono_ns - last.t_mono_ns >= (slow_s - 0.5) * 1e9
            or reading.flags != last.flags
            or bool(reading.lost_before)
            or any(reading.values[name] != last.values[name] for name in reading.packet.labelled)
        )
        if is_due:
            self._stored[reading.packet.name] = reading
        return is_due


class Logger:
    """Devices whose readings are stored until the logger is stopped.

    Args:
        store: receives the readings.
        devices: settings of the devices.
        listener: called with the device's name and each reading when the reading has been stored.
        write_s: time between writes in seconds; a power cut or SIGKILL loses the readings of this time at most.
        notifier: reports the start and the end, and that the loop is running.

    Attributes:
        stored: number of readings stored so far.
    """

    def __init__(
        self,
        store: Store,
        devices: Sequence[Device],
        listener: Listener | None = None,
        write_s: float = 0.0,
        notifier: ServiceNotifier | None = None,
    ) -> None:
        self._store = store
        self._listener = listener
        self._write_s = write_s
        self._notifier = notifier or ServiceNotifier()
        self._written_s = -math.inf
        self._news = threading.Event()
        self._stopping = False
        self._logged = [LoggedDevice(device, self._news.set) for device in devices]
        self._waiting: list[tuple[LoggedDevice, Reading, Quality]] = []
        self._first_numbers: dict[int, int] = {}
        self._clock_offset_ns: int | None = None
        self._clock_wrong_since_ms: int | None = None
        with store.reads() as connection:
            self._confirmed_ms = clock.confirmed_ms(connection)
        self._newest_ms = max((_newest_ms(store, device.gadget) for device in devices), default=0)
        self._next_confirmation_s = -math.inf
        self._reported_s: float | None = None
        self._lost = 0
        self.stored = 0

    def stop(self) -> None:
        """End `run`; may be called from a signal handler."""
        self._stopping = True
        self._news.set()

    def run(self) -> None:
        """Log until stopped; then switch the devices off.

        Raises:
            PortBusyError: another program uses a port.
            StationError: a driver does not accept its settings.
        """
        self._notifier.ready()
        try:
            while not self._stopping:
                for logged in self._logged:
                    self._notifier.feed()  # a device may take long to open
                    logged.connection.connect()
                self._news.wait(TICK_S if self._waiting else _POLL_S)
                self._news.clear()
                self._collect()
                # Write one tick early, because the next check is one tick later.
                is_due = time.monotonic() - self._written_s >= self._write_s - TICK_S
                if self._waiting and is_due and not self._flush():
                    self._pause(_STORE_RETRY_S)
                self._pause(TICK_S)
                self._notifier.show(f"{self.stored} readings stored, {len(self._waiting)} waiting")
        finally:
            self._notifier.stopping()
            for logged in self._logged:
                try:
                    logged.connection.close()
                except DeviceError as error:
                    _log.warning("%s: %s", logged.settings.gadget, error)
            self._collect()
            if self._waiting and not self._flush():
                _log.error("%d readings are lost: the store cannot be written, and logging ends", len(self._waiting))

    def _pause(self, pause_s: float) -> None:
        """Wait while readings accumulate; return early when the logger is stopped."""
        end_s = time.monotonic() + pause_s
        while not self._stopping and (left_s := end_s - time.monotonic()) > 0:
            time.sleep(min(left_s, TICK_S))

    def _collect(self) -> None:
        for logged in self._logged:
            for reading in logged.take():
                quality = self._check_clock(reading)
                self._waiting.append((logged, reading, quality))
            if logged.connection.is_over and logged.connection.device is not None:
                logged.connection.reopen_later()

    def _check_clock(self, reading: Reading) -> Quality:
        """Return the flag of a reading whose time is doubtful; if the clock was set, the readings before get it too."""
        offset_ns = reading.t_wall_ns - reading.t_mono_ns
        change_ns = 0 if self._clock_offset_ns is None else offset_ns - self._clock_offset_ns
        self._clock_offset_ns = offset_ns
        if abs(change_ns) > _CLOCK_JUMP_NS:
            _log.warning("the clock was set by %+.1f s; the readings before are flagged", change_ns / 1e9)
            self._waiting = [
                (logged, before, (quality | Quality.CLOCK) & ~Quality.UNCONFIRMED)
                for logged, before, quality in self._waiting
            ]
            # The readings of one day before the clock was set are flagged.
            self._clock_wrong_since_ms = (reading.t_wall_ns - change_ns) // 1_000_000 - DAY_MS
            return Quality.CLOCK
        # A Raspberry Pi without a clock battery boots with the time that it saved last.
        t_utc_ms = reading.t_wall_ns // 1_000_000
        if self._confirmed_ms:
            return Quality.CLOCK if t_utc_ms < self._confirmed_ms - _CLOCK_JUMP_NS // 1_000_000 else Quality(0)
        return Quality.CLOCK | Quality.UNCONFIRMED if t_utc_ms < self._newest_ms else Quality(0)

    def _flush(self) -> bool:
        """Store the waiting readings in one transaction; return False if the store cannot be written now."""
        try:
            try:
                self._store_first(len(self._waiting))
            except RefusedReadingsError:
                self._store_one_by_one()
        except StoreError as error:
            self._drop_oldest(error)
            return False
        if self._reported_s is not None:
            lost = f"; {self._lost} readings were lost" if self._lost else ""
            _log.warning("the store can be written again%s", lost)
            self._reported_s, self._lost = None, 0
        return True

    def _drop_oldest(self, error: StoreError) -> None:
        """Limit the waiting readings to the newest ones, and report the store's error from time to time."""
        surplus = max(0, len(self._waiting) - _MAX_WAITING)
        del self._waiting[:surplus]
        self._lost += surplus
        now_s = time.monotonic()
        if self._reported_s is None or now_s - self._reported_s >= _REPORT_INTERVAL_S:
            self._reported_s = now_s
            lost = f", {self._lost} are lost" if self._lost else ""
            _log.error("%d readings wait for the store%s: %s", len(self._waiting), lost, error)

    def _store_first(self, count: int) -> None:
        """Store the first waiting readings, remove them from the queue, and only then call the listener."""
        entries = self._waiting[:count]
        groups: dict[int, list[NewReading]] = {}
        streams: dict[tuple[str, int], Stream] = {}
        for logged, reading, quality in entries:
            device = logged.settings
            key = (device.gadget, id(reading.packet))  # the entries keep the packets alive
            if key not in streams:
                streams[key] = self._store.stream(device.gadget, Layout.of(reading.packet), family=device.family)
            stream = streams[key]
            is_first = stream.id not in groups and stream.id not in self._first_numbers
            gap = Quality.GAP if is_first and stream.next_number > 1 else 0  # while the logger did not run
            new = NewReading.of(reading)
            groups.setdefault(stream.id, []).append(new._replace(quality=new.quality | quality | gap))
        table, first_numbers, since_ms = schema.readings, {}, self._clock_wrong_since_ms
        with self._store.writes() as connection:
            for stream_id, first in self._first_numbers.items() if since_ms is not None else ():
                before = (table.c.stream_id == stream_id, table.c.t_utc_ms >= since_ms, table.c.number >= first)
                flagged = table.c.quality.bitwise_or(int(Quality.CLOCK | Quality.UNCONFIRMED)) - Quality.UNCONFIRMED
                connection.execute(update(table).where(*before).values(quality=flagged))
            is_first = not self._confirmed_ms
            self._confirmed_ms = self._confirm_clock(connection)
            for stream_id, news in groups.items():
                if is_first and self._confirmed_ms:  # the clock that dated them was confirmed since
                    news = [_settled(new) for new in news]  # noqa: PLW2901
                first_numbers[stream_id] = append(connection, stream_id, news)
        if since_ms is not None:  # a later change of the clock does not concern the readings that are flagged now
            self._first_numbers |= first_numbers
        self._first_numbers = first_numbers | self._first_numbers
        self._clock_wrong_since_ms = None
        self._written_s = time.monotonic()
        del self._waiting[:count]
        self.stored += count
        if self._listener is not None:
            for logged, reading, _ in entries:
                self._listener(logged.settings.gadget, reading)

    def _confirm_clock(self, connection: Connection) -> int:
        """Confirm the clock from time to time while NTP keeps it; return the time of the last confirmation."""
        now_s = time.monotonic()
        if now_s >= self._next_confirmation_s and self._clock_wrong_since_ms is None and clock.is_synchronised():
            self._next_confirmation_s = now_s + _CONFIRMATION_INTERVAL_S
            clock.confirm(connection, clock_ms())
        return clock.confirmed_ms(connection)

    def _store_one_by_one(self) -> None:
        while self._waiting:
            logged, reading, _ = self._waiting[0]
            try:
                self._store_first(1)
            except RefusedReadingsError as error:
                _log.error(
                    "%s: the reading is dropped because the store refuses it: %s; its bytes: %s",
                    logged.settings.gadget,
                    error,
                    reading.raw.hex(),
                )
                del self._waiting[0]


def _settled(new: NewReading) -> NewReading:
    is_provisional = new.quality & Quality.UNCONFIRMED
    return new._replace(quality=new.quality & ~(Quality.CLOCK | Quality.UNCONFIRMED)) if is_provisional else new


def _newest_ms(store: Store, gadget: str) -> int:
    """Return the time of a device's newest reading, 0 if it has none or its time is doubtful."""
    newest = query.recent(store, query.streams(store, gadget), 1)
    return newest[0].t_utc_ms if newest and not newest[0].quality & Quality.CLOCK else 0
