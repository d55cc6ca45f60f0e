"""Replay results in closed form: a circular orbit, errors of known size, faults of every kind."""

from dataclasses import dataclass, replace

import numpy as np

from pygnc.bus.messages import SourceFile
from pygnc.common.clock import gps_ms_from_utc_iso
from pygnc.configuration.settings import Settings
from pygnc_ground.orbit.solution import BoolArray, FloatArray, IntArray, OrbitSolution
from pygnc_ground.replay.result import FixRecords, Innovations, ReplayResult, UntimedRecord
from pygnc_ground.truth.orbit_truth import TrueOrbit
from tests.pygnc_ground.report import attitude_samples, formation_samples

BEGIN_MS = gps_ms_from_utc_iso("2025-03-20T21:10:00Z")
STEP_MS = 25_000
RADIUS_M = 6_898_000.0
_EARTH_RATE_RAD_S = 7.292115e-5
_ORBIT_RATE_RAD_S = (3.986004418e14 / RADIUS_M**3) ** 0.5
_INCLINATION_RAD = np.radians(97.4)
_GATE = Settings().orbit.measurement.gate


@dataclass(frozen=True)
class CircularTruth:
    """Circular orbit over a uniformly rotating sphere."""

    span_gps_ms: tuple[int, int] = (BEGIN_MS, BEGIN_MS + 400 * 86_400_000)
    description: str = "circular orbit, made up"

    def at(self, gps_ms: IntArray) -> TrueOrbit:
        inside = (gps_ms >= self.span_gps_ms[0]) & (gps_ms <= self.span_gps_ms[1])
        position, velocity = _circular(gps_ms)
        position[~inside] = velocity[~inside] = np.nan
        return TrueOrbit(position, velocity)


def _circular(gps_ms: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return position and Earth-relative velocity in the rotating frame, each (n, 3)."""
    seconds = (gps_ms - BEGIN_MS) / 1e3
    u, theta = _ORBIT_RATE_RAD_S * seconds, 0.3 + _EARTH_RATE_RAD_S * seconds
    node = np.array([1.0, 0.0, 0.0])
    top = np.array([0.0, np.cos(_INCLINATION_RAD), np.sin(_INCLINATION_RAD)])
    position = RADIUS_M * (np.outer(np.cos(u), node) + np.outer(np.sin(u), top))
    velocity = RADIUS_M * _ORBIT_RATE_RAD_S * (np.outer(np.cos(u), top) - np.outer(np.sin(u), node))
    velocity -= np.cross([0.0, 0.0, _EARTH_RATE_RAD_S], position)
    cos, sin, zero, one = np.cos(theta), np.sin(theta), np.zeros_like(theta), np.ones_like(theta)
    turn = np.array([[cos, sin, zero], [-sin, cos, zero], [zero, zero, one]]).transpose(2, 0, 1)
    return np.einsum("nij,nj->ni", turn, position), np.einsum("nij,nj->ni", turn, velocity)


def solution(gps_ms: IntArray, sigma_m: FloatArray, seed: int, accepted: BoolArray | None = None) -> OrbitSolution:
    """Return the true orbit plus errors of these standard deviations per axis, (n,), and a thousandth of them per
    second.
    """
    rng = np.random.default_rng(seed)
    position, velocity = _circular(gps_ms)
    scale = np.column_stack((np.repeat(sigma_m[:, None], 3, 1), 1e-3 * np.repeat(sigma_m[:, None], 3, 1)))
    error = scale * _smooth_noise(rng, len(gps_ms))
    covariance = np.zeros((len(gps_ms), 6, 6))
    covariance[:, range(6), range(6)] = scale**2
    accepted = np.ones(len(gps_ms), dtype=np.bool_) if accepted is None else accepted
    dof = np.where(accepted, 6, 0)
    return OrbitSolution(
        gps_ms=gps_ms,
        position_ecef_m=position + error[:, :3],
        velocity_ecef_mps=velocity + error[:, 3:],
        position_gcrf_m=position,
        velocity_gcrf_mps=velocity,
        covariance_ecef=covariance,
        nis=np.where(accepted, rng.chisquare(6, len(gps_ms)), np.nan),
        dof=dof,
        accepted=accepted,
    )


def _smooth_noise(rng: np.random.Generator, count: int) -> FloatArray:
    """Return standard normal columns (n, 6), correlated from row to row."""
    noise = rng.normal(size=(count, 6))
    for k in range(1, count):
        noise[k] = 0.95 * noise[k - 1] + np.sqrt(1.0 - 0.95**2) * noise[k]
    return noise


def fix_records(gps_ms: IntArray, sources: tuple[str, ...] = ("sense.bin",), seed: int = 1) -> FixRecords:
    """Return records without faults and with innovations of the expected size."""
    rng = np.random.default_rng(seed)
    count = len(gps_ms)
    sigma = np.full((count, 3), 10.0) * rng.uniform(0.9, 1.4, (count, 1))
    innovation = sigma * rng.normal(size=(count, 3))
    v_innovation = 1e-3 * sigma * rng.normal(size=(count, 3))
    used = np.ones(count, dtype=np.bool_)
    t_spacecraft_s = 946_684_800 + 5000 + (gps_ms - BEGIN_MS) // 1000
    return FixRecords(
        seq=np.arange(1, count + 1),
        source=tuple(sources[k * len(sources) // max(1, count)] for k in range(count)),
        offset=np.arange(count) * 251,
        gps_ms=gps_ms,
        t_spacecraft_s=t_spacecraft_s,
        gps_week_received=(None,) * count,
        position_cause=("",) * count,
        velocity_cause=("",) * count,
        position=Innovations(innovation, sigma, ((innovation / sigma) ** 2).sum(axis=1), used),
        velocity=Innovations(v_innovation, 1e-3 * sigma, ((v_innovation / sigma) ** 2).sum(axis=1) * 1e6, used.copy()),
        restarted=np.zeros(count, dtype=bool),
        spacecraft_to_gps_ms=gps_ms - 1000.0 * t_spacecraft_s + 120.0 * rng.normal(size=count),
    )


def clean(count: int = 60, step_ms: int = STEP_MS) -> ReplayResult:
    """Return a result without faults, with truth, smoother and batch."""
    gps_ms = BEGIN_MS + step_ms * np.arange(count, dtype=np.int64)
    settling = 1.0 + 8.0 * np.exp(-np.arange(count) / 15.0)
    return ReplayResult(
        settings=Settings(),
        filter_name="square-root EKF",
        sources=(SourceFile(seq=1, name="sense.bin", size_bytes=251 * count, delivered_bytes=251 * count),),
        counts={"fixes_received": count, "fixes_accepted": count, "fixes_waiting": 0},
        fixes=fix_records(gps_ms),
        untimed=(),
        ranges=formation_samples.ranges(0),
        solution=solution(gps_ms, 1.5 * settling, 2),
        smoothed=solution(gps_ms, np.full(count, 0.95), 3),
        batch=solution(gps_ms, np.full(count, 0.8), 4),
        truth=CircularTruth(),
        attitude=attitude_samples.nothing(),
    )


def without_orbit(result: ReplayResult) -> ReplayResult:
    """Return the same records without an orbit."""
    count = len(result.fixes.seq)
    nan = np.full((count, 3), np.nan)
    unknown = Innovations(nan, nan, nan[:, 0], np.zeros(count, dtype=np.bool_))
    nothing = replace(
        result.solution,
        position_ecef_m=nan,
        velocity_ecef_mps=nan,
        position_gcrf_m=nan,
        velocity_gcrf_mps=nan,
        covariance_ecef=np.full((count, 6, 6), np.nan),
        nis=np.full(count, np.nan),
        dof=np.zeros(count, dtype=np.int64),
        accepted=np.zeros(count, dtype=bool),
    )
    fixes = replace(
        result.fixes,
        position_cause=("position_status",) * count,
        velocity_cause=("velocity_status",) * count,
        position=unknown,
        velocity=unknown,
        spacecraft_to_gps_ms=nan[:, 0],
    )
    counts = {"fixes_received": count, "fixes_accepted": 0, "fixes_waiting": 0, "rejected_position_status": count}
    attitude = attitude_samples.without_attitude(result.attitude)
    return replace(result, fixes=fixes, counts=counts, solution=nothing, smoothed=None, batch=None, attitude=attitude)


def troubled(count: int = 432) -> ReplayResult:
    """Return a result with outliers, an outage, a reboot of the spacecraft clock, damaged times and files, faulty
    sensors.
    """
    result = clean(count)
    rng = np.random.default_rng(7)
    gps_ms = result.fixes.gps_ms.copy()
    gps_ms[count // 3 :] += 900_000
    damaged = count // 4
    gps_ms[damaged] += 3 * 604_800_000
    fixes = fix_records(gps_ms, ("sense.bin", "rng00000.bin"))
    causes, velocity_causes = [""] * count, [""] * count
    for row in rng.choice(np.arange(20, count), max(2, count // 40), replace=False).tolist():
        causes[row] = "gate"
        fixes.position.values[row] += 300.0 * rng.normal(size=3)
        fixes.position.chi_square[row] = _GATE * (1.05 + rng.exponential(30.0))
    for row in range(count // 2, count // 2 + max(2, count // 50)):
        velocity_causes[row] = "velocity_status"
    causes[damaged] = velocity_causes[damaged] = "time_inconsistent"
    late = slice(3 * count // 4, None)
    fixes.t_spacecraft_s[late] -= 12_345
    fixes.spacecraft_to_gps_ms[late] += 12_345_000.0
    fixes.t_spacecraft_s[5:9] = -1
    fixes.restarted[2 * count // 3] = True
    accepted = np.array([not cause for cause in causes])
    fixes = replace(
        fixes,
        position_cause=tuple(causes),
        velocity_cause=tuple(velocity_causes),
        position=fixes.position._replace(used=accepted),
        velocity=fixes.velocity._replace(used=np.array([not cause for cause in velocity_causes])),
    )
    settling = 1.0 + 8.0 * np.exp(-np.arange(count) / 15.0)
    settling[count // 3 :] += 4.0 * np.exp(-np.arange(count - count // 3) / 10.0)
    filtered = solution(gps_ms, 1.5 * settling, 2, accepted)
    lost = np.arange(count) < 4
    lost[damaged] = True
    for column in (filtered.position_ecef_m, filtered.velocity_ecef_mps, filtered.covariance_ecef):
        column[lost] = np.nan
    damage = ((5_000, 5_251, "content"), (40_000, 44_096, "fill"), (90_000, 90_251, "length"))
    return replace(
        result,
        fixes=fixes,
        solution=filtered,
        smoothed=solution(gps_ms, np.full(count, 0.95), 3, accepted),
        batch=solution(gps_ms, np.full(count, 0.8), 4, accepted),
        counts={
            "fixes_received": count + 3,
            "fixes_accepted": int(accepted.sum()),
            "fixes_waiting": 0,
            "rejected_gate": causes.count("gate"),
            "rejected_time_inconsistent": 1,
            "rejected_no_time": 3,
        },
        untimed=tuple(UntimedRecord(k, "sense.bin", 251 * k, 946_684_900 + k, "no_time") for k in range(3)),
        sources=(
            SourceFile(
                seq=1,
                name="sense.bin",
                size_bytes=112_000,
                delivered_bytes=112_000 - 4_598,
                damaged_bytes=4_598,
                damaged_ranges=3,
                damage=damage,
            ),
            SourceFile(seq=2, name="rng00000.bin", size_bytes=20_000, delivered_bytes=20_000),
            SourceFile(seq=3, name="rng00001.bin", fault="is a folder"),
        ),
        attitude=attitude_samples.troubled(attitude_samples.clean(5 * count, begin_ms=BEGIN_MS)),
    )
