"""The partners in the few lines that `pygnc replay` prints."""

import math
from collections.abc import Iterator

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
    for approach in result.approaches:
        yield (
            f"partner {approach.partner_id}: closest approach {approach.distance_m:.0f} m "
            f"(sigma {approach.sigma_m:.0f} m) at {utc_iso_from_gps_ms(approach.gps_ms)}, "
            f"chi-square {approach.chi2:.1f}"
        )


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
