"""Balance of a run: produced = delivered + rejected (by cause) + lost (by cause), for bytes and records."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from pygnc.formats.status import REJECT_CAUSES, SAMPLE_CAUSES, TaskState, Value
from tests.e2e.conftest import SENSE_RECORD_BYTES
from tests.faults.produced import SENSORS, Produced

LINE_END: Final = b"\r\n"
ESTIMATORS: Final = {"samples": "attitude", "fixes": "orbit", "ranges": "formation"}
"""Tasks that count the records they receive."""

RANGE_CAUSES: Final = ("no_time", "rejected", "repeated", "old")
OUTCOMES: Final = {
    "fixes": ("fixes_accepted", "fixes_waiting", *(f"rejected_{cause}" for cause in REJECT_CAUSES)),
    "samples": ("samples_used", "samples_held", *(f"samples_{cause}" for cause in SAMPLE_CAUSES)),
    "ranges": tuple(f"ranges_{name}" for name in ("used", "unsolved", "held", *RANGE_CAUSES)),
}
"""Counters of what happens to received records."""


class Recorded(NamedTuple):
    """Records that a run has left on the disk: records of the input journal, and bytes in `pygnc_batch`."""

    records: int
    bytes: int


class Balance(NamedTuple):
    """Outcome of the comparison.

    Attributes:
        lost: number of bytes and records that were lost, by kind and cause.
        faults: sums that do not add up, and losses that the run did not report.
    """

    lost: dict[str, tuple[int, int]]
    faults: list[str]


def balance(status: Mapping[str, Value], produced: Produced, live_records: int, recorded: Recorded) -> Balance:
    """Compare the counters of the last status with the input and with the disk.

    Args:
        status: fields of the last status record.
        produced: input files.
        live_records: number of records of `sense.bin` sent over the streaming interface, where they have no line end.
        recorded: what is on the disk after the run.
    """
    counts = {name: int(value) for name, value in status.items() if isinstance(value, int)}
    live = {"samples": SENSORS * live_records, "fixes": live_records}
    size = produced.size + live_records * (SENSE_RECORD_BYTES - len(LINE_END))
    sums: list[tuple[str, int, int]] = [
        ("bytes produced = delivered + damaged", size, counts["delivered_bytes"] + counts["damaged_bytes"]),
        ("bytes produced = bytes read", size, counts["source_bytes"]),
        ("bytes damaged", produced.damaged, counts["damaged_bytes"]),
    ]
    lost: dict[str, tuple[int, int]] = {}
    faults: list[str] = []
    for name, task in ESTIMATORS.items():
        due = produced.records[name] + live.get(name, 0)
        missing = due - counts[f"{name}_received"]
        if missing and counts[f"task_{task}_state"] == TaskState.FAILED:
            lost[f"records not processed, {task} failed"] = (0, missing)
        else:
            sums.append((f"{name} produced = received", due, due - missing))
    sums += [
        (
            f"{name} received = used + waiting + rejected",
            counts[f"{name}_received"],
            sum(map(counts.__getitem__, parts)),
        )
        for name, parts in OUTCOMES.items()
    ]
    missing_records = sum(produced.records.values()) + sum(live.values()) - recorded.records
    missing_bytes = produced.size - produced.damaged + live_records * SENSE_RECORD_BYTES - recorded.bytes
    if missing_records or missing_bytes:
        lost["records not on the disk"] = (missing_bytes, missing_records)
        if not counts["not_recorded"] and counts["task_batch_writer_state"] != TaskState.FAILED:
            faults.append(f"{missing_bytes} bytes and {missing_records} records are not on the disk and not reported")
    if counts["lost_messages"]:
        lost["records not delivered to a task"] = (0, counts["lost_messages"])
    faults += [f"{what}: {expected} and {found}" for what, expected, found in sums if expected != found]
    return Balance(lost, faults)
