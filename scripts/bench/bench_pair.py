"""Benchmark the formation estimator on the orbits of two real satellites, with simulated fixes and ranges.

Usage: python scripts/bench/bench_pair.py ORBIT ORBIT [--mass KG] [--area M2]

ORBIT is a file that `pygnc replay --truth` reads. The orbits are divided into arcs of three hours. Each minute both
satellites have a fix (velocities without latency) and, 20 s later, there is one range of 1 m noise with a bias of 1050
m. Settings are the defaults except mass and area, which the operator of a satellite knows.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.environment.frames import EarthFrames
from pygnc.estimators.formation.arc_solver import FormationSolver
from pygnc.estimators.formation.observations import RangeObservation, SatelliteFix
from pygnc.estimators.formation.settings import FormationSettings
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.formation.relative import relative_truth
from pygnc_ground.orbit.solution import FloatArray, IntArray
from pygnc_ground.scenario.sensor_settings import Gps
from pygnc_ground.truth.load import load_truth
from pygnc_ground.truth.orbit_truth import OrbitTruth
from scripts.bench.orbit_world import last_orbit, settings_for
from scripts.bench.table import print_table, rms

HOURS: Final = 3
INTERVAL_S: Final = 60
RANGE_AFTER_FIX_S: Final = 20
RANGE_BIAS_M: Final = 1_050.0
KEPT: Final = math.exp(-INTERVAL_S / 600.0)
OWN, PARTNER = 74, 75
CASES: Final = {
    "white 10 m, 1 cm/s": ((10.0, 0.01), (0.0, 0.0)),
    "white 3 m, 1 cm/s and Gauss-Markov 5 m, 3 mm/s, 600 s": ((3.0, 0.01), (5.0, 0.003)),
}
"""Standard deviations of white and of correlated errors of positions and velocities."""


FixNoise: TypeAlias = tuple[tuple[float, float], tuple[float, float]]


class ArcScore(NamedTuple):
    """Position error and its standard deviation in m, RMS over an arc; mean NEES per degree of freedom; flags."""

    error_m: float
    sigma_m: float
    nees: float
    certain: bool


def score_arcs(orbits: list[OrbitTruth], settings: OrbitSettings, noise: FixNoise) -> list[ArcScore]:
    """Return the score of each arc in the time that both orbits have in common."""
    begin_ms = max(orbit.span_gps_ms[0] for orbit in orbits)
    end_ms = min(orbit.span_gps_ms[1] for orbit in orbits)
    length_ms = HOURS * 3_600_000
    return [
        score_arc(orbits, settings, noise, first_ms, number)
        for number, first_ms in enumerate(range(begin_ms, end_ms - length_ms, length_ms))
    ]


def score_arc(
    orbits: list[OrbitTruth],
    settings: OrbitSettings,
    noise: FixNoise,
    first_ms: int,
    seed: int,
) -> ArcScore:
    """Measure and solve an arc; compare the relative orbit with the truth every ten minutes."""
    draw = np.random.default_rng([2029, seed])
    times = first_ms + 1000 * INTERVAL_S * np.arange(60 * HOURS)
    fixes = [fix for number, orbit in enumerate(orbits) for fix in _fixes(orbit, OWN + number, times, noise, draw)]
    range_ms = times + 1000 * RANGE_AFTER_FIX_S
    one, other = (orbit.at(range_ms).position_ecef_m for orbit in orbits)
    measured = np.linalg.norm(other - one, axis=1) + RANGE_BIAS_M + draw.standard_normal(len(times))
    ranges = [
        RangeObservation(gps_ms, OWN, PARTNER, range_m)
        for gps_ms, range_m in zip(range_ms.tolist(), measured.tolist(), strict=True)
    ]
    own = last_orbit([entry.fix for entry in fixes if entry.satellite == OWN], settings)
    solver = FormationSolver(FormationSettings(), settings, EarthFrames(ORIENTATION))
    solution = solver.solve(own, fixes, ranges)
    if solution is None:
        raise RuntimeError(f"arc {seed}: the formation estimator found no observation")
    moments = times[5::10]
    true_rtn = relative_truth(orbits[0], orbits[1], moments)
    found = list(solution.relative_states(moments.tolist(), PARTNER))
    errors = np.array([each.rtn for each in found]) - true_rtn
    covariance = np.array([each.covariance_rtn for each in found])
    nees = np.einsum("ni,nij,nj->n", errors, np.linalg.inv(covariance), errors) / errors.shape[1]
    sigma_m = math.sqrt(np.trace(covariance[:, :3, :3], axis1=1, axis2=2).mean())
    judged = solution.partners[PARTNER]
    error_m = math.sqrt((errors[:, :3] ** 2).sum(axis=1).mean())
    return ArcScore(error_m, sigma_m, float(nees.mean()), judged.unsolved is None and not judged.ambiguous)


def _fixes(
    orbit: OrbitTruth,
    satellite: int,
    times: IntArray,
    noise: FixNoise,
    draw: np.random.Generator,
) -> Iterator[SatelliteFix]:
    white, correlated = (np.array(each)[:, None, None] for each in noise)
    shape = 2, len(times), 3
    errors: FloatArray = white * draw.standard_normal(shape) + correlated * _gauss_markov(
        draw.standard_normal(shape), KEPT
    )
    position_sigma_m, velocity_sigma_mps = np.repeat(np.hypot(*noise)[:, None], 3, axis=1)
    true = orbit.at(times)
    positions, velocities = true.position_ecef_m + errors[0], true.velocity_ecef_mps + errors[1]
    for gps_ms, position_m, velocity_mps in zip(times.tolist(), positions, velocities, strict=True):
        yield SatelliteFix(satellite, Fix(gps_ms, position_m, position_sigma_m, velocity_mps, velocity_sigma_mps, 0.0))


def _gauss_markov(drawn: FloatArray, kept: float) -> FloatArray:
    """Return first-order Gauss-Markov processes of unit variance along the second axis, from white noise."""
    process = drawn.copy()
    for step in range(1, drawn.shape[1]):
        process[:, step] = kept * process[:, step - 1] + math.sqrt(1.0 - kept**2) * drawn[:, step]
    return process


def main() -> int:
    """Print one row per case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("orbits", type=Path, nargs=2, metavar="ORBIT", help="True orbits of the two satellites.")
    parser.add_argument("--mass", type=float, default=1.58, help="Mass of each satellite, kg (default: 1.58).")
    parser.add_argument("--area", type=float, default=0.02, help="Area in the flow, m^2 (default: 0.02).")
    options = parser.parse_args()
    orbits: list[OrbitTruth] = [load_truth(path) for path in options.orbits]
    settings = settings_for(Gps(), float(HOURS), INTERVAL_S)
    spacecraft = replace(settings.spacecraft, mass_kg=options.mass, area_m2=options.area)
    settings = replace(settings, spacecraft=spacecraft)
    rows = []
    for name, noise in CASES.items():
        scores = score_arcs(orbits, settings, noise)
        error_m, sigma_m = rms([score.error_m for score in scores]), rms([score.sigma_m for score in scores])
        nees = float(np.mean([score.nees for score in scores]))
        certain = f"{sum(score.certain for score in scores)} of {len(scores)}"
        rows.append([name, f"{error_m:.2f}", f"{sigma_m:.2f}", f"{nees:.2f}", certain])
    print_table(["fixes", "error, m: RMS", "sigma, m", "NEES / 6", "certain arcs"], rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
