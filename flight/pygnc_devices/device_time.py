"""From a device's wrapping counter to a time that goes on."""

from typing import Final

NS_PER_S: Final = 1_000_000_000


class Unwrapper:
    """Continues a counter of `modulus` ticks over its wraps.

    A gap longer than a wrap is resolved by this computer's clock, if that is given: whole wraps are what it says, the
    rest is what the counter says.
    """

    def __init__(self, modulus: int) -> None:
        self._modulus = modulus
        self._last: int | None = None
        self._last_host_ns: int | None = None
        self.total = 0
        """Ticks since the first count."""

    def step_to(self, count: int) -> int:
        """Return the ticks to a count if no whole wraps lie between."""
        return 0 if self._last is None else (count - self._last) % self._modulus

    def take(
        self, count: int, tick_ns: float = 0.0, host_ns: int | None = None, *, may_have_wrapped: bool = True
    ) -> int:
        """Return the ticks since the count before, 0 for the first.

        Args:
            count: the counter, 0 to modulus - 1.
            tick_ns: length of a tick; with 0 gaps longer than a wrap are not resolved.
            host_ns: arrival, monotonic clock.
            may_have_wrapped: whether a late arrival may mean whole wraps.
        """
        step = self.step_to(count)
        if may_have_wrapped and tick_ns and host_ns is not None and self._last_host_ns is not None:
            beyond_ns = host_ns - self._last_host_ns - step * tick_ns
            step += self._modulus * max(0, round(beyond_ns / (self._modulus * tick_ns)))
        self._last, self._last_host_ns = count, host_ns
        self.total += step
        return step
