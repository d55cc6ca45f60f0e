import html
import re
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import pytest

from pygnc_ground.orbit.solution import OrbitErrors, OrbitSolution
from pygnc_ground.replay.result import AttitudeResult, FormationResult
from pygnc_ground.report.comparison import compared_attitudes, compared_orbits, compared_partners
from pygnc_ground.report.html import report_environment
from pygnc_ground.report.statistics import difference_figures, geodetic, innovations_of, latest
from pygnc_ground.wording import NONE
from tests.pygnc_ground.report import attitude_samples, formation_samples, samples
from tests.pygnc_ground.report.samples import BEGIN_MS


def off_by(position_m: float, velocity_mps: float, sigma_m: float, count: int = 90) -> OrbitSolution:
    """Return the true orbit displaced along one axis in the last two thirds, and by much more before."""
    solution = samples.solution(samples.clean(count).fixes.gps_ms, np.full(count, sigma_m), 1)
    truth = samples.CircularTruth().at(solution.gps_ms)
    along = np.where(np.arange(count) < count // 3, 1000.0, 1.0)[:, None] * np.array([0.0, 0.0, 1.0])
    return replace(
        solution,
        position_ecef_m=truth.position_ecef_m + position_m * along,
        velocity_ecef_mps=truth.velocity_ecef_mps + velocity_mps * along,
    )


def test_errors_and_sigmas_are_those_of_the_last_two_thirds() -> None:
    result = replace(samples.clean(90), solution=off_by(3.0, 0.002, 1.5))
    accuracy = compared_orbits(result)[0].accuracy
    assert accuracy.position_error_m == pytest.approx(3.0, abs=1e-6)
    assert accuracy.velocity_error_mps == pytest.approx(0.002, abs=1e-9)
    assert accuracy.position_sigma_m == pytest.approx(1.5 * 3**0.5)
    assert accuracy.velocity_sigma_mps == pytest.approx(1.5e-3 * 3**0.5)
    assert accuracy.position_ratio == pytest.approx(2.0 / 3**0.5, abs=1e-6)
    # 3 m and 2 mm/s, each on one axis of 1.5 m and 1.5 mm/s, as one of six degrees of freedom.
    nees = compared_orbits(result)[0].accuracy.nees_mean_per_dof
    assert nees == pytest.approx((4.0 + 16.0 / 9.0) / 6.0, abs=1e-5)


def test_without_truth_the_sigmas_remain() -> None:
    result = replace(samples.clean(90), truth=None, solution=off_by(3.0, 0.002, 1.5))
    figures = compared_orbits(result)[0]
    assert figures.accuracy.position_sigma_m == pytest.approx(1.5 * 3**0.5)
    assert np.isnan(
        [figures.accuracy.position_error_m, figures.accuracy.velocity_ratio, figures.accuracy.nees_mean_per_dof]
    ).all()


def test_no_statistics_without_states() -> None:
    for result in (samples.without_orbit(samples.clean(20)), samples.clean(0)):
        for truth in (result.truth, None):
            figures = compared_orbits(replace(result, truth=truth))[0]
            assert figures.accuracy.states == figures.accuracy.used == figures.nis.count == 0
            assert np.isnan([figures.accuracy.position_sigma_m, figures.nis.mean_per_dof]).all()


def test_unknown_nis_is_ignored() -> None:
    result = samples.clean(30)
    result.solution.nis[:] = 12.0
    result.solution.nis[4:6] = np.nan
    figures = compared_orbits(result)[0]
    assert (figures.nis.count, figures.nis.mean_per_dof) == (28, 2.0)


def test_a_difference_is_summarised() -> None:
    position = np.array([[3.0, 0.0, 4.0], [0.0, 0.0, 1.0]])
    sigma = np.array([[1.0, 1.0, 1.0], [1.0, 1.0, 1.0]])
    rows = np.arange(2)
    series = OrbitErrors(rows, rows, position, 1e-3 * position, sigma, 1e-3 * sigma, np.zeros(2))
    figures = difference_figures(series)
    assert figures is not None
    assert figures.position_rms_m == pytest.approx(13.0**0.5)
    assert figures.position_max_m == 5.0
    assert figures.velocity_rms_mps == pytest.approx(1e-3 * 13.0**0.5)
    assert figures.within_3_sigma == 5.0 / 6.0
    no_rows, no_vectors = np.arange(0), np.empty((0, 3))
    empty = OrbitErrors(no_rows, no_rows, no_vectors, no_vectors, no_vectors, no_vectors, np.empty(0))
    assert difference_figures(empty) is None


def test_the_last_estimate_is_the_latest_known_one_in_time() -> None:
    result = samples.clean(10)
    gps_ms = result.solution.gps_ms.copy()
    gps_ms[[4, 9]] = gps_ms[[9, 4]]
    solution = replace(result.solution, gps_ms=gps_ms)
    assert latest(solution) == 4
    solution.position_ecef_m[4] = np.nan
    assert latest(solution) == 8
    assert latest(samples.clean(0).solution) is None


def test_geodetic_coordinates_of_the_axes_of_the_ellipsoid() -> None:
    # WGS 84: 6 378 137 m, and the polar axis that its flattening of 1/298.257223563 gives.
    points = np.array([[6_378_137.0, 0.0, 0.0], [0.0, -6_378_237.0, 0.0], [0.0, 0.0, 6_356_752.314245 + 500e3]])
    expected = np.array([[0.0, 0.0, 0.0], [-90.0, 0.0, 100.0], [0.0, 90.0, 500e3]])
    assert geodetic(points) == pytest.approx(expected, abs=1e-5)


RESULT = attitude_samples.clean(400, begin_ms=samples.BEGIN_MS)


class Row(NamedTuple):
    """Row of a table of the report."""

    quantity: str
    unit: str
    values: tuple[str, ...]
    ideal: str
    main: bool


def table_rows(name: str, *values: object) -> list[Row]:
    """Return the rows of the table that a macro makes of these values."""
    tables: Any = report_environment().get_template("tables.html.j2").module
    rows = []
    for row in re.findall(r'<tr><th scope="row">(.*)</tr>', getattr(tables, name)(*values)):
        quantity, unit, *cells, ideal = (html.unescape(cell) for cell in re.findall(r"(?:<td.*?>|^)(.*?)</t[dh]>", row))
        rows.append(Row(quantity, unit, tuple(cells), ideal, main='class="main"' in row))
    return rows


def rows(result: AttitudeResult) -> dict[str, Row]:
    table = table_rows("attitude_table", compared_attitudes(result), innovations_of(result.samples), result.truth)
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
    assert table["Longest time above 20°"].values == ("0", "0")
    assert [row.quantity for row in table.values() if row.main] == [
        "Attitude error in sunlight",
        "Attitude error in eclipse",
    ]


def test_without_a_truth_rows_that_need_it_are_omitted() -> None:
    table = rows(replace(RESULT, truth=None, bound=None))
    assert not [name for name in table if "error" in name or "Bound" in name or "NEES" in name]
    assert table["Magnetometer bias sigma, formal"].values[1] == "0.0907"


def test_a_flight_in_sunlight_has_no_eclipse_rows() -> None:
    lit = replace(RESULT.samples, sunlit_fraction=np.ones(400))
    assert not [name for name in rows(replace(RESULT, samples=lit)) if "eclipse" in name]


def test_rejected_innovations_are_ignored() -> None:
    nis = RESULT.samples.nis.copy()
    nis[:100] = np.nan
    found = innovations_of(replace(RESULT.samples, nis=nis))
    assert found.count == 300
    assert found.mean_per_dof == pytest.approx(1.0, abs=0.15)


def test_the_last_attitude_is_that_of_the_latest_time() -> None:
    gps_ms = RESULT.solution.gps_ms.copy()
    gps_ms[70] = gps_ms[-1] + 1
    assert latest(replace(RESULT.solution, gps_ms=gps_ms)) == 70
    assert latest(attitude_samples.without_attitude(RESULT).solution) is None


def table(result: FormationResult) -> dict[str, tuple[str, ...]]:
    return {row.quantity: row.values for row in table_rows("formation_table", result, compared_partners(result))}


def test_with_a_truth_errors_stand_beside_sigmas() -> None:
    rows = table(formation_samples.clean(BEGIN_MS))
    assert rows["Orbit"] == ("certain",) * 3
    assert rows["Position error"] == ("2.00",) * 3
    assert rows["Position error, transverse"] == ("2.00",) * 3
    assert rows["Position sigma, formal"] == ("2.45",) * 3
    assert rows["Position error / sigma"] == ("0.816",) * 3
    # An error of one standard deviation along one axis.
    assert rows["NEES, mean"] == ("1.00",) * 3
    assert "Orbit nearest to truth" not in rows
    assert "Closest approach within a day, 1 σ" not in rows


def test_without_a_truth_there_are_sigmas_only() -> None:
    rows = table(formation_samples.without_truth(formation_samples.clean(BEGIN_MS)))
    assert "Position error" not in rows
    assert rows["Position sigma, formal"] == ("2.45",) * 3


def test_both_hypotheses_have_their_chi_square() -> None:
    rows = table(formation_samples.ambiguous(BEGIN_MS))
    assert rows["χ² of the best orbit"] == ("500.0", "500.0")
    assert rows["χ² of the mirror"] == ("500.3", "580.0")
    assert rows["Candidate orbits"] == ("2", "1")


def test_the_nearest_orbit_is_listed_if_it_is_not_the_best() -> None:
    rows = table(formation_samples.wrong(formation_samples.ambiguous(BEGIN_MS)))
    assert rows["Orbit nearest to truth"] == ("mirror", "mirror")


def test_the_nearest_and_the_most_dangerous_orbit_count_whichever_it_is() -> None:
    result = formation_samples.ambiguous(BEGIN_MS)
    rows = table(result)
    assert rows["Closest approach within a day, 1 σ"] == ("40.0 ± 20.0", NONE)
    assert rows["Probability of a collision within a day"] == ("3.0e-04", NONE)
    best, mirror = result.conjunctions
    likelier = best._replace(probability=1e-3)
    both = replace(result, conjunctions=(likelier, mirror))
    assert both.nearest(75) == mirror
    assert both.most_dangerous(75) == likelier
    assert replace(result, conjunctions=(best, mirror._replace(probability=0.0))).most_dangerous(75) != best
    assert both.nearest(76) is both.most_dangerous(76) is None


def test_partners_that_are_not_known_have_dashes() -> None:
    rows = table(formation_samples.unsolved(BEGIN_MS))
    assert rows["Orbit"] == ("not known",) * 3
    assert rows["Position sigma, formal"] == (NONE,) * 3
    assert rows["Candidate orbits"] == (NONE,) * 3
