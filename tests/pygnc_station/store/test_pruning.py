import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pygnc_station.store import query
from pygnc_station.store.cursors import SYNC
from pygnc_station.store.pruning import prune, prune_files, prune_to_size
from pygnc_station.store.store import Store
from pygnc_station.upload.sync import synchronise
from tests.pygnc_station.store.samples import LAYOUT, START_MS, new


@pytest.fixture
def store(sqlite_url: str) -> Iterator[Store]:
    with Store.open(sqlite_url) as store:
        store.append(store.stream("pump/1", LAYOUT), [new(rank) for rank in range(10)])
        yield store


def _numbers(store: Store, gadget: str = "pump/1") -> list[int]:
    return [item.number for item in query.between(store, query.streams(store, gadget))]


def test_prunes_readings_that_all_readers_have_processed(store: Store, tmp_path: Path) -> None:
    cutoff = START_MS + 5 * 5000
    assert prune(store, cutoff, [SYNC]) == 0
    assert synchronise(store, str(tmp_path / "central.db"), START_MS).sent == 10
    assert prune(store, cutoff, [SYNC]) == 5
    assert _numbers(store) == [6, 7, 8, 9, 10]
    assert prune(store, cutoff + 10**9) == 5
    assert store.append(store.stream("pump/1", LAYOUT), [new(0)]) == 11


def test_prunes_the_oldest_readings_of_a_database_that_is_too_large(store: Store) -> None:
    store.append(store.stream("pump/2", LAYOUT), [new(rank) for rank in range(10, 20_000)])
    full = store.used_bytes()
    assert prune_to_size(store, full) == 0
    deleted = prune_to_size(store, full // 2)
    assert full // 4 < store.used_bytes() <= full // 2
    assert _numbers(store) == []
    assert _numbers(store, "pump/2") == list(range(deleted - 10 + 1, 19_991))


def test_readings_to_be_transferred_do_not_protect_others_from_the_limit_of_size(store: Store, tmp_path: Path) -> None:
    synchronise(store, str(tmp_path / "central.db"), START_MS)
    store.append(store.stream("pump/1", LAYOUT), [new(rank) for rank in range(10, 20)])
    assert prune_to_size(store, 1, [SYNC]) == 10
    assert _numbers(store) == list(range(11, 21))


def test_prunes_the_oldest_zips_of_a_folder(tmp_path: Path) -> None:
    for rank in range(5):
        path = tmp_path / f"{rank}.zip"
        path.write_bytes(bytes(100))
        os.utime(path, (1000.0 - rank, 1000.0 - rank))
    (tmp_path / "note.txt").write_bytes(bytes(10_000))
    assert prune_files(tmp_path, 500, 2000.0) == 0
    assert prune_files(tmp_path, 250, 998.0) == 2
    assert prune_files(tmp_path, 250, 2000.0) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0.zip", "1.zip", "note.txt"]
    assert prune_files(tmp_path / "missing", 0, 2000.0) == 0
