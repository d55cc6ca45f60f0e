"""Document of `pygnc replay --json`."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc_cli.document import Document, WrittenFile
from pygnc_ground.formation.conjunction import Conjunction
from pygnc_ground.replay.result import AttitudeResult, FormationResult
from pygnc_ground.report.comparison import (
    ComparedPartner,
    compared_attitudes,
    compared_partners,
)
from pygnc_ground.report.replay import Replay


class OrbitFigures(Document, frozen=True):
    """Statistics of an orbit estimator."""

    states: int
    used: int
    position_error_m: float | None
    position_sigma_m: float | None
    velocity_error_mps: float | None
    velocity_sigma_mps: float | None
    nees_mean_per_dof: float | None


class Angle(Document, frozen=True):
    """Attitude error with its bound."""

    error_deg: float | None
    bound_deg: float | None


class AttitudeFigures(Document, frozen=True):
    """Statistics of an attitude estimator."""

    known: int
    settling_s: float
    overall: Angle
    sunlight: Angle
    eclipse: Angle
    right_after_s: float | None
    wrong_s: float | None


class Axes(Document, frozen=True):
    """Verdict on the axes of a sensor, and the axes that fit its readings."""

    verdict: str
    axes: str
    residual_ratio: float


class AttitudeSummary(Document, frozen=True):
    """Attitude of the replay."""

    samples: int
    reacquired: int
    estimates: dict[str, AttitudeFigures]
    axes: dict[str, Axes]


class Encounter(Document, frozen=True):
    """Pass of a partner."""

    utc: str
    distance_m: float
    sigma_m: float
    probability: float


class Approach(Document, frozen=True):
    """Nearest encounter within a day by one orbit, and the one with the highest probability of a collision."""

    orbit: str
    nearest: Encounter
    likeliest: Encounter
    probability: float


class PartnerSummary(Document, frozen=True):
    """Result of a partner."""

    partner_id: int
    state: str
    cause: str
    error_m: float | None
    sigma_m: float | None
    chi_square_best: float | None
    chi_square_mirror: float | None
    mirror_distance_m: float | None
    approaches: list[Approach]


class FormationSummary(Document, frozen=True):
    """Formation of the replay."""

    collision_radius_m: float
    partners: list[PartnerSummary]


class Ranges(Document, frozen=True):
    """Number of ranges, and of those that the newest solution does not use, by cause."""

    received: int
    used: int
    not_used: dict[str, int]


class ReplayDocument(Document, frozen=True):
    """Result of a replay."""

    records: int
    records_used: int
    records_not_used: dict[str, int]
    pipeline_agrees: bool | None
    notes: list[str]
    orbits: dict[str, OrbitFigures]
    attitude: AttitudeSummary
    ranges: Ranges
    formation: FormationSummary | None
    files: list[WrittenFile]


def replay_document(replay: Replay, paths: Sequence[Path]) -> ReplayDocument:
    """Return the document of a replay and of the written files."""
    result = replay.result
    return ReplayDocument(
        records=len(result.solution) + len(result.untimed),
        records_used=int(result.solution.accepted.sum()),
        records_not_used=result.not_used,
        pipeline_agrees=True if replay.flown else None,
        notes=list(result.notes),
        orbits={one.name: OrbitFigures(**one.accuracy._asdict()) for one in replay.orbits},
        attitude=_attitude(result.attitude),
        ranges=Ranges(received=len(result.ranges), used=result.ranges.used, not_used=result.ranges.not_used),
        formation=None if result.formation is None else _formation(result.formation),
        files=WrittenFile.all_of(paths),
    )


def _attitude(result: AttitudeResult) -> AttitudeSummary:
    return AttitudeSummary(
        samples=len(result.samples),
        reacquired=int(result.samples.found_again.sum()),
        estimates={
            one.name: msgspec.convert(one.accuracy, AttitudeFigures, from_attributes=True)
            for one in compared_attitudes(result)
        },
        axes={
            sensor: Axes(verdict=one.verdict.value, axes=one.axes, residual_ratio=one.residual_ratio)
            for sensor, one in result.axes._asdict().items()
        },
    )


def _formation(result: FormationResult) -> FormationSummary:
    return FormationSummary(
        collision_radius_m=result.collision_radius_m,
        partners=[_partner(one, result) for one in compared_partners(result)],
    )


def _partner(one: ComparedPartner, result: FormationResult) -> PartnerSummary:
    return PartnerSummary(
        partner_id=one.result.partner,
        state=one.state,
        cause=one.result.cause,
        error_m=float(one.accuracy.error_m),
        sigma_m=float(one.accuracy.sigma_m),
        chi_square_best=float(one.result.chi2_best),
        chi_square_mirror=float(one.result.chi2_mirror),
        mirror_distance_m=None if one.mirror is None else float(one.mirror.distance_m),
        approaches=[_approach(each, result.name_of(each)) for each in result.conjunctions_of(one.result.partner)],
    )


def _approach(found: Conjunction, orbit: str) -> Approach:
    nearest, likeliest = (
        Encounter(
            utc=utc_iso_from_gps_ms(each.gps_ms),
            distance_m=each.distance_m,
            sigma_m=each.sigma_m,
            probability=each.probability,
        )
        for each in (found.nearest, found.likeliest)
    )
    return Approach(orbit=orbit, nearest=nearest, likeliest=likeliest, probability=found.probability)
