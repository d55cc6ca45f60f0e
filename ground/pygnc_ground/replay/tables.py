"""Tables of a replay as Parquet and CSV files. Empty fields stand for unknown values.

`orbit`, `orbit_smoothed` and `orbit_batch` have the same columns: GPS week and seconds of the week; position and
velocity in ITRF ("ecef") and GCRF at that time; standard deviations of the ITRF state; the normalised innovation
squared of the used measurements (after smoothing and in the batch: of the residuals); and whether any of the record was
used.

`attitude` and `attitude_smoothed` have one row per sensor sample: GPS week and seconds of the week; the quaternion from
body to GCRF (Hamilton convention, scalar first); the body rate without the known bias; biases of gyro and magnetometer
in sensor axes; standard deviations of the attitude about the body axes; the sunlight flag; and the state of the
attitude.

`formation` has one row per partner and time of a measurement that involves the partner. Relative means
partner minus self, along the radial, transverse and normal axes of our orbit, with rates in these rotating axes.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import polars as pl

from pygnc.bus.messages import AttitudeEstimate, FormationEstimate, FormationMessage
from pygnc.common.clock import MS_PER_WEEK
from pygnc.estimators.attitude.filter import Mode
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc.navigation.pipeline import AttitudeRecord
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.solution import FloatArray, OrbitSolution
from pygnc_ground.replay.collect import Collected, TimedRecord
from pygnc_ground.replay.result import FixRecords, ReplayResult, UntimedRecord, column

_TIME: Final = ("gps_week", "gps_tow_s")
_ATTITUDE_NUMBERS: Final = (
    *("q_w", "q_x", "q_y", "q_z"),
    *("wx_rad_s", "wy_rad_s", "wz_rad_s"),
    *("bgx_rad_s", "bgy_rad_s", "bgz_rad_s"),
    *("bmx_ut", "bmy_ut", "bmz_ut"),
    *("sigma_x_rad", "sigma_y_rad", "sigma_z_rad"),
)
_ATTITUDE_VECTORS: Final = ("rate_body_rad_s", "gyro_bias_imu_rad_s", "mag_bias_imu_ut", "sigma_rad")
"""Vectors with three components after the quaternion, by their names in messages and solutions."""
FORMATION_COLUMNS: Final = (
    *("partner", *_TIME),
    *("r_m", "t_m", "n_m", "vr_mps", "vt_mps", "vn_mps"),
    *("x_gcrf_m", "y_gcrf_m", "z_gcrf_m"),
    *("sigma_r_m", "sigma_t_m", "sigma_n_m", "range_bias_m"),
    *("ambiguous", "chi2_best", "chi2_mirror"),
)
STATE_COLUMNS: Final = (
    *("x_ecef_m", "y_ecef_m", "z_ecef_m", "vx_ecef_mps", "vy_ecef_mps", "vz_ecef_mps"),
    *("x_gcrf_m", "y_gcrf_m", "z_gcrf_m", "vx_gcrf_mps", "vy_gcrf_mps", "vz_gcrf_mps"),
    *("sigma_x_m", "sigma_y_m", "sigma_z_m", "sigma_vx_mps", "sigma_vy_mps", "sigma_vz_mps"),
)
_ORBIT_VECTORS: Final = ("position_ecef_m", "velocity_ecef_mps", "position_gcrf_m", "velocity_gcrf_mps")
"""Vectors of the columns without a standard deviation, by their names in messages and solutions."""
ORBIT_COLUMNS: Final = (*_TIME, *STATE_COLUMNS, "nis", "accepted")
_TYPES: Final[dict[str, type[pl.DataType]]] = {
    **dict.fromkeys(("partner", "gps_week", "ambiguous", "in_sun", "accepted"), pl.Int64),
    **dict.fromkeys(("seq", "offset", "t_spacecraft_s"), pl.Int64),
    **dict.fromkeys(("mode", "source", "cause"), pl.String),
}
"""Types of the columns that do not hold floating-point numbers."""

_Row: TypeAlias = tuple[object, ...]
_POSITION_VARIANCES: Final = [0, 2, 5]
"""Indices of the variances in the lower triangle of a covariance."""


def _table(names: Sequence[str], rows: Iterable[_Row]) -> pl.DataFrame:
    """Return rows as a table whose unknown values, None or NaN, are null."""
    schema = {name: _TYPES.get(name, pl.Float64) for name in names}
    return pl.DataFrame(list(rows), schema=schema, orient="row").fill_nan(None)


def _time(gps_ms: int | None) -> tuple[int | None, float | None]:
    return (None, None) if gps_ms is None else (gps_ms // MS_PER_WEEK, gps_ms % MS_PER_WEEK / 1000.0)


def attitude_table(records: Sequence[AttitudeRecord]) -> pl.DataFrame:
    """Return the attitudes in the messages of the flight software, one row per sample."""
    estimates = [record.estimate for record in records]
    parts = [column((estimate.quaternion_gcrf_from_body for estimate in estimates), 4)]
    parts += [column((getattr(estimate, name) for estimate in estimates), 3) for name in _ATTITUDE_VECTORS]
    return _attitude_table(estimates, parts, [estimate.mode for estimate in estimates])


def smoothed_table(
    records: Sequence[AttitudeRecord], smoothed: AttitudeSolution, settings: AttitudeSettings
) -> pl.DataFrame:
    """Return the smoothed attitudes; the column `mode` is fine or coarse by their standard deviation."""
    parts = [smoothed.quaternion, *(getattr(smoothed, name) for name in _ATTITUDE_VECTORS)]
    fine = smoothed.sigma_rss_rad < settings.start.fine_sigma_rad
    estimates = [record.estimate for record in records]
    modes = [
        (Mode.FINE if is_fine else Mode.COARSE).value if known else estimate.mode
        for estimate, known, is_fine in zip(estimates, smoothed.known, fine, strict=True)
    ]
    return _attitude_table(estimates, parts, modes)


def _attitude_table(
    estimates: Sequence[AttitudeEstimate], parts: Sequence[FloatArray], modes: Sequence[str]
) -> pl.DataFrame:
    rows = (
        (*_time(estimate.gps_ms), *numbers, int(estimate.in_sun), mode)
        for estimate, numbers, mode in zip(estimates, np.concatenate(parts, axis=1).tolist(), modes, strict=True)
    )
    return _table((*_TIME, *_ATTITUDE_NUMBERS, "in_sun", "mode"), rows)


def formation_table(messages: Sequence[FormationMessage]) -> pl.DataFrame:
    """Return the states of partners relative to us in the messages of the flight software.

    There is one row per partner and time. A preliminary estimate for a time is replaced by the final one.
    """
    estimates: dict[tuple[int, int], FormationEstimate] = {}
    for message in messages:
        if isinstance(message, FormationEstimate):
            key = message.partner_id, message.gps_ms
            estimates.pop(key, None)
            estimates[key] = message
    rows: list[_Row] = []
    for row in estimates.values():
        covariance = row.covariance_rtn
        variances = None if covariance is None else [covariance[place] for place in _POSITION_VARIANCES]
        vectors = (row.position_rtn_m, row.velocity_rtn_mps, row.position_gcrf_m)
        numbers = (number for vector in vectors for number in vector or (None,) * 3)
        sigma_m = (None,) * 3 if variances is None else np.sqrt(variances).tolist()
        chi_squares = (row.chi2_best, row.chi2_mirror)
        identity = (row.partner_id, *_time(row.gps_ms))
        rows.append((*identity, *numbers, *sigma_m, row.range_bias_m, int(row.ambiguous), *chi_squares))
    return _table(FORMATION_COLUMNS, rows)


def orbit_table(timed: Sequence[TimedRecord]) -> pl.DataFrame:
    """Return the orbit states in the messages of the flight software, one row per GPS record with a time."""
    found = [record.estimate for record in timed]
    vectors = (*_ORBIT_VECTORS, "position_sigma_m", "velocity_sigma_mps")
    parts = [column((getattr(of, name, None) for of in found), 3) for name in vectors]
    parts.append(column(of.nis if of and of.nis_dof else None for of in found))
    accepted = [of is not None and of.accepted for of in found]
    return _orbit_table([record.gps_ms for record in timed], parts, accepted)


def solution_table(solution: OrbitSolution) -> pl.DataFrame:
    """Return the states of an orbit solution that is computed on the ground, with the columns of `orbit_table`."""
    parts = [*(getattr(solution, name) for name in _ORBIT_VECTORS), solution.sigma_ecef, solution.nis]
    return _orbit_table(solution.gps_ms.tolist(), parts, solution.accepted.tolist())


def _orbit_table(gps_ms: Sequence[int], parts: Sequence[FloatArray], accepted: Sequence[bool]) -> pl.DataFrame:
    rows = zip(gps_ms, np.column_stack(parts).tolist(), accepted, strict=True)
    return _table(ORBIT_COLUMNS, ((*_time(time), *numbers, int(is_accepted)) for time, numbers, is_accepted in rows))


def rejected_table(untimed: Sequence[UntimedRecord]) -> pl.DataFrame:
    """Return the GPS records without a time, with file, offset and cause."""
    return _table(UntimedRecord._fields, untimed)


def fixes_table(fixes: FixRecords) -> pl.DataFrame:
    """Return every GPS record with a time: file, offset, result, innovations in ITRF."""
    columns: dict[str, object] = {
        "seq": fixes.seq,
        "source": fixes.source,
        "offset": fixes.offset,
        "gps_week": fixes.gps_ms // MS_PER_WEEK,
        "gps_tow_s": fixes.gps_ms % MS_PER_WEEK / 1000.0,
        "t_spacecraft_s": [None if t_s < 0 else t_s for t_s in fixes.t_spacecraft_s.tolist()],
        "position_cause": fixes.position_cause,
        "velocity_cause": fixes.velocity_cause,
    }
    vectors = (
        ("innovation_{}_m", fixes.position.values),
        ("innovation_sigma_{}_m", fixes.position.sigmas),
        ("innovation_v{}_mps", fixes.velocity.values),
        ("innovation_sigma_v{}_mps", fixes.velocity.sigmas),
    )
    for name, values in vectors:
        columns |= {name.format(axis): values[:, index] for index, axis in enumerate("xyz")}
    columns["position_chi_square"] = fixes.position.chi_square
    columns["velocity_chi_square"] = fixes.velocity.chi_square
    columns["restarted"] = fixes.restarted.astype(np.int64)
    columns["spacecraft_to_gps_ms"] = fixes.spacecraft_to_gps_ms
    return pl.DataFrame(columns, schema_overrides={"t_spacecraft_s": pl.Int64}).fill_nan(None)


def all_tables(result: ReplayResult, collected: Collected) -> dict[str, pl.DataFrame]:
    """Return all tables by name; those of solutions that do not exist are missing."""
    tables = {"orbit": orbit_table(collected.timed)}
    if result.smoothed is not None:
        tables["orbit_smoothed"] = solution_table(result.smoothed)
    if result.batch is not None:
        tables["orbit_batch"] = solution_table(result.batch)
    tables["attitude"] = attitude_table(collected.samples)
    tables["attitude_smoothed"] = smoothed_table(collected.samples, result.attitude.smoothed, result.settings.attitude)
    if collected.partners:
        tables["formation"] = formation_table(collected.partners)
    return tables | {"rejected": rejected_table(result.untimed), "fixes": fixes_table(result.fixes)}


def write_tables(result: ReplayResult, collected: Collected, folder: Path, *, csv: bool) -> list[Path]:
    """Write all tables to a folder as Parquet and, if `csv` is set, as CSV; return their paths."""
    written: list[Path] = []
    for name, table in all_tables(result, collected).items():
        written.append(folder / f"{name}.parquet")
        table.write_parquet(written[-1])
        if csv:
            written.append(folder / f"{name}.csv")
            table.write_csv(written[-1])
    return written
