import pytest

from pygnc_ground.replay.formation_result import FormationResult
from pygnc_ground.report.formation_comparison import any_truth, judged_partners, orbit_name
from tests.pygnc_ground.report import formation_samples as samples
from tests.pygnc_ground.report.samples import BEGIN_MS


def states(result: FormationResult) -> list[str]:
    return [one.state for one in judged_partners(result)]


def test_each_partner_is_certain_ambiguous_or_not_known() -> None:
    assert states(samples.clean(BEGIN_MS)) == ["certain"] * 3
    assert states(samples.ambiguous(BEGIN_MS)) == ["ambiguous", "certain"]
    assert states(samples.unsolved(BEGIN_MS)) == ["not known"] * 3
    assert judged_partners(None) == ()


def test_the_mirror_is_as_far_away_as_it_is() -> None:
    first, _ = judged_partners(samples.ambiguous(BEGIN_MS, 96))
    assert first.mirror is not None
    # Twice a sine of amplitude MIRROR_M / sqrt(2) over whole turns, and the error of the best.
    assert first.mirror.apart_m == pytest.approx(samples.MIRROR_M, rel=0.02)
    assert first.mirror.above == pytest.approx(0.3)


def test_the_orbit_nearest_to_the_truth_is_told() -> None:
    right = judged_partners(samples.ambiguous(BEGIN_MS))[0]
    assert right.nearest == 0
    assert right.accuracy.error_m == pytest.approx(samples.ERROR_M)
    wrong = judged_partners(samples.wrong(samples.ambiguous(BEGIN_MS)))[0]
    assert wrong.nearest == 1
    assert wrong.orbits[1].accuracy.error_m == pytest.approx(0.0, abs=1e-9)
    assert wrong.accuracy.error_m > 100.0
    assert judged_partners(samples.without_truth(samples.ambiguous(BEGIN_MS)))[0].nearest is None


def test_a_truth_counts_where_there_is_one() -> None:
    assert any_truth(judged_partners(samples.clean(BEGIN_MS)))
    assert not any_truth(judged_partners(samples.without_truth(samples.clean(BEGIN_MS))))
    assert not any_truth(judged_partners(samples.unsolved(BEGIN_MS)))


def test_orbits_have_names_by_rank() -> None:
    assert [orbit_name(rank) for rank in range(4)] == ["best", "mirror", "no. 3", "no. 4"]
