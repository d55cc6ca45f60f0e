"""The attitude in a few sentences, each marked as good or as worth a look. The limits are said in the sentences."""

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from pygnc.estimators.attitude.settings import MountingSettings
from pygnc_ground.attitude.accuracy import RIGHT_DEG, WRONG_DEG, AngleRms
from pygnc_ground.orbit.consistency import NisConsistency, band
from pygnc_ground.replay.attitude_result import AttitudeResult, SampleRecords
from pygnc_ground.report.attitude_comparison import AttitudeEstimate
from pygnc_ground.report.attitude_states import face_names
from pygnc_ground.report.glance import Finding
from pygnc_ground.report.wording import compared, number, percent, plural, whole

_KNOWN_SHARE_GOOD: Final = 0.95
_RATIO_GOOD: Final = (0.7, 1.4)
"""Of error over sigma: the covariance is right within a factor of two."""
_NIS_GOOD: Final = (0.8, 1.25)
_RIGHT_AFTER_GOOD_S: Final = 180.0
_BIAS_DOF: Final = 3


def attitude_findings(
    result: AttitudeResult, found: Sequence[AttitudeEstimate], nis: NisConsistency, mounting: MountingSettings
) -> list[Finding]:
    """What an operator should know of it before anything else."""
    if not result.solution.known.any():
        why = "no attitude" if len(result.samples) else "no sensor sample, so nothing is known of the attitude"
        return [Finding(good=False, text=f"There is {why}.")]
    return [
        *_use(result.samples, found[0]),
        *_sensors(result.samples, mounting),
        *_innovations(nis),
        *(finding for one in found for finding in _accuracy(one)),
        *_start(found[0]),
        *_biases(found[0]),
    ]


def _use(samples: SampleRecords, filtered: AttitudeEstimate) -> Iterator[Finding]:
    share = filtered.accuracy.known / len(samples)
    text = (
        f"{whole(filtered.accuracy.known)} of {whole(len(samples))} sensor samples have an attitude ({percent(share)}; "
        "95 % or more is good)."
    )
    yield Finding(good=share >= _KNOWN_SHARE_GOOD, text=text)
    again = int(samples.found_again.sum())
    if again:
        yield Finding(good=False, text=f"The attitude was lost and found again {plural(again, 'time')}.")


def _sensors(samples: SampleRecords, mounting: MountingSettings) -> Iterator[Finding]:
    """Sensors that were held for broken at the end."""
    names = face_names(mounting)
    for flags, fault in ((samples.faces_dead, "dead"), (samples.faces_mirrored, "mirrored")):
        for face in np.flatnonzero(flags[-1]).tolist():
            yield Finding(good=False, text=f"The sun sensor on face {names[face]} is held for {fault}.")
    for axis in np.flatnonzero(samples.gyro_stuck[-1]).tolist():
        yield Finding(good=False, text=f"The gyro's axis {'xyz'[axis]} is held for stuck.")


def _innovations(nis: NisConsistency) -> Iterator[Finding]:
    """With thousands of samples the 95 % band is narrower than any model is right, so the limits are practical ones."""
    if nis.count:
        low, high = _NIS_GOOD
        good = low <= nis.mean_per_dof <= high
        text = (
            f"Innovations of the attitude are {compared(nis.mean_per_dof, low, high)} their covariance says: "
            f"mean NIS {number(nis.mean_per_dof)} per degree of freedom ({low} to {high} is good)."
        )
        yield Finding(good=good, text=text)


def _accuracy(one: AttitudeEstimate) -> Iterator[Finding]:
    ratio = one.accuracy.whole.ratio
    if math.isfinite(ratio):
        low, high = _RATIO_GOOD
        where = " and ".join(
            f"{number(kind.error_deg)}° in {name}"
            for kind, name in ((one.accuracy.sunlight, "sunlight"), (one.accuracy.eclipse, "eclipse"))
            if math.isfinite(kind.error_deg)
        )
        text = (
            f"The {one.name}'s attitude is right to {where or _everywhere(one.accuracy.whole)} (three-axis RMS), "
            f"{number(ratio)} times its formal sigma ({low} to {high} is good)."
        )
        yield Finding(good=low <= ratio <= high, text=text)


def _everywhere(kind: AngleRms) -> str:
    return f"{number(kind.error_deg)}°"


def _start(filtered: AttitudeEstimate) -> Iterator[Finding]:
    accuracy = filtered.accuracy
    if math.isfinite(accuracy.right_after_s):
        text = (
            f"The filter was within {RIGHT_DEG:.0f}° of the truth {accuracy.right_after_s:.0f} s after the first "
            f"sample with an orbit (up to {_RIGHT_AFTER_GOOD_S:.0f} s is good)."
        )
        yield Finding(good=accuracy.right_after_s <= _RIGHT_AFTER_GOOD_S, text=text)
    if accuracy.wrong_s > 0.0:
        text = f"The filter was off by more than {WRONG_DEG:.0f}° for up to {accuracy.wrong_s:.0f} s in a row."
        yield Finding(good=False, text=text)
    elif accuracy.wrong_s == 0.0:
        yield Finding(good=True, text=f"The filter was never off by more than {WRONG_DEG:.0f}°.")


def _biases(filtered: AttitudeEstimate) -> Iterator[Finding]:
    accuracy = filtered.accuracy
    gyro = accuracy.gyro_bias_error_rad_s / accuracy.gyro_bias_sigma_rad_s
    field = accuracy.mag_bias_error_ut / accuracy.mag_bias_sigma_ut
    if math.isfinite(gyro + field):
        # A bias hardly changes, so over a run it is as if there were one error, of three numbers.
        high = math.sqrt(band(_BIAS_DOF, 1).high / _BIAS_DOF)
        text = (
            f"The filter's biases are right to {number(math.degrees(accuracy.gyro_bias_error_rad_s))} deg/s and "
            f"{number(accuracy.mag_bias_error_ut)} µT (3-D RMS), {number(gyro)} and {number(field)} times their formal "
            f"sigmas (up to {number(high)} is good)."
        )
        yield Finding(good=max(gyro, field) <= high, text=text)
