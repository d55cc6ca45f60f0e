"""Targets for settings: the file, changes over the line, and what is stored of both."""

import json
import struct
import zlib
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from pygnc.configuration.load import ConfigurationError, settings_from_tables, table_from_text
from pygnc.configuration.settings import Settings
from pygnc.configuration.trial import RECORD_FILE, Record, Tables, Trial, read_record
from pygnc.host.channel_events import Received
from pygnc.host.parameters import Parameters, decode_slots, encode_slot
from pygnc.host.sentence_types import PSET
from pygnc.host.settings_slots import NAMES, load_settings, named_values
from pygnc.host.transfer import Refusal
from tests.fuzz import mutations
from tests.fuzz.mutations import sealed_at_end
from tests.fuzz.target import Target, finite, folder, sealing

PATH = Path("fuzz")


def check_settings(settings: Settings) -> None:
    """Settings that were accepted are in range and equal themselves after a conversion to tables."""
    tables = msgspec.to_builtins(settings)
    assert msgspec.convert(tables, Settings) == settings
    assert finite(number for value in named_values(settings).values() for number in numbers_in(value))


def numbers_in(value: object) -> Iterable[float]:
    if isinstance(value, int | float):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from numbers_in(item)


def check_toml(data: bytes) -> None:
    try:
        tables = Tables(table_from_text(data.decode("utf-8", "replace"), "fuzz"), {"logs": {"reserve_bytes": 7}})
        settings = settings_from_tables(tables, PATH)
    except ConfigurationError:
        return
    check_settings(settings)
    content = msgspec.json.encode(tables)
    stored = msgspec.json.decode(content, type=Tables)
    assert msgspec.json.encode(stored) == content
    assert settings_from_tables(stored, PATH) == settings
    assert not Trial.of_flown(PATH, tables).is_given_up


@cache
def all_settings() -> dict[str, Any]:
    return named_values(Settings())


def check_parameters(data: bytes) -> None:
    """Lines of PSET; what is accepted is stored, and a start with the stored text is possible."""
    slots = [b"", b""]

    def accept(text: str) -> object:
        return settings_from_tables(Tables({}, table_from_text(text, "fuzz")), PATH)

    parameters = Parameters(all_settings(), accept, slots, slots.__setitem__)
    for line in data.split(b"\n")[:8]:
        tail = line[: PSET.tail_max]
        if len(tail) < PSET.tail_min:
            continue
        try:
            received = Received(PSET, 1, PSET.unpack(tail), is_late=False, is_retry=False)
            answers = parameters.handle(received)
        except Refusal:
            continue
        assert len(answers) == 1
        stored = decode_slots(slots)
        assert stored.damaged == ()
        settings = accept(stored.text)
        assert isinstance(settings, Settings)
        check_settings(settings)
        Parameters(all_settings(), accept, slots, slots.__setitem__)


def check_slots(data: bytes) -> None:
    """Two slots, divided by a line."""
    home = folder() / "slots"
    home.mkdir(exist_ok=True)
    for name, content in zip(NAMES, (data + b"\n--\n").split(b"\n--\n"), strict=False):
        (home / name).write_bytes(content)
    loaded = load_settings(None, home)
    check_settings(loaded.settings)
    stored = decode_slots([(home / name).read_bytes() for name in NAMES])
    if stored.generation:
        Parameters(all_settings(), lambda _: None, [encode_slot(stored.generation, stored.text)], lambda *_: None)


def check_trial(data: bytes) -> None:
    home = folder() / "trial"
    home.mkdir(exist_ok=True)
    (home / RECORD_FILE).write_bytes(data)
    record, fault = read_record(home)
    loaded = load_settings(None, home)
    check_settings(loaded.settings)
    assert not fault or loaded.fault
    assert isinstance(record.failed, int)


def seal_records(data: bytes) -> bytes:
    """Correct the length and the CRC-32 of a slot; the others of a record."""
    if data[:4] == b"PGPS" and len(data) >= 14:
        body = data[:8] + struct.pack("<H", (len(data) - 14) % 65536) + data[10:-4]
        return body + struct.pack("<I", zlib.crc32(body))
    return sealed_at_end(data)


def seal_trial(data: bytes) -> bytes:
    _, _, content = data.partition(b"\n")
    return b"%08x\n" % zlib.crc32(content) + content


def settings_seeds() -> list[bytes]:
    lines = [f"{name} = {json.dumps(value)}" for name, value in all_settings().items() if value is not None]
    device = '[devices.imu]\nfamily = "gx2"\nport = "a"\ninterval_s = 2.0\noptions = {timer_hz = 10}\nstream = "CC"'
    sections = "[logs]\nceiling_bytes = 64\n[attitude.gyro]\nscale = 1.5\n[orbit]\nfixes = 5"
    return [text.encode() for text in ("\n".join(lines), device, sections, "\n".join(lines[::9]), lines[0])]


def settings_targets() -> dict[str, Target]:
    """Return the targets by name."""
    texts = mutations.text([name.encode() for name in all_settings()])
    seeds = settings_seeds()
    slot = encode_slot(3, "logs.reserve_bytes = 9\nattitude.gyro.scale = 2.0\n")
    flown = msgspec.json.encode(Record(Tables({"logs": {"reserve_bytes": 7}}), 5, 1))
    trials = sealing(mutations.text([b"flown", b"failed"]), seal_trial)
    return {
        "toml": Target(check_toml, texts, seeds),
        "parameters": Target(check_parameters, texts, seeds),
        "slots": Target(check_slots, sealing(texts, seal_records), [slot, slot + b"\n--\n" + slot]),
        "trial": Target(check_trial, trials, [seal_trial(b"\n" + flown)]),
    }
