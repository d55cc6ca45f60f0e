"""Relative positions from raw GNSS measurements of two simulated receivers: near, far, and one on GRACE-B's true orbit.

An integer counts as wrong if it is not that combination of the simulator's cycles.

Usage: python -m scripts.bench.bench_raw_formation [--hours 3] [--seeds 4] [--first-seed 39201]
"""

import argparse
import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.gnss import rinex_navigation
from pygnc_ground.gnss.broadcast import BroadcastOrbits
from pygnc_ground.gnss.measurements import GnssMeasurements, GnssOrbits
from pygnc_ground.gnss.rinex3 import read_rinex3
from pygnc_ground.gnss.sp3_orbits import Sp3Orbits
from pygnc_ground.orbit.raw.determination import Receiver, solve_raw_orbit
from pygnc_ground.orbit.raw.relative import RelativeOrbit, solve_relative
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.scenario.formation import satellites
from pygnc_ground.scenario.raw_gnss import RawFiles, raw_files
from pygnc_ground.scenario.settings import Settings, partner_seed, settings_from_tables
from pygnc_ground.scenario.trajectory import SatellitePath, Trajectory
from pygnc_ground.truth.frames import earth_orientation
from pygnc_ground.truth.load import load_truth
from scripts.bench.table import print_table

_PARTNER: Final = 75
_RECEIVER: Final = {
    "interval_s": 10, "clock_jumps": True, "clock_drift_ppm": 0.3, "half_cycle_rate_per_h": 0.1,
    "ionosphere_waves": 0.05, "antenna_pattern_m": 0.002,
}  # fmt: skip
_DISTANCES_M: Final = (1_000.0, 5_000.0, 220_000.0)
_CASES: Final = list(product(_DISTANCES_M, ("precise", "broadcast"), (True, False)))
_GRACE_START_GPS_MS: Final = 964_224_060_000
"""A minute after the beginning of the published orbit."""
_GRACE_AHEAD_S: Final = 28.9
"""Time by which the partner flies ahead of GRACE-B: 220 km."""
_OFFSET_SIGMA_M: Final = 0.005


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """Raw measurements of two satellites, the own one first."""

    files: tuple[RawFiles, RawFiles]
    paths: tuple[SatellitePath, SatellitePath]
    seen: tuple[GnssMeasurements, GnssMeasurements]

    @classmethod
    def of(cls, settings: Settings, paths: tuple[SatellitePath, SatellitePath]) -> "Flight":
        """Simulate the receivers on two orbits."""
        seeds = settings.seed, partner_seed(settings.seed, _PARTNER)
        one, other = (
            raw_files(msgspec.structs.replace(settings, seed=seed), path, settings.seed)
            for seed, path in zip(seeds, paths, strict=True)
        )
        if one is None or other is None:
            raise ValueError("the settings have no raw measurements")
        return cls((one, other), paths, (read_rinex3(one.observations), read_rinex3(other.observations)))

    def orbits(self, kind: str) -> GnssOrbits:
        """Return precise or broadcast orbits of the GPS satellites."""
        if kind == "precise":
            return Sp3Orbits.of([self.files[0].precise.decode()])
        navigation = rinex_navigation.read(self.files[0].navigation)
        return BroadcastOrbits(navigation.ephemerides, navigation.klobuchar)


class Errors(NamedTuple):
    """Errors of a relative orbit: RMS in three dimensions in m, NEES per axis, with real numbers and with integers."""

    floating_m: float
    floating_nees: float
    fixed_m: float
    fixed_nees: float
    wrong: int
    integers: int
    ambiguities: int


def simulated(seed: int, hours: float, distance_m: float) -> Flight:
    """Return a flight with a partner at a distance along the orbit."""
    placed = {"id": _PARTNER, "position_rtn_m": [0.0, distance_m, 0.0]}
    tables = {"seed": seed, "duration_s": round(3600 * hours), "raw_gnss": _RECEIVER, "partners": [placed]}
    settings = settings_from_tables(tables, "bench")
    own, partner = satellites(settings)
    return Flight.of(settings, (own.path, partner.path))


class _Published(SatellitePath):
    """Published orbit of GRACE-B."""

    def __init__(self, file: Path) -> None:
        self._truth = load_truth(file, None)
        self.start_gps_ms = _GRACE_START_GPS_MS
        self._frames = EarthFrames(earth_orientation(self.start_gps_ms))

    def states_itrf(self, t_s: np.typing.ArrayLike) -> FloatArray:
        """Return states in ITRF; the truth is interpolated at whole ms, and moved along its velocity from there."""
        times_ms = 1e3 * np.atleast_1d(np.asarray(t_s, dtype=np.float64))
        whole = np.rint(times_ms).astype(np.int64)
        found = self._truth.at(self.start_gps_ms + whole)
        rest_s = 1e-3 * (times_ms - whole)
        return np.column_stack((
            found.position_ecef_m + found.velocity_ecef_mps * rest_s[:, None], found.velocity_ecef_mps
        ))  # fmt: skip

    def states_gcrf(self, t_s: np.typing.ArrayLike) -> FloatArray:
        """Return states in GCRF."""
        times_ms = 1e3 * np.atleast_1d(np.asarray(t_s, dtype=np.float64))
        whole = np.rint(times_ms).astype(np.int64)
        turn = self._frames.at_each(self.start_gps_ms + whole, 1e-3 * (times_ms - whole)).ecef_from_gcrf
        states = self.states_itrf(t_s)
        inertial = states[:, 3:] + np.cross((0.0, 0.0, EARTH_ROTATION_RAD_S), states[:, :3])
        return np.concatenate([np.einsum("nji,nj->ni", turn, part) for part in (states[:, :3], inertial)], axis=1)


def grace(seed: int, hours: float, file: Path) -> Flight:
    """Return a flight of GRACE-B on its published orbit, with a partner that is propagated 220 km ahead of it."""
    own = _Published(file)
    tables = {
        "seed": seed, "duration_s": round(3600 * hours), "raw_gnss": _RECEIVER,
        "start_utc": utc_iso_from_gps_ms(_GRACE_START_GPS_MS), "spacecraft": {"mass_kg": 480.0, "area_m2": 1.0},
    }  # fmt: skip
    settings = settings_from_tables(tables, "bench")
    ahead = own.states_gcrf([_GRACE_AHEAD_S])[0]
    partner = Trajectory(own.start_gps_ms, float(settings.duration_s), ahead, settings.spacecraft, settings.forces)
    return Flight.of(settings, (own, partner))


def relative(flight: Flight, kind: str, *, dual: bool) -> tuple[RelativeOrbit, Errors]:
    """Solve both orbits and the relative one, and return its errors."""
    frames = EarthFrames(earth_orientation(int(flight.seen[0].gps_ms[-1])))
    orbits, settings = flight.orbits(kind), OrbitSettings()
    own, partner = (solve_raw_orbit(seen, orbits, None, Receiver(dual=dual), settings, frames) for seen in flight.seen)
    found = solve_relative(own, partner, settings, frames, (0.0, 0.0, 0.0), _OFFSET_SIGMA_M)
    gps_ms = np.unique(found.differences.gps_ms)
    t_s = 1e-3 * (gps_ms - flight.paths[0].start_gps_ms)
    true_m = (flight.paths[1].states_gcrf(t_s) - flight.paths[0].states_gcrf(t_s))[:, :3]
    figures = list[float]()
    for is_fixed in (False, True):
        states, covariance = found.states(gps_ms, fixed=is_fixed)
        error_m = (states - own.states(gps_ms)[0])[:, :3] - true_m
        squares = np.einsum("ni,nij,nj->n", error_m, np.linalg.inv(covariance[:, :3, :3]), error_m)
        figures += [float(np.sqrt((error_m**2).sum(axis=1).mean())), float(squares.mean()) / 3.0]
    wrong = found.combinations @ true_integers(flight, found) != found.integers
    floating_m, floating_nees, fixed_m, fixed_nees = figures
    counts = int(wrong.sum()), len(wrong), found.ambiguities
    return found, Errors(floating_m, floating_nees, fixed_m, fixed_nees, *counts)


def true_integers(flight: Flight, found: RelativeOrbit) -> np.typing.NDArray[np.int64]:
    """Return the true integers of the ambiguities of a relative orbit."""
    seen = found.differences
    cycles = np.zeros((seen.bands, len(seen.gps_ms)))
    for sign, files, measured in zip((-1.0, 1.0), flight.files, flight.seen, strict=True):
        keys = {key: row for row, key in enumerate(zip(measured.gps_ms.tolist(), measured.satellite, strict=True))}
        rows = [keys[key] for key in zip(seen.gps_ms.tolist(), seen.satellite, strict=True)]
        cycles += sign * files.cycles[rows, : seen.bands].T
    cycles -= seen.removed_cycles
    of_passes = np.array([np.median(cycles[:, seen.passes == one], axis=1) for one in range(seen.pass_count)]).T
    return np.asarray(np.rint(of_passes - of_passes[:, found.references]).astype(np.int64).ravel())


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hours", type=float, default=3.0)
    parser.add_argument("--seeds", type=int, default=4)
    parser.add_argument("--first-seed", type=int, default=39_201)
    options = parser.parse_args()
    found: dict[tuple[str, str, bool], list[Errors]] = {}
    recordings = os.environ.get("PYGNC_REFERENCE_DATA")
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        flights = {f"{1e-3 * metres:g} km": simulated(seed, options.hours, metres) for metres in _DISTANCES_M}
        if recordings:
            file = Path(recordings) / "grace_b" / "grcb_truth_00h_12h.csv"
            flights["GRACE-B and 220 km"] = grace(seed, options.hours, file)
        for (name, flight), kind, dual in product(flights.items(), ("precise", "broadcast"), (True, False)):
            _, errors = relative(flight, kind, dual=dual)
            found.setdefault((name, kind, dual), []).append(errors)
            print(seed, name, kind, dual, errors, flush=True)
    cells = []
    for (name, kind, dual), rows in sorted(found.items()):
        table = np.array(rows)
        rms_m, lowest, highest = np.sqrt((table**2).mean(axis=0)), table.min(axis=0), table.max(axis=0)
        cells.append((
            f"{name}, {kind}, {'two frequencies' if dual else 'C1 and L1'}",
            f"{rms_m[0]:.4f} m", f"{lowest[1]:.2f} to {highest[1]:.2f}", f"{rms_m[2]:.4f} m",
            f"{lowest[3]:.2f} to {highest[3]:.2f}", f"{table[:, 4].sum():.0f} of {table[:, 5].sum():.0f}",
            f"{table[:, 6].sum():.0f}",
        ))  # fmt: skip
    names = ("distance", "real numbers", "NEES", "integers", "NEES", "wrong", "ambiguities")
    print_table((f"{names[0]}, {options.seeds} flights of {options.hours:g} h", *names[1:]), cells)


if __name__ == "__main__":
    main()
