"""Counters of input files and packets."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from pygnc.bus.messages import BatchEnd, GnssFix, SourceFile
from pygnc.common.clock import MS_PER_WEEK, SPACECRAFT_RESTART_S
from pygnc.configuration.settings import Settings
from pygnc.inputs.input_state import InputCounters, merge_file_counts
from pygnc.inputs.sense_file import SenseFile

DEMO = Path(__file__).resolve().parents[3] / "data" / "demo" / "sense.bin"

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


@pytest.mark.parametrize(("restarted", "counts"), [(False, (0, 1)), (True, (1, 0))])
def test_a_wrong_week_is_a_new_boot_only_if_the_spacecraft_clock_restarted(
    restarted: bool,  # noqa: FBT001 - a parameter of the test
    counts: tuple[int, int],
) -> None:
    file = SenseFile(DEMO, "sense.bin", Settings())
    for _ in file.scan():
        pass
    fixes = [message for message in file.messages(np.arange(10), 1) if isinstance(message, GnssFix)]
    back_s = (fixes[5].t_spacecraft_s or 0) - SPACECRAFT_RESTART_S if restarted else 0
    counters = InputCounters()
    for row, fix in enumerate(fixes):
        is_late, spacecraft_s, gps_ms = row >= 5, fix.t_spacecraft_s or 0, fix.gps_ms or 0
        counters.count(
            msgspec.structs.replace(
                fix, gps_ms=gps_ms + is_late * MS_PER_WEEK, t_spacecraft_s=spacecraft_s - is_late * back_s
            )
        )
    assert (counters.boots, counters.gps_time_jumps) == counts
    assert counters.gps_days_elapsed == pytest.approx(7.0, abs=0.002)
