"""The whole page: complete, self-contained, robust, and safe against text from the input."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from pygnc.bus.messages import SourceFile
from pygnc_ground.orbit.solution import IntArray
from pygnc_ground.replay.result import AttitudeResult, Innovations, ReplayResult, UntimedRecord
from pygnc_ground.report.html import render_report, write_report
from tests.pygnc_ground.report import attitude_samples, samples
from tests.pygnc_ground.report.page import Page

_HOSTILE = "<script>alert(1)</script>\"'&\x1b[2J\u202e\udcff.bin"


@pytest.fixture(scope="module")
def troubled() -> str:
    return render_report(samples.troubled(150))


def test_the_report_is_written_to_the_file(tmp_path: Path) -> None:
    result = samples.clean(12)
    write_report(result, tmp_path / "report.html")
    assert (tmp_path / "report.html").read_bytes() == render_report(result).encode()


@pytest.mark.slow
def test_equal_results_give_equal_bytes(troubled: str) -> None:
    assert render_report(samples.troubled(150)) == troubled


def test_the_page_has_no_external_resources(troubled: str) -> None:
    page = Page(troubled)
    assert page.tags["script"] == page.tags["link"] == page.tags["img"] == page.tags["iframe"] == 0
    for _, name, value in page.attributes:
        assert not name.startswith("on")
        if name in {"href", "xlink:href", "src"}:
            assert value.startswith("#")
        if not name.startswith("xmlns"):
            assert "//" not in value
    assert "@import" not in troubled
    assert re.search(r"url\((?!#)", troubled) is None
    assert "default-src 'none'" in troubled


def test_identifiers_are_unique_and_links_lead_somewhere(troubled: str) -> None:
    page = Page(troubled)
    identifiers = [value for _, name, value in page.attributes if name == "id"]
    assert len(identifiers) == len(set(identifiers))
    targets = {value[1:] for _, name, value in page.attributes if name in {"href", "xlink:href"}}
    targets |= {value for _, name, value in page.attributes if name == "aria-labelledby"}
    assert targets <= set(identifiers)


def test_every_figure_has_a_title_a_description_and_a_caption(troubled: str) -> None:
    page = Page(troubled)
    assert page.tags["figure"] == page.tags["figcaption"] == 12
    assert troubled.count("How to read it.") == troubled.count("Warning signs.") == 12
    strips = 2
    assert len(page.titles()) == 12 + strips
    assert all(page.titles())


def test_every_colour_of_a_figure_follows_light_and_dark(troubled: str) -> None:
    figures = re.findall(r"<figure>.*?</figure>", troubled, re.DOTALL)
    for figure in figures:
        bare = re.sub(r"(?:url\(|href=\")#[^)\"]+", "", figure)
        assert re.search(r"#[0-9a-fA-F]{6}\b", bare) is None
    used = {name for figure in figures for name in re.findall(r"var\((--[a-z-]+)\)", figure)}
    assert len(used) > 5
    style = troubled[troubled.index(":root") : troubled.index("* { box-sizing")]
    assert all(style.count(f"{name}:") == 2 for name in used)


@pytest.mark.slow
def test_with_truth_errors_are_shown_and_without_sigmas_and_what_smoothing_changed(troubled: str) -> None:
    assert "Position and velocity error against truth" in troubled
    assert "NEES of the smoother" in troubled
    result = samples.troubled(40)
    without = render_report(replace(result, truth=None, attitude=replace(result.attitude, truth=None)))
    assert "Position and velocity error against truth" not in without
    assert "Formal accuracy" in without
    assert "Filter minus smoother" in without
    assert "NEES of" not in without


@pytest.mark.slow
def test_the_attitude_is_compared_with_the_truth_or_filter_and_smoother_with_each_other(troubled: str) -> None:
    assert "Attitude error against truth" in troubled
    assert "bound for any smoother" in troubled
    assert "Attitude error in eclipse" in troubled
    result = samples.troubled(40)
    attitude = replace(result.attitude, truth=None, bound=None)
    without = render_report(replace(result, attitude=attitude))
    assert "Attitude error against truth" not in without
    assert "Attitude: filter minus smoother" in without
    assert "Attitude error in eclipse" not in without
    for page in (troubled, without):
        assert all(
            words in page for words in ("Biases", "Light on the faces", "Magnetometer residuals", "face +Y dead")
        )


def test_without_an_orbit_rates_and_light_remain() -> None:
    result = replace(samples.clean(60), attitude=attitude_samples.clean(300, begin_ms=samples.BEGIN_MS))
    page = Page(render_report(samples.without_orbit(result)))
    assert "Biases are unknown without an attitude." in page.text
    assert "The filter never had an attitude to predict a reading of the magnetometer." in page.text
    titles = " ".join(page.titles())
    assert "Modes and faults over time, and the body rate" in titles
    assert "Light on each face over time" in titles


@pytest.mark.slow
def test_further_sensors_have_residuals_of_their_own() -> None:
    result = replace(samples.clean(60), attitude=attitude_samples.clean(300, begin_ms=samples.BEGIN_MS))
    of_samples, rng = result.attitude.samples, np.random.default_rng(8)
    count, found = len(of_samples), dict(of_samples.innovations)
    for name, width in (("star_tracker", 3), ("sun_direction", 2)):
        values, sigmas = 1e-3 * rng.normal(size=(count, width)), np.full((count, width), 1e-3)
        used = (1e6 * np.square(values).sum(axis=1)) < 9.0
        found[name] = Innovations(values, sigmas, 1e6 * np.square(values).sum(axis=1), used)
    attitude = replace(result.attitude, samples=replace(of_samples, innovations=found))
    titles = " ".join(Page(render_report(replace(result, attitude=attitude))).titles())
    assert "Residuals of the star tracker" in titles
    assert "Residuals of the fine Sun sensor" in titles


def test_the_summary_lists_the_input(troubled: str) -> None:
    text = Page(troubled).text
    assert "sense.bin , 112 000 bytes" in text
    assert "2025-03-20 21:10:00 UTC GPS 2358 421818.000 s" in text
    assert "153, 3 without a time" in text
    assert "Rejected: time inconsistent 1" in text
    assert "circular orbit, made up" in text
    assert "Last position estimate (filter)" in text
    assert "Last attitude estimate (filter)" in text
    assert "750, 724 with an attitude" in text


def test_the_tables_name_rejected_and_untimed_records_and_damaged_ranges(troubled: str) -> None:
    text = Page(troubled).text
    assert "GPS time contradicts the spacecraft clock" in text
    assert "Records without a GPS time" in text
    assert "40000 44096 4 096 fill" in text
    assert "cannot be read: is a folder" in text
    assert "The figures omit 1 record" in text


def test_tables_of_records_are_bounded() -> None:
    result = samples.without_orbit(samples.clean(400))
    result = replace(result, untimed=tuple(UntimedRecord(k, "s", k, None, "no_time") for k in range(500)))
    page = Page(render_report(result))
    assert "(the first 100 of 400)" in page.text
    assert "(the first 100 of 500)" in page.text
    assert page.tags["tr"] < 400


@pytest.mark.slow
def test_text_from_the_input_is_escaped() -> None:
    result = samples.troubled(40)
    fixes = replace(result.fixes, source=(_HOSTILE,) * 40, position_cause=(_HOSTILE,) * 40)
    sources = (
        SourceFile(seq=1, name=_HOSTILE, size_bytes=9, damaged_bytes=9, damaged_ranges=1, damage=((0, 9, _HOSTILE),)),
        SourceFile(seq=2, name=_HOSTILE, fault=_HOSTILE),
    )
    untimed = (UntimedRecord(1, _HOSTILE, 0, None, _HOSTILE),)
    felt = replace(result.attitude.samples, cause=(_HOSTILE,) * 200)
    truth = samples.CircularTruth(description=_HOSTILE)
    hostile = replace(
        result,
        fixes=fixes,
        sources=sources,
        untimed=untimed,
        truth=truth,
        filter_name=_HOSTILE,
        notes=(_HOSTILE,),
        attitude=replace(result.attitude, samples=felt),
    )
    text = render_report(hostile)
    assert Page(text).tags["script"] == 0
    assert not {"\x1b", "\u202e", "\udcff"} & set(text)
    assert "&lt;script&gt;alert(1)" in text
    text.encode()


def with_times(gps_ms: IntArray) -> AttitudeResult:
    """Return the attitudes with other sample times."""
    attitude = attitude_samples.clean(len(gps_ms), begin_ms=samples.BEGIN_MS)
    return replace(
        attitude,
        samples=replace(attitude.samples, gps_ms=gps_ms),
        solution=replace(attitude.solution, gps_ms=gps_ms),
        smoothed=replace(attitude.smoothed, gps_ms=gps_ms),
    )


FEW = attitude_samples.clean(3, begin_ms=samples.BEGIN_MS)
MANY = attitude_samples.clean(100, begin_ms=samples.BEGIN_MS)
ATTITUDES = {
    "one sample": attitude_samples.clean(1, begin_ms=samples.BEGIN_MS),
    "three samples": FEW,
    "samples of one time": with_times(np.full(5, samples.BEGIN_MS)),
    "samples without times": with_times(np.full(5, -1)),
    "samples of another year": with_times(samples.BEGIN_MS + np.arange(5) * 40_000_000_000),
    "no attitude": attitude_samples.without_attitude(MANY),
    "no attitude of three": attitude_samples.without_attitude(FEW),
    "no truth": replace(MANY, truth=None, bound=None),
    "truth of another time": replace(MANY, truth=attitude_samples.nowhere(100)),
    "filter without smoother": replace(MANY, smoothed=attitude_samples.without_attitude(MANY).smoothed),
    "always in shadow": replace(MANY, samples=replace(MANY.samples, sunlit_fraction=np.zeros(100))),
}


ORBITS = {
    "no record": samples.clean(0),
    "nothing at all": replace(samples.clean(0), sources=(), counts={}, truth=None, smoothed=None, batch=None),
    "one record": samples.clean(1),
    "two records": samples.clean(2),
    "one time": samples.clean(3, step_ms=0),
    "all rejected": samples.without_orbit(samples.clean(20)),
    "one rejected": replace(samples.without_orbit(samples.clean(1)), truth=None),
    "filter only": replace(samples.clean(20), smoothed=None, batch=None),
    "filter only without truth": replace(samples.clean(20), smoothed=None, batch=None, truth=None),
    "truth of another time": replace(samples.clean(20), truth=samples.CircularTruth(span_gps_ms=(0, 1))),
    "days": samples.clean(30, step_ms=3_600_000),
}


# A page takes two seconds, and figures of orbit and attitude are independent, so each page has one case of both.
@pytest.mark.slow
@pytest.mark.parametrize(
    "result",
    [replace(orbit, attitude=attitude) for orbit, attitude in zip(ORBITS.values(), ATTITUDES.values(), strict=True)],
    ids=[f"{orbit}, {attitude}" for orbit, attitude in zip(ORBITS, ATTITUDES, strict=True)],
)
def test_every_kind_of_replay_gives_a_page(result: ReplayResult) -> None:
    page = Page(render_report(result))
    assert "Replay report" in page.text
    assert "nan" not in page.text.split()


def test_rows_without_numbers_are_omitted() -> None:
    result = samples.clean(40)
    for column in (
        result.solution.position_ecef_m,
        result.solution.covariance_ecef,
        result.fixes.position.values,
    ):
        column[10:20] = np.nan
    assert result.smoothed is not None
    result.smoothed.position_ecef_m[:] = np.nan
    text = Page(render_report(result)).text
    assert "nan" not in text.split()
    assert "No estimate" not in text


@pytest.mark.slow
def test_twelve_hours_stay_below_three_megabytes() -> None:
    assert len(render_report(samples.troubled(1728)).encode()) < 3_000_000
