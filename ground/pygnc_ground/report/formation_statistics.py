"""Main figures of the formation, as they stand in the report."""

import math
from collections.abc import Callable, Iterator, Sequence

from pygnc_ground.replay.formation_result import FormationResult
from pygnc_ground.report.attitude_statistics import Row
from pygnc_ground.report.formation_comparison import JudgedPartner, any_truth, orbit_name
from pygnc_ground.report.wording import NONE, fixed, number, utc, whole


def formation_rows(result: FormationResult, partners: Sequence[JudgedPartner]) -> list[Row]:
    """The table of the partners; lines that need a truth only with one."""
    rows = [
        _row("Orbit", "", partners, lambda one: one.state, ideal="certain", main=True),
        _row("Moments with a state", "1", partners, lambda one: whole(int(one.result.states.known.sum()))),
    ]
    if any_truth(partners):
        rows += _errors(partners)
    else:
        rows.append(_row("Position sigma, formal", "m", partners, lambda one: number(one.accuracy.sigma_m)))
        rows.append(_row("Velocity sigma, formal", "mm/s", partners, _velocity_sigma))
    rows += [
        _row("χ² of the best orbit", "1", partners, lambda one: fixed(one.result.chi2_best, 1)),
        _row("χ² of the mirror", "1", partners, lambda one: fixed(one.result.chi2_mirror, 1)),
        _row("Different orbits that are possible", "1", partners, _possible, ideal="1"),
        _row("Best and mirror apart", "m", partners, lambda one: number(one.mirror.apart_m) if one.mirror else NONE),
    ]
    if any_truth(partners) and any(one.nearest for one in partners):
        rows.append(_row("Orbit nearest to the truth", "", partners, _nearest, ideal="best"))
        rows.append(_row("Its position error", "m", partners, _nearest_error, ideal="sigma"))
    if result.approaches:
        rows += _approaches(result, partners)
    return rows


def _errors(partners: Sequence[JudgedPartner]) -> Iterator[Row]:
    yield _row("Position error", "m", partners, lambda one: number(one.accuracy.error_m), ideal="small", main=True)
    for axis, name in enumerate(("radial", "transverse", "normal")):
        yield _row(f"Position error, {name}", "m", partners, _error_along(axis))
    yield _row("Position sigma, formal", "m", partners, lambda one: number(one.accuracy.sigma_m))
    yield _row("Position error / sigma", "1", partners, lambda one: number(one.accuracy.ratio), ideal="1")
    yield _row("Velocity error", "mm/s", partners, lambda one: number(1e3 * one.accuracy.velocity_error_mps))
    yield _row("Velocity sigma, formal", "mm/s", partners, _velocity_sigma)
    yield _row("NEES, mean", "1", partners, lambda one: number(one.accuracy.nees_mean), ideal="6")


def _approaches(result: FormationResult, partners: Sequence[JudgedPartner]) -> Iterator[Row]:
    """Nearest of all orbits of each partner that may be."""
    of_each = [result.most_dangerous(one.result.partner) for one in partners]
    distances = tuple(NONE if of is None else f"{number(of.distance_m)} ± {number(of.sigma_m)}" for of in of_each)
    yield Row("Closest approach within a day, 1 σ", "m", distances)
    yield Row("At", "", tuple(NONE if of is None else utc(of.gps_ms) for of in of_each))
    least = tuple(NONE if of is None else number(of.least_m) for of in of_each)
    yield Row("Least distance within a day, less 3 σ", "m", least, ideal="> 0")


def _row(
    quantity: str,
    unit: str,
    partners: Sequence[JudgedPartner],
    value: Callable[[JudgedPartner], str],
    *,
    ideal: str = "",
    main: bool = False,
) -> Row:
    return Row(quantity, unit, tuple(map(value, partners)), ideal, main)


def _error_along(axis: int) -> Callable[[JudgedPartner], str]:
    return lambda one: number(one.accuracy.error_rtn_m[axis])


def _velocity_sigma(one: JudgedPartner) -> str:
    return number(1e3 * one.accuracy.velocity_sigma_mps)


def _possible(one: JudgedPartner) -> str:
    if not one.orbits:
        return NONE
    return whole(len(one.orbits) if one.result.ambiguous else 1)


def _nearest(one: JudgedPartner) -> str:
    return NONE if one.nearest is None else orbit_name(one.nearest)


def _nearest_error(one: JudgedPartner) -> str:
    error_m = math.nan if one.nearest is None else one.orbits[one.nearest].accuracy.error_m
    return number(error_m)
