"""Record of constants: which numbers of a source count, and what a change is called."""

import ast
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pygnc_ground.gate.constants import (
    PACKAGES,
    changes,
    located_numbers,
    modules_of,
    numbers_in,
    only_moved,
    record,
    units_in_last_place,
)

SOURCE = '''
"""Docstring with 1.0."""
LIMIT: Final[tuple[int, 3]] = 2.5
TABLE = np.array([1, -2.0, 3e-7])
@dataclass(frozen=True)
class Settings(Struct, frozen=True):
    """Text."""
    sigma: float = 10.0 * 2
    is_used: bool = True
    @property
    def model(self, count: int = 5):
        """Another 7.0."""
        x = self.state[12:15] + 0.5 * self.other[1.5]
        return x ** 2 + 1_000 if x else lambda y: 4.0
for _ in range(9): pass
'''


def test_numbers_are_found_with_their_places() -> None:
    assert numbers_in(ast.parse(SOURCE)) == {
        "LIMIT": ["2.5"],
        "TABLE": ["1", "2.0", "3e-07"],
        "Settings.sigma": ["10.0", "2"],
        "Settings.is_used": ["True"],
        "Settings.model": ["5", "0.5", "1000", "4.0"],
        "<module>": ["9"],
    }


def test_the_record_has_the_constants_of_the_estimators() -> None:
    found = record()
    assert found["pygnc.estimators.orbit.settings"]["MeasurementSettings.gate"] == ["21.1"]
    assert found["pygnc.estimators.attitude.magnetometer"]["_ENDED_GATE"] == ["7.8"]
    assert found["pygnc.environment.gravity"]["GM_EARTH_M3_S2"] == ["398600441500000.0"]
    assert len(found["pygnc.environment.drag"]["_DENSITY_TABLE"]) > 100
    assert found == record()


def changed_by_one_unit(source: str, number: int) -> str:
    """Return the source with the floating-point number of this index next to its present value."""
    tree = ast.parse(source)
    floats = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and type(node.value) is float]
    node = floats[number]
    assert isinstance(node.value, float)
    node.value = math.nextafter(node.value, math.inf)
    return ast.unparse(tree)


@pytest.mark.parametrize("number", range(5))
def test_one_unit_in_the_last_place_is_a_change(number: int) -> None:
    now = numbers_in(ast.parse(changed_by_one_unit(SOURCE, number)))
    (change,) = changes({"module": numbers_in(ast.parse(SOURCE))}, {"module": now})
    assert change.place.startswith("module ")
    assert len(change.before) == len(change.after) == 1
    assert change.units == 1
    assert not only_moved([change])


def test_a_number_that_moves_is_no_new_value() -> None:
    found = changes({"one": {"A": ["1.5", "2"], "B": ["3"]}}, {"one": {"B": ["3"]}, "other": {"A": ["2", "1.5"]}})
    assert [change.place for change in found] == ["one A", "other A"]
    assert only_moved(found)
    assert only_moved([])


def test_new_and_removed_numbers_are_changes() -> None:
    (added,) = changes({}, {"one": {"A": ["1.5"]}})
    (removed,) = changes({"one": {"A": ["1.5"]}}, {})
    assert (added.before, added.after, added.units) == ([], ["1.5"], None)
    assert (removed.before, removed.after) == (["1.5"], [])
    assert not only_moved([added])
    assert not only_moved([removed])


@given(st.floats(-1e300, 1e300), st.integers(-20, 20))
def test_units_in_the_last_place_count_floating_point_numbers(value: float, steps: int) -> None:
    other = value
    for _ in range(abs(steps)):
        other = math.nextafter(other, math.copysign(math.inf, steps))
    assert units_in_last_place(repr(value), repr(other)) == steps


@pytest.mark.parametrize(
    ("before", "after"), [("1", "2"), ("True", "False"), ("1.0", "2.0"), ("1.0", "inf"), ("1.0", "1j")]
)
def test_other_changes_have_no_such_count(before: str, after: str) -> None:
    assert units_in_last_place(before, after) is None


def one_unit_more(value: object) -> object:
    if isinstance(value, complex):
        return complex(value.real, math.nextafter(value.imag, math.inf))
    if isinstance(value, float):
        return math.nextafter(value, math.inf)
    assert isinstance(value, int)
    return not value if isinstance(value, bool) else value + 1


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_one_unit_in_the_last_place_of_every_number_is_noticed_and_named(package: str) -> None:
    for module, file in modules_of(package):
        tree = ast.parse(file.read_text(encoding="utf-8"))
        before = {module: numbers_in(tree)}
        for place, node in list(located_numbers(tree)):
            value = node.value
            node.value = one_unit_more(value)  # type: ignore[assignment]
            (change,) = changes(before, {module: numbers_in(tree)})
            assert change.place == f"{module} {place}"
            assert (change.before, change.after) == ([repr(value)], [repr(node.value)])
            assert change.units == (1 if isinstance(value, float) else None)
            assert not only_moved([change])
            node.value = value
        assert {module: numbers_in(tree)} == before
