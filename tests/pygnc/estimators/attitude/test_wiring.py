"""The verdict on the axes of a sensor against least squares with all parameters, by SciPy."""

from itertools import permutations, product

import numpy as np
import pytest
from scipy.linalg import lstsq

from pygnc.common.arrays import Array
from pygnc.estimators.attitude.wiring import MATRIX_SIGMA, Evidence, SensorAxes, Verdict, Wiring

BIAS_SIGMA = 3.0
WALK = 0.4
NOISE, COMMON = 0.05, 0.02
SIGNED = [np.diag(signs)[list(order)] for order in permutations(range(3)) for signs in product((1.0, -1.0), repeat=3)]


def readings(seed: int, count: int, permutation: Array, bias: Array) -> tuple[Array, Array]:
    """Partials and observations of towards . (permutation (1 + error) reading - bias), for random directions."""
    rng = np.random.default_rng(seed)
    towards, reading = rng.normal(size=(2, count, 3))
    true = reading @ permutation.T @ (np.eye(3) + rng.normal(0.0, 0.05, (3, 3))).T
    observed = np.sum(towards * (true - bias), axis=1) + rng.normal(0.0, NOISE, count)
    partials = np.concatenate(((towards[:, :, None] * reading[:, None, :]).reshape(-1, 9), -towards), axis=1)
    return partials, observed


def added(evidence: Evidence, partials: Array, observed: Array) -> Evidence:
    return evidence.added(partials, observed, np.full(len(observed), NOISE), np.full(len(observed), COMMON))


def chi_square(blocks: list[tuple[Array, Array]], permutation: Array) -> float:
    """The least sum of squares over matrix error and one bias per block, which walks from block to block."""
    size = 9 + 3 * len(blocks)
    rows, right = [np.eye(9, size) / MATRIX_SIGMA], [np.zeros(9)]
    last = np.zeros((3, size))
    for k, (partials, observed) in enumerate(blocks):
        bias = np.zeros((3, size))
        bias[:, 9 + 3 * k : 12 + 3 * k] = np.eye(3)
        rows.append((bias - last) / (WALK if k else np.hypot(BIAS_SIGMA, WALK)))
        right.append(np.zeros(3))
        weight = 1.0 / np.sqrt(NOISE**2 + len(observed) * COMMON**2)
        rows.append(weight * (partials[:, :9] @ np.eye(9, size) + partials[:, 9:] @ bias))
        right.append(weight * (observed - partials[:, :9] @ permutation.ravel()))
        last = bias
    matrix, target = np.concatenate(rows), np.concatenate(right)
    solution = lstsq(matrix, target)[0]
    return float(np.square(matrix @ solution - target).sum())


def test_chi_squares_are_those_of_least_squares_with_all_parameters() -> None:
    blocks = [readings(k, 15, SIGNED[5], np.array([1.0, -2.0, 0.5 * k])) for k in range(3)]
    evidence = Evidence.none(BIAS_SIGMA)
    for block in blocks:
        evidence = added(evidence.drifted(WALK), *block)
    expected = [chi_square(blocks, permutation) for permutation in SIGNED]
    assert sorted(evidence.chi_squares()) == pytest.approx(sorted(expected), rel=1e-6)
    assert evidence.chi_squares()[0] == pytest.approx(chi_square(blocks, np.eye(3)), rel=1e-6)


@pytest.mark.parametrize("permutation", SIGNED)
def test_names_the_axes_that_fit(permutation: Array) -> None:
    evidence = added(Evidence.none(BIAS_SIGMA), *readings(7, 60, permutation, np.array([2.0, -1.0, 3.0])))
    found = evidence.wiring(is_enough=False)
    right = np.array_equal(permutation, np.eye(3))
    assert found.verdict is (Verdict.RIGHT if right else Verdict.WRONG)
    assert found.is_determined
    assert found.permutation == pytest.approx(permutation)
    assert (found.residual_ratio == 1.0) == right


def test_axes_without_motion_are_not_observable() -> None:
    partials, observed = readings(8, 60, np.eye(3), np.zeros(3))
    still = partials.reshape(-1, 4, 3).copy()
    still[:, :3, 2] = 0.0  # the third axis reads nothing
    evidence = added(Evidence.none(BIAS_SIGMA), still.reshape(-1, 12), observed)
    assert evidence.wiring(is_enough=False).verdict is Verdict.UNKNOWN
    found = evidence.wiring(is_enough=True)
    assert found.verdict is not Verdict.RIGHT
    assert not found.is_determined


def test_nothing_is_known_without_data_or_if_no_axes_fit() -> None:
    none = Evidence.none(BIAS_SIGMA)
    assert none.wiring(is_enough=False) == Wiring()
    assert none.wiring(is_enough=True).verdict is Verdict.NOT_OBSERVABLE
    partials, observed = readings(9, 60, np.eye(3), np.zeros(3))
    noisy = observed + np.random.default_rng(1).normal(0.0, 3.0, len(observed))
    assert added(none, partials, noisy).wiring(is_enough=True) == Wiring()


def test_verdicts_are_news_if_they_change_or_wrong_axes_do() -> None:
    right, open_ = Wiring(Verdict.RIGHT, "+x +y +z"), Wiring(Verdict.NOT_OBSERVABLE, "+x ? ?", "+x +y +z")
    wrong = Wiring(Verdict.WRONG, "+y -x +z", "+y -x +z", 0.07)
    other = Wiring(Verdict.WRONG, "+y ? ?", "+y -x +z", 0.1)
    assert SensorAxes(right, open_).differs(SensorAxes(right, wrong))
    assert SensorAxes(wrong, right).differs(SensorAxes(other, right))
    assert not SensorAxes(right, open_).differs(SensorAxes(right, Wiring(Verdict.NOT_OBSERVABLE, "+x +y ?")))
    assert SensorAxes(right, wrong).is_contradicted
    assert not SensorAxes(right, open_).is_contradicted
    assert str(SensorAxes(wrong, open_)) == (
        "magnetometer axes: readings fit +y -x +z better than the declared mounting "
        "(squared residuals 0.07 of those with it); gyro axes: not observable in this motion, known axes +x ? ?"
    )
    assert str(Wiring(Verdict.NOT_OBSERVABLE, "? ? ?")) == "not observable in this motion"
    assert str(other).endswith("(squared residuals 0.1 of those with it; most likely +y -x +z)")
