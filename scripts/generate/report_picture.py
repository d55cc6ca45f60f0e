"""Generate the pictures of the replay report that README.md and the documentation show.

Usage: python -m scripts.generate.report_picture

It runs `pygnc demo` and photographs the report in a headless Chromium (needs chromium and chromium-driver).
"""

import shutil
import subprocess
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

STATIC: Final = Path(__file__).resolve().parents[2] / "docs/_static"
WIDTH, HEIGHT, COLOURS = 1100, 661, 128
PICTURES: Final = {
    "report.png": ("attitude-errors-title", "", 0),
    "player.png": ("player", "#t=2025-03-20T01:30:40Z", 315),
}
"""Pictures: id of the element at the top, fragment of the address, additional height."""
PATIENCE_S, SETTLED_S = 30.0, 1.0
READY: Final = "return performance.getEntriesByName('player-ready').length"


def main() -> int:
    """Replace the pictures."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(sys.executable).with_name("pygnc")
        subprocess.run([program, "demo", "--out", f"{folder}/demo"], check=True, stdout=subprocess.DEVNULL)
        for name, (top, fragment, higher) in PICTURES.items():
            png = photograph(Path(folder, "demo/replay/report.html"), top, fragment, HEIGHT + higher)
            Image.open(BytesIO(png)).convert("RGB").quantize(COLOURS).save(STATIC / name, optimize=True)
            print(f"{STATIC / name}: {(STATIC / name).stat().st_size} bytes")
    return 0


def photograph(report: Path, top: str, fragment: str, height: int) -> bytes:
    """Return a picture of the part of the report that begins with an element, as PNG."""
    options = webdriver.ChromeOptions()
    size = f"--window-size={WIDTH},{height}"
    for argument in ("--headless", "--no-sandbox", "--hide-scrollbars", "--enable-unsafe-swiftshader", size):
        options.add_argument(argument)
    with webdriver.Chrome(options, Service(shutil.which("chromedriver"))) as browser:
        browser.get(f"{report.as_uri()}{fragment}")
        WebDriverWait(browser, PATIENCE_S).until(lambda page: page.execute_script(READY))
        browser.execute_script("arguments[0].scrollIntoView()", browser.find_element(By.ID, top))
        time.sleep(SETTLED_S)
        return browser.get_screenshot_as_png()


if __name__ == "__main__":
    sys.exit(main())
