"""One run of a campaign: flight, estimators and figures, or the failure with its traceback."""

import resource
import sys
import time
import traceback as tracebacks
from collections.abc import Iterator
from typing import Any, Final

import msgspec

from pygnc_ground.campaign.attitude_scores import score_attitude
from pygnc_ground.campaign.definition import RunPlan
from pygnc_ground.campaign.flight import SimulatedFlight, fly, received_live
from pygnc_ground.campaign.formation_scores import score_batch, score_filter
from pygnc_ground.campaign.orbit_scores import score_orbit
from pygnc_ground.campaign.schema import DONE, FAILED
from pygnc_ground.campaign.sensor_faults import with_faults
from pygnc_ground.campaign.time_bins import BinRow, Score, bin_rows

_KIB_PER_MB: Final = 1000.0 / 1.024 if sys.platform != "darwin" else 1e6


class RunResult(msgspec.Struct, frozen=True):
    """Result of a run, a row of each table."""

    row: dict[str, Any]
    """Row of `runs` by the names of the columns."""
    bins: list[BinRow]
    """Rows of `bins` without the number of the run."""
    seconds: float
    """Processor time in s."""
    peak_mb: float
    """Largest memory of the process until now in MB."""


def run_one(plan: RunPlan) -> RunResult:
    """Return the result of a run; equal plans give equal figures bit for bit on equal machines and libraries.

    A failure is a result, too: its row has the reason and the traceback.
    """
    began = time.process_time()
    row = key_row(plan)
    bins: list[BinRow] = []
    try:
        for estimator, figures, trace in _scores(plan):
            row |= {f"{estimator.replace(' ', '_')}_{name}": value for name, value in figures.items()}
            bins += [] if trace is None else bin_rows(estimator, trace, plan.bin_s)
    except Exception as error:  # noqa: BLE001 - the other runs continue after any failure
        row, bins = failed_row(plan, f"{type(error).__name__}: {error}", tracebacks.format_exc()), []
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / _KIB_PER_MB
    return RunResult(row, bins, time.process_time() - began, peak_mb)


def key_row(plan: RunPlan) -> dict[str, Any]:
    """Return the row of a run without figures."""
    parameters = {
        name: value
        if isinstance(value, int | float | str) and not isinstance(value, bool)
        else msgspec.json.encode(value).decode()
        for name, value in plan.parameters.items()
    }
    keys = {name: getattr(plan, name) for name in ("run", "case", "point", "repetition", "seed")}
    return {**keys, "status": DONE, "error": "", "traceback": "", **parameters}


def failed_row(plan: RunPlan, error: str, traceback: str) -> dict[str, Any]:
    """Return the row of a run that failed."""
    return {**key_row(plan), "status": FAILED, "error": error, "traceback": traceback}


def simulated(plan: RunPlan) -> SimulatedFlight:
    """Generate the flight of a run.

    Raises:
        ValueError: The scenario cannot be generated.
    """
    estimators = plan.estimators
    beyond_s = 3600.0 * max(estimators.predictions_h) if "prediction" in estimators.orbit else 0.0
    return SimulatedFlight.of(plan.scenario_settings(), begin_in_sunlight=plan.begin == "sunlight", beyond_s=beyond_s)


def _scores(plan: RunPlan) -> Iterator[Score]:
    settings, estimators = plan.flight_settings(), plan.estimators
    flight = simulated(plan)
    messages = list(with_faults(flight.inputs(settings), plan.sensor_faults, plan.seed))
    with_attitude, with_formation = bool(estimators.attitude), "batch" in estimators.formation
    flown = fly(messages, settings, attitude=with_attitude, formation=with_formation, filter_name=estimators.filter)
    yield from score_orbit(flight, flown, settings, estimators)
    if with_attitude:
        yield from score_attitude(flight, flown, settings, estimators)
    if with_formation:
        yield score_batch(flight, flown, settings, estimators)
    if "filter" in estimators.formation:
        middle_ms = flight.settings.start_gps_ms + 500 * flight.settings.duration_s
        live = fly(received_live(messages, middle_ms), settings, attitude=False, formation=True)
        yield score_filter(flight, live, middle_ms)
