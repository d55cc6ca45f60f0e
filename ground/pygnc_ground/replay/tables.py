"""Tables of a replay as Parquet and CSV files; `pygnc_ground.tables` declares their columns."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import polars as pl

from pygnc.bus.messages import AttitudeEstimate, FormationEstimate, FormationMessage
from pygnc.estimators.attitude.filter import Mode
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.estimators.orbit.state import LOWER
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.solution import FloatArray, IntArray, OrbitSolution, blocks
from pygnc_ground.replay.collect import Collected, TimedRecord
from pygnc_ground.replay.result import (
    FixRecords,
    FormationResult,
    RangeRecords,
    ReplayResult,
    UntimedRecord,
    column,
)
from pygnc_ground.tables.declaration import AnyFrame, frame, quantities, schema, time_values, write_table

_ATTITUDE_VECTORS: Final = {
    "body rate": "rate_body_rad_s",
    "gyro bias": "gyro_bias_imu_rad_s",
    "magnetometer bias": "mag_bias_imu_ut",
    "attitude sigma": "sigma_rad",
}
"""Vectors with three components after the quaternion, by their names in messages and solutions."""
_ORBIT_VECTORS: Final = {
    "position": "position_ecef_m",
    "velocity": "velocity_ecef_mps",
    "position in GCRF": "position_gcrf_m",
    "velocity in GCRF": "velocity_gcrf_mps",
}
"""Vectors without a standard deviation, by their names in messages and solutions."""
_COVARIANCES: Final = {
    "position covariance": np.flatnonzero(LOWER[0] < 3),
    "covariance of velocity and position": np.flatnonzero((LOWER[0] >= 3) & (LOWER[1] < 3)),
    "velocity covariance": np.flatnonzero(LOWER[1] >= 3),
}
"""Places of the elements in a lower triangle, by the names of their quantities."""
_POSITION_VARIANCES: Final = [0, 2, 5]
"""Indices of the variances in the lower triangle of a covariance."""


def attitude_table(estimates: Sequence[AttitudeEstimate]) -> pl.DataFrame:
    """Return the attitudes in the messages of the flight software, one row per sample."""
    values = {
        name: column((getattr(estimate, field) for estimate in estimates), 3)
        for name, field in _ATTITUDE_VECTORS.items()
    }
    values["attitude"] = column((estimate.quaternion_gcrf_from_body for estimate in estimates), 4)
    return _attitude_table("attitude", estimates, values, [estimate.mode for estimate in estimates])


def smoothed_table(
    estimates: Sequence[AttitudeEstimate], smoothed: AttitudeSolution, settings: AttitudeSettings
) -> pl.DataFrame:
    """Return the smoothed attitudes; the column `mode` is fine or coarse by their standard deviation."""
    values = {name: getattr(smoothed, field) for name, field in _ATTITUDE_VECTORS.items()}
    values["attitude"] = smoothed.quaternion
    fine = smoothed.sigma_rss_rad < settings.start.fine_sigma_rad
    modes = [
        (Mode.FINE if is_fine else Mode.COARSE).value if known else estimate.mode
        for estimate, known, is_fine in zip(estimates, smoothed.known, fine, strict=True)
    ]
    return _attitude_table("attitude_smoothed", estimates, values, modes)


def _attitude_table(
    name: str, estimates: Sequence[AttitudeEstimate], values: Mapping[str, Any], modes: Sequence[str]
) -> pl.DataFrame:
    times = time_values([estimate.gps_ms for estimate in estimates])
    return frame(name, {**times, **values, "in_sun": [estimate.in_sun for estimate in estimates], "mode": modes})


def formation_table(messages: Sequence[FormationMessage]) -> pl.DataFrame:
    """Return the states of partners relative to us in the messages of the flight software.

    There is one row per partner and time. A preliminary estimate for a time is replaced by the final one.
    """
    by_time: dict[tuple[int, int], FormationEstimate] = {}
    for message in messages:
        if isinstance(message, FormationEstimate):
            key = message.partner_id, message.gps_ms
            by_time.pop(key, None)
            by_time[key] = message
    rows = list(by_time.values())
    covariances = column((row.covariance_rtn for row in rows), 21)
    return frame(
        "formation",
        {
            "partner_id": [row.partner_id for row in rows],
            **time_values([row.gps_ms for row in rows]),
            "relative position": column((row.position_rtn_m for row in rows), 3),
            "relative velocity": column((row.velocity_rtn_mps for row in rows), 3),
            "relative position in GCRF": column((row.position_gcrf_m for row in rows), 3),
            "relative position sigma": np.sqrt(covariances[:, _POSITION_VARIANCES]),
            "range_bias_m": [row.range_bias_m for row in rows],
            "ambiguous": [row.ambiguous for row in rows],
            "chi_square_best": [row.chi2_best for row in rows],
            "chi_square_mirror": [row.chi2_mirror for row in rows],
            **_covariances(covariances, "relative "),
        },
    )


def relative_table(
    gps_ms: IntArray, relative_rtn: FloatArray, relative_gcrf_m: FloatArray, covariance_rtn: FloatArray
) -> pl.DataFrame:
    """Return the states (n, 6) of a single partner relative to us, without ranges, with covariances (n, 6, 6)."""
    count, triangles = len(gps_ms), covariance_rtn[:, *LOWER]
    unknown = [None] * count
    return frame(
        "formation",
        {
            "partner_id": [1] * count,
            **time_values(gps_ms.tolist()),
            "relative position": relative_rtn[:, :3],
            "relative velocity": relative_rtn[:, 3:],
            "relative position in GCRF": relative_gcrf_m,
            "relative position sigma": np.sqrt(triangles[:, _POSITION_VARIANCES]),
            "range_bias_m": unknown,
            "ambiguous": [False] * count,
            "chi_square_best": unknown,
            "chi_square_mirror": unknown,
            **_covariances(triangles, "relative "),
        },
    )


def orbit_table(timed: Sequence[TimedRecord]) -> pl.DataFrame:
    """Return the orbit states in the messages of the flight software, one row per GPS record with a time."""
    found = [record.estimate for record in timed]
    vectors = {**_ORBIT_VECTORS, "position sigma": "position_sigma_m", "velocity sigma": "velocity_sigma_mps"}
    return frame(
        "orbit",
        {
            **time_values([record.gps_ms for record in timed]),
            **{name: column((getattr(of, field, None) for of in found), 3) for name, field in vectors.items()},
            "nis": [of.nis if of and of.nis_dof else None for of in found],
            "accepted": [of is not None and of.accepted for of in found],
            **_covariances(column((of.covariance_rtn if of else None for of in found), 21)),
        },
    )


def solution_table(name: str, solution: OrbitSolution) -> pl.LazyFrame:
    """Return the states of an orbit solution that is computed on the ground, with the columns of `orbit_table`.

    While the table is written, only some thousands of its rows are in memory.
    """
    parts = [solution.part(rows) for rows in blocks(len(solution))] or [solution]
    return pl.concat([pl.defer(partial(_states, name, part), schema=schema(name)) for part in parts])


def _states(name: str, solution: OrbitSolution) -> pl.DataFrame:
    return frame(
        name,
        {
            **time_values(solution.gps_ms.tolist()),
            **{name: getattr(solution, field) for name, field in _ORBIT_VECTORS.items()},
            "position sigma": solution.sigma_ecef[:, :3],
            "velocity sigma": solution.sigma_ecef[:, 3:],
            "nis": solution.nis,
            "accepted": solution.accepted,
            **_covariances(solution.triangles_rtn),
        },
    )


def _covariances(triangles: FloatArray, prefix: str = "") -> dict[str, FloatArray]:
    """Return the three quantities of covariances of position and velocity (n, 21)."""
    return {prefix + name: triangles[:, places] for name, places in _COVARIANCES.items()}


def triangles(name: str, table: pl.DataFrame) -> FloatArray:
    """Return the covariances of position and velocity in a table as lower triangles, row by row, shape (n, 21)."""
    lower = np.empty((len(table), 21))
    for quantity in quantities(name):
        places = _COVARIANCES.get(quantity.name.removeprefix("closest "))
        if places is not None:
            lower[:, places] = table.select(quantity.columns).to_numpy()
    return lower


def rejected_table(untimed: Sequence[UntimedRecord]) -> pl.DataFrame:
    """Return the GPS records without a time, with file, offset and cause."""
    fields = ("source", "offset", "t_spacecraft_s", "cause")
    values = {name: [getattr(record, name) for record in untimed] for name in fields}
    return frame("rejected", {"input_seq": [record.seq for record in untimed], **values})


def fixes_table(fixes: FixRecords) -> pl.DataFrame:
    """Return every GPS record with a time: file, offset, result, innovations in ITRF."""
    return frame(
        "fixes",
        {
            "input_seq": fixes.seq,
            "source": fixes.source,
            "offset": fixes.offset,
            "t_spacecraft_s": [None if t_s < 0 else t_s for t_s in fixes.t_spacecraft_s.tolist()],
            **time_values(fixes.gps_ms.tolist()),
            "gps_week_received": fixes.gps_week_received,
            "position_cause": fixes.position_cause,
            "velocity_cause": fixes.velocity_cause,
            "position innovation": fixes.position.values,
            "sigma of the position innovation": fixes.position.sigmas,
            "velocity innovation": fixes.velocity.values,
            "sigma of the velocity innovation": fixes.velocity.sigmas,
            "chi_square_position": fixes.position.chi_square,
            "chi_square_velocity": fixes.velocity.chi_square,
            "restarted": fixes.restarted,
            "spacecraft_to_gps_ms": fixes.spacecraft_to_gps_ms,
        },
    )


def ranges_table(ranges: RangeRecords) -> pl.DataFrame:
    """Return every range packet: file, offset, time, and why the newest solution does not use it."""
    fields = ("source", "offset", "t_spacecraft_s", "satellite_id", "partner_id", "range_m", "residual_m", "cause")
    values = {name: getattr(ranges, name) for name in fields}
    return frame("ranges", {"input_seq": ranges.seq, **time_values(ranges.gps_ms), **values})


def approaches_table(formation: FormationResult) -> pl.DataFrame:
    """Return the nearest and the most dangerous encounter of each partner by each orbit that fits."""
    rows = [
        (each, name, encounter)
        for each in formation.conjunctions
        for name, encounter in (("nearest", each.nearest), ("likeliest", each.likeliest))
    ]
    return frame(
        "approaches",
        {
            "partner_id": [each.partner for each, _, _ in rows],
            "orbit": [formation.name_of(each) for each, _, _ in rows],
            "encounter": [name for _, name, _ in rows],
            **time_values([encounter.gps_ms for _, _, encounter in rows]),
            "closest_m": [encounter.distance_m for _, _, encounter in rows],
            "sigma_closest_m": [encounter.sigma_m for _, _, encounter in rows],
            "collision_radius_m": [formation.collision_radius_m] * len(rows),
            "probability_encounter": [encounter.probability for _, _, encounter in rows],
            "probability_day": [each.probability for each, _, _ in rows],
            "closest position in GCRF": column((encounter.relative[:3] for _, _, encounter in rows), 3),
            "closest velocity in GCRF": column((encounter.relative[3:] for _, _, encounter in rows), 3),
            **_covariances(column((encounter.covariance[LOWER] for _, _, encounter in rows), 21), "closest "),
        },
    )


def table_makers(result: ReplayResult, collected: Collected) -> dict[str, Callable[[], AnyFrame]]:
    """Return a function per table that makes it; tables of solutions and inputs that do not exist are missing."""
    found: dict[str, Callable[[], AnyFrame]] = {"orbit": partial(orbit_table, collected.timed)}
    if result.normal_points:
        found["orbit"] = partial(solution_table, "orbit", result.solution)
    for name, solution in (("orbit_smoothed", result.smoothed), ("orbit_batch", result.batch)):
        if solution is not None:
            found[name] = partial(solution_table, name, solution)
    if estimates := collected.attitudes:
        found["attitude"] = partial(attitude_table, estimates)
        of_samples = estimates, result.attitude.smoothed, result.settings.attitude
        found["attitude_smoothed"] = partial(smoothed_table, *of_samples)
    if collected.partners:
        found["formation"] = partial(formation_table, collected.partners)
    if result.formation is not None and result.formation.conjunctions:
        found["approaches"] = partial(approaches_table, result.formation)
    if len(result.ranges):
        found["ranges"] = partial(ranges_table, result.ranges)
    return found | {"rejected": partial(rejected_table, result.untimed), "fixes": partial(fixes_table, result.fixes)}


def all_tables(result: ReplayResult, collected: Collected) -> dict[str, pl.DataFrame]:
    """Return all tables by name."""
    return {name: make().lazy().collect() for name, make in table_makers(result, collected).items()}


def write_tables(
    makers: Mapping[str, Callable[[], AnyFrame]],
    folder: Path,
    *,
    csv: bool,
    about: Mapping[str, str] | None = None,
) -> list[Path]:
    """Make tables and write them to a folder as Parquet and, if `csv` is set, as CSV; return their paths.

    `about` are entries for the metadata of the Parquet files besides those of the declaration.
    """
    written: list[Path] = []
    for name, make in makers.items():
        table = make()
        for suffix in ("parquet", "csv") if csv else ("parquet",):
            written.append(folder / f"{name}.{suffix}")
            write_table(name, table, written[-1], about or {})
    return written
