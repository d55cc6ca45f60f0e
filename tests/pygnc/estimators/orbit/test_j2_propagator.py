"""The coarse motion, against a generator of orbits that knows far more."""

import math
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc.estimators.orbit.j2_propagator import StateVector, propagate

DEMO = Path(__file__).resolve().parents[4] / "data" / "demo" / "truth.parquet"
"""By brahe: gravity to degree 100, tides, Sun and Moon, drag."""
STEP_S = 25


@pytest.fixture(scope="module")
def states() -> list[StateVector]:
    table = pl.read_parquet(DEMO).select(f"{name}_gcrf_{unit}" for name, unit in NAMES)
    return [(row[0], row[1], row[2], row[3], row[4], row[5]) for row in table.iter_rows()]


NAMES = [("x", "m"), ("y", "m"), ("z", "m"), ("vx", "mps"), ("vy", "mps"), ("vz", "mps")]


@pytest.mark.parametrize(("steps", "within_m"), [(1, 1.0), (-6, 40.0), (24, 200.0), (216, 6_000.0)])
def test_it_follows_a_true_orbit(states: list[StateVector], steps: int, within_m: float) -> None:
    begin = max(0, -steps)
    errors_m = [
        math.dist(propagate(state, STEP_S * steps)[:3], states[k + steps][:3])
        for k, state in list(enumerate(states[: len(states) - max(0, steps)]))[begin::9]
    ]
    assert max(errors_m) < within_m


def test_it_comes_back_to_where_it_began(states: list[StateVector]) -> None:
    there_and_back = propagate(propagate(states[0], 500.0), -500.0)
    assert math.dist(there_and_back[:3], states[0][:3]) < 1.0
    assert propagate(states[0], 0.0) == states[0]


def test_the_node_drifts_as_the_flattening_says() -> None:
    """Rate of the node, -3/2 n J2 (R/a)^2 cos i, over one revolution of a circular orbit."""
    a_m, inclination = 6_928_000.0, math.radians(60.0)
    speed = math.sqrt(GM_EARTH_M3_S2 / a_m)
    state = (a_m, 0.0, 0.0, 0.0, speed * math.cos(inclination), speed * math.sin(inclination))
    period_s = 2.0 * math.pi * a_m / speed
    end = np.array(propagate(state, period_s))
    normal = np.cross(end[:3], end[3:])
    node = math.atan2(normal[0], -normal[1])
    expected = -1.5 * 2.0 * math.pi * 1.0826e-3 * (6_378_136.3 / a_m) ** 2 * math.cos(inclination)
    assert node == pytest.approx(expected, rel=0.01)
