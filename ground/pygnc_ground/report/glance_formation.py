"""The formation in a few sentences, each marked as good or as worth a look. The limits are said in the sentences."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

from pygnc_ground.orbit.consistency import band
from pygnc_ground.replay.formation_result import FormationResult
from pygnc_ground.report.formation_comparison import JudgedPartner, orbit_name
from pygnc_ground.report.glance import Finding
from pygnc_ground.report.wording import duration, number, percent, printable, whole

_USED_SHARE_GOOD: Final = 0.95
_STATE_DOF: Final = 6


def formation_findings(result: FormationResult, partners: Sequence[JudgedPartner]) -> list[Finding]:
    """What an operator should know of it before anything else."""
    return [
        *_ranges(result),
        *(finding for one in partners for finding in _partner(one)),
        *(finding for one in partners for finding in _approach(result, one)),
    ]


def _ranges(result: FormationResult) -> Iterator[Finding]:
    received, used = result.counts.get("ranges_received", 0), result.counts.get("ranges_used", 0)
    if received:
        share = used / received
        text = (
            f"{whole(used)} of {whole(received)} ranges are in the newest solution ({percent(share)}; 95 % or more is "
            "good)."
        )
        yield Finding(good=share >= _USED_SHARE_GOOD, text=text)
    untimed = result.counts.get("ranges_no_time", 0)
    if untimed:
        yield Finding(good=False, text=f"The time of {whole(untimed)} ranges is not known.")


def _partner(one: JudgedPartner) -> Iterator[Finding]:
    name = one.name.capitalize()
    if one.state == "not known":
        yield Finding(good=False, text=f"{name} is not known: {printable(one.result.cause)}.")
        return
    if one.state == "ambiguous":
        yield Finding(good=False, text=_ambiguous(one))
        return
    accuracy = one.accuracy
    if not math.isfinite(accuracy.error_m):
        text = f"{name} is known to {number(accuracy.sigma_m)} m (3-D sigma), without an ambiguity."
        yield Finding(good=True, text=text)
        return
    # The errors of an arc hang together, as if there were one state: its error, squared, has 6 degrees of freedom.
    low, high = (math.sqrt(limit / _STATE_DOF) for limit in band(_STATE_DOF, 1))
    text = (
        f"{name}, called certain, is right to {number(accuracy.error_m)} m (3-D RMS), {number(accuracy.ratio)} times "
        f"its formal sigma ({number(low)} to {number(high)} is good)."
    )
    yield Finding(good=low <= accuracy.ratio <= high, text=text)


def _ambiguous(one: JudgedPartner) -> str:
    text = f"{one.name.capitalize()} is ambiguous"
    if one.mirror is not None:
        text += (
            f": {whole(len(one.orbits))} different orbits fit, the best and its mirror {number(one.mirror.apart_m)} m "
            f"apart, χ² {one.result.chi2_best:.1f} and {one.result.chi2_mirror:.1f}"
        )
    if one.nearest is not None:
        accuracy = one.orbits[one.nearest].accuracy
        text += (
            f"; the truth follows the orbit called {orbit_name(one.nearest)}, to {number(accuracy.error_m)} m "
            f"(sigma {number(accuracy.sigma_m)} m)"
        )
    return f"{text}."


def _approach(result: FormationResult, one: JudgedPartner) -> Iterator[Finding]:
    nearest = result.most_dangerous(one.result.partner)
    if nearest is None:
        return
    newest_ms = int(one.result.states.gps_ms[-1])
    when = duration(max(0, nearest.gps_ms - newest_ms))
    text = (
        f"{one.name.capitalize()} comes as near as {number(nearest.distance_m)} m (sigma {number(nearest.sigma_m)} m) "
        f"within a day, in {when}; three sigmas taken off, {number(nearest.least_m)} m are left at the least (more "
        "than none is good)."
    )
    yield Finding(good=nearest.least_m > 0.0, text=text)
