"""How guesses fit, and what working on many of them at once takes."""

import tracemalloc

import numpy as np
import pytest

from pygnc.common.arrays import Array
from pygnc.estimators.formation.least_squares import evaluate
from tests.pygnc.estimators.formation.test_equations import LOSS, noise, system


def about(count: int) -> Array:
    """Guesses around the truth."""
    guess = system().guess
    return guess + np.random.default_rng(1).standard_normal((count, len(guess)))


def peak_bytes(count: int) -> int:
    equations, dynamics, _ = system()
    guesses = about(count)
    tracemalloc.start()
    evaluate(equations, dynamics, guesses, noise(), LOSS)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_candidates_fit_as_each_does_alone() -> None:
    equations, dynamics, _ = system()
    guesses = about(12)
    together = evaluate(equations, dynamics, guesses, noise(), LOSS)
    alone = [evaluate(equations, dynamics, guess[None], noise(), LOSS) for guess in guesses]
    for part, parts in zip(together, zip(*alone, strict=True), strict=True):
        assert part == pytest.approx(np.concatenate(parts), rel=1e-9)


def test_another_candidate_takes_little_memory() -> None:
    many, few = peak_bytes(48), peak_bytes(24)
    assert few < 4e6
    assert (many - few) / 24 < 50e3, "its derivatives alone take 200 kB"
