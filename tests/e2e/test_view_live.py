"""`pygnc view --live` at the terminal of a real flight."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc.formats.status import Phase
from pygnc_controller.emulator.serial_line import LineFaults
from pygnc_ground.view.link import LinkSource
from tests.e2e.conftest import ROOT, SENSE, SENSE_RECORD_BYTES, Flight
from tests.e2e.linked_flight import RECORDS, LinkedFlight, time_of
from tests.fakes.pty_flight import start_on_pty
from tests.fakes.pty_relay import PtyRelay
from tests.pygnc_ground.report.player.unpacking import unpack

BAUD = 115_200


@pytest.fixture
def linked(tmp_path: Path) -> Iterator[LinkedFlight]:
    flight = LinkedFlight(tmp_path)
    yield flight
    flight.stop_hard()
    flight.host.close()


def step_until(source: LinkSource, flight: Flight, key: str, table: str = "") -> None:
    deadline = time.monotonic() + 60.0
    while source.feed.state[0] != key or (table and table not in unpack(source.feed.since(0))[0]):
        assert time.monotonic() < deadline, source.feed.state
        assert flight.process.poll() is None
        source.step()
        source.feed.commit()
        time.sleep(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("baud", [None, BAUD])
def test_the_status_of_a_flight_is_followed_over_its_line_which_is_not_changed(
    linked: LinkedFlight, baud: int | None
) -> None:
    (linked.home / "sense.bin").write_bytes(SENSE[: 60 * SENSE_RECORD_BYTES])
    linked._process = start_on_pty(
        linked.host, linked.home, ROOT / "flight" / "main.py", "10", str(time_of(RECORDS - 1))
    )
    with PtyRelay(linked.host.master, LineFaults(lost=1e-4), 1, BAUD) as relay:
        source = LinkSource(relay.port, baud)
        step_until(source, linked, "following", "attitude")
        tables, about = unpack(source.feed.since(0))
        assert len(tables["orbit"]["time"]) >= 1
        assert len(tables["counters"]["lost_messages"]) >= 1
        radius_m = sum(tables["orbit"][axis][-1] ** 2 for axis in "xyz") ** 0.5
        # The status has the orbit predicted for the time of its record, which may be minutes after the newest estimate.
        newest_m = sum(value**2 for value in linked.estimates()[-1].position_gcrf_m) ** 0.5
        assert radius_m == pytest.approx(newest_m, rel=1e-2)
        assert "connected" in about["state"][1] or "run 1" in about["state"][1]
        assert linked.status()["phase"] in {Phase.IDLE, Phase.BATCH}
        assert {one.name for one in linked.events()} & {"stop", "parameter", "upload"} == set()
        source.close()


def test_a_port_without_an_answer_waits_and_one_that_goes_away_is_reported(linked: LinkedFlight) -> None:
    with PtyRelay(linked.host.master, LineFaults(), 1, BAUD) as relay:
        source = LinkSource(relay.port, None)
        source.step()
        assert source.feed.state[0] == "waiting"
    deadline = time.monotonic() + 20.0
    while source.feed.state[0] != "lost":
        assert time.monotonic() < deadline
        source.step()
    source.close()


def test_a_port_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        LinkSource(tmp_path / "ttyUSB7", BAUD)
