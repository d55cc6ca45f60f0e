"""The balance of a run: sums that do not add up, and losses that are not reported."""

import pytest

from pygnc.formats import status
from pygnc.formats.status import TaskState, Value
from tests.faults.accounting import Recorded, balance
from tests.faults.produced import Produced, damaged_hour


@pytest.fixture
def produced() -> Produced:
    return damaged_hour()


@pytest.fixture
def recorded(produced: Produced) -> Recorded:
    return Recorded(sum(produced.records.values()), produced.size - produced.damaged)


@pytest.fixture
def final(produced: Produced) -> dict[str, Value]:
    """Return the last status of a run without loss."""
    counts = produced.records
    values: dict[str, Value] = {
        "source_bytes": produced.size,
        "delivered_bytes": produced.size - produced.damaged,
        "damaged_bytes": produced.damaged,
        "samples_received": counts["samples"],
        "samples_used": counts["samples"] - 4,
        "samples_searching": 3,
        "samples_held": 1,
        "fixes_received": counts["fixes"],
        "fixes_accepted": counts["fixes"] - 3,
        "rejected_gate": 2,
        "fixes_waiting": 1,
        "ranges_received": counts["ranges"],
        "ranges_used": counts["ranges"] - 5,
        "ranges_rejected": 2,
        "ranges_old": 3,
    }
    return status.decode(status.encode(values))


def test_a_run_without_loss_adds_up(final: dict[str, Value], produced: Produced, recorded: Recorded) -> None:
    assert balance(final, produced, 0, recorded) == ({}, [])


@pytest.mark.parametrize(
    "name",
    [
        "source_bytes",
        "delivered_bytes",
        "damaged_bytes",
        "samples_received",
        "samples_gate",
        "rejected_gap",
        "ranges_received",
        "ranges_old",
        "ranges_unsolved",
    ],
)
def test_a_wrong_counter_is_found(name: str, final: dict[str, Value], produced: Produced, recorded: Recorded) -> None:
    wrong = final | {name: int(final[name]) + 1}
    assert balance(wrong, produced, 0, recorded).faults


def test_a_loss_must_be_reported(final: dict[str, Value], produced: Produced, recorded: Recorded) -> None:
    less = Recorded(recorded.records - 6, recorded.bytes - 251)
    silent = balance(final, produced, 0, less)
    assert silent.lost == {"records not on the disk": (251, 6)}
    assert silent.faults
    assert balance(final | {"not_recorded": 1}, produced, 0, less) == (silent.lost, [])


def test_records_that_a_failed_task_did_not_receive_are_lost_to_it(
    final: dict[str, Value], produced: Produced, recorded: Recorded
) -> None:
    given_up = final | {"task_formation_state": TaskState.FAILED}
    given_up |= dict.fromkeys(("ranges_received", "ranges_used", "ranges_rejected", "ranges_old"), 0)
    result = balance(given_up, produced, 0, recorded)
    assert result == ({"records not processed, formation failed": (0, produced.records["ranges"])}, [])
