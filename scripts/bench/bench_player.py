"""Measure the player of a report: size, first view, frames while the time is moved, in a headless Chromium.

Usage: python -m scripts.bench.bench_player REPORT

The browser draws in software. Its processor time per frame does not depend on other programs, the frames per second do.
"""

import os
import shutil
import sys
import time
from pathlib import Path
from typing import Final

from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

FRAMES: Final = 150
PATIENCE_S: Final = 60.0
_SCRUB: Final = """
const done = arguments[1], { cursor } = player, length = cursor.end - cursor.begin, began = performance.now();
let left = arguments[0];
const next = () => {
  if (!left--) { done(performance.now() - began); return; }
  cursor.moveTo(cursor.begin + length * (left / arguments[0]));
  requestAnimationFrame(next);
};
requestAnimationFrame(next);
"""


def main() -> None:
    """Print the figures of a report."""
    report = Path(sys.argv[1])
    options = ChromeOptions()
    flags = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--enable-unsafe-swiftshader")
    for flag in (*flags, "--window-size=1280,1000"):
        options.add_argument(flag)
    with Chrome(options, Service(shutil.which("chromedriver"))) as browser:
        browser.set_script_timeout(PATIENCE_S)
        before_s = _cpu_s(browser)
        browser.get(report.absolute().as_uri())
        ready = "return performance.getEntriesByName('player-ready')[0]?.startTime ?? null"
        until = time.monotonic() + PATIENCE_S
        while (first_view_ms := browser.execute_script(ready)) is None and time.monotonic() < until:
            time.sleep(0.05)
        if first_view_ms is None:
            sys.exit(f"{report}: has no player that works in this browser")
        opened_s = _cpu_s(browser) - before_s
        browser.execute_async_script(_SCRUB, FRAMES // 5)
        before_s = _cpu_s(browser)
        taken_ms = browser.execute_async_script(_SCRUB, FRAMES)
        per_frame_ms = 1e3 * (_cpu_s(browser) - before_s) / FRAMES
    print(f"size {report.stat().st_size / 1e6:.2f} MB")
    print(f"first view after {1e-3 * first_view_ms:.2f} s; processor time of all processes {opened_s:.2f} s")
    print(f"moving the time: {1e3 * FRAMES / taken_ms:.0f} frames/s; processor time {per_frame_ms:.0f} ms a frame")


def _cpu_s(browser: Chrome) -> float:
    """Return the processor time of the browser's processes so far."""
    processes: dict[int, tuple[int, float]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended
                continue
            processes[int(entry.name)] = int(fields[1]), sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    found = {browser.service.process.pid}
    while more := {pid for pid, (parent, _) in processes.items() if parent in found} - found:
        found |= more
    return sum(processes[pid][1] for pid in found if pid in processes)


if __name__ == "__main__":
    main()
