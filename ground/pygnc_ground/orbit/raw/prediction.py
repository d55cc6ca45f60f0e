"""Predicted measurements of a receiver on an Earth-pointing satellite."""

from typing import NamedTuple

import numpy as np

from pygnc_ground.gnss.antennas import continuous, orbital_axes, wind_up_cycles
from pygnc_ground.gnss.ranges import Links
from pygnc_ground.orbit.raw.combinations import Combined
from pygnc_ground.orbit.solution import FloatArray


class Predicted(NamedTuple):
    """Predictions of n measurements in ITRF, without the receiver's clock."""

    range_m: FloatArray
    """Pseudoranges, shape (n,)."""
    direction: FloatArray
    """Unit vectors from the GPS satellite to the receiver, shape (n, 3)."""
    axes: FloatArray
    """Axes of the receiver's satellite as rows: x forwards, z to the Earth, shape (n, 3, 3)."""
    wind_up_cycles: FloatArray
    """Wind-up of the phase, continuous within each pass, shape (n,)."""
    sine: FloatArray
    """Sine of the elevation above the antenna, shape (n,)."""


def predict(  # noqa: PLR0917 - both ends of the links
    combined: Combined,
    links: Links,
    states: FloatArray,
    ecef_from_gcrf: FloatArray,
    offset_m: FloatArray,
    clock_s: FloatArray,
) -> Predicted:
    """Predict measurements at the states (n, 6) of the receiver's satellite in GCRF.

    Args:
        combined: Measurements with their passes.
        links: GPS satellites.
        states: Positions and velocities at reception, GCRF.
        ecef_from_gcrf: Rotations at reception, shape (n, 3, 3).
        offset_m: Antenna from the centre of mass along the satellite's axes, shape (3,).
        clock_s: Clock of the receiver at each measurement, shape (n,).
    """
    axes = np.einsum("nij,nkj->nki", ecef_from_gcrf, orbital_axes(states[:, :3], states[:, 3:]))
    antenna_m = np.einsum("nij,nj->ni", ecef_from_gcrf, states[:, :3])
    antenna_m += np.einsum("nij,i->nj", axes, offset_m)
    found = links.ranges(antenna_m, clock_s)
    antenna_axes = axes * np.array((1.0, -1.0, -1.0))[:, None]
    wind_up = _in_passes(wind_up_cycles(links.axes, antenna_axes, found.direction), combined)
    sine = -np.einsum("ni,ni->n", antenna_axes[:, 2], found.direction)
    return Predicted(found.range_m, found.direction, axes, wind_up, sine)


def _in_passes(cycles: FloatArray, combined: Combined) -> FloatArray:
    """Return wind-up that is continuous within each pass, shape (n,)."""
    order = np.lexsort((combined.measurements.gps_ms, combined.passes))
    continued = np.empty_like(cycles)
    continued[order] = continuous(cycles[order], np.flatnonzero(np.diff(combined.passes[order])) + 1)
    return continued
