"""Readings on their way from the thread that reads the port to whoever wants them.

Nobody holds a lock that the reading thread may wait for: a program that is ended by a signal, wherever it is, must not
keep that thread from leaving the device in order.
"""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from pygnc_devices.reading import Counts, Reading
from pygnc_devices.wake_event import Bell

QUEUE_DEPTH: Final = 1024
"""Readings that a subscriber may be behind before its oldest are dropped: 5 s at 200 Hz."""


class Subscription:
    """A bounded queue of readings, oldest dropped first.

    Attributes:
        bell: rings when there is something to take, or nothing more can come.
        drops: readings that were dropped because they were not fetched in time.
    """

    def __init__(self, feed: "Feed", depth: int, on_news: Callable[[], None] | None) -> None:
        self._feed = feed
        self.queue: deque[Reading] = deque()
        self.depth = depth
        self.bell = Bell()
        self.drops = 0
        self.on_news = on_news

    def take(self, timeout_s: float | None) -> Reading | None:
        """Return the next reading; None after the time, or at once when no more can come."""
        return self._feed.take(self, timeout_s)

    @property
    def is_over(self) -> bool:
        """Whether nothing is left and nothing can come."""
        return self._feed.is_closed and not self.queue

    def close(self) -> None:
        """End the subscription."""
        self._feed.unsubscribe(self)

    def tell(self) -> None:
        """Wake whoever waits."""
        self.bell.ring()
        if self.on_news is not None:
            self.on_news()


class Feed:
    """Gives each reading to all subscribers.

    Args:
        counts: where drops are counted.
        is_lossless: a recording waits for its subscribers in place of dropping; it also waits for the first to come.
    """

    def __init__(self, counts: Counts, *, is_lossless: bool) -> None:
        self._counts = counts
        self._is_lossless = is_lossless
        self._subscriptions: tuple[Subscription, ...] = ()
        self._subscribing = threading.Lock()
        self._room = Bell()
        self._latest: Reading | None = None
        self._error: Exception | None = None
        self.is_closed = False

    def subscribe(self, depth: int = QUEUE_DEPTH, on_news: Callable[[], None] | None = None) -> Subscription:
        """Return a queue that gets all readings from now on; `on_news` is called in the reading thread."""
        subscription = Subscription(self, depth, on_news)
        with self._subscribing:
            self._subscriptions = (*self._subscriptions, subscription)
        self._room.ring()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a queue."""
        with self._subscribing:
            self._subscriptions = tuple(entry for entry in self._subscriptions if entry is not subscription)
        self._room.ring()

    def latest(self, max_age_s: float) -> Reading | None:
        """Return the newest reading, or None if it is older than that."""
        reading = self._latest
        if reading is None or time.monotonic_ns() - reading.t_mono_ns > max_age_s * 1e9:
            return None
        return reading

    def put(self, reading: Reading) -> None:
        """Give a reading to all queues."""
        while self._is_lossless and not (self.is_closed or self._has_room()):
            self._room.wait(None)
        subscriptions = self._subscriptions
        for subscription in subscriptions:
            if len(subscription.queue) >= subscription.depth:
                self._drop_oldest(subscription)
            subscription.queue.append(reading)
        self._latest = reading
        for subscription in subscriptions:
            subscription.tell()

    def take(self, subscription: Subscription, timeout_s: float | None) -> Reading | None:
        """Return the next reading of a queue; see `Subscription.take`."""
        end_s = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            is_closed = self.is_closed  # looked at first: what came before the end is still taken
            try:
                reading = subscription.queue.popleft()
            except IndexError:
                if is_closed:
                    subscription.bell.ring()  # for others who wait
                    if self._error is not None:
                        raise self._error from None
                    return None
            else:
                if subscription.queue or self.is_closed:
                    subscription.bell.ring()  # likewise
                self._room.ring()
                return reading
            left_s = None if end_s is None else end_s - time.monotonic()
            if left_s is not None and left_s <= 0.0:
                return None
            subscription.bell.wait(left_s)

    def close(self, error: Exception | None = None) -> None:
        """Tell all subscribers that nothing more comes, and why if it is a fault."""
        self._error = self._error or error
        self.is_closed = True
        self._room.ring()
        for subscription in self._subscriptions:
            subscription.tell()

    def _has_room(self) -> bool:
        subscriptions = self._subscriptions
        return bool(subscriptions) and all(len(entry.queue) < entry.depth for entry in subscriptions)

    def _drop_oldest(self, subscription: Subscription) -> None:
        try:
            subscription.queue.popleft()
        except IndexError:  # fetched in this very moment
            return
        subscription.drops += 1
        self._counts.queue_drops += 1
