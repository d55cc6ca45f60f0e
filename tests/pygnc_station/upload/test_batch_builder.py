import csv
import errno
import hashlib
import io
import json
import os
import stat
import subprocess
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from pygnc_cli.exit_codes import ExitCode
from pygnc_station.batch_format import BatchWriter, StreamEntry, read_rows
from pygnc_station.commands.main import app
from pygnc_station.errors import StationError
from pygnc_station.settings import Batches, StationSettings
from pygnc_station.store import cursors, query
from pygnc_station.store.batches import BatchState, batches, retry_rejected, update_batch
from pygnc_station.store.export import csv_text
from pygnc_station.store.pruning import prune
from pygnc_station.store.readings import Column, Layout, NewReading, StoredReading, from_cell, to_text
from pygnc_station.store.store import Store
from pygnc_station.upload import batch_builder as module
from pygnc_station.upload.batch_builder import exclusive_lock, make_batch
from pygnc_system import files
from tests.programs import needs
from tests.pygnc_station.logger.samples import ROOT, command_line, environment
from tests.pygnc_station.store.samples import LAYOUT, START_MS, new
from tests.pygnc_station.store.test_readings import PLAIN

NOW_MS = START_MS + 10**9


def _settings(folder: Path, **changes: Any) -> StationSettings:  # noqa: ANN401 - any setting
    return StationSettings(name="roof", folder=str(folder), batches=Batches(**changes))


@pytest.fixture
def store(sqlite_url: str) -> Store:
    return Store.open(sqlite_url)


def _rows(path: Path) -> list[tuple[str, int]]:
    """Gadget and number of all readings of a batch."""
    found = []
    with zipfile.ZipFile(path) as archive:
        metadata = json.loads(archive.read("metadata.json"))
        for entry in metadata["streams"]:
            text = io.StringIO(archive.read(entry["file"]).decode())
            found += [(entry["gadget_id"], int(row["number"])) for row in csv.DictReader(text)]
    return found


def test_database_and_batches_are_private(store: Store, tmp_path: Path) -> None:
    store.append(store.stream("opc", LAYOUT), [new(0)])
    (made,) = make_batch(store, _settings(tmp_path), NOW_MS)
    files = [tmp_path / "batches2upload" / made.file_name, *tmp_path.glob("*.db*")]
    assert len(files) >= 2
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}


def test_a_batch_is_made_before_the_clock_is_set(store: Store, tmp_path: Path) -> None:
    store.append(store.stream("opc", LAYOUT), [new(0)])
    (made,) = make_batch(store, _settings(tmp_path), 5_000)
    assert made.state == BatchState.READY
    assert _rows(tmp_path / "batches2upload" / made.file_name) == [("opc", 1)]


def test_a_batch_contains_what_is_in_no_batch_yet(store: Store, tmp_path: Path) -> None:
    settings = _settings(tmp_path, type="OPC")
    store.append(store.stream("opc: 1", LAYOUT, family="opc"), [new(rank) for rank in range(5)])
    store.append(store.stream("imu", LAYOUT), [new(1)])
    (first,) = make_batch(store, settings, NOW_MS)
    assert (first.state, first.readings) == (BatchState.READY, 6)
    assert first.name.startswith("20261003T040000Z_")
    assert make_batch(store, settings, NOW_MS) == []
    store.append(store.stream("imu", LAYOUT), [new(2)])
    (second,) = make_batch(store, settings, NOW_MS)
    path = tmp_path / "batches2upload" / first.file_name
    assert path.stat().st_size == first.bytes
    assert sorted(_rows(path)) == [("imu", 1), *(("opc: 1", number) for number in range(1, 6))]
    assert _rows(tmp_path / "batches2upload" / second.file_name) == [("imu", 2)]
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
        manifest = json.loads(archive.read("manifest.json"))["entries"]
        description = json.loads(archive.read(f"{first.name}.yaml"))
    assert names == ["opc_1_S1.csv", "imu_S1.csv", f"{first.name}.yaml", "metadata.json", "manifest.json"]
    assert set(manifest) == set(names) - {"manifest.json"}
    assert description["filelist"] == "opc_1_S1.csv,imu_S1.csv"
    assert (description["batch_type"], description["gadget_id"]) == ("OPC", "imu,opc: 1")
    store.close()


def test_a_large_store_becomes_several_batches(store: Store, tmp_path: Path) -> None:
    settings = _settings(tmp_path, most_readings=7)
    store.append(store.stream("a", LAYOUT), [new(rank) for rank in range(10)])
    store.append(store.stream("b", LAYOUT), [new(rank) for rank in range(10)])
    made = []
    while more := make_batch(store, settings, NOW_MS):
        made += more
    assert [batch.readings for batch in made] == [7, 7, 6]
    counted = Counter(row for batch in made for row in _rows(tmp_path / "batches2upload" / batch.file_name))
    assert len(counted) == 20
    assert set(counted.values()) == {1}
    store.close()


def _die(*_: object, **__: object) -> None:
    raise KeyboardInterrupt("killed here")


@pytest.mark.parametrize(
    "where",
    [
        (BatchWriter, "add_readings"),
        (BatchWriter, "finish"),
        (os, "fsync"),
        (hashlib, "file_digest"),
        (Path, "replace"),
        (files, "sync_folder"),
        (module, "update_batch"),
    ],
)
def test_an_interruption_at_any_step_loses_and_duplicates_nothing(
    store: Store, tmp_path: Path, where: tuple[object, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = _settings(tmp_path)
    stream = store.stream("a", LAYOUT)
    store.append(stream, [new(rank) for rank in range(10)])
    with monkeypatch.context() as patch:
        patch.setattr(*where, _die)
        with pytest.raises(KeyboardInterrupt):
            make_batch(store, settings, NOW_MS)
    store.append(stream, [new(rank) for rank in range(10, 15)])
    made = make_batch(store, settings, NOW_MS + 1000)
    assert [batch.readings for batch in made] == [10, 5]
    folder = tmp_path / "batches2upload"
    assert sorted(path.name for path in folder.iterdir()) == sorted([".lock", *(batch.file_name for batch in made)])
    assert sorted(row for path in folder.glob("*.zip") for row in _rows(path)) == [("a", n) for n in range(1, 16)]
    store.close()


def test_the_same_readings_give_the_same_bytes(store: Store, tmp_path: Path) -> None:
    store.append(store.stream("a", LAYOUT), [new(rank) for rank in range(10)])
    (batch,) = make_batch(store, _settings(tmp_path), NOW_MS)
    path = tmp_path / "batches2upload" / batch.file_name
    before = path.read_bytes()
    update_batch(store, batch, state=BatchState.OPEN)
    make_batch(store, _settings(tmp_path), NOW_MS + 5000)
    assert path.read_bytes() == before
    store.close()


def test_a_rejected_batch_can_be_made_ready_again(store: Store, tmp_path: Path) -> None:
    store.append(store.stream("a", LAYOUT), [new(1)])
    (batch,) = make_batch(store, _settings(tmp_path), NOW_MS)
    with pytest.raises(StationError, match="not a rejected batch"):
        retry_rejected(store, batch.name)
    update_batch(store, batch, state=BatchState.REJECTED, remote_id="x", reason="the server does not like it")
    assert batches(store, BatchState.REJECTED)[0].reason == "the server does not like it"
    retry_rejected(store, batch.name)
    (ready,) = batches(store, BatchState.READY)
    assert (ready.remote_id, ready.reason) == ("", "")
    store.close()


def test_readings_stay_until_their_batch_is_accepted(store: Store, tmp_path: Path) -> None:
    store.append(store.stream("a", LAYOUT), [new(rank) for rank in range(5)])
    (batch,) = make_batch(store, _settings(tmp_path), NOW_MS)
    store.append(store.stream("a", LAYOUT), [new(rank) for rank in range(5, 8)])
    assert prune(store, NOW_MS, [cursors.BATCHES]) == 0
    update_batch(store, batch, state=BatchState.ACCEPTED)
    assert prune(store, NOW_MS, [cursors.BATCHES]) == 5
    assert [item.number for item in query.between(store, query.streams(store))] == [6, 7, 8]
    store.close()


def test_batches_contain_flight_files_once_and_again_after_a_change(store: Store, tmp_path: Path) -> None:
    home = tmp_path / "home"
    (home / "pygnc_logs/run").mkdir(parents=True)
    (home / "range/partner_2").mkdir(parents=True)
    (home / "sense.bin").write_bytes(b"sense" * 100)
    (home / "range/partner_2/rng00000.bin").write_bytes(b"range")
    (home / "pygnc_logs/run/input.journal").write_bytes(b"journal")
    (home / "pygnc_logs/run/events.journal.part").write_bytes(b"unfinished")
    (home / "private.txt").write_text("not of the flight")
    settings = _settings(tmp_path, flight_folders=["home"])
    (first,) = make_batch(store, settings, NOW_MS)
    with zipfile.ZipFile(tmp_path / "batches2upload" / first.file_name) as archive:
        entries = json.loads(archive.read("metadata.json"))["files"]
        contents = {Path(item["path"]).name: archive.read(item["file"]) for item in entries}
    assert contents == {"sense.bin": b"sense" * 100, "rng00000.bin": b"range", "input.journal": b"journal"}
    assert make_batch(store, settings, NOW_MS) == []
    (home / "sense.bin").write_bytes(b"another")
    (home / "pygnc_logs/run/events.journal.part").rename(home / "pygnc_logs/run/events.journal")
    (second,) = make_batch(store, settings, NOW_MS)
    assert sorted(Path(item.path).name for item in second.contents.files) == ["events.journal", "sense.bin"]
    store.close()


def test_skips_a_file_that_was_deleted_after_its_selection(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sense.bin").write_bytes(b"sense")
    settings = _settings(tmp_path, flight_folders=["."])
    with monkeypatch.context() as patch:
        patch.setattr(module, "_write_file", _die)
        with pytest.raises(KeyboardInterrupt):
            make_batch(store, settings, NOW_MS)
    (tmp_path / "sense.bin").unlink()
    (batch,) = make_batch(store, settings, NOW_MS)
    assert batch.state is BatchState.READY
    store.close()


@needs("setpriv")
def test_names_and_skips_a_file_without_read_permission(tmp_path: Path) -> None:
    for rank in (1, 2):
        (tmp_path / f"rng{rank}.bin").write_bytes(b"range")
    (tmp_path / "rng1.bin").chmod(0)
    settings = tmp_path / "station.toml"
    settings.write_text('[batches]\nflight_folders = ["."]\n')
    program = command_line("batch", "-s", settings)
    if os.geteuid() == 0:  # root without its right to read everything
        program = ["setpriv", "--bounding-set=-dac_override,-dac_read_search", *program]

    def build() -> tuple[str, str]:
        done = subprocess.run(program, capture_output=True, text=True, env=environment(), cwd=ROOT, check=True)
        return done.stdout, done.stderr

    output, errors = build()
    assert " 1 files" in output
    assert errors.startswith(f"{tmp_path}/rng1.bin: Permission denied; ")
    (tmp_path / "rng1.bin").chmod(0o600)
    output, errors = build()
    assert " 1 files" in output
    assert errors == ""


def test_a_read_error_inside_a_file_leaves_out_only_that_file(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    class Failing(io.FileIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell():
                raise OSError(errno.EIO, "Input/output error")
            return super().read(min(size or 0, 100))

    def opened(path: Path, mode: str = "r", *arguments: Any) -> Any:  # noqa: ANN401 - as Path.open
        if path.name == "rng1.bin" and is_broken:
            return Failing(path)
        return open(path, mode, *arguments)  # noqa: PTH123 - Path.open is replaced

    for rank in range(3):
        (tmp_path / f"rng{rank}.bin").write_bytes(b"range" * 100)
    is_broken = True
    settings = _settings(tmp_path, flight_folders=[str(tmp_path)])
    store.append(store.stream("imu", LAYOUT), [new(1)])
    monkeypatch.setattr(Path, "open", opened)
    (made,) = make_batch(store, settings, NOW_MS)
    is_broken = False
    assert "rng1.bin: Input/output error; rng1.bin is left out until it changes" in caplog.text
    with zipfile.ZipFile(tmp_path / "batches2upload" / made.file_name) as archive:
        assert archive.testzip() is None
        files = sorted(name for name in archive.namelist() if name.startswith("files/"))
        assert [name.partition("_")[2] for name in files] == ["rng0.bin", "rng2.bin"]
    assert made.readings == 1
    (tmp_path / "rng1.bin").write_bytes(b"range" * 101)  # it is repaired
    (made,) = make_batch(store, settings, NOW_MS)
    with zipfile.ZipFile(tmp_path / "batches2upload" / made.file_name) as archive:
        assert [name for name in archive.namelist() if name.startswith("files/")] == ["files/0000_rng1.bin"]


def test_only_one_program_builds_batches_at_a_time(store: Store, tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    with (
        exclusive_lock(tmp_path / "batches2upload", "building batches"),
        pytest.raises(StationError, match="another program"),
    ):
        make_batch(store, settings, NOW_MS)
    assert make_batch(store, settings, NOW_MS) == []
    store.close()


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
NEW = st.builds(
    NewReading,
    st.integers(0, 4_000_000_000_000),
    st.integers(0, 31),
    st.integers(0, 1000),
    st.sampled_from(["", "cold", "cold,fan"]),
    st.lists(PLAIN | TEXT, min_size=2, max_size=2).map(to_text),
    st.none() | st.binary(max_size=20),
)


@given(st.lists(NEW, max_size=6))
def test_a_batch_restores_its_readings_exactly(given_readings: list[NewReading]) -> None:
    layout = Layout("K", (Column("a"), Column("b")))
    pages = [[StoredReading(1, number, *_fields(item)) for number, item in enumerate(given_readings, 3)]]
    entry = StreamEntry("x.csv", "g", "", "o", layout, 3, 3 + len(given_readings), len(given_readings))
    lines = b"".join(_lines(lambda writer: writer.add_readings("x.csv", layout, pages)))
    back = list(read_rows(io.StringIO(lines.decode(), newline=""), entry))
    assert back == list(enumerate(given_readings, 3))


PIECES = ('"', ",", "[", "]", "1", "-0", "0.5", "1e2", "1e400", "9" * 25, "null", "true", " ", "é", "01", "\\")


@given(st.lists(st.lists(st.sampled_from(PIECES), max_size=3).map("".join), min_size=2, max_size=2))
def test_any_cells_are_read_one_by_one(cells: list[str]) -> None:
    layout = Layout("K", (Column("a"), Column("b")))
    head = csv_text([["number", "time", "t_utc_ms", "quality", "lost_before", "flags", "a", "b", "raw"]])
    text = head + csv_text([["1", "", "0", "0", "0", "", *cells, ""]])
    entry = StreamEntry("x.csv", "g", "", "o", layout, 1, 1, 1)
    ((_, found),) = read_rows(io.StringIO(text, newline=""), entry)
    assert json.loads(found.content) == [from_cell(cell) for cell in cells]


def _lines(write: Callable[[BatchWriter], int]) -> list[bytes]:
    pieces: list[bytes] = []

    class Collector(BatchWriter):
        def __init__(self) -> None:
            pass

        def add(self, _: str, content: Any) -> None:  # noqa: ANN401 - as its base
            pieces.extend(content)

    write(Collector())
    return pieces


def _fields(item: NewReading) -> tuple[int, int, int, str, str, bytes | None]:
    return item.t_utc_ms, item.quality, item.lost_before, item.flags, item.content, item.raw


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n", "header"),
        ("HEAD1,2026,abc,0,0,,1,2,\n", "line 2"),
        ("HEAD1,2026,5,0,0,,1,2,zz\n", "line 2: the last cell is not x followed by the raw bytes"),
        ("HEAD1,2026,5,0,0,,1\n", "7 cells instead of 9"),
        ("HEAD1,2026,5,0,0,,1,2,\n1,2026,5,0,0,,1,2,\n", "line 3: number 1 is not between 2 and"),
        ("HEAD99,2026,5,0,0,,1,2,\n", "line 2: number 99 is not between 1 and"),
    ],
)
def test_rejects_rows_that_contradict_the_metadata(text: str, why: str) -> None:
    layout = Layout("K", (Column("a"), Column("b")))
    head = "number,time,t_utc_ms,quality,lost_before,flags,a,b,raw\n"
    entry = StreamEntry("x.csv", "g", "", "o", layout, 1, 9, 1)
    with pytest.raises(ValueError, match=why):
        list(read_rows(io.StringIO(text.replace("HEAD", head), newline=""), entry))


def test_commands_print_batched_and_waiting_readings(tmp_path: Path) -> None:
    (tmp_path / "station.toml").write_text("name = 'roof'")
    with Store.open(str(tmp_path / "readings.db")) as store:
        store.append(store.stream("a", LAYOUT), [new(1), new(2)])

    def invoke(*arguments: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, [*arguments, "--settings", str(tmp_path / "station.toml")])
        assert result.exit_code == code, result.output
        return result.output

    assert "2 readings in the store\n2 readings in no batch" in invoke("status")
    assert "2 readings, 0 files" in invoke("batch")
    assert invoke("batch") == "nothing new\n"
    assert "  ready  2 readings" in invoke("status")
    assert "'x' is not a rejected batch" in invoke("batch", "--again", "x", code=ExitCode.INPUT)
