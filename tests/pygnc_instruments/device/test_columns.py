import numpy as np
import pytest

from pygnc_instruments.device.columns import BLOCK, Column, Part, blocks, deviation, mean


@pytest.fixture
def numbers() -> np.ndarray:
    return np.random.default_rng(1).normal(3.0, 2.0, 2 * BLOCK + 77)


@pytest.fixture
def column(numbers: np.ndarray) -> Column:
    column = Column()
    for number in numbers[:10_000]:
        column.append(number)
    column.extend(numbers[10_000:])
    return column


def test_slices_of_a_column_are_those_of_an_array(column: Column, numbers: np.ndarray) -> None:
    assert len(column) == len(numbers)
    for part in (slice(None), slice(5, 9), slice(BLOCK - 3, BLOCK + 3), slice(-2, None), slice(9, 3)):
        np.testing.assert_array_equal(column[part], numbers[part])
    column.append(5.0)
    assert column[-1:].tolist() == [5.0]


def test_slices_of_a_part_count_from_its_beginning(column: Column, numbers: np.ndarray) -> None:
    part, wanted = Part(column, 100, BLOCK + 200), numbers[100 : BLOCK + 200]
    assert len(part) == len(wanted)
    np.testing.assert_array_equal(part[BLOCK:], wanted[BLOCK:])
    np.testing.assert_array_equal(np.concatenate([*blocks(part, 1000)]), wanted)


def test_mean_and_deviation_are_those_of_numpy(column: Column, numbers: np.ndarray) -> None:
    assert mean(column) == pytest.approx(numbers.mean(), rel=1e-13)
    assert deviation(column) == pytest.approx(numbers.std(), rel=1e-13)
