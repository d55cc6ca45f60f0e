"""RINEX 2 and 3 navigation files: broadcast ephemerides of GPS (LNAV).

Sources: W. Gurtner, RINEX 2.11, 2007, tables A3 and A4; RINEX 3.05, 2020, tables A5 and A6. Records of other systems
are passed over.
"""

import math
import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from pygnc.formats.damage import Damage, DamageReason
from pygnc_ground.gnss.broadcast import EPHEMERIS, MOST_ECCENTRIC, SQRT_A_RANGE_SQRT_M, Klobuchar
from pygnc_ground.truth.epochs import calendar_date, gps_ns

_RECOGNISED: Final = re.compile(rb"[ \d.]{9} {11}N", re.ASCII)
_LABEL_AT: Final = 60
_FIELD_CHARS: Final = 19
_LINES: Final = 8
"""Lines of a record of GPS."""
_SHORT_RECORD_LINES: Final = 4
"""Lines of a record of a satellite of GLONASS or of an augmentation system, the shortest."""
_NS_PER_S: Final = 1_000_000_000
_WEEK_NS: Final = 604_800 * _NS_PER_S
_UNKNOWN_S: Final = 0.9999e9
_BEFORE_TOE_NS: Final = 7200 * _NS_PER_S
"""Time from the begin of a regular transmission to `toe`."""
_KLOBUCHAR: Final = {"ION ALPHA": 0, "ION BETA": 1, "GPSA": 0, "GPSB": 1}
_OLDEST_SHORT_YEAR: Final = 80
_FIT_INTERVAL_H: Final = 4.0
_LONGEST_FIT_H: Final = 200.0


class Navigation(NamedTuple):
    """Content of a navigation file."""

    ephemerides: npt.NDArray[np.void]
    """Shape (n,), of type `EPHEMERIS`, in the order of the file."""
    klobuchar: Klobuchar | None
    damage: tuple[Damage, ...]
    used_bytes: int
    """Bytes of the header, of records and of records passed over; the others are damaged."""
    passed_over: int
    """Number of records of other systems."""


class _Line(NamedTuple):
    number: int
    start: int
    stop: int
    text: str


def recognises(head: bytes) -> bool:
    """Return True for the beginning of a navigation file."""
    return _RECOGNISED.match(head) is not None and b"RINEX VERSION / TYPE" in head[: _FIELD_CHARS * 5]


def read(content: bytes) -> Navigation:
    """Return the ephemerides of a navigation file; damaged records are left out and reported.

    Raises:
        ValueError: The file is not a navigation file, is of another version, or its header does not end.
    """
    if not recognises(content):
        raise ValueError("not a RINEX navigation file; its first line must have the type N and RINEX VERSION / TYPE")
    lines = list(_lines(content))
    version = float(lines[0].text[:9])
    if not 2.0 <= version < 4.0:
        raise ValueError(f"RINEX {version:.2f} is not supported; convert the file to RINEX 2.11 or 3.05")
    if lines[0].text[20:21] == "N" and version >= 3.0 and lines[0].text[40:41] not in "GM ":
        raise ValueError(f"the file has the system {lines[0].text[40:41]!r} only; get the navigation file of GPS")
    end = next((k for k, line in enumerate(lines) if line.text[_LABEL_AT:].startswith("END OF HEADER")), None)
    if end is None:
        raise ValueError("the header lacks END OF HEADER; get the file again")
    rows, damage, used, passed = list[tuple[float, ...]](), list[Damage](), lines[end].stop, 0
    is_long = version >= 3.0
    for record in _records(lines[end + 1 :], is_long=is_long):
        start, stop = record[0].start, record[-1].stop
        name = record[0].text[:1]
        if not any(line.text.strip() for line in record):
            used += stop - start
        elif is_long and name.isalpha() and name != "G" and len(record) >= _SHORT_RECORD_LINES:
            used, passed = used + stop - start, passed + 1
        else:
            try:
                rows.append(_ephemeris(record, 4 if is_long else 3))
                used += stop - start
            except ValueError as error:
                detail = f"line {record[0].number}: {error}"
                damage.append(Damage(start, stop, DamageReason.CONTENT, detail))
    if damage and damage[-1].stop == len(content) and "of 8 lines" in damage[-1].detail:
        damage[-1] = Damage(damage[-1].start, len(content), DamageReason.CUT_TAIL, damage[-1].detail)
    return Navigation(np.array(rows, EPHEMERIS), _klobuchar(lines[:end]), tuple(damage), used, passed)


def _lines(content: bytes) -> Iterator[_Line]:
    start = 0
    for number, line in enumerate(content.splitlines(keepends=True), start=1):
        yield _Line(number, start, start + len(line), line.decode("ascii", "replace").rstrip("\r\n"))
        start += len(line)


def _records(lines: Sequence[_Line], *, is_long: bool) -> Iterator[Sequence[_Line]]:
    """Yield the lines of each record: the first line begins with the satellite, the others with spaces."""
    begins = [k for k, line in enumerate(lines) if line.text[: 1 if is_long else 2].strip()]
    for begin, end in zip([0, *begins], [*begins, len(lines)], strict=True):
        if begin < end:
            yield lines[begin:end]


def _klobuchar(header: Sequence[_Line]) -> Klobuchar | None:
    found: dict[int, tuple[float, ...]] = {}
    for *_, text in header:
        label = text[_LABEL_AT:].strip()
        is_named = label == "IONOSPHERIC CORR"
        which = _KLOBUCHAR.get(text[:4] if is_named else label)
        if which is not None:
            begin = 5 if is_named else 2
            try:
                found[which] = tuple(_number(text[at : at + 12]) for at in range(begin, begin + 48, 12))
            except ValueError:
                return None
    return Klobuchar(found[0], found[1]) if len(found) == 2 else None


def _number(text: str) -> float:
    """Return a number; Fortran writes D before exponents, and a blank means 0."""
    if not text.strip():
        return 0.0
    try:
        value = float(text.replace("D", "E").replace("d", "e"))
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise ValueError(f"{text.strip()!r} is not a number")
    return value


def _whole(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise ValueError(f"{text.strip()!r} is not a whole number") from None


def _epoch(text: str) -> tuple[int, int]:
    """Return satellite and time of the clock parameters, ns since the GPS epoch."""
    if text[:1] == "G":
        prn, year, rest = _whole(text[1:3]), _whole(text[4:8]), text[8:23]
        second = 1e9 * _whole(rest[12:15])
    else:
        prn, year, rest = _whole(text[:2]), _whole(text[2:5]), text[5:22]
        year += 1900 if year >= _OLDEST_SHORT_YEAR else 2000
        second = 1e9 * _number(rest[12:17])
    month, day, hour, minute = (_whole(rest[at : at + 3]) for at in range(0, 12, 3))
    if not 1 <= prn <= 63:
        raise ValueError(f"{prn} is not a satellite of GPS")
    return prn, gps_ns(calendar_date(year, month, day), hour, minute, round(second), "GPS")


def _ephemeris(record: Sequence[_Line], indent: int) -> tuple[float, ...]:
    """Return the values of a record in the order of `EPHEMERIS`; raise ValueError if one cannot be right."""
    texts = [line.text for line in record if line.text.strip()]
    if len(texts) != _LINES:
        raise ValueError(f"the record has {len(texts)} of {_LINES} lines")
    prn, toc_ns = _epoch(texts[0])
    first = indent + _FIELD_CHARS
    values = [_number(texts[0][at : at + _FIELD_CHARS]) for at in range(first, first + 57, _FIELD_CHARS)]
    for text in texts[1:]:
        values += [_number(text[at : at + _FIELD_CHARS]) for at in range(indent, indent + 76, _FIELD_CHARS)]
    (
        *clock, iode, crs, delta_n, m0, cuc, e, cus, sqrt_a, toe_s, cic, omega0, cis, i0, crc, omega, omega_dot,
        idot, _codes, _week, _flag, accuracy_m, health, tgd, iodc, sent_s, fit_h, _spare, _other,
    ) = values  # fmt: skip
    if not (SQRT_A_RANGE_SQRT_M[0] < sqrt_a < SQRT_A_RANGE_SQRT_M[1] and 0.0 <= e < MOST_ECCENTRIC):
        raise ValueError(f"square root of the semi-major axis {sqrt_a}, eccentricity {e}: not an orbit of GPS")
    if not 0.0 <= toe_s < 604_800.0:
        raise ValueError(f"time of ephemeris {toe_s} s is not in a week")
    counts = iode, iodc, health
    if any(count != int(count) or not 0 <= count < 1024 for count in counts):
        raise ValueError(f"IODE, IODC, health {counts}: not whole numbers from 0 to 1023")
    toe_ns = _nearest(round(toe_s * _NS_PER_S), toc_ns)
    is_known = sent_s != 0.0 and abs(sent_s) < _UNKNOWN_S
    sent_ns = _nearest(round(sent_s * _NS_PER_S), toe_ns) if is_known else toe_ns - _BEFORE_TOE_NS
    return (
        prn, toe_ns, toc_ns, sent_ns, int(iode), int(iodc), int(health), accuracy_m,
        fit_h if _FIT_INTERVAL_H < fit_h < _LONGEST_FIT_H else _FIT_INTERVAL_H, tgd, *clock, sqrt_a, e, m0, delta_n,
        omega0, i0, omega, omega_dot, idot, cuc, cus, crc, crs, cic, cis,
    )  # fmt: skip


def _nearest(of_week_ns: int, near_ns: int) -> int:
    """Return the time of a week in the week that is nearest to a time; weeks in files may be modulo 1024."""
    return of_week_ns + round((near_ns - of_week_ns) / _WEEK_NS) * _WEEK_NS


def write_navigation(ephemerides: npt.NDArray[np.void], klobuchar: Klobuchar | None = None) -> bytes:
    """Return ephemerides, shape (n,), of type `EPHEMERIS`, as a RINEX 3.05 file."""
    first = f"{3.05:9.2f}{'':11}{'N: GNSS NAV DATA':20}G: GPS"
    header = [(first, "RINEX VERSION / TYPE"), ("PyGNC", "PGM / RUN BY / DATE")]
    if klobuchar is not None:
        for name, values in (("GPSA", klobuchar.alpha), ("GPSB", klobuchar.beta)):
            header.append((f"{name} " + "".join(f"{value:12.4E}" for value in values), "IONOSPHERIC CORR"))
    lines = [f"{text:{_LABEL_AT}}{label}" for text, label in [*header, ("", "END OF HEADER")]]
    for row in np.sort(ephemerides, order=("toe_gps_ns", "prn")):
        week, toe_ns = divmod(int(row["toe_gps_ns"]), _WEEK_NS)
        sent_ns = int(row["sent_gps_ns"]) - week * _WEEK_NS
        moment = np.datetime64("1980-01-06T00:00:00", "s") + int(row["toc_gps_ns"]) // _NS_PER_S
        stamp = str(moment).replace("-", " ").replace("T", " ").replace(":", " ")
        groups = (
            (row["iode"], row["crs_m"], row["delta_n_rad_s"], row["m0_rad"]),
            (row["cuc_rad"], row["eccentricity"], row["cus_rad"], row["sqrt_a_sqrt_m"]),
            (toe_ns / _NS_PER_S, row["cic_rad"], row["omega0_rad"], row["cis_rad"]),
            (row["i0_rad"], row["crc_m"], row["omega_rad"], row["omega_dot_rad_s"]),
            (row["idot_rad_s"], 1, week, 0),
            (row["accuracy_m"], row["health"], row["tgd_s"], row["iodc"]),
            (sent_ns / _NS_PER_S, row["fit_interval_h"]),
        )
        clock = (row["af0_s"], row["af1"], row["af2_per_s"])
        lines.append(f"G{int(row['prn']):02d} {stamp}" + "".join(f"{float(value):19.12E}" for value in clock))
        lines += ["    " + "".join(f"{float(value):19.12E}" for value in values) for values in groups]
    return ("\n".join(lines) + "\n").encode("ascii")
