"""Measure the figures of mean elements for docs/benchmarks: expected error of the beacon's, attitude without fixes.

Usage: python scripts/bench/bench_elements.py [--seeds N] [--part beacon|attitude|correlation]

- beacon: three hours of fixes on each orbit of `bench_orbit`, elements fitted to the filter's prediction, and their
  error against the true orbit over the next 24 h.
- attitude: three hours without any fix. The elements fit the true orbit, moved along the track by 10 km and across it
  by 1 km in a random direction each. Errors are angles about all three axes from half an hour after the first attitude.
- correlation: whether elements could be a measurement of the orbit filter. Errors of the same elements at times that
  are one orbit apart, and what elements would add to the first fixes of the filter.

The script prints Markdown tables; a repeated run prints the same numbers.
"""

import argparse
import sys
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.bus.messages import GnssFix, Message, SourceFile, UploadedElements
from pygnc.common.mean_elements import STATED_HOURS, MeanElements
from pygnc.environment.frames import EarthFrames, rtn_axes
from pygnc.environment.sgp4 import gcrf_states
from pygnc.estimators.orbit.elements_fit import fit_elements, fit_in_steps
from pygnc.estimators.orbit.elements_orbit import position_sigma_rtn_m
from pygnc.estimators.orbit.settings import ElementsSettings, SpacecraftSettings
from pygnc.estimators.orbit.state import OrbitState
from pygnc_ground.campaign.attitude_scores import score_attitude
from pygnc_ground.campaign.definition import plan_run, read_campaign
from pygnc_ground.campaign.flight import ORIENTATION, fly
from pygnc_ground.campaign.run import simulated
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.scenario.generate import TrueStates
from pygnc_ground.scenario.sensor_settings import Gps
from scripts.bench.orbit_world import random_world, run_filter, settings_for
from scripts.bench.table import print_table, rms, select_parts

FIX_HOURS: Final = 3
MINUTES: Final = np.arange(0, 24 * 60 + 1, 10)
CAMPAIGNS: Final = Path(__file__).resolve().parents[2] / "data" / "campaigns"
ALONG_M: Final = 10_000.0
ACROSS_M: Final = 1_000.0
MINUTES_PER_DAY: Final = 1440.0


class BeaconResult(NamedTuple):
    """Elements of one orbit against the truth."""

    altitude_km: float
    fit_rms_m: float
    stated_m: tuple[float, ...]
    error_m: FloatArray
    """Error at `MINUTES`."""
    sigma_24h_m: float
    """Total standard deviation that the settings give elements of this age."""


def beacon_of(seed: int, seeds: int) -> BeaconResult:
    """Return the result of one orbit."""
    world = random_world(seed, seeds, FIX_HOURS + 25)
    gps = Gps()
    orbit, _ = run_filter(world.fixes(gps, FIX_HOURS, seed), settings_for(gps, FIX_HOURS))
    if orbit.state is None:
        raise RuntimeError(f"orbit {seed}: the filter has no state after {FIX_HOURS} h")
    *_, fitted = fit_in_steps(orbit, orbit.state)
    if fitted is None:
        raise RuntimeError(f"orbit {seed}: no elements were fitted")
    times = fitted.elements.epoch_gps_ms + 60_000 * MINUTES
    states = gcrf_states(fitted.elements, times.tolist(), orbit.frames)
    ecef = [orbit.frames.ecef_state_from_gcrf(ms)[:3, :3] @ s[:3] for ms, s in zip(times.tolist(), states, strict=True)]
    error_m = np.linalg.norm(np.array(ecef) - world.at(times).position_ecef_m, axis=1)
    sigma_m = position_sigma_rtn_m(fitted.elements, int(times[-1]), ElementsSettings())
    altitude_km = 1e-3 * world.settings.orbit.semi_major_axis_m - 6378.0
    return BeaconResult(altitude_km, fitted.rms_m, fitted.error_m, error_m, float(np.linalg.norm(sigma_m)))


def beacon(seeds: int) -> None:
    """Print how often the stated error covers the true one."""
    found = [beacon_of(seed, seeds) for seed in range(seeds)]
    print(f"\n{seeds} orbits, {FIX_HOURS} h of fixes (10 m, 1 cm/s), then 24 h without.\n")
    rows = []
    for k, hours in enumerate(STATED_HOURS):
        at_end = np.array([result.error_m[60 * hours == MINUTES][0] for result in found])
        largest = np.array([result.error_m[60 * hours >= MINUTES].max() for result in found])
        stated = np.array([result.stated_m[k] for result in found])
        covered = f"{np.mean(at_end <= stated):.0%}, {np.mean(largest <= stated):.0%}"
        sizes = f"{rms(at_end):.0f} m, {np.median(stated):.0f} m, {np.median(stated / largest):.1f}"
        rows.append([f"{hours} h", covered, sizes])
    print_table(
        ("after", "stated covers the error then, and until then", "RMS error, median stated, stated / largest"), rows
    )
    inside = np.mean([result.error_m[-1] <= 2.0 * result.sigma_24h_m for result in found])
    fits = rms([result.fit_rms_m for result in found])
    print(f"\nRMS of the fit {fits:.0f} m. [orbit.elements] as sigma: {inside:.0%} within two sigmas after 24 h.")


def attitude_of(seed: int, case: str) -> dict[str, float]:
    """Return errors in degrees, NEES and share of samples with an attitude, without and with fixes."""
    campaign = read_campaign(CAMPAIGNS / "attitude_injections.toml")
    number = [of.name for of in campaign.cases].index(case)
    plan = plan_run(campaign, number * campaign.repetitions + seed)
    flight, settings = simulated(plan), plan.flight_settings()
    upload = UploadedElements(0, "pygnc_elements.txt", 0, 0, moved_elements(flight.truth, seed))

    def without_fixes(message: Message) -> Message:
        if isinstance(message, SourceFile):
            return msgspec.structs.replace(upload, seq=message.seq)
        if isinstance(message, GnssFix):
            return msgspec.structs.replace(message, position_solution="none", velocity_solution="none")
        return message

    found: dict[str, float] = {}
    for name in ("elements", "fixes"):
        messages = flight.inputs(settings)
        flown = fly(map(without_fixes, messages) if name == "elements" else messages, settings)
        scores = score_attitude(flight, flown, settings, plan.estimators)
        figures = {score.estimator: score.figures for score in scores}
        # A flight may have no eclipse.
        found[f"{name} sun"] = figures["attitude filter"]["sun_deg"]
        found[f"{name} dark"] = figures["attitude filter"]["shadow_deg"]
        found[f"{name} NEES"] = figures["attitude filter"]["nees"]
        found[f"{name} known"] = 1.0 - figures["attitude"]["unknown"]
    return found


def moved_elements(truth: TrueStates, seed: int) -> MeanElements:
    """Return elements of the true orbit, moved along and across the track."""
    rows = range(0, len(truth.gps_ms), 60)
    states = [
        OrbitState(
            int(truth.gps_ms[row]),
            np.concatenate((truth.position_gcrf_m[row], truth.velocity_gcrf_mps[row], np.zeros(4))),
            np.zeros((10, 10)),
        )
        for row in rows
    ]
    fitted = fit_elements(states, EarthFrames(ORIENTATION), SpacecraftSettings()).elements
    signs = np.random.default_rng([seed, 77]).choice([-1.0, 1.0], 2)
    along_deg, across_deg = np.degrees(signs * (ALONG_M, ACROSS_M) / fitted.semi_major_axis_m).tolist()
    return msgspec.structs.replace(
        fitted,
        mean_anomaly_deg=(fitted.mean_anomaly_deg + along_deg) % 360.0,
        inclination_deg=fitted.inclination_deg + across_deg,
    )


def attitude(seeds: int) -> None:
    """Print the errors of the attitude without fixes, next to those with fixes."""
    print(f"\n{seeds} flights of 3 h; RMS error in sunlight and eclipse, NEES per degree of freedom, known samples.\n")
    rows = []
    for injection in ("nominal", "realistic"):
        found = [attitude_of(seed, injection) for seed in range(seeds)]
        for name in ("elements", "fixes"):
            of_light = [np.array([one[f"{name} {light}"] for one in found]) for light in ("sun", "dark")]
            error = [f"{rms(values[np.isfinite(values)]):.2f} deg" for values in of_light]
            nees, known = (float(np.mean([one[f"{name} {what}"] for one in found])) for what in ("NEES", "known"))
            rows.append([f"{injection}, by {name}", *error, f"{nees:.2f}", f"{known:.1%}"])
    print_table(("flight", "in sunlight", "in eclipse", "NEES", "known"), rows)


def correlation(seeds: int) -> None:
    """Print the correlation of the errors of elements over an orbit, and their weight beside the first fixes."""
    rtn, lower = [], []
    for seed in range(seeds):
        world, gps = random_world(seed, seeds, FIX_HOURS + 25), Gps()
        settings = settings_for(gps, FIX_HOURS)
        orbit, _ = run_filter(world.fixes(gps, FIX_HOURS, seed), settings)
        if orbit.state is None:
            raise RuntimeError(f"orbit {seed}: the filter has no state after {FIX_HOURS} h")
        *_, fitted = fit_in_steps(orbit, orbit.state)
        if fitted is None:
            raise RuntimeError(f"orbit {seed}: no elements were fitted")
        period_ms = round(60_000 * MINUTES_PER_DAY / fitted.elements.mean_motion_rev_per_day)
        times = fitted.elements.epoch_gps_ms + np.array((64_800_000, 64_800_000 + period_ms))
        states = gcrf_states(fitted.elements, times.tolist(), orbit.frames)
        truth = world.at(times).position_ecef_m
        for state, ms, true in zip(states, times.tolist(), truth, strict=True):
            error = orbit.frames.ecef_state_from_gcrf(ms)[:3, :3].T @ (-true) + state[:3]
            rtn.append(rtn_axes(state[:3], state[3:]).T @ error)
        prior = position_sigma_rtn_m(fitted.elements, int(times[0]), settings.elements)
        begun, _ = run_filter(world.fixes(gps, 1, seed)[: settings.start.fixes], settings)
        if begun.state is not None:
            lower.append(begun.state.covariance[:3, :3].trace() / float(prior @ prior))
    errors = np.array(rtn).reshape(seeds, 2, 3)
    rows = [
        (axis, f"{np.corrcoef(errors[:, 0, k], errors[:, 1, k])[0, 1]:.3f}", f"{rms(errors[:, :, k].ravel()):.0f} m")
        for k, axis in enumerate(("radial", "transverse", "normal"))
    ]
    print(f"\n{seeds} orbits; errors 18 h after the epoch and one orbit later.\n")
    print_table(("axis", "correlation over an orbit", "RMS error"), rows)
    share = f"{np.median(lower):.1e}"
    print(f"\nVariance of the position after the first fixes over that of elements 18 h old, median: {share}.")


def main() -> int:
    """Run the requested parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--seeds", type=int, metavar="N", default=20, help="Number of orbits and flights (default: 20)."
    )
    options, chosen = select_parts(parser, {"beacon": beacon, "attitude": attitude, "correlation": correlation})
    for part in chosen:
        part(options.seeds)
    return 0


if __name__ == "__main__":
    sys.exit(main())
