"""Queues that carry readings from the thread that reads the port to subscribers.

The reading thread never waits for a lock of another thread: a signal that ends a program at any point must not keep the
reading thread from leaving the device in a safe state.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final, TypeAlias

from msgspec.structs import replace

from pygnc_devices.reading import Counters, Reading
from pygnc_system.wake_event import WakeEvent

QUEUE_DEPTH: Final = 1 << 17
"""Readings that a queue holds before the oldest are dropped: 20 min at 100 Hz. Only those that wait need memory."""
LIVE_DEPTH: Final = 1024
"""Depth of queues for displays, which need the newest readings only, and of recordings, which wait for readers."""


_Position: TypeAlias = tuple[int, int]
"""Number of readings of a kind of packet up to a reading, missing ones included, and the sum of their gaps, ns."""
_START: Final[_Position] = (0, 0)


class Subscription:
    """Bounded queue that drops its oldest readings; `lost_before` of the next reading of their kind counts them.

    Attributes:
        queue: readings that wait, each with its position among the readings of its kind.
        depth: largest number of waiting readings.
        drops: number of readings that were dropped because they were not taken in time.
    """

    def __init__(self, publisher: "Publisher", depth: int, notify: Callable[[], None] | None) -> None:
        self._publisher = publisher
        self._notify = notify
        self._changed = WakeEvent()
        self.queue: deque[tuple[Reading, _Position]] = deque()
        self.depth = depth
        self.drops = 0
        self._added: dict[str, _Position] = {}
        """Position of the newest reading of each kind; of the reading thread only."""
        self._taken: dict[str, _Position] = {}

    def take(self, timeout_s: float | None) -> Reading | None:
        """Return the next reading; None after `timeout_s` seconds, or at once if no more readings can arrive.

        Raises:
            Exception: the driver failed with this error.
        """
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            is_closed = self._publisher.is_closed  # read first: readings that came before the end are still returned
            try:
                reading, position = self.queue.popleft()
            except IndexError:
                if is_closed:
                    self._changed.set()  # for other waiting threads
                    if self._publisher.error is not None:
                        raise self._publisher.error from None
                    return None
            else:
                if self.queue or self._publisher.is_closed:
                    self._changed.set()  # for other waiting threads
                self._publisher.room.set()
                return self._with_drops(reading, position)
            left_s = None if end_s is None else end_s - time.monotonic()
            if left_s is not None and left_s <= 0.0:
                return None
            self._changed.wait(left_s)

    @property
    def is_over(self) -> bool:
        """True if the queue is empty and no more readings can arrive."""
        return self._publisher.is_closed and not self.queue

    def close(self) -> None:
        """End the subscription."""
        self._publisher.unsubscribe(self)

    def add(self, reading: Reading) -> int:
        """Append a reading; return the number of readings dropped for it."""
        dropped = 0
        if len(self.queue) >= self.depth:
            try:
                self.queue.popleft()
                dropped = 1
            except IndexError:  # taken by its reader in the meantime
                pass
        kind = reading.packet.name
        number, gap_ns = self._added.get(kind, _START)
        position = self._added[kind] = number + 1 + reading.lost_before, gap_ns + reading.gap_ns
        self.queue.append((reading, position))
        self.drops += dropped
        return dropped

    def _with_drops(self, reading: Reading, position: _Position) -> Reading:
        """Return a reading whose losses and gap include those of the readings dropped before it."""
        kind = reading.packet.name
        number, gap_ns = self._taken.get(kind, _START)
        self._taken[kind] = position
        lost_before, gap_ns = position[0] - number - 1, position[1] - gap_ns
        if lost_before == reading.lost_before:
            return reading
        return replace(reading, lost_before=lost_before, gap_ns=gap_ns)

    def wake(self) -> None:
        """Wake the threads that wait for a reading."""
        self._changed.set()
        if self._notify is not None:
            self._notify()


class Publisher:
    """Passes each reading to all subscriptions.

    Args:
        counters: counts readings and drops.
        is_lossless: block until every queue has room instead of dropping, and wait for the first subscription: for
            recordings.

    Attributes:
        is_closed: True if no more readings are published.
        error: error of the driver, if it failed.
        room: event that is set when a queue may have room again.
    """

    def __init__(self, counters: Counters, *, is_lossless: bool) -> None:
        self._counters = counters
        self._is_lossless = is_lossless
        self._subscriptions: tuple[Subscription, ...] = ()
        self._changing = threading.Lock()  # of subscribers only: the reading thread never acquires it
        self._latest: Reading | None = None
        self.room = WakeEvent()
        self.error: Exception | None = None
        self.is_closed = False

    def subscribe(self, depth: int = QUEUE_DEPTH, notify: Callable[[], None] | None = None) -> Subscription:
        """Return a queue that receives all readings from now on; `notify` is called in the reading thread."""
        subscription = Subscription(self, min(depth, LIVE_DEPTH) if self._is_lossless else depth, notify)
        with self._changing:
            self._subscriptions = (*self._subscriptions, subscription)
        self.room.set()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Remove a queue."""
        with self._changing:
            self._subscriptions = tuple(entry for entry in self._subscriptions if entry is not subscription)
        self.room.set()

    def latest(self, max_age_s: float) -> Reading | None:
        """Return the newest reading, or None if it is older than `max_age_s` seconds."""
        reading = self._latest
        is_new = reading is not None and time.monotonic_ns() - reading.t_mono_ns <= max_age_s * 1e9
        return reading if is_new else None

    def publish(self, reading: Reading) -> None:
        """Append a reading to all queues."""
        while self._is_lossless and not (self.is_closed or self._has_room()):
            self.room.wait(None)
        # Recorded bytes arrive at once; only the device's clock shows their rate.
        self._counters.add_reading(
            reading.t_mono_ns, reading.lost_before, reading.t_device_ns if self._is_lossless else reading.t_mono_ns
        )
        subscriptions = self._subscriptions
        for subscription in subscriptions:
            self._counters.queue_drops += subscription.add(reading)
        self._latest = reading
        for subscription in subscriptions:
            subscription.wake()

    def close(self, error: Exception | None = None) -> None:
        """End all subscriptions; `error` is the error of a failed driver."""
        self.error = self.error or error
        self.is_closed = True
        self.room.set()
        for subscription in self._subscriptions:
            subscription.wake()

    def _has_room(self) -> bool:
        subscriptions = self._subscriptions
        return bool(subscriptions) and all(len(entry.queue) < entry.depth for entry in subscriptions)
