"""HTTP operations of plots: one value over time as means or extremes, a few hundred points, and exceeded limits."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias, cast

from sqlalchemy import Connection, func, select
from starlette.requests import Request

from pygnc_station.server.context import context_of
from pygnc_station.server.corrections import Correction, Corrections, value_of
from pygnc_station.server.limits import daily_means, exceedances, limits
from pygnc_station.server.operations import Operation
from pygnc_station.server.readings_api import Filters
from pygnc_station.settings_types import zone_of
from pygnc_station.store import schema
from pygnc_station.store.hourly import Statistics, hours_of, sum_of
from pygnc_station.store.query import IS_CREDIBLE, Span, conditions
from pygnc_station.store.readings import CONTENT_DECODER, HOUR_MS, Stream

MAX_MEANS: Final = 800
STEPS_H: Final = (1, 3, 6, 24, 168, 720, 8760)
"""Lengths of the intervals of means, in hours."""
_EXTREME_INTERVALS: Final = 600
_MAX_READINGS: Final = 20_000
"""Readings that a plot takes into account; for more, it takes the extremes of each hour. A day at 5 s has 17 280."""
Point: TypeAlias = tuple[int, float]
Corrected: TypeAlias = tuple[Stream, Correction | None]
"""Stream, and the correction of the value that is read from it."""


class SeriesFilters(Filters, frozen=True):
    """Selection of the readings and of the value to plot.

    `form` is `raw` for readings, reduced to minimum and maximum per interval, or `mean` for means of intervals of an
    hour or more with minimum and maximum. With `corrected`, values are corrected for humidity and by the calibration
    in effect at their time.
    """

    name: str = ""
    form: Literal["raw", "mean"] = "raw"
    corrected: bool = False


def series(request: Request, query: SeriesFilters) -> object:
    """Return one value over time for a plot, a bounded number of points for any time span.

    `points` are [time, value] for the form `raw`, and [time, mean, minimum, maximum, hours with readings] of intervals
    of `step_ms` for `mean`. `corrected` is true if a correction was applied.
    """
    among = _selected(request, query)
    found: dict[str, object] = {"name": query.name, "corrected": any(correct for _, correct in among)}
    with context_of(request).store.reads() as connection:
        if query.form == "raw":
            return found | {"points": _reduced(sorted(_raw_points(connection, among, query)))}
        hours = sorted(hour for _, hour in corrected_hours(connection, among, query.name, query.span))
    step_h, means = means_of(hours, query.span)
    return found | {"step_ms": step_h * HOUR_MS, "points": means}


def exceeded_limits(request: Request, query: SeriesFilters) -> object:
    """Return the limits of a value of one gadget, and on how many days of a time span its daily means exceed each.

    Days begin in the time zone of the gadget. A day counts if 18 of its hours have readings.
    """
    among = _selected(request, query)
    found: dict[int, Statistics] = {}
    with context_of(request).store.reads() as connection:
        for _, (hour, *statistics) in corrected_hours(connection, among, query.name, query.span):
            added = cast("Statistics", tuple(statistics))
            found[hour] = sum_of(found[hour], added) if hour in found else added
    zone = context_of(request).serve.zone(query.gadget or query.gadget_id)
    hours = ((hour, total / readings) for hour, (readings, total, *_) in found.items())
    means = list(daily_means(hours, zone_of(zone)).values())
    results = [exceedances(limit, means) for limit in limits().get(query.name, ())]
    return {"name": query.name, "time_zone": zone, "results": results}


def _selected(request: Request, query: SeriesFilters) -> list[Corrected]:
    context = context_of(request)
    with context.store.reads() as connection:
        corrections = Corrections(connection, context.serve)
    return [
        (stream, corrections.of(stream, query.name) if query.corrected else None)
        for stream in query.streams(request)
        if query.name in stream.layout.names
    ]


class Summary(NamedTuple):
    """Number of readings, sum, minimum and maximum of one value in an hour."""

    hour: int
    readings: int
    total: float
    low: float
    high: float

    @property
    def mean(self) -> float:
        """Mean of the value."""
        return self.total / self.readings


def means_of(hours: Sequence[Summary], span: Span) -> tuple[int, list[list[float]]]:
    """Return an interval in hours and [start in ms, mean, minimum, maximum, hours] of each interval with readings.

    Args:
        hours: statistics of hours, ordered by hour; an hour may occur several times.
        span: time span, from which the interval is chosen if it has both ends, so that it is the same for all values.
    """
    if not hours:
        return STEPS_H[0], []
    span_h = hours[-1].hour - hours[0].hour + 1
    if span.start_ms is not None and span.stop_ms is not None:
        span_h = max(span_h, (span.stop_ms - span.start_ms) // HOUR_MS)
    step_h = next((step for step in STEPS_H if span_h <= step * (MAX_MEANS - 1)), -(-span_h // (MAX_MEANS - 1)))
    covered = Counter(hour - hour % step_h for hour in {each.hour for each in hours})
    found: dict[int, Summary] = {}
    for each in hours:
        start = each.hour - each.hour % step_h
        old = found.get(start)
        found[start] = Summary(start, *(each[1:] if old is None else sum_of(old[1:], each[1:])))
    return step_h, [[key * HOUR_MS, of.mean, of.low, of.high, covered[key]] for key, of in sorted(found.items())]


def corrected_hours(
    connection: Connection, among: Sequence[Corrected], name: str, span: Span, *, of_deleted: bool = False
) -> Iterator[tuple[Stream, Summary]]:
    """Yield the statistics of `hours_of` of one value, corrected by the mean humidity of the hour."""
    corrections = {stream.id: correct for stream, correct in among}
    values = [
        (stream, [name, *([correct.humidity] if correct and correct.humidity else [])]) for stream, correct in among
    ]
    for stream, hour, (value, *humidities) in hours_of(connection, values, span, of_deleted=of_deleted):
        if value is None:
            continue
        count, total, low, high = value
        if (correct := corrections[stream.id]) is not None:
            humidity = humidities[0] if humidities else None
            mean_humidity = humidity[1] / humidity[0] if humidity else None
            t_ms = hour * HOUR_MS
            total = correct(total / count, mean_humidity, t_ms) * count
            low, high = correct(low, mean_humidity, t_ms), correct(high, mean_humidity, t_ms)
        yield stream, Summary(hour, count, total, low, high)


def _raw_points(connection: Connection, among: Sequence[Corrected], query: SeriesFilters) -> Iterator[Point]:
    span = query.span
    hours, deleted = (
        [each for _, each in corrected_hours(connection, among, query.name, span, of_deleted=of_deleted)]
        for of_deleted in (False, True)
    )
    # Counting readings costs the disk more. The statistics may lag behind, so they cannot tell that there are few.
    stored = sum(each.readings for each in hours) - sum(each.readings for each in deleted)
    are_many = stored > _MAX_READINGS or sum(_count(connection, stream, span) for stream, _ in among) > _MAX_READINGS
    for each in hours if are_many else deleted:
        yield each.hour * HOUR_MS, each.low
        yield each.hour * HOUR_MS + HOUR_MS // 2, each.high
    if are_many:
        return
    r = schema.readings.c
    for stream, correct in among:
        read = value_of(stream.layout, query.name, correct)
        selected = select(r.t_utc_ms, r.content).where(*conditions(stream, span), IS_CREDIBLE)
        for t_utc_ms, content in connection.execute(selected.order_by(r.t_utc_ms)):
            value = read(CONTENT_DECODER.decode(content), t_utc_ms)
            if value is not None:
                yield t_utc_ms, value


def _count(connection: Connection, stream: Stream, span: Span) -> int:
    """Return the number of readings, or one more than are taken into account."""
    some = select(schema.readings.c.number).where(*conditions(stream, span)).limit(_MAX_READINGS + 1).subquery()
    return int(connection.execute(select(func.count()).select_from(some)).scalar_one())


def _reduced(points: Sequence[Point]) -> Sequence[Point]:
    """Return minimum and maximum of each interval; their plot looks like a plot of all points."""
    if len(points) <= 2 * _EXTREME_INTERVALS:
        return points
    kept: list[Point] = []
    for rank in range(_EXTREME_INTERVALS):
        interval = points[rank * len(points) // _EXTREME_INTERVALS : (rank + 1) * len(points) // _EXTREME_INTERVALS]
        extremes = (min(interval, key=lambda point: point[1]), max(interval, key=lambda point: point[1]))
        kept += sorted(extremes)
    return kept


OPERATIONS: Final = (
    Operation("GET", "/api/v1/series/", series),
    Operation("GET", "/api/v1/limits/", exceeded_limits),
)
