"""Relative positions from raw GNSS measurements of two simulated receivers: near, far, and one on GRACE-B's true orbit.

An integer counts as wrong if it is not that combination of the simulator's cycles.

Usage: python -m scripts.bench.bench_raw_formation [--hours 3] [--seeds 4] [--first-seed 39201] [--kilometres 0.2 1]
"""

import argparse
import math
import os
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, NamedTuple

import msgspec
import numpy as np

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.configuration.settings import Settings as FlightSettings
from pygnc.environment.frames import EARTH_ROTATION_RAD_S, EarthFrames
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.commands.raw_partner import PartnerFiles, RadioRanges
from pygnc_ground.gnss import rinex_navigation
from pygnc_ground.gnss.broadcast import BroadcastOrbits
from pygnc_ground.gnss.measurements import GnssMeasurements, GnssOrbits
from pygnc_ground.gnss.rinex3 import read_rinex3
from pygnc_ground.gnss.sp3_orbits import Sp3Orbits
from pygnc_ground.orbit.raw.determination import Receiver, solve_raw_orbit
from pygnc_ground.orbit.raw.relative import RelativeOrbit, solve_relative
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.scenario.formation import satellites
from pygnc_ground.scenario.generate import ranges_of
from pygnc_ground.scenario.raw_gnss import RawFiles, raw_files
from pygnc_ground.scenario.settings import Settings, partner_seed, settings_from_tables
from pygnc_ground.scenario.trajectory import SatellitePath, Trajectory
from pygnc_ground.truth.frames import earth_orientation
from pygnc_ground.truth.load import load_truth
from scripts.bench.table import mean_and_range, print_table

_PARTNER: Final = 75
_NEAR_KM: Final = 10.0
_RECEIVER: Final = {
    "interval_s": 10, "clock_jumps": True, "clock_drift_ppm": 0.3, "half_cycle_rate_per_h": 0.1,
    "ionosphere_waves": 0.05, "antenna_pattern_m": 0.002,
}  # fmt: skip
_DISTANCES_KM: Final = (0.2, 1.0, 5.0, 220.0)
_GRACE_START_GPS_MS: Final = 964_224_060_000
"""A minute after the beginning of the published orbit."""
_GRACE_AHEAD_S: Final = 28.9
"""Time by which the partner flies ahead of GRACE-B: 220 km."""
_OFFSET_SIGMA_M: Final = 0.005
"""Standard deviation of each component by which the antennas' difference is drawn wrong."""


@dataclass(frozen=True, slots=True, eq=False)
class Flight:
    """Raw measurements of two satellites, the own one first."""

    files: tuple[RawFiles, RawFiles]
    paths: tuple[SatellitePath, SatellitePath]
    seen: tuple[GnssMeasurements, GnssMeasurements]
    offset_m: tuple[float, float, float]
    """Offset of the partner's antenna that the solution believes; the true one is zero."""

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
        x_m, y_m, z_m = np.random.default_rng(settings.seed).normal(0.0, _OFFSET_SIGMA_M, 3).tolist()
        seen = read_rinex3(one.observations), read_rinex3(other.observations)
        return cls((one, other), paths, seen, (x_m, y_m, z_m))

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


def settings_of(seed: int, hours: float, distance_m: float) -> Settings:
    """Return the settings of a flight with a partner at a distance along the orbit."""
    placed = {"id": _PARTNER, "position_rtn_m": [0.0, distance_m, 0.0]}
    tables = {"seed": seed, "duration_s": round(3600 * hours), "raw_gnss": _RECEIVER, "partners": [placed]}
    return settings_from_tables(tables, "bench")


def simulated(seed: int, hours: float, distance_m: float) -> Flight:
    """Return a flight with a partner at a distance along the orbit."""
    settings = settings_of(seed, hours, distance_m)
    own, partner = satellites(settings)
    return Flight.of(settings, (own.path, partner.path))


def write_ranges(settings: Settings, folder: Path) -> None:
    """Write the range file of the own radio."""
    everyone = satellites(settings)
    folder.mkdir()
    (folder / "rng00000.bin").write_bytes(ranges_of(settings, everyone[0], everyone))


def print_radio(seed: int, hours: float, distance_m: float) -> None:
    """Print what the ranges of the radio show, and how much they would improve the relative position."""
    flight = simulated(seed, hours, distance_m)
    frames = EarthFrames(earth_orientation(int(flight.seen[0].gps_ms[-1])))
    orbits, settings = flight.orbits("precise"), OrbitSettings()
    receiver = Receiver(dual=False)
    own, partner = (solve_raw_orbit(seen, orbits, None, receiver, settings, frames) for seen in flight.seen)
    found = solve_relative(own, partner, settings, frames, flight.offset_m, _OFFSET_SIGMA_M)
    with TemporaryDirectory() as home:
        write_ranges(settings_of(seed, hours, distance_m), Path(home) / "range")
        radio = RadioRanges.read(PartnerFiles((), ranges=Path(home) / "range"), FlightSettings()).compared(own, found)
    print(f"{1e-3 * distance_m:g} km, {next(iter(radio.lines()))}")
    apart_m = (found.states(radio.gps_ms)[0] - own.states(radio.gps_ms)[0])[:, :3]
    partials = np.zeros((len(apart_m), 1, 6))
    partials[:, 0, :3] = apart_m / np.linalg.norm(apart_m, axis=1, keepdims=True)
    acting = found.motion.derivatives(radio.gps_ms, np.zeros(len(apart_m)), partials)[:, 0]
    design = np.zeros((len(apart_m), len(found.covariance)))
    design[:, : acting.shape[1]] = acting
    design -= design.mean(axis=0)
    for name, covariance in (("real numbers", found.float_covariance), ("integers", found.covariance)):
        carried = covariance @ design.T
        inner = design @ carried + float(np.var(radio.residual_m)) * np.eye(len(design))
        better = covariance - carried @ np.linalg.solve(inner, carried.T)
        before_m, after_m = (
            math.sqrt(float(np.trace(found.motion.covariances(radio.gps_ms, one)[:, :3, :3], axis1=1, axis2=2).mean()))
            for one in (covariance, better)
        )
        print(f"  {name}: sigma {before_m:.4f} m, {after_m:.4f} m with the ranges as observations")


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
    found = solve_relative(own, partner, settings, frames, flight.offset_m, _OFFSET_SIGMA_M)
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
    parser.add_argument("--kilometres", type=float, nargs="+", default=_DISTANCES_KM)
    options = parser.parse_args()
    found: dict[tuple[str, str, bool], list[Errors]] = {}
    recordings = os.environ.get("PYGNC_REFERENCE_DATA")
    for seed in range(options.first_seed, options.first_seed + options.seeds):
        flights = {f"{far:g} km": simulated(seed, options.hours, 1e3 * far) for far in options.kilometres}
        if recordings and max(options.kilometres) > _NEAR_KM:
            file = Path(recordings) / "grace_b" / "grcb_truth_00h_12h.csv"
            flights["GRACE-B and 220 km"] = grace(seed, options.hours, file)
        for (name, flight), kind, dual in product(flights.items(), ("precise", "broadcast"), (True, False)):
            _, errors = relative(flight, kind, dual=dual)
            found.setdefault((name, kind, dual), []).append(errors)
            print(seed, name, kind, dual, errors, flush=True)
    cells = []
    for (name, kind, dual), rows in sorted(found.items()):
        table = np.array(rows)
        rms_m = np.sqrt((table**2).mean(axis=0))
        cells.append((
            f"{name}, {kind}, {'two frequencies' if dual else 'C1 and L1'}",
            f"{rms_m[0]:.4f} m", mean_and_range(table[:, 1]), f"{rms_m[2]:.4f} m",
            mean_and_range(table[:, 3]), f"{table[:, 4].sum():.0f} of {table[:, 5].sum():.0f}",
            f"{table[:, 6].sum():.0f}",
        ))  # fmt: skip
    names = ("distance", "real numbers", "NEES", "integers", "NEES", "wrong", "ambiguities")
    print_table((f"{names[0]}, {options.seeds} flights of {options.hours:g} h", *names[1:]), cells)
    for kilometres in options.kilometres:
        print_radio(options.first_seed, options.hours, 1e3 * kilometres)


if __name__ == "__main__":
    main()
