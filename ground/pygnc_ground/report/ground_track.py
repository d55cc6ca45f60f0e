"""The path on the ground as lines for a flat map."""

import numpy as np

from pygnc_ground.orbit.solution import BoolArray, FloatArray

_NOWHERE = np.full((1, 2), np.nan)


def flat_track(degrees: FloatArray, new_line: BoolArray) -> FloatArray:
    """Points for one line over a map from -180 to 180 degrees, with NaN where the pen is lifted, shape (m, 2).

    Args:
        degrees: East longitude and latitude, shape (n, 2), in order of time.
        new_line: Whether a line begins at the point, shape (n,).
    """
    if not len(degrees):
        return np.empty((0, 2))
    pieces = [degrees[:1]]
    for k in range(1, len(degrees)):
        here, there = degrees[k - 1], degrees[k]
        if new_line[k]:
            pieces.append(_NOWHERE)
        elif abs(there[0] - here[0]) > 180.0:
            pieces.append(_over_the_edge(here, there))
        pieces.append(degrees[k : k + 1])
    return np.concatenate(pieces)


def _over_the_edge(here: FloatArray, there: FloatArray) -> FloatArray:
    """From the edge of the map on this side to the same point on the other side."""
    edge = np.copysign(180.0, here[0])
    beyond = there[0] + 2.0 * edge
    share = (edge - here[0]) / (beyond - here[0]) if beyond != here[0] else 0.5
    latitude = here[1] + share * (there[1] - here[1])
    return np.array([[edge, latitude], [np.nan, np.nan], [-edge, latitude]])
