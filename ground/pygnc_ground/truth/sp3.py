"""SP3-c and SP3-d files: precise orbits in an Earth-fixed frame, as published by analysis centres.

Sources: S. Hilla, The Extended Standard Product 3 Orbit Format (SP3-c), 2010, and (SP3-d), 2016. Accuracies and
correlations are ignored, and clocks except by `read_sp3_satellites`.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from pygnc_ground.truth.ephemeris import HERMITE_WINDOW, LAGRANGE_WINDOW, Arc, Ephemeris, choose_object
from pygnc_ground.truth.epochs import SP3_TIME_SYSTEMS, calendar_date, gps_ns
from pygnc_ground.truth.frames import Frame
from pygnc_ground.truth.orbit_truth import FloatArray, IntArray

_M_PER_KM = 1e3
_MPS_PER_DMPS = 0.1
_NS_PER_S = 1_000_000_000
_MISSING = 999_999.0
"""Components of 999999.999999 and more are unknown, as is a vector of zeros."""
_INERTIAL = ("GCRF", "ICRF", "EME", "J2000", "ECI", "TOD", "TEME")
_PASSED_OVER = ("/*", "EP", "EV")

Vector = tuple[float, float, float]


@dataclass(slots=True)
class _Sample:
    gps_ns: int
    position_km: Vector | None = None
    velocity_dmps: Vector | None = None
    clock_us: float = float("nan")
    manoeuvre: bool = False
    """True if the satellite manoeuvred after the previous sample"""
    predicted: bool = False


@dataclass(slots=True)
class _Reader:
    """State of the line-by-line parser."""

    object_id: str | None
    version: str = ""
    coordinate_system: str = ""
    agency: str = ""
    interval_ns: int = 0
    time_system: str = ""
    objects: list[str] = field(default_factory=list)
    chosen: str = ""
    samples: list[_Sample] = field(default_factory=list)
    """Samples of the chosen satellite, one per epoch"""
    every: dict[str, list[_Sample]] | None = None
    """Samples of every satellite with a position, if all are read"""

    def parse_line(self, line: str) -> None:
        """Parse the next line.

        Raises:
            ValueError: The line is not allowed where it stands.
        """
        if line[:1] in ("P", "V"):
            self._take_record(line)
        elif line.startswith("*"):
            if not self.samples:
                self.chosen = self._choose()
            self.samples.append(_Sample(self._epoch_ns(line)))
        elif line[:1] in ("#", "+", "%"):
            self._take_header(line)
        elif line.strip() and line[:2] not in _PASSED_OVER:
            raise ValueError(f"{line[:20]!r} is not the beginning of an SP3 record; get the file again")

    def _take_header(self, line: str) -> None:
        if line.startswith("##"):
            self.interval_ns = round(_number(line[24:38], "epoch interval") * _NS_PER_S)
            if not 0 < self.interval_ns < 100_000 * _NS_PER_S:
                raise ValueError(
                    f"the epoch interval {line[24:38].strip()} s is not between 0 and 100 000 s;"
                    " correct columns 25 to 38"
                )
        elif line.startswith("#"):
            self.version, self.coordinate_system, self.agency = line[1:2], line[46:51].strip(), line[56:60].strip()
            if self.version not in ("c", "d"):
                raise ValueError(f"SP3-{self.version} is not supported; convert the file to SP3-c or SP3-d")
        elif line.startswith("+ "):
            names = (line[column : column + 3] for column in range(9, 60, 3))
            self.objects += [_identifier(name) for name in names if name.strip(" 0")]
        elif line.startswith("%c") and not self.time_system:
            self.time_system = line[9:12]
            if self.time_system not in SP3_TIME_SYSTEMS:
                raise ValueError(
                    f"unknown time system {self.time_system!r}; choose from {', '.join(SP3_TIME_SYSTEMS)} and correct"
                    " columns 10 to 12"
                )

    def _choose(self) -> str:
        """Return the satellite to read; raise ValueError at the first epoch if the header is incomplete."""
        found = {"#c": self.version, "## (interval)": self.interval_ns, "%c (time system)": self.time_system}
        if missing := [name for name, value in found.items() if not value]:
            raise ValueError(f"the header lacks {', '.join(missing)}; get the file again")
        if self.coordinate_system.upper().startswith(_INERTIAL):
            raise ValueError(
                f"the coordinate system {self.coordinate_system} is inertial but SP3 is Earth-fixed; convert the file"
            )
        return "" if self.every is not None else choose_object(self.objects, self.object_id)

    def _epoch_ns(self, line: str) -> int:
        try:
            year, month, day, hour, minute = (
                int(line[begin:end]) for begin, end in ((3, 7), (8, 10), (11, 13), (14, 16), (17, 19))
            )
        except ValueError as error:
            raise ValueError(f"{line.strip()!r} is not an epoch; write '*  2025  3 20  9  1 28.00000000'") from error
        second_ns = round(_number(line[20:31], "seconds") * _NS_PER_S)
        moment_ns = gps_ns(calendar_date(year, month, day), hour, minute, second_ns, self.time_system)
        if self.samples and moment_ns <= self.samples[-1].gps_ns:
            raise ValueError(f"{line.strip()!r} is not later than the previous epoch; sort the epochs")
        return moment_ns

    def _take_record(self, line: str) -> None:
        if not self.samples:
            raise ValueError("a record is before the first epoch; get the file again")
        satellite = _identifier(line[1:4])
        if self.every is None and satellite != self.chosen:
            return
        x, y, z = (_number(line[column : column + 14], "component") for column in (4, 18, 32))
        missing = max(abs(x), abs(y), abs(z)) >= _MISSING or x == y == z == 0.0
        sample = self.samples[-1]
        if self.every is not None and line[0] == "P" and not missing:
            sample = _Sample(sample.gps_ns, clock_us=_clock_us(line))
            self.every.setdefault(satellite, []).append(sample)
        if line[0] == "V":
            sample.velocity_dmps = None if missing else (x, y, z)
        elif not missing:
            sample.position_km = x, y, z
            sample.manoeuvre, sample.predicted = line[78:79] == "M", line[79:80] == "P"


def read_sp3(text: str, object_id: str | None) -> Ephemeris:
    """Return the orbit of one satellite, such as "L47", or for None of the only one in the file.

    A new arc begins after a missing epoch or position and after a flagged manoeuvre.

    Raises:
        ValueError: The file is damaged or of another version, or the satellite does not exist; the message names the
            line.
    """
    reader = _Reader(object_id)
    _parse(reader, text)
    return _ephemeris(reader)


class SatelliteSamples(NamedTuple):
    """Samples of a satellite with a position, in order of time."""

    gps_ns: IntArray
    """Times in ns since the GPS epoch, shape (s,)."""
    position_m: FloatArray
    """Positions in ITRF, m, shape (s, 3)."""
    clock_s: FloatArray
    """Clock minus GPS time without the periodic relativistic effect, s, shape (s,); NaN where unknown."""


def read_sp3_satellites(text: str) -> dict[str, SatelliteSamples]:
    """Return the positions and clocks of all satellites by their names.

    Raises:
        ValueError: The file is damaged or of another version; the message names the line.
    """
    reader = _Reader(None, every={})
    _parse(reader, text)
    return {
        satellite: SatelliteSamples(
            np.array([sample.gps_ns for sample in samples], dtype=np.int64),
            _M_PER_KM * np.array([sample.position_km for sample in samples]),
            1e-6 * np.array([sample.clock_us for sample in samples]),
        )
        for satellite, samples in (reader.every or {}).items()
    }


def _parse(reader: _Reader, text: str) -> None:
    number = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if line.startswith("EOF"):
            return
        try:
            reader.parse_line(line)
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from error
    raise ValueError(
        f"line {number}: the file ends without EOF, so a part is missing; get it again, or add the line EOF"
    )


def _identifier(name: str) -> str:
    """Return a satellite as "G01"; some files omit the zero."""
    return name.replace(" ", "0")


def _clock_us(line: str) -> float:
    """Return the clock of a position record in microseconds; NaN if it is unknown."""
    text = line[46:60]
    value = _number(text, "clock") if text.strip() else _MISSING
    return value if abs(value) < _MISSING else float("nan")


def _number(text: str, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not abs(value) < 1e15:
        raise ValueError(
            f"{text.strip()!r} is not a number for the {what}, so columns are shifted or the file is damaged; get the"
            " file again"
        )
    return value


def _ephemeris(reader: _Reader) -> Ephemeris:
    if not reader.samples:
        raise ValueError("the file has no epoch; get it again")
    arcs = _without_gaps(reader.samples, reader.interval_ns)
    if not arcs:
        raise ValueError(f"the file has no position of satellite {reader.chosen}; choose a different satellite")
    origin = f"SP3-{reader.version} of {reader.agency or 'an unknown agency'}, satellite {reader.chosen}"
    predicted = sum(sample.predicted for arc in arcs for sample in arc)
    note = f", {predicted} predicted" if predicted else ""
    return Ephemeris([_arc(arc) for arc in arcs], f"{origin}, {reader.coordinate_system}{note}")


def _without_gaps(samples: list[_Sample], interval_ns: int) -> list[list[_Sample]]:
    arcs: list[list[_Sample]] = []
    end_ns = 0
    for sample in samples:
        if sample.position_km is None:
            continue
        if not arcs or sample.manoeuvre or sample.gps_ns - end_ns > 1.5 * interval_ns:
            arcs.append([])
        arcs[-1].append(sample)
        end_ns = sample.gps_ns
    return arcs


def _arc(samples: list[_Sample]) -> Arc:
    time_ns = np.array([sample.gps_ns for sample in samples], dtype=np.int64)
    velocities = [sample.velocity_dmps for sample in samples if sample.velocity_dmps is not None]
    # If one velocity is missing, the whole arc uses positions alone.
    complete = len(velocities) == len(samples)
    return Arc(
        gps_ns=time_ns,
        position_m=_M_PER_KM * np.array([sample.position_km for sample in samples]),
        velocity_mps=_MPS_PER_DMPS * np.array(velocities) if complete else None,
        frame=Frame.ITRF,
        window=HERMITE_WINDOW if complete else LAGRANGE_WINDOW,
        usable_ns=(int(time_ns[0]), int(time_ns[-1])),
    )
