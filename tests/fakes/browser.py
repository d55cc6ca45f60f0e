"""Headless Chromium, driven by Selenium, and the pictures that it takes for the documentation."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

from PIL import Image
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

from tests.programs import find_program

_LOAD_LIMIT_S = 60.0
_PICTURES = Path(__file__).resolve().parents[2] / "docs/_static"


@contextmanager
def chromium(profile: Path, *flags: str) -> Iterator[Chrome]:
    """Start a browser with an empty profile; quit it at the end."""
    options = ChromeOptions()
    options.binary_location = find_program("chromium") or "chromium"
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--window-size=1280,1600",
        f"--user-data-dir={profile}",
        *flags,
    ):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = Chrome(options=options, service=Service(find_program("chromedriver") or "chromedriver"))
    try:
        driver.set_page_load_timeout(_LOAD_LIMIT_S)
        yield driver
    finally:
        driver.quit()


def picture(driver: Chrome, name: str) -> Image.Image:
    """Return what the browser shows; with PYGNC_PICTURES, it becomes a picture of the documentation."""
    taken = Image.open(BytesIO(driver.get_screenshot_as_png())).convert("RGB")
    if os.environ.get("PYGNC_PICTURES"):
        few = taken.quantize(256, Image.Quantize.FASTOCTREE)  # others change the colours of small areas
        few.save(_PICTURES / name, optimize=True)
    return taken
