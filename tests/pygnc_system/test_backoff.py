"""Delays between attempts."""

import pytest

from pygnc_system.backoff import Backoff


def test_repeats_the_last_delay() -> None:
    backoff = Backoff((0.1, 0.5, 2.0))

    assert [backoff.next() for _ in range(5)] == [0.1, 0.5, 2.0, 2.0, 2.0]
    assert backoff.failures == 5


def test_starts_again_after_a_reset() -> None:
    backoff = Backoff((0.1, 0.5))
    backoff.next()
    backoff.reset()

    assert backoff.next() == 0.1


def test_doubles_up_to_the_limit() -> None:
    backoff = Backoff.doubling(5.0, 30.0)

    assert [backoff.next() for _ in range(5)] == [5.0, 10.0, 20.0, 30.0, 30.0]


def test_returns_the_delay_after_a_number_of_failures_without_counting() -> None:
    backoff = Backoff.doubling(1.0, 4.0)

    assert [backoff.delay_s(failures) for failures in (0, 1, 2, 3, 100)] == [1.0, 1.0, 2.0, 4.0, 4.0]
    assert backoff.failures == 0


@pytest.mark.parametrize("limits", [(0.0, 1.0), (2.0, 1.0)])
def test_rejects_impossible_limits(limits: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="first delay"):
        Backoff.doubling(*limits)


def test_rejects_an_empty_list() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Backoff(())
