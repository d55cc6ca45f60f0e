"""Instruments, cases and Markdown tables of the formation benchmark."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from pygnc_ground.campaign.formation_accuracy import (
    SCORED_EPOCHS,
    FormationScore,
    score_estimate,
    solve_world,
    world_bound,
)
from pygnc_ground.campaign.formation_world import FormationKind, FormationWorld, Instruments
from pygnc_ground.formation.bound import FormationBound, FormationMotion
from pygnc_ground.orbit.solution import FloatArray


def median_and_range(values: Sequence[float]) -> str:
    """Return median and extremes as text."""
    return f"{np.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


def rms(values: Sequence[float] | Sequence[FloatArray] | FloatArray) -> float:
    """Return the root mean square of all values."""
    return float(np.sqrt(np.mean(np.square(values))))


def print_header(*names: str) -> None:
    """Print the header of a Markdown table."""
    print_row(*names)
    print("|" + "---|" * len(names))


def print_row(*fields: str) -> None:
    """Print a row of a Markdown table."""
    print("| " + " | ".join(fields) + " |", flush=True)


class Case(NamedTuple):
    """Instruments and limit of one row of the accuracy table."""

    instruments: Instruments
    limit: float
    """Limit of error over bound"""


MESH_ALL: Final = Instruments("mesh, 1 m, GPS on all", range_noise_m=1.0, mesh=True, fixed=4)
MESH_ONE: Final = Instruments("mesh, 1 m, GPS on one", range_noise_m=1.0, mesh=True, fixed=1)
MESH_COARSE: Final = Instruments("mesh, 10 m, GPS on one", range_noise_m=10.0, mesh=True, fixed=1)
STAR: Final = Instruments("star, 10 m, GPS on one", range_noise_m=10.0, mesh=False, fixed=1)
STAR_FINE: Final = Instruments("star, 1 m, GPS on one", range_noise_m=1.0, mesh=False, fixed=1)
CASES: Final = (
    Case(
        Instruments("mesh, 1 m, biases known, GPS on all", range_noise_m=1.0, mesh=True, fixed=4, bias_sigma_m=0.0), 1.3
    ),
    Case(MESH_ALL, 1.3),
    Case(
        Instruments("mesh, 1 m, biases known, GPS on one", range_noise_m=1.0, mesh=True, fixed=1, bias_sigma_m=0.0), 1.5
    ),
    Case(MESH_ONE, 1.5),
    Case(Instruments("mesh, 10 m, GPS on all", range_noise_m=10.0, mesh=True, fixed=4), 1.3),
    Case(STAR, 2.0),
)
KINDS: Final = (FormationKind.FREE, FormationKind.BOUNDED)
OWN_GPS_ONLY: Final = (STAR, STAR_FINE, MESH_COARSE, MESH_ONE)
"""Instruments with GPS on our satellite only."""
FEW_FIXES: Final = Instruments(
    "mesh, 10 m, GPS on one, 3 fixes of another", range_noise_m=10.0, mesh=True, fixed=2, partner_fixes=3
)
TWO: Final = Instruments("mesh, 1 m, GPS on two", range_noise_m=1.0, mesh=True, fixed=2)
STAR_FEW: Final = Instruments(
    "star, 10 m, GPS on one, 3 fixes of each", range_noise_m=10.0, mesh=False, fixed=4, partner_fixes=3
)
"""Instruments with a few fixes, which may resolve the mirror ambiguity."""


class Geometry(NamedTuple):
    """One geometry in one case, measured several times."""

    bound: FormationBound
    scores: list[FormationScore]


def measure_geometry(worlds: Sequence[tuple[FormationWorld, FormationMotion]], instruments: Instruments) -> Geometry:
    """Measure and solve one geometry once in each of its worlds; draws are numbered by the world."""
    bounds = [world_bound(world, motion, instruments) for world, motion in worlds]
    scores = [
        score_estimate(solve_world(world, world.records(instruments, draw), motion.gps_ms[SCORED_EPOCHS]), bound)
        for draw, ((world, motion), bound) in enumerate(zip(worlds, bounds, strict=True))
    ]
    return Geometry(bounds[0], scores)


def pooled(scores: Sequence[FormationScore], name: str) -> FloatArray:
    """Return one attribute of all partners of all runs."""
    return np.concatenate([getattr(score, name) for score in scores]).astype(np.float64)
