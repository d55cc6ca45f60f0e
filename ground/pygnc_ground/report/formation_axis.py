"""The report's time axis for partners."""

from dataclasses import replace

import numpy as np

from pygnc_ground.orbit.solution import IntArray
from pygnc_ground.replay.formation_result import FormationResult
from pygnc_ground.report.time_axis import TimeAxis, sample_axis

_MS_PER_HOUR = 3_600_000


class FormationAxis:
    """Makes axes of one extent, that of the records and of all that was said of partners.

    Args:
        of_records: The report's.
        result: The formation.
    """

    def __init__(self, of_records: TimeAxis, result: FormationResult) -> None:
        times = np.concatenate([one.states.gps_ms for one in result.partners])
        every = (times - of_records.zero_gps_ms) / _MS_PER_HOUR
        begin, end = of_records.span_h or (every[0], every[0])
        ends = (min(begin, float(every.min())), max(end, float(every.max())))
        self._widened = replace(of_records, ends=ends)

    def at(self, gps_ms: IntArray) -> TimeAxis:
        """The axis for moments, (n,)."""
        return sample_axis(self._widened, gps_ms)
