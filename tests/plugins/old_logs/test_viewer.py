import math
from pathlib import Path

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygnc_ground.inspection import sections
from pygnc_ground.inspection.sections import Entry, Listing, Note, Section
from pygnc_old_logs.viewer import OLD_LOGS, decode_message, find_messages, read_old_log
from tests.pygnc_ground.inspection.samples import OLD_GPS, OLD_SENSOR, old_orbit_estimate

NAN = math.nan


def view(path: Path, content: bytes, messages: int = 0) -> list[Section]:
    path.write_bytes(content)
    return list(OLD_LOGS.view(path, messages))


def rows(sections: list[Section], title: str) -> list[tuple[object, ...]]:
    return [
        row for section in sections if isinstance(section, Listing) and section.title == title for row in section.rows
    ]


def notes(sections: list[Section]) -> str:
    return "\n".join(section.text for section in sections if isinstance(section, Note))


def test_an_orbit_estimate_has_the_length_known_from_real_logs() -> None:
    assert 342 <= len(old_orbit_estimate()) <= 346


def test_a_log_is_counted_with_its_epochs(tmp_path: Path) -> None:
    sections = view(tmp_path / "log", old_orbit_estimate(18) + old_orbit_estimate(43))
    assert rows(sections, "messages") == [
        ("OrbitEstimateMessage", 2, "2020-11-29T23:59:18Z", "2020-11-29T23:59:43Z", 0)
    ]
    assert rows(sections, "damage") == []


def test_pitfalls_of_the_field_names_are_noted(tmp_path: Path) -> None:
    warnings = notes(view(tmp_path / "log", old_orbit_estimate()))
    assert "not variances" in warnings
    assert "dropped the last one" in warnings


def test_a_cut_tail_is_reported_with_its_offset(tmp_path: Path) -> None:
    message = old_orbit_estimate()
    sections = view(tmp_path / "log", message + message[:100])
    assert [row[:4] for row in rows(sections, "damage")] == [(len(message), len(message) + 100, 100, "cut_tail")]


def test_messages_behind_foreign_bytes_are_found(tmp_path: Path) -> None:
    message = old_orbit_estimate()
    sections = view(tmp_path / "log", message + b"\x96\xb4junk" + message, messages=5)
    assert [row[:4] for row in rows(sections, "damage")] == [(len(message), len(message) + 6, 6, "content")]
    entries = [section.fields["at_byte"] for section in sections if isinstance(section, Entry)]
    assert entries == [0, len(message) + 6]


def test_a_second_run_appended_to_the_same_log_is_noticed(tmp_path: Path) -> None:
    run = old_orbit_estimate(18) + old_orbit_estimate(43)
    sections = view(tmp_path / "log", run + run)
    assert rows(sections, "messages")[0][4] == 1
    assert "time steps back" in notes(sections)


@pytest.mark.parametrize(
    ("kind", "message", "time"),
    [
        ("SensorMessage", OLD_SENSOR, OLD_SENSOR[0]),
        ("GPSMessage", OLD_GPS, OLD_GPS[0]),
        ("SensorGPSMessage", (OLD_SENSOR, OLD_GPS), OLD_SENSOR[0]),
    ],
)
def test_the_other_messages(tmp_path: Path, kind: str, message: tuple[object, ...], time: int) -> None:
    sections = view(tmp_path / "log", msgpack.packb(message) * 2)
    assert rows(sections, "messages") == [(kind, 2, time, time, 0)]
    assert "variances" not in notes(sections)


def test_the_message_of_an_estimator_that_never_ran_is_recognised() -> None:
    six, sensor = (NAN,) * 6, (NAN, (NAN,) * 3, NAN, (NAN,) * 3, (NAN,) * 6)
    default = msgpack.packb(("1000-01-01T00:00:00Z", six, six, six, six, sensor))
    assert len(default) == 372
    decoded = decode_message(default)
    assert decoded is not None
    assert decoded[0] == "OrbitEstimateMessage"


@pytest.mark.parametrize(
    "foreign",
    [
        msgpack.packb(["2020-11-29T23:59:18Z", [1.0] * 6, [1.0] * 4, [1.0] * 6, [1.0] * 5, OLD_SENSOR]),
        msgpack.packb(["29 November 2020, dusk", [1.0] * 6, [1.0] * 5, [1.0] * 6, [1.0] * 5, OLD_SENSOR]),
        msgpack.packb([True, *OLD_SENSOR[1:]]),
        msgpack.packb([*OLD_SENSOR[:4], "lux"]),
        msgpack.packb([*OLD_SENSOR[:4], {"lux": 1}]),
        msgpack.packb([*OLD_SENSOR[:4], msgpack.ExtType(5, b"lux")]),
        b"\x95\xdd\xff\xff\xff\xff",
        b"\x95\xc6\xff\xff\xff\xff",
        b"\x91" * 1024,
    ],
)
def test_other_shapes_are_not_messages(foreign: bytes) -> None:
    assert decode_message(foreign) is None


@settings(max_examples=50)
@given(st.lists(st.sampled_from([old_orbit_estimate(1), msgpack.packb(OLD_GPS), b"\x96\xb4", b"\x95\xce", b"x" * 9])))
def test_chunks_of_any_length_are_equivalent(tmp_path_factory: pytest.TempPathFactory, parts: list[bytes]) -> None:
    content = b"".join(parts)
    path = tmp_path_factory.getbasetemp() / "pieces"
    path.write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sections, "CHUNK_BYTES", 150)
        assert list(read_old_log(path)) == list(find_messages(content))
