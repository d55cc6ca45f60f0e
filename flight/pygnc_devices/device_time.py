"""Continuous time from the wrapping counter of a device."""

from typing import Final

NS_PER_S: Final = 1_000_000_000
_RESTART_NS: Final = 2 * NS_PER_S
"""A counter that has advanced further than this beyond the host's clock was reset: the device has restarted."""


class CounterUnwrapper:
    """Continues a counter over its wraps, over gaps longer than a wrap, and over restarts of the device.

    Long gaps and restarts are recognised by the host's monotonic clock, if the length of a tick is known.

    Args:
        modulus: number of different counts.

    Attributes:
        total: ticks since the first count.
        is_restart: whether the last step began after a restart of the device, and comes from the host's clock.
    """

    def __init__(self, modulus: int) -> None:
        self._modulus = modulus
        self._last: int | None = None
        self._last_host_ns: int | None = None
        self.total = 0
        self.is_restart = False

    def step_to(self, count: int) -> int:
        """Return the ticks to the next count, assuming that no whole wrap is missing."""
        return 0 if self._last is None else (count - self._last) % self._modulus

    def advance(
        self, count: int, tick_ns: float = 0.0, host_ns: int | None = None, *, may_have_wrapped: bool = True
    ) -> int:
        """Return the ticks since the previous count, 0 for the first.

        Args:
            count: the counter, 0 to modulus - 1.
            tick_ns: length of a tick; 0: unknown.
            host_ns: arrival on the host's monotonic clock; None: unknown.
            may_have_wrapped: whether a late arrival can mean whole wraps.
        """
        step = self.step_to(count)
        elapsed_ns = None if host_ns is None or self._last_host_ns is None else host_ns - self._last_host_ns
        self.is_restart = False
        if elapsed_ns is not None and tick_ns:
            if may_have_wrapped:
                missing_ns = elapsed_ns - step * tick_ns
                step += self._modulus * max(0, round(missing_ns / (self._modulus * tick_ns)))
            if step * tick_ns > elapsed_ns + _RESTART_NS:
                self.is_restart = True
                step = max(1, round(elapsed_ns / tick_ns))
        self._last, self._last_host_ns = count, host_ns
        self.total += step
        return step
