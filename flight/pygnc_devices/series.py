"""Series of frames of one layout in a recording, of which many are checked and timed at once.

Most frames of a recording differ from an earlier one in their values only. Their declaration and the places of their
words are then known, and a summary needs only the words of their time.
"""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeAlias, runtime_checkable

from pygnc_devices.declaration import Place, Record, Value

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pygnc_devices.framing import Frame

    Rows: TypeAlias = NDArray[np.uint8]
    """Bytes of frames of equal length, a frame in each row, shape (n, length)."""
    Lines: TypeAlias = Sequence[re.Match[bytes]]
    """Successive lines of one buffer that match a pattern, see `LineSeries`."""
    Mask: TypeAlias = NDArray[np.bool_] | Sequence[bool]

Followed: TypeAlias = tuple[Record, int | None, int]
"""Declaration of a reading, its device time, ns, and the number of readings missing before it."""


class Span(NamedTuple):
    """Successive readings of which none is missing: their declaration, the first and the last device time, ns."""

    packet: Record
    first_ns: int | None
    last_ns: int | None


class Series(NamedTuple):
    """Frames that differ from an intact frame in their values only.

    Attributes:
        fixed: offsets of the bytes that are equal in all of them.
        words: places in the frame of the words that `follow` needs.
        are_intact: returns True for each row that the scanner accepts, provided that its fixed bytes are right; may
            return False for a doubtful row, which the scanner then judges.
        follow: returns what `Interpreter.interpret` finds in the next frame of a recording, from the words of the
            frame; None if it is no reading.
        follow_steady: does the same with many successive frames, given the array of each word, if no reading is missing
            and the time runs steadily; returns None, with nothing followed, if they have to be followed one by one.
        lane: object whose state both change; frames of other lanes may be followed before or after.
    """

    fixed: Sequence[int]
    words: tuple[Place, ...]
    are_intact: "Callable[[Rows], Mask]"
    follow: Callable[..., Followed | None]
    follow_steady: "Callable[..., Span | None]"
    lane: object


class LineSeries(NamedTuple):
    """Lines of text that differ from an intact line in their words only, and in the lengths of these.

    Attributes:
        longest: bytes of the longest line with its line end.
        pattern: matches each line that scanner and interpreter accept, provided that its checksum is right; may fail to
            match a doubtful line, which the scanner then judges. Its groups are `body`, whose checksum is `check`, in
            hexadecimal, and the words. It ends with `LINE_END_PATTERN`.
        are_intact: returns True for each line whose checksum is right.
        words: names of the groups of the words that `follow` needs, with their conversions.
        follow, follow_steady, lane: see `Series`.
    """

    longest: int
    pattern: re.Pattern[bytes]
    are_intact: "Callable[[Lines], Mask]"
    words: tuple[tuple[str, Callable[[bytes], Value]], ...]
    follow: Callable[..., Followed | None]
    follow_steady: "Callable[..., Span | None]"
    lane: object


LINE_END_PATTERN: Final = rb"(?:\r\n)?"
"""Some scanners take a line end as a frame of its own."""


@runtime_checkable
class SeriesInterpreter(Protocol):
    """Interpreter that knows series. Frames of a length, or lines, begin with the same `head_bytes` bytes."""

    head_bytes: int

    def series(self, frame: "Frame") -> Series | LineSeries | None:
        """Return the series of a frame that was interpreted; None if further frames have to be interpreted, too."""
        ...


def for_each(is_intact: Callable[[bytes], bool]) -> "Callable[[Rows], Mask]":
    """Return the check of rows that checks the bytes of each row."""

    def are_intact(rows: "Rows") -> "Mask":
        octets, length = rows.tobytes(), rows.shape[1]
        return [is_intact(octets[at : at + length]) for at in range(0, len(octets), length)]

    return are_intact


def for_each_line(check_value: Callable[[bytes], int]) -> "Callable[[Lines], Mask]":
    """Return the check of lines that computes the checksum of each body."""

    def are_intact(lines: "Lines") -> "Mask":
        return [check_value(line["body"]) == int(line["check"], 16) for line in lines]

    return are_intact


def xor_lines(lines: "Lines") -> "Mask":
    """Return True for each line whose check is the exclusive or of its body."""
    import numpy as np  # noqa: PLC0415 - drivers do not need it

    edges = np.array([line.span("body") for line in lines]).ravel()
    sums = np.bitwise_xor.reduceat(np.frombuffer(lines[0].string, np.uint8), edges)[::2]
    checked: Mask = sums == [int(line["check"], 16) for line in lines]
    return checked


def fletcher_rows(rows: "Rows", first: int) -> "Mask":
    """Return True for each row that ends with Fletcher's checksum of its bytes from `first` on."""
    body = rows[:, first:-2].astype("f8")
    sums = body.dot([(1.0, float(weight)) for weight in range(body.shape[1], 0, -1)])  # exact below 2^53
    checked: Mask = (sums % 256.0 == rows[:, -2:]).all(axis=1)
    return checked


def crc_rows(check_value: Callable[[bytes], int]) -> "Callable[[Rows], NDArray[np.uint16]]":
    """Return the function that computes the reflected CRC of each row.

    Args:
        check_value: CRC of bytes, of up to 16 bits, see `framing.reflected_crc`.
    """

    def of_rows(rows: "Rows") -> "NDArray[np.uint16]":
        import numpy as np  # noqa: PLC0415 - drivers do not need it

        seed = check_value(b"")
        table = np.array([check_value(bytes([octet ^ seed & 0xFF])) ^ seed >> 8 for octet in range(256)], np.uint16)
        crc = np.full(len(rows), seed, np.uint16)
        for column in np.ascontiguousarray(rows.T):
            crc = crc >> np.uint16(8) ^ table[(crc ^ column) & np.uint16(0xFF)]
        return crc

    return of_rows
