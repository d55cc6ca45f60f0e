"""Check many recorded sentences at once with NumPy: those with words of the same lengths as an intact sentence."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

import numpy as np

from pygnc_devices.emus.framing import crc8
from pygnc_devices.series import crc_rows
from pygnc_devices.text_declaration import Sentence

if TYPE_CHECKING:
    from pygnc_devices.series import Mask, Rows

NAME_BYTES: Final = 4
"""Bytes of the name of a sentence with its comma."""
_TAIL_BYTES: Final = 4
"""Bytes of the checksum and the line end, CR LF."""
_LINE_END_BYTES: Final = 2
_DIGIT, _HEXADECIMAL, _TEXT = 1, 2, 4
_HEXADECIMAL_DIGITS: Final = b"0123456789ABCDEFabcdef"
_CLASSES: Final = np.zeros(256, np.uint8)
"""Classes of each character, as bits."""
_CLASSES[0x20:0x7F] = _TEXT
_CLASSES[ord(",")] = 0
_CLASSES[list(_HEXADECIMAL_DIGITS)] |= _HEXADECIMAL
_CLASSES[list(b"0123456789")] |= _DIGIT
_NIBBLES: Final = np.zeros(256, np.uint16)
_NIBBLES[list(_HEXADECIMAL_DIGITS)] = [int(chr(digit), 16) for digit in _HEXADECIMAL_DIGITS]
_CLASS_OF_CODE: Final = {"u": _HEXADECIMAL, "i": _HEXADECIMAL, "b": _HEXADECIMAL, "h": _HEXADECIMAL, "t": _TEXT}


class Template:
    """Sentences with words of the same lengths as those of an intact sentence, the size of a group of cells included.

    Attributes:
        fixed: offsets of the characters that are equal in all of them.
    """

    def __init__(self, sentence: Sentence, raw: bytes) -> None:
        classes = list(_classes(sentence, raw[NAME_BYTES : -_TAIL_BYTES - 1]))
        wanted = np.zeros(len(raw), np.uint8)
        wanted[NAME_BYTES : NAME_BYTES + len(classes)] = classes
        wanted[-_TAIL_BYTES:-_LINE_END_BYTES] = _HEXADECIMAL
        self.fixed = np.flatnonzero(wanted == 0).tolist()
        self._places = np.flatnonzero(wanted)
        self._wanted = wanted[self._places]

    def are_intact(self, rows: "Rows") -> "Mask":
        """See `Series`."""
        has_words = (_CLASSES[rows[:, self._places]] & self._wanted).all(axis=1)
        high, low = _NIBBLES[rows[:, -_TAIL_BYTES:-_LINE_END_BYTES].T]
        intact: Mask = has_words & (_crc8_rows(rows[:, :-_TAIL_BYTES]) == 16 * high + low)
        return intact


_crc8_rows: Final = crc_rows(crc8)


def _classes(sentence: Sentence, payload: bytes) -> Iterator[int]:
    """Yield the class of each character that may differ, 0 for another one."""
    slots = [slot[0] if slot else None for slot in sentence.slots]
    slots += [None] * payload.count(b",")
    for number, text in enumerate(payload.split(b",")):
        if number:
            yield 0
        field = slots[number]
        if field is None:
            yield from [_TEXT] * len(text)
        elif field.name == "size":
            yield from [0] * len(text)
        else:
            kind = _CLASS_OF_CODE.get(field.code[0])
            yield from (kind or (_DIGIT if chr(octet).isdigit() else 0) for octet in text)
