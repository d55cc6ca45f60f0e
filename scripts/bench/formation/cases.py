"""What is measured: instruments, and one geometry that was measured several times.

Markdown tables, and the figures in them.
"""

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
    """Median and extremes."""
    return f"{np.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"


def rms(values: Sequence[float] | Sequence[FloatArray] | FloatArray) -> float:
    """Root mean square of all."""
    return float(np.sqrt(np.mean(np.square(values))))


def print_header(*names: str) -> None:
    """Print the head of a table."""
    print_row(*names)
    print("|" + "---|" * len(names))


def print_row(*fields: str) -> None:
    """Print a line of a table."""
    print("| " + " | ".join(fields) + " |", flush=True)


class Case(NamedTuple):
    """One line of the table of accuracy."""

    instruments: Instruments
    limit: float
    """Of error over bound"""


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
"""What only one satellite's GPS is known to."""
FEW_FIXES: Final = Instruments(
    "mesh, 10 m, GPS on one, 3 fixes of another", range_noise_m=10.0, mesh=True, fixed=2, partner_fixes=3
)
TWO: Final = Instruments("mesh, 1 m, GPS on two", range_noise_m=1.0, mesh=True, fixed=2)
STAR_FEW: Final = Instruments(
    "star, 10 m, GPS on one, 3 fixes of each", range_noise_m=10.0, mesh=False, fixed=4, partner_fixes=3
)
"""What may tell the truth from its images, or not."""


class Geometry(NamedTuple):
    """One seed of one kind in one case."""

    bound: FormationBound
    scores: list[FormationScore]


def measure_geometry(worlds: Sequence[tuple[FormationWorld, FormationMotion]], instruments: Instruments) -> Geometry:
    """One geometry, measured once in each of its worlds; what differs in these has the place of the world in them."""
    bounds = [world_bound(world, motion, instruments) for world, motion in worlds]
    scores = [
        score_estimate(solve_world(world, world.records(instruments, draw), motion.gps_ms[SCORED_EPOCHS]), bound)
        for draw, ((world, motion), bound) in enumerate(zip(worlds, bounds, strict=True))
    ]
    return Geometry(bounds[0], scores)


def pooled(scores: Sequence[FormationScore], name: str) -> FloatArray:
    """One figure of all partners of all runs."""
    return np.concatenate([getattr(score, name) for score in scores]).astype(np.float64)
