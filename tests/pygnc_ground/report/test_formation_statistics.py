from pygnc_ground.replay.formation_result import FormationResult
from pygnc_ground.report.formation_comparison import judged_partners
from pygnc_ground.report.formation_statistics import formation_rows
from pygnc_ground.report.wording import NONE
from tests.pygnc_ground.report import formation_samples as samples
from tests.pygnc_ground.report.samples import BEGIN_MS


def table(result: FormationResult) -> dict[str, tuple[str, ...]]:
    return {row.quantity: row.values for row in formation_rows(result, judged_partners(result))}


def test_with_a_truth_errors_stand_beside_sigmas() -> None:
    rows = table(samples.clean(BEGIN_MS))
    assert rows["Orbit"] == ("certain",) * 3
    assert rows["Position error"] == ("2.00",) * 3
    assert rows["Position error, transverse"] == ("2.00",) * 3
    assert rows["Position sigma, formal"] == ("2.45",) * 3
    assert rows["Position error / sigma"] == ("0.816",) * 3
    # An error of one standard deviation along one axis.
    assert rows["NEES, mean"] == ("1.00",) * 3
    assert "Orbit nearest to the truth" not in rows
    assert "Closest approach within a day, 1 σ" not in rows


def test_without_a_truth_there_are_sigmas_only() -> None:
    rows = table(samples.without_truth(samples.clean(BEGIN_MS)))
    assert "Position error" not in rows
    assert rows["Position sigma, formal"] == ("2.45",) * 3


def test_both_hypotheses_have_their_chi_square() -> None:
    rows = table(samples.ambiguous(BEGIN_MS))
    assert rows["χ² of the best orbit"] == ("500.0", "500.0")
    assert rows["χ² of the mirror"] == ("500.3", "580.0")
    assert rows["Different orbits that are possible"] == ("2", "1")


def test_the_nearest_orbit_is_told_where_it_is_not_the_best() -> None:
    rows = table(samples.wrong(samples.ambiguous(BEGIN_MS)))
    assert rows["Orbit nearest to the truth"] == ("mirror", "mirror")


def test_the_most_dangerous_approach_of_all_orbits_counts() -> None:
    rows = table(samples.ambiguous(BEGIN_MS))
    assert rows["Closest approach within a day, 1 σ"] == ("40.0 ± 20.0", NONE)


def test_partners_that_are_not_known_have_dashes() -> None:
    rows = table(samples.unsolved(BEGIN_MS))
    assert rows["Orbit"] == ("not known",) * 3
    assert rows["Position sigma, formal"] == (NONE,) * 3
    assert rows["Different orbits that are possible"] == (NONE,) * 3
