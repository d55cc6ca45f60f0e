"""Fit of calibrations: against SciPy and NumPy, and with realistic noise, gaps and humidity."""

import json
import math
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import least_squares

from pygnc_station.errors import StationError
from pygnc_station.server.colocation import Fit, Hours, Pair, colocate, fit, pair_hours
from pygnc_station.server.corrections import volume_growth
from pygnc_station.store.hourly import Statistics
from pygnc_station.store.readings import HOUR_MS, Column, Layout, NewReading
from pygnc_station.store.store import Store

UNIT_LAYOUT = Layout("histogram", (Column("pm_2_5_ug_m3", "µg/m³"), Column("humidity_percent", "%")))
REFERENCE_LAYOUT = Layout("reference", (Column("pm25", "µg/m³"),))
TRUTH = Fit(0.62, 1.8, 0.45)
FIRST_HOUR = 490_000 // 24 * 24
Array = NDArray[np.float64]


def reddened(rng: np.random.Generator, size: int, sigma: float, hours: float) -> Array:
    """Return noise with a correlation time."""
    kept = math.exp(-1 / hours)
    found = np.empty(size)
    found[0] = rng.normal(scale=sigma)
    for k, step in enumerate(rng.normal(scale=sigma * math.sqrt(1 - kept**2), size=size - 1)):
        found[k + 1] = kept * found[k] + step
    return found


def month(seed: int, days: int = 30, *, gaps: float = 0.1, sigma: float = 1.0, truth: Fit = TRUTH) -> list[Pair]:
    """Return a co-location with daily humidity, episodes of pollution, correlated residuals, and gaps."""
    rng = np.random.default_rng(seed)
    hours = np.arange(24 * days)
    humidity = np.clip(68 - 18 * np.cos((hours - 4) * 2 * np.pi / 24) + reddened(rng, len(hours), 9, 30), 20, 96)
    reference = 9 * np.exp(reddened(rng, len(hours), 0.7, 20))
    growth = np.array([volume_growth(each, truth.kappa) for each in humidity])
    noise = reddened(rng, len(hours), 0.7 * sigma, 8) + rng.normal(scale=0.7 * sigma, size=len(hours))
    value = np.maximum((reference + noise - truth.offset) / truth.gain * growth, 0.0)
    kept = rng.random(len(hours)) >= gaps
    kept[100:130] = False  # an outage
    return [Pair(FIRST_HOUR + int(k), float(value[k]), float(humidity[k]), float(reference[k])) for k in hours[kept]]


def fill_co_location(store: Store, gadget: str = "UNIT") -> None:
    """Store 20 days of a unit, four readings an hour, and of the reference STATION beside it, one an hour."""
    units, truths = [], []
    for pair in month(5, 20):
        values, truth = (json.dumps(each) for each in ([pair.value, pair.humidity], [pair.reference]))
        times_ms = [pair.hour * HOUR_MS + quarter * HOUR_MS // 4 for quarter in range(4)]
        units += [NewReading(t_ms, 0, 0, "", values, None) for t_ms in times_ms]
        truths.append(NewReading(times_ms[0], 0, 0, "", truth, None))
    store.append(store.stream(gadget, UNIT_LAYOUT, family="opc_n3"), units)
    store.append(store.stream("STATION", REFERENCE_LAYOUT), truths)


def test_a_fit_without_humidity_is_that_of_numpy() -> None:
    pairs = month(1)
    values, references = np.array([(pair.value, pair.reference) for pair in pairs]).T
    (gain, offset), *_ = np.linalg.lstsq(np.column_stack([values, np.ones(len(values))]), references, rcond=None)
    found = fit(pairs, with_humidity=False)
    assert found is not None
    assert found == pytest.approx((gain, offset, 0.0), rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_a_fit_with_humidity_is_that_of_scipy(seed: int) -> None:
    pairs = month(seed)
    values, humidities, references = np.array([(pair.value, pair.humidity, pair.reference) for pair in pairs]).T
    activity = np.minimum(humidities, 95.0) / 100

    def residuals(parameters: Array) -> Array:
        gain, offset, kappa = parameters
        found: Array = gain * values / (1 + kappa * activity / (1 - activity)) + offset - references
        return found

    expected = least_squares(residuals, (1.0, 0.0, 0.3), xtol=1e-14, ftol=1e-14, gtol=1e-14).x
    found = fit(pairs, with_humidity=True)
    assert found is not None
    assert found == pytest.approx(expected, abs=2e-4, rel=2e-4)


@given(gain=st.floats(0.2, 5.0), offset=st.floats(-20.0, 20.0), kappa=st.floats(0.0, 1.5), seed=st.integers(0, 1000))
def test_exact_values_give_their_parameters(gain: float, offset: float, kappa: float, seed: int) -> None:
    rng, truth = np.random.default_rng(seed), Fit(gain, offset, kappa)
    pairs = [Pair(k, float(rng.uniform(1, 80)), float(rng.uniform(20, 95)), 0.0) for k in range(60)]
    exact = [pair._replace(reference=truth.apply(pair)) for pair in pairs]
    found = fit(exact, with_humidity=True)
    assert found is not None
    assert found.kappa == pytest.approx(kappa, abs=1e-3)
    assert found.gain == pytest.approx(gain, rel=2e-3)
    assert all(found.apply(pair) == pytest.approx(pair.reference, abs=0.1 * gain) for pair in exact)


def test_the_stated_uncertainty_contains_the_truth() -> None:
    """The fit to 40 other months is within two sigma in about 95 % of 25 months with correlated residuals."""
    best = fit([pair for seed in range(1000, 1040) for pair in month(seed)], with_humidity=True)
    assert best is not None
    hits = [0, 0, 0]
    for seed in range(25):
        found = colocate(month(seed), with_humidity=True)
        for k in range(3):
            hits[k] += abs(found.fit[k] - best[k]) <= 2 * found.sigma[k]
    assert min(hits) >= 21


def test_a_report_states_residuals() -> None:
    pairs = month(3)
    found = colocate(pairs, with_humidity=True, left_out=7)
    assert found.hours == len(pairs)
    assert found.days == 30
    assert found.left_out == 7
    assert found.corrected.mean == pytest.approx(0.0, abs=1e-9)
    assert found.corrected.rms < 1.2 < found.stored.rms
    assert found.corrected.correlation > max(found.stored.correlation, 0.95)
    assert found.stored.mean == pytest.approx(fmean(pair.value - pair.reference for pair in pairs))
    assert sum(hours for _, _, hours, _ in found.by_humidity) == len(pairs)
    assert all(abs(mean) < 1.0 for *_, mean in found.by_humidity)


def test_a_drift_during_the_co_location_is_reported() -> None:
    drifting = [pair._replace(reference=pair.reference + 3.0 * (pair.hour - FIRST_HOUR) / 720) for pair in month(4)]
    steady, found = (colocate(pairs, with_humidity=True).drift_per_month for pairs in (month(4), drifting))
    assert found - steady == pytest.approx(3.0, abs=0.5)


def test_hours_with_few_readings_are_left_out() -> None:
    def hour(count: int, mean: float, humidity: float | None = None) -> list[Statistics | None]:
        value: Statistics = (count, count * mean, mean, mean)
        return [value, *([(count, count * humidity, humidity, humidity)] if humidity is not None else [])]

    unit: Hours = {1: hour(360, 10.0, 50.0), 2: hour(100, 11.0, 50.0), 3: hour(350, 12.0), 4: [None], 6: hour(360, 9.0)}
    reference = {1: hour(60, 7.0), 2: hour(60, 7.0), 3: hour(60, 8.0), 4: hour(60, 8.0), 5: hour(60, 8.0)}
    pairs, left_out = pair_hours(unit, reference)
    assert pairs == [Pair(1, 10.0, 50.0, 7.0), Pair(3, 12.0, None, 8.0)]
    assert left_out == 2


def test_too_few_hours_and_unrelated_values_are_refused() -> None:
    with pytest.raises(StationError, match="47 common hours on 2 days; at least 48 hours on 3 days"):
        colocate(month(1, gaps=0.0)[:47], with_humidity=True)
    with pytest.raises(StationError, match="does not follow the reference"):
        colocate([pair._replace(value=5.0) for pair in month(1)], with_humidity=False)
    with pytest.raises(StationError, match="does not follow the reference"):
        colocate([pair._replace(reference=99 - pair.value) for pair in month(1)], with_humidity=False)
