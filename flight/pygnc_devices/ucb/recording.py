"""Decode whole recordings with NumPy: the same frames and values as `framing.scan` finds, but much faster."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pygnc_devices.declaration import TEXT, Packet
from pygnc_devices.ucb.framing import HEADER_BYTES, PREAMBLE, are_intact
from pygnc_devices.ucb.packets import OVERHEAD_BYTES

_ROWS_AT_ONCE: Final = 1 << 14
"""Frames of which a copy is checked at once."""


@dataclass(frozen=True, slots=True)
class FrameTable:
    """Table of all frames of a buffer.

    Attributes:
        octets: the buffer, (n,) uint8.
        starts: offset of each frame's first byte, (m,), ascending.
        kinds: type of each frame, its two characters as a big-endian number, (m,) uint16.
        lengths: bytes of payload, (m,) uint8.
    """

    octets: NDArray[np.uint8]
    starts: NDArray[np.int64]
    kinds: NDArray[np.uint16]
    lengths: NDArray[np.uint8]

    def count(self, kind: str) -> int:
        """Return the number of frames whose type is `kind`."""
        return int(np.count_nonzero(self.kinds == _number(kind)))

    @property
    def skipped_bytes(self) -> int:
        """Number of bytes outside all frames."""
        return len(self.octets) - int(np.sum(self.lengths, dtype=np.int64)) - OVERHEAD_BYTES * len(self.starts)

    def values(self, packet: Packet) -> NDArray[np.void]:
        """Return the values of all frames of a packet as a structured array with the packet's field names, (m,).

        Frames of the packet's type with another length are omitted.
        """
        chosen = (self.kinds == _number(packet.name)) & (self.lengths == packet.layout.size)
        payloads = _gather(self.octets, self.starts[chosen] + HEADER_BYTES, packet.layout.size)
        words = payloads.view(_wire_type(packet))[:, 0]
        values = np.empty(len(words), _value_type(packet))
        for field in packet.fields:
            word = words[field.name]
            values[field.name] = word if field.scale is None else word * field.scale + field.offset
        return values


def scan_recording(octets: bytes) -> FrameTable:
    """Find all frames of a complete recording, as `scan_to_end` does."""
    buffer = np.frombuffer(octets, np.uint8)
    at = np.flatnonzero((buffer[:-1] == PREAMBLE[0]) & (buffer[1:] == PREAMBLE[1]))
    at = at[at + OVERHEAD_BYTES <= len(buffer)]
    lengths = buffer[at + 4]
    inside = at + OVERHEAD_BYTES + lengths <= len(buffer)
    at, lengths = at[inside], lengths[inside]
    good = np.zeros(len(at), bool)
    for length in set(lengths.tolist()):
        rows = np.flatnonzero(lengths == length)
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            some = rows[first : first + _ROWS_AT_ONCE]
            good[some] = are_intact(_gather(buffer, at[some], OVERHEAD_BYTES + length))
    at, lengths = at[good], lengths[good]
    kept = _without_overlap(at, at + OVERHEAD_BYTES + lengths)
    at, lengths = at[kept], lengths[kept]
    kinds = np.multiply(buffer[at + 2], np.uint16(256), dtype=np.uint16) | buffer[at + 3]
    return FrameTable(buffer, at, kinds.astype(np.uint16), lengths)


def _without_overlap(starts: NDArray[np.int64], stops: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return a mask, (m,): False for frames that begin inside an earlier frame whose mask is True."""
    kept = np.ones(len(starts), bool)
    if np.any(starts[1:] < stops[:-1]):
        end = 0
        for index, (start, stop) in enumerate(zip(starts.tolist(), stops.tolist(), strict=True)):
            kept[index] = start >= end
            end = stop if start >= end else end
    return kept


def _gather(octets: NDArray[np.uint8], starts: NDArray[np.int64], size: int) -> NDArray[np.uint8]:
    """Return the `size` bytes at each start, shape (m, size)."""
    if size == 0 or not len(starts):
        return np.empty((len(starts), size), np.uint8)
    return np.lib.stride_tricks.sliding_window_view(octets, size)[starts]


def _number(kind: str) -> int:
    return int.from_bytes(kind.encode("latin-1"), "big")


def _wire_type(packet: Packet) -> np.dtype[np.void]:
    return np.dtype([(field.name, _dtype(packet, field.code)) for field in packet.fields if field.code != TEXT])


def _value_type(packet: Packet) -> np.dtype[np.void]:
    scaled = {field.name for field in packet.fields if field.scale is not None}
    words = _wire_type(packet).newbyteorder("=")
    return np.dtype([(name, np.float64 if name in scaled else words[name]) for name in words.names or ()])


def _dtype(packet: Packet, code: str) -> str:
    return f"S{code[:-1] or 1}" if code.endswith("s") else packet.byte_order + code
