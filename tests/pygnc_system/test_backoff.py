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


def test_rejects_an_empty_list() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Backoff(())
