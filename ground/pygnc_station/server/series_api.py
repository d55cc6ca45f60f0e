"""HTTP operations of plots: one value over time as means or extremes, a few hundred points for any time span."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

from sqlalchemy import Connection, func, select
from starlette.requests import Request

from pygnc_station.server.context import context_of
from pygnc_station.server.corrections import Correction
from pygnc_station.server.operations import Operation
from pygnc_station.server.readings_api import Filters
from pygnc_station.store import schema
from pygnc_station.store.hourly import hours_of, sum_of
from pygnc_station.store.query import IS_CREDIBLE, Span, conditions
from pygnc_station.store.readings import CONTENT_DECODER, HOUR_MS, Stream, number_of

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
    hour or more with minimum and maximum. With `corrected`, values are corrected for humidity and by the calibration of
    the unit.
    """

    name: str = ""
    form: Literal["raw", "mean"] = "raw"
    corrected: bool = False


def series(request: Request, query: SeriesFilters) -> object:
    """Return one value over time for a plot, a bounded number of points for any time span.

    `points` are [time, value] for the form `raw`, and [time, mean, minimum, maximum] of intervals of `step_ms` for
    `mean`. `corrected` is true if a correction was applied.
    """
    store, serve = context_of(request).store, context_of(request).serve
    among: list[Corrected] = []
    for stream in query.streams(request):
        if query.name in stream.layout.names:
            correct = Correction.of(stream.layout, query.name, serve.gadget(stream.gadget_id), serve.kappa)
            among.append((stream, correct if query.corrected else None))
    found: dict[str, object] = {"name": query.name, "corrected": any(correct for _, correct in among)}
    with store.reads() as connection:
        if query.form == "raw":
            return found | {"points": _reduced(sorted(_raw_points(connection, among, query)))}
        hours = sorted(hour for _, hour in corrected_hours(connection, among, query.name, query.span))
    step_h, means = means_of(hours, query.span)
    return found | {"step_ms": step_h * HOUR_MS, "points": means}


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
    """Return an interval in hours and [start in ms, mean, minimum, maximum] of each interval with readings.

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
    found: dict[int, Summary] = {}
    for each in hours:
        start = each.hour - each.hour % step_h
        old = found.get(start)
        found[start] = Summary(start, *(each[1:] if old is None else sum_of(old[1:], each[1:])))
    return step_h, [[key * HOUR_MS, of.mean, of.low, of.high] for key, of in sorted(found.items())]


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
            total = correct(total / count, mean_humidity) * count
            low, high = correct(low, mean_humidity), correct(high, mean_humidity)
        yield stream, Summary(hour, count, total, low, high)


def _raw_points(connection: Connection, among: Sequence[Corrected], query: SeriesFilters) -> Iterator[Point]:
    span = query.span
    are_many = sum(_count(connection, stream, span) for stream, _ in among) > _MAX_READINGS
    for _, each in corrected_hours(connection, among, query.name, span, of_deleted=not are_many):
        yield each.hour * HOUR_MS, each.low
        yield each.hour * HOUR_MS + HOUR_MS // 2, each.high
    if are_many:
        return
    r = schema.readings.c
    for stream, correct in among:
        rank = stream.layout.names.index(query.name)
        humidity = stream.layout.names.index(correct.humidity) if correct and correct.humidity else None
        selected = select(r.t_utc_ms, r.content).where(*conditions(stream, span), IS_CREDIBLE)
        for t_utc_ms, content in connection.execute(selected.order_by(r.t_utc_ms)):
            values = CONTENT_DECODER.decode(content)
            value = number_of(values[rank])
            if value is not None and correct is not None:
                value = correct(value, None if humidity is None else number_of(values[humidity]))
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


OPERATIONS: Final = (Operation("GET", "/api/v1/series/", series),)
