"""What every simulated unit is to the line it hangs on."""

from typing import Protocol


class SimulatedUnit(Protocol):
    """A unit: bytes in, bytes out, in a time of its own. It owns no port, no thread and no clock.

    Attributes:
        baud: the speed it talks at now.
    """

    baud: int

    def receive(self, octets: bytes, now_s: float) -> None:
        """Take bytes from the line."""
        ...

    def run(self, now_s: float) -> bytes:
        """Return what it has sent up to now."""
        ...

    def next_s(self) -> float:
        """Return when it will next have something to send, at the latest; inf: when it is asked."""
        ...

    def power_cycle(self, now_s: float) -> None:
        """Start anew, from what it keeps without power."""
        ...
