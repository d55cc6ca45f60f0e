"""Limits of mean concentrations, and how often daily means exceed them. The functions are pure."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, tzinfo
from functools import cache
from typing import Final, Literal

from pygnc_system.files import data_file

LEAST_HOURS: Final = 18
"""Hours with readings of a day whose mean counts: 75 %, as the directives of the European Union require."""
LEAST_DAYS: Final = 274
"""Days of a year whose mean counts: 75 %."""
_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Limit:
    """Limit of the means of days or of a year; daily means may exceed it on `days_allowed` days of a year."""

    ug_m3: float
    period: Literal["day", "year"]
    days_allowed: int
    source: str


def parse_limits(text: str) -> dict[str, tuple[Limit, ...]]:
    """Return the limits of each value of a file; data/air_quality/README.md describes the file.

    Raises:
        ValueError: a line is not a limit; the message contains its number.
    """
    found: dict[str, tuple[Limit, ...]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("#") or not line.strip():
            continue
        match line.split(maxsplit=4):
            case [name, limit, "day" | "year" as period, days, source]:
                found[name] = (*found.get(name, ()), Limit(float(limit), period, int(days), source))
            case _:
                raise ValueError(f"line {number}: {line!r:.80} is not a limit of five words")
    return found


@cache
def limits() -> dict[str, tuple[Limit, ...]]:
    """Return the limits of all values, by the name of the value."""
    return parse_limits(data_file("air_quality/limits.txt").read_text(encoding="utf-8"))


def daily_means(hours: Iterable[tuple[int, float]], zone: tzinfo | None) -> dict[date, float]:
    """Return the means of the days of a time zone that have readings in at least 18 hours.

    Args:
        hours: number of each hour since 1970 (UTC), and its mean.
        zone: time zone in which the days begin; None for that of this computer.
    """
    days: dict[date, list[float]] = defaultdict(list)
    for hour, mean in hours:
        days[datetime.fromtimestamp(hour * _HOUR_S, zone).date()].append(mean)
    return {day: sum(means) / len(means) for day, means in days.items() if len(means) >= LEAST_HOURS}


def exceedances(limit: Limit, means: Sequence[float]) -> dict[str, object]:
    """Return how daily means compare with a limit, as JSON object.

    `exceeded` is true if the limit is exceeded more often than allowed, or by the mean of a year; it is null if the
    days are fewer than 75 % of a year.
    """
    found: dict[str, object] = {
        "limit": limit.ug_m3, "period": limit.period, "source": limit.source, "days": len(means)
    }  # fmt: skip
    mean = sum(means) / len(means) if means else None
    above = sum(each > limit.ug_m3 for each in means)
    is_year = len(means) >= LEAST_DAYS
    if limit.period == "year":
        return found | {"mean": mean, "exceeded": mean > limit.ug_m3 if is_year and mean is not None else None}
    is_beyond = above > limit.days_allowed
    return found | {
        "days_above": above,
        "days_allowed": limit.days_allowed,
        "exceeded": is_beyond if is_year or is_beyond else None,
    }
