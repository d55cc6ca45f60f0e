import numpy as np
import pytest

from pygnc_ground.report.formation_axis import FormationAxis
from pygnc_ground.report.time_axis import time_axis
from tests.pygnc_ground.report import formation_samples, samples


def test_it_spans_the_records_and_what_was_said_of_partners() -> None:
    of_records = time_axis(samples.clean(60))
    late = formation_samples.clean(samples.BEGIN_MS, 120)
    assert of_records.span_h is not None
    begin, end = of_records.span_h
    axis = FormationAxis(of_records, late).at(late.track_gps_ms)
    assert axis.span_h == pytest.approx((begin, begin + 119 / 60))
    assert axis.span_h is not None
    assert axis.span_h[1] > end
    assert axis.hidden == 0
    np.testing.assert_allclose(np.diff(axis.hours), 1 / 60)
