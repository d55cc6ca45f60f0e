"""The partners in the few lines that `pygnc replay` prints."""

import math
from collections.abc import Iterator

from pygnc.bus.messages import ClosestApproach
from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc_ground.replay.formation_result import FormationResult
from pygnc_ground.report.formation_comparison import JudgedPartner, judged_partners, orbit_name


def formation_lines(result: FormationResult | None) -> Iterator[str]:
    """What became of the ranges, how well each partner's orbit is known and, with a truth, how good it is."""
    if result is None:
        return
    counts = result.counts
    yield (
        f"{counts.get('ranges_received', 0)} ranges: {counts.get('ranges_used', 0)} used, "
        f"{counts.get('ranges_rejected', 0)} rejected, {counts.get('ranges_no_time', 0)} without a time"
    )
    for one in judged_partners(result):
        yield f"{one.name}: {_line(one)}"
        yield from _approaches(result, one)


def _approaches(result: FormationResult, one: JudgedPartner) -> Iterator[str]:
    """By the best orbit and, where another one brings the partner nearer, by that one."""
    best = next(iter(result.approaches_of(one.result.partner)), None)
    worst = result.most_dangerous(one.result.partner)
    if best is None or worst is None:
        return
    text = f"{one.name}: closest approach within a day {_approach(best)}"
    if worst is not best:
        text += f"; by another orbit that fits {_approach(worst)}"
    yield text


def _approach(of: ClosestApproach) -> str:
    text = f"{of.distance_m:.0f} m (sigma {of.sigma_m:.0f} m) at {utc_iso_from_gps_ms(of.gps_ms)}"
    return text if of.least_m > 0.0 else f"{text}, contact cannot be excluded"


def _line(one: JudgedPartner) -> str:
    if one.state == "not known":
        return f"not known: {one.result.cause}"
    if one.state == "certain":
        return f"{_accuracy(one)}, certain"
    if one.mirror is None:
        return f"{_accuracy(one)}, ambiguous"
    text = (
        f"ambiguous: best and mirror differ by {one.mirror.apart_m:.0f} m (3-D RMS); "
        f"chi-square {one.result.chi2_best:.1f} and {one.result.chi2_mirror:.1f}"
    )
    if one.nearest is not None:
        accuracy = one.orbits[one.nearest].accuracy
        text += (
            f"; nearest to the truth: {orbit_name(one.nearest)}, 3-D RMS error {accuracy.error_m:.1f} m "
            f"(sigma {accuracy.sigma_m:.1f} m)"
        )
    return text


def _accuracy(one: JudgedPartner) -> str:
    accuracy = one.accuracy
    if math.isfinite(accuracy.error_m):
        return f"3-D RMS error {accuracy.error_m:.1f} m (sigma {accuracy.sigma_m:.1f} m)"
    return f"3-D RMS sigma {accuracy.sigma_m:.1f} m"
