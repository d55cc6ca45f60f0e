"""Orbits with their covariances as Orbit Parameter, Ephemeris and Mean-elements Messages (OPM, OEM, OMM).

Source: CCSDS 502.0-B-3, in the form that readers of version 2.0 accept: times in UTC, km and km/s. Covariances are
along radial, transverse and normal of the inertial orbit, also of states in ITRF.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, NamedTuple

import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.common.mean_elements import STATED_HOURS, MeanElements, printable_ascii
from pygnc.estimators.orbit.state import LOWER
from pygnc_ground.exports.message import Block, Entry, Message, Rows, header
from pygnc_ground.orbit.solution import FloatArray, IntArray

_VERSION: Final = "2.0"
_KM_PER_M: Final = 1e-3
_AXES: Final = ("X", "Y", "Z", "X_DOT", "Y_DOT", "Z_DOT")
_STATE_UNITS: Final = ("km", "km", "km", "km/s", "km/s", "km/s")
_UNITS: Final = ("km**2", "km**2/s", "km**2/s**2")
GAP_MS: Final = 600_000
"""Time between states beyond which a new segment begins: interpolation would err by more than 2 m."""
_DEGREE: Final = 7
_NODES: Final = 4
"""Number of states that determine a polynomial of this degree with their velocities."""


class Label(NamedTuple):
    """Object of a message, and the time up to which measurements were used, which is the date of the message."""

    name: str
    designator: str
    created_gps_ms: int

    @property
    def entries(self) -> tuple[Entry, ...]:
        """Name and designator."""
        name, designator = (printable_ascii(text.strip()) or "UNKNOWN" for text in (self.name, self.designator))
        return Entry("OBJECT_NAME", name), Entry("OBJECT_ID", designator)

    def header(self, comments: Iterable[str], *more: Entry) -> tuple[Entry, ...]:
        """Return the entries before the body of a message."""
        return header(comments, utc(self.created_gps_ms), *more)


@dataclass(frozen=True, slots=True, eq=False)
class States:
    """States at n ascending times.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch, shape (n,).
        states: Positions in m and velocities in m/s in `frame`, shape (n, 6).
        covariance_rtn: Covariances in m and m/s along RTN of the inertial orbit, shape (n, 6, 6).
        frame: GCRF or ITRF.
    """

    gps_ms: IntArray
    states: FloatArray
    covariance_rtn: FloatArray
    frame: str

    def __len__(self) -> int:
        return len(self.gps_ms)

    def rows(self, rows: IntArray | slice) -> "States":
        """Return some of the states."""
        return States(self.gps_ms[rows], self.states[rows], self.covariance_rtn[rows], self.frame)


class OemForm(NamedTuple):
    """Form of an ephemeris message that its receiver accepts.

    Attributes:
        frame: Name of the frame; empty for that of the states.
        centre: Name of the central body.
        method: Method of interpolation.
    """

    frame: str = ""
    centre: str = "EARTH"
    method: str = "HERMITE"


def opm(states: States, label: Label, comments: Iterable[str]) -> Message:
    """Return the last state with its covariance."""
    newest = states.rows(slice(-1, None))
    covariance = _covariance_entries(newest.covariance_rtn[0])
    metadata = Block("metadata", (*label.entries, *_frame(newest.frame, "EARTH")))
    data = Block(
        "data",
        (
            Block("stateVector", (Entry("EPOCH", utc(int(newest.gps_ms[0]))), *state_entries(newest.states[0]))),
            Block("covarianceMatrix", (Entry("COV_REF_FRAME", "RTN"), *covariance)),
        ),
    )
    return Message("OPM", _VERSION, label.header(comments), (Block("segment", (metadata, data)),))


def oem(states: States, label: Label, comments: Iterable[str], form: OemForm | None = None) -> Message:
    """Return the ephemeris; a gap of more than ten minutes begins a new segment.

    Raises:
        ValueError: There is no state.
    """
    if not len(states):
        raise ValueError("an ephemeris message needs at least one state")
    parts = np.split(np.arange(len(states)), np.flatnonzero(np.diff(states.gps_ms) > GAP_MS) + 1)
    segments = tuple(_segment(states.rows(rows), label, form or OemForm()) for rows in parts)
    return Message("OEM", _VERSION, label.header(comments), segments)


def _segment(states: States, label: Label, form: OemForm) -> Block:
    metadata = (
        *label.entries,
        *_frame(form.frame or states.frame, form.centre),
        Entry("START_TIME", utc(int(states.gps_ms[0]))),
        Entry("STOP_TIME", utc(int(states.gps_ms[-1]))),
    )
    if len(states) >= (_NODES if form.method == "HERMITE" else _DEGREE + 1):
        metadata += (Entry("INTERPOLATION", form.method), Entry("INTERPOLATION_DEGREE", str(_DEGREE)))
    rows = range(len(states))
    covariances = Block("", Rows(partial(_covariance, states), rows), "COVARIANCE_START", "COVARIANCE_STOP")
    data = Block("data", (Block("", Rows(partial(_line, states), rows)), covariances))
    return Block("segment", (Block("metadata", metadata, "META_START", "META_STOP"), data))


def _line(states: States, row: int) -> Block:
    epoch = Entry("EPOCH", utc(int(states.gps_ms[row])))
    return Block("stateVector", (epoch, *map(Entry, _AXES, _numbers(states.states[row]))), is_line=True)


def _covariance(states: States, row: int) -> Block:
    epoch = Entry("EPOCH", utc(int(states.gps_ms[row])))
    triangle = _triangle(_covariance_entries(states.covariance_rtn[row]))
    return Block("covarianceMatrix", (epoch, Entry("COV_REF_FRAME", "RTN"), *triangle))


def omm(elements: MeanElements, error_m: Sequence[float], created_gps_ms: int, comments: Iterable[str] = ()) -> Message:
    """Return mean elements with their errors at `STATED_HOURS`, m, as comments."""
    label = Label(elements.name, elements.designator, created_gps_ms)
    metadata = (
        *label.entries,
        Entry("CENTER_NAME", "EARTH"),
        Entry("REF_FRAME", "TEME"),
        Entry("TIME_SYSTEM", "UTC"),
        Entry("MEAN_ELEMENT_THEORY", "SGP4"),
    )
    mean = (
        Entry("EPOCH", utc(elements.epoch_gps_ms)),
        Entry("MEAN_MOTION", f"{elements.mean_motion_rev_per_day:.12f}"),
        Entry("ECCENTRICITY", f"{elements.eccentricity:.11f}"),
        Entry("INCLINATION", f"{elements.inclination_deg:.9f}"),
        Entry("RA_OF_ASC_NODE", f"{elements.raan_deg:.9f}"),
        Entry("ARG_OF_PERICENTER", f"{elements.argument_of_perigee_deg:.9f}"),
        Entry("MEAN_ANOMALY", f"{elements.mean_anomaly_deg:.9f}"),
    )
    parameters = (
        Entry("EPHEMERIS_TYPE", "0"),
        Entry("CLASSIFICATION_TYPE", "U"),
        Entry("NORAD_CAT_ID", str(elements.catalogue_number)),
        Entry("ELEMENT_SET_NO", "0"),
        Entry("REV_AT_EPOCH", "0"),
        Entry("BSTAR", f"{elements.bstar_per_radius:.10e}"),
        Entry("MEAN_MOTION_DOT", "0"),
        Entry("MEAN_MOTION_DDOT", "0"),
    )
    data = Block("data", (Block("meanElements", mean), Block("tleParameters", parameters)))
    segment = Block("segment", (Block("metadata", metadata), data))
    return Message("OMM", _VERSION, label.header((*comments, *error_comments(error_m))), (segment,))


def error_comments(error_m: Sequence[float]) -> Iterator[str]:
    """Yield comments with the errors of mean elements at `STATED_HOURS`, m; none if they are not known."""
    for hours, error in zip(STATED_HOURS, error_m, strict=False):
        yield f"Position error within {hours} h after the epoch, exceeded in 5 % of cases: {error / 1e3:.3f} km"


def utc(gps_ms: int) -> str:
    """Return a time as the messages write it."""
    return utc_iso_from_gps_ms(gps_ms).removesuffix("Z")


def state_entries(state: FloatArray) -> Iterator[Entry]:
    """Yield a position in m and a velocity in m/s, shape (6,), in km and km/s."""
    return map(Entry, _AXES, _numbers(state), _STATE_UNITS)


def _frame(frame: str, centre: str) -> tuple[Entry, ...]:
    return Entry("CENTER_NAME", centre), Entry("REF_FRAME", frame), Entry("TIME_SYSTEM", "UTC")


def _numbers(state: FloatArray) -> list[str]:
    position, velocity = (_KM_PER_M * state[:3]).tolist(), (_KM_PER_M * state[3:]).tolist()
    return [*(f"{value:.9f}" for value in position), *(f"{value:.12f}" for value in velocity)]


def _covariance_entries(covariance: FloatArray) -> tuple[Entry, ...]:
    """Return the lower triangle of a covariance in m and m/s, row by row."""
    values = (_KM_PER_M**2 * covariance[LOWER]).tolist()
    return tuple(
        Entry(f"C{_AXES[row]}_{_AXES[column]}", f"{value:.12e}", _UNITS[row // 3 + column // 3])
        for row, column, value in zip(*LOWER, values, strict=True)
    )


def _triangle(entries: Sequence[Entry]) -> Iterator[Block]:
    """Yield the rows of a lower triangle, which KVN writes as lines of values."""
    for row in range(6):
        begin = row * (row + 1) // 2
        yield Block("", tuple(entry._replace(unit="") for entry in entries[begin : begin + row + 1]), is_line=True)
