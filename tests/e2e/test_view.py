"""`pygnc view` in a real browser beside a real flight."""

import logging
import os
import signal
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium.webdriver import ActionChains, Chrome
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from pygnc.common.clock import unix_ms_from_gps_ms
from pygnc.formats.status import Phase
from scripts.build_frontend import build_frontend
from tests.e2e.conftest import SENSE, SENSE_RECORD_BYTES, Flight
from tests.e2e.linked_flight import RECORDS, LinkedFlight, stream, time_of
from tests.fakes.browser import chromium
from tests.programs import needs
from tests.pygnc_ground.view.served import PATIENCE_S, errors, opened, until, view

FIRST = RECORDS - 40
EARLY = RECORDS - 80
LATENCY_S = 0.25
MARKED = """
const done = arguments[0];
globalThis.arrivals = {};
const look = () => {
  const newest = globalThis.player?.recording.tables.orbit?.time.at(-1);
  if (newest && !(newest in arrivals)) arrivals[newest] = Date.now();
  requestAnimationFrame(look);
};
look();
done();
"""
"""Notes the wall clock at the frame after the one that drew a new orbit."""

pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("browser"),
    needs("chromium", "chromedriver", "npm"),
    pytest.mark.timeout(300),
]


@pytest.fixture
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    build_frontend()
    with chromium(tmp_path_factory.mktemp("profile"), "--enable-unsafe-swiftshader") as driver:
        yield driver


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[LinkedFlight]:
    flight = LinkedFlight(tmp_path)
    yield flight
    flight.stop_hard()
    flight.host.close()


class Written(threading.Thread):
    """Notes the wall clock at which each orbit estimate is in the journal."""

    def __init__(self, flight: Flight) -> None:
        super().__init__(daemon=True)
        self.flight, self.at_s = flight, dict[int, float]()
        self._is_over = False

    def run(self) -> None:
        folder = self.flight.newest_run()
        size = -1
        while not self._is_over:
            sizes = sum(file.stat().st_size for file in folder.glob("orbit-*"))
            if sizes != size:
                now_s, size = time.time(), sizes
                for one in self.flight.estimates():
                    self.at_s.setdefault(unix_ms_from_gps_ms(one.gps_ms), now_s)
            time.sleep(0.005)

    def stop(self) -> None:
        self._is_over = True
        self.join()


def until_shown(page: Chrome, flight: Flight) -> None:
    """Wait until the page has the newest orbit of the run, and check that it has each estimate once."""
    shown = "return [player?.recording.tables.orbit.time.at(-1), player?.recording.tables.orbit.time.length]"

    def is_shown(now: Chrome) -> bool:
        found = flight.estimates()
        return bool(now.execute_script(shown) == [unix_ms_from_gps_ms(found[-1].gps_ms), len(found)])

    WebDriverWait(page, PATIENCE_S, 0.1).until(is_shown)


def delays_to_screen_s(page: Chrome, linked: LinkedFlight) -> list[float]:
    """Fly some records; return the times from the journal to the screen."""
    page.execute_async_script(MARKED)
    written = Written(linked)
    written.start()
    for number in range(FIRST, FIRST + 12):
        stream(linked.host, range(number, number + 1))
        until_s = time.monotonic() + 0.5
        linked.host.run(lambda at_s=until_s: time.monotonic() > at_s)  # type: ignore[misc]
    until_shown(page, linked)
    written.stop()
    arrived = {int(ms): at_ms / 1e3 for ms, at_ms in page.execute_script("return arrivals").items()}
    return [at_s - written.at_s[ms] for ms, at_s in arrived.items() if ms in written.at_s and at_s > 0][1:]


def test_the_page_follows_a_flight_through_sleep_restarts_and_the_next_run(
    browser: Chrome, linked: LinkedFlight
) -> None:
    whole = SENSE[EARLY * SENSE_RECORD_BYTES : FIRST * SENSE_RECORD_BYTES]
    (linked.home / "sense.bin").write_bytes(whole)
    host = linked.connect("10", str(time_of(FIRST)))
    linked.until_phase(Phase.IDLE)
    with view(linked.home) as server:
        port = server.port
        page = opened(browser, server)
        until(page, "globalThis.player?.isFollowing")
        until_shown(page, linked)
        delays_s = delays_to_screen_s(page, linked)
        delays_s.sort()
        logging.getLogger(__name__).info("from the journal to the screen: %s s", [round(one, 2) for one in delays_s])
        busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
        assert len(delays_s) >= 6
        assert statistics.median(delays_s) < LATENCY_S * busy, sorted(delays_s)
        assert page.execute_script("return player.cursor.time === player.cursor.end")

        # A view of the past stays while rows arrive.
        page.execute_script("document.getElementById('player').focus()")
        ActionChains(page).send_keys(Keys.HOME).perform()
        before = page.execute_script("return player.cursor.time")
        stream(host, range(FIRST + 12, FIRST + 13))
        until_shown(page, linked)
        assert page.execute_script("return player.cursor.time") == before
        page.find_element(By.CSS_SELECTOR, "[data-part='present']").click()
        assert until(page, "player.isFollowing")

        # After a lost connection, the page gets what it missed, once.
        page.execute_script("feed.retry = 3000; feed.socket.close()")
        until(page, "document.querySelector(\"[data-part='link']\").dataset.key === 'lost'")
        stream(host, range(FIRST + 13, FIRST + 16))
        until_shown(page, linked)
        assert errors(page) == []

        # After a restart of the server, the same page continues.
        os.kill(server.process.pid, signal.SIGKILL)
        server.process.wait()
        stream(host, range(FIRST + 16, FIRST + 18))
    with view(linked.home, str(linked.home), "--port", str(port)) as server:
        until_shown(page, linked)
        linked.signal(signal.SIGTERM)
        assert linked.until_ended() == 0
        until(page, "document.querySelector(\"[data-part='link']\").dataset.key === 'ended'")
        errors(page)  # those of the interrupted connection

        # The next run of the home takes its place.
        again = Flight(linked.home)
        assert again.run("10", str(time_of(FIRST)), "--exit-when-done") == 0
        until(page, "document.title.startsWith('run-00002')")
        until_shown(page, again)
        assert errors(page) == []
        assert server.stop() == 0
