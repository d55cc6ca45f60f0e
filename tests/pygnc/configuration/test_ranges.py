"""Every setting has a range; the filters work with all values in it, and all others are rejected."""

import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
import pytest
from msgspec import inspect

from pygnc.bus.messages import BatchEnd, Message, RangeMeasurement, SensorSample
from pygnc.configuration.load import ConfigurationError, range_text
from pygnc.configuration.settings import Settings
from pygnc.environment.earth_orientation import EarthOrientationTable
from pygnc.host.settings_slots import named_values
from pygnc_ground.replay.collect import make_pipeline
from pygnc_ground.replay.inputs import from_files
from tests.pygnc.configuration.random_settings import Number, declarations, parts, random_settings, settings_of

DECLARED = declarations()
DEMO = Path(__file__).resolve().parents[3] / "data" / "demo"
MESSAGES = 210
"""Inputs of a short replay: about 25 fixes, 140 samples and 45 ranges."""
FIXES = 20
UNUSED: Final[dict[str, type[Message]]] = {"attitude": RangeMeasurement, "formation": SensorSample}
"""Inputs that no setting of a section affects; the solution of the formation takes more time than all other work."""
NUMBERS = {name: kind for name, kind in DECLARED.items() if isinstance(kind, Number)}


@pytest.mark.parametrize("name", DECLARED)
def test_every_number_text_and_list_has_a_finite_range(name: str) -> None:
    for kind in parts(DECLARED[name]):
        if isinstance(kind, Number):
            assert kind.ge is not None, "declare its least value"
            assert kind.le is not None, "declare its largest value"
            assert -1e13 < kind.ge < kind.le < 1e13
        elif isinstance(kind, inspect.StrType | inspect.VarTupleType | inspect.ListType | inspect.DictType):
            assert kind.max_length is not None, "declare its largest length"


def test_the_defaults_are_in_range() -> None:
    values = {name: value for name, value in named_values(Settings()).items() if value is not None}
    assert len(values) > 100
    assert settings_of(values) == Settings()


@pytest.mark.parametrize("name", NUMBERS)
def test_a_value_out_of_range_is_rejected_with_the_range(name: str) -> None:
    kind = NUMBERS[name]
    assert kind.ge is not None
    assert kind.le is not None
    step = 1 if isinstance(kind, inspect.IntType) else 1e-6 * (kind.le - kind.ge)
    for value in (kind.ge - step, kind.le + step, 10**24, -(10**24), 1e300, float("nan"), float("inf")):
        with pytest.raises(ConfigurationError) as caught:
            settings_of({name: value})
        assert f"{name}: " in str(caught.value)
        assert str(caught.value).endswith(f"permitted: {range_text(kind)}")


@cache
def inputs() -> list[Message]:
    """The begin of the demonstration batch, with an early end."""
    messages = list(from_files([DEMO / "sense.bin"], DEMO / "range", Settings()).messages)[:MESSAGES]
    return [*messages, BatchEnd(seq=MESSAGES + 1, cause="")]


def replay(settings: Settings, unused: type[Message] | None) -> Iterator[object]:
    """The estimates of all trackers from all inputs but the unused ones."""
    pipeline = make_pipeline(settings, EarthOrientationTable.none())
    for message in inputs():
        if unused is not None and isinstance(message, unused):
            continue
        result = pipeline.process(message)
        yield from result.orbit.messages
        yield from (record.estimate for record in result.attitude)
        yield from result.formation


def floats(value: object) -> Iterator[float]:
    """All numbers with a fraction in a message."""
    if isinstance(value, float):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in value.values() if isinstance(value, dict) else value:
            yield from floats(item)


def with_finite_estimates(settings: Settings, unused: type[Message] | None = None) -> bool:
    estimates = [msgspec.to_builtins(estimate) for estimate in replay(settings, unused)]
    least = MESSAGES // 2 if unused is not SensorSample else FIXES
    return len(estimates) > least and all(map(math.isfinite, floats(estimates)))


@pytest.mark.parametrize(
    ("seed", "share"),
    [
        *((seed, share) for seed in range(2) for share in (0.1, 0.5, 1.0)),
        *(pytest.param(seed, share, marks=pytest.mark.slow) for seed in range(2, 9) for share in (0.1, 0.5, 1.0)),
    ],
)
def test_the_filters_work_with_random_settings_in_range(seed: int, share: float) -> None:
    assert with_finite_estimates(random_settings(seed, share))


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in list(NUMBERS)[::3] if not name.startswith("logs.")])  # a sample
def test_the_filters_work_at_both_ends_of_a_range(name: str) -> None:
    for value in (NUMBERS[name].ge, NUMBERS[name].le):
        try:
            settings = settings_of({name: value})
        except ConfigurationError:
            continue  # it contradicts the default of another setting
        assert with_finite_estimates(settings, UNUSED.get(name.partition(".")[0]))
