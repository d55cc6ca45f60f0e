"""Text of RINEX observation files: what versions 2 and 3 share."""

import warnings
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from pygnc.formats.damage import Damage, DamageReason
from pygnc_ground.gnss.measurements import FlagArray, FloatArray, IntArray

FIELD_CHARS: Final = 16
EVENTS: Final = range(2, 7)
"""Epoch flags that header lines or other records follow; 6 are cycle slips."""
POWER_FAILURE: Final = 1
NS_PER_MS: Final = 1_000_000
_PACKED: Final = (b"\x1f\x8b", b"\x1f\x9d", b"BZh", b"PK")
"""Beginnings of files of gzip, compress, bzip2 and zip."""
_VALUE: Final = slice(0, 14)
_LOCK: Final = 14
_LINE: Final = 80
_DAMAGES_MAX: Final = 1000
_SKIPPED: Final = b"*** Some epochs are skipped by CRX2RNX ***"
"""Comment of the library hatanaka about epochs that it cannot unpack."""
_EPOCH_LINES_MAX: Final = 70


@dataclass(slots=True)
class RinexText:
    """Lines of a file, the facts of its header, and what could not be read."""

    lines: list[bytes]
    """Lines without their ends."""
    ends: IntArray
    """Offset of each line in the unpacked text, and its length."""
    facts: dict[str, Any] = field(default_factory=dict)
    faults: list[tuple[int, int, str]] = field(default_factory=list)
    """First line, line after the last, and reason of each part that was not read."""

    @classmethod
    def of(cls, content: bytes) -> Self:
        """Return the lines of the content of a file, which may be compressed.

        Raises:
            ValueError: The compressed data are damaged.
        """
        text = unpacked(content)
        lines = text.split(b"\n")
        ends = np.cumsum([0, *(len(line) + 1 for line in lines)])
        ends[-1] = len(text)
        skipped = [number for number, line in enumerate(lines) if _SKIPPED in line]
        faults = [(number, number + 1, "epochs from here on are damaged in the compact file") for number in skipped]
        return cls([line.removesuffix(b"\r") for line in lines], ends, faults=faults)

    def take_fact(self, label: bytes, text: str) -> None:
        """Keep what a line of the header states about the receiver.

        Raises:
            ValueError: The value cannot be read, or the times are not those of GPS.
        """
        if label == b"MARKER NAME":
            self.facts["marker"] = text.strip()
        elif label == b"REC # / TYPE / VERS":
            self.facts["receiver"] = text[20:40].strip()
        elif label == b"ANT # / TYPE":
            self.facts["antenna"] = text[20:40].strip()
        elif label == b"INTERVAL":
            self.facts["interval_s"] = float(text[:10])
        elif label in {b"APPROX POSITION XYZ", b"ANTENNA: DELTA H/E/N", b"ANTENNA: DELTA X/Y/Z"}:
            vector = tuple(float(part) for part in text.split()[:3])
            if len(vector) == 3 and any(vector):
                self.facts["approximate_position_ecef_m" if b"APPROX" in label else "antenna_offset_m"] = vector
        elif label == b"TIME OF FIRST OBS":
            system = text[43:].strip()
            if system not in {"", "GPS"}:
                raise ValueError(f"the time system {system} is not supported; convert the file to GPS time")

    def damage(self) -> tuple[Damage, ...]:
        """Return the faults as ranges of bytes of the unpacked text; successive lines with one reason form a range."""
        ranges = list[tuple[int, int, str]]()
        for first, stop, reason in sorted(self.faults):
            begin = first
            if ranges and ranges[-1][1:] == (first, reason):
                begin = ranges.pop()[0]
            ranges.append((begin, stop, reason))
        return tuple(
            Damage(int(self.ends[first]), int(self.ends[stop]), DamageReason.CONTENT, f"line {first + 1}: {reason}")
            for first, stop, reason in ranges[:_DAMAGES_MAX]
        )


def unpacked(content: bytes) -> bytes:
    """Return the text of a file that may be compressed by Hatanaka's method, gzip, bzip2 or compress.

    Raises:
        ValueError: The compressed data are damaged.
    """
    if not content.startswith(_PACKED) and b"COMPACT RINEX" not in content[:_LINE]:
        return content
    from hatanaka import decompress  # noqa: PLC0415 - loads a compiled program that other commands do without
    from hatanaka.hatanaka import HatanakaException  # noqa: PLC0415

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the library also leaves a comment where it skips epochs
        try:
            return bytes(decompress(content))
        except (HatanakaException, OSError, EOFError, ValueError, zlib.error, BadZipFile) as error:
            if found := _undamaged_part(content):
                return found
            raise ValueError(f"the file cannot be unpacked: {error}; copy it again") from error


def _undamaged_part(content: bytes) -> bytes:
    """Return the epochs of a damaged compact file, with a comment where others are missing; empty if there are none."""
    from hatanaka import decompress  # noqa: PLC0415 - as above
    from hatanaka.hatanaka import HatanakaException  # noqa: PLC0415

    lines = content.rstrip(b"\n").split(b"\n") if b"COMPACT RINEX" in content[:_LINE] else []
    for removed in range(min(_EPOCH_LINES_MAX, len(lines))):
        part = b"\n".join(lines[: len(lines) - removed]) + b"\n"
        with suppress(HatanakaException):
            found = bytes(decompress(part, skip_strange_epochs=True))
            event = b">" + b"4  1\n".rjust(34) if found[5:6] == b"3" else b"4  1\n".rjust(33)
            return found if _SKIPPED in found else found + event + (b"  " + _SKIPPED).ljust(60) + b"COMMENT\n"
    return b""


def converted(fields: npt.NDArray[np.bytes_]) -> tuple[FloatArray, FlagArray, IntArray]:
    """Return numbers and loss-of-lock indicators of fields of 16 characters, each (n, types).

    The third value are the rows in which a field is not a number.
    """
    text = np.ascontiguousarray(fields[:, :, _VALUE]).view("S14")[:, :, 0]
    blank = np.char.strip(text) == b""
    text = np.where(blank, b"nan", text)
    try:
        values = text.astype(np.float64)
    except ValueError:
        values = np.array([[_number(one) for one in row] for row in text.tolist()])
    damaged = np.flatnonzero((~np.isfinite(values) & ~blank).any(axis=1))
    values[~np.isfinite(values)] = np.nan
    locks = fields[:, :, _LOCK]
    digits = np.where((locks >= b"0") & (locks <= b"7"), locks, b"0").astype(np.uint8)
    return values, digits, damaged


def _number(text: bytes) -> float:
    try:
        return float(text)
    except ValueError:
        return float("nan")
