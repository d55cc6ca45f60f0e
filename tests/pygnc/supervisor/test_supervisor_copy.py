"""The supervisor continues with a copy of its state if a bit of the state flips while it waits."""

import pytest

from pygnc.supervisor.supervisor import CODE_INTERVAL_S, Supervisor
from tests.faults.radiation import fly_supervisor
from tests.pygnc.supervisor.harness import Harness


@pytest.mark.parametrize("seed", range(20))
def test_a_flipped_bit_of_the_state_changes_nothing_but_is_reported(seed: int) -> None:
    trial = fly_supervisor(seed)
    assert trial.outcome in {"recovered", "no effect"}, trial


def test_a_damaged_copy_is_not_used(harness: Harness, monkeypatch: pytest.MonkeyPatch) -> None:
    copies, checksums = iter((b"damaged", b"right")), iter((1, 2))
    monkeypatch.setattr(Supervisor, "_copy", lambda _: next(copies))
    monkeypatch.setattr(Supervisor, "_wait", lambda _: None)
    monkeypatch.setattr("zlib.crc32", lambda _: next(checksums))
    harness.supervisor._wait_unchanged()
    assert harness.names("supervisor") == ["state_changed"]


def test_changed_code_of_the_supervisor_is_restored_and_reported(harness: Harness) -> None:
    harness.code_changes += [True]
    harness.advance(CODE_INTERVAL_S - 1.0)
    assert harness.names("supervisor").count("state_changed") == 0
    harness.advance(2.0)
    harness.advance(CODE_INTERVAL_S)
    assert harness.names("supervisor").count("state_changed") == 1
