"""The bridge's page in a real browser."""

import asyncio
import json
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support import expected_conditions
from selenium.webdriver.support.select import Select
from websockets.asyncio.client import connect

from pygnc_instruments.bridge.server import TOKEN_VARIABLE
from pygnc_instruments.device.spectrum import amplitude_density
from pygnc_instruments.simulators.endpoints import PtyEndpoint
from pygnc_instruments.simulators.ucb_bootloader import make_image
from pygnc_instruments.simulators.ucb_unit import UcbSimulator
from tests.fakes.browser import chromium
from tests.programs import needs
from tests.pygnc_instruments.bridge.running import PATIENCE_S, RunningBridge, get, until

Start = Callable[..., RunningBridge]
GRAPHS = [("specific force", "m/s^2"), ("angular rate", "deg/s"), ("temperature", "degC")]
NEW = "IMU381ZA-400 5020-1383-01 11.00.00"

# One browser at a time.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),
    needs("chromium", "chromedriver"),
    pytest.mark.timeout(180),
]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile"), "--ignore-certificate-errors") as driver:
        yield driver


@pytest.fixture
def unit() -> UcbSimulator:
    unit = UcbSimulator(restart_s=0.01, eeprom={7: 0})
    unit.bootloader.enter_s, unit.bootloader.erase_s = 0.02, 0.05
    return unit


@pytest.fixture
def page(browser: Chrome, bridge: RunningBridge) -> Iterator[Chrome]:
    browser.get(bridge.url)
    yield browser
    entries = browser.get_log("browser")  # type: ignore[no-untyped-call]
    problems = [entry["message"] for entry in entries if entry["level"] == "SEVERE"]
    assert not [text for text in problems if "ERR_CONNECTION_REFUSED" not in text]
    browser.get("about:blank")


def at(page: Chrome, name: str) -> WebElement:
    return page.find_element(By.ID, name)


def until_text(page: Chrome, name: str, pattern: str) -> str:
    return str(until(lambda: re.search(pattern, at(page, name).text), f"{pattern} in {name}")[0])


def caption(page: Chrome, column: str) -> str:
    return next(each.text for each in page.find_elements(By.CSS_SELECTOR, ".value") if each.text.startswith(column))


def inked(page: Chrome) -> list[int]:
    """Return the number of drawn pixels of each plot."""
    script = """return [...document.querySelectorAll("canvas")].map((canvas) => canvas.getContext("2d")
        .getImageData(0, 0, canvas.width, canvas.height).data.filter((value, k) => k % 4 === 3 && value > 0).length)"""
    return [int(count) for count in page.execute_script(script)]


def test_page_plots_readings(page: Chrome, bridge: RunningBridge) -> None:
    until_text(page, "state", "streaming")
    assert at(page, "unit").text.startswith("2008705635 IMU381ZA-400")
    until(lambda: len(inked(page)) == 3 and min(inked(page)) > 1000, "three drawings")
    titles = [title.text for title in page.find_elements(By.CSS_SELECTOR, "figcaption b")]
    assert titles == [f"{title}, {unit}" for title, unit in GRAPHS]
    before = caption(page, "xAccel")
    until(lambda: caption(page, "xAccel") != before, "another value")
    until_text(page, "shown", r"[1-9]\d* Hz")
    until_text(page, "rate", r"\d Hz")
    loaded = page.execute_script('return performance.getEntriesByType("resource").map((entry) => entry.name)')
    assert loaded
    assert all(str(name).startswith(bridge.url) for name in loaded)
    until_text(page, "thinned", "^[1-9][0-9]*$")


def test_page_stops_and_starts_the_stream(page: Chrome) -> None:
    until_text(page, "shown", r"[1-9]\d* Hz")
    at(page, "stop-stream").click()
    until_text(page, "shown", r"^0 Hz")
    at(page, "start-stream").click()
    until_text(page, "shown", r"[1-9]\d* Hz")


def test_page_reads_sets_and_writes_fields(page: Chrome, unit: UcbSimulator) -> None:
    def row(name: str) -> WebElement:
        return until(lambda: page.find_elements(By.CSS_SELECTOR, f"[data-field={name}]"), name)[0]  # type: ignore[no-any-return]

    assert len(until(lambda: page.find_elements(By.CSS_SELECTOR, "#fields tbody tr"), "fields")) == len(unit.ram)
    Select(row("packet_rate_divider").find_element(By.TAG_NAME, "select")).select_by_visible_text("20 Hz")
    row("packet_rate_divider").find_elements(By.TAG_NAME, "button")[0].click()
    until(lambda: unit.ram[1] == 5, "20 Hz")
    until_text(page, "fields", r"5 \(20 Hz\)")
    number = row("user_behaviour").find_element(By.TAG_NAME, "input")
    number.clear()
    number.send_keys("3")
    row("user_behaviour").find_elements(By.TAG_NAME, "button")[1].click()
    until(lambda: unit.eeprom[8] == 3, "EEPROM")
    assert unit.ram[8] == 0
    until_text(page, "messages", "user_behaviour: 3 was written")
    Select(row("packet_type").find_element(By.TAG_NAME, "select")).select_by_visible_text("A1")
    row("packet_type").find_elements(By.TAG_NAME, "button")[0].click()
    until(lambda: "yawAngleMag" in at(page, "plots").text, "drawings of the other packet")


def labels(page: Chrome) -> list[str]:
    return [title.text for title in page.find_elements(By.CSS_SELECTOR, "#plots figcaption b")]


def clients(bridge: RunningBridge) -> int:
    return int(json.loads(get(bridge, "/status")[1])["clients"])


def test_page_shows_spectra_of_all_readings(page: Chrome, bridge: RunningBridge) -> None:
    until_text(page, "state", "streaming")
    Select(at(page, "mode")).select_by_value("spectrum")
    assert not at(page, "pause").is_enabled()
    until(lambda: clients(bridge) == 2, "the second connection")
    spectra = [f"{title}, spectrum, {unit}/√Hz" for title, unit in GRAPHS]
    until(lambda: labels(page) == spectra and min(inked(page), default=0) > 500, "three spectra")
    Select(at(page, "mode")).select_by_value("waterfall")
    waterfalls = [f"{title}, waterfall" for title, _ in GRAPHS]
    until(lambda: labels(page) == waterfalls and min(inked(page), default=0) > 3000, "three waterfalls")
    Select(at(page, "mode")).select_by_value("time")
    until(lambda: clients(bridge) == 1, "the end of the second connection")
    until(lambda: labels(page) == [f"{title}, {unit}" for title, unit in GRAPHS], "three plots")
    assert at(page, "pause").is_enabled()


def test_spectra_of_the_page_equal_those_of_the_plot_command(page: Chrome) -> None:
    noise = np.random.default_rng(1)
    times_s = np.arange(1024) / 100.0
    values = np.sin(2.0 * np.pi * 20.0 * times_s) + noise.normal(0.0, 0.1, 1024)
    script = """const [values, done] = arguments;
        import("/spectrum.js").then(({ density }) => done(density(values, 256, 100)));"""
    found = page.execute_async_script(script, values.tolist())
    expected = amplitude_density(list(zip(times_s.tolist(), values.tolist(), strict=True)))
    assert expected is not None
    np.testing.assert_allclose(found, expected[1], rtol=1e-9)


def field_row(page: Chrome, name: str) -> WebElement:
    return until(lambda: page.find_elements(By.CSS_SELECTOR, f"[data-field={name}]"), name)[0]  # type: ignore[no-any-return]


def test_page_pauses_zooms_and_moves_the_time_of_the_plots(page: Chrome) -> None:
    until_text(page, "shown", r"[1-9]\d* Hz")
    at(page, "pause").click()
    assert at(page, "pause").text == "Resume"
    paused = until(lambda: caption(page, "xAccel") == caption(page, "xAccel") and caption(page, "xAccel"), "a value")
    until_text(page, "shown", r"[1-9]\d* Hz")
    assert caption(page, "xAccel") == paused
    at(page, "zoom-in").click()
    assert span(page) == "5 s"
    plot = page.find_element(By.CSS_SELECTOR, "#plots .u-over")
    at(page, "plots").send_keys(Keys.ARROW_LEFT)
    until(lambda: caption(page, "xAccel") != paused, "the reading before")
    at(page, "plots").send_keys(Keys.ARROW_RIGHT)
    until(lambda: caption(page, "xAccel") == paused, "the reading behind it")
    ActionChains(page).move_to_element_with_offset(plot, plot.size["width"] // 2 - 40, 0).click().perform()
    until(lambda: caption(page, "xAccel") != paused, "the value at the pointer")
    width = plot.size["width"]
    ActionChains(page).move_to_element_with_offset(plot, width // 8, 0).click_and_hold().move_by_offset(
        width // 5, 0
    ).release().perform()
    until(lambda: re.match(r"(0\.9\d?|1|1\.\d) s", span(page)), "the chosen fifth of the span")
    ActionChains(page).double_click(plot).perform()
    until(lambda: at(page, "pause").text == "Pause", "the newest readings")
    before = caption(page, "xAccel")
    until(lambda: caption(page, "xAccel") != before, "a new value")


def span(page: Chrome) -> str:
    return str(Select(at(page, "span")).first_selected_option.get_attribute("textContent"))


def test_page_shows_the_body_in_its_attitude(page: Chrome, unit: UcbSimulator) -> None:
    until_text(page, "state", "streaming")
    assert not page.find_elements(By.ID, "attitude")  # S1 has no angles
    unit.ram[3] = 0x4131
    drawing = until(lambda: page.find_elements(By.CSS_SELECTOR, "#attitude canvas"), "the drawing")[0]
    until(lambda: inked(page)[0] > 1000, "a drawn body")
    label = str(drawing.get_attribute("aria-label"))
    assert re.fullmatch(r"attitude: roll -?[\d.]+°  pitch -?[\d.]+°  yaw -?[\d.]+°", label), label


def test_page_shows_and_takes_calibration_fields_in_units(page: Chrome, unit: UcbSimulator) -> None:
    row = field_row(page, "hard_iron_x")
    until(lambda: f"{unit.ram[9]} (" in row.text and " G)" in row.text, "the value in gauss")
    number = row.find_element(By.TAG_NAME, "input")
    number.clear()
    number.send_keys("-0.25")
    row.find_elements(By.TAG_NAME, "button")[0].click()
    until(lambda: unit.ram[9] == 0x10000 - 8192, "the field")
    until_text(page, "messages", r"hard_iron_x: 57344 \(-0\.25000 G\) was set")


def test_page_confirms_a_change_of_the_baud_rate(page: Chrome, unit: UcbSimulator) -> None:
    row = field_row(page, "baud_code")
    before = unit.ram[2]
    Select(row.find_element(By.TAG_NAME, "select")).select_by_visible_text("57600 baud")
    row.find_elements(By.TAG_NAME, "button")[0].click()
    question = until(lambda: expected_conditions.alert_is_present()(page), "the question")
    assert "57600 baud" in question.text
    question.dismiss()
    row.find_elements(By.TAG_NAME, "button")[1].click()
    until(lambda: expected_conditions.alert_is_present()(page), "the question").accept()
    until(lambda: unit.eeprom[2] == 3, "the written rate")
    assert unit.ram[2] == before


def test_page_shows_refusals_of_the_unit(page: Chrome, unit: UcbSimulator) -> None:
    row = until(lambda: page.find_elements(By.CSS_SELECTOR, "[data-field=packet_type]"), "fields")[0]
    Select(row.find_element(By.TAG_NAME, "select")).select_by_visible_text("e2")  # too long for this baud rate
    row.find_elements(By.TAG_NAME, "button")[0].click()
    until(lambda: page.find_elements(By.CSS_SELECTOR, "#messages [data-kind=error]"), "the error")
    assert unit.ram[3] == 0x5331


def test_page_starts_stops_and_downloads_a_log(page: Chrome, bridge: RunningBridge) -> None:
    until_text(page, "state", "streaming")
    at(page, "log-name").send_keys("drive")
    at(page, "log-token").send_keys("hush-1")
    at(page, "start-log").click()
    until_text(page, "log-state", "logging to drive.csv")
    assert at(page, "log-token").get_attribute("value") == ""
    until((bridge.folder / "drive.csv.part").exists, "the file")
    at(page, "stop-log").click()
    until_text(page, "log-state", "not logging")
    row = until(lambda: page.find_elements(By.CSS_SELECTOR, "#files tbody tr"), "the file's name")[0]
    assert f"drive.csv {(bridge.folder / 'drive.csv').stat().st_size} " in row.text
    page.execute_script("""window.saved = [];
        URL.createObjectURL = (blob) => { blob.text().then((text) => window.saved.push(text)); return "#"; };""")
    row.find_element(By.TAG_NAME, "button").click()
    saved = until(lambda: page.execute_script("return window.saved"), "what is saved")
    assert saved == [(bridge.folder / "drive.csv").read_text()]


def test_page_shows_disconnection_and_reconnection_of_the_unit(page: Chrome, line: PtyEndpoint) -> None:
    until_text(page, "state", "streaming")
    line.unplug()
    until_text(page, "state", "unplugged")
    until_text(page, "messages", "unplugged or switched off")
    line.plug_in()
    until_text(page, "state", "streaming")
    before = caption(page, "xAccel")
    until(lambda: caption(page, "xAccel") != before, "another value")


def test_page_reconnects_to_a_restarted_bridge(
    page: Chrome, bridge: RunningBridge, start: Start, line: PtyEndpoint
) -> None:
    until_text(page, "state", "streaming")
    bridge.process.terminate()
    bridge.process.wait(PATIENCE_S)
    until_text(page, "state", "bridge disconnected")
    start(line.url, "--baud", "115200", "--family", "ucb", "--port", str(bridge.port))
    until_text(page, "state", "streaming")


def test_page_upgrades_firmware(page: Chrome, unit: UcbSimulator, tmp_path: Path) -> None:
    (tmp_path / "new.bin").write_bytes(make_image(NEW, 3000))
    until_text(page, "state", "streaming")
    at(page, "firmware-file").send_keys(str(tmp_path / "new.bin"))
    at(page, "start-upgrade").click()
    assert unit.text != NEW  # the upgrade was not confirmed
    at(page, "firmware-confirm").click()
    at(page, "start-upgrade").click()
    until_text(page, "firmware-state", f"done: {NEW}")
    until_text(page, "unit", NEW)
    assert unit.text == NEW


def test_page_asks_for_a_required_token(browser: Chrome, start: Start, line: PtyEndpoint) -> None:
    place = [line.url, "--baud", "115200", "--family", "ucb", "--port", "0"]
    bridge = start(*place, **{TOKEN_VARIABLE: "hush-77"})
    browser.get(bridge.url)
    until(lambda: at(browser, "token").is_displayed(), "the question")
    at(browser, "token").send_keys("hush-77")
    at(browser, "token").submit()
    until_text(browser, "state", "streaming")
    browser.get("about:blank")


RELAY = """
import encodings.idna, os, socket, sys, threading
user, target = map(int, sys.argv[1:])
listener = socket.create_server(("127.0.0.1", 0))
print(listener.getsockname()[1], flush=True)
os.setuid(user)
def copy(source, sink):
    while octets := source.recv(65536):
        sink.sendall(octets)
    sink.shutdown(socket.SHUT_WR)
while True:
    near, _ = listener.accept()
    far = socket.create_connection(("127.0.0.1", target))
    for ends in ((near, far), (far, near)):
        threading.Thread(target=copy, args=ends, daemon=True).start()
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can start a program of another user")
def test_page_of_another_user_asks_for_the_token(browser: Chrome, start: Start, line: PtyEndpoint) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    with subprocess.Popen([sys.executable, "-c", RELAY, "65534", str(port)], stdout=subprocess.PIPE) as relay:
        try:
            assert relay.stdout is not None
            page = f"http://127.0.0.1:{int(relay.stdout.readline())}"
            place = [line.url, "--baud", "115200", "--family", "ucb", "--port", str(port)]
            bridge = start(*place, "--origin", page)
            browser.get(page)
            until_text(browser, "state", "streaming")
            until_text(browser, "token-form", "may only read.*bridge-")
            at(browser, "start-log").click()
            until_text(browser, "messages", "needs the token")
            at(browser, "token").send_keys(bridge.token)
            at(browser, "token").submit()
            until(
                lambda: "streaming" in at(browser, "state").text and not at(browser, "token").is_displayed(),
                "permission",
            )
            at(browser, "start-log").click()
            until_text(browser, "log-state", "logging to")
            browser.get("about:blank")
        finally:
            relay.kill()


@needs("openssl")
async def first_message(url: str, trusted: ssl.SSLContext) -> str | bytes:
    # The client with threads reads and writes one TLS connection at the same time, which now and then breaks it.
    async with asyncio.timeout(PATIENCE_S), connect(url, ssl=trusted) as client:
        return await client.recv()


def test_serves_https_and_wss_with_a_certificate(
    browser: Chrome, start: Start, line: PtyEndpoint, tmp_path: Path
) -> None:
    certificate, key = tmp_path / "certificate.pem", tmp_path / "key.pem"
    make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1", "-out", str(certificate), "-keyout", str(key)]
    subprocess.run([shutil.which("openssl") or "openssl", *make[1:], *names], check=True, capture_output=True)
    place = [line.url, "--baud", "115200", "--family", "ucb", "--port", "0"]
    bridge = start(*place, "--certificate", str(certificate), "--key", str(key))
    assert bridge.url.startswith("https://")
    trusted = ssl.create_default_context(cafile=str(certificate))
    assert asyncio.run(first_message(f"{bridge.url.replace('https', 'wss')}v1", trusted))
    browser.get(bridge.url)
    until_text(browser, "state", "streaming")
    browser.get("about:blank")
