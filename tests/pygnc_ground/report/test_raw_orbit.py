"""Report of an orbit from raw measurements."""

import numpy as np

from pygnc_ground.orbit.solution import unknown_solution
from pygnc_ground.replay.folder import Origin
from pygnc_ground.report.raw_orbit import RawReport
from pygnc_ground.wording import plural


def test_report_shows_its_lines_without_escapes_of_spaces_and_with_those_of_markup() -> None:
    times_ms = 1_000_000_000_000 + 10_000 * np.arange(50)
    solution = unknown_solution(times_ms)
    solution.position_ecef_m[:] = solution.position_gcrf_m[:] = 7e6, 0.0, 0.0
    solution.velocity_ecef_mps[:] = solution.velocity_gcrf_mps[:] = 0.0, 7e3, 1e3
    solution.covariance_ecef[:] = np.eye(6)
    origin = Origin("pygnc", 74, "batch", {"a.rnx": "00"}, {}, "", "table")
    lines = [plural(2_011, "slip"), "file <b>"]
    page = RawReport("<name>", lines, origin, solution, None, times_ms, np.zeros(50), None).render()
    assert "<li>2 011 slips</li>" in page
    assert "<li>file &lt;b&gt;</li>" in page
    assert "Orbit of &lt;name&gt;" in page
    assert "<svg" in page
