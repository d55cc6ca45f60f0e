import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy import text

from pygnc_station.server.background import keep_statistics, running
from pygnc_station.store.hourly import hours_of
from pygnc_station.store.query import ALWAYS
from pygnc_station.store.store import Store
from tests.pygnc_station.store.samples import LAYOUT, new

DEADLINE_S = 30.0


def wait_for(condition: Callable[[], object]) -> None:
    end_s = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end_s
        time.sleep(0.01)


def count(store: Store) -> int:
    with store.reads() as connection:
        return sum(1 for _ in hours_of(connection, [(store.stream("imu", LAYOUT), ["temp_degc"])], ALWAYS))


def test_updates_the_statistics_while_readings_arrive(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "central.db")) as store:
        stream = store.stream("imu", LAYOUT)
        store.append(stream, [new(1)])
        with running("statistics", partial(keep_statistics, store, every_s=0.01)):
            wait_for(lambda: count(store) == 1)
            store.append(stream, [new(1000)])
            wait_for(lambda: count(store) == 2)
        store.append(stream, [new(2000)])
        assert count(store) == 2


def test_reports_a_failure_once_and_tries_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Store.open(str(tmp_path / "central.db")) as store:
        store.append(store.stream("imu", LAYOUT), [new(1)])
        with store.writes() as connection:
            connection.execute(text("ALTER TABLE hours RENAME TO away"))
        with running("statistics", partial(keep_statistics, store, every_s=0.01)):
            wait_for(lambda: caplog.records)
            with store.writes() as connection:
                connection.execute(text("ALTER TABLE away RENAME TO hours"))
            wait_for(lambda: count(store) == 1)
        (record,) = caplog.records
        assert "hourly statistics" in record.getMessage()
