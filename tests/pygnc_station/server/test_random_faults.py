"""Random clones, restored backups, registrations and transfers: every reading is stored once."""

import random
import shutil
from collections import Counter
from pathlib import Path

import pytest

from pygnc_station.server import ownership
from pygnc_station.server.access import list_gateways, new_pin
from pygnc_station.store import query
from pygnc_station.store.batches import BatchState, batches
from pygnc_station.store.readings import clock_ms
from pygnc_station.store.store import Store
from pygnc_station.upload.batch_builder import make_batch
from pygnc_station.upload.station_server import register
from tests.pygnc_station.server.samples import Running, server, station, upload
from tests.pygnc_station.store.samples import LAYOUT, new

pytestmark = pytest.mark.slow

STEPS = 60
STATIONS = 5
ROUNDS = 4
"""Uploads after which nothing waits: a refused batch is written again under a new origin, and then sent."""
ACTIONS = {"log": 10, "send": 10, "copy": 2, "restore": 2, "register": 2, "register_without_key": 1, "transfer": 1}


class _Station:
    def __init__(self, there: Running, folder: Path, name: str) -> None:
        self.there, self.path = there, folder / f"{name}.db"
        self.settings = station(folder / name, there.url, there.new_key(name), name=name)
        self.store = Store.open(str(self.path))

    def copy_store(self, target: Path) -> None:
        self.store.close()  # so that the file contains the whole store
        shutil.copy(self.path, target)
        self.store = Store.open(str(self.path))

    def restore(self, source: Path) -> None:
        for _ in range(ROUNDS):
            self.send()
        self.store.close()
        shutil.copy(source, self.path)
        self.store = Store.open(str(self.path))

    def send(self) -> None:
        make_batch(self.store, self.settings, clock_ms())
        assert upload(self.store, self.settings).problem == ""

    def register(self) -> None:
        register(self.settings, new_pin(self.there.store, clock_ms(), 5))


def _transfer(there: Running, choice: random.Random) -> None:
    names = sorted({stream.gadget_id for stream in query.streams(there.store)})
    with there.store.writes() as connection:
        if names:
            gateway = choice.choice(list_gateways(there.store)).id
            ownership.transfer(connection, choice.choice(names), str(gateway), clock_ms())


def _run(there: Running, folder: Path, choice: random.Random) -> tuple[list[_Station], int]:
    """Return the stations after random actions, and the number of readings that they have logged."""
    stations, count = [_Station(there, folder, "s0")], 0
    for step in range(STEPS):
        one = choice.choice(stations)
        backup = one.path.with_suffix(".backup")
        match choice.choices(list(ACTIONS), list(ACTIONS.values()))[0]:
            case "log":
                rows = [new(count + rank) for rank in range(choice.randint(1, 4))]
                one.store.append(one.store.stream(choice.choice(["imu", "opc"]), LAYOUT, family="ucb"), rows)
                count += len(rows)
            case "send":
                one.send()
            case "copy" if len(stations) < STATIONS:
                one.copy_store(folder / f"copy{step}.db")
                stations.append(_Station(there, folder, f"copy{step}"))
            case "copy":
                one.copy_store(backup)
            case "restore" if backup.exists():
                one.restore(backup)
            case "register":
                one.register()
            case "register_without_key":
                one.settings.path(one.settings.upload.key_file).unlink()
                one.register()
            case "transfer":
                _transfer(there, choice)
    return stations, count


@pytest.mark.parametrize("seed", range(3))
def test_every_reading_reaches_the_server_once(tmp_path: Path, seed: int) -> None:
    with server(tmp_path / "server") as there:
        stations, count = _run(there, tmp_path, random.Random(seed))  # noqa: S311 - repeatable
        for one in stations:
            for _ in range(ROUNDS):
                one.send()
            assert {batch.state for batch in batches(one.store)} <= {BatchState.ACCEPTED}
            one.store.close()
        stored = Counter(
            (stream.gadget_id, reading.t_utc_ms)
            for stream in query.streams(there.store)
            for reading in query.between(there.store, [stream])
        )
        assert {t_utc_ms for _, t_utc_ms in stored} == {new(rank).t_utc_ms for rank in range(count)}
        assert [key for key, times in stored.items() if times > 1] == []
