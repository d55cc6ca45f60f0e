"""Each partner's orbits against the truth, and against each other."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from pygnc_ground.formation.relative import RelativeAccuracy, relative_accuracy
from pygnc_ground.orbit.errors import rms_3d
from pygnc_ground.replay.formation_result import FormationResult, PartnerResult, PossibleOrbit


@dataclass(frozen=True, slots=True, eq=False)
class JudgedOrbit:
    """One of the orbits on which a partner may be."""

    orbit: PossibleOrbit
    above: float
    """Its chi-square minus the best"""
    apart_m: float
    """3-D RMS distance from the best one"""
    accuracy: RelativeAccuracy


@dataclass(frozen=True, slots=True, eq=False)
class JudgedPartner:
    """One partner and what its orbits are worth."""

    result: PartnerResult
    accuracy: RelativeAccuracy
    """Of what the flight said"""
    orbits: tuple[JudgedOrbit, ...]
    """The best first"""

    @property
    def name(self) -> str:
        """For people."""
        return f"partner {self.result.partner}"

    @property
    def state(self) -> str:
        """In a word."""
        if self.result.cause:
            return "not known"
        return "ambiguous" if self.result.ambiguous else "certain"

    @property
    def mirror(self) -> JudgedOrbit | None:
        """The best of the other orbits."""
        return self.orbits[1] if len(self.orbits) > 1 else None

    @property
    def nearest(self) -> int | None:
        """Number of the orbit nearest to the truth, 0 for the best; None without a truth, or while not known."""
        if self.result.cause:
            return None
        errors = [one.accuracy.error_m for one in self.orbits]
        return int(np.nanargmin(errors)) if np.isfinite(errors).any() else None


def judged_partners(result: FormationResult | None) -> tuple[JudgedPartner, ...]:
    """All partners."""
    return () if result is None else tuple(_partner(partner) for partner in result.partners)


def _partner(partner: PartnerResult) -> JudgedPartner:
    states = partner.states
    return JudgedPartner(
        result=partner,
        accuracy=relative_accuracy(states.rtn, states.covariance_rtn, states.true_rtn),
        orbits=tuple(
            JudgedOrbit(
                orbit=orbit,
                above=orbit.chi_square - partner.orbits[0].chi_square,
                apart_m=rms_3d(orbit.rtn[:, :3] - partner.orbits[0].rtn[:, :3]),
                accuracy=relative_accuracy(orbit.rtn, orbit.covariance_rtn, partner.true_track),
            )
            for orbit in partner.orbits
        ),
    )


def orbit_name(number: int) -> str:
    """Of an orbit by its place among a partner's."""
    return ("best", "mirror")[number] if number < 2 else f"no. {number + 1}"


def any_truth(partners: Sequence[JudgedPartner]) -> bool:
    """Whether any of them can be compared with a truth."""
    return any(one.result.with_truth for one in partners)
