"""Stated against actual errors of predictions, from one fix, from ten minutes and from three hours of fixes.

Run: python scripts/bench/bench_prediction.py RESULTS.csv [--orbits 1000] [--seed 3500] [--workers 1]

Adds the orbits that RESULTS.csv does not have yet, then prints the tables. An orbit takes 7 s.
"""

# mypy: disable-error-code="arg-type"
# brahe's stubs declare enumeration members as methods.

import argparse
import csv
import math
import sys
from collections.abc import Sequence
from itertools import pairwise
from multiprocessing import Pool
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.common.clock import gps_ms_from_utc_iso, utc_iso_from_gps_ms
from pygnc.environment.gravity import EARTH_RADIUS_M
from pygnc.estimators.orbit.state import POSITION
from pygnc.formats.gps_packet import SENSE_GPS
from pygnc.inputs.host_packets import fix_messages
from pygnc.navigation.screening import fix_from
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.orbit.prediction import OrbitPrediction
from pygnc_ground.orbit.solution import FloatArray, normalised_squares, rtn_axes
from pygnc_ground.scenario import environment
from pygnc_ground.scenario.gps import make_fixes
from pygnc_ground.scenario.reference import brahe
from pygnc_ground.scenario.sensor_settings import Gps
from pygnc_ground.scenario.settings import Forces, Orbit, Settings, Spacecraft
from pygnc_ground.scenario.trajectory import SatellitePath, force_model, initial_state_gcrf
from scripts.bench.orbit_world import CADENCE_S, last_orbit, settings_for
from scripts.bench.table import print_table

DATA: Final = {"one fix": 1, "10 min": 24, "3 h": 432}
"""Numbers of fixes."""
HOURS: Final = (24, 72)
_DAYS: Final = ("2015-08-01T00:00:00Z", "2026-07-01T00:00:00Z")
"""Days of which Earth orientation and space weather are known: one solar cycle."""
_SEGMENT_S: Final = 10_800
_DENSITY_BIAS: Final = 0.15
_DENSITY_SIGMA: Final = 0.15
_DENSITY_TIME_S: Final = 86_400.0
"""Errors of NRLMSISE-00 with observed space weather: of the logarithm of the density, constant, and Gauss-Markov."""
_CHI_SQUARE_95: Final = 7.815
"""Square of a normalised error in three dimensions that 95 % of the cases are within."""
_SIGMAS_95: Final = 1.960
"""Normalised error in one dimension that 95 % of the cases are within."""


class TruePath(SatellitePath):
    """Orbit in NRLMSISE-00 with observed space weather, times a density error that changes every three hours."""

    def __init__(self, start_gps_ms: int, orbit: Orbit, drag_factors: Sequence[float]) -> None:
        self.start_gps_ms = start_gps_ms
        # Agrees with steps of 30 s to 12 m after 75 h.
        method = (
            brahe.NumericalPropagationConfig.with_method(brahe.IntegrationMethod.RKF78)
            .with_abs_tol(1e-6)
            .with_rel_tol(1e-11)
            .with_max_step(120.0)
            .with_store_accelerations(store=True)
            .with_interpolation_method(brahe.InterpolationMethod.HERMITE_QUINTIC)
        )
        state, self._parts = initial_state_gcrf(orbit), []
        ends = environment.epochs(start_gps_ms, _SEGMENT_S * np.arange(len(drag_factors) + 1))
        for (begin, end), factor in zip(pairwise(ends), drag_factors, strict=True):
            model = force_model(Spacecraft(drag_coefficient=2.2 * factor), Forces())
            part = brahe.NumericalOrbitPropagator(begin, state, method, model)
            part.propagate_to(end)
            state = np.asarray(part.current_state())
            self._parts.append(part)

    def states_gcrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity in m/s in GCRF, shape (n, 6)."""
        times_s = np.atleast_1d(np.asarray(t_s, float))
        number = np.minimum(times_s // _SEGMENT_S, len(self._parts) - 1).astype(int)
        instants = environment.epochs(self.start_gps_ms, times_s)
        rows = [self._parts[part].states_gcrf([at])[0] for part, at in zip(number, instants, strict=True)]
        return np.array(rows)

    def states_itrf(self, t_s: npt.ArrayLike) -> FloatArray:
        """Return position in m and velocity relative to the Earth in m/s, in ITRF, shape (n, 6)."""
        instants = environment.epochs(self.start_gps_ms, t_s)
        return np.asarray(brahe.state_gcrf_to_itrf(instants, self.states_gcrf(t_s))).reshape(-1, 6)


def rows_of(seed: int) -> list[list[float | str]]:
    """Return errors (along the orbit) and covariances (RTN) of the predictions of a random orbit, a row for each."""
    draw = np.random.default_rng([35, seed])
    first_ms, last_ms = map(gps_ms_from_utc_iso, _DAYS)
    start_gps_ms = 1000 * int(draw.integers(first_ms // 1000, last_ms // 1000))
    height_km = float(draw.uniform(400.0, 800.0))
    angles = draw.uniform(0.0, 360.0, 3).tolist()
    orbit = Orbit(EARTH_RADIUS_M + 1e3 * height_km, 0.001, float(draw.choice([51.6, 97.5])), *angles)
    path = TruePath(start_gps_ms, orbit, drag_factors(draw))
    settings = settings_for(Gps(), 3.0)
    scenario = Settings(start_utc=utc_iso_from_gps_ms(start_gps_ms), orbit=orbit, seed=seed)
    made = make_fixes(scenario, path, CADENCE_S * np.arange(1, max(DATA.values()) + 1), log="sense")
    packets = fix_messages(made, [(seq, "", 0, b"") for seq in range(len(made))], SENSE_GPS)
    fixes, rows = [fix_from(packet, settings.screening) for packet in packets], []
    for name, count in DATA.items():
        # The prediction takes only the place of the satellite from this state, for which ten minutes are enough.
        now = newest = last_orbit(fixes[max(0, count - 24) : count], settings)
        prediction = OrbitPrediction.after(settings, ORIENTATION, newest, fixes[:count])
        for hours in HOURS:
            now = prediction.predict(newest.gps_ms + 3_600_000 * hours, now)
            true_m = path.states_gcrf((now.gps_ms - start_gps_ms) * 1e-3)[0, :3]
            axes = rtn_axes(now.x[:6])
            covariance = axes @ now.covariance[POSITION, POSITION] @ axes.T
            error = along_orbit(true_m, now.x[:6])
            rows.append([seed, height_km, name, hours, *error.tolist(), *covariance[np.triu_indices(3)].tolist()])
    return rows


def drag_factors(draw: np.random.Generator) -> list[float]:
    """Return factors on the drag of the model, one for each three hours."""
    parts = math.ceil((max(HOURS) * 3600 + max(DATA.values()) * CADENCE_S) / _SEGMENT_S)
    kept = math.exp(-_SEGMENT_S / _DENSITY_TIME_S)
    white = draw.normal(0.0, _DENSITY_SIGMA, parts + 1)
    logs, error = math.log(2.0) * draw.uniform(-1.0, 1.0) + draw.normal(0.0, _DENSITY_BIAS), white[0]
    found = []
    for one in white[1:]:
        found.append(math.exp(logs + error))
        error = kept * error + math.sqrt(1.0 - kept * kept) * one
    return found


def along_orbit(position_m: FloatArray, state: FloatArray) -> FloatArray:
    """Return a position (3,) relative to a state (6,): higher, along the orbit's arc, and across it, in m.

    A Cartesian covariance in these coordinates holds for errors of hundreds of kilometres along the orbit, too.
    """
    radial, transverse, normal = rtn_axes(state).dot(position_m)
    radius_m, distance_m = float(np.linalg.norm(state[:3])), float(np.linalg.norm(position_m))
    arcs = math.atan2(transverse, radial), math.asin(normal / distance_m)
    return np.array([distance_m - radius_m, *(radius_m * arc for arc in arcs)])


def print_tables(rows: Sequence[Sequence[str]]) -> None:
    """Print containment and sharpness of the predictions."""
    cells = []
    for name in DATA:
        for hours in HOURS:
            chosen = [row for row in rows if row[2] == name and row[3] == str(hours)]
            values = np.array([[float(word) for word in row[4:]] for row in chosen])
            low = np.array([float(row[1]) < 600.0 for row in chosen])
            error, covariance = values[:, :3], np.empty((len(values), 3, 3))
            covariance[:, *np.triu_indices(3)] = covariance.transpose(0, 2, 1)[:, *np.triu_indices(3)] = values[:, 3:]
            sigma = np.sqrt(np.diagonal(covariance, axis1=1, axis2=2))
            in_arc = np.abs(error[:, 1]) < _SIGMAS_95 * sigma[:, 1]
            in_ellipsoid = normalised_squares(error, covariance) < _CHI_SQUARE_95
            cells.append(
                (
                    f"{name}, {hours} h",
                    *(
                        f"{100.0 * float(part.mean()):.1f} %"
                        for part in (in_arc, in_arc[low], in_arc[~low], in_ellipsoid)
                    ),
                    " / ".join(f"{1e-3 * one:.2f}" for one in np.quantile(sigma[:, 1], (0.1, 0.5, 0.9))),
                    " x ".join(f"{one:.0f}" for one in np.median(sigma, axis=0)),
                )
            )
    print(f"{len(rows) // (len(DATA) * len(HOURS))} orbits\n")
    head = "contained along the track", "below 600 km", "above", "in the ellipsoid"
    sharp = "sigma along the track in km: 10, 50, 90 % of the orbits", "median sigmas R x T x N, m"
    print_table(("data, ahead", *head, *sharp), cells)


def main() -> None:
    """Compute the missing orbits and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("--orbits", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=3500, help="Seed of the first orbit.")
    parser.add_argument("--workers", type=int, default=1)
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.orbits)
    rows = list(csv.reader(options.results.open(newline=""))) if options.results.exists() else []
    done = {int(row[0]) for row in rows}
    missing = [seed for seed in seeds if seed not in done]
    with options.results.open("a", newline="") as file, Pool(options.workers) as pool:
        for found in pool.imap_unordered(rows_of, missing):
            csv.writer(file).writerows(found)
            file.flush()
            rows += [[str(word) for word in row] for row in found]
    print_tables([row for row in rows if int(row[0]) in seeds])


if __name__ == "__main__":
    main()
