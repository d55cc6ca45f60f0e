"""Random draws of a campaign: distributions of settings, each with a random stream of its own."""

import math
from typing import Any, Final, TypeAlias

import msgspec
import numpy as np

from pygnc_ground.scenario.sensor_settings import Count, NonNegative, Positive, Section
from pygnc_ground.scenario.settings import noise_generator
from pygnc_ground.truth.orbit_truth import FloatArray

Pair: TypeAlias = tuple[float, float]


class Draw(Section, frozen=True):
    """Distribution of one setting; exactly one kind is given.

    Raises:
        ValueError: No kind or more than one is given, or its values are not usable.
    """

    uniform: Pair | None = None
    """Lowest and highest value of a uniform distribution."""
    log_uniform: tuple[Positive, Positive] | None = None
    """Lowest and highest value, both positive, of a distribution that is uniform in the logarithm."""
    log_normal: tuple[Positive, NonNegative] | None = None
    """Median of a log-normal distribution and standard deviation of the natural logarithm."""
    normal: tuple[float, NonNegative] | None = None
    """Mean and standard deviation of a normal distribution."""
    choice: tuple[Any, ...] | None = None
    """Values of equal probability."""
    cycle: tuple[Any, ...] | None = None
    """Values that the repetitions take in turn."""
    spread: Pair | None = None
    """Values of the first and of the last repetition; those between are evenly spaced."""
    sign: tuple[float, ...] | None = None
    """Sizes with a random sign each. A single size gives a number, or `count` of them."""
    direction: NonNegative | None = None
    """Length of a vector with a random direction."""
    attitude: bool = False
    """Random unit quaternion, uniform over all attitudes."""
    day: tuple[str, str] | None = None
    """First day and the day after the last, such as 2022-06-01; the value is the beginning of a day in UTC."""
    count: Count | None = None
    """Number of values of `uniform`, `log_uniform`, `log_normal`, `normal` and `sign` if the setting is a list."""
    limit: Positive | None = None
    """Largest absolute value of `normal`; larger ones are replaced by it."""

    def __post_init__(self) -> None:
        given = [name for name in KINDS if getattr(self, name) not in {None, False}]
        if len(given) != 1:
            raise ValueError(f"a draw needs exactly one of {', '.join(KINDS)}; it has {' and '.join(given) or 'none'}")
        for name in ("uniform", "log_uniform"):
            low, high = getattr(self, name) or (0.0, 0.0)
            if low > high:
                raise ValueError(f"{name}: the lowest value {low:g} is above the highest {high:g}; exchange them")
        for name in ("choice", "cycle", "sign"):
            if getattr(self, name) == ():
                raise ValueError(f"{name} is empty; list at least one value")
        if self.day is not None:
            first, after = (_day(text) for text in self.day)
            if after <= first:
                raise ValueError(f"day: {self.day[1]} is not after {self.day[0]}; name a later day")


KINDS: Final = tuple(field.name for field in msgspec.structs.fields(Draw) if field.name not in {"count", "limit"})


def _day(text: str) -> np.datetime64:
    try:
        return np.datetime64(text, "D")
    except ValueError:
        raise ValueError(f"day: {text!r} is not a day such as 2025-03-20") from None


def drawn_value(draw: Draw, name: str, seed: int, repetition: int, repetitions: int) -> Any:  # noqa: ANN401 - any TOML
    """Return the value of one repetition, as TOML could contain it.

    The random stream depends only on the seed and the name, so that another draw does not change this one.
    """
    rng = noise_generator(seed, f"campaign {name}")
    if draw.cycle is not None:
        return draw.cycle[repetition % len(draw.cycle)]
    if draw.choice is not None:
        return draw.choice[int(rng.integers(len(draw.choice)))]
    if draw.spread is not None:
        first, last = draw.spread
        return first + (last - first) * repetition / max(repetitions - 1, 1)
    if draw.day is not None:
        first_day, after = (_day(text) for text in draw.day)
        days = int((after - first_day) / np.timedelta64(1, "D"))
        return f"{first_day + np.timedelta64(int(rng.integers(days)), 'D')}T00:00:00Z"
    if draw.direction is not None or draw.attitude:
        size, length = (4, 1.0) if draw.direction is None else (3, draw.direction)
        vector = rng.normal(size=size)
        return (length * vector / np.linalg.norm(vector)).tolist()
    numbers = _numbers(draw, rng).tolist()
    return numbers[0] if draw.count is None and len(numbers) == 1 else numbers


def _numbers(draw: Draw, rng: np.random.Generator) -> FloatArray:
    count = draw.count or 1
    if draw.sign is not None:
        sizes = np.array(draw.sign if len(draw.sign) > 1 else draw.sign * count)
        return np.asarray(sizes * rng.choice([-1.0, 1.0], len(sizes)))
    if draw.uniform is not None:
        return rng.uniform(*draw.uniform, count)
    if draw.log_uniform is not None:
        low, high = map(math.log, draw.log_uniform)
        return np.exp(rng.uniform(low, high, count))
    if draw.log_normal is not None:
        median, sigma = draw.log_normal
        return median * np.exp(sigma * rng.normal(size=count))
    mean, sigma = draw.normal or (0.0, 0.0)
    limit = draw.limit or math.inf
    return np.clip(mean + sigma * rng.normal(size=count), -limit, limit)
