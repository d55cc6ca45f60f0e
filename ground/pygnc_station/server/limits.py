"""How often somebody may try."""

import threading
import time
from collections import defaultdict, deque
from typing import Final

_MOST_CLIENTS: Final = 10_000


class RateLimit:
    """So many tries of a client, and ten times as many of all, in a time.

    Args:
        tries: of one client.
        window_s: the time.
    """

    def __init__(self, tries: int, window_s: float) -> None:
        self._tries = tries
        self._window_s = window_s
        self._times: defaultdict[str, deque[float]] = defaultdict(deque)
        self._lock = threading.Lock()

    def allows(self, client: str) -> bool:
        """Count a try; False: too many."""
        now_s = time.monotonic()
        with self._lock:
            if len(self._times) > _MOST_CLIENTS:
                for known in list(self._times):
                    if not self._recent(known, now_s):
                        del self._times[known]
            of_client, of_all = self._recent(client, now_s), self._recent("", now_s)
            if len(of_client) >= self._tries or len(of_all) >= 10 * self._tries:
                return False
            of_client.append(now_s)
            of_all.append(now_s)
        return True

    def _recent(self, client: str, now_s: float) -> deque[float]:
        times = self._times[client]
        while times and times[0] < now_s - self._window_s:
            times.popleft()
        return times
