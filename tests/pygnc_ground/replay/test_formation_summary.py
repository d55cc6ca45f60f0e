from dataclasses import replace

from pygnc_ground.replay.formation_summary import formation_lines
from tests.pygnc_ground.report import formation_samples as samples
from tests.pygnc_ground.report.samples import BEGIN_MS


def test_without_partners_nothing_is_printed() -> None:
    assert list(formation_lines(None)) == []


def test_errors_stand_beside_sigmas() -> None:
    ranges, first, *_ = formation_lines(samples.clean(BEGIN_MS))
    assert ranges == "360 ranges: 360 used, 0 rejected, 0 without a time"
    assert first == "partner 75: 3-D RMS error 2.0 m (sigma 2.4 m), certain"


def test_without_a_truth_there_is_a_sigma() -> None:
    lines = list(formation_lines(samples.without_truth(samples.clean(BEGIN_MS))))
    assert lines[1] == "partner 75: 3-D RMS sigma 2.4 m, certain"


def test_both_solutions_of_an_ambiguous_partner_are_told() -> None:
    lines = list(formation_lines(samples.wrong(samples.ambiguous(BEGIN_MS))))
    assert lines[1].startswith("partner 75: ambiguous: best and mirror differ by ")
    assert "chi-square 500.0 and 500.3; nearest to the truth: mirror, 3-D RMS error 0.0 m (sigma 2.4 m)" in lines[1]
    assert "nearest" not in list(formation_lines(samples.without_truth(samples.ambiguous(BEGIN_MS))))[1]


def test_the_best_orbits_approach_is_told_and_a_nearer_ones() -> None:
    result = samples.ambiguous(BEGIN_MS)
    best, nearer = list(formation_lines(result))[2].split("; ")
    assert best.startswith("partner 75: closest approach within a day 250 m (sigma 20 m) at 2025-03-21T00:09:00")
    assert nearer.startswith("by another orbit that fits 40 m (sigma 20 m) at ")
    assert nearer.endswith(", contact cannot be excluded")
    (line,) = [line for line in formation_lines(replace(result, approaches=result.approaches[:1])) if "closest" in line]
    assert "another" not in line
    assert "contact" not in line


def test_why_a_partner_is_not_known_is_told() -> None:
    lines = list(formation_lines(samples.unsolved(BEGIN_MS)))
    assert lines[0] == "9 ranges: 0 used, 0 rejected, 2 without a time"
    assert lines[1] == "partner 75: not known: our own orbit is not known"
