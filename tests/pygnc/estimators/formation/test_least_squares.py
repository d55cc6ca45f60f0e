"""Evaluation of many candidates at once: results and memory."""

import tracemalloc

import numpy as np
import pytest

from pygnc.common.arrays import Array
from tests.pygnc.estimators.formation.test_observation_equations import system


def candidates_near_truth(count: int) -> Array:
    truth = system().parameters
    return truth + np.random.default_rng(1).standard_normal((count, len(truth)))


def peak_bytes(count: int) -> int:
    equations, candidates = system().equations, candidates_near_truth(count)
    tracemalloc.start()
    equations.fit(candidates)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


@pytest.mark.slow
def test_candidates_fit_as_each_does_alone() -> None:
    equations, candidates = system().equations, candidates_near_truth(12)
    joint = equations.fit(candidates)
    alone = [equations.fit(candidate[None]) for candidate in candidates]
    for part, parts in zip(joint, zip(*alone, strict=True), strict=True):
        assert part == pytest.approx(np.concatenate(parts), rel=1e-9)


@pytest.mark.slow
def test_another_candidate_takes_little_memory() -> None:
    many, few = peak_bytes(48), peak_bytes(24)
    assert few < 4e6
    assert (many - few) / 24 < 50e3, "its derivatives alone take 200 kB"
