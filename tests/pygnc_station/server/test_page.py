import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote

import httpx
import numpy as np
import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.actions.wheel_input import ScrollOrigin
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import Select, WebDriverWait
from sqlalchemy import delete, update

from pygnc_station.server.access import new_token
from pygnc_station.server.fleet import store_state
from pygnc_station.server_settings import Calibration, GadgetSettings, Public
from pygnc_station.settings_types import Location
from pygnc_station.station_state import StationState
from pygnc_station.store import schema
from pygnc_station.store.hourly import update_hours
from pygnc_station.store.readings import HOUR_MS, Column, Layout, NewReading, clock_ms
from pygnc_station.store.store import Store
from scripts.build_frontend import build_frontend
from tests.fakes.batonopc import Station, batch_of, csv_of, log, rows_of
from tests.fakes.browser import chromium, picture
from tests.programs import needs
from tests.pygnc_station.logger.samples import store_sentence
from tests.pygnc_station.server.samples import Running, server
from tests.pygnc_station.store.samples import LAYOUT, new

pytestmark = [pytest.mark.slow, needs("chromium", "chromedriver", "npm"), pytest.mark.xdist_group("page")]
HISTOGRAM = Layout("histogram", (Column("pm_2_5_ug_m3", "µg/m³"), Column("humidity_percent", "%")))
CELLS = Layout("BV2 cells 0-7", tuple(Column(f"cell_{rank}_voltage_v", "V") for rank in range(8)))
DAYS = 40
HOSTILE = "<img src=x onerror=alert(1)>"
GADGETS = {
    "OPC_1": GadgetSettings(
        Location(53.35, -6.26), time_zone="America/New_York", calibration={"pm_2_5_ug_m3": Calibration(gain=2.0)}
    ),
    "OPC_2": GadgetSettings(Location(53.36, -6.20), kappa=0.0),
}


@pytest.fixture(scope="module")
def chrome(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    build_frontend()
    with chromium(tmp_path_factory.mktemp("browser") / "profile", "--window-size=1100,900") as driver:
        yield driver


@pytest.fixture
def browser(chrome: Chrome) -> Iterator[Chrome]:
    """Browser with an empty page, in the light scheme and as wide as a desktop, that all tests share."""
    chrome.get("about:blank")
    # What other tests caused is discarded.
    chrome.get_log("browser")  # type: ignore[no-untyped-call]
    yield chrome
    chrome.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})


def open_page(browser: Chrome, url: str) -> None:
    browser.get(url)
    wait_for(browser, lambda: browser.execute_script("return document.body.dataset.ready"))


def wait_for(browser: Chrome, condition: Callable[[], object]) -> None:
    WebDriverWait(browser, 30).until(lambda _: condition())


def points(browser: Chrome) -> int:
    return int(browser.find_element(By.ID, "chart").get_attribute("data-points") or 0)


def rows(browser: Chrome, table: str) -> list[str]:
    script = "return [...document.querySelectorAll(arguments[0])].map(row => row.innerText)"
    found: list[str] = browser.execute_script(script, f"#{table} tbody tr")
    return [" ".join(text.split()) for text in found]


def names(browser: Chrome) -> list[str]:
    return [each.text for each in browser.find_elements(By.CSS_SELECTOR, "#gadgets .name")]


def text_of(browser: Chrome, id_: str) -> str:
    return " ".join(browser.find_element(By.ID, id_).text.split())


def options(browser: Chrome, id_: str, group: str) -> list[str]:
    found = browser.find_elements(By.CSS_SELECTOR, f"#{id_} optgroup[label={group}] option")
    return [str(each.get_attribute("textContent")) for each in found]


def span_s(browser: Chrome) -> float:
    """Length of the span of the plot in seconds, from its address."""
    span = browser.execute_script(
        "const kept = new URLSearchParams(location.hash.slice(1)); return kept.get('to') - kept.get('from')"
    )
    return float(span) / 1000


def button(browser: Chrome, selector: str) -> WebElement:
    return browser.find_element(By.CSS_SELECTOR, selector)


def click(browser: Chrome, selector: str) -> None:
    browser.execute_script("arguments[0].click()", button(browser, selector))


def assert_no_errors(browser: Chrome, url: str) -> None:
    """Check that the browser reports no error or violated policy, and loaded nothing from other hosts."""
    told = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert [entry for entry in told if entry["level"] == "SEVERE"] == []
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map(entry => entry.name)")
    assert loaded
    assert [each for each in loaded if not each.startswith(url)] == []


def set_width(browser: Chrome, width: int) -> None:
    size = {"width": width, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def fill(store: Store, gadget: str, layout: Layout, values: list[list[Any]], *, last_ms: int, step_ms: int) -> None:
    store.append(
        store.stream(gadget, layout, family="opc_n3"),
        [
            NewReading(last_ms - (len(values) - 1 - rank) * step_ms, 0, 0, "", json.dumps(each), None)
            for rank, each in enumerate(values)
        ],
    )


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Server with two particle counters on the map, an old one, a battery, and a gadget with a hostile name."""
    with server(tmp_path_factory.mktemp("fleet"), gadgets=GADGETS) as there:
        now_ms = clock_ms()
        count = DAYS * 24 * 2
        fill(
            there.store,
            "OPC_1",
            HISTOGRAM,
            [[13.0 + rank % 5, 50.0] for rank in range(count)],
            last_ms=now_ms,
            step_ms=HOUR_MS // 2,
        )
        fill(there.store, "OPC_2", HISTOGRAM, [[60.0, 0.0]] * count, last_ms=now_ms, step_ms=HOUR_MS // 2)
        fill(there.store, "OPC_10", HISTOGRAM, [[1.0, 0.0]] * 3, last_ms=now_ms - 5 * 24 * HOUR_MS, step_ms=HOUR_MS)
        fill(there.store, "pack", CELLS, [[3.3 + rank / 10 for rank in range(8)]] * 5, last_ms=now_ms, step_ms=60_000)
        fill(
            there.store,
            HOSTILE,
            Layout(HOSTILE, (Column(HOSTILE, HOSTILE),)),
            [[4]] * 3,
            last_ms=now_ms,
            step_ms=60_000,
        )
        for rank, name in enumerate(("roof", "cellar"), 1):
            there.new_key(name)
            with there.store.writes() as connection:
                owned = update(schema.devices).where(schema.devices.c.gadget_id == f"OPC_{rank}")
                connection.execute(owned.values(gateway_id=rank))
        with there.store.writes() as connection:
            store_state(connection, 1, StationState(now_ms + 1500, version="9.9", backlog_readings=77), now_ms)
            silent = update(schema.gateways).where(schema.gateways.c.id == 2)
            connection.execute(silent.values(created_ms=now_ms - 5 * HOUR_MS, seen_ms=now_ms - 4 * HOUR_MS))
        update_hours(there.store)
        yield there


def test_the_page_lists_gadgets_and_gateways_with_their_state(fleet: Running, browser: Chrome) -> None:
    open_page(browser, fleet.url)
    assert text_of(browser, "state") == "5 gadgets, 2 gateways, 1 silent"
    assert names(browser) == [HOSTILE, "OPC_1", "OPC_2", "OPC_10", "pack"]  # numbers are ordered as numbers
    by_name = {row.split()[0]: row for row in rows(browser, "gadgets")}
    assert "PM2.5 26.2 (17) µg/m³" in by_name["OPC_1"]  # 17 / 1.3 * 2 = 26.15
    assert by_name["OPC_2"].endswith("cellar")
    assert "5 days ago" in by_name["OPC_10"]
    first, second = rows(browser, "gateways")
    assert first.startswith("cellar silent 4 h ago")
    assert second.startswith("roof fine")
    assert "77 +1.5 s" in second
    assert "9.9" in second
    assert_no_errors(browser, fleet.url)


def test_a_reading_ahead_of_the_clock_is_not_shown_as_new(tmp_path: Path, browser: Chrome) -> None:
    with server(tmp_path) as there:
        fill(there.store, "OPC_1", HISTOGRAM, [[1.0, 0.0]], last_ms=clock_ms() + 300 * 24 * HOUR_MS, step_ms=HOUR_MS)
        open_page(browser, there.url)
        assert "300 days ahead" in rows(browser, "gadgets")[0]


def test_a_page_without_readings_becomes_the_sign_in_page_when_its_token_ends(tmp_path: Path, browser: Chrome) -> None:
    with server(tmp_path / "server", open=False) as there:
        token = new_token(there.store, "me", clock_ms(), may_write=False)
        browser.get(f"{there.url}/?api-key={token}")
        wait_for(browser, lambda: text_of(browser, "state") == "No readings yet.")
        assert "Then set up a station by pygnc station init" in text_of(browser, "welcome")
        shown = [card.get_attribute("id") for card in browser.find_elements(By.CSS_SELECTOR, "main > .card")]
        assert [id_ for id_ in shown if id_ and browser.find_element(By.ID, id_).is_displayed()] == ["welcome"]
        with there.store.writes() as connection:
            connection.execute(delete(schema.tokens))
        browser.execute_script("document.getElementById('index').dispatchEvent(new Event('change'))")
        wait_for(browser, lambda: browser.title == "Stations: sign in")


def test_text_from_data_never_becomes_markup(fleet: Running, browser: Chrome) -> None:
    open_page(browser, f"{fleet.url}/#gadget={quote(HOSTILE)}")
    assert browser.find_elements(By.TAG_NAME, "img") == []
    assert HOSTILE in text_of(browser, "details")
    assert HOSTILE in text_of(browser, "chosen")
    assert points(browser) == 3
    assert_no_errors(browser, fleet.url)


def test_gadgets_are_sorted_and_searched(fleet: Running, browser: Chrome) -> None:
    open_page(browser, fleet.url)
    heading = "#gadgets th:nth-child(4)"
    click(browser, f"{heading} button")
    assert button(browser, heading).get_attribute("aria-sort") == "descending"
    assert names(browser)[:2] == ["OPC_2", "OPC_1"]
    click(browser, f"{heading} button")
    assert names(browser)[:2] == ["OPC_1", "OPC_2"]  # gadgets without an index stay at the end
    browser.find_element(By.ID, "search").send_keys("opc roof")
    assert names(browser) == ["OPC_1"]
    assert text_of(browser, "gadget-count") == "1 of 5"
    assert len(browser.find_elements(By.CSS_SELECTOR, "#map .dim")) == 1


def test_the_map_shows_places_with_air_quality(fleet: Running, browser: Chrome) -> None:
    open_page(browser, fleet.url)
    wait_for(browser, lambda: button(browser, "#map path").get_attribute("d"))
    markers = browser.find_elements(By.CSS_SELECTOR, "#map .place")
    labels = {each.get_attribute("aria-label") for each in markers}
    assert len(markers) == 2
    assert any("OPC_2: AQI 154, Unhealthy" in str(each) for each in labels)  # 49 / 69.9 * 4.5 + 151 = 154.2
    marker = next(each for each in markers if "OPC_2" in str(each.get_attribute("aria-label")))
    marker.send_keys(Keys.ENTER)
    wait_for(browser, lambda: text_of(browser, "chosen") == "OPC_2 ×")
    west = [str(each.get_attribute("transform")) for each in browser.find_elements(By.CSS_SELECTOR, "#map .place")]
    browser.find_element(By.ID, "map").send_keys(Keys.ARROW_RIGHT)
    east = [str(each.get_attribute("transform")) for each in browser.find_elements(By.CSS_SELECTOR, "#map .place")]
    assert west != east
    assert_no_errors(browser, fleet.url)


def test_overlapping_markers_are_a_cluster_that_a_click_enlarges(tmp_path: Path, browser: Chrome) -> None:
    gadgets = {f"OPC_{rank}": GadgetSettings(Location(53.35 + rank / 1000, -6.26)) for rank in range(5)}
    gadgets |= {"far": GadgetSettings(Location(51.9, -8.5)), "near": GadgetSettings(Location(52.0, -8.4))}
    with server(tmp_path / "server", gadgets=gadgets) as there:
        now_ms = clock_ms()
        for rank, name in enumerate(gadgets):
            last_ms = now_ms - (3 * HOUR_MS if name == "near" else 0)
            fill(there.store, name, HISTOGRAM, [[10.0 * (rank + 1), 0.0]] * 30, last_ms=last_ms, step_ms=HOUR_MS)
        update_hours(there.store)
        open_page(browser, f"{there.url}/#gadget=far")
        clusters = browser.find_elements(By.CSS_SELECTOR, "#map .cluster")
        assert [each.text for each in clusters] == ["5"]
        assert str(clusters[0].get_attribute("aria-label")).startswith("5 gadgets; the highest index has OPC_4: AQI 13")
        clusters[0].send_keys(Keys.ENTER)
        assert browser.find_elements(By.CSS_SELECTOR, "#map .cluster") == []
        click(browser, "#zoom-all")
        filter_by(browser, "least", "100")  # 40 µg/m³ and more
        assert len(markers(browser)) == 3  # "near" has no index
        filter_by(browser, "most", "150")
        assert len(markers(browser)) == 2
        filter_by(browser, "least", "")
        filter_by(browser, "most", "")
        assert any("near" in each for each in markers(browser))
        Select(browser.find_element(By.ID, "within")).select_by_value("3600000")
        assert not any("near" in each for each in markers(browser))
        height = button(browser, "#map").rect["height"]
        click(browser, "#enlarge")
        assert button(browser, "#map").rect["height"] > 1.5 * height
        assert_no_errors(browser, there.url)


def markers(browser: Chrome) -> list[str]:
    return [str(each.get_attribute("aria-label")) for each in browser.find_elements(By.CSS_SELECTOR, "#map .place")]


def filter_by(browser: Chrome, id_: str, value: str) -> None:
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('input', { bubbles: true }))"
    browser.execute_script(script, browser.find_element(By.ID, id_), value)


def test_tiles_come_only_from_the_server_that_the_operator_names(tmp_path: Path, browser: Chrome) -> None:
    asked: list[str] = []

    class Tiles(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            picture = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect width="9" height="9"/></svg>'
            self.send_response(200)
            self.send_header("content-type", "image/svg+xml")
            self.end_headers()
            self.wfile.write(picture)

        def log_message(self, *_: object) -> None:
            pass

    gadgets = {"OPC_1": GadgetSettings(Location(53.35, -6.26))}
    with ThreadingHTTPServer(("127.0.0.1", 0), Tiles) as tiles:
        threading.Thread(target=tiles.serve_forever, daemon=True).start()
        origin = f"http://127.0.0.1:{tiles.server_port}"
        named: dict[str, Any] = {"tiles": f"{origin}/{{z}}/{{x}}/{{y}}.svg", "tiles_source": HOSTILE}
        with server(tmp_path / "server", gadgets=gadgets, **named) as there:
            fill(there.store, "OPC_1", HISTOGRAM, [[1.0, 0.0]], last_ms=clock_ms(), step_ms=HOUR_MS)
            open_page(browser, there.url)
            wait_for(browser, lambda: asked)
            assert button(browser, "#map .source").text == HOSTILE
            assert f"img-src 'self' {origin};" in httpx.get(there.url).headers["content-security-policy"]
            told = browser.get_log("browser")  # type: ignore[no-untyped-call]
            assert [entry for entry in told if entry["level"] == "SEVERE"] == []
        tiles.shutdown()
    zoom, column, row = re.fullmatch(r"/(\d+)/(\d+)/(\d+)\.svg", asked[0]).groups()  # type: ignore[union-attr]
    count = 2 ** int(zoom)
    assert int(column) / count * 360 - 180 == pytest.approx(-6.26, abs=3 * 360 / count)
    assert 0 <= int(row) < count


def test_time_spans_forms_and_corrections_of_a_plot(fleet: Running, browser: Chrome) -> None:
    open_page(browser, f"{fleet.url}/#gadget=OPC_1")
    assert points(browser) == 2 * 48  # stored and corrected readings of a day
    assert rows(browser, "legend")[0].startswith("OPC_1, stored 15.")
    click(browser, "[data-range=month]")
    wait_for(browser, lambda: points(browser) > 1400)
    assert "means of 1 h" in text_of(browser, "caption")
    Select(browser.find_element(By.ID, "correction")).select_by_value("stored")
    wait_for(browser, lambda: 740 <= points(browser) <= 745)
    assert "lowest and highest" in text_of(browser, "caption")
    click(browser, "[data-range=year]")
    wait_for(browser, lambda: DAYS <= points(browser) <= DAYS + 1)
    assert "means of 24 h" in text_of(browser, "caption")
    Select(browser.find_element(By.ID, "form")).select_by_value("raw")
    wait_for(browser, lambda: 1000 < points(browser) <= 1200)
    click(browser, "[data-range=custom]")
    script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))"
    day_ms = clock_ms() // (24 * HOUR_MS) * 24 * HOUR_MS
    for id_, t_ms in (("from", day_ms - 72 * HOUR_MS), ("to", day_ms - 48 * HOUR_MS)):
        text = browser.execute_script("return new Date(arguments[0]).toISOString().slice(0, 16)", t_ms)
        browser.execute_script(script, browser.find_element(By.ID, id_), text)
    wait_for(browser, lambda: points(browser) == 48)
    # The address contains the choices and restores them.
    browser.refresh()
    wait_for(browser, lambda: browser.execute_script("return document.body.dataset.ready"))
    assert points(browser) == 48
    assert button(browser, "[data-range=custom]").get_attribute("aria-pressed") == "true"
    assert_no_errors(browser, fleet.url)


def test_dragging_wheel_and_keys_zoom(fleet: Running, browser: Chrome) -> None:
    open_page(browser, f"{fleet.url}/#gadget=OPC_1&range=month&correction=stored")
    browser.execute_script("document.getElementById('chart').scrollIntoView({ behavior: 'instant', block: 'center' })")
    plot = button(browser, "#chart .u-over")
    width = plot.rect["width"]
    ActionChains(browser).move_to_element_with_offset(plot, -100, 0).click_and_hold().move_by_offset(
        100, 0
    ).release().perform()
    wait_for(browser, lambda: "range=custom" in browser.current_url)
    dragged_s = span_s(browser)
    assert dragged_s == pytest.approx(31 * 86400 * 100 / width, rel=0.03)
    wait_for(browser, lambda: points(browser) == pytest.approx(dragged_s / 3600, abs=2))  # hourly means of the part
    ActionChains(browser).scroll_from_origin(
        ScrollOrigin.from_element(button(browser, "#chart .u-over")), 0, -100
    ).perform()
    wait_for(browser, lambda: span_s(browser) < 0.8 * dragged_s)
    wheeled_s = span_s(browser)
    browser.find_element(By.ID, "chart").send_keys("-")
    wait_for(browser, lambda: span_s(browser) > 1.5 * wheeled_s)
    click(browser, "#later")
    ActionChains(browser).double_click(button(browser, "#chart .u-over")).perform()
    wait_for(browser, lambda: "range=month" in browser.current_url)
    assert_no_errors(browser, fleet.url)


def test_partial_days_and_exceeded_limits_are_shown(fleet: Running, browser: Chrome) -> None:
    open_page(browser, f"{fleet.url}/#gadget=OPC_2&range=year")
    wait_for(browser, lambda: rows(browser, "limits"))
    assert rows(browser, "limits")[0].startswith("WHO 2021: 15 µg/m³, mean of a day, 3 days above allowed")
    assert re.search(r"(39|40) of (39|40) days above, exceeded", rows(browser, "limits")[0])
    assert "three quarters" in text_of(browser, "caption")  # the first and the last day
    click(browser, "[data-range=day]")
    wait_for(browser, lambda: not rows(browser, "limits"))


LIMIT_AT_TOP = """
const [done] = arguments, heights = [], write = CanvasRenderingContext2D.prototype.fillText;
CanvasRenderingContext2D.prototype.fillText = function (text, x, y) {
  if (text === "limit") heights.push(y / devicePixelRatio);
  return write.apply(this, arguments);
};
import("/static/components/plot.js").then(({ LinePlot }) => {
  const lines = [{ label: "a", values: [0, 10] }], limits = [{ level: 10, text: "limit" }];
  const of = { title: "", unit: "1", times: [0, 1000], lines, limits, range: () => [0, 10], height: 200 };
  new LinePlot(document.body, of, {}).show(0, 1000);
  setTimeout(() => done(heights), 300);
});
"""


def test_the_text_of_a_limit_at_the_top_is_not_cut(fleet: Running, browser: Chrome) -> None:
    open_page(browser, fleet.url)
    heights = browser.execute_async_script(LIMIT_AT_TOP)
    assert heights
    assert min(heights) > 11


def test_times_are_in_the_zone_of_the_browser_the_station_or_utc(fleet: Running, browser: Chrome) -> None:
    browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": "Asia/Tokyo"})
    try:
        open_page(browser, f"{fleet.url}/#gadget=OPC_1&range=custom&from=1790000000000&to=1790003600000")
        assert "2026-09-21 23:13:20 Asia/Tokyo to 2026-09-22 00:13:20" in text_of(browser, "caption")
        zone = Select(browser.find_element(By.ID, "zone"))
        assert [each.text for each in zone.options] == [
            "of this browser: Asia/Tokyo", "of the station: America/New_York", "UTC"
        ]  # fmt: skip
        zone.select_by_value("station")
        wait_for(browser, lambda: "2026-09-21 10:13:20 America/New_York" in text_of(browser, "caption"))
        assert browser.find_element(By.ID, "from").get_attribute("value") == "2026-09-21T10:13"
        script = "arguments[0].value = arguments[1]; arguments[0].dispatchEvent(new Event('change'))"
        browser.execute_script(script, browser.find_element(By.ID, "from"), "2026-09-21T10:00")
        wait_for(browser, lambda: "from=1789999200000" in browser.current_url)
        zone.select_by_value("utc")
        wait_for(browser, lambda: "2026-09-21 14:00:00 UTC to" in text_of(browser, "caption"))
    finally:
        browser.execute_cdp_cmd("Emulation.setTimezoneOverride", {"timezoneId": ""})


def test_the_european_index_is_chosen(fleet: Running, browser: Chrome) -> None:
    open_page(browser, f"{fleet.url}/#index=europe")
    by_name = {row.split()[0]: row for row in rows(browser, "gadgets")}
    assert " 4 " in by_name["OPC_2"]  # 60 µg/m³
    assert text_of(browser, "scale") == "Good Fair Moderate Poor Very poor Extremely poor"
    Select(browser.find_element(By.ID, "index")).select_by_value("us")
    wait_for(browser, lambda: "Hazardous" in text_of(browser, "scale"))


def test_few_points_of_each_column_of_pixels_are_drawn(fleet: Running, browser: Chrome) -> None:
    open_page(browser, f"{fleet.url}/")
    script = """
        const done = arguments[arguments.length - 1];
        import("./static/components/plot.js").then(({ decimated }) => {
          const times = Array.from({ length: 100000 }, (_, rank) => rank), values = times.map(rank => rank % 7);
          [values[54321], values[777]] = [99, -9];
          const { at, reduce } = decimated(times, 0, 99999, 1000);
          done([at, reduce(values)]);
        });
    """
    at, values = browser.execute_async_script(script)
    assert len(at) == len(values) == 2 * 1000
    assert at == sorted(at)
    assert max(values) == 99
    assert min(values) == -9


def test_gadgets_are_compared_and_read_by_keyboard(fleet: Running, browser: Chrome) -> None:
    open_page(browser, f"{fleet.url}/#gadget=OPC_1&correction=corrected")
    box = next(
        each
        for each in browser.find_elements(By.CSS_SELECTOR, "#gadgets input")
        if "OPC_2" in str(each.accessible_name)
    )
    box.send_keys(Keys.SPACE)
    wait_for(browser, lambda: len(rows(browser, "legend")) == 2)
    assert [row.split(",")[0] for row in rows(browser, "legend")] == ["OPC_1", "OPC_2 60 60 60 60"]
    assert browser.switch_to.active_element.get_attribute("data-key") == "box OPC_2"
    chart = browser.find_element(By.ID, "chart")
    chart.send_keys(Keys.END)
    spoken = text_of_hidden(browser, "spoken")
    assert "OPC_1, corrected" in spoken
    assert "60 µg/m³" in spoken
    chart.send_keys(Keys.ARROW_LEFT)
    assert text_of_hidden(browser, "spoken") != spoken
    click(browser, "#chosen li:first-child button")
    wait_for(browser, lambda: text_of(browser, "chosen") == "OPC_2 ×")


def text_of_hidden(browser: Chrome, id_: str) -> str:
    text: str = browser.execute_script("return document.getElementById(arguments[0]).textContent", id_)
    return text


def test_all_cells_of_a_battery_are_in_one_plot(fleet: Running, browser: Chrome) -> None:
    open_page(browser, f"{fleet.url}/#gadget=pack&value=cells+voltage_v")
    assert [row[:6] for row in rows(browser, "legend")] == [f"cell {rank}" for rank in range(8)]
    assert points(browser) == 8 * 5


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_and_width_of_a_phone(fleet: Running, browser: Chrome, tmp_path: Path, scheme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    set_width(browser, 360)
    open_page(browser, f"{fleet.url}/#gadget=OPC_1")
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    ratios = browser.execute_script(CONTRAST)
    assert len(ratios) > 20
    assert min(ratios.values()) >= 4.5, ratios
    missing = browser.execute_script(
        "return [...document.querySelectorAll('input, select, button')].filter(each => "
        "!(each.labels && each.labels.length) && !each.ariaLabel && !each.textContent.trim()).map(each => each.id)"
    )
    assert missing == []
    browser.save_screenshot(str(tmp_path / "page.png"))


def test_a_month_of_many_gadgets_has_clusters_alerts_and_limits(tmp_path: Path, browser: Chrome) -> None:
    towns = ((53.35, -6.26), (51.90, -8.47), (52.66, -8.63), (53.27, -9.05), (54.60, -5.93))
    places = {
        f"OPC_{rank + 1}": (towns[rank % 5][0] + 0.01 * (rank // 5), towns[rank % 5][1] + 0.02 * (rank % 3))
        for rank in range(25)
    }
    gadgets = {name: GadgetSettings(Location(*place), time_zone="Europe/Dublin") for name, place in places.items()}
    with server(tmp_path / "server", gadgets=gadgets) as there:
        now_ms, hours, rng = clock_ms(), 31 * 24, np.random.default_rng(37)
        for rank, name in enumerate(gadgets):
            level, phase, slow = rng.uniform((5.0, 0.0, 0.0), (14.0, 0.5, 6.0))
            of_day = 4.0 * np.sin(2.0 * np.pi * np.arange(hours) / 24.0 + phase)
            of_month = 3.0 * np.sin(2.0 * np.pi * np.arange(hours) / hours + slow)
            pm = np.maximum(level + of_day + of_month + rng.normal(0.0, 0.7, hours), 0.2)
            values = [[round(float(each), 2), 60.0] for each in pm]
            age_ms = 6 * 24 * HOUR_MS if rank == 7 else 30_000
            fill(there.store, name, HISTOGRAM, values, last_ms=now_ms - age_ms, step_ms=HOUR_MS)
        for gateway in ("roof", "harbour", "school"):
            there.new_key(gateway)
        with there.store.writes() as connection:
            for rank, name in enumerate(gadgets):
                owned = update(schema.devices).where(schema.devices.c.gadget_id == name)
                connection.execute(owned.values(gateway_id=rank % 3 + 1))
            for number in (1, 2):
                store_state(connection, number, StationState(now_ms, version="0.1.0", backlog_readings=0), now_ms)
            silent = update(schema.gateways).where(schema.gateways.c.id == 3)
            connection.execute(silent.values(created_ms=now_ms - 9 * HOUR_MS, seen_ms=now_ms - 2 * HOUR_MS))
        update_hours(there.store)
        size = {"width": 1262, "height": 1416, "deviceScaleFactor": 1, "mobile": False}
        browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        open_page(browser, f"{there.url}/#gadget=OPC_2&gadget=OPC_5&range=month&correction=corrected")
        wait_for(browser, lambda: button(browser, "#map path").get_attribute("d"))
        assert text_of(browser, "state") == "25 gadgets, 3 gateways, 1 silent"
        clusters = [each.text for each in browser.find_elements(By.CSS_SELECTOR, "#map .place text")]
        assert clusters.count("5") >= 3
        assert points(browser) > 1000
        assert " days above" in text_of(browser, "limits")
        picture(browser, "station_page.png")
        assert_no_errors(browser, there.url)


def test_two_gadgets_at_one_place_are_both_seen(tmp_path: Path, browser: Chrome) -> None:
    gadgets = {f"OPC_{rank}": GadgetSettings(Location(53.35, -6.26)) for rank in range(2)}
    with server(tmp_path / "server", gadgets=gadgets) as there:
        for name in gadgets:
            fill(there.store, name, HISTOGRAM, [[9.0, 0.0]] * 3, last_ms=clock_ms(), step_ms=HOUR_MS)
        open_page(browser, f"{there.url}/#gadget=OPC_0")
        middles = [each.rect["x"] for each in browser.find_elements(By.CSS_SELECTOR, "#map .place circle")]
        assert len(middles) == 2
        assert abs(middles[0] - middles[1]) > 15


def test_the_public_page_is_embedded_and_shows_only_public_gadgets(tmp_path: Path, browser: Chrome) -> None:
    class Site(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(f"<iframe src='{unquote(self.path[1:])}' width=700 height=500></iframe>".encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        origin = f"http://localhost:{site.server_port}"
        public = Public(gadgets=["OPC_1"], frame_ancestors=[origin])
        with server(tmp_path / "server", open=False, public=public) as there:
            for name in ("OPC_1", "OPC_2"):
                fill(there.store, name, HISTOGRAM, [[9.0, 0.0]] * 30, last_ms=clock_ms(), step_ms=HOUR_MS)
            browser.get(f"{origin}/{quote(f'{there.url}/public/#embed=chart&gadget=OPC_1')}")
            browser.switch_to.frame(0)
            wait_for(browser, lambda: browser.execute_script("return document.body?.dataset.ready"))
            assert points(browser) > 20
            assert not browser.find_element(By.ID, "map-card").is_displayed()
            assert browser.find_element(By.ID, "chart-card").is_displayed()
            assert [each.get_attribute("textContent") for each in browser.find_elements(By.CLASS_NAME, "name")] == [
                "OPC_1"
            ]
            told = browser.get_log("browser")  # type: ignore[no-untyped-call]
            assert [entry for entry in told if entry["level"] == "SEVERE"] == []
            browser.get(f"{origin}/{quote(there.url)}")  # the page for operators cannot be embedded
            browser.switch_to.frame(0)
            assert browser.find_elements(By.ID, "state") == []
            open_page(browser, f"{there.url}/public/")
            operators = browser.find_elements(By.ID, "administration") + browser.find_elements(By.ID, "interface")
            assert [each.is_displayed() for each in operators] == [False, False]
            assert "Gateway" not in browser.find_element(By.ID, "gadgets").text
        site.shutdown()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_of_the_interface_shows_all_operations(fleet: Running, browser: Chrome, scheme: str) -> None:
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    set_width(browser, 360)
    open_page(browser, f"{fleet.url}/api/")
    described = httpx.get(f"{fleet.url}/openapi.json").json()["paths"]
    expected = {f"{method.upper()} {path}" for path, methods in described.items() for method in methods}
    assert {each.text for each in browser.find_elements(By.CSS_SELECTOR, ".operation h2 code")} == expected
    assert browser.execute_script("return document.documentElement.scrollWidth") == 360
    assert min(browser.execute_script(CONTRAST).values()) >= 4.5
    browser.find_element(By.ID, "search").send_keys("pm limits")
    assert len([each for each in browser.find_elements(By.CSS_SELECTOR, ".operation h2") if each.is_displayed()]) < 5
    assert_no_errors(browser, fleet.url)


def test_a_missing_library_of_charts_is_explained(tmp_path: Path, browser: Chrome) -> None:
    with server(tmp_path / "server") as there:
        fill(there.store, "OPC_1", HISTOGRAM, [[9.0, 0.0]], last_ms=clock_ms(), step_ms=HOUR_MS)
        browser.execute_cdp_cmd("Network.enable", {})
        browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": ["*uplot.js"]})
        try:
            open_page(browser, there.url)
            assert "run “make frontend”" in text_of(browser, "nothing")
            assert rows(browser, "legend")  # the rest of the page works
        finally:
            browser.execute_cdp_cmd("Network.setBlockedURLs", {"urls": []})


CONTRAST = """
const linear = v => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
const luminance = color => [.2126, .7152, .0722].reduce((sum, weight, i) => sum + weight * linear(color[i] / 255), 0);
const numbers = color => color.match(/[\\d.]+/g).map(Number);
const back = node => {
  for (; node; node = node.parentElement) {
    const found = numbers(getComputedStyle(node).backgroundColor);
    if (found.length < 4 || found[3] > 0) return found;
  }
  return [255, 255, 255];
};
const found = {};
for (const node of document.querySelectorAll("body *:not(svg *):not(option):not(optgroup):not(canvas)")) {
  const own = [...node.childNodes].some(child => child.nodeType === 3 && child.textContent.trim());
  if (!own || !node.offsetParent) continue;
  const [a, b] = [luminance(numbers(getComputedStyle(node).color)), luminance(back(node))];
  const name = `${node.tagName} ${node.className} ${node.textContent.trim().slice(0, 20)}`;
  found[name] = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
}
return found;
"""


def test_the_page_shows_newest_readings_and_plots(tmp_path: Path, browser: Chrome) -> None:
    now_ms = clock_ms()
    columns = (Column("bin_0"), Column("period_s", "s"), Column("temp_degc", "°C"), Column("pm2_5_ug_m3", "µg/m³"))
    layout = Layout("PM", (*columns, Column("note"), Column("a_name_without_any_place_where_it_could_be_broken" * 3)))
    values = [[3, 2.5, 21 + rank / 1000, 12 + rank % 40 / 10, "ok", 1] for rank in range(500)]
    with server(tmp_path / "server") as there:
        fill(there.store, "roof", layout, values, last_ms=now_ms, step_ms=5000)
        there.store.append(there.store.stream("old", LAYOUT), [new(1)])
        open_page(browser, f"{there.url}/?api-key=TOKEN")
        assert browser.current_url.split("#")[0] == f"{there.url}/"  # the token is removed from the address
        wait_for(browser, lambda: points(browser) == 500)
        assert text_of(browser, "chosen") == "roof ×"
        details = rows(browser, "details")
        assert details[:3] == ["PM2.5 13.9 µg/m³", "temp 21.499 °C", "bin 0 3"]
        assert details[-3:] == ["Status", "period 2.5 s", "note ok"]
        assert options(browser, "value", "Status") == ["period (s)"]
        assert "PM2.5 in µg/m³" in text_of(browser, "caption")
        assert text_of(browser, "state") == "2 gadgets"
        set_width(browser, 375)  # nothing is wider than the screen of a phone
        assert browser.execute_script("return document.documentElement.scrollWidth") == 375
        assert_no_errors(browser, there.url)


def test_the_page_shows_readings_of_a_batonopc_station(tmp_path: Path, browser: Chrome) -> None:
    log(tmp_path / "old.db", 3)
    with server(tmp_path / "server", batonopc_zone="Europe/Dublin") as there:
        pi = Station(there.url, there.new_key())
        for ref in ("2021-07-01_12:02_1", "2021-07-01_12:02_2"):
            table = csv_of(rows_of(tmp_path / "old.db"))
            assert pi.upload(ref, batch_of(ref, pi.key, table)) == ("Processed", "")
        open_page(browser, there.url)
        assert names(browser) == ["OPC_7"]
        details = text_of(browser, "details")
        assert "2021-07-01 11:02:00.000 UTC" in details
        assert "(imported)" in details
        assert "PM2.5 2 µg/m³" in details
        assert points(browser) == 3  # the plot ends with the newest reading


def test_the_page_shows_charge_in_ampere_hours_and_labels_of_codes(tmp_path: Path, browser: Chrome) -> None:
    with server(tmp_path / "server") as there:
        for minute in range(3):
            t_wall_ns = (clock_ms() - 60_000 * minute) * 1_000_000
            store_sentence(there.store, "BC1", b"000456F0,00057E40,1EDC", t_wall_ns)
            store_sentence(there.store, "ST1", b"03,00,0000,000128E3,05,0002,00,00040802", t_wall_ns)
        open_page(browser, f"{there.url}/#value=charge_c")
        details = text_of(browser, "details")
        assert "charge 79 Ah capacity 100 Ah state of charge 79 %" in details
        assert "charge in Ah" in text_of(browser, "caption")
        assert rows(browser, "legend") == ["pack 79 79 79 79"]
        assert "charging stage 3 main charging" in details
        assert "protections 2 cell over-voltage" in details
        assert "status 5 cell voltages valid, balancing rates valid" in details
