import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url, update

from pygnc_station.store import cursors, query, schema
from pygnc_station.store.store import Store
from pygnc_station.upload import sync
from pygnc_station.upload.retry import retry_delay_ms, retry_state
from pygnc_station.upload.sync import dead_letters, send_dead_letters, synchronise
from tests.fakes.mariadb import MariaDb
from tests.pygnc_station.store.samples import LAYOUT, START_MS, new


def _numbers(where: str) -> list[int]:
    with Store.open(where) as store:
        return [item.number for item in query.between(store, query.streams(store))]


def test_every_reading_arrives_once(sqlite_url: str, url: str) -> None:
    local_url = sqlite_url + "-local"
    with Store.open(local_url) as local:
        stream = local.stream("g", LAYOUT, family="ucb")
        local.append(stream, [new(rank) for rank in range(2500)])
        assert synchronise(local, url, START_MS) == sync.SyncResult(sent=2500)
        assert synchronise(local, url, START_MS) == sync.SyncResult()
        # Killed between the commit of the central store and the advance of the cursor.
        with local.writes() as connection:
            connection.execute(update(schema.cursors).values(number=1000))
        local.append(stream, [new(2500)])
        assert synchronise(local, url, START_MS) == sync.SyncResult(sent=1501)
        assert retry_state(local, "sync").last_success_ms == START_MS
        origin = local.origin
    assert _numbers(url) == list(range(1, 2502))
    with Store.open(url) as central:
        (mirrored,) = query.streams(central)
        assert (mirrored.gadget_id, mirrored.family, mirrored.origin) == ("g", "ucb", origin)
        assert query.recent(central, [mirrored], 1)[0][2:] == new(2500)


def test_a_restored_central_store_gets_again_what_it_has_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    central, backup = tmp_path / "central.db", tmp_path / "backup.db"
    with Store.open(str(tmp_path / "local.db")) as local:
        stream = local.stream("g", LAYOUT)
        local.append(stream, [new(rank) for rank in range(10)])
        synchronise(local, str(central), START_MS)
        shutil.copy(central, backup)
        local.append(stream, [new(rank) for rank in range(10, 15)])
        assert synchronise(local, str(central), START_MS).sent == 5
        shutil.copy(backup, central)
        local.append(stream, [new(rank) for rank in range(15, 17)])
        assert synchronise(local, str(central), START_MS).sent == 7
        assert "readings 11 to 15 of g" in caplog.text
        assert synchronise(local, str(central), START_MS) == sync.SyncResult()
        # Between two pages of one synchronisation.
        local.append(stream, [new(rank) for rank in range(17, 25)])
        monkeypatch.setattr(sync, "_PAGE", 4)
        advance = cursors.advance

        def restore(*arguments: Any) -> None:  # noqa: ANN401 - those of advance
            advance(*arguments)
            with closing(sqlite3.connect(backup)) as source, closing(sqlite3.connect(central)) as target:
                source.backup(target)

        with monkeypatch.context() as patch:
            patch.setattr(sync, "advance", restore)
            assert "was restored from a backup" in str(synchronise(local, str(central), START_MS).problem)
        assert synchronise(local, str(central), START_MS).sent == 15
    assert _numbers(str(central)) == list(range(1, 26))


def test_a_new_origin_is_no_loss_of_the_central_store(sqlite_url: str) -> None:
    central = f"{sqlite_url}-central"
    with Store.open(sqlite_url) as local:
        stream = local.stream("g", LAYOUT)
        local.append(stream, [new(rank) for rank in range(10)])
        synchronise(local, central, START_MS)
        local.renew_origin()
        local.append(stream, [new(rank) for rank in range(10, 12)])
        assert synchronise(local, central, START_MS).sent == 2
        assert synchronise(local, central, START_MS) == sync.SyncResult()
    assert _numbers(central) == list(range(1, 13))


@pytest.mark.xdist_group("mariadb")
def test_an_outage_is_retried_later_and_loses_nothing(sqlite_url: str, mariadb: MariaDb) -> None:
    central = mariadb.new_database()
    with Store.open(sqlite_url) as local:
        local.append(local.stream("g", LAYOUT), [new(rank) for rank in range(10)])
        mariadb.stop()
        try:
            problem = str(synchronise(local, central, START_MS).problem)
        finally:
            mariadb.start()
        assert "mysql" in problem
        state = retry_state(local, "sync")
        assert (state.attempts, state.problem) == (1, problem)
        assert START_MS + 3_000 < state.next_try_ms < START_MS + 7_000
        assert synchronise(local, central, START_MS).sent == 10
        assert retry_state(local, "sync").attempts == 0


@pytest.mark.xdist_group("mariadb")
def test_refused_readings_become_dead_letters_and_delay_nothing(sqlite_url: str, mariadb: MariaDb) -> None:
    central = mariadb.new_database()
    name = central.split("?")[0].rsplit("/", 1)[1]
    with Store.open(sqlite_url) as local:
        local.append(
            local.stream("g", LAYOUT), [new(rank, text="x" * 50 if rank in {3, 7} else "ok") for rank in range(20)]
        )
        Store.open(central).close()
        mariadb.run(f"ALTER TABLE {name}.readings MODIFY content VARCHAR(40) NOT NULL")
        assert synchronise(local, central, START_MS) == sync.SyncResult(sent=18, refused=2)
        assert [number for _, number, _ in dead_letters(local)] == [4, 8]
        assert "too long" in dead_letters(local)[0][2]
        assert send_dead_letters(local, central) == sync.SyncResult(refused=2)
        mariadb.run(f"ALTER TABLE {name}.readings MODIFY content LONGTEXT NOT NULL")
        assert send_dead_letters(local, central) == sync.SyncResult(sent=2)
        assert dead_letters(local) == []
    assert _numbers(central) == list(range(1, 21))


def test_retry_delays_double_up_to_an_hour() -> None:
    assert 4_000 <= retry_delay_ms(1) <= 6_000
    assert 64_000 <= retry_delay_ms(5) <= 96_000
    assert 2_880_000 <= retry_delay_ms(1000) <= 4_320_000


def test_a_copied_store_gets_a_new_origin_and_loses_no_reading(sqlite_url: str, url: str) -> None:
    original, copy = sqlite_url + "-original", sqlite_url + "-copy"
    with Store.open(original) as local:
        local.append(local.stream("g", LAYOUT), [new(rank) for rank in range(3)])
        synchronise(local, url, START_MS)
    shutil.copy(make_url(original).database or "", make_url(copy).database or "")
    for where, ranks in ((original, range(3, 8)), (copy, range(103, 106))):
        with Store.open(where) as local:
            local.append(local.stream("g", LAYOUT), [new(rank) for rank in ranks])
            origin = local.origin
            result = synchronise(local, url, START_MS)
            if where == original:
                assert result == sync.SyncResult(sent=5)
            else:
                assert (result.sent, result.refused) == (0, 3)
                assert "copies" in dead_letters(local)[0][2]
                assert local.origin != origin
                assert send_dead_letters(local, url) == sync.SyncResult(sent=3)
    with Store.open(url) as central:
        found = query.between(central, query.streams(central))
    expected = [new(rank).t_utc_ms for rank in (*range(8), *range(103, 106))]
    assert [item.t_utc_ms for item in found] == expected
