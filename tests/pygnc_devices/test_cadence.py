"""Packets found missing by the usual step between packets."""

import random

import pytest

from pygnc_devices.cadence import Cadence


def test_missing_replies_are_counted() -> None:
    cadence = Cadence()
    lost = [cadence.missing(t * 10_000_000) for t in (0, 1, 2, 3, 4, 7, 8)]
    assert lost == [0, 0, 0, 0, 0, 2, 0]


@pytest.mark.parametrize("is_resumed", [False, True])
@pytest.mark.parametrize("first", [[0, 1, 3, 5], [0, 2, 3, 4], [0, 3, 4, 5]])
def test_losses_among_the_first_packets_are_counted(first: list[int], *, is_resumed: bool) -> None:
    cadence = Cadence()
    if is_resumed:
        cadence.interrupt()
    times = [*first, *range(first[-1] + 1, 20)]
    assert sum(map(cadence.missing, times)) == 20 - len(times)


@pytest.mark.parametrize("lost", [0.2, 0.4, 0.6])
def test_all_losses_are_counted_when_the_first_steps_are_multiples_of_the_usual_one(lost: float) -> None:
    for seed in range(100):
        dice = random.Random(seed)  # noqa: S311 - repeatable
        times = [0, *(time for time in range(1, 150) if dice.random() >= lost)]
        cadence = Cadence()
        assert sum(map(cadence.missing, times)) == times[-1] + 1 - len(times), seed
