"""The orbit as the attitude sees it: smooth in time, cheap to ask one time at a time."""

import math
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from scipy.interpolate import CubicHermiteSpline, CubicSpline

from pygnc_ground.scenario.earth import FloatArray

_KNOT_S = 10.0
"""Between knots so far apart a low orbit's position is good to a millimetre and its acceleration to 1e-5 m/s2."""
_FEWEST_KNOTS = 5


class Path(Protocol):
    """What attitude asks of a trajectory."""

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Position in m and velocity in m/s in GCRF at `t_s` seconds after the start, shape (n, 6)."""


# SciPy does not declare its types.
def position_spline(path: Path, last_s: float) -> Any:  # noqa: ANN401
    """Position in m in GCRF by time, from the start to `last_s`: takes t seconds to (3,), n of them to (n, 3)."""
    knots_s = _knots_s(last_s)
    states = path.states_gcrf(knots_s)
    return CubicHermiteSpline(knots_s, states[:, :3], states[:, 3:])


def acceleration_gcrf_mps2(path: Path, t_s: FloatArray) -> FloatArray:
    """The path's own acceleration at times from the start on, shapes (n,) -> (n, 3)."""
    knots_s = _knots_s(float(t_s.max(initial=0.0)))
    acceleration: FloatArray = CubicSpline(knots_s, path.states_gcrf(knots_s)[:, 3:])(t_s, 1)
    return acceleration


def _knots_s(last_s: float) -> FloatArray:
    span_s = max(last_s, 1.0)
    return np.linspace(0.0, span_s, max(_FEWEST_KNOTS, math.ceil(span_s / _KNOT_S) + 1))
