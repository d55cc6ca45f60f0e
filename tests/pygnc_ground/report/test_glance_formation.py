from dataclasses import replace

from pygnc_ground.replay.formation_result import FormationResult
from pygnc_ground.report.formation_comparison import judged_partners
from pygnc_ground.report.glance_formation import formation_findings
from tests.pygnc_ground.report import formation_samples as samples
from tests.pygnc_ground.report.samples import BEGIN_MS


def told(result: FormationResult) -> dict[str, bool]:
    """Whether each sentence is good, by its text."""
    return {finding.text: finding.good for finding in formation_findings(result, judged_partners(result))}


def test_a_formation_without_trouble_is_good_in_every_respect() -> None:
    assert all(told(samples.clean(BEGIN_MS)).values())
    assert all(told(samples.without_truth(samples.clean(BEGIN_MS))).values())


def test_a_wrong_orbit_that_is_called_certain_is_worth_a_look() -> None:
    sentences = told(samples.wrong(samples.clean(BEGIN_MS)))
    assert [good for text, good in sentences.items() if "called certain" in text] == [False] * 3


def test_an_ambiguous_partner_is_told_with_both_costs_and_the_nearer_one() -> None:
    (text,) = [text for text, good in told(samples.ambiguous(BEGIN_MS)).items() if "ambiguous" in text and not good]
    assert text.startswith("Partner 75 is ambiguous: 2 different orbits fit")
    assert "χ² 500.0 and 500.3" in text
    assert "the truth follows the orbit called best" in text
    assert any(
        "the orbit called mirror" in text for text in told(samples.wrong(samples.ambiguous(BEGIN_MS))) if "75" in text
    )


def test_why_a_partner_is_not_known_is_told() -> None:
    sentences = told(samples.unsolved(BEGIN_MS))
    assert sentences["Partner 76 is not known: our own orbit is not known."] is False
    assert sentences["The time of 2 ranges is not known."] is False


def test_ranges_that_are_not_used_are_worth_a_look() -> None:
    result = samples.clean(BEGIN_MS)
    for used, good in ((96, True), (94, False)):
        counts = {"ranges_received": 100, "ranges_used": used}
        (verdict,) = [
            good for text, good in told(replace(result, counts=counts)).items() if "in the newest solution" in text
        ]
        assert verdict is good


def test_an_approach_within_three_sigmas_is_worth_a_look() -> None:
    result = samples.ambiguous(BEGIN_MS)
    assert [good for text, good in told(result).items() if "comes as near as 40.0 m" in text] == [False]
    far = replace(result, approaches=result.approaches[:1])
    assert [good for text, good in told(far).items() if "comes as near as 250 m" in text] == [True]
