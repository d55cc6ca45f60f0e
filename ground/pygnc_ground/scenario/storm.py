"""Magnetic field of currents in the ionosphere and above it, which is strongest in the auroral ovals.

Each component is a Gauss-Markov process of time. The ovals are rings around the magnetic poles; a storm is felt
elsewhere too, but more weakly.
"""

import math
from typing import Final

import numpy as np

from pygnc_ground.scenario.environment import Conditions, FloatArray
from pygnc_ground.scenario.sensor_settings import Storm
from pygnc_ground.scenario.settings import gauss_markov_process, noise_generator

_OVAL_DEG: Final = 68.0
_OVAL_WIDTH_DEG: Final = 5.0
"""Magnetic latitude of the ovals' middle, and standard deviation of their strength about it."""
_ELSEWHERE: Final = 0.2
"""Strength outside the ovals, of the ring current and others, relative to that inside: a judgement."""
_STEPS_PER_TIME: Final = 10


def storm_field_gcrf_ut(storm: Storm, conditions: Conditions, seed: int) -> FloatArray:
    """Return the field of the currents under n conditions in GCRF, uT, shape (n, 3)."""
    if storm.field_ut == 0.0:
        return np.zeros_like(conditions.field_gcrf_ut)
    t_s, step_s = conditions.t_s, storm.time_s / _STEPS_PER_TIME
    kept = math.exp(-step_s / storm.time_s)
    process = gauss_markov_process(noise_generator(seed, "storm"), kept, int(t_s.max(initial=0.0) / step_s) + 2)
    of_time = np.stack([np.interp(t_s, step_s * np.arange(len(process)), axis) for axis in process.T], axis=1)
    off_oval = (np.abs(_magnetic_latitude_deg(conditions)) - _OVAL_DEG) / _OVAL_WIDTH_DEG
    strength = storm.field_ut * (_ELSEWHERE + (1.0 - _ELSEWHERE) * np.exp(-0.5 * off_oval**2))
    return np.asarray(strength[:, np.newaxis] * of_time)


def _magnetic_latitude_deg(conditions: Conditions) -> FloatArray:
    """Return the latitude at which a dipole's field has the inclination of the Earth's, shape (n,).

    The tangent of the inclination is twice that of the latitude.
    """
    position_m, field_ut = conditions.states_gcrf[:, :3], conditions.field_gcrf_ut
    down = -np.einsum("ni,ni->n", position_m, field_ut) / np.linalg.norm(position_m, axis=1)
    level = np.sqrt(np.maximum(np.einsum("ni,ni->n", field_ut, field_ut) - down**2, 0.0))
    return np.asarray(np.degrees(np.arctan2(down, 2.0 * level)))
