"""Gadgets and readings of batonopc's Django server are imported from its dump, once."""

import json
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from pygnc_batonopc.flat_json import flat_json
from pygnc_batonopc.table import import_batonopc
from pygnc_station.errors import StoreError
from pygnc_station.store import schema
from pygnc_station.store.query import newest_of_each_kind
from pygnc_station.store.store import Store

GADGET = {"factory_id": "OPC_7", "status": "A", "notes": "beside the door", "created": "2021-01-01T00:00:00Z"}
LOG = {
    "gadget": 3,
    "action_type": "Setup",
    "action": "set up",
    "notes": "",
    "when": "2021-01-02T10:00:00Z",
    "who": "me",
}


def reading(pk: int, minute: int, gadget: int = 3) -> dict[str, Any]:
    values = {"temp": 20.5, "rh": 51.0, "pm_01": 1.0, "pm_25": 2.5, "pm_10": 10.0, "bin_0": 0.1, "samplingperiod": 5.0}
    keys = {"gadget": gadget, "timestamp": f"2021-01-02T10:{minute:02}:00Z", "source_ref": "2021_1", "rdg_no": pk}
    return {"model": "baton.reading", "pk": pk, "fields": keys | values}


def write(path: Path, *readings: dict[str, Any]) -> Path:
    objects = [
        *readings,
        {"model": "baton.gadget", "pk": 3, "fields": GADGET},
        {"model": "baton.gadgetlog", "pk": 1, "fields": LOG},
        {"model": "tb_users.user", "pk": 1, "fields": {"email": "a@b.example", "password": "!"}},
    ]
    is_list = path.suffix == ".json"
    path.write_text(json.dumps(objects) if is_list else "".join(f"{json.dumps(each)}\n" for each in objects))
    return path


def test_a_dump_of_the_server_is_imported_once(tmp_path: Path) -> None:
    with Store.open(str(tmp_path / "central.db")) as store:
        rows = [reading(10, 0), reading(11, 1), reading(12, 2, gadget=99)]
        assert import_batonopc(store, write(tmp_path / "dump.jsonl", *rows), "") == (2, 1)
        again = write(tmp_path / "dump.json", *rows, reading(13, 3))
        assert import_batonopc(store, again, "") == (3, 1)
        ((newest, stream),) = newest_of_each_kind(store)
        assert stream.gadget_id == "OPC_7"
        assert newest.number == 13
        found = flat_json(newest, stream)
        assert (found["timestamp"], found["pm_25"], found["samplingperiod"]) == ("2021-01-02T10:03:00.000Z", 2.5, 5.0)
        with store.reads() as connection:
            assert len(connection.execute(select(schema.readings.c.number)).all()) == 3
            assert len(connection.execute(select(schema.gadget_log)).all()) == 1
            device = connection.execute(select(schema.devices)).one()
        assert (device.status, device.notes) == ("A", "beside the door")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no gadget of batonopc's server"),
        ("x", "not the output of Django"),
        ('{"a": 1}', "not the output of Django"),
    ],
)
def test_other_files_are_named(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "dump.jsonl"
    path.write_text(text)
    with Store.open(str(tmp_path / "central.db")) as store, pytest.raises(StoreError, match=why):
        import_batonopc(store, path, "")
