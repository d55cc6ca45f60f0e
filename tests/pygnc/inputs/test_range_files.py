"""Range files that appear and grow: every packet is read once, every byte is counted."""

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pygnc.bus.messages import GnssFix, Message, RangeMeasurement
from pygnc.configuration.settings import Settings
from pygnc.inputs.batch import batch_head, find_sources, open_named, record_messages
from pygnc.inputs.input_state import InputCounters
from pygnc.inputs.range_files import RangeSeries, find_arrivals
from pygnc.inputs.source import BatchSource
from pygnc.outputs.batch_files import BatchCopies
from pygnc.outputs.batch_folder import BatchFolder
from tests.pygnc.formats.streams import range_packets

SETTINGS = Settings()
EXAMPLES = settings(derandomize=True, max_examples=40)


class Reader:
    """Does what ingest and batch_writer do, without processes."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.counters = InputCounters()
        self.raw = b""
        self.messages: list[Message] = []
        (home / "written").mkdir()
        self.folder = BatchFolder(home / "written", home / "written")
        self.written = BatchCopies(self.folder)
        sources, _ = find_sources(home, SETTINGS)
        rows = [source for source in sources if isinstance(source, RangeSeries)]
        scan(rows)
        self._give(rows)
        self.folder.complete()

    def look(self) -> int:
        """Return how many rows had something new."""
        found, unreadable = find_arrivals(self.home, self.counters.files, SETTINGS)
        assert not unreadable
        scan(found)
        rows = [row for row in found if not row.is_cut_packet]
        self._give(rows)
        return len(rows)

    def _give(self, rows: list[RangeSeries]) -> None:
        files = [file for row in rows for file in row.files]
        books = [self.counters.files.get(file.name) for file in files]
        named = [(file, before.delivered_bytes if before else 0) for file, before in zip(files, books, strict=True)]
        self.written.add(files)
        for message in batch_head(files):
            self.counters.count(message)
        messages = [message for group in record_messages(rows, 0) for message in group]
        # A restarted ingest makes the same packets of what the journal names.
        again = open_named(self.home, named, SETTINGS)
        scan(again)
        assert [message for group in record_messages(again, 0) for message in group] == messages
        for message in messages:
            assert isinstance(message, GnssFix | RangeMeasurement)
            self.messages.append(message)
            self.raw += message.raw
            self.written.write(message.source, message.offset, message.raw)


def scan(sources: Sequence[BatchSource]) -> None:
    for source in sources:
        for _ in source.scan():
            pass


def write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("ab") as opened:
        opened.write(content)


@given(st.data(), st.integers(0, 50), st.integers(1, 25), st.integers(65_530, 65_540))
@EXAMPLES
def test_every_packet_is_read_once_however_the_files_are_cut_and_grow(
    data: st.DataObject, seed: int, count: int, first_number: int
) -> None:
    stream = b"".join(range_packets(count, seed=seed))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=8).map(sorted))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        reader: Reader | None = None
        number = first_number
        for start, stop in pairwise([0, *cuts, len(stream)]):
            write(home / "range" / f"rng{number % 65_536:05d}.bin", stream[start:stop])
            if reader is None:
                reader = Reader(home)
            elif data.draw(st.booleans()):
                reader.look()
            number += data.draw(st.integers(0, 1))
        assert reader is not None
        reader.look()
        assert reader.raw == stream
        counts = reader.counters.counts
        assert counts["delivered_bytes"] == len(stream)
        assert counts["damaged_bytes"] == 0
        assert counts["source_bytes"] == len(stream)
        assert reader.look() == 0
        reader.folder.close()
        for file in (file for file in (home / "range").iterdir() if file.stat().st_size):
            assert (home / "written" / "pygnc_batch" / "range" / file.name).read_bytes() == file.read_bytes()


@given(st.data(), st.integers(0, 50))
@EXAMPLES
def test_counts_every_byte_and_reads_packets_away_from_damage(data: st.DataObject, seed: int) -> None:
    stream = bytearray(b"".join(range_packets(20, seed=seed)))
    at = data.draw(st.integers(0, len(stream) - 1))
    stream[at : at + data.draw(st.integers(1, 40))] = data.draw(st.binary(max_size=60))
    cuts = data.draw(st.lists(st.integers(0, len(stream)), min_size=1, max_size=5).map(sorted))
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        write(home / "rng00000.bin", bytes(stream[: cuts[0]]))
        reader = Reader(home)
        for k, (start, stop) in enumerate(pairwise([*cuts, len(stream)]), 1):
            write(home / f"rng{k // 2:05d}.bin", bytes(stream[start:stop]))
            reader.look()
        counts = reader.counters.counts
        assert counts["delivered_bytes"] + counts["damaged_bytes"] == counts["source_bytes"]
        assert counts["delivered_bytes"] == len(reader.raw)
        # A cut packet without continuation is read again when the file grows.
        assert 0 <= len(stream) - counts["source_bytes"] < 102
        assert counts["damaged_bytes"] < 102 + 40 + 60 + 102


def test_a_lower_number_after_a_gap_begins_a_new_series(tmp_path: Path) -> None:
    stream = b"".join(range_packets(4, seed=1))
    write(tmp_path / "range" / "rng00005.bin", stream[:-30])
    reader = Reader(tmp_path)
    carried = len(stream) - 30 - len(reader.raw)
    write(tmp_path / "range" / "rng00001.bin", stream)
    assert reader.look() == 1
    assert len(reader.raw) == 2 * len(stream) - 30 - carried
    write(tmp_path / "range" / "rng00006.bin", stream[-30:])
    assert reader.look() == 1
    assert len(reader.raw) == 2 * len(stream)


def test_a_cut_packet_without_continuation_is_damage(tmp_path: Path) -> None:
    stream = b"".join(range_packets(6, seed=2))
    write(tmp_path / "rng00005.bin", stream[:50])
    reader = Reader(tmp_path)
    assert reader.counters.files["rng00005.bin"].carried_bytes == 50
    write(tmp_path / "rng00006.bin", stream)
    reader.look()
    assert reader.raw == stream
    assert reader.counters.counts["damaged_bytes"] == 50


@pytest.mark.parametrize("shorter", [0, 100])
def test_reports_a_file_replaced_by_a_shorter_one(tmp_path: Path, shorter: int) -> None:
    stream = b"".join(range_packets(4, seed=3))
    write(tmp_path / "range" / "partner_75" / "rng00005.bin", stream)
    reader = Reader(tmp_path)
    (tmp_path / "range" / "partner_75" / "rng00005.bin").write_bytes(stream[:shorter])
    _, (fault,) = find_arrivals(tmp_path, reader.counters.files, SETTINGS)
    assert fault.name == "range/partner_75/rng00005.bin"
    assert f"shorter than the {len(stream)} bytes" in fault.fault


def test_packets_carry_the_radio_id_of_the_partner_that_wrote_them(tmp_path: Path) -> None:
    stream = b"".join(range_packets(4, seed=4))
    for folder in ("range", "range/partner_75", "range/partner_M"):
        write(tmp_path / folder / "rng00000.bin", stream)
    reader = Reader(tmp_path)
    ids = {m.source: m.satellite_id for m in reader.messages if isinstance(m, GnssFix | RangeMeasurement)}
    assert ids == {
        "range/rng00000.bin": 0,
        "range/partner_75/rng00000.bin": 75,
        "range/partner_M/rng00000.bin": 77,
    }
