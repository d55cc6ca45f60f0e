from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_ground.campaign.draws import Draw, drawn_value

NAME = "scenario.gps.position_noise_m"


def values(repetitions: int = 200, name: str = NAME, **kind: object) -> list[Any]:
    draw = msgspec.convert(kind, Draw)
    return [drawn_value(draw, name, 1 + number, number, repetitions) for number in range(repetitions)]


def test_numbers_have_their_distribution() -> None:
    assert 0.0 <= min(values(uniform=[0.0, 2.0])) < 0.1
    assert 1.9 < max(values(uniform=[0.0, 2.0])) <= 2.0
    logarithms = np.log10(values(log_uniform=[0.01, 100.0]))
    assert abs(logarithms.mean()) < 0.3
    assert -2.0 <= logarithms.min() < -1.8
    medians = np.log(values(log_normal=[2.0, 0.1]))
    assert abs(medians.mean() - np.log(2.0)) < 0.03
    assert abs(medians.std() - 0.1) < 0.02
    assert abs(np.mean(values(normal=[5.0, 1.0])) - 5.0) < 0.3
    assert max(np.abs(values(normal=[0.0, 1.0], limit=0.5))) == 0.5
    assert {*values(choice=["a", "b"])} == {"a", "b"}
    assert values(5, cycle=[1.0, 2.0]) == [1.0, 2.0, 1.0, 2.0, 1.0]
    assert values(3, spread=[10.0, 20.0]) == [10.0, 15.0, 20.0]
    days = values(day=["2024-02-28", "2024-03-01"])
    assert {*days} == {"2024-02-28T00:00:00Z", "2024-02-29T00:00:00Z"}


def test_vectors_have_their_shape() -> None:
    assert {tuple(np.abs(value)) for value in values(sign=[1.0, 2.0])} == {(1.0, 2.0)}
    assert {tuple(value) for value in values(sign=[0.5], count=2)} == {(a, b) for a in (-0.5, 0.5) for b in (-0.5, 0.5)}
    np.testing.assert_allclose(np.linalg.norm(values(direction=3.0), axis=1), 3.0)
    np.testing.assert_allclose(np.linalg.norm(values(attitude=True), axis=1), 1.0)
    assert np.shape(values(10, uniform=[0.0, 1.0], count=6)) == (10, 6)


@given(seed=st.integers(0, 2**31), other=st.floats(-1e3, 1e3))
def test_a_draw_depends_on_seed_and_name_only(seed: int, other: float) -> None:
    draw = msgspec.convert({"uniform": [0.0, 1.0]}, Draw)
    assert drawn_value(draw, NAME, seed, 0, 2) == drawn_value(draw, NAME, seed, 7, 99)
    assert drawn_value(draw, NAME, seed, 0, 2) != drawn_value(draw, f"{NAME}{other}", seed, 0, 2)


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ({}, "exactly one"),
        ({"uniform": [0.0, 1.0], "normal": [0.0, 1.0]}, "exactly one"),
        ({"uniform": [1.0, 0.0]}, "lowest value"),
        ({"choice": []}, "empty"),
        ({"day": ["2024-02-30", "2024-03-01"]}, "not a day"),
        ({"day": ["2024-03-01", "2024-03-01"]}, "not after"),
        ({"log_uniform": [0.0, 1.0]}, "> 0"),
    ],
)
def test_an_unusable_draw_is_refused(kind: dict[str, Any], message: str) -> None:
    with pytest.raises(msgspec.ValidationError, match=message):
        msgspec.convert(kind, Draw)
