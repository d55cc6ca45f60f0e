"""The page: complete, self-contained, safe against text from the input, equal for equal results."""

from pathlib import Path

import msgspec
import polars as pl
import pytest
from matplotlib.figure import Figure

import pygnc
from pygnc_ground.campaign import figures
from pygnc_ground.campaign.report import write_report
from pygnc_ground.campaign.statistics import ESTIMATORS
from tests.pygnc_ground.campaign.samples import drawn_tables
from tests.pygnc_ground.report.page import Page

NOISE = "scenario.gps.position_noise_m"
HOSTILE = "<script>alert(1)</script>"


def write_results(folder: Path, changes: dict[str, object], factor: float = 1.0) -> Path:
    campaign, tables = drawn_tables(**changes)
    folder.mkdir()
    content = {"version": pygnc.__version__, "campaign": campaign}
    (folder / "campaign.json").write_bytes(msgspec.json.encode(content))
    tables["runs"] = tables["runs"].with_columns(pl.col("orbit_filter_error_m") * factor)
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    return folder


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("report")
    changes: dict[str, object] = {"title": HOSTILE, "repetitions": 12, "grid": {NOISE: [5.0, 10.0]}}
    ours, theirs = write_results(folder / "a b", changes), write_results(folder / "other", changes, 0.5)
    write_report(ours, folder / "report.html", theirs)
    write_report(ours, folder / "again.html", theirs)
    text = (folder / "report.html").read_text()
    assert (folder / "again.html").read_text() == text
    return text


def test_it_has_all_sections_and_figures(page: str) -> None:
    parsed = Page(page)
    assert len(parsed.titles()) == 6
    ids = [value for _, name, value in parsed.attributes if name == "id"]
    assert len({*ids}) == len(ids)
    links = {value.removeprefix("#") for tag, name, value in parsed.attributes if (tag, name) == ("a", "href")}
    assert links <= {*ids}


def test_it_names_failures_and_worst_runs_with_the_command_that_repeats_them(page: str) -> None:
    text = Page(page).text
    assert "1 run failed" in text
    assert "ValueError: <b>no</b> fix" in text
    assert "pygnc campaign rerun '" in text
    assert "a b' 3" in text


def test_the_comparison_has_a_verdict(page: str) -> None:
    text = Page(page).text
    assert "orbit filter: worse by 100 %" in text
    assert "not distinguishable" in text


def test_it_needs_nothing_from_outside_and_runs_no_script(page: str) -> None:
    parsed = Page(page)
    assert parsed.tags["script"] == parsed.tags["link"] == parsed.tags["img"] == 0
    assert HOSTILE not in page
    assert "http" not in page.replace("http://www.w3.org/", "").replace("http-equiv", "")


def test_a_single_time_bin_is_drawn_as_points() -> None:
    bins = pl.DataFrame({"hours": [0.1], "runs": [3], "error": [2.0], "sigma": [1.0], "bound": [None]})
    drawing = figures.over_time([(ESTIMATORS[0], bins)])
    assert isinstance(drawing, Figure)
    assert {line.get_marker() for line in drawing.axes[0].lines} == {"o"}


def test_a_campaign_without_bounds_draws_or_results_of_some_kind_has_a_report(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "c", {"repetitions": 4})
    runs = pl.read_parquet(folder / "runs.parquet")
    unknown = [name for name in runs.columns if "bound" in name or name.startswith("attitude")]
    runs.with_columns(pl.lit(None, pl.Float64).alias(name) for name in unknown).write_parquet(folder / "runs.parquet")
    write_report(folder, tmp_path / "report.html")
    assert "No run has a bound" in Page((tmp_path / "report.html").read_text()).text
    runs.with_columns(status=pl.lit("failed")).write_parquet(folder / "runs.parquet")
    write_report(folder, tmp_path / "report.html")


def test_formations_that_are_wrong_or_missing_are_findings(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "c", {"repetitions": 4})
    runs = pl.read_parquet(folder / "runs.parquet")
    counts = {"batch_partners": 3.0, "batch_silent": 1.0, "batch_missing": 0.0, "batch_error_m": 2.0}
    counts |= {"filter_partners": 3.0, "filter_silent": 0.0, "filter_error_m": 2.0, "filter_beyond_s": 720.0}
    formation = {f"formation_{name}": pl.lit(value) for name, value in counts.items()}
    runs.with_columns(**formation).write_parquet(folder / "runs.parquet")
    write_report(folder, tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text()).text
    assert "The formation batch gave 4 of 12 partners a wrong orbit" in text
    assert "The formation filter gave 0 of 12 partners" in text
    assert "In 4 runs an orbit of the formation filter that was reported as certain was not within" in text
    assert "no hypothesis" not in text
    missing = runs.with_columns(**formation | {"formation_batch_missing": pl.lit(1.0)})
    missing.write_parquet(folder / "runs.parquet")
    write_report(folder, tmp_path / "report.html")
    assert "For 4 partners no hypothesis" in Page((tmp_path / "report.html").read_text()).text


def test_predictions_have_a_section_and_a_finding(tmp_path: Path) -> None:
    folder = write_results(tmp_path / "c", {"repetitions": 4})
    bins = pl.read_parquet(folder / "bins.parquet")
    begins = bins["begin_s"].unique().sort().to_list()
    ahead = pl.col("begin_s").replace_strict(dict(zip(begins, (86400.0, 259200.0), strict=True)))
    predicted = bins.filter(pl.col("estimator") == "orbit filter").with_columns(
        estimator=pl.lit("orbit prediction"), begin_s=ahead, error_rms=3.0 * pl.col("sigma_rms")
    )
    pl.concat([bins, predicted]).write_parquet(folder / "bins.parquet")
    write_report(folder, tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text()).text
    assert "0 % of the predictions over 24 h are within" in text
    assert "In the ellipsoid" in text
