"""Rules of alerts on values: how readings raise and clear an alert. Pure functions.

A value is beyond the limit from the reading that exceeds it to the one that reaches the level of clearing. The alert is
raised after it was beyond for the time of the rule, and cleared after it was not beyond for this time. Only the times
of readings count, so a batch that arrives late is judged like one that arrives at once.
"""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from pygnc_station.server_settings import Alerts, ValueRule
from pygnc_station.settings_types import zone_of
from pygnc_station.store.readings import HOUR_MS, MINUTE_MS, iso_time

GAP_MS: Final = 2 * HOUR_MS
"""After a longer time without readings, the time for which a limit is exceeded or kept begins anew."""
MEMORY_MS: Final = 15 * MINUTE_MS
"""A value counts until its next reading, at most for this time; the cells of a battery arrive in several readings."""


class Sample(NamedTuple):
    """Values of a reading that a rule concerns, by name, and its time."""

    t_utc_ms: int
    values: Mapping[str, float]


class Extreme(NamedTuple):
    """Value that is compared with a limit, and its description."""

    value: float
    name: str


class Event(NamedTuple):
    """Alert that is raised or cleared by the reading at `t_utc_ms`; its cause has lasted since `since_ms`."""

    is_raised: bool
    t_utc_ms: int
    since_ms: int
    extreme: Extreme


class Progress(msgspec.Struct, frozen=True):
    """State of a rule for a gadget after some readings.

    Attributes:
        judged_ms: time of the last reading that was judged.
        is_beyond: the value is beyond the limit.
        since_ms: time of the reading since which it is, or is not.
        newest: time and value of the newest readings by name.
    """

    judged_ms: int = 0
    is_beyond: bool = False
    since_ms: int = 0
    newest: dict[str, tuple[int, float]] = msgspec.field(default_factory=dict)


def judge(
    rule: ValueRule, before: Progress, samples: Iterable[Sample], *, is_raised: bool, oldest_ms: int
) -> tuple[Progress, list[Event]]:
    """Return the progress after some readings, and the events: none, one, or a raised alert that is cleared again.

    Args:
        rule: the rule.
        before: progress so far; readings up to its time do not count any more.
        samples: readings in the order of their times.
        is_raised: the alert is raised.
        oldest_ms: earlier readings neither raise nor clear it.
    """
    last_ms, is_beyond, since_ms = before.judged_ms, before.is_beyond, before.since_ms
    newest, now_raised = dict(before.newest), is_raised
    events: list[Event] = []
    for t_utc_ms, values in samples:
        if t_utc_ms <= before.judged_ms:
            continue
        newest |= {name: (t_utc_ms, value) for name, value in values.items()}
        newest = {name: known for name, known in newest.items() if known[0] >= t_utc_ms - MEMORY_MS}
        extreme = extreme_of(rule, {name: value for name, (_, value) in newest.items()})
        was_beyond, is_beyond = is_beyond, _is_beyond(rule, extreme.value, is_beyond)
        if is_beyond != was_beyond or t_utc_ms - last_ms > GAP_MS:
            since_ms = t_utc_ms
        last_ms = t_utc_ms
        is_due = t_utc_ms - since_ms >= rule.for_min * MINUTE_MS and t_utc_ms >= oldest_ms
        if is_due and is_beyond != now_raised:
            now_raised = is_beyond
            events.append(Event(now_raised, t_utc_ms, since_ms, extreme))
    return Progress(last_ms, is_beyond, since_ms, newest), _shortened(events, is_raised=is_raised)


def _is_beyond(rule: ValueRule, value: float, was_beyond: bool) -> bool:  # noqa: FBT001 - the state before
    sign = 1 if rule.is_upper else -1
    if sign * value > sign * rule.limit:
        return True
    return was_beyond and sign * value > sign * rule.clear_level


def _shortened(events: list[Event], *, is_raised: bool) -> list[Event]:
    """Return the first and the last change, so that a value which changes often raises one alert per check."""
    if is_raised:
        return events[-1:] if len(events) % 2 else []
    return events if len(events) <= 1 else [events[0], *([] if events[-1].is_raised else events[-1:])]


def extreme_of(rule: ValueRule, values: Mapping[str, float]) -> Extreme:
    """Return the value that a rule compares with its limit, of at least one value."""
    lowest, highest = min(values, key=values.__getitem__), max(values, key=values.__getitem__)
    if rule.of == "spread":
        return Extreme(values[highest] - values[lowest], f"the difference between {highest} and {lowest}")
    name = highest if rule.is_upper else lowest
    return Extreme(values[name], name)


def text_of(rule: ValueRule, event: Event, unit: str) -> str:
    """Return the description of an event, with the unit of the values."""
    value, limit = f"{event.extreme.value:.4g} {unit}".rstrip(), f"{rule.limit:g} {unit}".rstrip()
    side = "above" if rule.is_upper else "below"
    since = iso_time(event.since_ms)
    if event.is_raised:
        return f"{event.extreme.name} is {value}, {side} {limit} since {since}"
    return f"{event.extreme.name} is {value}, not {side} {limit} since {since}"


def quiet_until_ms(settings: Alerts, now_ms: int) -> int:
    """Return the end of the quiet hours, milliseconds since 1970 (UTC); 0 outside the quiet hours."""
    if settings.quiet_times is None:
        return 0
    begin, end = settings.quiet_times
    zone = zone_of(settings.zone)  # without a zone, a time is one of this computer's
    moment = datetime.fromtimestamp(now_ms / 1000, UTC).astimezone(zone)
    now = moment.time()
    if not (begin <= now < end if begin < end else now >= begin or now < end):
        return 0
    day = moment.date() + timedelta(days=int(now >= end))
    return int(datetime.combine(day, end, zone).timestamp() * 1000)
