"""Confirmations of the clock, and the flags of readings that they correct."""

import os
import time
from pathlib import Path

import pytest

from pygnc_station.store import clock, query
from pygnc_station.store.batches import BatchState, batches
from pygnc_station.store.clock import confirm, confirmed_ms
from pygnc_station.store.readings import DAY_MS, Quality, clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from tests.pygnc_station.server.samples import server, station, upload
from tests.pygnc_station.store.samples import LAYOUT, START_MS, new

PROVISIONAL = int(Quality.CLOCK | Quality.UNCONFIRMED)
WRONG = int(Quality.CLOCK | Quality.FUTURE)
YEAR_MS = 365 * DAY_MS


def _fill(store: Store) -> None:
    """Store readings of a run with a right clock, of one with the clock a year ahead, and of two with a right one."""
    entries = [(0, 0), (5, 0)]
    entries += [(YEAR_MS + 10, 0), (YEAR_MS + 15, 0)]
    entries += [(20, PROVISIONAL), (25, PROVISIONAL), (25, PROVISIONAL | Quality.GAP)]
    entries += [(2, PROVISIONAL), (30, Quality.CLOCK)]  # booted with an old time; just set
    readings = [new(0)._replace(t_utc_ms=START_MS + ms, quality=int(quality)) for ms, quality in entries]
    store.append(store.stream("imu", LAYOUT), readings)


def _qualities(store: Store) -> list[int]:
    (stream,) = query.streams(store)
    with store.reads() as connection:
        return [item.quality for item in query.numbered(connection, stream.id, 1, stream.next_number)]


CORRECTED = [0, 0, WRONG, WRONG, 0, 0, int(Quality.GAP), int(Quality.CLOCK), int(Quality.CLOCK)]


def test_the_first_confirmation_corrects_provisional_flags(url: str) -> None:
    with Store.open(url) as store:
        _fill(store)
        with store.writes() as connection:
            assert confirmed_ms(connection) == 0
            assert confirm(connection, START_MS + 1000)
            assert confirmed_ms(connection) == START_MS + 1000
            assert not confirm(connection, START_MS + 2000)
        assert _qualities(store) == CORRECTED


def test_a_server_confirms_the_clock_before_it_receives_readings(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        _fill(store)
        make_batch(store, settings, clock_ms())
        assert upload(store, settings).notes == []
        assert [batch.state for batch in batches(store)] == [BatchState.ACCEPTED]
        assert _qualities(store) == CORRECTED
        assert _qualities(there.store) == CORRECTED


def test_a_clock_that_differs_from_the_servers_is_not_confirmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        monkeypatch.setattr("pygnc_station.upload.uploader.clock_ms", lambda: clock_ms() + YEAR_MS)
        (note,) = upload(store, settings).notes
        assert "the clock of this station differs by 31536" in note
        with store.reads() as connection:
            assert confirmed_ms(connection) == 0


def test_ntp_confirms_only_the_time_that_it_has_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "synchronized"
    monkeypatch.setattr(clock, "SYNCHRONISED", path)
    assert not clock.is_synchronised()
    path.touch()
    assert clock.is_synchronised()
    os.utime(path, (time.time() - 86_400,) * 2)  # the clock was set ahead since
    assert not clock.is_synchronised()
