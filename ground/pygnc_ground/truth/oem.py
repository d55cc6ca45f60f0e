"""CCSDS Orbit Ephemeris Messages, versions 1 to 3: metadata and states as arcs of a true orbit.

Source: CCSDS 502.0-B-3, chapter 5; names of frames and time systems by the SANA registries.
"""

import math
import re
from typing import Final

import numpy as np

from pygnc_ground.truth.arc import HERMITE_WINDOW, Arc
from pygnc_ground.truth.ephemeris import Ephemeris
from pygnc_ground.truth.epochs import OEM_TIME_SYSTEMS, gps_ns_from_ccsds
from pygnc_ground.truth.inertial import Frame
from pygnc_ground.truth.oem_segment import Entry, Segment, StateLine
from pygnc_ground.truth.orbit_truth import IntArray
from pygnc_ground.truth.selection import choose_object

_M_PER_KM = 1e3
_EARTH_FIXED: Final = re.compile(r"(ITRF|IGS|IGB)[-_ ]?\d*|WGS[-_ ]?84|ECEF")
"""All agree to centimetres. GTOD, TDR and EFG leave out the polar motion, 10 m, and are none of these."""
_INERTIAL: Final = {"GCRF": Frame.GCRF, "ICRF": Frame.GCRF, "EME2000": Frame.EME2000, "J2000": Frame.EME2000}
_WIDEST_WINDOW: Final = 8
_LARGEST: Final = 1e15


def ephemeris_from_oem(segments: list[Segment], object_id: str | None) -> Ephemeris:
    """The orbit of one object, one arc per segment.

    Segments that recommend Hermite interpolation get their degree. For the others the arc's own holds: with velocities,
    which every state of a message has, it is closer than Lagrange's of any degree.

    Args:
        segments: Of the message.
        object_id: The object's OBJECT_ID; None if there is one only.

    Raises:
        ValueError: A value is missing, unknown or impossible, or the object is not there; the message names the line.
    """
    filled = [segment for segment in segments if segment.states]
    if not filled:
        raise ValueError("the message holds no states")
    chosen = choose_object([_value(segment, "OBJECT_ID").text for segment in filled], object_id)
    own = [segment for segment in filled if _value(segment, "OBJECT_ID").text == chosen]
    name = own[0].metadata.get("OBJECT_NAME", Entry("without a name", 0)).text
    frames = ", ".join(dict.fromkeys(_value(segment, "REF_FRAME").text for segment in own))
    return Ephemeris([_arc(segment) for segment in own], f"OEM, object {chosen} {name}, {frames}")


def _arc(segment: Segment) -> Arc:
    centre = _value(segment, "CENTER_NAME")
    if centre.text.upper() != "EARTH":
        raise ValueError(f"line {centre.line}: the centre is {centre.text}, not EARTH")
    state = np.array([_components(line) for line in segment.states])
    time_ns = _times(segment)
    return Arc(
        gps_ns=time_ns,
        position_m=_M_PER_KM * state[:, :3],
        velocity_mps=_M_PER_KM * state[:, 3:],
        frame=_frame(_value(segment, "REF_FRAME")),
        window=_window(segment.metadata),
        usable_ns=_usable_ns(segment, time_ns),
    )


def _value(segment: Segment, keyword: str) -> Entry:
    entry = segment.metadata.get(keyword)
    if entry is None or not entry.text:
        raise ValueError(f"line {segment.line}: the metadata that begin here give no {keyword}")
    return entry


def _frame(name: Entry) -> Frame:
    frame = name.text.upper()
    if _EARTH_FIXED.fullmatch(frame):
        return Frame.ITRF
    if frame not in _INERTIAL:
        raise ValueError(
            f"line {name.line}: the frame {name.text!r} is none of ITRFyyyy, IGSyy, WGS84, ECEF,"
            f" {', '.join(_INERTIAL)}; convert the states"
        )
    return _INERTIAL[frame]


def _times(segment: Segment) -> IntArray:
    """Times of the states in nanoseconds since the GPS epoch, shape (s,)."""
    time_ns = np.array([_time_ns(segment, Entry(line.epoch, line.line)) for line in segment.states], dtype=np.int64)
    backwards = np.flatnonzero(np.diff(time_ns) <= 0)
    if backwards.size:
        line = segment.states[backwards[0] + 1]
        raise ValueError(f"line {line.line}: {line.epoch} is not later than the state before; sort the states")
    return time_ns


def _time_ns(segment: Segment, epoch: Entry) -> int:
    time_system = _value(segment, "TIME_SYSTEM")
    name = time_system.text.upper()
    if name not in OEM_TIME_SYSTEMS:
        raise ValueError(
            f"line {time_system.line}: the time system {time_system.text!r} is none of {', '.join(OEM_TIME_SYSTEMS)};"
            " convert the times"
        )
    try:
        return gps_ns_from_ccsds(epoch.text, name)
    except ValueError as error:
        raise ValueError(f"line {epoch.line}: {error}") from error


def _usable_ns(segment: Segment, time_ns: IntArray) -> tuple[int, int]:
    """The span that may be asked for; states outside are there to interpolate up to its ends."""
    begin_ns, end_ns = int(time_ns[0]), int(time_ns[-1])
    begin, end = (segment.metadata.get(f"USEABLE_{side}_TIME") for side in ("START", "STOP"))
    if begin is not None:
        begin_ns = max(begin_ns, _time_ns(segment, begin))
    if end is not None:
        end_ns = min(end_ns, _time_ns(segment, end))
    if begin_ns > end_ns:
        raise ValueError(f"line {segment.line}: no state of this segment lies in its useable time")
    return begin_ns, end_ns


def _window(metadata: dict[str, Entry]) -> int:
    """Samples for the recommended Hermite degree, or by default."""
    degree = metadata.get("INTERPOLATION_DEGREE")
    if degree is None or metadata.get("INTERPOLATION", degree).text.upper() != "HERMITE":
        return HERMITE_WINDOW
    if not re.fullmatch(r"[0-9]{1,2}", degree.text):
        raise ValueError(f"line {degree.line}: the degree of interpolation {degree.text!r} is no whole number to 99")
    return min(max((int(degree.text) + 2) // 2, 2), _WIDEST_WINDOW)


def _components(line: StateLine) -> list[float]:
    """Position and velocity as numbers, (6,)."""
    try:
        numbers = [float(component) for component in line.components]
    except ValueError as error:
        raise ValueError(f"line {line.line}: the state is not all numbers: {error}") from error
    if not all(math.isfinite(number) and abs(number) < _LARGEST for number in numbers):
        raise ValueError(f"line {line.line}: the state holds a number that is not finite; leave the state out")
    return numbers
