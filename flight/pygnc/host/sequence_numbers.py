"""16-bit sequence numbers, acknowledgements, and the receivers of ordered and unordered sentences."""

from enum import Enum, auto, unique
from typing import Final, Generic, NamedTuple, TypeVar

MODULUS: Final = 1 << 16
_HALF: Final = MODULUS >> 1
BITMAP_BITS: Final = 32
"""Sequence numbers covered by the bit map of an acknowledgement."""

T = TypeVar("T")


def sequence_difference(number: int, base: int) -> int:
    """Return `number` minus `base` modulo 2**16, between -32768 and 32767."""
    return (number - base + _HALF) % MODULUS - _HALF


class Acknowledgement(NamedTuple):
    """Fields of an ACKN sentence: which numbers have arrived at its sender."""

    next_ordered: int
    later_ordered: int
    newest_unordered: int
    earlier_unordered: int

    def covers_ordered(self, number: int) -> bool:
        """Return whether this ordered sentence has arrived."""
        distance = sequence_difference(number, self.next_ordered)
        return distance < 0 or (0 < distance <= BITMAP_BITS and bool(self.later_ordered >> (distance - 1) & 1))

    def covers_unordered(self, number: int) -> bool:
        """Return whether this unordered sentence is known to have arrived."""
        distance = sequence_difference(self.newest_unordered, number)
        return distance == 0 or (0 < distance <= BITMAP_BITS and bool(self.earlier_unordered >> (distance - 1) & 1))


class ReorderBuffer(Generic[T]):
    """Receiver of ordered sentences: releases items in the order of their numbers.

    Args:
        window: Numbers accepted, counted from the first missing one.
        next_number: First number to release.
    """

    def __init__(self, window: int, next_number: int) -> None:
        self.next_number = next_number
        self._window = window
        self._held: dict[int, T] = {}

    def accept(self, number: int, item: T) -> list[T]:
        """Add an item and return the items released by it; drop a repetition or a number beyond the window."""
        if not 0 <= sequence_difference(number, self.next_number) < self._window:
            return []
        self._held.setdefault(number, item)
        released = []
        while self.next_number in self._held:
            released.append(self._held.pop(self.next_number))
            self.next_number = (self.next_number + 1) % MODULUS
        return released

    @property
    def later(self) -> int:
        """Bit map of held items; bit k is number `next_number` + 1 + k."""
        return sum(1 << (sequence_difference(number, self.next_number) - 1) for number in self._held)


@unique
class Arrival(Enum):
    """Classification of an unordered sentence by its number."""

    NEW = auto()
    LATE = auto()
    """A newer number arrived before it."""
    REPEATED = auto()
    """Received before, or too old to tell."""


class UnorderedReceiver:
    """Receiver of unordered sentences: detects repetitions and counts losses.

    Attributes:
        newest: Newest number received.
        missing: Numbers that did not arrive and are older than the bit map.
        earlier: Bit map of received numbers; bit k is number `newest` - 1 - k.
    """

    def __init__(self, next_number: int) -> None:
        self.newest = (next_number - 1) % MODULUS
        self.missing = 0
        self.earlier = (1 << BITMAP_BITS) - 1

    def accept(self, number: int) -> Arrival:
        """Record a number and classify it."""
        distance = sequence_difference(number, self.newest)
        if distance > 0:
            history = ((self.earlier << 1 | 1) << (distance - 1)) if distance <= BITMAP_BITS else 0
            self.missing += self._missing_before(distance)
            self.earlier = history & ((1 << BITMAP_BITS) - 1)
            self.newest = number
            return Arrival.NEW
        bit = 1 << (-distance - 1) if distance else 0
        if not bit or -distance > BITMAP_BITS or self.earlier & bit:
            return Arrival.REPEATED
        self.earlier |= bit
        return Arrival.LATE

    def _missing_before(self, distance: int) -> int:
        """Count missing numbers that leave the bit map when it moves forward by `distance`."""
        leaving = min(distance, BITMAP_BITS)
        received = self.earlier >> (BITMAP_BITS - leaving)
        return leaving - received.bit_count() + max(0, distance - BITMAP_BITS - 1)
