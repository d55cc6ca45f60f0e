"""Predicted encounters with partners as Conjunction Data Messages (CDM).

Source: CCSDS 508.0-B-1: states in km and km/s, covariances in m and m/s along radial, transverse and normal of each
object. The message has no field for the covariance of the relative state, from which the probability is computed:
errors that both orbits share cancel in it. The covariance of the partner is the sum of ours and the relative one;
comments contain the standard deviations of the relative state.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from pygnc.common.mean_elements import printable_ascii
from pygnc.estimators.orbit.state import LOWER
from pygnc_ground.exports.message import Block, Entry, Message, comment
from pygnc_ground.exports.orbit_messages import Label, state_entries, utc
from pygnc_ground.orbit.solution import FloatArray, rtn_axes

_VERSION: Final = "1.0"
_AXES: Final = ("R", "T", "N", "RDOT", "TDOT", "NDOT")
_UNITS: Final = ("m**2", "m**2/s", "m**2/s**2")
_METHOD: Final = "COPPOLA-2012"


@dataclass(frozen=True, slots=True, eq=False)
class Approach:
    """Encounter with a partner by one of the orbits that fit.

    Attributes:
        gps_ms: GPS milliseconds of the smallest distance.
        partner: Radio id of the partner.
        orbit: Name of the orbit of the partner.
        own: Our position (m) and velocity (m/s) in `frame`, shape (6,).
        own_covariance: Covariance of `own`, shape (6, 6).
        relative: State of the partner minus ours, shape (6,).
        relative_covariance: Covariance of `relative`, shape (6, 6).
        probability: Probability of a collision during the encounter.
        radius_m: Combined radius of both satellites.
    """

    gps_ms: int
    partner: int
    orbit: str
    own: FloatArray
    own_covariance: FloatArray
    relative: FloatArray
    relative_covariance: FloatArray
    probability: float
    radius_m: float


def cdm(approach: Approach, label: Label, comments: Iterable[str] = ()) -> Message:
    """Return the message; states are in GCRF."""
    rotation = rtn_axes(approach.own)
    position, velocity = rotation @ approach.relative[:3], rotation @ approach.relative[3:]
    both = np.kron(np.eye(2), rotation)
    sigma = np.sqrt(np.diagonal(both @ approach.relative_covariance @ both.T)).tolist()
    relative = (
        *(Entry(f"RELATIVE_POSITION_{axis}", f"{value:.6f}", "m") for axis, value in _along(position)),
        *(Entry(f"RELATIVE_VELOCITY_{axis}", f"{value:.9f}", "m/s") for axis, value in _along(velocity)),
    )
    about = Block(
        "relativeMetadataData",
        (
            comment(
                f"Orbit of OBJECT2: {approach.orbit}; probability within a combined radius of {approach.radius_m:g} m"
            ),
            comment(
                "The probability is that of the relative state. Its errors are smaller than those of both objects,"
            ),
            comment("which are correlated; standard deviations along R, T, N of OBJECT1:"),
            comment(" ".join(f"{value:.6e}" for value in sigma[:3]) + " m"),
            comment(" ".join(f"{value:.6e}" for value in sigma[3:]) + " m/s"),
            Entry("TCA", utc(approach.gps_ms)),
            Entry("MISS_DISTANCE", f"{np.linalg.norm(position):.6f}", "m"),
            Entry("RELATIVE_SPEED", f"{np.linalg.norm(velocity):.9f}", "m/s"),
            Block("relativeStateVector", relative),
            Entry("COLLISION_PROBABILITY", f"{approach.probability:.12e}"),
            Entry("COLLISION_PROBABILITY_METHOD", _METHOD),
        ),
    )
    message_id = Entry("MESSAGE_ID", f"{utc(approach.gps_ms)}-{approach.partner}-{approach.orbit.replace(' ', '-')}")
    partner = approach.own + approach.relative
    covariance = approach.own_covariance + approach.relative_covariance
    objects = (
        _object(1, label.name, label.designator, approach.own, approach.own_covariance),
        _object(2, f"PARTNER {approach.partner}", "", partner, covariance),
    )
    return Message("CDM", _VERSION, label.header(comments, message_id), (about, *objects))


def _along(vector: FloatArray) -> "zip[tuple[str, float]]":
    return zip("RTN", vector.tolist(), strict=True)


def _object(number: int, name: str, designator: str, state: FloatArray, covariance: FloatArray) -> Block:
    name, designator = (printable_ascii(text.strip()) or "UNKNOWN" for text in (name, designator))
    metadata = (
        Entry("OBJECT", f"OBJECT{number}"),
        Entry("OBJECT_DESIGNATOR", "UNKNOWN"),
        Entry("CATALOG_NAME", "UNKNOWN"),
        Entry("OBJECT_NAME", name),
        Entry("INTERNATIONAL_DESIGNATOR", designator),
        Entry("EPHEMERIS_NAME", "NONE"),
        Entry("COVARIANCE_METHOD", "CALCULATED"),
        Entry("MANEUVERABLE", "N/A"),
        Entry("ORBIT_CENTER", "EARTH"),
        Entry("REF_FRAME", "GCRF"),
    )
    both = np.kron(np.eye(2), rtn_axes(state))
    values = (both @ covariance @ both.T)[LOWER].tolist()
    triangle = (
        Entry(f"C{_AXES[row]}_{_AXES[column]}", f"{value:.12e}", _UNITS[row // 3 + column // 3])
        for row, column, value in zip(*LOWER, values, strict=True)
    )
    data = (Block("stateVector", tuple(state_entries(state))), Block("covarianceMatrix", tuple(triangle)))
    return Block("segment", (Block("metadata", metadata), Block("data", data)))
