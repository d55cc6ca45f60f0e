"""Counters of input files and packets."""

from pygnc.bus.messages import BatchEnd, SourceFile
from pygnc.inputs.input_state import InputCounters, merge_file_counts

WHOLE = SourceFile(
    seq=1,
    name="rng00000.bin",
    size_bytes=1000,
    delivered_bytes=880,
    damaged_bytes=120,
    damaged_ranges=2,
    damage=((100, 160, "content"), (940, 1000, "cut_tail")),
    carried_bytes=60,
)
GROWN = SourceFile(
    seq=90,
    name="rng00000.bin",
    size_bytes=260,
    delivered_bytes=252,
    damaged_bytes=8,
    damaged_ranges=1,
    damage=((1192, 1200, "content"),),
    from_byte=940,
)


def test_counts_a_cut_packet_once() -> None:
    books = merge_file_counts(WHOLE, GROWN)
    assert (books.size_bytes, books.delivered_bytes, books.damaged_bytes) == (1200, 1132, 68)
    assert books.damage == ((100, 160, "content"), (1192, 1200, "content"))
    assert books.damaged_ranges == 2
    assert books.carried_bytes == 0


def test_totals_are_the_sums_over_the_files() -> None:
    counters = InputCounters()
    for file in (WHOLE, SourceFile(seq=2, name="rng00001.bin", fault="Permission denied"), GROWN):
        counters.count(file)
    assert counters.counts == {
        "source_files": 1,
        "unreadable_files": 1,
        "source_bytes": 1200,
        "delivered_bytes": 1132,
        "damaged_bytes": 68,
        "damaged_ranges": 2,
    }


def test_a_batch_that_ended_early_counts_as_unreadable() -> None:
    counters = InputCounters()
    for message in (WHOLE, BatchEnd(seq=2, cause=""), BatchEnd(seq=3, cause="Input/output error")):
        assert counters.counts["unreadable_files"] == 0
        counters.count(message)
    assert counters.counts["unreadable_files"] == 1


def test_a_replaced_file_keeps_its_counts() -> None:
    counters = InputCounters()
    counters.count(WHOLE)
    for seq in (9, 10):
        counters.count(SourceFile(seq=seq, name="rng00000.bin", fault="replaced"))
    assert counters.files["rng00000.bin"].fault == "replaced"
    assert counters.counts["source_bytes"] == 1000
    assert (counters.counts["source_files"], counters.counts["unreadable_files"]) == (1, 1)
