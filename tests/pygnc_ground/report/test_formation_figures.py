"""Figures and tables of the formation in the page."""

import logging
import re
from dataclasses import replace

import numpy as np
import pytest

from pygnc_ground.replay.result import FormationResult
from pygnc_ground.report.axes import time_axis
from pygnc_ground.report.comparison import compared_partners
from pygnc_ground.report.html import formation_charts, render_report
from pygnc_ground.report.style import Chart, report_style
from tests.pygnc_ground.report import formation_samples
from tests.pygnc_ground.report.samples import BEGIN_MS
from tests.pygnc_ground.report.samples import clean as replayed

ERRORS = "Relative position error against truth"
APPROACH = "Closest approach within a day"
USUAL = ["Relative motion in three planes", "Relative positions", "Ranges and their residuals", "Hypotheses"]


def charts(result: FormationResult) -> list[Chart]:
    with report_style():
        return formation_charts(result, compared_partners(result), time_axis(replayed(60)))


def titles(result: FormationResult) -> list[str]:
    """Return the titles of the figures."""
    return [chart.title for chart in charts(result) if chart.svg]


def one_partner(result: FormationResult) -> FormationResult:
    return replace(result, partners=result.partners[:1], links=result.links[:1])


@pytest.fixture(scope="module")
def page() -> str:
    """Page with a partner whose truth is the mirror, and a partner without a solution."""
    lost = formation_samples.unsolved(BEGIN_MS, "it has too few ranges").partners[2]
    wrong = formation_samples.wrong(formation_samples.ambiguous(BEGIN_MS, 40))
    return render_report(replace(replayed(20), formation=replace(wrong, partners=(wrong.partners[0], lost))))


def part(page: str) -> str:
    """Return the formation section."""
    return page[page.index('<section id="formation"') : page.index('<section id="clocks"')]


def test_no_formation_section_without_partners() -> None:
    assert "formation-title" not in render_report(replayed(3))


def test_motion_positions_ranges_and_hypotheses_are_drawn_and_errors_with_a_truth() -> None:
    assert titles(formation_samples.without_truth(one_partner(formation_samples.clean(BEGIN_MS)))) == USUAL
    assert titles(formation_samples.ambiguous(BEGIN_MS)) == [*USUAL[:2], ERRORS, *USUAL[2:], APPROACH]
    assert titles(formation_samples.unsolved(BEGIN_MS)) == []


def test_a_partner_that_is_known_stands_beside_one_that_is_not(page: str) -> None:
    assert "Partner 77 is not known: it has too few ranges." in page
    assert '<th scope="col">Partner 77</th>' in part(page)
    assert part(page).count('<svg class="chart"') == 6


def test_an_orbit_with_a_cause_is_drawn_in_the_planes_only() -> None:
    known = one_partner(formation_samples.ambiguous(BEGIN_MS))
    vague = tuple(replace(one, cause="known to 900 m only") for one in known.partners)
    assert titles(replace(known, partners=vague, conjunctions=())) == [USUAL[0], *USUAL[2:]]


def test_every_figure_follows_light_and_dark_and_has_a_name_of_its_own(page: str) -> None:
    for figure in re.findall(r"<figure>.*?</figure>", part(page), re.DOTALL):
        bare = re.sub(r"(?:url\(|href=\")#[^)\"]+", "", figure)
        assert re.search(r"#[0-9a-fA-F]{6}\b", bare) is None
        assert "aria-label" in figure
    identifiers = re.findall(r" id=\"([^\"]*)\"", page)
    assert len(identifiers) == len(set(identifiers))


def test_missing_numbers_are_not_shown(page: str) -> None:
    assert "nan" not in re.sub(r"<[^>]*>", " ", part(page)).split()


def test_rejected_ranges_are_counted(page: str) -> None:
    (row,) = re.findall(r"<tr><th scope=\"row\">74 and 75</th>(.*?)</tr>", part(page))
    assert re.findall(r"<td>(.*?)</td>", row)[:3] == ["40", "2", "1\u202f050.0"]


def test_rejected_ranges_are_marked() -> None:
    result = one_partner(formation_samples.ambiguous(BEGIN_MS, 20))
    marked, clean = (
        charts(replace(result, links=(link,)))[3].svg.count("var(--rejected)")
        for link in (result.links[0], formation_samples.clean(BEGIN_MS, 20).links[0])
    )
    assert marked > clean


def test_figures_raise_no_warning_and_are_reproducible(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        first, second = (charts(one_partner(formation_samples.ambiguous(BEGIN_MS))) for _ in range(2))
    assert caplog.records == []
    assert first == second


@pytest.mark.slow
def test_four_satellites_take_less_than_a_megabyte() -> None:
    assert sum(len(chart.svg.encode()) for chart in charts(formation_samples.clean(BEGIN_MS, 720))) < 900_000


def test_a_single_moment_and_a_partner_at_rest_are_drawn() -> None:
    assert len(titles(one_partner(formation_samples.clean(BEGIN_MS, 1)))) == 5
    still = one_partner(formation_samples.without_truth(formation_samples.clean(BEGIN_MS, 3)))
    one = still.partners[0]
    at_rest = replace(one, orbits=(replace(one.orbits[0], rtn=np.zeros((3, 6))),))
    assert titles(replace(still, partners=(at_rest,))) == USUAL
