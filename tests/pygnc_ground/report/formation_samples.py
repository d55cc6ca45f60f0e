"""Formation samples in closed form: a partner that circles ahead of us, its mirror, errors of known size."""

from dataclasses import replace

import numpy as np

from pygnc_ground.formation.conjunction import Conjunction, Encounter
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.replay.result import (
    CandidateOrbit,
    FormationResult,
    LinkResult,
    PartnerResult,
    RangeRecords,
    RelativeStates,
)

STEP_MS = 60_000
RATE_RAD_S = 1.1e-3
SIGMA = np.array([1.0, 2.0, 1.0, 1e-3, 1e-3, 1e-3])
ERROR_M = 2.0
"""Constant error of the best orbit along the orbit."""
MIRROR_M = 400.0
"""RMS distance of the mirror, by the flipped normal component of amplitude MIRROR_M / sqrt(2)."""
MARGIN = 30.2


def true(gps_ms: IntArray, begin_ms: int, ahead_m: float, *, flipped: bool = False) -> FloatArray:
    """Return a 2:1 relative orbit centred `ahead_m` ahead, with an oscillation along the normal, (n, 6)."""
    u = RATE_RAD_S * (gps_ms - begin_ms) * 1e-3
    normal_m = (-1.0 if flipped else 1.0) * MIRROR_M / np.sqrt(2.0)
    place = (100.0 * np.cos(u), ahead_m - 200.0 * np.sin(u), normal_m * np.sin(u))
    rate = (-100.0 * np.sin(u), -200.0 * np.cos(u), normal_m * np.cos(u))
    return np.column_stack((*place, *(RATE_RAD_S * column for column in rate)))


def orbit(rtn: FloatArray, above: float) -> CandidateOrbit:
    covariance = np.tile(np.diag(SIGMA**2), (len(rtn), 1, 1))
    return CandidateOrbit(1 if above else 0, 500.0 + above, rtn, covariance)


def partner(number: int, times: IntArray, ahead_m: float, mirrors: tuple[float, ...] = ()) -> PartnerResult:
    """Return a partner with `ERROR_M`, and mirrors of these excess chi-squares; those within `MARGIN` make it
    ambiguous.
    """
    begin_ms = int(times[0])
    right = true(times, begin_ms, ahead_m)
    best = right + np.array([0.0, ERROR_M, 0.0, 0.0, 0.0, 0.0])
    flipped = true(times, begin_ms, ahead_m, flipped=True)
    ambiguous = any(above < MARGIN for above in mirrors)
    count = len(times)
    return PartnerResult(
        partner=number,
        cause="",
        ambiguous=ambiguous,
        chi2_best=500.0,
        chi2_mirror=500.0 + min(mirrors, default=1700.0),
        states=RelativeStates(
            gps_ms=times,
            rtn=best,
            covariance_rtn=np.tile(np.diag(SIGMA**2), (count, 1, 1)),
            mirror_rtn_m=flipped[:, :3] if mirrors else np.full((count, 3), np.nan),
            true_rtn=right,
        ),
        orbits=(orbit(best, 0.0), *(orbit(flipped, above) for above in mirrors)),
        true_track=right,
    )


def link(pair: tuple[int, int], times: IntArray, rejected: tuple[int, ...] = ()) -> LinkResult:
    """Return ranges with 10 m noise; those in `rejected` have 200 m errors."""
    rng = np.random.default_rng(sum(pair))
    residual = 10.0 * rng.normal(size=len(times))
    residual[list(rejected)] = 200.0
    used = np.ones(len(times), dtype=np.bool_)
    used[list(rejected)] = False
    distance = 800.0 + 300.0 * np.sin(1e-6 * (times - times[0]))
    return LinkResult(pair, times, distance + 1050.0 + residual, residual, used, 1050.0, 3.0, 10.0)


def clean(begin_ms: int, count: int = 60) -> FormationResult:
    """Return three partners in a mesh, all certain, with truth."""
    times = begin_ms + STEP_MS * np.arange(count, dtype=np.int64)
    ids = (74, 75, 76, 77)
    pairs = [(one, other) for one in ids for other in ids if one < other]
    return FormationResult(
        own_id=74,
        partners=tuple(partner(number, times, ahead_m) for number, ahead_m in ((75, 500.0), (76, -900.0), (77, 2e3))),
        links=tuple(link(pair, times) for pair in pairs),
        chi_square=np.array([500.0]),
        margin=MARGIN,
        track_gps_ms=times,
    )


def ambiguous(begin_ms: int, count: int = 60) -> FormationResult:
    """Return one partner by ranges alone, with a mirror that fits and another orbit that is excluded."""
    result = clean(begin_ms, count)
    times = result.track_gps_ms
    return replace(
        result,
        partners=(partner(75, times, 500.0, (0.3,)), partner(76, times, -900.0, (80.0,))),
        links=(link((74, 75), times, rejected=(5, 6)), link((74, 76), times)),
        chi_square=np.array([500.0, 500.3, 580.0]),
        conjunctions=(
            conjunction(int(times[-1]) + 7_200_000, 0, 250.0),
            conjunction(int(times[-1]) + 9_200_000, 1, 40.0, 3e-4),
        ),
    )


def conjunction(gps_ms: int, hypothesis: int, distance_m: float, probability: float = 0.0) -> Conjunction:
    """Return a conjunction with partner 75 whose only encounter has a sigma of 20 m."""
    relative = np.array((0.0, distance_m, 0.0, 0.1, 0.0, 0.0))
    covariance = np.diag(np.repeat((400.0, 4e-4), 3))
    encounter = Encounter(gps_ms, distance_m, 20.0, probability, relative, covariance)
    return Conjunction(75, hypothesis, encounter, encounter, probability)


def wrong(result: FormationResult) -> FormationResult:
    """Return the result with the mirror as truth."""
    partners = []
    for one in result.partners:
        flip = np.array([1.0, 1.0, -1.0, 1.0, 1.0, -1.0])
        states = replace(one.states, true_rtn=one.states.true_rtn * flip)
        partners.append(replace(one, states=states, true_track=one.true_track * flip))
    return replace(result, partners=tuple(partners))


def without_truth(result: FormationResult) -> FormationResult:
    partners = []
    for one in result.partners:
        states = replace(one.states, true_rtn=np.full_like(one.states.true_rtn, np.nan))
        partners.append(replace(one, states=states, true_track=np.full_like(one.true_track, np.nan)))
    return replace(result, partners=tuple(partners))


def unsolved(begin_ms: int, cause: str = "our own orbit is unknown") -> FormationResult:
    """Return partners without a solution."""
    nothing = np.empty(0, dtype=np.int64)
    result = clean(begin_ms, 3)
    partners = []
    for one in result.partners:
        row = np.full((1, 6), np.nan)
        states = RelativeStates(
            gps_ms=result.track_gps_ms[-1:],
            rtn=row,
            covariance_rtn=np.full((1, 6, 6), np.nan),
            mirror_rtn_m=row[:, :3],
            true_rtn=row,
        )
        nan = float("nan")
        partners.append(
            PartnerResult(one.partner, cause, False, nan, nan, states, (), np.empty((0, 6)))  # noqa: FBT003
        )
    return replace(
        result,
        partners=tuple(partners),
        links=(),
        chi_square=np.empty(0),
        margin=float("nan"),
        track_gps_ms=nothing,
    )


def ranges(used: int, **not_used: int) -> RangeRecords:
    """Return ranges, of which those with a cause as keyword are not used."""
    causes = ("",) * used + tuple(cause for cause, count in not_used.items() for _ in range(count))
    count = len(causes)
    whole, number = np.arange(count), np.ones(count)
    return RangeRecords(whole, ("r",) * count, whole, whole, whole, whole, (None,) * count, number, number, causes)
