"""How long to wait for an acknowledgement (the estimator of RFC 6298, with limits for a serial line)."""

from typing import Final

_TIMEOUT_START_S: Final = 1.0
_TIMEOUT_MIN_S: Final = 0.2
_TIMEOUT_MAX_S: Final = 2.0


class RoundTrip:
    """Smoothed round trip time and its deviation."""

    def __init__(self) -> None:
        self._mean_s: float | None = None
        self._deviation_s = 0.0

    @property
    def timeout_s(self) -> float:
        """After this long without an acknowledgement, a sentence is taken for lost."""
        if self._mean_s is None:
            return _TIMEOUT_START_S
        return min(max(self._mean_s + 4.0 * self._deviation_s, _TIMEOUT_MIN_S), _TIMEOUT_MAX_S)

    def measured(self, duration_s: float) -> None:
        """Take the round trip of a sentence that was sent once."""
        if self._mean_s is None:
            self._mean_s, self._deviation_s = duration_s, duration_s / 2.0
            return
        self._deviation_s += (abs(duration_s - self._mean_s) - self._deviation_s) / 4.0
        self._mean_s += (duration_s - self._mean_s) / 8.0
