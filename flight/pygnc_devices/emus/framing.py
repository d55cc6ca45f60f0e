"""Scanner of sentences: `NAME,field,field,...,CC`, one per line.

The checksum is CRC-8/MAXIM-DOW of the bytes from the name to the last comma, inclusive.
"""

import re
from typing import Final, TypeAlias

from pygnc_devices.declaration import Value
from pygnc_devices.emus.cells import size_fits
from pygnc_devices.emus.sentences import SENTENCES, SUMMARY
from pygnc_devices.framing import DamageReason, Frame, Judgement, line_format, reflected_crc

Values: TypeAlias = dict[str, Value | None]
LONGEST: Final = 512
"""Bytes of the longest sentence with its line end. The longest known sentence, CG1, has about 300."""
crc8: Final = reflected_crc(0x8C, seed=0)
"""CRC-8/MAXIM-DOW"""
_CANDIDATE: Final = re.compile(rb"[A-Z]{2}[0-9],|[\r\n\0]|[A-Z]{2}[0-9]\Z|[A-Z]{1,2}\Z")
_WHOLE: Final = re.compile(rb"([A-Z]{2}[0-9]),(?:(.*),)?([0-9A-Fa-f]{2})")


def make_sentence(name: str, text: str = "") -> bytes:
    """Return a sentence with checksum and CR LF; `text` is its fields separated by commas."""
    body = f"{name},{text},".encode("ascii")
    return body + b"%02X\r\n" % crc8(body)


def _judge(line: bytes) -> Judgement:
    whole = _WHOLE.fullmatch(line)
    if whole is None:
        return DamageReason.NOISE
    if crc8(line[:-2]) != int(whole[3], 16):
        return DamageReason.CHECKSUM
    name, payload = whole[1].decode("ascii"), whole[2] or b""
    return (name, payload) if _fits(name, payload) else DamageReason.CONTENT


def _fits(name: str, payload: bytes) -> bool:
    """Return True if a sentence matches its declaration. The checksum alone accepts one of 256 damaged sentences."""
    sentence = SENTENCES.get(name)
    if sentence is None:
        return True
    return sentence.fits(payload) and (name not in SUMMARY or size_fits(sentence.decode(payload)))


scan: Final = line_format(_CANDIDATE, _judge, LONGEST).scan


def decode(frame: Frame) -> Values:
    """Return the values of a sentence: by its declaration, or name and text of a sentence that is not declared."""
    sentence = SENTENCES.get(frame.kind)
    if sentence is None:
        return {"name": frame.kind, "text": frame.payload.decode("ascii")}
    return sentence.decode(frame.payload)
