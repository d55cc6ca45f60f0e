from dataclasses import replace

import numpy as np

from pygnc_ground.replay.attitude_summary import attitude_lines
from tests.pygnc_ground.report import attitude_samples, samples

RESULT = attitude_samples.clean(1000, begin_ms=samples.BEGIN_MS)


def test_with_a_truth_errors_are_told_beside_their_bound() -> None:
    lines = list(attitude_lines(RESULT))
    assert lines[0] == "1000 sensor samples: 1000 with an attitude"
    for line, name, bound in zip(lines[1:3], ("filter  ", "smoother"), ("0.650", "0.500"), strict=True):
        assert line.startswith(f"{name} attitude error (three-axis RMS) from 27 min 45 s after the first on: 0.")
        assert line.count(f"(bound {bound})") == 2
        assert " deg in sunlight (" in line
        assert " deg in eclipse (" in line
    assert lines[3].startswith("filter   within 5 deg of the true attitude after 5 s; off by more than 20 deg for 0 s")
    assert len(lines) == 4


def test_without_a_truth_attitudes_are_counted() -> None:
    troubled = attitude_samples.troubled(attitude_samples.clean(100, begin_ms=samples.BEGIN_MS))
    lines = list(attitude_lines(replace(troubled, truth=None, bound=None)))
    assert lines == ["100 sensor samples: 96 with an attitude, lost and found again 1 time"]


def test_without_an_orbit_the_error_is_that_of_all_samples() -> None:
    unknown = replace(RESULT.samples, sunlit_fraction=np.full(1000, np.nan))
    lines = list(attitude_lines(replace(RESULT, samples=unknown)))
    assert " deg in all (bound 0.650)" in lines[1]
    assert "true attitude never;" in lines[3]


def test_without_an_attitude_nothing_is_claimed() -> None:
    assert list(attitude_lines(attitude_samples.without_attitude(RESULT))) == [
        "1000 sensor samples: 0 with an attitude"
    ]
