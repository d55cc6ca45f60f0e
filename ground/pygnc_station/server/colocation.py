"""Fit of a unit's calibration to a reference beside it: gain, offset and hygroscopicity.

The model is that of `corrections`: reference = gain * value / growth(humidity, kappa) + offset. Gain and offset follow
from kappa by linear least squares, kappa from a search for the least sum of squares. Neighbouring hours have similar
residuals, so the uncertainty comes from a bootstrap over days: the fit is repeated with days drawn at random.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from random import Random
from statistics import correlation, fmean, linear_regression, median, stdev
from typing import Final, NamedTuple, TypeAlias

import msgspec

from pygnc_station.errors import StationError
from pygnc_station.server.corrections import HUMIDITY, has_humidity, volume_growth
from pygnc_station.store import calibrations
from pygnc_station.store.calibrations import DatedCalibration
from pygnc_station.store.hourly import Statistics, hours_of, update_hours
from pygnc_station.store.query import Span, streams
from pygnc_station.store.readings import Stream, clock_ms
from pygnc_station.store.store import Store

MOST_KAPPA: Final = 2.0
FEWEST_HOURS: Final = 48
FEWEST_DAYS: Final = 3
_COMPLETE: Final = 0.75
"""Share of the usual number of readings that an hour needs."""
_SEARCH_STEPS: Final = 24
_GOLDEN: Final = (math.sqrt(5) - 1) / 2
_RESAMPLES: Final = 200
_KAPPA_STEP: Final = 0.04
_ROUNDING: Final = 1e-12
_HOURS_PER_DAY: Final = 24
_HOURS_PER_MONTH: Final = 720
_HUMIDITIES: Final = (0.0, 50.0, 70.0, 85.0, 100.0)
"""Ends of the ranges of humidity for which mean residuals are reported, %."""

Hours: TypeAlias = Mapping[int, Sequence[Statistics | None]]
"""Statistics by hours since 1970: of the value, and of the humidity if there is one."""


class Pair(NamedTuple):
    """Hourly means of the unit, of its humidity (None: unknown) and of the reference."""

    hour: int
    value: float
    humidity: float | None
    reference: float


class Fit(NamedTuple):
    """Parameters of the model."""

    gain: float
    offset: float
    kappa: float

    def apply(self, pair: Pair) -> float:
        """Return the corrected value of the unit."""
        return self.gain * _dry(pair, self.kappa) + self.offset


class Agreement(msgspec.Struct, frozen=True):
    """Agreement of values with the reference: mean and root mean square of the difference, correlation."""

    mean: float
    rms: float
    correlation: float


class Colocation(msgspec.Struct, frozen=True):
    """Result of a co-location.

    Attributes:
        hours: number of hours in which both have values.
        days: number of days with such hours.
        left_out: number of hours with too few readings of one of both.
        fit: parameters.
        sigma: their standard deviations.
        stored: agreement of the stored values.
        corrected: agreement of the corrected values.
        by_humidity: ends of a range of humidity in %, number of hours, mean residual.
        drift_per_month: slope of the residual over 30 days.
    """

    hours: int
    days: int
    left_out: int
    fit: Fit
    sigma: Fit
    stored: Agreement
    corrected: Agreement
    by_humidity: list[tuple[float, float, int, float]]
    drift_per_month: float


class Comparison(NamedTuple):
    """Co-location of two gadgets of a store: their names, the value, and whether the humidity was fitted."""

    gadget: str
    reference: str
    value: str
    is_wet: bool
    pairs: list[Pair]
    found: Colocation

    def apply(self, store: Store, since_ms: int) -> int:
        """Store the fit as the calibration of the unit from a time on; return its number."""
        dated, report = DatedCalibration(since_ms, *self.found.fit), msgspec.json.encode(self.found).decode()
        return calibrations.add(store, self.gadget, self.value, dated, self.reference, report, clock_ms())


def compare(  # noqa: PLR0917 - what both gadgets have
    store: Store, gadget: str, reference: str, value: str, reference_value: str, span: Span, *, with_humidity: bool
) -> Comparison:
    """Fit a unit's calibration to a reference in the same store.

    Args:
        store: has the readings of both.
        gadget: unit to calibrate.
        reference: gadget with the readings of the reference.
        value: value to calibrate.
        reference_value: value of the reference, "" if it has the same name.
        span: period.
        with_humidity: False to fit gain and offset only, also if the unit has a humidity.

    Raises:
        StationError: readings or values are missing, or do not determine a fit.
    """
    update_hours(store)
    units, truth = _streams(store, gadget, value), _streams(store, reference, reference_value or value)
    is_wet = with_humidity and any(has_humidity(stream.layout, value) for stream in units)
    pairs, left_out = pair_hours(
        _hours(store, units, value, span, with_humidity=True),
        _hours(store, truth, reference_value or value, span, with_humidity=False),
    )
    found = colocate(pairs, with_humidity=is_wet, left_out=left_out)
    return Comparison(units[0].gadget_id, truth[0].gadget_id, value, is_wet, pairs, found)


def _streams(store: Store, gadget: str, value: str) -> list[Stream]:
    """Return the streams of a gadget that contain a value.

    Raises:
        StationError: there is none.
    """
    of_gadget = streams(store, gadget)
    found = [stream for stream in of_gadget if value in stream.layout.names]
    if found:
        return found
    if not of_gadget:
        known = ", ".join(sorted({stream.gadget_id for stream in streams(store)})) or "none"
        raise StationError(f"{gadget}: the store has no readings of this gadget; known gadgets: {known}")
    names = ", ".join(dict.fromkeys(name for stream in of_gadget for name in stream.layout.names))
    raise StationError(f"{gadget}: no reading contains {value}; choose a value from {names}")


def _hours(store: Store, among: Sequence[Stream], value: str, span: Span, *, with_humidity: bool) -> Hours:
    wanted = [
        (stream, [value, *([HUMIDITY] if with_humidity and has_humidity(stream.layout, value) else [])])
        for stream in among
    ]
    with store.reads() as connection:  # of several streams, the one created last counts
        return {hour: found for _, hour, found in hours_of(connection, wanted, span)}


def pair_hours(unit: Hours, reference: Hours) -> tuple[list[Pair], int]:
    """Return the hours in which unit and reference have values, and the number of hours with too few readings."""
    fewest = [_COMPLETE * _usual_count(hours) for hours in (unit, reference)]
    pairs, left_out = [], 0
    for hour in sorted(unit.keys() & reference.keys()):
        value, *humidities = unit[hour]
        truth = reference[hour][0]
        if value is None or truth is None or value[0] < fewest[0] or truth[0] < fewest[1]:
            left_out += 1
            continue
        humidity = humidities[0] if humidities else None
        wet = humidity[1] / humidity[0] if humidity else None
        pairs.append(Pair(hour, value[1] / value[0], wet, truth[1] / truth[0]))
    return pairs, left_out


def _usual_count(hours: Hours) -> float:
    return median([each[0][0] for each in hours.values() if each[0]] or [0])


def colocate(pairs: Sequence[Pair], *, with_humidity: bool, left_out: int = 0, seed: int = 0) -> Colocation:
    """Fit a unit's calibration.

    Args:
        pairs: hourly means, in the order of time.
        with_humidity: True to fit the hygroscopicity; hours without a humidity are then left out.
        left_out: number of hours that were left out already.
        seed: seed of the bootstrap.

    Raises:
        StationError: there are too few hours, or the unit does not follow the reference.
    """
    used = [pair for pair in pairs if not with_humidity or pair.humidity is not None]
    days: dict[int, list[Pair]] = defaultdict(list)
    for pair in used:
        days[pair.hour // _HOURS_PER_DAY].append(pair)
    if len(used) < FEWEST_HOURS or len(days) < FEWEST_DAYS:
        raise StationError(
            f"unit and reference have values in {len(used)} common hours on {len(days)} days; at least {FEWEST_HOURS} "
            f"hours on {FEWEST_DAYS} days are needed, two weeks are better"
        )
    found = fit(used, with_humidity=with_humidity)
    if found is None or found.gain <= 0:
        raise StationError("the unit does not follow the reference; check that both measured the same air")
    residuals = [pair.reference - found.apply(pair) for pair in used]
    drift = linear_regression([pair.hour for pair in used], residuals).slope
    return Colocation(
        hours=len(used),
        days=len(days),
        left_out=left_out + len(pairs) - len(used),
        fit=found,
        sigma=_deviations(list(days.values()), with_humidity=with_humidity, seed=seed),
        stored=_agreement(used, [pair.value for pair in used]),
        corrected=_agreement(used, [found.apply(pair) for pair in used]),
        by_humidity=list(_by_humidity(used, residuals)),
        drift_per_month=drift * _HOURS_PER_MONTH,
    )


def fit(pairs: Sequence[Pair], *, with_humidity: bool) -> Fit | None:
    """Return the least-squares fit; None if all values of the unit are equal."""
    best = 0.0
    if with_humidity:
        low, high = 0.0, MOST_KAPPA
        for _ in range(_SEARCH_STEPS):
            inner = (high - _GOLDEN * (high - low), low + _GOLDEN * (high - low))
            costs = [_solve(_sums(pairs, kappa), kappa).cost for kappa in inner]
            low, high = (low, inner[1]) if costs[0] <= costs[1] else (inner[0], high)
        best = min((0.0, (low + high) / 2, MOST_KAPPA), key=lambda kappa: _solve(_sums(pairs, kappa), kappa).cost)
    solved = _solve(_sums(pairs, best), best)
    return None if math.isinf(solved.cost) else solved.fit


class _Sums(NamedTuple):
    """Number of pairs, and sums of dry value x, reference y and their products."""

    n: float
    x: float
    y: float
    xx: float
    xy: float
    yy: float


class _Solved(NamedTuple):
    fit: Fit
    cost: float


def _sums(pairs: Iterable[Pair], kappa: float) -> _Sums:
    found = [(_dry(pair, kappa), pair.reference) for pair in pairs]
    return _Sums(
        len(found),
        math.fsum(x for x, _ in found),
        math.fsum(y for _, y in found),
        math.fsum(x * x for x, _ in found),
        math.fsum(x * y for x, y in found),
        math.fsum(y * y for _, y in found),
    )


def _solve(sums: _Sums, kappa: float) -> _Solved:
    """Return gain and offset for a hygroscopicity, and the sum of squares: infinite if all values are equal."""
    n, x, y, xx, xy, yy = sums
    square, product = xx - x * x / n, xy - x * y / n
    if square <= _ROUNDING * xx:
        return _Solved(Fit(0.0, y / n, kappa), math.inf)
    gain = product / square
    return _Solved(Fit(gain, (y - gain * x) / n, kappa), yy - y * y / n - gain * product)


def _dry(pair: Pair, kappa: float) -> float:
    return pair.value if pair.humidity is None or not kappa else pair.value / volume_growth(pair.humidity, kappa)


def _deviations(days: Sequence[Sequence[Pair]], *, with_humidity: bool, seed: int) -> Fit:
    """Return the standard deviations of fits to days drawn at random, with hygroscopicities of a grid."""
    random = Random(seed)  # noqa: S311 - a bootstrap, no secrets
    grid = [_KAPPA_STEP * k for k in range(round(MOST_KAPPA / _KAPPA_STEP) + 1)] if with_humidity else [0.0]
    by_day = [[_sums(day, kappa) for day in days] for kappa in grid]

    def solve(drawn: Sequence[int], rank: int) -> _Solved:
        columns = zip(*(by_day[rank][day] for day in drawn), strict=True)
        return _solve(_Sums(*map(math.fsum, columns)), grid[rank])

    found = []
    for _ in range(_RESAMPLES):
        drawn = random.choices(range(len(days)), k=len(days))
        low, high = 0, len(grid) - 1
        while low < high:  # the sum of squares has one minimum
            middle = (low + high) // 2
            is_left = solve(drawn, middle).cost <= solve(drawn, middle + 1).cost
            low, high = (low, middle) if is_left else (middle + 1, high)
        found.append(solve(drawn, low).fit)
    return Fit(*(stdev(values) for values in zip(*found, strict=True)))


def _agreement(pairs: Sequence[Pair], values: Sequence[float]) -> Agreement:
    references = [pair.reference for pair in pairs]
    differences = [value - reference for value, reference in zip(values, references, strict=True)]
    is_constant = len(set(references)) == 1 or len(set(values)) == 1
    related = math.nan if is_constant else correlation(values, references)
    return Agreement(fmean(differences), math.sqrt(fmean(each * each for each in differences)), related)


def _by_humidity(pairs: Sequence[Pair], residuals: Sequence[float]) -> Iterable[tuple[float, float, int, float]]:
    for low, high in pairwise(_HUMIDITIES):
        among = [
            residual
            for pair, residual in zip(pairs, residuals, strict=True)
            if pair.humidity is not None and low < pair.humidity <= high
        ]
        if among:
            yield low, high, len(among), fmean(among)
