"""Air quality indices of particles and exceeded limits of their concentrations. The functions are pure.

The index of the United States is computed from a NowCast, that of Europe from the mean of an hour.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Final

from pygnc_system.files import data_file

HOURS: Final = 12
"""Hours of a NowCast."""
LATEST_HOURS: Final = 3
"""Hours of which some must have readings."""
_LEAST_LATEST: Final = 2
_LEAST_WEIGHT: Final = 0.5
_NUMBERS: Final = 6


class Index(StrEnum):
    """Air quality index; the value is the name of the file with its break points."""

    US = "us_epa_2024"
    EUROPE = "eu_eaqi_2024"


@dataclass(frozen=True, slots=True)
class Range:
    """Range of concentrations in µg/m³, both ends included, with the indices of its ends."""

    resolution: float
    low: float
    high: float
    index_low: int
    index_high: int
    category: str


@dataclass(frozen=True, slots=True)
class AirQuality:
    """Air quality index.

    Attributes:
        index: index from 0 upwards; that of the United States continues the last range above 500. That of Europe is
            the number of the range from 1.
        category: name of the range.
        rank: number of the range, from 0.
    """

    index: int
    category: str
    rank: int


def parse_break_points(text: str) -> dict[str, tuple[Range, ...]]:
    """Return the ranges of each value of a file of break points; data/air_quality/README.md describes the file.

    Raises:
        ValueError: a line is not a range; the message contains its number.
    """
    found: dict[str, tuple[Range, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        name, *words = line.split(maxsplit=_NUMBERS)
        try:
            resolution, low, high, index_low, index_high, category = words
            each = Range(float(resolution), float(low), float(high), int(index_low), int(index_high), category)
        except ValueError:
            raise ValueError(f"line {number}: {line!r:.80} is not a range of seven words") from None
        found[name] = (*found.get(name, ()), each)
    return found


@cache
def break_points(of: Index = Index.US) -> dict[str, tuple[Range, ...]]:
    """Return the ranges of all values of an index, by the name of the value."""
    return parse_break_points(data_file(f"air_quality/{of}.txt").read_text(encoding="utf-8"))


def air_quality(name: str, concentration_ug_m3: float, of: Index = Index.US) -> AirQuality:
    """Return the index of a concentration, which is truncated to the resolution of the break points.

    Args:
        name: name of the value, `pm_2_5_ug_m3` or `pm_10_ug_m3`.
        concentration_ug_m3: mean of 24 hours or NowCast, for Europe mean of an hour; a negative one counts as 0.
        of: index.
    """
    ranges = break_points(of)[name]
    resolution = ranges[0].resolution
    # Addition and rounding keep 35.4 from becoming 35.3 or 35.400000000000006 by its binary representation.
    truncated = round(math.floor(max(concentration_ug_m3, 0.0) / resolution + 1e-6) * resolution, 6)
    rank = next((rank for rank, each in enumerate(ranges) if truncated <= each.high), len(ranges) - 1)
    chosen = ranges[rank]
    slope = (chosen.index_high - chosen.index_low) / (chosen.high - chosen.low)
    index = math.floor(slope * (truncated - chosen.low) + chosen.index_low + 0.5)
    return AirQuality(index, chosen.category, rank)


def nowcast(means: Sequence[float | None]) -> float | None:
    """Return the NowCast of hourly means: their mean with weights that decrease faster the more they vary.

    The weight of an hour is w to the power of its age in hours, where w is the ratio of the lowest to the highest mean,
    at least 0.5.

    Args:
        means: means of the last 12 hours, the latest first; None for an hour without readings.

    Returns:
        The NowCast, None if two of the latest three hours have no mean.
    """
    latest = [mean for mean in means[:LATEST_HOURS] if mean is not None]
    if len(latest) < _LEAST_LATEST:
        return None
    known = [(age, max(mean, 0.0)) for age, mean in enumerate(means[:HOURS]) if mean is not None]
    highest = max(mean for _, mean in known)
    ratio = min(mean for _, mean in known) / highest if highest else 1.0
    weight = max(ratio, _LEAST_WEIGHT)
    total = sum(weight**age for age, _ in known)
    return sum(weight**age * mean for age, mean in known) / total
