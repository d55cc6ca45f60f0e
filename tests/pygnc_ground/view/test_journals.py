"""Runs as sources: while they are written, of other versions, damaged, missing."""

import asyncio
import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pygnc.bus.messages import SensorSample
from pygnc.common.clock import unix_ms_from_gps_ms
from pygnc.formats import journal
from pygnc.formats.status import encode as encode_status
from pygnc_ground.view import journals
from pygnc_ground.view.journals import RunSource
from pygnc_ground.view.source import POLL_S, follow
from tests.pygnc_ground.report.player.unpacking import Tables, unpack
from tests.pygnc_ground.view.made_run import GPS_MS, append_run, attitude, event, orbit, partner, write_run

HOSTILE = "</script><script>alert(1)</script>\x1b[2J"


def read(source: RunSource) -> tuple[Tables, dict[str, Any]]:
    """Read what there is; return everything that a new page gets."""
    while source.step():
        source.feed.commit()
    source.feed.commit()
    return unpack(source.feed.since(0))


def whole(folder: Path, **changes: Any) -> Path:  # noqa: ANN401 - as write_run
    streams = {
        "orbit": [orbit(number) for number in range(1, 6)],
        "attitude": [attitude(number) for number in range(1, 6)],
        "formation": [partner(number, ambiguous=number > 3) for number in range(1, 6)],
        "events": [event(number, "idle") for number in range(1, 3)],
    }
    return write_run(folder, **{**streams, **changes})


def test_a_finished_run_is_shown_whole(tmp_path: Path) -> None:
    source = RunSource(whole(tmp_path / "run-00001"))
    tables, about = read(source)
    assert tables["orbit"]["time"].tolist() == [unix_ms_from_gps_ms(GPS_MS + 1000 * k) for k in range(1, 6)]
    assert tables["attitude"]["mode"] == ["fine"] * 5
    assert tables["partner 75"]["state"] == ["certain"] * 3 + ["ambiguous"] * 2
    assert len(tables["ranges 75"]["residual_m"]) == 5
    assert about["partners"][0]["id"] == 75
    assert about["state"][0] == "ended"
    assert about["eclipses"] == [[unix_ms_from_gps_ms(GPS_MS + 2000)] * 2]
    texts = [one["text"] for one in about["events"]]
    assert "orbit of partner 75 ambiguous" in texts
    assert "orbit: phase: idle" in texts
    assert {one["time"] for one in about["events"] if "idle" in one["text"]} == {
        unix_ms_from_gps_ms(GPS_MS + 1000 * k) for k in (1, 2)
    }
    assert about["problems"] == []


def test_a_growing_run_is_followed_also_within_a_record(tmp_path: Path) -> None:
    run = whole(tmp_path / "run-00001", closed=False)
    source = RunSource(run)
    assert read(source)[1]["state"][0] == "following"
    number = source.feed.number
    file = run / "orbit-00000.pgj.part"
    record = journal.encode(journal.Kind.MESSAGE, 6, msgspec.msgpack.encode(orbit(6)))
    with file.open("ab") as open_file:
        open_file.write(record[:30])
        open_file.flush()
        read(source)
        assert source.feed.number == number
        open_file.write(record[30:])
    read(source)
    tables, _ = unpack(source.feed.since(number))
    assert {name: len(table["time"]) for name, table in tables.items()} == {"orbit": 1}


def test_the_newest_run_of_a_home_takes_the_place_of_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "_LOOK_S", 0.0)
    (tmp_path / "pygnc_logs").mkdir()
    source = RunSource(tmp_path)
    assert read(source)[1]["state"][0] == "waiting"
    whole(tmp_path / "pygnc_logs" / "run-00001")
    tables, about = read(source)
    assert (len(tables["orbit"]["time"]), about["title"]) == (5, f"run-00001 in {tmp_path}")
    first = source.feed.identity
    write_run(tmp_path / "pygnc_logs" / "run-00002", orbit=[orbit(1)], closed=False)
    tables, about = read(source)
    assert len(tables["orbit"]["time"]) == 1
    assert source.feed.identity != first
    assert list(tables) == ["orbit"]


def test_counters_of_queues_and_losses_come_from_the_status_record(tmp_path: Path) -> None:
    whole(tmp_path / "pygnc_logs" / "run-00001")
    week, tow_ms = divmod(GPS_MS, 604_800_000)
    values = {"run_number": 1, "gps_week": week, "gps_tow_ms": tow_ms, "lost_messages": 7, "rejected_gate": 2}
    status = tmp_path / "pygnc_status.bin"
    status.write_bytes(encode_status({**values, "rejected_gap": 1, "samples_held": 4, "task_orbit_restarts": 3}))
    tables, about = read(RunSource(tmp_path))
    names = ("lost_messages", "rejected", "samples_held", "restarts")
    assert [tables["counters"][name].tolist() for name in names] == [[7], [3], [4], [3]]
    assert about["counters"]["lost messages"] == 7
    assert about["plots"][-1]["title"] == "Run"


def test_messages_of_another_version_are_counted_and_the_rest_is_shown(tmp_path: Path) -> None:
    header = msgspec.msgpack.encode({"pygnc": "0.1", "t_spacecraft_s": 0, "t_mono_ns": 0})
    run = whole(tmp_path / "run-00001", header=header, closed=False)
    with (run / "attitude-00000.pgj.part").open("ab") as file:
        for number, payload in enumerate((b"\x92\xa3Odd\x01", b"\xc1", b"\x93\xb0AttitudeEstimate\x01\x02"), 6):
            file.write(journal.encode(journal.Kind.MESSAGE, number, payload))
    tables, about = read(RunSource(run))
    assert len(tables["attitude"]["time"]) == 5
    assert about["problems"] == ["attitude: 3 records are of another version or damaged"]
    assert "flown by PyGNC 0.1" in about["version"]


def test_damage_is_reported_and_the_rest_is_shown(tmp_path: Path) -> None:
    run = whole(tmp_path / "run-00001")
    file = run / "orbit-00000.pgj"
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    file.write_bytes(content)
    tables, about = read(RunSource(run))
    assert len(tables["orbit"]["time"]) == 4
    assert about["problems"][0].startswith("orbit-00000.pgj: ")
    assert "damaged bytes from offset" in about["problems"][0]


def test_headers_that_are_no_maps_do_not_disturb(tmp_path: Path) -> None:
    for number, header in enumerate((b"", b"\xc1", b"\x01", msgspec.msgpack.encode({"t_mono_ns": "x"}))):
        run = whole(tmp_path / f"run-{number:05d}", header=header)
        assert len(read(RunSource(run))[0]["orbit"]["time"]) == 5


def test_values_that_are_not_numbers_do_not_disturb(tmp_path: Path) -> None:
    nan, vast = (float("nan"),) * 3, (1e300,) * 3
    found = [orbit(1, position_gcrf_m=nan), orbit(2, position_gcrf_m=vast), orbit(3, gps_ms=-(2**62)), orbit(4)]
    tables, _ = read(RunSource(write_run(tmp_path / "run-00001", orbit=found)))
    assert len(tables["orbit"]["time"]) >= 3


def test_text_of_a_run_has_no_control_characters(tmp_path: Path) -> None:
    run = whole(tmp_path / "run-00001", events=[event(1, HOSTILE, HOSTILE, HOSTILE)])
    _, about = read(RunSource(run))
    (text,) = [one["text"] for one in about["events"] if "script" in one["text"]]
    assert "\x1b" not in text


def test_samples_of_any_number_of_sun_sensors_are_shown(tmp_path: Path) -> None:
    samples = [
        SensorSample(k, "sense.bin", 0, "", k, 0, None, (1.0, 2.0, 3.0), (0.0, 0.0, 0.1), (5.0,) * count, b"")
        for k, count in enumerate((6, 0, 2), 1)
    ]
    tables, _ = read(RunSource(whole(tmp_path / "run-00001", input=samples)))
    assert [len(tables[name]["time"]) for name in ("sensors", "sensors 0", "sensors 2")] == [1, 1, 1]


def test_a_folder_that_goes_away_is_reported_and_what_was_read_remains(tmp_path: Path) -> None:
    run = whole(tmp_path / "run-00001")
    source = RunSource(run)
    read(source)
    shutil.rmtree(run)
    tables, about = read(source)
    assert about["state"][0] == "lost"
    assert "gone" in about["state"][1]
    assert len(tables["orbit"]["time"]) == 5


def test_an_empty_run_waits(tmp_path: Path) -> None:
    (tmp_path / "run-00001").mkdir()
    tables, about = read(RunSource(tmp_path / "run-00001"))
    assert (tables, about["state"][0]) == ({}, "waiting")


def test_a_silent_run_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journals, "STALE_S", -1.0)
    _, about = read(RunSource(whole(tmp_path / "run-00001", closed=False)))
    assert about["state"][0] == "silent"


@pytest.mark.parametrize("kind", ["missing", "file", "other folder"])
def test_what_is_no_run_is_refused_with_the_remedy(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "there"
    if kind == "file":
        path.write_bytes(b"")
    elif kind == "other folder":
        path.mkdir()
        (path / "holiday.jpg").write_bytes(b"")
    with pytest.raises((OSError, ValueError), match=r"neither the folder of a run|No such file|Not a directory"):
        RunSource(path)


def test_records_are_read_in_steps(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run-00001", orbit=[orbit(number) for number in range(1, 451)])
    source = RunSource(run)
    assert [source.step() for _ in range(3)] == [True, True, False]
    append_run(run, "attitude", [attitude(1)], closed=True)
    assert "attitude" in read(source)[0]


@pytest.mark.timeout(60)
def test_damage_and_other_versions_are_reported_once_on_the_terminal(tmp_path: Path) -> None:
    header = msgspec.msgpack.encode({"pygnc": "0.1\x1b[2J", "t_spacecraft_s": 0, "t_mono_ns": 0})
    run = whole(tmp_path / "run-00001", header=header)
    file = run / "orbit-00000.pgj"
    content = bytearray(file.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 40] = bytes(40)
    file.write_bytes(content)
    told: list[str] = []

    is_reported = asyncio.Event()

    def report(text: str) -> None:
        told.append(text)
        if "damaged bytes" in text:
            is_reported.set()

    async def some_steps() -> None:
        following = asyncio.create_task(follow(RunSource(run), report))
        await is_reported.wait()
        await asyncio.sleep(3 * POLL_S)
        following.cancel()

    asyncio.run(some_steps())
    assert sum("flown by PyGNC 0.1" in text for text in told) == 1
    assert sum(text.startswith("orbit-00000.pgj: ") and "damaged bytes" in text for text in told) == 1
    assert not any("\x1b" in text for text in told)
