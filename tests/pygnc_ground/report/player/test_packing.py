import numpy as np
import pytest

from pygnc_ground.report.player.packing import PLACED_BITS, PLOTTED_BITS, numbers, pack, texts, thinned, times
from tests.pygnc_ground.report.player.unpacking import unpack


@pytest.mark.parametrize("bits", [PLOTTED_BITS, PLACED_BITS, 23])
def test_numbers_are_rounded_to_the_bits_of_the_mantissa(bits: int) -> None:
    values = np.concatenate((np.random.default_rng(1).normal(scale=1e4, size=500), [0.0, -1.0, np.pi, 1e-30, 3.4e38]))
    tables, _ = unpack(pack([("of", "value", numbers(values, bits))], {}))
    np.testing.assert_allclose(tables["of"]["value"], values, rtol=2.0 ** -(bits + 1) + 2.0**-24)


def test_unknown_and_infinite_numbers_are_not_numbers() -> None:
    tables, _ = unpack(pack([("of", "value", numbers(np.array([1.0, np.nan, np.inf, -np.inf])))], {}))
    assert tables["of"]["value"][0] == 1.0
    assert np.isnan(tables["of"]["value"][1:]).all()


def test_times_are_exact() -> None:
    unix_ms = np.array([1_742_428_800_123.0, 1_742_428_800_124.0, 1_742_515_200_000.0])
    tables, _ = unpack(pack([("of", "time", times(unix_ms))], {}))
    assert tables["of"]["time"].tolist() == unix_ms.tolist()


def test_texts_of_any_characters_are_kept() -> None:
    words = ["</script><script>alert(1)</script>", "\udcff\x1b[2J", "", "</script><script>alert(1)</script>"]
    tables, about = unpack(pack([("of", "word", texts(words))], {"note": words}))
    assert tables["of"]["word"] == words == about["note"]


def test_equal_tables_give_equal_bytes() -> None:
    assert len({pack([("of", "value", numbers(np.arange(9.0)))], {"a": 1}) for _ in range(2)}) == 1


@pytest.mark.parametrize(("count", "step"), [(0, 1), (100, 1), (101, 2), (1000, 10)])
def test_long_tables_are_thinned(count: int, step: int) -> None:
    assert thinned(count, 100).step == step
    assert len(range(count)[thinned(count, 100)]) <= 100
