"""Measure how well `pygnc identify` finds a satellite of a rideshare, for docs/benchmarks/identify.md.

Usage: python scripts/bench/bench_identify.py [--launches N] [--seed N] [--part orbit|fixes|doppler] [--errors FACTOR]
       [--freedom N]

Each launch deploys 50 to 150 objects, one of which is ours. The generator propagates mean elements itself (secular
effects of J2, drag with a density that varies in time), deploys by velocities, and gives the catalogue errors of
Student's t distribution with three degrees of freedom, gross errors, unknown or wrong drag terms, a common offset of
all times, swapped names, objects that are tracked twice, and objects that are missing. SGP4 serves only to turn mean
elements into positions at their epoch. The estimator assumes three degrees of freedom too, but does not know the size
of the errors; `--errors` and `--freedom` change both.

- orbit: an orbit from fixes since the first hour, 6, 12 and 24 h after the deployment
- fixes: three fixes 10 s apart with errors of 10 m and 0.1 m/s, through the filter of the flight
- doppler: one pass at 437 MHz with 30 Hz of noise, an unknown carrier that drifts, and outliers

The script prints Markdown tables; a repeated run prints the same numbers.
"""

import argparse
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # allows to start the program by its path

from pygnc.common.mean_elements import MeanElements
from pygnc.environment.frames import EarthFrames
from pygnc.environment.sgp4 import gcrf_from_teme, teme_states
from pygnc.estimators.orbit.filter import OrbitFilter
from pygnc.estimators.orbit.measurement import Fix
from pygnc.estimators.orbit.settings import OrbitSettings
from pygnc_ground.campaign.flight import ORIENTATION
from pygnc_ground.orbit.doppler_identification import Doppler, identify_doppler
from pygnc_ground.orbit.identification import CERTAIN, Identification
from pygnc_ground.orbit.orbit_identification import Observation, identify_orbit
from pygnc_ground.orbit.passes import SPEED_OF_LIGHT_MPS, Station, look
from pygnc_ground.orbit.solution import FloatArray, IntArray
from scripts.bench.table import Row, print_rows, print_table, select_parts

HOURS: Final = (6, 12, 24)
PRIOR_NONE: Final = 0.1
"""Default of the command."""
_STEP_S: Final = 600.0
_GM: Final = 3.986004418e14
_J2: Final = 1.08262668e-3
_RADIUS_M: Final = 6_378_137.0
_DAY_S: Final = 86_400.0
_FRAMES: Final = EarthFrames(ORIENTATION)
_OURS: Final = 0
_ERROR_M: Final = np.array((800.0, 25.0, 150.0, 150.0, 200.0, 200.0))
"""Scale of the errors of elements: along the track, semi-major axis, eccentricity (2), plane (2)."""


class Launch:
    """Objects of one launch: true mean elements at any time of the first day."""

    def __init__(self, seed: int, number: int, errors: float = 1.0, freedom: float = 3.0) -> None:
        self.draw = draw = np.random.default_rng([seed, number])
        self.count = count = int(draw.integers(50, 151))
        self.begin_ms = 1_420_000_000_000 + int(draw.integers(0, 300)) * 86_400_000
        axis_m = _RADIUS_M + draw.uniform(480e3, 600e3)
        speed = np.sqrt(_GM / axis_m)
        rate = speed / axis_m
        self.inclination = np.radians(draw.choice([97.5, 53.0]))
        deployed_s = np.sort(draw.uniform(0.0, 2400.0, count))
        latitude = draw.uniform(0.0, 2 * np.pi) + rate * deployed_s
        kick = draw.normal(size=(count, 3))
        kick *= (draw.uniform(0.5, 2.0, count) / np.linalg.norm(kick, axis=1))[:, None]
        # Some leave the same dispenser together.
        pairs = np.flatnonzero(draw.random(count - 1) < 0.05)
        kick[pairs + 1] = kick[pairs] + draw.normal(0.0, 0.1, (len(pairs), 3))
        latitude[pairs + 1] = latitude[pairs]
        deployed_s[pairs + 1] = deployed_s[pairs]
        order = draw.permutation(count)
        kick, latitude, deployed_s = kick[order], latitude[order], deployed_s[order]
        radial, along, normal = kick.T / speed
        self.axis_m = axis_m * (1.0 + 2.0 * along)
        e0 = draw.normal(0.0, 7e-4, 2)
        self.e_x = e0[0] + radial * np.sin(latitude) + 2.0 * along * np.cos(latitude)
        self.e_y = e0[1] - radial * np.cos(latitude) + 2.0 * along * np.sin(latitude)
        self.tilt = normal * np.cos(latitude)
        self.node = draw.uniform(0.0, 2 * np.pi) + normal * np.sin(latitude) / np.sin(self.inclination)
        self.latitude, self.deployed_s = latitude, deployed_s
        self.decay_m_per_day = 60.0 * np.exp(draw.normal(0.0, 0.8, count))
        # Density: a random walk that returns to its mean within hours.
        steps = int(30 * 3600 / _STEP_S)
        density = np.zeros(steps)
        for k in range(1, steps):
            density[k] = 0.97 * density[k - 1] + draw.normal(0.0, 0.08)
        self._time_s = _STEP_S * np.arange(steps)
        lost_m = np.cumsum(np.exp(density)) * _STEP_S / _DAY_S * self.decay_m_per_day[:, None]
        self._axis_m = self.axis_m[:, None] - lost_m + lost_m[:, :1]
        motion = np.sqrt(_GM / self._axis_m**3)
        self._moved = np.concatenate(
            (np.zeros((count, 1)), np.cumsum(0.5 * (motion[:, 1:] + motion[:, :-1]) * _STEP_S, axis=1)), axis=1
        )
        self.missing = draw.random(count) < 0.05
        self.missing[_OURS] = draw.random() < 0.05
        self.twice = draw.random(count) < 0.03
        self.error_m, self.freedom = errors * _ERROR_M, freedom
        self.lasting = draw.standard_t(freedom, (count, 6))
        self.common_m = draw.normal(0.0, 30e3) if draw.random() < 0.1 else 0.0
        self.sets: list[tuple[int, MeanElements]] = []
        self._per_bstar = self._decay_per_bstar()

    def elements(self, row: int, gps_ms: int, error: FloatArray, bstar: float) -> MeanElements:
        """Return mean elements with an error: along, axis, e (2), tilt, node; all in m."""
        t_s = 1e-3 * (gps_ms - self.begin_ms)
        axis_m = float(np.interp(t_s, self._time_s, self._axis_m[row])) + error[1]
        at = min(int(t_s / _STEP_S), len(self._time_s) - 2)
        part_s = t_s - self._time_s[at]
        moved = self._moved[row, at] + part_s * np.sqrt(_GM / (0.5 * (axis_m - error[1] + self._axis_m[row, at])) ** 3)
        first_s = self.deployed_s[row]
        moved -= float(np.interp(first_s, self._time_s, self._moved[row]))
        rate = 1.5 * _J2 * np.sqrt(_GM / axis_m**3) * (_RADIUS_M / axis_m) ** 2
        incl = self.inclination + self.tilt[row] + error[4] / axis_m
        perigee_turn = rate * (2.0 - 2.5 * np.sin(incl) ** 2) * (t_s - first_s)
        node = self.node[row] - rate * np.cos(incl) * (t_s - first_s) + error[5] / axis_m / np.sin(incl)
        e_x = self.e_x[row] * np.cos(perigee_turn) - self.e_y[row] * np.sin(perigee_turn) + error[2] / axis_m
        e_y = self.e_x[row] * np.sin(perigee_turn) + self.e_y[row] * np.cos(perigee_turn) + error[3] / axis_m
        latitude = self.latitude[row] + moved + perigee_turn + error[0] / axis_m
        perigee = np.arctan2(e_y, e_x)
        return MeanElements(
            epoch_gps_ms=gps_ms,
            mean_motion_rev_per_day=float(np.sqrt(_GM / axis_m**3) * _DAY_S / (2 * np.pi)),
            eccentricity=float(np.hypot(e_x, e_y)),
            inclination_deg=float(np.degrees(incl)),
            raan_deg=float(np.degrees(node) % 360.0),
            argument_of_perigee_deg=float(np.degrees(perigee) % 360.0),
            mean_anomaly_deg=float(np.degrees(latitude - perigee) % 360.0),
            bstar_per_radius=bstar,
        )

    def true_states(self, gps_ms: IntArray) -> FloatArray:
        """Return our states in TEME, shape (n, 6)."""
        return np.array([teme_states(self.elements(_OURS, ms, np.zeros(6), 0.0), [ms])[0] for ms in gps_ms.tolist()])

    def publish(self, gps_ms: int) -> None:
        """Add the element sets that are published before a time: one of each object, within the last hours."""
        draw = self.draw
        labels = np.arange(self.count)
        swapped = draw.permutation(self.count)[: 2 * (self.count // 40)].reshape(-1, 2)
        labels[swapped[:, 0]], labels[swapped[:, 1]] = swapped[:, 1], swapped[:, 0]
        for row in np.flatnonzero(~self.missing).tolist():
            self._add(row, int(labels[row]), gps_ms)
            if self.twice[row]:
                self._add(row, self.count + row, gps_ms)

    def _add(self, row: int, label: int, gps_ms: int) -> None:
        draw = self.draw
        epoch_ms = gps_ms - round(3.6e6 * draw.uniform(0.5, 5.0))
        gross = 10.0 if draw.random() < 0.03 else 1.0
        fresh = draw.standard_t(self.freedom, 6)
        # Part of the errors remains from set to set.
        error = gross * self.error_m * (np.sqrt(0.2) * self.lasting[row] + np.sqrt(0.8) * fresh)
        error[0] += self.common_m
        decay = self.decay_m_per_day[row] * np.exp(draw.normal(0.0, 0.7))
        bstar = 0.0 if draw.random() < 0.25 else float(decay / self._per_bstar)
        elements = self.elements(row, epoch_ms, error, bstar)
        self.sets.append((row, msgspec.structs.replace(elements, catalogue_number=60_001 + label)))

    @property
    def ours(self) -> set[int]:
        """Catalogue numbers that most of our element sets have."""
        counts = Counter(one.catalogue_number for row, one in self.sets if row == _OURS)
        return {number for number, count in counts.items() if count == max(counts.values())}

    def _decay_per_bstar(self) -> float:
        """Return the decay by SGP4, m per day, for B* of 1."""
        one = self.elements(_OURS, self.begin_ms + 3_600_000, np.zeros(6), 1e-4)
        later = [one.epoch_gps_ms + 86_400_000]
        moved = teme_states(one, later)[0] - teme_states(msgspec.structs.replace(one, bstar_per_radius=0.0), later)[0]
        along_m = float(np.linalg.norm(moved[:3]))
        return float(along_m / (0.75 * np.sqrt(_GM / self.axis_m[_OURS] ** 3) * _DAY_S) / 1e-4)


def observed_orbit(launch: Launch, gps_ms: int) -> Observation:
    """Return the state that an orbit from fixes has: errors of 2 m and 3 mm/s."""
    covariance = np.diag(np.repeat((2.0, 0.003), 3) ** 2)
    noise = launch.draw.normal(size=6) * np.repeat((2.0, 0.003), 3)
    return Observation(gps_ms, launch.true_states(np.array([gps_ms]))[0] + noise, covariance)


def observed_fixes(launch: Launch, gps_ms: int) -> Observation:
    """Return the state that the filter of the flight has after three fixes."""
    orbit = OrbitFilter(OrbitSettings(), ORIENTATION)
    times = gps_ms + np.array((-20_000, -10_000, 0))
    for ms, teme in zip(times.tolist(), launch.true_states(times), strict=True):
        turn = _FRAMES.ecef_state_from_gcrf(ms) @ np.kron(np.eye(2), gcrf_from_teme(ms, _FRAMES))
        state = turn @ teme + launch.draw.normal(size=6) * np.repeat((10.0, 0.1), 3)
        orbit.process(Fix(ms, state[:3], np.full(3, 10.0), state[3:], np.full(3, 0.1), 0.0))
    orbit.initialise_from_buffered()
    if orbit.state is None:
        raise RuntimeError("no orbit from three fixes")
    turn = np.kron(np.eye(2), gcrf_from_teme(orbit.state.gps_ms, _FRAMES).T)
    return Observation(orbit.state.gps_ms, turn @ orbit.state.x[:6], turn @ orbit.state.covariance[:6, :6] @ turn.T)


def observed_pass(launch: Launch, gps_ms: int) -> Doppler:
    """Return the frequencies of a pass over a station near the track."""
    draw = launch.draw
    times = gps_ms + np.arange(-300_000, 300_001, 2000)
    below = teme_to_ecef(launch.true_states(np.array([gps_ms])), np.array([gps_ms]))[0]
    latitude = float(np.degrees(np.arcsin(below[2] / np.linalg.norm(below[:3]))))
    longitude = float(np.degrees(np.arctan2(below[1], below[0])))
    north, east = draw.uniform(-6.0, 6.0, 2)
    station = Station(
        float(np.clip(latitude + north, -85.0, 85.0)),
        float((longitude + east / max(np.cos(np.radians(latitude)), 0.2) + 180.0) % 360.0 - 180.0),
        200.0,
        name="station",
    )
    seen = look(station, teme_to_ecef(launch.true_states(times), times))
    above = seen.elevation_rad > np.radians(5.0)
    offset_hz, drift_hz_per_s = draw.uniform(-8e3, 8e3), draw.normal(0.0, 0.1)
    carrier_hz = 437e6 + offset_hz + drift_hz_per_s * 1e-3 * (times - gps_ms)
    frequency_hz = carrier_hz * (1.0 - seen.range_rate_mps / SPEED_OF_LIGHT_MPS) + draw.normal(0.0, 30.0, len(times))
    wrong = draw.random(len(times)) < 0.02
    frequency_hz[wrong] += draw.uniform(-5e3, 5e3, int(wrong.sum()))
    return Doppler(times[above], frequency_hz[above], station)


def teme_to_ecef(states: FloatArray, gps_ms: IntArray) -> FloatArray:
    """Return states in ITRF, (n, 6)."""
    turns = (
        _FRAMES.ecef_state_from_gcrf(ms) @ np.kron(np.eye(2), gcrf_from_teme(ms, _FRAMES)) for ms in gps_ms.tolist()
    )
    return np.array([turn @ state for turn, state in zip(turns, states, strict=True)])


class Trial(NamedTuple):
    """Result of one attempt: probabilities of all candidates, and whether each is right.

    `is_missing` is true if the catalogue lacks our object.
    """

    hours: int
    probability: FloatArray
    right: FloatArray
    is_missing: bool

    @property
    def is_right(self) -> bool:
        """True if the most probable candidate is right."""
        return bool(self.right[0])

    @property
    def is_certain(self) -> bool:
        """True if the most probable candidate is certain."""
        return bool(self.probability[0] >= CERTAIN)


def trials(kind: str, launches: Iterable[Launch]) -> Iterator[Trial]:
    """Yield the attempts of all launches."""
    for launch in launches:
        for hours in HOURS:
            gps_ms = launch.begin_ms + 3_600_000 * hours
            launch.publish(gps_ms)
            if hours == 24:
                launch.publish(gps_ms - 6 * 3_600_000)
            published, ours = [one for _, one in launch.sets], launch.ours
            found: Identification
            if kind == "doppler":
                found = identify_doppler(observed_pass(launch, gps_ms), published, PRIOR_NONE, _FRAMES)
            elif kind == "fixes":
                seen = observed_fixes(launch, gps_ms)
                found = identify_orbit({seen.gps_ms: seen}.__getitem__, np.array([seen.gps_ms]), published, PRIOR_NONE)
            else:
                times_ms = np.arange(launch.begin_ms + 3_600_000, gps_ms + 1, 60_000)
                found = identify_orbit(partial(observed_orbit, launch), times_ms, published, PRIOR_NONE)
            right = [
                not ours if one.elements is None else one.elements.catalogue_number in ours for one in found.candidates
            ]
            probability = np.array([one.probability for one in found.candidates])
            yield Trial(hours, probability, np.array(right), not ours)


def measure(kind: str, options: argparse.Namespace) -> int:
    """Print the figures of one kind of observation; return 1 if a limit is exceeded."""
    make = partial(Launch, options.seed, errors=options.errors, freedom=options.freedom)
    found = list(trials(kind, map(make, range(options.launches))))
    print(f"\n{kind}: {options.launches} launches, seed {options.seed}\n")
    rows = []
    for hours in HOURS:
        own = [one for one in found if one.hours == hours]
        certain = [one for one in own if one.is_certain]
        wrong = [one for one in certain if not one.is_right]
        shares = [np.mean([one.is_right for one in own]), len(certain) / len(own)]
        missing = sum(one.is_missing for one in wrong)
        rows.append((f"{hours} h", *(f"{share:.1%}" for share in shares), str(len(wrong)), str(missing)))
    print_table(("after", "most probable is right", "certain", "certain and wrong", "of these, ours is missing"), rows)
    within = np.array([[one.is_right for one in found[k :: len(HOURS)]] for k in range(len(HOURS))])
    limited = kind != "doppler"
    certain = [one for one in found if one.is_certain]
    wrong_answers = sum(not one.is_right for one in certain)
    expected = sum(1.0 - float(one.probability[0]) for one in certain)
    print()
    last = float(within[-1].mean())
    failed = print_rows(
        [
            Row(
                "identified 24 h after the deployment",
                f"{last:.1%}",
                "95 %" if limited else "",
                last >= 0.95 if limited else None,
            ),
            Row("certain (0.99) and wrong", f"{wrong_answers} of {len(found)}", "0", wrong_answers == 0),
            Row("expected by the stated probabilities", f"{expected:.1f}", "", None),
        ]
    )
    print("\nStated probability of all candidates, and how often they are right:\n")
    probability = np.concatenate([one.probability for one in found])
    right = np.concatenate([one.right for one in found])
    edges = (0.0, 0.001, 0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.1)
    calibration = []
    for low, high in pairwise(edges):
        rows_in = (probability >= low) & (probability < high)
        if rows_in.any():
            figures = f"{probability[rows_in].mean():.4f}", f"{right[rows_in].mean():.4f}"
            calibration.append((f"{low:g} to {min(high, 1.0):g}", str(int(rows_in.sum())), *figures))
    print_table(("stated", "candidates", "mean stated", "share right"), calibration)
    return failed


def main() -> int:
    """Run the requested parts."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--launches", type=int, metavar="N", default=1000, help="Number of launches (default: 1000).")
    parser.add_argument("--seed", type=int, metavar="N", default=35, help="Seed of the generator (default: 35).")
    parser.add_argument("--errors", type=float, default=1.0, metavar="FACTOR", help="Factor on the errors of elements.")
    parser.add_argument("--freedom", type=float, default=3.0, metavar="N", help="Degrees of freedom of the errors.")
    options, chosen = select_parts(parser, {kind: kind for kind in ("orbit", "fixes", "doppler")})
    return max(measure(kind, options) for kind in chosen)


if __name__ == "__main__":
    sys.exit(main())
