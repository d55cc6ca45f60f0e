"""Fixtures: a supervisor whose hard exits never happen."""

from collections.abc import Callable, Iterator

import pytest

from pygnc.supervisor import supervisor as module
from tests.pygnc.supervisor.harness import (
    Harness,
    close_all,
)


@pytest.fixture
def armed(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Delays of the hard exits that were armed."""
    delays: list[float] = []

    def arm(delay_s: float, before_exit: Callable[[], None]) -> None:
        del before_exit
        delays.append(delay_s)

    monkeypatch.setattr(module, "arm_hard_exit", arm)
    return delays


@pytest.fixture
def harness(armed: list[float]) -> Iterator[Harness]:
    del armed
    made = Harness()
    yield made
    close_all(made)
