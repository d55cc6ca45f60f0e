"""The attitude in the few lines that `pygnc replay` prints."""

import math
from collections.abc import Iterator

from pygnc_ground.attitude.accuracy import RIGHT_DEG, WRONG_DEG, AngleRms
from pygnc_ground.replay.attitude_result import AttitudeResult
from pygnc_ground.report.attitude_comparison import AttitudeEstimate, attitude_estimates
from pygnc_ground.report.wording import duration, plural


def attitude_lines(result: AttitudeResult) -> Iterator[str]:
    """How many samples have an attitude and, with a truth, how good it is."""
    found = attitude_estimates(result)
    known, again = found[0].accuracy.known, int(result.samples.found_again.sum())
    lost = f", lost and found again {plural(again, 'time')}" if again else ""
    yield f"{len(result.samples)} sensor samples: {known} with an attitude{lost}"
    for one in found:
        if len(one.errors):
            yield f"{one.name:8} {_errors(one)}"
    if len(found[0].errors):
        accuracy = found[0].accuracy
        right = f"after {accuracy.right_after_s:.0f} s" if math.isfinite(accuracy.right_after_s) else "never"
        yield (
            f"filter   within {RIGHT_DEG:.0f} deg of the true attitude {right}; off by more than {WRONG_DEG:.0f} deg "
            f"for {accuracy.wrong_s:.0f} s in a row at most"
        )


def _errors(one: AttitudeEstimate) -> str:
    accuracy = one.accuracy
    kinds = {"in sunlight": accuracy.sunlight, "in eclipse": accuracy.eclipse}
    parts = [_error(kind, where) for where, kind in kinds.items() if math.isfinite(kind.error_deg)]
    told = ", ".join(parts) or _error(accuracy.whole, "in all")
    settling = duration(accuracy.settling_ms).removesuffix(" 00 s")
    return f"attitude error (three-axis RMS) from {settling} after the first on: {told}"


def _error(kind: AngleRms, where: str) -> str:
    return f"{kind.error_deg:.3f} deg {where} (bound {kind.bound_deg:.3f})"
