from dataclasses import replace

import numpy as np
import pytest

from pygnc_ground.replay.attitude_result import AttitudeResult
from pygnc_ground.report.attitude_comparison import attitude_estimates
from pygnc_ground.report.attitude_statistics import Row, attitude_rows, innovations_of, last_attitude
from tests.pygnc_ground.report import attitude_samples, samples

RESULT = attitude_samples.clean(400, begin_ms=samples.BEGIN_MS)


def rows(result: AttitudeResult) -> dict[str, Row]:
    table = attitude_rows(attitude_estimates(result), innovations_of(result), with_truth=result.truth is not None)
    assert len({row.quantity for row in table}) == len(table)
    return {row.quantity: row for row in table}


def test_the_table_has_errors_bounds_and_sigmas_in_degrees() -> None:
    table = rows(RESULT)
    assert [float(value) for value in table["Attitude error in sunlight"].values] == pytest.approx(
        [0.4 * 3**0.5, 0.3 * 3**0.5], rel=0.1
    )
    assert table["Bound in eclipse"].values == ("0.650", "0.500")
    assert table["Attitude sigma in eclipse, formal"].values[1] == "0.520"
    assert table["Gyro bias sigma, formal"].values[1] == "0.0520"
    assert table["NEES, mean"].ideal == "3"
    assert table["Longest off by more than 20°"].values == ("0", "0")
    assert [row.quantity for row in table.values() if row.main] == [
        "Attitude error in sunlight",
        "Attitude error in eclipse",
    ]


def test_without_a_truth_only_what_is_known_is_in_it() -> None:
    table = rows(replace(RESULT, truth=None, bound=None))
    assert not [name for name in table if "error" in name or "Bound" in name or "NEES" in name]
    assert table["Magnetometer bias sigma, formal"].values[1] == "0.0907"


def test_a_flight_in_the_sun_has_no_lines_of_eclipse() -> None:
    lit = replace(RESULT.samples, sunlit_fraction=np.ones(400))
    assert not [name for name in rows(replace(RESULT, samples=lit)) if "eclipse" in name]


def test_innovations_that_were_not_used_count_for_nothing() -> None:
    nis = RESULT.samples.nis.copy()
    nis[:100] = np.nan
    found = innovations_of(replace(RESULT, samples=replace(RESULT.samples, nis=nis)))
    assert found.count == 300
    assert found.mean_per_dof == pytest.approx(1.0, abs=0.15)


def test_the_last_attitude_is_that_of_the_latest_time() -> None:
    gps_ms = RESULT.solution.gps_ms.copy()
    gps_ms[70] = gps_ms[-1] + 1
    last = last_attitude(replace(RESULT.solution, gps_ms=gps_ms))
    assert last is not None
    assert last.gps_ms == gps_ms[70]
    assert last.quaternion == tuple(RESULT.solution.quaternion[70])
    assert last.rate_body_deg_s == pytest.approx([1.0, 0.3, 0.2], abs=0.1)
    assert last_attitude(attitude_samples.without_attitude(RESULT).solution) is None
