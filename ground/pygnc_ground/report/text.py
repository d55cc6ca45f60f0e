"""Summary of a replay as lines of text: use of the records, accuracy, and closest approaches."""

import math
from collections.abc import Iterator, Mapping, Sequence

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc_ground.attitude.accuracy import RIGHT_DEG, WRONG_DEG, AngleRms
from pygnc_ground.attitude.mounting_remedy import axes_lines
from pygnc_ground.formation.conjunction import Encounter
from pygnc_ground.replay.result import AttitudeResult, FormationResult, ReplayResult, orbit_name
from pygnc_ground.report.comparison import (
    ComparedAttitude,
    ComparedOrbit,
    ComparedPartner,
    compared_attitudes,
    compared_orbits,
    compared_partners,
)
from pygnc_ground.wording import NEGLIGIBLE, Part, by_cause, duration, plural, probability


def summary_lines(result: ReplayResult, *, flown: bool) -> Iterator[str]:
    """Yield the lines of a result; `flown` is true if the processes of the flight software gave the same estimates."""
    yield count_line("GPS records", int(result.solution.accepted.sum()), result.not_used, "orbit")
    if flown:
        yield "the processes of the flight software gave the same estimates, bit for bit"
    yield from result.notes
    yield from orbit_lines(compared_orbits(result))
    yield from attitude_lines(result.attitude)
    if len(result.attitude.samples):
        yield from axes_lines(result.attitude.axes, result.settings.attitude.mounting)
    if len(result.ranges):
        yield count_line("ranges", result.ranges.used, result.ranges.not_used, "range")
    yield from formation_lines(result.formation)


def orbit_lines(orbits: Sequence[ComparedOrbit]) -> Iterator[str]:
    """Yield a line with the accuracy of each estimator of the orbit; none without a truth."""
    for one in orbits:
        if one.errors is not None and not len(one.errors):
            yield f"{one.name:8} no orbit within the time span of the truth"
        elif one.errors is not None:
            accuracy = one.accuracy
            position, velocity = f"{accuracy.position_error_m:.3f} m", f"{accuracy.velocity_error_mps:.5f} m/s"
            yield f"{one.name:8} 3-D RMS error after a third of the time: {position}, {velocity}"


def attitude_lines(result: AttitudeResult) -> Iterator[str]:
    """Yield lines with the number of samples with an attitude and, with a truth, its accuracy."""
    found = compared_attitudes(result)
    known, again = found[0].accuracy.known, int(result.samples.found_again.sum())
    lost = f", lost and re-acquired {plural(again, 'time')}" if again else ""
    yield f"{len(result.samples)} sensor samples: {known} with an attitude{lost}"
    for one in found:
        if len(one.errors):
            yield f"{one.name:8} {_errors(one)}"
    if len(found[0].errors):
        accuracy = found[0].accuracy
        right = f"after {accuracy.right_after_s:.0f} s" if math.isfinite(accuracy.right_after_s) else "never"
        yield (
            f"filter   within {RIGHT_DEG:.0f} deg of the true attitude {right}; longest time off by more than "
            f"{WRONG_DEG:.0f} deg: {accuracy.wrong_s:.0f} s"
        )


def _errors(one: ComparedAttitude) -> str:
    accuracy = one.accuracy
    kinds = {"in sunlight": accuracy.sunlight, "in eclipse": accuracy.eclipse}
    parts = [_error(kind, where) for where, kind in kinds.items() if math.isfinite(kind.error_deg)]
    errors = ", ".join(parts) or _error(accuracy.overall, "overall")
    settling = duration(1000.0 * accuracy.settling_s).removesuffix(" 00 s")
    return f"attitude error (three-axis RMS) from {settling} after the first attitude: {errors}"


def _error(kind: AngleRms, where: str) -> str:
    return f"{kind.error_deg:.3f} deg {where} (bound {kind.bound_deg:.3f})"


def count_line(what: str, used: int, not_used: Mapping[str, int], part: Part) -> str:
    """Return a line that accounts for every record; `not_used` has the numbers by cause."""
    left = sum(not_used.values())
    causes = f" ({by_cause(not_used, part, str)})" if left else ""
    return f"{used + left} {what}: {used} used, {left} not used{causes}"


def formation_lines(result: FormationResult | None) -> Iterator[str]:
    """Yield lines with the accuracy of each partner's orbit and the closest approaches."""
    if result is None:
        return
    for one in compared_partners(result):
        yield f"{one.name}: {_line(result, one)}"
        yield from _approach_lines(result, one)


def _approach_lines(result: FormationResult, one: ComparedPartner) -> Iterator[str]:
    """Yield the nearest encounter within a day by all orbits that fit, and the most probable collision."""
    nearest, worst = result.nearest(one.result.partner), result.most_dangerous(one.result.partner)
    if nearest is None or worst is None:
        return
    yield f"{one.name}: closest approach within a day ({result.name_of(nearest)}): {_encounter(nearest.nearest)}"
    when = "" if worst.probability < NEGLIGIBLE else f", likeliest at {_encounter(worst.likeliest)}"
    yield (
        f"{one.name}: probability of a collision within a day ({result.name_of(worst)}, combined radius"
        f" {result.collision_radius_m:g} m): {probability(worst.probability)}{when}"
    )


def _encounter(of: Encounter) -> str:
    return f"{utc_iso_from_gps_ms(of.gps_ms)}: {of.distance_m:.0f} m (sigma {of.sigma_m:.0f} m)"


def _line(result: FormationResult, one: ComparedPartner) -> str:
    if one.state == "not known":
        text = f"not known: {one.result.cause}"
        return text if one.mirror is None else f"{text}; {len(one.orbits)} candidate orbits"
    if one.state == "certain":
        return f"{_accuracy(one)}, certain"
    if one.mirror is None:
        return f"{_accuracy(one)}, ambiguous"
    text = (
        f"ambiguous: best and mirror differ by {one.mirror.distance_m:.0f} m (3-D RMS); "
        f"chi-square {result.chi_squares(one.result)}"
    )
    if one.nearest is not None:
        accuracy = one.orbits[one.nearest].accuracy
        text += (
            f"; nearest to the truth: {orbit_name(one.nearest)}, 3-D RMS error {accuracy.error_m:.1f} m "
            f"(sigma {accuracy.sigma_m:.1f} m)"
        )
    return text


def _accuracy(one: ComparedPartner) -> str:
    accuracy = one.accuracy
    if math.isfinite(accuracy.error_m):
        return f"3-D RMS error {accuracy.error_m:.1f} m (sigma {accuracy.sigma_m:.1f} m)"
    return f"3-D RMS sigma {accuracy.sigma_m:.1f} m"
