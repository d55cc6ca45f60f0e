"""Delays between repeated attempts."""

from collections.abc import Sequence


class Backoff:
    """Delays between attempts: a list whose last delay repeats, or delays that double up to a limit.

    It reads no clock and does not wait: the caller waits for the delay that `next` returns.

    Args:
        delays_s: delays after the first, second, ... failed attempt, s.

    Raises:
        ValueError: there are no delays.
    """

    def __init__(self, delays_s: Sequence[float]) -> None:
        if not delays_s:
            raise ValueError("delays_s is empty; expected at least one delay")
        self._delays_s = tuple(delays_s)
        self.failures = 0
        """Number of delays returned since the last `reset`."""

    @classmethod
    def doubling(cls, first_s: float, limit_s: float) -> "Backoff":
        """Return a backoff whose delays double from `first_s` up to `limit_s`.

        Raises:
            ValueError: the first delay is not positive or exceeds the limit.
        """
        if not 0 < first_s <= limit_s:
            raise ValueError(f"the first delay must be above 0 and at most the limit: {first_s} s, limit {limit_s} s")
        delays_s = [first_s]
        while delays_s[-1] < limit_s:
            delays_s.append(min(2 * delays_s[-1], limit_s))
        return cls(delays_s)

    def delay_s(self, failures: int) -> float:
        """Return the delay after `failures` failed attempts in a row, s (0 or 1: the first delay); changes no state."""
        return self._delays_s[min(max(failures - 1, 0), len(self._delays_s) - 1)]

    def next(self) -> float:
        """Count a failed attempt and return the delay until the next attempt, s."""
        self.failures += 1
        return self.delay_s(self.failures)

    def reset(self) -> None:
        """Restart at the first delay, after a successful attempt."""
        self.failures = 0
