"""The replay in a few sentences, each marked as good or as worth a look. The limits are said in the sentences."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from pygnc_ground.orbit.consistency import band
from pygnc_ground.replay.result import ReplayResult
from pygnc_ground.report.clock_segments import ClockRecords
from pygnc_ground.report.statistics import DifferenceFigures, EstimateFigures
from pygnc_ground.report.wording import compared, number, percent, plural, printable, whole

_USED_SHARE_GOOD: Final = 0.95
_STATE_DOF: Final = 6


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence."""

    good: bool
    text: str


def findings(
    result: ReplayResult,
    figures: Sequence[EstimateFigures],
    cross_check: DifferenceFigures | None,
    clock: ClockRecords,
) -> list[Finding]:
    """What an operator should know before anything else."""
    return [
        *_input(result),
        *_use(result, figures[0]),
        *_innovations(figures[0]),
        *(finding for one in figures for finding in _accuracy(one)),
        *_cross_check(figures, cross_check),
        *_clock(clock),
        *(Finding(good=False, text=f"{printable(note)}.") for note in result.notes),
    ]


def _input(result: ReplayResult) -> Iterator[Finding]:
    damaged = sum(source.damaged_bytes for source in result.sources)
    size = sum(source.size_bytes for source in result.sources)
    faults = sum(bool(source.fault) for source in result.sources)
    if faults:
        yield Finding(good=False, text=f"{faults} of {len(result.sources)} input files cannot be read.")
    if damaged:
        text = f"{whole(damaged)} of {whole(size)} input bytes ({percent(damaged / size)}) are damaged."
        yield Finding(good=False, text=text)
    elif size:
        yield Finding(good=True, text=f"All {whole(size)} input bytes are sound.")


def _use(result: ReplayResult, figures: EstimateFigures) -> Iterator[Finding]:
    received = result.counts.get("fixes_received", len(result.fixes.seq) + len(result.untimed))
    used = result.counts.get("fixes_accepted", figures.used)
    if not received:
        yield Finding(good=False, text="There is no GPS record, so nothing is known of the orbit.")
        return
    share = used / received
    if received != _booked(result.counts, received):
        yield Finding(good=False, text="The books of the fixes do not balance; please report this as a fault.")
    text = f"{whole(used)} of {whole(received)} GPS records were used ({percent(share)}; 95 % or more is good)."
    yield Finding(good=share >= _USED_SHARE_GOOD, text=text)
    if not figures.states:
        yield Finding(good=False, text="The filter found no orbit.")
    restarts = int(result.fixes.restarted.sum())
    if restarts:
        yield Finding(good=False, text=f"The filter had to start again {plural(restarts, 'time')}.")


def _booked(counts: dict[str, int], otherwise: int) -> int:
    """Fixes received, as the sum of what became of them."""
    if "fixes_received" not in counts:
        return otherwise
    rejected = sum(count for name, count in counts.items() if name.startswith("rejected_"))
    return counts.get("fixes_accepted", 0) + counts.get("fixes_waiting", 0) + rejected


def _innovations(figures: EstimateFigures) -> Iterator[Finding]:
    nis = figures.nis
    if nis.count:
        low, high = nis.band_per_dof
        inside = low <= nis.mean_per_dof <= high
        text = (
            f"The filter's innovations are {compared(nis.mean_per_dof, low, high)} their covariance says: "
            f"mean NIS {number(nis.mean_per_dof)} per degree of freedom, 95 % band {number(low)} to {number(high)}."
        )
        yield Finding(good=inside, text=text)


def _accuracy(figures: EstimateFigures) -> Iterator[Finding]:
    accuracy = figures.accuracy
    if not math.isfinite(accuracy.position_error_m) or not math.isfinite(accuracy.position_ratio):
        return
    # The errors of a run hang together, as if there were one state: its error, squared, has 6 degrees of freedom.
    low, high = (math.sqrt(limit / _STATE_DOF) for limit in band(_STATE_DOF, 1))
    text = (
        f"The {figures.name} is right to {number(accuracy.position_error_m)} m and "
        f"{number(1e3 * accuracy.velocity_error_mps)} mm/s (3-D RMS), {number(accuracy.position_ratio)} times its "
        f"formal position sigma ({number(low)} to {number(high)} is good)."
    )
    yield Finding(good=low <= accuracy.position_ratio <= high, text=text)


def _cross_check(figures: Sequence[EstimateFigures], cross_check: DifferenceFigures | None) -> Iterator[Finding]:
    if cross_check is None:
        return
    sigma_m = math.hypot(*(one.accuracy.position_sigma_m for one in figures if one.name != "filter"))
    text = (
        f"Smoother and batch, two independent computations, differ by {number(cross_check.position_rms_m)} m (3-D RMS; "
        f"up to {number(sigma_m)} m, their formal sigmas together, is good)."
    )
    yield Finding(good=cross_check.position_rms_m <= sigma_m, text=text)


def _clock(clock: ClockRecords) -> Iterator[Finding]:
    boots = len(clock.segments)
    if boots == 1:
        yield Finding(good=True, text="The spacecraft clock ran through without a jump.")
    elif boots > 1:
        yield Finding(good=False, text=f"The spacecraft clock jumped: the records are from {boots} boots.")
