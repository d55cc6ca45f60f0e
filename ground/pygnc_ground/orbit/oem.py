"""Orbits with their covariances as CCSDS Orbit Ephemeris Messages (OEM) in keyword = value notation.

Source: CCSDS 502.0-B-3, chapter 5: states at UTC, km and km/s; covariances along RTN of the inertial orbit. States are
in GCRF, or in ITRF where the Earth orientation does not reach, because GCRF would be off by up to 1 km there.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.frames import EarthFrames
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.orbit.solution import FloatArray, OrbitSolution, rtn_axes

_KM_PER_M = 1e-3


@dataclass(frozen=True, slots=True, eq=False)
class EphemerisRow:
    """State in GCRF, m and m/s, shape (6,), with its covariance in GCRF, shape (6, 6)."""

    gps_ms: int
    state: FloatArray
    covariance: FloatArray


def rows_of_solution(solution: OrbitSolution, frames: EarthFrames, step_ms: int) -> list[EphemerisRow]:
    """Return the known states of a solution in order of time, at least `step_ms` apart."""
    rows: list[EphemerisRow] = []
    for row in np.flatnonzero(solution.known)[np.argsort(solution.gps_ms[solution.known], kind="stable")].tolist():
        gps_ms = int(solution.gps_ms[row])
        if rows and gps_ms < rows[-1].gps_ms + step_ms:
            continue
        to_gcrf = np.linalg.inv(frames.ecef_state_from_gcrf(gps_ms))
        state = np.concatenate((solution.position_gcrf_m[row], solution.velocity_gcrf_mps[row]))
        rows.append(EphemerisRow(gps_ms, state, to_gcrf @ solution.covariance_ecef[row] @ to_gcrf.T))
    return rows


def rows_of_states(states: Iterable[OrbitState]) -> list[EphemerisRow]:
    """Return states of the filter."""
    return [EphemerisRow(state.gps_ms, state.x[:6], state.covariance[:6, :6]) for state in states]


def oem_text(
    rows: Sequence[EphemerisRow],
    frames: EarthFrames,
    *,
    name: str,
    designator: str,
    created_gps_ms: int,
    comment: str,
) -> str:
    """Return the message with one segment; `rows` are in ascending order of time.

    Args:
        rows: States.
        frames: Earth orientation with which the states were computed.
        name: Name of the object; empty if unknown.
        designator: International designator; empty if unknown.
        created_gps_ms: Date of the message: the time up to which measurements were used.
        comment: Line of comment.

    Raises:
        ValueError: There is no row.
    """
    if not rows:
        raise ValueError("an ephemeris message needs at least one state")
    begin, end = _utc(rows[0].gps_ms), _utc(rows[-1].gps_ms)
    orientation_ms = frames.orientation.begins_gps_ms
    is_inertial = orientation_ms is not None and orientation_ms <= rows[0].gps_ms
    head = [
        "CCSDS_OEM_VERS = 2.0",
        f"COMMENT {comment}",
        f"CREATION_DATE = {_utc(created_gps_ms)}",
        "ORIGINATOR = PYGNC",
        "META_START",
        f"OBJECT_NAME = {name or 'UNKNOWN'}",
        f"OBJECT_ID = {designator or 'UNKNOWN'}",
        "CENTER_NAME = EARTH",
        f"REF_FRAME = {'GCRF' if is_inertial else 'ITRF'}",
        "TIME_SYSTEM = UTC",
        f"START_TIME = {begin}",
        f"STOP_TIME = {end}",
        "INTERPOLATION = HERMITE",
        "INTERPOLATION_DEGREE = 7",
        "META_STOP",
    ]
    turned = [row.state if is_inertial else frames.ecef_state_from_gcrf(row.gps_ms) @ row.state for row in rows]
    states = (" ".join((_utc(row.gps_ms), *_words(state))) for row, state in zip(rows, turned, strict=True))
    return "\n".join([*head, *states, "COVARIANCE_START", *_covariances(rows), "COVARIANCE_STOP"]) + "\n"


def _utc(gps_ms: int) -> str:
    return utc_iso_from_gps_ms(gps_ms).removesuffix("Z")


def _words(state: FloatArray) -> list[str]:
    position, velocity = (_KM_PER_M * state[:3]).tolist(), (_KM_PER_M * state[3:]).tolist()
    return [*(f"{value:.9f}" for value in position), *(f"{value:.12f}" for value in velocity)]


def _covariances(rows: Sequence[EphemerisRow]) -> Iterator[str]:
    for row in rows:
        axes = rtn_axes(row.state)
        both = np.kron(np.eye(2), axes)
        covariance = _KM_PER_M**2 * (both @ row.covariance @ both.T)
        yield f"EPOCH = {_utc(row.gps_ms)}"
        yield "COV_REF_FRAME = RTN"
        for line in range(6):
            yield " ".join(f"{value:.12e}" for value in covariance[line, : line + 1].tolist())
