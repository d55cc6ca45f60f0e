"""Input of a run with known counts: the first hour of the demonstration batch, damaged in known ways."""

from pathlib import Path
from typing import Final, NamedTuple

from tests.e2e.conftest import RANGE_EPOCH_BYTES, RANGES, SENSE, SENSE_RECORD_BYTES, shorten_formation

GPS_AT: Final = 150
"""Offset of the GPS packet in a record."""
SENSORS: Final = 5
NOISE: Final = bytes(range(0xB0, 0xF0))
CUT: Final = 20
BEFORE_NOISE: Final = 40
BAD_FIXES: Final = {
    60: (11, b"\x06"),  # solution status
    70: (12, bytes(24)),  # position
    90: (98, b"\x00"),  # satellites used
}
"""Offsets in the GPS packets of records and the bytes that make their fixes unusable."""
OWN_ID: Final = 74
TO_ITSELF: Final = 30
"""Range epoch whose first range names our own radio as partner."""


class Produced(NamedTuple):
    """Files of a run and what they contain.

    Attributes:
        sense: content of `sense.bin`.
        ranges: content of the range files.
        intact: undamaged records of `sense.bin`.
    """

    sense: bytes
    ranges: bytes
    intact: bytes

    @property
    def size(self) -> int:
        """Size of all files, bytes."""
        return len(self.sense) + len(self.ranges)

    @property
    def damaged(self) -> int:
        """Number of bytes that belong to no undamaged record."""
        return len(self.sense) - len(self.intact)

    @property
    def records(self) -> dict[str, int]:
        """Number of undamaged records by the name of their counter."""
        count, epochs = len(self.intact) // SENSE_RECORD_BYTES, len(self.ranges) // RANGE_EPOCH_BYTES
        return {"samples": SENSORS * count, "fixes": count + epochs, "ranges": 2 * epochs}

    def without_last(self, count: int) -> "Produced":
        """Return the input without its last records, and without the range epochs of their time."""
        size, epochs = count * SENSE_RECORD_BYTES, count  # an epoch takes as long as two records
        return Produced(self.sense[:-size], self.ranges[: -epochs * RANGE_EPOCH_BYTES], self.intact[:-size])

    def write(self, home: Path) -> None:
        """Write the files and the settings into a home."""
        (home / "sense.bin").write_bytes(self.sense)
        (home / "range").mkdir()
        (home / "range" / "rng00000.bin").write_bytes(self.ranges)
        shorten_formation(home)


def damaged_hour() -> Produced:
    """Return an hour with a cut record, inserted noise, unusable fixes and a range to ourselves."""
    records = [bytearray(SENSE[k : k + SENSE_RECORD_BYTES]) for k in range(0, len(SENSE), SENSE_RECORD_BYTES)]
    for number, (offset, octets) in BAD_FIXES.items():
        begin = GPS_AT + offset
        records[number][begin : begin + len(octets)] = octets
    intact = b"".join(record for number, record in enumerate(records) if number != CUT)
    del records[CUT][100:140]
    records.insert(BEFORE_NOISE, bytearray(NOISE))
    ranges = bytearray(RANGES)
    ranges[TO_ITSELF * RANGE_EPOCH_BYTES + 102] = OWN_ID
    return Produced(b"".join(records), bytes(ranges), intact)


def rebooted_hour(produced: Produced, record: int) -> Produced:
    """Return the input with a spacecraft clock that begins anew at an undamaged record."""
    first = record * SENSE_RECORD_BYTES
    earlier_s = int.from_bytes(produced.intact[first : first + 4], "big") - 1000
    intact = bytearray(produced.intact)
    for begin in range(first, len(intact), SENSE_RECORD_BYTES):
        for offset in range(0, GPS_AT + 1, GPS_AT // SENSORS):
            time = slice(begin + offset, begin + offset + 4)
            intact[time] = (int.from_bytes(intact[time], "big") - earlier_s).to_bytes(4, "big")
    return Produced(bytes(intact), produced.ranges, bytes(intact))
