"""Sequence numbers wrap around; receivers account exactly for what has arrived."""

from hypothesis import given
from hypothesis import strategies as st

from pygnc.host.retransmission import (
    BITMAP_BITS,
    MODULUS,
    Acknowledgement,
    Arrival,
    ReorderBuffer,
    UnorderedReceiver,
    sequence_difference,
)

STARTS = st.sampled_from([0, 1, 100, MODULUS - 40, MODULUS - 1])


@given(st.integers(0, MODULUS - 1), st.integers(-1000, 1000))
def test_the_difference_wraps_around(base: int, distance: int) -> None:
    assert sequence_difference((base + distance) % MODULUS, base) == distance


@given(STARTS, st.integers(1, 32), st.lists(st.integers(0, 60), max_size=120))
def test_the_reorder_buffer_releases_each_item_once_and_in_order(start: int, window: int, offsets: list[int]) -> None:
    box = ReorderBuffer[int](window, start)
    released = [item for offset in offsets for item in box.accept((start + offset) % MODULUS, offset)]
    assert released == list(range(len(released)))
    assert box.next_number == (start + len(released)) % MODULUS
    acknowledgement = Acknowledgement(box.next_number, box.later, 0, 0)
    seen: set[int] = set()
    taken = 0
    for offset in offsets:  # model of a receiver with this window
        if taken <= offset < taken + window:
            seen.add(offset)
        while taken in seen:
            taken += 1
    for offset in range(61):
        arrived = offset < taken or offset in seen
        assert acknowledgement.covers_ordered((start + offset) % MODULUS) == arrived


@given(STARTS, st.lists(st.integers(0, 200), max_size=120))
def test_the_unordered_receiver_classifies_numbers(start: int, offsets: list[int]) -> None:
    box = UnorderedReceiver(start)
    seen: set[int] = set()
    for offset in offsets:
        newest = max(seen, default=-1)
        arrival = box.accept((start + offset) % MODULUS)
        if offset > newest:
            assert arrival is Arrival.NEW
        elif offset in seen or newest - offset > BITMAP_BITS:
            assert arrival is Arrival.REPEATED
            continue
        else:
            assert arrival is Arrival.LATE
        seen.add(offset)
    newest = max(seen, default=-1)
    acknowledgement = Acknowledgement(0, 0, box.newest, box.earlier)
    for offset in range(max(0, newest - BITMAP_BITS), newest + 1):
        assert acknowledgement.covers_unordered((start + offset) % MODULUS) == (offset in seen)
    assert not acknowledgement.covers_unordered((start + newest + 1) % MODULUS)
