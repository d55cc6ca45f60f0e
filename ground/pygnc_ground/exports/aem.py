"""Attitudes as Attitude Ephemeris Messages (AEM).

Source: CCSDS 504.0-B-2: quaternions with the scalar last (Q1, Q2, Q3, QC) of the rotation from REF_FRAME_A, GCRF, to
REF_FRAME_B, the body axes, and the body rate in deg/s along the body axes. With the convention of the standard they
have the components of our Hamilton quaternion, which takes body components to GCRF components.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc_ground.exports.message import Block, Entry, Message
from pygnc_ground.exports.orbit_messages import Label, utc
from pygnc_ground.orbit.solution import FloatArray, IntArray

_VERSION: Final = "2.0"
_GAP_MIN_MS: Final = 10_000
"""Time between attitudes that is never a gap; neither are three times the usual one."""


@dataclass(frozen=True, slots=True, eq=False)
class Attitudes:
    """Attitudes at n ascending times.

    Attributes:
        gps_ms: GPS milliseconds since the GPS epoch, shape (n,).
        quaternion: Quaternions from body to GCRF components, Hamilton convention, scalar first, shape (n, 4).
        rate_rad_s: Body rates, shape (n, 3).
        sigma_rad: Standard deviations about the body axes, shape (n, 3).
    """

    gps_ms: IntArray
    quaternion: FloatArray
    rate_rad_s: FloatArray
    sigma_rad: FloatArray


def aem(attitudes: Attitudes, label: Label, comments: Iterable[str]) -> Message:
    """Return the message; a gap begins a new segment. There must be an attitude."""
    steps = np.diff(attitudes.gps_ms)
    gap_ms = max(_GAP_MIN_MS, 3.0 * float(np.median(steps))) if len(steps) else _GAP_MIN_MS
    parts = np.split(np.arange(len(attitudes.gps_ms)), np.flatnonzero(steps > gap_ms) + 1)
    x, y, z = np.degrees(np.sqrt(np.mean(attitudes.sigma_rad**2, axis=0))).tolist()
    notes = (
        *comments,
        "Q1 Q2 Q3 QC, the scalar last, of the rotation from GCRF to the body axes",
        "This message has no field for standard deviations of the attitude; RMS about the body axes:",
        f"{x:.4f} {y:.4f} {z:.4f} deg",
    )
    segments = tuple(_segment(attitudes, rows, label) for rows in parts)
    return Message("AEM", _VERSION, label.header(notes), segments)


def _segment(attitudes: Attitudes, rows: IntArray, label: Label) -> Block:
    metadata = (
        *label.entries,
        Entry("REF_FRAME_A", "GCRF"),
        Entry("REF_FRAME_B", "SC_BODY_1"),
        Entry("TIME_SYSTEM", "UTC"),
        Entry("START_TIME", utc(int(attitudes.gps_ms[rows[0]]))),
        Entry("STOP_TIME", utc(int(attitudes.gps_ms[rows[-1]]))),
        Entry("ATTITUDE_TYPE", "QUATERNION/ANGVEL"),
        Entry("ANGVEL_FRAME", "SC_BODY_1"),
    )
    lines = tuple(_line(attitudes, row) for row in rows.tolist())
    data = Block("data", lines, "DATA_START", "DATA_STOP")
    return Block("segment", (Block("metadata", metadata, "META_START", "META_STOP"), data))


def _line(attitudes: Attitudes, row: int) -> Block:
    scalar, *vector = (f"{value:.12f}" for value in attitudes.quaternion[row].tolist())
    rates = (f"{value:.12f}" for value in np.degrees(attitudes.rate_rad_s[row]).tolist())
    quaternion = Block("quaternion", tuple(map(Entry, ("Q1", "Q2", "Q3", "QC"), (*vector, scalar))))
    rate = Block("angVel", tuple(map(Entry, ("ANGVEL_X", "ANGVEL_Y", "ANGVEL_Z"), rates)))
    epoch = Entry("EPOCH", utc(int(attitudes.gps_ms[row])))
    return Block("attitudeState", (Block("quaternionAngVel", (epoch, quaternion, rate)),), is_line=True)
