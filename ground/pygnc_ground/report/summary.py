"""Summary of a replay: findings in one sentence each, marked as good or as needing attention, with their limits."""

import math
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

import numpy as np

from pygnc.estimators.attitude.settings import MountingSettings
from pygnc.estimators.attitude.wiring import SensorAxes, Verdict
from pygnc_cli.text import printable
from pygnc_ground.attitude.accuracy import RIGHT_DEG, WRONG_DEG
from pygnc_ground.attitude.mounting_remedy import remedies
from pygnc_ground.orbit.consistency import NisConsistency, band
from pygnc_ground.replay.result import (
    AttitudeResult,
    FormationResult,
    RangeRecords,
    ReplayResult,
    SampleRecords,
    orbit_name,
)
from pygnc_ground.report.attitude_figures import face_names
from pygnc_ground.report.clock import ClockRecords
from pygnc_ground.report.comparison import ComparedAttitude, ComparedOrbit, ComparedPartner
from pygnc_ground.report.statistics import DifferenceFigures
from pygnc_ground.wording import (
    NEGLIGIBLE,
    by_cause,
    compared,
    duration,
    number,
    percent,
    plural,
    probability,
    utc,
    whole,
)

_SHARE_GOOD: Final = 0.95
_STATE_DOF: Final = 6


class Finding(NamedTuple):
    """One sentence of the summary; `good` is False if the reader has to look into it."""

    text: str
    good: bool = False


def findings(
    result: ReplayResult,
    orbits: Sequence[ComparedOrbit],
    cross_check: DifferenceFigures | None,
    clock: ClockRecords,
) -> list[Finding]:
    """Return the main findings about input, fixes, orbit and clock."""
    return [
        *_input(result),
        *_use(result, orbits[0]),
        *_innovations("filter's", orbits[0].nis),
        *(finding for one in orbits for finding in _accuracy(one)),
        *_cross_check(orbits, cross_check),
        *_clock(clock),
        *(Finding(f"{printable(note)}.") for note in result.notes),
    ]


def _input(result: ReplayResult) -> Iterator[Finding]:
    damaged = sum(source.damaged_bytes for source in result.sources)
    size = sum(source.size_bytes for source in result.sources)
    faults = sum(bool(source.fault) for source in result.sources)
    if faults:
        yield Finding(f"{faults} of {len(result.sources)} input files cannot be read.")
    if damaged:
        text = f"{whole(damaged)} of {whole(size)} input bytes ({percent(damaged / size)}) are damaged."
        yield Finding(text)
    elif size:
        yield Finding(f"All {whole(size)} input bytes are undamaged.", good=True)


def _use(result: ReplayResult, filtered: ComparedOrbit) -> Iterator[Finding]:
    received = result.counts.get("fixes_received", len(result.fixes.seq) + len(result.untimed))
    if not received:
        yield Finding("There is no GPS record, so the orbit is unknown.")
        return
    counted = ("fixes_accepted", "fixes_waiting")
    booked = sum(count for name, count in result.counts.items() if name in counted or name.startswith("rejected_"))
    if "fixes_received" in result.counts and received != booked:
        yield Finding("The counters of fixes do not add up; please report this as a fault.")
    # Range files repeat fixes of sense files.
    repeated = result.not_used.get("repeated", 0)
    yield _share(filtered.accuracy.used, received - repeated, "GPS records were used")
    if repeated:
        yield Finding(f"{whole(repeated)} more GPS records are at the time of a used one.", good=True)
    if not filtered.accuracy.states:
        yield Finding("The filter found no orbit.")
    restarts = int(result.fixes.restarted.sum())
    if restarts:
        yield Finding(f"The filter restarted {plural(restarts, 'time')}.")


def _share(count: int, total: int, what: str) -> Finding:
    share = count / total
    text = f"{whole(count)} of {whole(total)} {what} ({percent(share)}; good: 95 % or more)."
    return Finding(text, good=share >= _SHARE_GOOD)


def _innovations(of: str, nis: NisConsistency, good: tuple[float, float] | None = None) -> Iterator[Finding]:
    """Yield a finding with the limits `good`, or with the 95 % band."""
    if nis.count:
        low, high = good or nis.band_per_dof
        limits = f" (good: {low} to {high})" if good else f", 95 % band {number(low)} to {number(high)}"
        text = (
            f"The {of} innovations are {compared(nis.mean_per_dof, low, high)} their covariance predicts: "
            f"mean NIS {number(nis.mean_per_dof)} per degree of freedom{limits}."
        )
        yield Finding(text, good=low <= nis.mean_per_dof <= high)


def _accuracy(one: ComparedOrbit) -> Iterator[Finding]:
    accuracy = one.accuracy
    if not math.isfinite(accuracy.position_error_m) or not math.isfinite(accuracy.position_ratio):
        return
    low, high = _ratio_band()
    text = (
        f"The position error of the {one.name} is {number(accuracy.position_error_m)} m, the velocity error "
        f"{number(1e3 * accuracy.velocity_error_mps)} mm/s (3-D RMS), {number(accuracy.position_ratio)} times the "
        f"formal position sigma (good: {number(low)} to {number(high)})."
    )
    yield Finding(text, good=low <= accuracy.position_ratio <= high)


def _ratio_band() -> tuple[float, float]:
    """Return the 95 % band of RMS error over sigma.

    The errors of a run are correlated, so they count as one state: its normalised square has 6 degrees of freedom.
    """
    low, high = band(_STATE_DOF, 1)
    return math.sqrt(low / _STATE_DOF), math.sqrt(high / _STATE_DOF)


def _cross_check(orbits: Sequence[ComparedOrbit], cross_check: DifferenceFigures | None) -> Iterator[Finding]:
    if cross_check is None:
        return
    sigma_m = math.hypot(*(one.accuracy.position_sigma_m for one in orbits if one.name != "filter"))
    text = (
        f"Smoother and batch, two independent computations, differ by {number(cross_check.position_rms_m)} m (3-D RMS; "
        f"good: up to {number(sigma_m)} m, their combined formal sigma)."
    )
    yield Finding(text, good=cross_check.position_rms_m <= sigma_m)


def _clock(clock: ClockRecords) -> Iterator[Finding]:
    boots = len(clock.segments)
    if boots == 1:
        yield Finding("The spacecraft clock ran without a jump.", good=True)
    elif boots > 1:
        yield Finding(f"The spacecraft clock jumped: the records are from {boots} boots.")


_RATIO_GOOD: Final = (0.7, 1.4)
"""Ratio of error to sigma; the covariance is right within a factor of two."""
_NIS_GOOD: Final = (0.8, 1.25)
_RIGHT_AFTER_GOOD_S: Final = 180.0
_BIAS_DOF: Final = 3


def attitude_findings(
    result: AttitudeResult, found: Sequence[ComparedAttitude], nis: NisConsistency, mounting: MountingSettings
) -> list[Finding]:
    """Return the main findings about the attitude."""
    if not result.solution.known.any():
        why = "no attitude" if len(result.samples) else "no sensor sample, so the attitude is unknown"
        return [Finding(f"There is {why}."), *_axes(result.axes, mounting)]
    return [
        *_axes(result.axes, mounting),
        *_attitude_use(result.samples, found[0]),
        *_sensors(result.samples, mounting),
        # With thousands of samples, every model error leaves the 95 % band.
        *_innovations("attitude", nis, _NIS_GOOD),
        *(finding for one in found for finding in _attitude_accuracy(one)),
        *_start(found[0]),
        *_biases(found[0]),
    ]


def _axes(axes: SensorAxes, mounting: MountingSettings) -> Iterator[Finding]:
    """Yield the verdicts on the axes of magnetometer and gyro, once there is one, and the settings to change."""
    for sensor, one in axes._asdict().items():
        if one.verdict is not Verdict.UNKNOWN:
            yield Finding(f"The axes of the {sensor}: {one}.", good=one.verdict is not Verdict.WRONG)
    for remedy in remedies(axes, mounting):
        yield Finding(f"{remedy[:1].upper()}{remedy[1:]}.")


def _attitude_use(samples: SampleRecords, filtered: ComparedAttitude) -> Iterator[Finding]:
    yield _share(filtered.accuracy.known, len(samples), "sensor samples have an attitude")
    again = int(samples.found_again.sum())
    if again:
        yield Finding(f"The attitude was lost and re-acquired {plural(again, 'time')}.")


def _sensors(samples: SampleRecords, mounting: MountingSettings) -> Iterator[Finding]:
    """Yield a finding for each sensor that is considered faulty at the end."""
    names = face_names(mounting)
    for flags, fault in ((samples.faces_dead, "dead"), (samples.faces_mirrored, "mirrored")):
        for face in np.flatnonzero(flags[-1]).tolist():
            yield Finding(f"The sun sensor on face {names[face]} is considered {fault}.")
    for axis in np.flatnonzero(samples.gyro_stuck[-1]).tolist():
        yield Finding(f"The {'xyz'[axis]} axis of the gyro is considered stuck.")


def _attitude_accuracy(one: ComparedAttitude) -> Iterator[Finding]:
    ratio = one.accuracy.overall.ratio
    if math.isfinite(ratio):
        low, high = _RATIO_GOOD
        where = " and ".join(
            f"{number(kind.error_deg)}° in {name}"
            for kind, name in ((one.accuracy.sunlight, "sunlight"), (one.accuracy.eclipse, "eclipse"))
            if math.isfinite(kind.error_deg)
        )
        where = where or f"{number(one.accuracy.overall.error_deg)}°"
        text = (
            f"The attitude error of the {one.name} is {where} (three-axis RMS), "
            f"{number(ratio)} times its formal sigma (good: {low} to {high})."
        )
        yield Finding(text, good=low <= ratio <= high)


def _start(filtered: ComparedAttitude) -> Iterator[Finding]:
    accuracy = filtered.accuracy
    if math.isfinite(accuracy.right_after_s):
        text = (
            f"The filter was within {RIGHT_DEG:.0f}° of the truth {accuracy.right_after_s:.0f} s after the first "
            f"sample with an orbit (good: up to {_RIGHT_AFTER_GOOD_S:.0f} s)."
        )
        yield Finding(text, good=accuracy.right_after_s <= _RIGHT_AFTER_GOOD_S)
    if accuracy.wrong_s > 0.0:
        text = f"The filter was off by more than {WRONG_DEG:.0f}° for up to {accuracy.wrong_s:.0f} s in a row."
        yield Finding(text)
    elif accuracy.wrong_s == 0.0:
        yield Finding(f"The filter was never off by more than {WRONG_DEG:.0f}°.", good=True)


def _biases(filtered: ComparedAttitude) -> Iterator[Finding]:
    accuracy = filtered.accuracy
    gyro = accuracy.gyro_bias_error_rad_s / accuracy.gyro_bias_sigma_rad_s
    field = accuracy.mag_bias_error_ut / accuracy.mag_bias_sigma_ut
    if math.isfinite(gyro + field):
        # A bias hardly changes, so a run counts as one error with three components.
        high = math.sqrt(band(_BIAS_DOF, 1).high / _BIAS_DOF)
        text = (
            f"The bias errors of the filter are {number(math.degrees(accuracy.gyro_bias_error_rad_s))} deg/s and "
            f"{number(accuracy.mag_bias_error_ut)} µT (3-D RMS), {number(gyro)} and {number(field)} times the formal "
            f"sigmas (good: up to {number(high)})."
        )
        yield Finding(text, good=max(gyro, field) <= high)


def formation_findings(
    ranges: RangeRecords, result: FormationResult | None, partners: Sequence[ComparedPartner], arc_max_s: float
) -> list[Finding]:
    """Return the main findings about ranges and formation; `arc_max_s` is the longest arc of a solution."""
    return [
        *_ranges(ranges, arc_max_s),
        *(finding for one in partners if result is not None for finding in _partner(result, one)),
        *(finding for one in partners if result is not None for finding in _approach(result, one)),
    ]


def _ranges(ranges: RangeRecords, arc_max_s: float) -> Iterator[Finding]:
    """Yield the share of the ranges that are used, among those that could be, and the number of all others."""
    not_used = ranges.not_used
    normal = {cause: count for cause, count in not_used.items() if cause in {"old", "repeated"}}
    possible = len(ranges) - sum(normal.values())
    if possible:
        yield _share(ranges.used, possible, "ranges are in the newest solution")
    if normal:
        arc = f"the arc is at most {duration(1e3 * arc_max_s)} long"
        yield Finding(f"Further ranges: {by_cause(normal, 'range')} ({arc}).", good=True)
    others = {cause: count for cause, count in not_used.items() if cause not in normal}
    if others:
        yield Finding(f"Ranges that are not used: {by_cause(others, 'range')}.")


def _partner(result: FormationResult, one: ComparedPartner) -> Iterator[Finding]:
    name = one.name.capitalize()
    if one.state == "not known":
        others = "" if one.mirror is None else f"; {whole(len(one.orbits))} candidate orbits"
        yield Finding(f"{name} is not known: {printable(one.result.cause)}{others}.")
        return
    if one.state == "ambiguous":
        yield Finding(_ambiguous(result, one))
        return
    accuracy = one.accuracy
    if not math.isfinite(accuracy.error_m):
        text = f"{name} is known to {number(accuracy.sigma_m)} m (3-D sigma) without ambiguity."
        yield Finding(text, good=True)
        return
    low, high = _ratio_band()
    text = (
        f"{name} is reported as certain; its error is {number(accuracy.error_m)} m (3-D RMS), {number(accuracy.ratio)} "
        f"times its formal sigma (good: {number(low)} to {number(high)})."
    )
    yield Finding(text, good=low <= accuracy.ratio <= high)


def _ambiguous(result: FormationResult, one: ComparedPartner) -> str:
    text = f"{one.name.capitalize()} is ambiguous"
    if one.mirror is not None:
        text += (
            f": {whole(len(one.orbits))} distinct orbits fit; best and mirror are {number(one.mirror.distance_m)} m "
            f"apart, χ² {result.chi_squares(one.result)}"
        )
    if one.nearest is not None:
        accuracy = one.orbits[one.nearest].accuracy
        text += (
            f"; the {orbit_name(one.nearest)} orbit is nearest to the truth, error {number(accuracy.error_m)} m "
            f"(sigma {number(accuracy.sigma_m)} m)"
        )
    return f"{text}."


_PROBABILITY_GOOD: Final = 1e-4
"""Probability of a collision above which operators usually manoeuvre."""


def _approach(result: FormationResult, one: ComparedPartner) -> Iterator[Finding]:
    nearest, worst = result.nearest(one.result.partner), result.most_dangerous(one.result.partner)
    if nearest is None or worst is None:
        return
    newest_ms = int(one.result.states.gps_ms[-1])
    closest, likeliest = (
        f"{utc(of.gps_ms)}, in {duration(max(0, of.gps_ms - newest_ms))}, at {number(of.distance_m)} m (sigma"
        f" {number(of.sigma_m)} m)"
        for of in (nearest.nearest, worst.likeliest)
    )
    yield Finding(f"{one.name.capitalize()} comes nearest ({result.name_of(nearest)}) on {closest}.", good=True)
    text = (
        f"The probability that {one.name} collides with us within a day is {probability(worst.probability)}"
        f" ({result.name_of(worst)}, combined radius {number(result.collision_radius_m)} m; good: up to"
        f" {_PROBABILITY_GOOD:g})"
    )
    when = "" if worst.probability < NEGLIGIBLE else f"; most likely on {likeliest}"
    yield Finding(f"{text}{when}.", good=worst.probability <= _PROBABILITY_GOOD)
