"""Scanner of frames by the length in their header, for both byte orders and both header lengths."""

import math
import re
import struct
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Final, Literal

from pygnc_devices.framing import DamageReason, Frame, FrameFormat, Scanner
from pygnc_devices.monodrive.packets import FRAME_BYTES, HEADERS, START, Layout

if TYPE_CHECKING:
    from pygnc_devices.series import Mask, Rows

Order = Literal[">", "<"]
KIND: Final = "IMU"
_ORDERS: Final[tuple[Order, ...]] = (">", "<")
_BODY: Final = {order: struct.Struct(f"{order}x6fIHi") for order in _ORDERS}
_LENGTHS: Final[dict[bytes, tuple[int, Order]]] = {
    (header + FRAME_BYTES).to_bytes(4, "big" if order == ">" else "little"): (header, order)
    for header in HEADERS
    for order in _ORDERS
}
LENGTH_BYTES: Final = 4
COUNT_AT: Final = 12
"""Offset of the count of samples, which long headers have."""
TIMER_AT: Final = 25
"""Offset of the timer in a frame without its header."""
_CHECKSUM_AT: Final = 29
_BEGINNINGS: Final = {length[:count] for length in _LENGTHS for count in range(1, LENGTH_BYTES)}
_HEADER: Final = re.compile(b"|".join([*map(re.escape, _LENGTHS), *(re.escape(part) + rb"\Z" for part in _BEGINNINGS)]))
_LARGEST_ACCEL: Final = 1e6
_LARGEST_RATE: Final = 1e3
_SMALLEST: Final = 1e-9
"""Floats decoded in the wrong byte order are mostly tiny or huge."""


def scanner(layout: Layout) -> Scanner:
    """Return the scanner for a layout. The payload of its frames is the frame, after the header without its length."""
    return FrameFormat(_HEADER, partial(_frame_at, layout)).scan


def header_order(raw: bytes) -> tuple[int, Order]:
    """Return length and byte order of the header of a complete frame."""
    return _LENGTHS[raw[:LENGTH_BYTES]]


def orders_by_checksum(body: bytes) -> tuple[Order, ...] | None:
    """Return the byte orders in which the checksum of a 35-byte frame is right; None for a frame without checksum."""
    stated = body[_CHECKSUM_AT : _CHECKSUM_AT + 2]
    if stated == b"\0\0":
        return None
    total = sum(body[:_CHECKSUM_AT]) & 0xFFFF
    return tuple(o for o in _ORDERS if int.from_bytes(stated, "big" if o == ">" else "little") == total)


def likely_order(body: bytes, usual: Order) -> Order:
    """Return the byte order of a frame of 35 bytes by its checksum, else by plausible values, else `usual`."""
    right = orders_by_checksum(body)
    if right is not None and len(right) == 1:
        return right[0]
    good = {order: _plausible_numbers(body, order) for order in _BODY}
    other: Order = "<" if usual == ">" else ">"
    return other if good[other] > good[usual] else usual


def check_of(header: int, order: Order) -> "Callable[[Rows], Mask]":
    """Return the check of frames whose checksum is right in one byte order and wrong in the other, see `Series`."""
    places = (header + _CHECKSUM_AT, header + _CHECKSUM_AT + 1)
    high, low = places if order == ">" else places[::-1]

    def are_intact(rows: "Rows") -> "Mask":
        total = rows[:, header : header + _CHECKSUM_AT].sum(axis=1) % 65536
        stated, reverse = (rows[:, first] * 256.0 + rows[:, second] for first, second in ((high, low), (low, high)))
        intact: Mask = (total == stated) & (total != reverse) & (total != 0)
        return intact

    return are_intact


def unpack(body: bytes, order: Order) -> tuple[float | int, ...]:
    """Return the words of a frame of 35 bytes, unscaled: accelerations, rates, timer, checksum, time of week."""
    words: tuple[float | int, ...] = _BODY[order].unpack(body)
    return words


def _plausible_numbers(body: bytes, order: Order) -> int:
    words = _BODY[order].unpack(body)[:6]
    limits = (_LARGEST_ACCEL,) * 3 + (_LARGEST_RATE,) * 3
    return sum(
        math.isfinite(word) and (word == 0 or _SMALLEST < abs(word) < limit)
        for word, limit in zip(words, limits, strict=True)
    )


def _frame_at(layout: Layout, octets: bytes, at: int, stalled: bool) -> Frame | DamageReason | None:  # noqa: ARG001, FBT001 - see `FrameFormat`
    if len(octets) - at < LENGTH_BYTES:
        return None
    header, _ = _LENGTHS[octets[at : at + LENGTH_BYTES]]
    raw = octets[at : at + header + FRAME_BYTES]
    if len(raw) > header and raw[header] != START:
        return DamageReason.CONTENT
    if len(raw) < header + FRAME_BYTES:
        return None
    if layout.checksum == "drop":
        right = orders_by_checksum(raw[header:])
        if right is not None and (not right if layout.byte_order == "auto" else layout.byte_order not in right):
            return DamageReason.CHECKSUM
    return Frame(KIND, raw[LENGTH_BYTES:], raw, at)
