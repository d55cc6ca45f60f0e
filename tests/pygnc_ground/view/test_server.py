"""The server as a process: access, hostile text, many clients, slow ones."""

import asyncio
import http.client
import logging
import socket
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from selenium.webdriver import Chrome
from selenium.webdriver.common.by import By
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from pygnc.bus.messages import Message
from scripts.build_frontend import build_frontend
from tests.fakes.browser import chromium
from tests.programs import needs
from tests.pygnc_ground.report.player.unpacking import unpack
from tests.pygnc_ground.view.made_run import append_run, attitude, event, orbit, partner, write_run
from tests.pygnc_ground.view.served import PATIENCE_S, Server, errors, opened, page_memory, until, view

CLIENTS = 5
DAY = 17_280
"""Samples of a day, each 5 s."""
MEMORY_MB = 12.0
"""Memory for a day and its clients, beside what the program needs for two rows; its libraries differ by machine."""
CORE_SHARE = 0.05
WATCHED_S = 8.0
HOSTILE = "</script><script>document.title = 'hurt'</script><img src=x onerror=\"document.title = 'hurt'\">"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300), needs("npm")]


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    build_frontend()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    with chromium(tmp_path_factory.mktemp("profile"), "--enable-unsafe-swiftshader") as driver:
        yield driver


def answer(server: Server, path: str, **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=PATIENCE_S)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


def signed_in(server: Server) -> str:
    """Use the newest link; return the cookie."""
    links = len(server.links)
    url = urlsplit(server.links[-1])
    response = answer(server, f"{url.path}?{url.query}")
    assert response.status == 303
    server.until(lambda: len(server.links) > links)
    return str(response.headers["Set-Cookie"]).partition(";")[0]


def test_only_browsers_with_the_link_are_answered_and_only_from_this_page(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run-00001", orbit=[orbit(1)])
    with view(tmp_path, str(run)) as server:
        assert answer(server, "/").status == 401
        assert answer(server, "/feed").status == 401
        first = urlsplit(server.links[0])
        cookie = signed_in(server)
        assert answer(server, f"{first.path}?{first.query}").status == 401
        page = answer(server, "/", Cookie=cookie)
        assert page.status == 200
        assert "script-src 'self'" in page.headers["Content-Security-Policy"]
        assert "unsafe" not in page.headers["Content-Security-Policy"]
        assert answer(server, "/", Cookie=cookie, Host=f"evil.example:{server.port}").status == 421
        assert answer(server, "/", Cookie=cookie, Origin="http://evil.example").status == 403
        assert answer(server, "/../pyproject.toml", Cookie=cookie).status == 404
        asyncio.run(refused(server, cookie))
        with pytest.raises(ConnectionRefusedError), socket.create_connection((other_address(), server.port), 1):
            pass
        assert server.stop() == 0


async def refused(server: Server, cookie: str) -> None:
    address = f"ws://127.0.0.1:{server.port}/feed"
    for headers in ({}, {"Cookie": "pygnc-view=1"}, {"Cookie": cookie, "Origin": "http://evil.example"}):
        with pytest.raises(InvalidStatus):
            await connect(address, additional_headers=headers)
    async with connect(address, additional_headers={"Cookie": cookie}) as feed:
        content = await feed.recv()
        assert isinstance(content, bytes)
        assert unpack(content)[1]["after"] == 0


def other_address() -> str:
    """Return an address of this computer that is not of the loopback, or one that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.2"
        return str(probe.getsockname()[0])


def test_five_clients_take_little_memory_and_time_and_a_stopped_one_delays_nobody(tmp_path: Path) -> None:
    few = write_run(tmp_path / "few" / "run-00001", closed=False, orbit=[orbit(1)], attitude=[attitude(1)])
    with view(tmp_path, str(few)) as server:
        server.until(lambda: "following" in server.text)
        least_mb = server.memory_mb()
    run = write_run(
        tmp_path / "run-00001",
        closed=False,
        orbit=[orbit(number) for number in range(1, DAY + 1)],
        attitude=[attitude(number) for number in range(1, DAY + 1)],
        formation=[partner(number) for number in range(1, DAY // 12)],
    )
    with view(tmp_path, str(run)) as server:
        server.until(lambda: "following" in server.text)
        asyncio.run(watch(server, run, signed_in(server)))
        assert server.memory_mb() - least_mb < MEMORY_MB


async def until_rows(rows: list[int], count: int) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while min(rows) < count:  # noqa: ASYNC110 - several tasks count
            await asyncio.sleep(0.05)


async def watch(server: Server, run: Path, cookie: str) -> None:
    """Let clients follow a run with an estimate each second and a sample each half second."""
    address, headers = f"ws://127.0.0.1:{server.port}/feed", {"Cookie": cookie}
    rows = [0] * CLIENTS

    async def follow(place: int) -> None:
        async with connect(address, additional_headers=headers, max_size=None) as feed:
            async for content in feed:
                assert isinstance(content, bytes)
                rows[place] += len(unpack(content)[0].get("attitude", {}).get("time", ()))

    async with connect(address, additional_headers=headers, max_size=None, max_queue=1):  # which never reads
        clients = [asyncio.create_task(follow(place)) for place in range(CLIENTS)]
        await until_rows(rows, DAY)
        began_s, before_s = time.monotonic(), server.cpu_s()
        for number in range(DAY + 1, DAY + 1 + round(2 * WATCHED_S)):
            append_run(run, "attitude", [attitude(number)])
            if number % 2:
                append_run(run, "orbit", [orbit(DAY + (number - DAY) // 2 + 1)])
            await asyncio.sleep(0.5)
        share = (server.cpu_s() - before_s) / (time.monotonic() - began_s)
        await until_rows(rows, number)
        for client in clients:
            client.cancel()
    logging.getLogger(__name__).info("%.1f %% of a core, %.1f MB at most", 100 * share, server.memory_mb())
    assert share < CORE_SHARE, share


@pytest.mark.xdist_group("browser")
def test_the_page_needs_only_the_memory_of_its_rows(browser: Chrome, tmp_path: Path) -> None:
    """Ten minutes of a flight with two attitudes per second in a shorter time; scripts/bench/bench_view.py takes it."""
    begin, end, step, megabytes = 200, 1200, 20, 2.0
    run = write_run(tmp_path / "run-00001", closed=False, orbit=[orbit(1)], attitude=[attitude(1)])
    with view(tmp_path, str(run)) as server:
        page = opened(browser, server)
        shown, before = "globalThis.player?.recording?.tables.attitude?.time.length", (0.0, 0)
        for first in range(2, end, step):
            append_run(run, "attitude", [attitude(number) for number in range(first, first + step)])
            append_run(run, "orbit", [orbit(number) for number in range(first, first + step, 2)])
            until(page, f"{shown} === arguments[0]", first + step - 1)
            if first < begin:
                before = page_memory(page)
        used_mb, nodes = page_memory(page)
        assert used_mb < before[0] + megabytes, (before, used_mb)
        assert nodes <= before[1] + 20, (before, nodes)
        assert errors(page) == []


@pytest.mark.xdist_group("browser")
def test_text_of_a_run_is_no_markup(browser: Chrome, tmp_path: Path) -> None:
    run = write_run(
        tmp_path / HOSTILE.replace("/", "|"),
        orbit=[orbit(1, cause=HOSTILE), orbit(2, manoeuvre=HOSTILE)],
        attitude=[attitude(1, HOSTILE)],
        formation=[partner(1)],
        events=[event(1, HOSTILE, HOSTILE, HOSTILE)],
    )
    with view(tmp_path, str(run)) as server:
        page = opened(browser, server)
        until(page, "globalThis.player?.frames > 0")
        assert "</script>" in page.find_element(By.CSS_SELECTOR, "[data-part='events']").text
        assert page.title != "hurt"
        assert not page.find_elements(By.CSS_SELECTOR, "img")
        assert errors(page) == []


@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize("streams", ["orbit", "attitude", "formation", ""])
def test_what_a_run_has_is_shown(browser: Chrome, tmp_path: Path, streams: str) -> None:
    made: dict[str, Sequence[Message]] = {
        "orbit": [orbit(1)],
        "attitude": [attitude(1)],
        "formation": [partner(1, ambiguous=True)],
    }
    run = write_run(tmp_path / "run-00001", closed=False)
    for name in streams.split():
        append_run(run, name, made[name])
    views = {"orbit": ["globe"], "attitude": ["body"], "formation": ["formation"]}
    with view(tmp_path, str(run)) as server:
        page = opened(browser, server)
        if not streams:
            until(page, "document.querySelector(\"[data-part='note']\").textContent.includes('following')")
            return
        assert until(page, "player.views && Object.keys(player.views)") == views[streams]
        # What comes later takes its place in the same page, which keeps the direction of view.
        page.execute_script("Object.values(player.views)[0].place(0.5, 0.25, 3.5)")
        for name, messages in made.items():
            if name != streams:
                append_run(run, name, messages)
        assert until(page, "Object.keys(player.views).length === 3")
        assert page.execute_script(f"return player.views.{views[streams][0]}.azimuth") == 0.5
        assert page.execute_script("return player.isFollowing")
        append_run(run, "attitude", [attitude(2, "coarse")])
        current = "document.querySelectorAll(\"[data-part='events'] [aria-current]\")"
        until(page, f"{current}.length === 1 && {current}[0].textContent.includes('attitude coarse')")
        assert errors(page) == []


@pytest.mark.xdist_group("browser")
def test_a_finished_run_opens_at_its_end_and_says_when_the_server_is_gone(browser: Chrome, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run-00001", orbit=[orbit(number) for number in range(1, 61)])
    with view(tmp_path, str(run)) as server:
        page = opened(browser, server)
        link = "document.querySelector(\"[data-part='link']\")"
        until(page, f"globalThis.player?.frames > 0 && {link}.dataset.key === 'ended'")
        assert page.execute_script("return player.cursor.time === player.recording.tables.orbit.time.at(-1)")
        assert server.stop() == 0
        until(page, f"{link}.dataset.key === 'lost' && {link}.dataset.level === 'alarm'")
        assert page.execute_script("return player.recording.tables.orbit.time.length") == 60


@pytest.mark.xdist_group("browser")
def test_a_phone_shows_the_whole_width(browser: Chrome, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run-00001", orbit=[orbit(1)], attitude=[attitude(1)], formation=[partner(1)])
    metrics = {"width": 360, "height": 700, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    try:
        with view(tmp_path, str(run)) as server:
            page = opened(browser, server)
            until(page, "globalThis.player?.frames > 0")
            assert page.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
