"""Series of frames of one layout in a recording, of which many are checked and timed at once.

Most frames of a recording differ from an earlier one in their values only. Their length, their declaration and the
places of their words are then known, and a summary needs only the words of their time.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias, runtime_checkable

from pygnc_devices.declaration import Place, Record

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from pygnc_devices.framing import Frame

    Rows: TypeAlias = NDArray[np.uint8]
    """Bytes of frames of equal length, a frame in each row, shape (n, length)."""
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


@runtime_checkable
class SeriesInterpreter(Protocol):
    """Interpreter that knows series. Frames of a length begin with the same `head_bytes` bytes."""

    head_bytes: int

    def series(self, frame: "Frame") -> Series | None:
        """Return the series of a frame that was interpreted; None if further frames have to be interpreted, too."""
        ...


def for_each(is_intact: Callable[[bytes], bool]) -> "Callable[[Rows], Mask]":
    """Return the check of rows that checks the bytes of each row."""

    def are_intact(rows: "Rows") -> "Mask":
        octets, length = rows.tobytes(), rows.shape[1]
        return [is_intact(octets[at : at + length]) for at in range(0, len(octets), length)]

    return are_intact


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
