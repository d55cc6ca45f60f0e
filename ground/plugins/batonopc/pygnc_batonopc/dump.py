"""Import of the gadgets, their logs and the readings of batonopc's Django server, from `manage.py dumpdata`.

A dump with an object per line (`--format jsonl`) is read in constant memory. A repeated import adds only what is new.
"""

import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from pygnc_batonopc.table import FAMILY, KIND, UNITS, origin_of
from pygnc_station.errors import StoreError
from pygnc_station.store import schema
from pygnc_station.store.readings import Column, Layout, NewReading, Quality, parse_time, plain, to_text
from pygnc_station.store.schema import MAX_NAME_LENGTH
from pygnc_station.store.store import Store, make_device

_PAGE: Final = 2000
_KEYS: Final = frozenset({"gadget", "timestamp", "source_ref", "rdg_no", "created", "updated", "creator", "updator"})
_NAMES: Final = {
    "samplingperiod": "sampling_period", "sampleflowrate": "sample_flow_rate",
    "rejectcountglitch": "reject_count_glitch", "rejectcountlong": "reject_count_longtof",
}  # fmt: skip
"""Names in batonopc's table by those of its server."""


def import_dump(store: Store, path: Path) -> tuple[int, int]:
    """Import a dump; return the number of readings, and that of the readings without a valid time or gadget.

    Raises:
        StoreError: the file is not a dump, or contains no readings and gadgets of batonopc's server.
    """
    gadgets: dict[Any, str] = {}
    with store.writes() as connection:
        for pk, fields in _objects(path, "gadget"):
            name = str(fields.get("factory_id") or "")
            if name and name.isprintable() and len(name) <= MAX_NAME_LENGTH:
                gadgets[pk] = name
                _add_gadget(connection, name, fields)
        for _, fields in _objects(path, "gadgetlog"):
            if fields.get("gadget") in gadgets:
                _add_to_log(connection, gadgets[fields["gadget"]], fields)
    if not gadgets:
        raise StoreError(f"{path}: no gadget of batonopc's server; export gadgets and readings by `manage.py dumpdata`")
    readings = skipped = 0
    origin = ""
    objects = _objects(path, "reading")
    while page := list(islice(objects, _PAGE)):
        origin = origin or origin_of((page[0][0], page[0][1].get("timestamp")))
        groups, without = _grouped(page, gadgets)
        for (gadget, layout), numbered in groups.items():
            store.put(store.stream(gadget, layout, family=FAMILY, origin=origin), numbered)
            readings += len(numbered)
        skipped += without
    return readings, skipped


def _grouped(
    page: Iterable[tuple[Any, dict[str, Any]]], gadgets: dict[Any, str]
) -> tuple[dict[tuple[str, Layout], list[tuple[int, NewReading]]], int]:
    """Return numbered readings by gadget and layout, and the number of readings that cannot be imported."""
    groups: dict[tuple[str, Layout], list[tuple[int, NewReading]]] = {}
    skipped = 0
    for pk, fields in page:
        try:
            t_utc_ms = parse_time(str(fields.get("timestamp")))
            gadget = gadgets[fields.get("gadget")]
            number = int(pk)
        except (ValueError, TypeError, KeyError):
            skipped += 1
            continue
        values = {_NAMES.get(name, name): plain(value) for name, value in fields.items() if name not in _KEYS}
        columns = tuple(Column(name, UNITS.get(name, ""), csv_unit=UNITS.get(name, "")) for name in values)
        reading = NewReading(t_utc_ms, int(Quality.IMPORTED), 0, "", to_text(values.values()), None)
        groups.setdefault((gadget, Layout(KIND, columns)), []).append((number, reading))
    return groups, skipped


def _objects(path: Path, model: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """Yield key and fields of the objects of a model in any application."""
    try:
        with path.open(encoding="utf-8") as lines:
            first = lines.read(1)
            lines.seek(0)
            objects = json.load(lines) if first == "[" else map(json.loads, filter(str.strip, lines))
            for each in objects:
                if str(each["model"]).rpartition(".")[2].lower() == model:
                    yield each.get("pk"), each["fields"]
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}") from None
    except (ValueError, TypeError, KeyError) as error:
        raise StoreError(f"{path}: not the output of Django's `manage.py dumpdata` ({error})") from None


def _add_gadget(connection: Connection, name: str, fields: dict[str, Any]) -> None:
    """Register a gadget; notes that somebody has written here are kept."""
    d = schema.devices.c
    device_id = make_device(connection, name, FAMILY, str(fields.get("status") or "_")[:1])
    is_new = (d.id == device_id, d.notes == "")
    connection.execute(update(schema.devices).where(*is_new).values(notes=str(fields.get("notes") or "")))


def _add_to_log(connection: Connection, gadget: str, fields: dict[str, Any]) -> None:
    try:
        t_utc_ms = parse_time(str(fields.get("when")))
    except ValueError:
        return
    c = schema.gadget_log.c
    texts = {ours: str(fields.get(theirs) or "") for ours, theirs in (("action", "action"), ("notes", "notes"))}
    texts |= {"action_type": str(fields.get("action_type") or "Note")[:MAX_NAME_LENGTH]}
    texts |= {"place": str(fields.get("where") or ""), "who": str(fields.get("who") or "")[:MAX_NAME_LENGTH]}
    row: dict[str, Any] = texts | {"device_id": make_device(connection, gadget), "t_utc_ms": t_utc_ms}
    if connection.execute(select(c.id).where(*(c[name] == value for name, value in row.items()))).first() is None:
        connection.execute(insert(schema.gadget_log), row)
