"""The formation's figures and tables in the page."""

import logging
import re
from dataclasses import replace

import numpy as np
import pytest

from pygnc_ground.replay.formation_result import FormationResult
from pygnc_ground.report.formation_section import formation_section
from pygnc_ground.report.html import render_report
from pygnc_ground.report.time_axis import time_axis
from tests.ground.report import formation_samples as samples
from tests.ground.report.samples import BEGIN_MS
from tests.ground.report.samples import clean as replayed

ERRORS = "Errors of relative positions"
APPROACH = "Closest approach within a day"


def page(result: FormationResult | None) -> str:
    return render_report(replace(replayed(60), formation=result))


def part(text: str) -> str:
    """The formation's section of the page."""
    (found,) = re.findall(r"<section id=\"formation\".*?</section>\n\n", text, re.DOTALL)
    return str(found)


def titles(result: FormationResult) -> list[str]:
    """Of the figures that are drawn."""
    section = formation_section(result, time_axis(replayed(60)))
    assert section is not None
    return [chart.title for chart in section.charts if chart.svg]


def test_without_partners_there_is_no_such_section() -> None:
    assert 'id="formation"' not in page(None)
    assert "#formation" not in page(None)


def test_motion_positions_ranges_and_hypotheses_are_drawn_and_errors_with_a_truth() -> None:
    usual = ["Relative motion in three planes", "Relative positions", "Ranges and their residuals", "Hypotheses"]
    assert titles(samples.without_truth(samples.clean(BEGIN_MS))) == usual
    assert titles(samples.clean(BEGIN_MS)) == [*usual[:2], ERRORS, *usual[2:]]
    assert titles(samples.ambiguous(BEGIN_MS)) == [*usual[:2], ERRORS, *usual[2:], APPROACH]
    assert titles(samples.unsolved(BEGIN_MS)) == []


def test_a_partner_that_is_known_stands_beside_one_that_is_not() -> None:
    known, lost = samples.clean(BEGIN_MS), samples.unsolved(BEGIN_MS, "it has too few ranges")
    mixed = replace(known, partners=(known.partners[0], lost.partners[1]))
    assert len(titles(mixed)) == 5
    text = page(mixed)
    assert "Partner 76 is not known: it has too few ranges." in text
    assert "not known" in part(text)


def test_an_orbit_with_a_cause_is_drawn_in_the_planes_only() -> None:
    known = samples.ambiguous(BEGIN_MS)
    vague = replace(known, partners=tuple(replace(one, cause="known to 900 m only") for one in known.partners))
    assert titles(replace(vague, approaches=())) == [
        "Relative motion in three planes",
        "Ranges and their residuals",
        "Hypotheses",
    ]


def test_every_figure_stands_alone_follows_light_and_dark_and_is_drawn_without_complaint(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.WARNING):
        text = page(samples.wrong(samples.ambiguous(BEGIN_MS)))
    assert caplog.records == []
    for figure in re.findall(r"<figure>.*?</figure>", part(text), re.DOTALL):
        bare = re.sub(r"(?:url\(|href=\")#[^)\"]+", "", figure)
        assert re.search(r"#[0-9a-fA-F]{6}\b", bare) is None
        assert "aria-label" in figure
    identifiers = re.findall(r" id=\"([^\"]*)\"", text)
    assert len(identifiers) == len(set(identifiers))


def test_equal_results_give_equal_bytes() -> None:
    assert page(samples.ambiguous(BEGIN_MS)) == page(samples.ambiguous(BEGIN_MS))


def test_rejected_ranges_are_counted_and_marked() -> None:
    text = part(page(samples.ambiguous(BEGIN_MS)))
    (row,) = re.findall(r"<tr><th scope=\"row\">74 and 75</th>(.*?)</tr>", text)
    assert re.findall(r"<td>(.*?)</td>", row)[:3] == ["60", "2", "1\u202f050.0"]
    (figure,) = re.findall(r"<section class=\"figure\" id=\"formation-ranges\".*?</section>", text, re.DOTALL)
    clean = part(page(replace(samples.ambiguous(BEGIN_MS), links=samples.clean(BEGIN_MS).links[:2])))
    (undisturbed,) = re.findall(r"<section class=\"figure\" id=\"formation-ranges\".*?</section>", clean, re.DOTALL)
    assert figure.count("var(--rejected)") > undisturbed.count("var(--rejected)")


def test_numbers_that_are_missing_do_not_show() -> None:
    for result in (samples.unsolved(BEGIN_MS), samples.without_truth(samples.ambiguous(BEGIN_MS))):
        words = re.sub(r"<[^>]*>", " ", part(page(result))).split()
        assert "nan" not in words


def test_four_satellites_take_less_than_a_megabyte() -> None:
    result = samples.clean(BEGIN_MS, 720)
    assert len(page(result).encode()) - len(page(None).encode()) < 1_000_000


def test_a_single_moment_is_drawn() -> None:
    assert len(titles(samples.clean(BEGIN_MS, 1))) == 5
    still = samples.clean(BEGIN_MS, 3)
    one = still.partners[0]
    at_rest = replace(one, orbits=(replace(one.orbits[0], rtn=np.zeros((3, 6))),), true_track=np.full((3, 6), np.nan))
    assert len(titles(replace(still, partners=(at_rest,)))) == 5
