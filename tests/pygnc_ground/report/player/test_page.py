"""The player in a real browser, opened from a file."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import ArrayLike
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from pygnc.common.clock import unix_ms_from_gps_ms
from pygnc.environment.sun_moon import SunMoon
from pygnc_ground.report.html import render_report
from pygnc_ground.report.player.page import MISSING_LIBRARIES, PlayerPage
from pygnc_ground.report.player.recording import Recording
from pygnc_ground.report.player.scripts import page_scripts
from pygnc_ground.report.replay import Replay
from scripts.build_frontend import build_frontend
from tests.fakes.browser import chromium
from tests.programs import needs
from tests.pygnc_ground.report import samples
from tests.pygnc_ground.report.player.made import recording_of, short_replay

HOSTILE = "</script><script>document.title = 'hurt'</script><img src=x onerror=\"document.title = 'hurt'\">"
PATIENCE_S = 60.0

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),
    needs("chromium", "chromedriver", "npm"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile"), "--enable-unsafe-swiftshader") as driver:
        yield driver


@pytest.fixture(scope="module")
def replay(tmp_path_factory: pytest.TempPathFactory) -> Replay:
    return short_replay(tmp_path_factory.mktemp("replay"))


@pytest.fixture(scope="module")
def recording(replay: Replay, tmp_path_factory: pytest.TempPathFactory) -> Recording:
    build_frontend()
    page_scripts.cache_clear()
    return recording_of(replay, tmp_path_factory.mktemp("tables"))


@pytest.fixture(scope="module")
def report(recording: Recording, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(recording, tmp_path_factory.mktemp("report"))


def written(recording: Recording, folder: Path) -> Path:
    player = PlayerPage.of(recording)
    assert player is not None
    path = folder / "report.html"
    path.write_text(render_report(samples.clean(5), player), encoding="utf-8")
    return path


def opened(browser: Chrome, report: Path, fragment: str = "") -> Chrome:
    browser.get("about:blank")
    browser.get_log("browser")  # type: ignore[no-untyped-call]
    browser.get(f"{report.as_uri()}{fragment}")
    state = "return document.getElementById('player').dataset.state"
    WebDriverWait(browser, PATIENCE_S).until(lambda page: page.execute_script(state) != "loading")
    return browser


def time_of(page: Chrome) -> float:
    return float(page.execute_script("return player.cursor.time"))


def press(page: Chrome, *keys: str) -> None:
    page.execute_script("document.getElementById('player').focus()")
    ActionChains(page).send_keys(*keys).perform()


def require_no_errors(page: Chrome) -> None:
    entries = page.get_log("browser")  # type: ignore[no-untyped-call]
    assert not [entry["message"] for entry in entries if entry["level"] == "SEVERE"]


def test_it_opens_from_a_file_draws_and_reports_no_error(browser: Chrome, report: Path) -> None:
    page = opened(browser, report)
    assert page.execute_script("return document.getElementById('player').dataset.state") == "ready"
    assert page.execute_script("return Object.keys(player.views)") == ["globe", "body", "formation"]
    WebDriverWait(page, PATIENCE_S).until(lambda now: now.execute_script("return player.frames") > 0)
    assert page.find_elements(By.CSS_SELECTOR, ".plot canvas")
    assert page.execute_script("return performance.getEntriesByType('resource').length") == 0
    require_no_errors(page)


def degrees_between(one: ArrayLike, other: ArrayLike) -> float:
    a, b = np.asarray(one, dtype=float), np.asarray(other, dtype=float)
    return float(np.degrees(np.arccos(a @ b / np.linalg.norm(a) / np.linalg.norm(b))))


def test_earth_and_sun_are_where_the_flight_software_has_them(browser: Chrome, report: Path, replay: Replay) -> None:
    page = opened(browser, report)
    solution = replay.result.solution
    row = int(np.flatnonzero(solution.known)[-1])
    gps_ms = int(solution.gps_ms[row])
    place = "new THREE.Vector3(...arguments[1]).applyMatrix4(player.motion.gcrfFromItrf(arguments[0])).toArray()"
    fixed = solution.position_ecef_m[row].tolist()
    inertial = page.execute_script(f"return {place}", unix_ms_from_gps_ms(gps_ms), fixed)
    assert degrees_between(inertial, solution.position_gcrf_m[row]) < 0.25
    sun = page.execute_script("return player.motion.sun(arguments[0]).toArray()", unix_ms_from_gps_ms(gps_ms))
    assert degrees_between(sun, SunMoon().at(gps_ms)[0]) < 0.05


def test_it_plays_steps_and_scrubs_by_keys(browser: Chrome, report: Path, recording: Recording) -> None:
    page = opened(browser, report)
    begin, end = recording.about["span"]
    press(page, Keys.HOME)
    assert time_of(page) == begin
    press(page, Keys.ARROW_RIGHT)
    assert begin < time_of(page) <= begin + 25_000
    press(page, Keys.ARROW_LEFT)
    assert time_of(page) == begin
    press(page, " ")
    WebDriverWait(page, PATIENCE_S).until(lambda now: time_of(now) > begin + 1000)
    press(page, " ")
    assert page.execute_script("return player.cursor.isPlaying") is False
    press(page, Keys.END)
    assert time_of(page) == end
    slider = page.find_element(By.CSS_SELECTOR, ".timeline input")
    ActionChains(page).move_to_element(slider).click().perform()
    assert time_of(page) == pytest.approx((begin + end) / 2, abs=0.02 * (end - begin))
    assert page.find_element(By.CSS_SELECTOR, ".clock").text.endswith("UTC")
    require_no_errors(page)


def test_the_speeds_are_from_1_to_1000(browser: Chrome, report: Path) -> None:
    page = opened(browser, report)
    press(page, *("," * 12))
    assert page.execute_script("return player.cursor.speed") == 1
    press(page, *("." * 12))
    assert page.execute_script("return player.cursor.speed") == 1000


def test_the_address_opens_the_same_moment_and_view(browser: Chrome, report: Path) -> None:
    page = opened(browser, report, "#t=2025-03-20T00:10:30.000Z&x=20&globe=1.00,0.50,5.00&formation=1.00,0.50,3.00")
    assert page.execute_script("return new Date(player.cursor.time).toISOString()") == "2025-03-20T00:10:30.000Z"
    assert page.execute_script("return player.cursor.speed") == 20
    assert page.execute_script("return player.views.globe.distance") == 5
    assert page.execute_script("return player.views.formation.distance") == 3
    assert "partner 75" in page.find_element(By.CSS_SELECTOR, "[data-part='states']").text
    press(page, "+")
    WebDriverWait(page, PATIENCE_S).until(lambda now: "span=" in now.current_url)
    address = page.current_url
    again = opened(page, report, address[address.index("#") :])
    assert re.sub(r".*#", "", again.current_url) == re.sub(r".*#", "", address)
    assert again.execute_script("return player.span !== null")


def test_text_of_a_recording_is_no_markup(browser: Chrome, recording: Recording, tmp_path: Path) -> None:
    about = recording.about | {
        "damaged": [HOSTILE],
        "events": [{"time": recording.about["span"][0], "level": "alarm", "text": HOSTILE}],
        "plots": [
            {
                "title": HOSTILE,
                "plots": [one | {"title": HOSTILE, "unit": HOSTILE} for one in recording.about["plots"][0]["plots"]],
            }
        ],
    }
    attitude = recording.tables["attitude"]
    mode = attitude["mode"]._replace(texts=tuple(HOSTILE for _ in attitude["mode"].texts))
    tables = recording.tables | {"attitude": attitude | {"mode": mode}}
    page = opened(browser, written(Recording(tables, about), tmp_path))
    assert page.title.startswith("Replay of spacecraft")
    assert HOSTILE in page.find_element(By.CSS_SELECTOR, "[data-part='note']").text
    assert HOSTILE in page.find_element(By.CSS_SELECTOR, "[data-part='events']").text
    assert not page.find_elements(By.CSS_SELECTOR, "img")
    require_no_errors(page)


@pytest.mark.parametrize("missing", ["orbit", "attitude", "truth", "all"])
def test_what_a_recording_has_is_shown(browser: Chrome, recording: Recording, tmp_path: Path, missing: str) -> None:
    gone = {"orbit", "attitude", "truth"} if missing == "all" else {missing}
    tables = {name: of for name, of in recording.tables.items() if name not in gone}
    groups = [
        group | {"plots": [plot for plot in group["plots"] if plot["table"] not in gone]}
        for group in recording.about["plots"]
    ]
    page = opened(browser, written(Recording(tables, recording.about | {"plots": groups}), tmp_path))
    assert page.execute_script("return document.getElementById('player').dataset.state") == "ready"
    shown = {"globe": "orbit", "body": "attitude"}
    views = page.execute_script("return Object.keys(player.views)")
    assert views == [*(view for view, table in shown.items() if table not in gone), "formation"]
    press(page, Keys.END)
    require_no_errors(page)


def test_without_any_time_the_page_says_that_there_is_nothing_to_play(browser: Chrome, tmp_path: Path) -> None:
    page = opened(browser, written(Recording({}, {"span": None}), tmp_path))
    assert "nothing to play" in page.find_element(By.CSS_SELECTOR, "[data-part='note']").text
    require_no_errors(page)


def test_a_phone_shows_the_whole_width(browser: Chrome, report: Path) -> None:
    metrics = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        page = opened(browser, report)
        assert page.execute_script("return document.getElementById('player').scrollWidth") <= 360
        assert page.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_without_libraries_the_report_is_complete_and_has_no_player(
    recording: Recording, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> Path:
        raise FileNotFoundError(name)

    page_scripts.cache_clear()
    monkeypatch.setattr("pygnc_ground.report.player.scripts.data_file", missing)
    try:
        assert PlayerPage.of(recording) is None
    finally:
        page_scripts.cache_clear()
    assert "make frontend" in MISSING_LIBRARIES
    assert 'id="player"' not in render_report(samples.clean(5))
    assert list(tmp_path.iterdir()) == []


def test_partners_are_drawn_apart_from_the_satellite_and_counters_stand_below(browser: Chrome, report: Path) -> None:
    page = opened(browser, report, "#t=2025-03-20T00:10:30.000Z")
    apart = page.execute_script(
        "const { globe } = player.views; player.draw();"
        "const shown = globe.partners.filter(({ dot }) => dot.visible);"
        "return shown.map(({ dot }) => dot.position.distanceTo(globe.satellite.position));"
    )
    assert len(apart) == 2
    assert 0.05 < min(apart) < max(apart) < 0.4  # of the Earth's radius
    axes = "return player.motion.axes(player.cursor.end).determinant()"
    assert page.execute_script(axes) == pytest.approx(1.0)
    assert re.match(r"Orbit; distances to partners ×\d+", page.find_element(By.CSS_SELECTOR, ".title").text)
    counters = page.find_element(By.CSS_SELECTOR, "[data-part='counters']")
    assert re.search(r"[a-z]+ ?\n?\d+", str(counters.get_attribute("textContent")))
    require_no_errors(page)
