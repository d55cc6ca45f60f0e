from pathlib import Path

import msgspec
import pytest

from pygnc.bus.messages import BatchEnd, OrbitWatermark, SourceFile
from pygnc.formats import journal
from pygnc.formats.sense import SENSE_SENSORS
from pygnc.inputs.host_packets import sample_message
from pygnc_ground.inspection import sections
from pygnc_ground.inspection.journal import JOURNALS, count_journal, decode_message, journal_tables
from pygnc_ground.inspection.sections import Entry, Facts, Listing, Section
from tests.pygnc.inputs.test_host_packets import PLACE, sensor_packet
from tests.pygnc.inputs.test_journaled import former_sample
from tests.pygnc_ground.inspection.samples import event, journal_bytes, sensor_sample


def view(path: Path, content: bytes, messages: int = 0) -> list[Section]:
    path.write_bytes(content)
    return list(JOURNALS.view(path, messages))


def facts(sections: list[Section], title: str) -> Facts:
    return next(section for section in sections if isinstance(section, Facts) and section.title == title)


def listing(sections: list[Section], title: str) -> Listing:
    return next(section for section in sections if isinstance(section, Listing) and section.title == title)


def test_counts_and_numbers_of_each_kind_of_message(tmp_path: Path) -> None:
    sections = view(tmp_path / "j", journal_bytes([sensor_sample(5), sensor_sample(6), event(7)], first_seq=5))
    rows = listing(sections, "messages").rows
    assert [row[:4] for row in rows] == [("SensorSample", 2, 5, 6), ("Event", 1, 7, 7)]
    totals = facts(sections, "journal").values
    assert (totals["messages"], totals["first_number"], totals["last_number"]) == (3, 5, 7)
    assert (totals["missing_numbers"], totals["damaged_bytes"]) == (0, 0)


def test_the_header_is_shown_with_its_settings_and_date(tmp_path: Path) -> None:
    sections = view(tmp_path / "j", journal_bytes([]))
    assert facts(sections, "header").values["pygnc"] == "1.2.3"
    assert facts(sections, "header").values["wall_clock_utc"] == "2023-11-14T22:13:20Z"
    assert facts(sections, "settings").values == {"orbit.degree": 50}


@pytest.mark.parametrize(
    ("footer", "state"),
    [
        (None, "open: still being written, or cut off"),
        (msgspec.msgpack.encode({"recovered": False}), "closed in order"),
        (msgspec.msgpack.encode({"recovered": True}), "closed by a later run, after a crash or power cut"),
    ],
)
def test_the_state_of_the_file_is_shown(tmp_path: Path, footer: bytes | None, state: str) -> None:
    assert facts(view(tmp_path / "j", journal_bytes([event(1)], footer=footer)), "journal").values["state"] == state


def test_damage_is_named_by_its_bytes_and_missing_numbers_are_counted(tmp_path: Path) -> None:
    parts = [journal_bytes([], footer=None), *journal.encode_messages(1, [msgspec.msgpack.encode(event(1))] * 3)]
    start, stop = len(parts[0]) + len(parts[1]), len(parts[0]) + 2 * len(parts[1])
    content = bytearray(b"".join(parts)) + parts[3][:-1]
    content[start + 30] ^= 3
    sections = view(tmp_path / "j", bytes(content))
    assert [row[:4] for row in listing(sections, "damage").rows] == [
        (start, stop, stop - start, "content"),
        (len(content) - len(parts[3]) + 1, len(content), len(parts[3]) - 1, "cut_tail"),
    ]
    assert facts(sections, "journal").values["missing_numbers"] == 1


def test_chunks_of_any_length_are_equivalent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = journal_bytes([sensor_sample(k) for k in range(1, 40)])
    content = content[:1000] + bytes(500) + content[1000:] + b"tail"
    (tmp_path / "j").write_bytes(content)
    whole = count_journal(tmp_path / "j")
    monkeypatch.setattr(sections, "CHUNK_BYTES", 67)
    pieces = count_journal(tmp_path / "j")
    assert list(pieces.damage.sections()) == list(whole.damage.sections())
    assert (pieces.records, pieces.messages) == (whole.records, whole.messages)


def test_messages_are_shown_by_field_name_up_to_the_limit(tmp_path: Path) -> None:
    sections = view(tmp_path / "j", journal_bytes([sensor_sample(1), event(2), event(3)]), messages=2)
    entries = [section for section in sections if isinstance(section, Entry)]
    assert [entry.kind for entry in entries] == ["SensorSample", "Event"]
    assert entries[0].fields["mag_imu_ut"] == [1.5, -20.25, 33.0]
    assert entries[0].fields["raw"] == bytes(range(30))


def test_lists_in_a_message_are_shown_as_they_are() -> None:
    file = SourceFile(seq=1, name="sense.bin", size_bytes=251, damage=((200, 251, "cut_tail"),))
    kind, fields = decode_message(msgspec.msgpack.encode(file))
    assert kind == "SourceFile"
    assert fields["damage"] == [[200, 251, "cut_tail"]]


def test_former_messages_are_shown_with_the_fields_of_today() -> None:
    former = former_sample(sample_message(sensor_packet(7), PLACE, "resistance"), 7)
    kind, fields = decode_message(former)
    assert (kind, fields["kind"], fields["raw"]) == ("SensorSample", SENSE_SENSORS, sensor_packet(7))


def test_watermarks_are_shown_by_field_name() -> None:
    mark = OrbitWatermark(seq=3, last_input_seq=8)
    assert decode_message(msgspec.msgpack.encode(mark)) == ("OrbitMark", {"seq": 3, "last_input_seq": 8})


@pytest.mark.parametrize(
    ("payload", "shown"),
    [
        (msgspec.msgpack.encode(["NewKind", 4, "text"]), ("NewKind", {"field_1": 4, "field_2": "text"})),
        (msgspec.msgpack.encode(["BatchEnd", "four", 4]), ("BatchEnd", {"field_1": "four", "field_2": 4})),
        (msgspec.msgpack.encode(BatchEnd(seq=4, cause="x")), ("BatchEnd", {"seq": 4, "cause": "x"})),
        (b"\xc1", ("(no message)", {"raw": b"\xc1"})),
        (b"\x91" * 16_000 + b"\x00", ("(no message)", {"raw": b"\x91" * 16_000 + b"\x00"})),
    ],
)
def test_messages_of_another_version_are_shown_as_far_as_possible(payload: bytes, shown: tuple[str, object]) -> None:
    assert decode_message(payload) == shown


def test_the_segments_of_a_journal_become_one_table_per_kind(tmp_path: Path) -> None:
    (tmp_path / "input-00000.pgj").write_bytes(journal_bytes([sensor_sample(1), event(2)]))
    (tmp_path / "input-00001.pgj.part").write_bytes(journal_bytes([sensor_sample(3)], first_seq=3, footer=None)[:-1])
    (tmp_path / "events-00000.pgj").write_bytes(journal_bytes([event(1)]))
    tables = journal_tables(tmp_path, "input")
    assert list(tables) == ["SensorSample", "Event"]
    assert tables["SensorSample"]["seq"].to_list() == [1]
    assert tables["SensorSample"]["mag_imu_ut"].list.to_array(3).to_numpy().tolist() == [[1.5, -20.25, 33.0]]
    with pytest.raises(ValueError, match="no journal 'orbit'; choose from events, input"):
        journal_tables(tmp_path, "orbit")
