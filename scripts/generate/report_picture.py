"""Generate the picture of the replay report that README.md and the start page of the documentation show.

Usage: python -m scripts.generate.report_picture

It runs `pygnc demo` and photographs the report in a headless Chromium (needs chromium and chromium-driver).
"""

import shutil
import subprocess
import sys
import tempfile
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image
from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By

PICTURE: Final = Path(__file__).resolve().parents[2] / "docs/_static/report.png"
WIDTH, HEIGHT, COLOURS = 1100, 661, 64
FIGURE: Final = "attitude-errors-title"
"""Id of the heading at the top of the picture."""


def main() -> int:
    """Replace the picture."""
    with tempfile.TemporaryDirectory() as folder:
        program = Path(sys.executable).with_name("pygnc")
        subprocess.run([program, "demo", "--out", f"{folder}/demo"], check=True, stdout=subprocess.DEVNULL)
        png = photograph(Path(folder, "demo/replay/report.html"))
    Image.open(BytesIO(png)).convert("RGB").quantize(COLOURS).save(PICTURE, optimize=True)
    print(f"{PICTURE}: {PICTURE.stat().st_size} bytes")
    return 0


def photograph(report: Path) -> bytes:
    """Return a picture of the part of the report that begins with the figure, as PNG."""
    options = webdriver.ChromeOptions()
    for argument in ("--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WIDTH},{HEIGHT}"):
        options.add_argument(argument)
    with webdriver.Chrome(options, Service(shutil.which("chromedriver"))) as browser:
        browser.get(report.as_uri())
        browser.execute_script("arguments[0].scrollIntoView()", browser.find_element(By.ID, FIGURE))
        return browser.get_screenshot_as_png()


if __name__ == "__main__":
    sys.exit(main())
