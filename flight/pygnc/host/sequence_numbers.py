"""Sequence numbers of 16 bits, and what has arrived of them."""

from enum import Enum, auto, unique
from typing import Final, Generic, NamedTuple, TypeVar

MODULUS: Final = 1 << 16
_HALF: Final = MODULUS >> 1
BITS: Final = 32
"""Numbers that a bit map of an acknowledgement covers."""

T = TypeVar("T")


def ahead(number: int, base: int) -> int:
    """How far `number` is ahead of `base`; negative if it is behind."""
    return (number - base + _HALF) % MODULUS - _HALF


class Acknowledgement(NamedTuple):
    """What an end says has arrived: the fields of ACKN."""

    next_in_order: int
    later_in_order: int
    newest_at_once: int
    earlier_at_once: int

    def covers_in_order(self, number: int) -> bool:
        """Whether this number in order has arrived."""
        distance = ahead(number, self.next_in_order)
        return distance < 0 or (0 < distance <= BITS and bool(self.later_in_order >> (distance - 1) & 1))

    def covers_at_once(self, number: int) -> bool:
        """Whether this number delivered at once is known to have arrived."""
        distance = ahead(self.newest_at_once, number)
        return distance == 0 or (0 < distance <= BITS and bool(self.earlier_at_once >> (distance - 1) & 1))


class InOrder(Generic[T]):
    """Puts what arrives back into the order of its numbers; holds at most `window` numbers from the missing one on."""

    def __init__(self, window: int, next_number: int) -> None:
        self.next_number = next_number
        self._window = window
        self._held: dict[int, T] = {}

    def accept(self, number: int, item: T) -> list[T]:
        """Take an item; return those that are now at their turn. What came before, or is too far ahead, is dropped."""
        if not 0 <= ahead(number, self.next_number) < self._window:
            return []
        self._held.setdefault(number, item)
        released = []
        while self.next_number in self._held:
            released.append(self._held.pop(self.next_number))
            self.next_number = (self.next_number + 1) % MODULUS
        return released

    @property
    def later(self) -> int:
        """Bit k: number next_number + 1 + k is held."""
        return sum(1 << (ahead(number, self.next_number) - 1) for number in self._held)


@unique
class Arrival(Enum):
    """How a number delivered at once has come."""

    NEW = auto()
    LATE = auto()
    """Behind a newer one."""
    REPEATED = auto()
    """Not for the first time, or too old to tell."""


class AtOnce:
    """Tells new numbers from repeated ones, and counts those that never came.

    Attributes:
        newest: the newest number that has arrived.
        missing: numbers that have not come and are too old to come.
    """

    def __init__(self, next_number: int) -> None:
        self.newest = (next_number - 1) % MODULUS
        self.missing = 0
        self._earlier = (1 << BITS) - 1

    @property
    def earlier(self) -> int:
        """Bit k: number newest - 1 - k has arrived."""
        return self._earlier

    def accept(self, number: int) -> Arrival:
        """Take a number."""
        distance = ahead(number, self.newest)
        if distance > 0:
            history = ((self._earlier << 1 | 1) << (distance - 1)) if distance <= BITS else 0
            self.missing += self._fallen_out(distance)
            self._earlier = history & ((1 << BITS) - 1)
            self.newest = number
            return Arrival.NEW
        bit = 1 << (-distance - 1) if distance else 0
        if not bit or -distance > BITS or self._earlier & bit:
            return Arrival.REPEATED
        self._earlier |= bit
        return Arrival.LATE

    def _fallen_out(self, distance: int) -> int:
        """How many numbers, never seen, leave the map when it moves on by `distance`."""
        leaving = min(distance, BITS)
        left = self._earlier >> (BITS - leaving)
        never_in_map = max(0, distance - BITS - 1)
        return leaving - left.bit_count() + never_in_map
