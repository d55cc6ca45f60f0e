"""Readings on their way from the thread that reads the port to whoever wants them."""

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from pygnc_devices.reading import Reading
from pygnc_devices.statistics import Counts

QUEUE_DEPTH: Final = 1024
"""Readings that a subscriber may be behind before its oldest are dropped: 5 s at 200 Hz."""


class Subscription:
    """A bounded queue of readings, oldest dropped first.

    Attributes:
        drops: readings that were dropped because they were not fetched in time.
    """

    def __init__(self, feed: "Feed", depth: int, on_news: Callable[[], None] | None) -> None:
        self._feed = feed
        self.queue: deque[Reading] = deque()
        self.depth = depth
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


class Feed:
    """Gives each reading to all subscribers.

    Args:
        counts: where drops are counted.
        is_lossless: a recording waits for its subscribers in place of dropping; it also waits for the first to come.
    """

    def __init__(self, counts: Counts, *, is_lossless: bool) -> None:
        self._counts = counts
        self._is_lossless = is_lossless
        self._subscriptions: list[Subscription] = []
        self._changed = threading.Condition()
        self._latest: Reading | None = None
        self._error: Exception | None = None
        self.is_closed = False

    def subscribe(self, depth: int = QUEUE_DEPTH, on_news: Callable[[], None] | None = None) -> Subscription:
        """Return a queue that gets all readings from now on; `on_news` is called in the reading thread."""
        subscription = Subscription(self, depth, on_news)
        with self._changed:
            self._subscriptions.append(subscription)
            self._changed.notify_all()
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """Forget a queue."""
        with self._changed:
            if subscription in self._subscriptions:
                self._subscriptions.remove(subscription)
            self._changed.notify_all()

    def latest(self, max_age_s: float) -> Reading | None:
        """Return the newest reading, or None if it is older than that."""
        reading = self._latest
        if reading is None or time.monotonic_ns() - reading.t_mono_ns > max_age_s * 1e9:
            return None
        return reading

    def put(self, reading: Reading) -> None:
        """Give a reading to all queues."""
        with self._changed:
            if self._is_lossless:
                self._changed.wait_for(lambda: self.is_closed or self._has_room())
            for subscription in self._subscriptions:
                if len(subscription.queue) >= subscription.depth:
                    subscription.queue.popleft()
                    subscription.drops += 1
                    self._counts.queue_drops += 1
                subscription.queue.append(reading)
            self._latest = reading
            self._changed.notify_all()
            listeners = [entry.on_news for entry in self._subscriptions if entry.on_news is not None]
        for on_news in listeners:
            on_news()

    def take(self, subscription: Subscription, timeout_s: float | None) -> Reading | None:
        """Return the next reading of a queue; see `Subscription.take`."""
        with self._changed:
            self._changed.wait_for(lambda: subscription.queue or self.is_closed, timeout_s)
            if subscription.queue:
                reading = subscription.queue.popleft()
                if self._is_lossless:
                    self._changed.notify_all()
                return reading
            if self._error is not None:
                raise self._error
            return None

    def close(self, error: Exception | None = None) -> None:
        """Tell all subscribers that nothing more comes, and why if it is a fault."""
        with self._changed:
            self.is_closed = True
            self._error = self._error or error
            self._changed.notify_all()
            listeners = [entry.on_news for entry in self._subscriptions if entry.on_news is not None]
        for on_news in listeners:
            on_news()

    def _has_room(self) -> bool:
        return bool(self._subscriptions) and all(len(entry.queue) < entry.depth for entry in self._subscriptions)
