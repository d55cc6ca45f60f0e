"""How the satellites of a formation start: relative states at random, some of kinds whose mirror images look alike.

Bounded kinds are made of relative orbital elements by their first-order map to radial, transverse, normal around a
circular orbit (D'Amico, TU Delft 2010, equation 2.17); what it leaves out moves a formation by some metres per orbit.
"""

import math
from collections.abc import Callable
from enum import StrEnum, unique
from typing import Final, NamedTuple

import numpy as np

from pygnc_ground.orbit.solution import FloatArray

SEPARATION_M: Final = (500.0, 2_000.0)
DRIFT_MPS: Final = (0.05, 0.3)


@unique
class Kind(StrEnum):
    """Of formation."""

    FREE = "free"
    """Apart and moving apart in any direction of inertial space: tens of kilometres after an hour."""
    BOUNDED = "bounded"
    """The same distances, and no more than the drift along the track adds to them."""
    FLAT = "flat"
    """Hardly any motion across the track: mirrored at the orbit's plane it stays nearly what it is."""
    TRAIN = "train"
    """One behind the other, each on a small ellipse."""
    SAFETY = "safety"
    """Parallel eccentricity and inclination vectors: apart across the track wherever not along it."""
    SYMMETRIC = "symmetric"
    """Partners that are nearly each other's mirror images."""


class Circle(NamedTuple):
    """The circular orbit nearest to our own at the start."""

    motion_rad_s: float
    argument_rad: float
    """Of latitude"""


def starts(kind: Kind, partners: int, circle: Circle, draw: np.random.Generator) -> FloatArray:
    """Partners minus our satellite at the start, (p, 6); fewer partners are the first ones of more.

    Velocities are relative to the turning axes radial, transverse, normal; those of `Kind.FREE` are differences along
    the axes of an inertial frame.
    """
    if kind is Kind.SYMMETRIC:
        return _symmetric(circle, draw)[:partners]
    return np.array([_DRAWN[kind](number, circle, draw) for number in range(partners)])


def _free(_number: int, _circle: Circle, draw: np.random.Generator) -> FloatArray:
    return np.concatenate((_vector(draw, *SEPARATION_M), _vector(draw, *DRIFT_MPS)))


def _bounded(_number: int, circle: Circle, draw: np.random.Generator) -> FloatArray:
    place_m, rate = _vector(draw, *SEPARATION_M), circle.motion_rad_s
    oscillating_mps = rate * 500.0 * draw.standard_normal(2)
    along_mps = 0.5 * rate * (_axis_m(_drift_mps(draw), circle) - 4.0 * place_m[0])
    return np.array([*place_m, oscillating_mps[0], along_mps, oscillating_mps[1]])


def _flat(number: int, circle: Circle, draw: np.random.Generator) -> FloatArray:
    start = _bounded(number, circle, draw)
    height_m, phase = draw.uniform(5.0, 50.0), draw.uniform(0.0, 2.0 * math.pi)
    start[2], start[5] = height_m * math.sin(phase), circle.motion_rad_s * height_m * math.cos(phase)
    return start


def _train(number: int, circle: Circle, draw: np.random.Generator) -> FloatArray:
    behind_m = (1.0, -1.0)[number % 2] * (1 + number // 2) * draw.uniform(*SEPARATION_M)
    axis_m = _axis_m(float(draw.choice((-1.0, 1.0))) * DRIFT_MPS[0], circle)
    return _from_elements(axis_m, behind_m, _plane(draw, 20.0, 100.0), _plane(draw, 10.0, 60.0), circle)


def _safety(number: int, circle: Circle, draw: np.random.Generator) -> FloatArray:
    eccentricity_m = _plane(draw, 200.0, 600.0)
    inclination_m = draw.uniform(0.7, 1.4) * eccentricity_m
    behind_m = (-1.0, 1.0)[number % 2] * draw.uniform(300.0, 1_500.0)
    axis_m = _axis_m(float(draw.choice((-1.0, 1.0))) * DRIFT_MPS[0], circle)
    return _from_elements(axis_m, behind_m, eccentricity_m, inclination_m, circle)


def _symmetric(circle: Circle, draw: np.random.Generator) -> FloatArray:
    """One partner, its image on the other side of the orbit's plane, and its image through our satellite."""
    first = _bounded(0, circle, draw)
    images = np.array((np.ones(6), (1.0, 1.0, -1.0, 1.0, 1.0, -1.0), -np.ones(6)))
    spoilt_m = np.array([_vector(draw, 10.0, 50.0) for _ in images])
    starts = images * first
    starts[1:, :3] += spoilt_m[1:]
    # Displaced along the radius, it would drift away.
    starts[1:, 4] -= 2.0 * circle.motion_rad_s * spoilt_m[1:, 0]
    return starts


_DRAWN: Final[dict[Kind, Callable[[int, Circle, np.random.Generator], FloatArray]]] = {
    Kind.FREE: _free,
    Kind.BOUNDED: _bounded,
    Kind.FLAT: _flat,
    Kind.TRAIN: _train,
    Kind.SAFETY: _safety,
}


def _from_elements(
    axis_m: float, along_m: float, eccentricity_m: FloatArray, inclination_m: FloatArray, circle: Circle
) -> FloatArray:
    """Relative state (6,) of relative orbital elements in m; the vectors are (2,)."""
    cosine, sine = math.cos(circle.argument_rad), math.sin(circle.argument_rad)
    (e_x, e_y), (i_x, i_y), rate = eccentricity_m, inclination_m, circle.motion_rad_s
    return np.array(
        (
            axis_m - e_x * cosine - e_y * sine,
            along_m + 2.0 * (e_x * sine - e_y * cosine),
            i_x * sine - i_y * cosine,
            rate * (e_x * sine - e_y * cosine),
            rate * (2.0 * (e_x * cosine + e_y * sine) - 1.5 * axis_m),
            rate * (i_x * cosine + i_y * sine),
        )
    )


def _axis_m(drift_mps: float, circle: Circle) -> float:
    """Difference of semi-major axes that makes a drift along the track."""
    return -drift_mps / (1.5 * circle.motion_rad_s)


def _drift_mps(draw: np.random.Generator) -> float:
    return float(draw.choice((-1.0, 1.0)) * draw.uniform(*DRIFT_MPS))


def _vector(draw: np.random.Generator, least: float, most: float) -> FloatArray:
    """Of any direction, (3,)."""
    direction = draw.standard_normal(3)
    vector: FloatArray = draw.uniform(least, most) / np.linalg.norm(direction) * direction
    return vector


def _plane(draw: np.random.Generator, least: float, most: float) -> FloatArray:
    """Of any direction, (2,)."""
    phase = draw.uniform(0.0, 2.0 * math.pi)
    return draw.uniform(least, most) * np.array((math.cos(phase), math.sin(phase)))
