"""GPS navigation message LNAV: parity of its words, and ephemerides from its subframes.

Source: IS-GPS-200N, 20.3.3 (subframes), 20.3.5 (parity), tables 20-I, 20-III and 20-XII.
"""

import math
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc_ground.gnss.broadcast import EPHEMERIS, MOST_ECCENTRIC, SQRT_A_RANGE_SQRT_M, Klobuchar

WORDS: Final = 10
"""Number of words in a subframe, each of 24 data bits and 6 parity bits."""
_WORD_BITS: Final = 24
_SUBFRAME_BITS: Final = WORDS * _WORD_BITS
_PREAMBLE: Final = 0x8B
_PARITY_MASKS: Final = (0xEC7CD2, 0x763E69, 0xBB1F34, 0x5D8F9A, 0xAEC7CD, 0x2DEA27)
"""Data bits in the sums of the parity bits D25 to D30; bit 23 is d1."""
_FROM_D30: Final = (False, True, False, True, True, False)
"""True where a parity bit contains D30 of the previous word, else it contains D29."""
_FORMS: Final = ((False, True), (True, False), (False, False))
"""Whether data and parity have to be inverted after a D30 of 1; u-blox receivers have the first form."""
_S_PER_TOW: Final = 6
_S_PER_WEEK: Final = 604_800
_NS_PER_S: Final = 1_000_000_000
_WEEK_NS: Final = _S_PER_WEEK * _NS_PER_S
_WEEKS: Final = 1024
_ACCURACY_M: Final = (2.4, 3.4, 4.85, 6.85, 9.65, 13.65, 24.0, 48.0, 96.0, 192.0, 384.0, 768.0, 1536.0, 3072.0, 6144.0)
_FIT_INTERVALS_H: Final = (
    (range(240, 248), 8.0),
    (range(248, 256), 14.0),
    (range(496, 497), 14.0),
    (range(497, 504), 26.0),
    (range(1021, 1024), 26.0),
    (range(504, 511), 50.0),
)
_IONOSPHERE_PAGE: Final = 56
"""Identifier of page 18 of subframe 4."""


def words_of(raw: Sequence[int]) -> tuple[int, ...] | None:
    """Return the data bits of ten words of 30 bits, or None if a parity is wrong.

    Receivers give words that follow a D30 of 1 as they are sent (inverted data), or with all bits inverted back, or
    with the data inverted back but not the parity.
    """
    return next((words for form in _FORMS if (words := _in_form(raw, *form)) is not None), None)


def _in_form(raw: Sequence[int], inverts_data: bool, inverts_parity: bool) -> tuple[int, ...] | None:  # noqa: FBT001 - see `_FORMS`
    # The last two bits of a subframe are zeros, and so precede the first word.
    found, previous = list[int](), 0
    for word in raw:
        is_inverted = previous & 1
        data = word >> 6 & 0xFFFFFF ^ (0xFFFFFF if is_inverted and inverts_data else 0)
        sent = word & 0x3F ^ (0x3F if is_inverted and inverts_parity else 0)
        if _parity(data, previous) != sent:
            return None
        found.append(data)
        previous = sent
    return tuple(found)


def _parity(data: int, previous: int) -> int:
    value = 0
    for mask, from_d30 in zip(_PARITY_MASKS, _FROM_D30, strict=True):
        carried = previous & 1 if from_d30 else previous >> 1 & 1
        value = value << 1 | ((data & mask).bit_count() & 1 ^ carried)
    return value


class Subframe(NamedTuple):
    """Subframe of 240 data bits as one number."""

    bits: int

    @classmethod
    def of(cls, words: Sequence[int]) -> "Subframe | None":
        """Return the subframe of ten words of 24 bits; None if it has no preamble or an unknown number."""
        bits = 0
        for word in words:
            bits = bits << _WORD_BITS | word
        found = cls(bits)
        is_sound = len(words) == WORDS and found.unsigned(1, 1, 8) == _PREAMBLE and 1 <= found.number <= 5
        return found if is_sound and found.tow_s < _S_PER_WEEK else None

    @property
    def number(self) -> int:
        """Number of the subframe, 1 to 5."""
        return self.unsigned(2, 20, 3)

    @property
    def tow_s(self) -> int:
        """Time of week at which the subframe begins."""
        return (self.unsigned(2, 1, 17) - 1) % (_S_PER_WEEK // _S_PER_TOW) * _S_PER_TOW

    def unsigned(self, word: int, bit: int, count: int) -> int:
        """Return `count` data bits from a bit of a word on, both counted from 1; they may reach into the next word."""
        end = _WORD_BITS * (word - 1) + bit - 1 + count
        return self.bits >> (_SUBFRAME_BITS - end) & ((1 << count) - 1)

    def scaled(self, word: int, bit: int, count: int, exponent: int) -> float:
        """Return a number in two's complement times two to an exponent."""
        value = self.unsigned(word, bit, count)
        return math.ldexp(value - (value >> (count - 1) << count), exponent)


class Messages:
    """Ephemerides of the subframes of one receiver.

    Subframes 1 to 3 of one satellite form an ephemeris when their issues agree.

    Args:
        kept: Number of ephemerides of a satellite that are kept, the newest; None for all.
    """

    def __init__(self, kept: int | None = None) -> None:
        self._kept = kept
        self._subframes: dict[int, dict[int, Subframe]] = {}
        self._found: dict[tuple[int, int, int], tuple[Any, ...]] = {}
        self.klobuchar: Klobuchar | None = None

    def add(self, prn: int, subframe: Subframe) -> bool:
        """Add a subframe; return True if it completed an ephemeris that was not known."""
        number = subframe.number
        if number == 4 and subframe.unsigned(3, 3, 6) == _IONOSPHERE_PAGE:
            self.klobuchar = _ionosphere(subframe)
        if number > 3:
            return False
        parts = self._subframes.setdefault(prn, {})
        parts[number] = subframe
        if len(parts) < 3:
            return False
        issues = {parts[1].unsigned(8, 1, 8), parts[2].unsigned(3, 1, 8), parts[3].unsigned(10, 1, 8)}
        row = _ephemeris(prn, parts) if len(issues) == 1 else None
        if row is None:
            return False
        key = prn, parts[1].unsigned(3, 23, 2), parts[2].unsigned(10, 1, 16) << 8 | issues.pop()
        is_new = key not in self._found
        self._found.setdefault(key, row)
        if is_new and self._kept is not None:
            for old in [one for one in self._found if one[0] == prn][: -self._kept]:
                del self._found[old]
        return is_new

    def ephemerides(self, near_gps_ns: int) -> npt.NDArray[np.void]:
        """Return all ephemerides, shape (n,); weeks, counted modulo 1024 by the message, are nearest to a time."""
        return np.array([_dated(row, near_gps_ns) for row in self._found.values()], EPHEMERIS)


def _dated(row: tuple[Any, ...], near_gps_ns: int) -> tuple[Any, ...]:
    prn, toe_ns, toc_ns, sent_ns, *others = row
    period_ns = _WEEKS * _WEEK_NS
    sent_ns += round((near_gps_ns - sent_ns) / period_ns) * period_ns
    # Times of a week are within half a week of the transmission.
    toe_ns, toc_ns = (at_ns + round((sent_ns - at_ns) / _WEEK_NS) * _WEEK_NS for at_ns in (toe_ns, toc_ns))
    return prn, toe_ns, toc_ns, sent_ns, *others


def _ionosphere(page: Subframe) -> Klobuchar:
    alpha = tuple(
        page.scaled(word, bit, 8, power) for word, bit, power in ((3, 9, -30), (3, 17, -27), (4, 1, -24), (4, 9, -24))
    )
    beta = tuple(
        page.scaled(word, bit, 8, power) for word, bit, power in ((4, 17, 11), (5, 1, 14), (5, 9, 16), (5, 17, 16))
    )
    return Klobuchar(alpha, beta)


def _fit_interval_h(iodc: int, *, is_extended: bool) -> float:
    if not is_extended:
        return 4.0
    return next((hours for issues, hours in _FIT_INTERVALS_H if iodc in issues), 6.0)


def _ephemeris(prn: int, parts: dict[int, Subframe]) -> tuple[Any, ...] | None:
    """Return the values of an ephemeris with times of the week; None for an orbit that is not one of GPS."""
    one, two, three = parts[1], parts[2], parts[3]
    sqrt_a, e = math.ldexp(two.unsigned(8, 17, 32), -19), math.ldexp(two.unsigned(6, 17, 32), -33)
    if not (SQRT_A_RANGE_SQRT_M[0] < sqrt_a < SQRT_A_RANGE_SQRT_M[1] and e < MOST_ECCENTRIC):
        return None
    iodc = one.unsigned(3, 23, 2) << 8 | one.unsigned(8, 1, 8)
    index = one.unsigned(3, 13, 4)
    sent_s = one.unsigned(3, 1, 10) * _S_PER_WEEK + one.tow_s
    return (
        prn,
        16 * two.unsigned(10, 1, 16) * _NS_PER_S,
        16 * one.unsigned(8, 9, 16) * _NS_PER_S,
        sent_s * _NS_PER_S,
        two.unsigned(3, 1, 8),
        iodc,
        one.unsigned(3, 17, 6),
        _ACCURACY_M[index] if index < len(_ACCURACY_M) else math.inf,
        _fit_interval_h(iodc, is_extended=bool(two.unsigned(10, 17, 1))),
        one.scaled(7, 17, 8, -31),
        one.scaled(10, 1, 22, -31),
        one.scaled(9, 9, 16, -43),
        one.scaled(9, 1, 8, -55),
        sqrt_a,
        e,
        math.pi * two.scaled(4, 17, 32, -31),
        math.pi * two.scaled(4, 1, 16, -43),
        math.pi * three.scaled(3, 17, 32, -31),
        math.pi * three.scaled(5, 17, 32, -31),
        math.pi * three.scaled(7, 17, 32, -31),
        math.pi * three.scaled(9, 1, 24, -43),
        math.pi * three.scaled(10, 9, 14, -43),
        two.scaled(6, 1, 16, -29),
        two.scaled(8, 1, 16, -29),
        three.scaled(7, 1, 16, -5),
        two.scaled(3, 9, 16, -5),
        three.scaled(3, 1, 16, -29),
        three.scaled(5, 1, 16, -29),
    )
