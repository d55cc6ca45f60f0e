"""Delays between repeated attempts."""

from collections.abc import Sequence


class Backoff:
    """Sequence of delays between repeated attempts; the last delay repeats.

    It reads no clock and does not wait: the caller waits for the delay that `next` returns.

    Args:
        delays_s: Delays after the first, second, ... failed attempt, s.

    Raises:
        ValueError: There are no delays.
    """

    def __init__(self, delays_s: Sequence[float]) -> None:
        if not delays_s:
            raise ValueError("delays_s is empty; expected at least one delay")
        self._delays_s = tuple(delays_s)
        self.failures = 0
        """Number of delays returned since the last `reset`."""

    def next(self) -> float:
        """Count a failed attempt and return the delay until the next attempt, s."""
        self.failures += 1
        return self._delays_s[min(self.failures, len(self._delays_s)) - 1]

    def reset(self) -> None:
        """Restart at the first delay, after a successful attempt."""
        self.failures = 0
