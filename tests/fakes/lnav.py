"""Subframes of the GPS navigation message, written by the tables of IS-GPS-200 as (word, bit, count) fields.

The parity is that of the linear code of IS-GPS-200, table 20-XIV, term by term.
"""

from collections.abc import Mapping, Sequence

Field = tuple[int, int, int]

EPHEMERIS_FIELDS: dict[int, dict[str, tuple[Field, ...]]] = {
    1: {
        "week": ((3, 1, 10),),
        "accuracy": ((3, 13, 4),),
        "health": ((3, 17, 6),),
        "iodc": ((3, 23, 2), (8, 1, 8)),
        "tgd": ((7, 17, 8),),
        "toc": ((8, 9, 16),),
        "af2": ((9, 1, 8),),
        "af1": ((9, 9, 16),),
        "af0": ((10, 1, 22),),
    },
    2: {
        "iode": ((3, 1, 8),),
        "crs": ((3, 9, 16),),
        "delta_n": ((4, 1, 16),),
        "m0": ((4, 17, 8), (5, 1, 24)),
        "cuc": ((6, 1, 16),),
        "e": ((6, 17, 8), (7, 1, 24)),
        "cus": ((8, 1, 16),),
        "sqrt_a": ((8, 17, 8), (9, 1, 24)),
        "toe": ((10, 1, 16),),
        "fit": ((10, 17, 1),),
    },
    3: {
        "cic": ((3, 1, 16),),
        "omega0": ((3, 17, 8), (4, 1, 24)),
        "cis": ((5, 1, 16),),
        "i0": ((5, 17, 8), (6, 1, 24)),
        "crc": ((7, 1, 16),),
        "omega": ((7, 17, 8), (8, 1, 24)),
        "omega_dot": ((9, 1, 24),),
        "iode": ((10, 1, 8),),
        "idot": ((10, 9, 14),),
    },
}
_PARITY_TERMS = (
    (29, (1, 2, 3, 5, 6, 10, 11, 12, 13, 14, 17, 18, 20, 23)),
    (30, (2, 3, 4, 6, 7, 11, 12, 13, 14, 15, 18, 19, 21, 24)),
    (29, (1, 3, 4, 5, 7, 8, 12, 13, 14, 15, 16, 19, 20, 22)),
    (30, (2, 4, 5, 6, 8, 9, 13, 14, 15, 16, 17, 20, 21, 23)),
    (30, (1, 3, 5, 6, 7, 9, 10, 14, 15, 16, 17, 18, 21, 22, 24)),
    (29, (3, 5, 6, 8, 9, 10, 11, 13, 15, 19, 22, 23, 24)),
)


def subframe_words(number: int, tow_s: int, values: Mapping[str, int]) -> list[int]:
    """Return the ten words of 24 data bits of a subframe with raw values of its fields."""
    words = [[0] * 24 for _ in range(10)]

    def put(field: Field, value: int) -> None:
        word, bit, count = field
        for place in range(count):
            words[word - 1][bit - 1 + place] = value >> (count - 1 - place) & 1

    put((1, 1, 8), 0x8B)
    put((2, 1, 17), tow_s // 6 + 1)
    put((2, 20, 3), number)
    for name, fields in EPHEMERIS_FIELDS.get(number, {}).items():
        left = sum(count for _, _, count in fields)
        for field in fields:
            left -= field[2]
            put(field, values.get(name, 0) >> left & ((1 << field[2]) - 1))
    return [int("".join(map(str, word)), 2) for word in words]


def sent_words(words: Sequence[int], form: str = "sent") -> list[int]:
    """Return words of 30 bits with parity: as sent, or as u-blox ("turned") or other receivers ("data") give them.

    The last two bits of words 2 and 10 are zero by the choice of the data bits 23 and 24, as satellites do.
    """
    found, d29, d30 = [], 0, 0
    for number, word in enumerate(words, start=1):
        for tail in range(4) if number in {2, 10} else (word & 3,):
            data = word & ~3 | tail
            bits = [data >> (24 - k) & 1 for k in range(1, 25)]
            before = {29: d29, 30: d30}
            parity = [(before[last] + sum(bits[k - 1] for k in terms)) % 2 for last, terms in _PARITY_TERMS]
            if number not in {2, 10} or parity[4:] == [0, 0]:
                break
        sent = data << 6 | int("".join(map(str, parity)), 2)
        if d30 and form == "sent":
            sent ^= 0xFFFFFF << 6
        if d30 and form == "turned":
            sent ^= 0x3F
        found.append(sent)
        d29, d30 = parity[4:]
    return found
