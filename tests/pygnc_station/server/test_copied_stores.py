"""Stations whose stores are copies of each other: cloned cards and restored backups."""

import logging
import shutil
from pathlib import Path

import pytest
from msgspec.structs import replace

from pygnc_station.settings import StationSettings
from pygnc_station.store import query
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.uploader import sender_of
from tests.pygnc_station.server.samples import Running, batch_of, server, station, upload
from tests.pygnc_station.store.samples import LAYOUT, new

pytestmark = pytest.mark.slow


def _times(store: Store) -> list[int]:
    return sorted(item.t_utc_ms for item in query.between(store, query.streams(store)))


def test_cloned_stations_lose_no_reading_and_part_their_origins(
    tmp_path: Path, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    with server(tmp_path / "server", url) as there:
        settings = station(tmp_path / "a", there.url, there.new_key())
        with Store.open(str(tmp_path / "a.db")) as store:
            batch_of(store, settings, range(3))
            assert upload(store, settings).notes == []
        shutil.copytree(tmp_path / "a", tmp_path / "b")
        shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
        clone = station(tmp_path / "b", there.url)
        with Store.open(str(tmp_path / "a.db")) as store, Store.open(str(tmp_path / "b.db")) as copy:
            origin = store.origin
            batch_of(store, settings, range(3, 6))
            batch_of(copy, clone, range(103, 105))
            assert upload(store, settings).notes == []
            with caplog.at_level(logging.WARNING):
                note, renewal = upload(copy, clone).notes
            assert "2 readings of imu" in note
            assert "copies" in note
            assert copy.origin in renewal
            assert "2 readings of imu" in caplog.text
            assert copy.origin not in {origin, store.origin}
            # The running logger of the clone continues in its streams, and no later batch is in conflict.
            batch_of(store, settings, range(6, 8))
            batch_of(copy, clone, range(105, 108))
            assert (upload(copy, clone).notes, upload(store, settings).notes) == ([], [])
        assert _times(there.store) == [new(rank).t_utc_ms for rank in (*range(8), *range(103, 108))]


def test_the_note_about_a_clone_names_each_gadget_once(tmp_path: Path) -> None:
    kinds = [replace(LAYOUT, kind=f"kind {rank}") for rank in range(4)]
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        for layout in kinds:
            theirs = there.store.stream("pack", layout, family="emus", origin=store.origin)
            there.store.put(theirs, [(1, new(50))])
            store.append(store.stream("pack", layout, family="emus"), [new(0), new(1)])
        make_batch(store, settings, clock_ms())
        note = upload(store, settings).notes[0]
        assert "4 readings of pack differ" in note
        assert note.count("pack") == 1


def test_what_concerns_many_batches_of_a_copy_is_noted_once(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        settings = station(tmp_path / "a", there.url, there.new_key("roof"))
        with Store.open(str(tmp_path / "a.db")) as store:
            for rank in range(4):
                batch_of(store, settings, range(10 * rank, 10 * rank + 5))
            shutil.copytree(tmp_path / "a", tmp_path / "b")
        shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
        with Store.open(str(tmp_path / "a.db")) as store:
            upload(store, settings)
        copy = station(tmp_path / "b", there.url, there.new_key("clone"), name="clone")
        with Store.open(str(tmp_path / "b.db")) as store:
            _, refusal = upload(store, copy).notes
            assert " (and 3 more): readings of origin " in refusal
            make_batch(store, copy, clock_ms())
            (known,) = upload(store, copy).notes
            assert " (and 3 more): 5 readings of imu were stored before, from a copy of this station" in known


def test_a_conflicting_batch_that_is_sent_again_changes_nothing(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there, Store.open(str(tmp_path / "r.db")) as store:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        mine = there.store.stream("imu", LAYOUT, family="ucb", origin=store.origin)
        there.store.put(mine, [(2, new(50))])
        first = batch_of(store, settings, range(3))
        path = tmp_path / "pi/batches2upload" / first.file_name
        sender = sender_of(settings)
        conflicts = [sender.send(first, path).conflict for _ in range(2)]
        sender.close()
        assert conflicts == [store.origin] * 2
        assert _times(there.store) == [new(rank).t_utc_ms for rank in (0, 1, 2, 50)]


def test_a_restored_backup_gets_a_new_origin(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        settings = station(tmp_path / "pi", there.url, there.new_key())
        path, backup = tmp_path / "r.db", tmp_path / "backup.db"
        with Store.open(str(path)) as store:
            batch_of(store, settings, range(3))
            upload(store, settings)
        shutil.copy(path, backup)
        with Store.open(str(path)) as store:
            origin = store.origin
            batch_of(store, settings, range(3, 5))
            upload(store, settings)
        shutil.copy(backup, path)
        with Store.open(str(path)) as store:
            batch_of(store, settings, range(10, 14))
            assert len(upload(store, settings).notes) == 2
            assert store.origin != origin
        assert _times(there.store) == [new(rank).t_utc_ms for rank in (*range(5), *range(10, 14))]


def _copied_with_new_name(tmp_path: Path, there: Running) -> tuple[StationSettings, StationSettings]:
    """Return a station with three uploaded and two waiting readings, and a copy of it that has registered anew."""
    settings = station(tmp_path / "a", there.url, there.new_key("roof"))
    with Store.open(str(tmp_path / "a.db")) as store:
        batch_of(store, settings, range(3))
        upload(store, settings)
        store.append(store.stream("imu", LAYOUT), [new(rank) for rank in range(3, 5)])
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    shutil.copy(tmp_path / "a.db", tmp_path / "b.db")
    return settings, station(tmp_path / "b", there.url, there.new_key("clone"), name="clone")


@pytest.mark.parametrize("order", ["ab", "ba"])
def test_readings_on_a_copied_card_are_stored_once_although_the_copy_has_another_name(
    tmp_path: Path, url: str, order: str
) -> None:
    with server(tmp_path / "server", url) as there:
        both = dict(zip("ab", _copied_with_new_name(tmp_path, there), strict=True))
        notes = []
        for round_ in range(2):
            for name in order:
                with Store.open(str(tmp_path / f"{name}.db")) as store:
                    start = {"a": 10, "b": 20}[name] + 100 * round_
                    batch_of(store, both[name], range(start, start + 3))
                    for _ in range(3):  # the first is refused, and the batch is written again under a new origin
                        notes += upload(store, both[name]).notes
                        make_batch(store, both[name], clock_ms())
        assert _times(there.store) == sorted(
            new(rank).t_utc_ms for start in (0, 10, 20, 110, 120) for rank in range(start, start + (3 if start else 5))
        )
        assert sum("2 readings of imu were stored before, from a copy of this station" in note for note in notes) == 1
        names = {stream.gadget_id for stream in query.streams(there.store)}
        assert names == {"imu", "imu@clone"}


def test_equal_readings_of_other_gadgets_and_stores_are_kept(tmp_path: Path) -> None:
    with server(tmp_path / "server") as there:
        for name in ("one", "two"):  # the same times, values and numbers, but no copies
            settings = station(tmp_path / name, there.url, there.new_key(name), name=name)
            with Store.open(str(tmp_path / f"{name}.db")) as store:
                store.append(store.stream("other", LAYOUT), [new(rank) for rank in range(3)])
                batch_of(store, settings, range(3))
                assert upload(store, settings).notes == []
        assert len(_times(there.store)) == 12
