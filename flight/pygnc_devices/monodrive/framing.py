"""Scanner of frames by the length in their header, for both byte orders and both header lengths."""

import math
import re
import struct
from functools import partial
from typing import Final, Literal

from pygnc_devices.framing import Damage, DamageReason, Frame, Scan, Scanner, scan_by
from pygnc_devices.monodrive.packets import FRAME_BYTES, HEADERS, START, Layout

Order = Literal[">", "<"]
KIND: Final = "IMU"
_BODY: Final = {order: struct.Struct(f"{order}x6fIHi") for order in (">", "<")}
_LENGTHS: Final = {
    (header + FRAME_BYTES).to_bytes(4, "big" if order == ">" else "little"): (header, order)
    for header in HEADERS
    for order in (">", "<")
}
_HEADER: Final = re.compile(b"|".join(map(re.escape, _LENGTHS)))
_LONGEST_BEGINNING: Final = 3
_LARGEST_ACCEL: Final = 1e6
_LARGEST_RATE: Final = 1e3
_SMALLEST: Final = 1e-9
"""Floats decoded in the wrong byte order are mostly tiny or huge."""


def scanner(layout: Layout) -> Scanner:
    """Return the scanner for a layout. The payload of its frames is the frame, after the header without its length."""
    return partial(_scan, layout)


def header_order(raw: bytes) -> tuple[int, Order]:
    """Return length and byte order of the header of a complete frame."""
    header, order = _LENGTHS[raw[:4]]
    return header, ">" if order == ">" else "<"


def orders_by_checksum(body: bytes) -> tuple[Order, ...] | None:
    """Return the byte orders in which the checksum of a 35-byte frame is right; None for a frame without checksum."""
    if body[29:31] == b"\0\0":
        return None
    total = sum(body[:29]) & 0xFFFF
    orders: tuple[Order, ...] = (">", "<")
    return tuple(o for o in orders if int.from_bytes(body[29:31], "big" if o == ">" else "little") == total)


def likely_order(body: bytes, usual: Order) -> Order:
    """Return the byte order of a frame of 35 bytes by its checksum, else by plausible values, else `usual`."""
    right = orders_by_checksum(body)
    if right is not None and len(right) == 1:
        return right[0]
    good = {order: _plausible_numbers(body, order) for order in _BODY}
    other: Order = "<" if usual == ">" else ">"
    return other if good[other] > good[usual] else usual


def unpack(body: bytes, order: Order) -> tuple[float | int, ...]:
    """Return the words of a frame of 35 bytes, unscaled: accelerations, rates, timer, checksum, time of week."""
    words: tuple[float | int, ...] = _BODY[order].unpack(body)
    return words


def _plausible_numbers(body: bytes, order: str) -> int:
    words = _BODY[order].unpack(body)[:6]
    limits = (_LARGEST_ACCEL,) * 3 + (_LARGEST_RATE,) * 3
    return sum(
        math.isfinite(word) and (word == 0 or _SMALLEST < abs(word) < limit)
        for word, limit in zip(words, limits, strict=True)
    )


def _scan(layout: Layout, octets: bytes, stalled: bool = False) -> Scan:  # noqa: FBT001, FBT002 - every scanner's
    return scan_by(partial(_find, layout), octets, stalled=stalled)


def _find(layout: Layout, octets: bytes, at: int, stalled: bool) -> Frame | Damage | None:  # noqa: FBT001 - see `scan_by`
    match = _HEADER.search(octets, at)
    begin = match.start() if match else len(octets) - _beginning(octets[at:])
    if match is None and stalled and begin == at:
        begin = at + 1
    if begin > at:
        return Damage(at, begin, DamageReason.NOISE)
    if match is None:
        return None
    header, _ = _LENGTHS[match[0]]
    end = at + header + FRAME_BYTES
    reason = _judge(layout, octets[at:end], header)
    if reason is None and end > len(octets):
        return Damage(at, at + 1, DamageReason.CUT) if stalled else None
    if reason is not None:
        return Damage(at, at + 1, reason)
    return Frame(KIND, octets[at + 4 : end], octets[at:end], at)


def _beginning(octets: bytes) -> int:
    """Return the number of bytes at the end that may begin a header."""
    return next(
        (
            count
            for count in range(min(_LONGEST_BEGINNING, len(octets)), 0, -1)
            if any(length.startswith(octets[-count:]) for length in _LENGTHS)
        ),
        0,
    )


def _judge(layout: Layout, raw: bytes, header: int) -> DamageReason | None:
    """Return the damage of a frame that may be incomplete; None without damage."""
    if len(raw) > header and raw[header] != START:
        return DamageReason.CONTENT
    if len(raw) < header + FRAME_BYTES or layout.checksum != "drop":
        return None
    right = orders_by_checksum(raw[header:])
    is_right = right is None or (bool(right) if layout.byte_order == "auto" else layout.byte_order in right)
    return None if is_right else DamageReason.CHECKSUM
