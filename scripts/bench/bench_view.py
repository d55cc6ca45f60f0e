"""Measure the memory of a page of `pygnc view` that follows a run, and of its server.

Usage: python -m scripts.bench.bench_view [MINUTES]

The run gets an orbit each second and two attitudes, and a partner every five seconds. The memory of the page is that of
its JavaScript after its garbage was collected.
"""

import sys
import tempfile
import time
from itertools import count
from pathlib import Path
from typing import Final

from selenium.webdriver import Chrome

from scripts.build_frontend import build_frontend
from tests.fakes.browser import chromium
from tests.pygnc_ground.view.made_run import append_run, attitude, orbit, partner, write_run
from tests.pygnc_ground.view.served import opened, page_memory, until, view

MINUTES: Final = 10
_PAUSE_S: Final = 0.5


def main() -> None:
    """Print the memory once a minute."""
    minutes = int(sys.argv[1]) if len(sys.argv) > 1 else MINUTES
    build_frontend()
    with tempfile.TemporaryDirectory() as home:
        run = write_run(Path(home) / "run-00001", closed=False, orbit=[orbit(1)], attitude=[attitude(1)])
        flags = ("--enable-unsafe-swiftshader",)
        with view(run.parent, str(run)) as server, chromium(run.parent / "profile", *flags) as browser:
            page = opened(browser, server)
            until(page, "globalThis.player?.frames > 0")
            numbers, began_s = count(2), time.monotonic()
            for minute in range(minutes + 1):
                while time.monotonic() < began_s + 60.0 * minute:
                    _fly(run, next(numbers))
                    time.sleep(_PAUSE_S)
                print(f"{minute:2} min: {_described(page)}; server {server.memory_mb():.1f} MB at most", flush=True)


def _fly(run: Path, number: int) -> None:
    append_run(run, "attitude", [attitude(number)])
    if number % 2 == 0:
        append_run(run, "orbit", [orbit(number // 2)])
    if number % 10 == 0:
        append_run(run, "formation", [partner(number // 2)])


def _described(page: Chrome) -> str:
    used_mb, nodes = page_memory(page)
    rows = page.execute_script("return player.recording.tables.attitude.time.length")
    return f"{rows} attitudes, JavaScript {used_mb:.2f} MB, {nodes} nodes"


if __name__ == "__main__":
    main()
