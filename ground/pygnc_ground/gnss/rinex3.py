"""RINEX 3 observation files: GPS measurements, also compressed by Hatanaka's method, gzip, bzip2 or compress.

Source: RINEX: The Receiver Independent Exchange Format, version 3.05, IGS and RTCM, 2020. Each satellite has one line,
so lines are assigned to epochs one by one and their fields are converted at once, as in RINEX 2.
"""

import re
from collections.abc import Sequence
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

_MARK: Final = re.compile(rb"\s{0,5}(3\.0 {16}COMPACT RINEX|[34]\.\d\d {11}O)")
_SYSTEMS: Final = b"GRESJCI"
_P1: Final = ("W", "P", "Y")
_ON_L2: Final = ("W", "P", "Y", "L", "X", "S", "C", "D")
"""Attributes of signals, the preferred first: P(Y) codes, then L2C."""
_ENOUGH: Final = 0.5
"""Fraction of the values of the most frequent signal that a preferred one needs."""


def is_rinex3(head: bytes) -> bool:
    """Return True for the beginning of a RINEX 3 observation file or of a compact one, unpacked."""
    return _MARK.match(head) is not None


@dataclass(slots=True)
class _Reader:
    """State of the reader: header, and the line of each GPS satellite of each epoch."""

    text: RinexText
    types: list[str] = field(default_factory=list)
    factors: dict[str, float] = field(default_factory=dict)
    moment_ns: list[int] = field(default_factory=list)
    line: list[int] = field(default_factory=list)
    lost: list[bool] = field(default_factory=list)
    is_cut: bool = False
    """True if the last epoch has fewer satellites than it states."""

    def header(self) -> int:
        """Read the header; return the number of the line after it."""
        system, count, factor_of = "", 0, (1.0, 0)
        for number, line in enumerate(self.text.lines):
            text, label = line[:60].decode("ascii", errors="replace"), line[60:80].strip()
            try:
                if label == b"END OF HEADER":
                    return self._after_header(number, count)
                if label == b"SYS / # / OBS TYPES":
                    system = text[:1].strip() or system
                    count = int(text[3:6]) if text[:1] == "G" else count
                    self.types += text[6:].split() if system == "G" else []
                elif label == b"SYS / SCALE FACTOR":
                    factor_of = self._scale(text, factor_of)
                else:
                    self.text.take_fact(label, text)
            except ValueError as error:
                raise ValueError(f"line {number + 1}: {error}") from error
        raise ValueError("the header has no line 'END OF HEADER'; get the file again")

    def _after_header(self, number: int, count: int) -> int:
        if not self.types:
            raise ValueError("the header names no observation of GPS; log GPS")
        if count != len(self.types):
            raise ValueError(f"the header names {len(self.types)} of {count} observations of GPS")
        return number + 1

    def _scale(self, text: str, previous: tuple[float, int]) -> tuple[float, int]:
        factor, left = previous
        if text[:1] == "G":
            factor, left = float(text[2:6]), int(text[8:10] or 0)
            if not text[8:].strip():
                self.factors = dict.fromkeys(self.types, factor)
        elif text[:1] != " ":
            left = 0
        names = text[10:].split()[: max(left, 0)]
        self.factors |= dict.fromkeys(names, factor)
        return factor, left - len(names)

    def epochs(self, number: int) -> None:
        """Assign the lines from line `number` on to epochs; lines after a damaged epoch line have no time."""
        moment_ns, is_lost, left, seen = 0, False, 0, set[bytes]()
        missing = "the satellite is before the first epoch"
        while number < len(self.text.lines):
            line, number = self.text.lines[number], number + 1
            if line[:1] == b">":
                try:
                    flag, left, moment_ns = _epoch(line)
                except ValueError as error:
                    self.text.faults.append((number - 1, number, str(error)))
                    left, missing = 0, "the epoch line of the satellite is damaged"
                    continue
                is_lost, seen, missing = flag == POWER_FAILURE, set(), "the epoch line states fewer satellites"
                if flag in EVENTS:
                    number, left = number + left, 0
            elif line[:1] in _SYSTEMS and line[1:3].replace(b" ", b"0").isdigit():
                name = line[:3]
                fault = missing if left <= 0 else "the satellite is twice in the epoch" if name in seen else ""
                if fault:
                    self.text.faults.append((number - 1, number, fault))
                elif line[:1] == b"G":
                    self.moment_ns.append(moment_ns)
                    self.line.append(number - 1)
                    self.lost.append(is_lost)
                seen.add(name)
                left -= 1
            elif line.strip():
                self.text.faults.append((number - 1, number, "neither an epoch nor a satellite"))
                left -= 1
        self.is_cut = left > 0


def _epoch(line: bytes) -> tuple[int, int, int]:
    """Return flag, number of lines that follow, and time of an epoch line."""
    try:
        flag, count = int(line[31:32]), int(line[32:35])
        if flag in EVENTS:
            return flag, count, 0
        year = int(line[2:6])
        month, day, hour, minute = (int(line[at : at + 3]) for at in range(6, 18, 3))
        second_ns = round(float(line[18:29]) * 1e9)
    except (ValueError, OverflowError):
        raise ValueError("not an epoch line") from None
    return flag, count, gps_ns(calendar_date(year, month, day), hour, minute, second_ns, "GPS")


def read_rinex3(content: bytes) -> GnssMeasurements:
    """Return the measurements of the GPS satellites in the content of a file.

    Raises:
        ValueError: The file is damaged so that nothing can be read; the message names line and remedy.
    """
    reader = _Reader(RinexText.of(content))
    reader.epochs(reader.header())
    if not reader.line:
        raise ValueError("the file has no epoch with a satellite of GPS; get it again")
    order = np.argsort(np.array(reader.moment_ns, dtype=np.int64), kind="stable")
    reader.line = [reader.line[row] for row in order.tolist()]
    moment_ns = np.array(reader.moment_ns, dtype=np.int64)[order]
    values, locks, damaged = converted(_fields(reader))
    broken = [reader.line[row] for row in damaged.tolist()]
    reader.text.faults += [(at, at + 1, "a field is not a number") for at in broken]
    last = reader.line[-1]
    if reader.is_cut and all(stop <= last for _, stop, _ in reader.text.faults):
        reader.text.faults.append((last, last + 1, "the file ends inside an epoch"))
    numbers = [int(reader.text.lines[at][1:3]) for at in reader.line]
    signals = _Signals(reader.types, reader.factors, np.array(numbers), np.where(values == 0.0, np.nan, values), locks)
    lost = np.where(np.array(reader.lost)[order], LOST_LOCK, 0).astype(np.uint8)
    l1, l2 = signals.chosen("L1", ("C", *_P1)), signals.chosen("L2", _ON_L2)
    return GnssMeasurements(
        gps_ms=moment_ns // NS_PER_MS,
        fraction_s=np.asarray(moment_ns % NS_PER_MS * 1e-9, dtype=np.float64),
        satellite=np.array([f"G{number:02d}" for number in numbers]),
        code_l1_m=signals.values(signals.chosen("C1", ("C",))),
        code_p1_m=signals.values(signals.chosen("C1", _P1)),
        code_p2_m=signals.values(signals.chosen("C2", _ON_L2)),
        phase_l1_m=L1_WAVELENGTH_M * signals.values(l1),
        phase_l2_m=L2_WAVELENGTH_M * signals.values(l2),
        signal_to_noise_l1_db_hz=signals.values(signals.chosen("S1", ("C", *_P1))),
        signal_to_noise_l2_db_hz=signals.values(signals.chosen("S2", _ON_L2)),
        loss_of_lock_l1=signals.locks(l1) | lost,
        loss_of_lock_l2=signals.locks(l2) | lost,
        facts=ReceiverFacts(**reader.text.facts),
        damage=reader.text.damage(),
    )


@dataclass(frozen=True, slots=True)
class _Signals:
    """Columns of all observations."""

    types: Sequence[str]
    factors: dict[str, float]
    number: npt.NDArray[np.int64]
    column: FloatArray
    lock: FlagArray

    def chosen(self, begin: str, attributes: Sequence[str]) -> npt.NDArray[np.int64]:
        """Return the column to use in each row, -1 for none: one per satellite, since ambiguities of signals differ."""
        kinds = [kind for kind in (begin + attribute for attribute in attributes) if kind in self.types]
        columns = np.array([self.types.index(kind) for kind in kinds], dtype=np.int64)
        found = np.full(len(self.number), -1, dtype=np.int64)
        for number in np.unique(self.number) if len(columns) else ():
            rows = np.flatnonzero(self.number == number)
            counts = np.isfinite(self.column[np.ix_(rows, columns)]).sum(axis=0)
            found[rows] = columns[np.argmax(counts >= _ENOUGH * counts.max())]
        return found

    def values(self, chosen: npt.NDArray[np.int64]) -> FloatArray:
        """Return the values of the chosen columns."""
        factors = np.array([self.factors.get(kind, 1.0) for kind in self.types])
        taken = self.column[np.arange(len(chosen)), chosen] / factors[chosen]
        return np.where(chosen < 0, np.nan, taken)

    def locks(self, chosen: npt.NDArray[np.int64]) -> FlagArray:
        """Return the loss-of-lock indicators of the chosen columns."""
        taken = self.lock[np.arange(len(chosen)), chosen]
        return np.where(chosen < 0, 0, taken).astype(np.uint8)


def _fields(reader: _Reader) -> npt.NDArray[np.bytes_]:
    """Return the fields of 16 characters of all satellites, shape (n, types)."""
    width = FIELD_CHARS * len(reader.types)
    joined = [reader.text.lines[at][3 : 3 + width].ljust(width) for at in reader.line]
    return np.array(joined, dtype=f"S{width}").view("S1").reshape(len(joined), len(reader.types), FIELD_CHARS)
