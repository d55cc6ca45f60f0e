"""Shapes of formations that are drawn from the seed: initial states of the partners relative to the main satellite.

Bounded shapes are drawn as relative orbital elements and mapped to radial, transverse, normal to first order about a
circular orbit (D'Amico, TU Delft 2010, equation 2.17); the error of the map moves a formation by some metres per orbit.
"""

import math
from collections.abc import Callable
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.environment.gravity import GM_EARTH_M3_S2
from pygnc_ground.scenario.environment import FloatArray
from pygnc_ground.scenario.reference import brahe
from pygnc_ground.scenario.settings import Orbit, Partner, Settings, Shape, noise_generator
from pygnc_ground.scenario.trajectory import initial_state_gcrf

SEPARATION_M: Final = (500.0, 2_000.0)
DRIFT_MPS: Final = (0.05, 0.3)


class CircularOrbit(NamedTuple):
    """Circular orbit nearest to that of the main satellite at the start."""

    motion_rad_s: float
    """Mean motion"""
    argument_rad: float
    """Argument of latitude"""


def placed_partners(settings: Settings) -> tuple[Partner, ...]:
    """Return the partners with their initial states, which are drawn unless the settings give them."""
    if settings.formation.shape == "given":
        return settings.partners
    orbit, seed = settings.orbit, settings.seed
    circle = CircularOrbit(
        motion_rad_s=math.sqrt(GM_EARTH_M3_S2 / orbit.semi_major_axis_m**3),
        argument_rad=math.radians(orbit.argument_of_perigee_deg + orbit.mean_anomaly_deg),
    )
    draw = noise_generator(seed, f"formation {settings.formation.shape}")
    drawn = relative_states(settings.formation.shape, len(settings.partners), circle, draw)
    own = initial_state_gcrf(orbit)
    placed = []
    for partner, relative in zip(settings.partners, drawn, strict=True):
        centre = _centre_gcrf(orbit, settings.formation.baseline_m, noise_generator(seed, f"baseline {partner.id}"))
        # Velocities of the free shape are relative to axes at rest.
        is_inertial = settings.formation.shape == "free"
        state = centre + relative if is_inertial else np.asarray(brahe.state_rtn_to_eci(centre, relative))
        rtn = np.asarray(brahe.state_eci_to_rtn(own, state)).tolist()
        placed.append(msgspec.structs.replace(partner, position_rtn_m=tuple(rtn[:3]), velocity_rtn_mps=tuple(rtn[3:])))
    return tuple(placed)


def _centre_gcrf(orbit: Orbit, baseline_m: float, draw: np.random.Generator) -> FloatArray:
    """Return the state on the main satellite's orbit about which a partner is placed, (6,)."""
    along_m = baseline_m * float(draw.choice((-1.0, 1.0)) * draw.uniform(0.1, 1.0))
    angle_deg = math.degrees(along_m / orbit.semi_major_axis_m)
    return initial_state_gcrf(msgspec.structs.replace(orbit, mean_anomaly_deg=orbit.mean_anomaly_deg + angle_deg))


def relative_states(shape: Shape, partners: int, circle: CircularOrbit, draw: np.random.Generator) -> FloatArray:
    """Return initial states of p partners minus ours in m and m/s, (p, 6); no state depends on p.

    Positions are radial, transverse, normal, and velocities are relative to the rotating axes. Only the states of the
    shape `free` are differences along inertial axes.
    """
    if shape == "symmetric":
        return _symmetric(circle, draw)[:partners]
    return np.array([_GENERATORS[shape](number, circle, draw) for number in range(partners)])


def _free(_number: int, _circle: CircularOrbit, draw: np.random.Generator) -> FloatArray:
    return np.concatenate((_vector(draw, *SEPARATION_M), _vector(draw, *DRIFT_MPS)))


def _bounded(_number: int, circle: CircularOrbit, draw: np.random.Generator) -> FloatArray:
    position_m, rate = _vector(draw, *SEPARATION_M), circle.motion_rad_s
    oscillating_mps = rate * 500.0 * draw.standard_normal(2)
    drift_mps = float(draw.choice((-1.0, 1.0)) * draw.uniform(*DRIFT_MPS))
    along_mps = 0.5 * rate * (_axis_m(drift_mps, circle) - 4.0 * position_m[0])
    return np.array([*position_m, oscillating_mps[0], along_mps, oscillating_mps[1]])


def _flat(number: int, circle: CircularOrbit, draw: np.random.Generator) -> FloatArray:
    state = _bounded(number, circle, draw)
    height_m, phase = draw.uniform(5.0, 50.0), draw.uniform(0.0, 2.0 * math.pi)
    state[2], state[5] = height_m * math.sin(phase), circle.motion_rad_s * height_m * math.cos(phase)
    return state


def _train(number: int, circle: CircularOrbit, draw: np.random.Generator) -> FloatArray:
    along_m = (1.0, -1.0)[number % 2] * (1 + number // 2) * draw.uniform(*SEPARATION_M)
    axis_m = _axis_m(float(draw.choice((-1.0, 1.0))) * DRIFT_MPS[0], circle)
    return _from_elements(axis_m, along_m, _plane(draw, 20.0, 100.0), _plane(draw, 10.0, 60.0), circle)


def _safety(number: int, circle: CircularOrbit, draw: np.random.Generator) -> FloatArray:
    eccentricity_m = _plane(draw, 200.0, 600.0)
    inclination_m = draw.uniform(0.7, 1.4) * eccentricity_m
    along_m = (-1.0, 1.0)[number % 2] * draw.uniform(300.0, 1_500.0)
    axis_m = _axis_m(float(draw.choice((-1.0, 1.0))) * DRIFT_MPS[0], circle)
    return _from_elements(axis_m, along_m, eccentricity_m, inclination_m, circle)


def _symmetric(circle: CircularOrbit, draw: np.random.Generator) -> FloatArray:
    """Return the states (3, 6) of a partner, of its image at our orbital plane, and of its image at our satellite."""
    first = _bounded(0, circle, draw)
    images = np.array((np.ones(6), (1.0, 1.0, -1.0, 1.0, 1.0, -1.0), -np.ones(6)))
    offset_m = np.array([_vector(draw, 10.0, 50.0) for _ in images])
    states = images * first
    states[1:, :3] += offset_m[1:]
    # Keeps the semi-major axis, so that the radial offset causes no drift.
    states[1:, 4] -= 2.0 * circle.motion_rad_s * offset_m[1:, 0]
    return states


_GENERATORS: Final[dict[Shape, Callable[[int, CircularOrbit, np.random.Generator], FloatArray]]] = {
    "free": _free,
    "bounded": _bounded,
    "flat": _flat,
    "train": _train,
    "safety": _safety,
}


def _from_elements(
    axis_m: float, along_m: float, eccentricity_m: FloatArray, inclination_m: FloatArray, circle: CircularOrbit
) -> FloatArray:
    """Return the relative state (6,) of relative orbital elements in m; the vectors are (2,)."""
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


def _axis_m(drift_mps: float, circle: CircularOrbit) -> float:
    """Return the difference of semi-major axes that causes a drift along the track."""
    return -drift_mps / (1.5 * circle.motion_rad_s)


def _vector(draw: np.random.Generator, minimum: float, maximum: float) -> FloatArray:
    """Return a vector (3,) of random direction and of a length from `minimum` to `maximum`."""
    direction = draw.standard_normal(3)
    vector: FloatArray = draw.uniform(minimum, maximum) / np.linalg.norm(direction) * direction
    return vector


def _plane(draw: np.random.Generator, minimum: float, maximum: float) -> FloatArray:
    """Return a vector (2,) of random direction and of a length from `minimum` to `maximum`."""
    phase = draw.uniform(0.0, 2.0 * math.pi)
    return draw.uniform(minimum, maximum) * np.array((math.cos(phase), math.sin(phase)))
