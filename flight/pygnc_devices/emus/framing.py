"""Finds sentences: `NAME,field,field,...,CC`, ended by CR LF, CR or LF.

The checksum is CRC-8/MAXIM-DOW over the bytes as they came, from the name up to and including the last comma. Lines
without anything, and NULs between lines, which Control Units send, are frames of a kind of their own.
"""

import re
from typing import Final

from pygnc_devices.emus.cells import size_fits
from pygnc_devices.emus.sentences import SENTENCES, SUMMARY
from pygnc_devices.frames import Damage, DamageReason, Frame, Scan

LINE_END: Final = "line end"
LONGEST: Final = 512
"""Bytes of a sentence with its terminator. The longest known, CG1, has some 300."""
_REFLECTED_POLYNOMIAL: Final = 0x8C
_CANDIDATE: Final = re.compile(rb"[A-Z]{2}[0-9],|[\r\n\0]|[A-Z]{2}[0-9]\Z|[A-Z]{1,2}\Z")
_END: Final = re.compile(rb"[^ -~]")
_WHOLE: Final = re.compile(rb"([A-Z]{2}[0-9]),(?:(.*),)?([0-9A-Fa-f]{2})")


def _make_table() -> tuple[int, ...]:
    table = []
    for octet in range(256):
        crc = octet
        for _ in range(8):
            crc = crc >> 1 ^ (_REFLECTED_POLYNOMIAL if crc & 1 else 0)
        table.append(crc)
    return tuple(table)


_TABLE: Final = _make_table()


def crc8(octets: bytes) -> int:
    """Return the CRC-8/MAXIM-DOW."""
    crc = 0
    for octet in octets:
        crc = _TABLE[crc ^ octet]
    return crc


def make_sentence(name: str, text: str = "") -> bytes:
    """Return a sentence with checksum and CR LF; `text` holds its fields with the commas between them."""
    body = f"{name},{text},".encode("ascii")
    return body + b"%02X\r\n" % crc8(body)


def scan(octets: bytes, stalled: bool = False) -> Scan:  # noqa: FBT001, FBT002 - every scanner's signature
    """Return the sentences of a buffer; see `frames.Scanner`. One that stalls behind its CR is whole."""
    frames: list[Frame] = []
    damage: list[Damage] = []
    at, size = 0, len(octets)
    while at < size:
        found = _at(octets, at, stalled=stalled)
        if found is None:
            break
        if isinstance(found, Frame):
            frames.append(found)
            at += len(found.raw)
        else:
            damage.append(found)
            at = found.stop
        stalled = False
    return Scan(tuple(frames), tuple(damage), at)


def _at(octets: bytes, at: int, *, stalled: bool) -> Frame | Damage | None:
    """Return what stands at an offset; None if that cannot be told yet."""
    candidate = _CANDIDATE.search(octets, at)
    begin = candidate.start() if candidate else len(octets)
    if begin > at:
        return Damage(at, begin, DamageReason.NOISE)
    if octets[at] in b"\r\n\0":
        end = _line_end(octets, at, stalled=stalled)
        return None if end is None else Frame(LINE_END, b"", octets[at:end], at)
    stop = _END.search(octets, at, at + LONGEST)
    if stop is None and len(octets) - at < LONGEST:
        return Damage(at, at + 1, DamageReason.CUT) if stalled else None
    if stop is None or octets[stop.start()] not in b"\r\n":
        return Damage(at, at + 1, DamageReason.NOISE)
    return _sentence(octets, at, stop.start(), stalled=stalled)


def _sentence(octets: bytes, at: int, stop: int, *, stalled: bool) -> Frame | Damage | None:
    whole = _WHOLE.fullmatch(octets, at, stop)
    if whole is None:
        return Damage(at, at + 1, DamageReason.NOISE)
    if crc8(octets[at : stop - 2]) != int(whole[3], 16):
        return Damage(at, at + 1, DamageReason.CHECKSUM)
    name, payload = whole[1].decode("ascii"), whole[2] or b""
    if not _fits(name, payload):
        return Damage(at, at + 1, DamageReason.CONTENT)
    end = _line_end(octets, stop, stalled=stalled)
    return None if end is None else Frame(name, payload, octets[at:end], at)


def _fits(name: str, payload: bytes) -> bool:
    """Tell whether a sentence is written as its table says: one of 256 damaged ones has a right checksum."""
    sentence = SENTENCES.get(name)
    if sentence is None:
        return True
    return sentence.fits(payload) and (name not in SUMMARY or size_fits(sentence.decode(payload)))


def _line_end(octets: bytes, at: int, *, stalled: bool) -> int | None:
    """Return the end of the terminator at an offset; None if a LF may still belong to it."""
    if octets[at : at + 1] != b"\r":
        return at + 1
    if at + 1 == len(octets):
        return at + 1 if stalled else None
    return at + 2 if octets[at + 1] == ord("\n") else at + 1
