"""RINEX 2 observation files, also compressed by Hatanaka's method, gzip or compress.

Source: W. Gurtner, RINEX: The Receiver Independent Exchange Format, version 2.10, and the extension 2.20 for low Earth
orbiters. Epoch lines are read one by one; the fields of all satellites are converted at once, because a day at 10 s has
600 000 of them.
"""

import re
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import numpy.typing as npt

from pygnc_ground.gnss.measurements import (
    L1_WAVELENGTH_M,
    L2_WAVELENGTH_M,
    LOST_LOCK,
    FlagArray,
    FloatArray,
    GnssMeasurements,
    ReceiverFacts,
)
from pygnc_ground.gnss.rinex_text import EVENTS, FIELD_CHARS, NS_PER_MS, POWER_FAILURE, RinexText, converted
from pygnc_ground.truth.epochs import calendar_date, gps_ns

_MARK: Final = re.compile(rb"\s{0,5}(1\.0 {16}COMPACT RINEX|2\.\d\d? {11,12}O)")
_LINE: Final = 80
_PER_LINE: Final = _LINE // FIELD_CHARS
_PER_EPOCH_LINE: Final = 12
_FIRST_YEAR: Final = 1980


def is_rinex2(head: bytes) -> bool:
    """Return True for the beginning of a RINEX 2 observation file or of a compact RINEX file, unpacked."""
    return _MARK.match(head) is not None


@dataclass(slots=True)
class _Reader:
    """State of the reader: header, and for each satellite of each epoch the number of its first line."""

    text: RinexText
    types: list[str] = field(default_factory=list)
    moment_ns: list[int] = field(default_factory=list)
    satellite: list[bytes] = field(default_factory=list)
    line: list[int] = field(default_factory=list)
    lost: list[bool] = field(default_factory=list)

    def header(self) -> int:
        """Read the header; return the number of the line after it."""
        count = 0
        for number, line in enumerate(self.text.lines):
            text, label = line[:60].decode("ascii", errors="replace"), line[60:80].strip()
            if label == b"END OF HEADER":
                if not count or len(self.types) != count:
                    raise ValueError(f"line {number + 1}: the header names {len(self.types)} of {count} observations")
                return number + 1
            if label == b"# / TYPES OF OBSERV":
                count = int(text[:6]) if text[:6].strip() else count
                self.types += text[6:].split()
            self.text.take_fact(label, text)
        raise ValueError("the header has no line 'END OF HEADER'; get the file again")

    def epochs(self, number: int) -> None:
        """Read the epoch lines from line `number` on; after damage, search the next one."""
        per_satellite = -(-len(self.types) // _PER_LINE)
        while number < len(self.text.lines):
            line = self.text.lines[number]
            try:
                flag, satellites, moment_ns = self._epoch(number, line)
            except ValueError as error:
                if line.strip():
                    self.text.faults.append((number, number + 1, str(error)))
                number += 1
                continue
            if flag in EVENTS:
                number += 1 + (len(satellites) if flag == 6 else int(line[29:32] or 0))
                continue
            first = number + 1 + (max(len(satellites), 1) - 1) // _PER_EPOCH_LINE
            stop = first + per_satellite * len(satellites)
            if stop > len(self.text.lines):
                self.text.faults.append((number, len(self.text.lines), "the file ends inside an epoch"))
                return
            self.moment_ns += [moment_ns] * len(satellites)
            self.satellite += satellites
            self.line += range(first, stop, per_satellite)
            self.lost += [flag == POWER_FAILURE] * len(satellites)
            number = stop

    def _epoch(self, number: int, line: bytes) -> tuple[int, list[bytes], int]:
        """Return flag, satellites and time of an epoch line."""
        try:
            flag, count = int(line[28:29]), int(line[29:32])
        except ValueError:
            raise ValueError("not an epoch line") from None
        if flag in EVENTS:
            return flag, [b""] * count if flag == 6 else [], 0
        names = b"".join(part[32:68].ljust(36) for part in self.text.lines[number : number + 1 + (count - 1) // 12])
        satellites = [names[at : at + 3] for at in range(0, 3 * count, 3)]
        try:
            year, month, day, hour, minute = (int(line[at : at + 3]) for at in range(0, 15, 3))
            second_ns = round(float(line[15:26]) * 1e9)
        except ValueError:
            raise ValueError("not an epoch line") from None
        if not all(name.strip()[-1:].isdigit() for name in satellites):
            raise ValueError(f"the epoch line names fewer than {count} satellites")
        year += 1900 if year >= _FIRST_YEAR - 1900 else 2000
        return flag, satellites, gps_ns(calendar_date(year, month, day), hour, minute, second_ns, "GPS")


def read_rinex2(content: bytes) -> GnssMeasurements:
    """Return the measurements of the GPS satellites in the content of a file.

    Raises:
        ValueError: The file is damaged so that nothing can be read; the message names line and remedy.
    """
    reader = _Reader(RinexText.of(content))
    reader.epochs(reader.header())
    if not reader.satellite:
        raise ValueError("the file has no epoch with a satellite; get it again")
    fields = _fields(reader)
    is_gps = np.array([name[:1] in b" G" for name in reader.satellite])
    values, locks, damaged = converted(fields)
    broken = [reader.line[row] for row in damaged.tolist()]
    reader.text.faults += [(at, at + 1, "a field is not a number") for at in broken]
    moment_ns = np.array(reader.moment_ns, dtype=np.int64)
    order = np.argsort(moment_ns[is_gps], kind="stable")
    rows = np.flatnonzero(is_gps)[order]
    names = np.array([f"G{int(name[1:]):02d}" for name in np.array(reader.satellite)[rows].tolist()])
    lost = np.where(np.array(reader.lost)[rows], LOST_LOCK, 0).astype(np.uint8)

    def value(*kinds: str, factor: float = 1.0) -> FloatArray:
        found = np.full(len(rows), np.nan)
        for kind in kinds:
            if kind in reader.types:
                column = factor * values[rows, reader.types.index(kind)]
                found = np.where(np.isnan(found), column, found)
        return np.where(found == 0.0, np.nan, found)

    def lock(kind: str) -> FlagArray:
        if kind not in reader.types:
            return lost.copy()
        return np.asarray(locks[rows, reader.types.index(kind)] | lost, dtype=np.uint8)

    return GnssMeasurements(
        gps_ms=moment_ns[rows] // NS_PER_MS,
        fraction_s=np.asarray(1e-9 * (moment_ns[rows] % NS_PER_MS), dtype=np.float64),
        satellite=names,
        code_l1_m=value("C1"),
        code_p1_m=value("P1"),
        code_p2_m=value("P2", "C2"),
        phase_l1_m=value("L1", "LA", factor=L1_WAVELENGTH_M),
        phase_l2_m=value("L2", factor=L2_WAVELENGTH_M),
        signal_to_noise_l1_db_hz=np.full(len(rows), np.nan),
        signal_to_noise_l2_db_hz=np.full(len(rows), np.nan),
        loss_of_lock_l1=lock("L1"),
        loss_of_lock_l2=lock("L2"),
        facts=ReceiverFacts(**reader.text.facts),
        damage=reader.text.damage(),
    )


def _fields(reader: _Reader) -> npt.NDArray[np.bytes_]:
    """Return the fields of 16 characters of all satellites, shape (n, types); damaged lines are blank."""
    per_satellite = -(-len(reader.types) // _PER_LINE)
    lines = reader.text.lines
    if per_satellite == 1:
        joined = [lines[at][:_LINE].ljust(_LINE) for at in reader.line]
    else:
        joined = [
            b"".join([line[:_LINE].ljust(_LINE) for line in lines[at : at + per_satellite]]) for at in reader.line
        ]
    table = np.array(joined, dtype=f"S{_LINE * per_satellite}").view("S1")
    # NumPy drops trailing zeros of bytes only, so blanks keep the width.
    table = table.reshape(len(joined), _PER_LINE * per_satellite, FIELD_CHARS)
    return table[:, : len(reader.types)]
