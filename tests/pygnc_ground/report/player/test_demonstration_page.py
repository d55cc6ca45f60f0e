"""The report of the demonstration in a real browser, as the README and the documentation show it."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from scripts.build_frontend import build_frontend
from tests.fakes.browser import chromium, picture
from tests.programs import needs

PATIENCE_S, SETTLED_S = 60.0, 1.0
PARTS = {"report.png": ("attitude-errors-title", ""), "player.png": ("player", "#t=2025-03-20T01:30:40Z")}
"""Element at the top of each picture, and fragment of the address."""
COVERED = """
const labels = [...document.querySelectorAll("[data-view] .label:not([class*=axis])")].filter(each => each.clientWidth);
const placed = labels.map(each => [each.textContent, each.getBoundingClientRect()]);
const pairs = placed.flatMap((one, rank) => placed.slice(rank + 1).map(other => [...one, ...other]));
const covers = (a, b) => Math.max(a.left, b.left) < Math.min(a.right, b.right) && Math.abs(a.top - b.top) < 10;
return pairs.filter(([, a, , b]) => covers(a, b)).map(([one, , other]) => [one, other]);
"""
"""Pairs of labels of which one covers the other."""
READY = "return performance.getEntriesByName('player-ready').length"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),
    needs("chromium", "chromedriver", "npm"),
    pytest.mark.timeout(300),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    build_frontend()
    out = tmp_path_factory.mktemp("demo") / "demo"
    program = "import sys; from pygnc_cli.app import main; sys.exit(main())"
    subprocess.run([sys.executable, "-c", program, "demo", "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    return out / "replay/report.html"


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    flags = ("--enable-unsafe-swiftshader", "--hide-scrollbars")
    with chromium(tmp_path_factory.mktemp("profile"), *flags) as driver:
        yield driver


@pytest.mark.parametrize(("name", "height"), [("report.png", 686), ("player.png", 976)])
def test_it_shows_the_part_that_its_address_names(report: Path, browser: Chrome, name: str, height: int) -> None:
    top, fragment = PARTS[name]
    size = {"width": 1100, "height": height, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get("about:blank")
    browser.get(f"{report.as_uri()}{fragment}")
    WebDriverWait(browser, PATIENCE_S).until(lambda page: page.execute_script(READY))
    element = browser.find_element(By.ID, top)
    browser.execute_script("arguments[0].scrollIntoView()", element)
    time.sleep(SETTLED_S)  # the globe is drawn after the plots
    assert not browser.execute_script(COVERED)
    shown = picture(browser, name)
    assert shown.width == 1100
    colours = shown.getcolors(shown.width * shown.height)
    assert colours is not None
    assert len(colours) > 60  # lines, bands and text, not an empty part of the page
    entries = browser.get_log("browser")  # type: ignore[no-untyped-call]
    assert not [entry["message"] for entry in entries if entry["level"] == "SEVERE"]
