"""Tables of a replay as Parquet and CSV files. Empty fields stand for unknown values.

`orbit`, `orbit_smoothed` and `orbit_batch` have the same columns: GPS week and seconds of the week; position and
velocity in ITRF ("ecef") and GCRF at that time; standard deviations of the ITRF state; the normalised innovation
squared of the used measurements (after smoothing and in the batch: of the residuals); and whether any of the record was
used.

`attitude` and `attitude_smoothed` have one row per sensor sample: GPS week and seconds of the week; the quaternion from
body to GCRF (Hamilton convention, scalar first); the body rate without the known bias; biases of gyro and magnetometer
in sensor axes; standard deviations of the attitude about the body axes; the sunlight flag; and the state of the
attitude.

`formation` has one row per partner and time at which something concerning the partner was measured. Relative means
partner minus self, along the radial, transverse and normal axes of our orbit, with rates in these rotating axes.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, TypeAlias

import numpy as np
import polars as pl

from pygnc.bus.messages import AttitudeEstimate, FormationEstimate, FormationMessage
from pygnc.common.clock import MS_PER_WEEK
from pygnc.estimators.attitude.filter import Mode
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.orbit.solution import FloatArray, OrbitSolution
from pygnc_ground.replay.collect import Collected, SampleRecord, TimedRecord
from pygnc_ground.replay.result import FixRecords, ReplayResult, UntimedRecord

_NUMBERS: Final = (
    *("q_w", "q_x", "q_y", "q_z"),
    *("wx_rad_s", "wy_rad_s", "wz_rad_s"),
    *("bgx_rad_s", "bgy_rad_s", "bgz_rad_s"),
    *("bmx_ut", "bmy_ut", "bmz_ut"),
    *("sigma_x_rad", "sigma_y_rad", "sigma_z_rad"),
)

_Row: TypeAlias = tuple[float, ...]
_UNKNOWN: Final = (float("nan"),) * 4


def attitude_table(records: Sequence[SampleRecord]) -> pl.DataFrame:
    """Return the filter's attitudes from the flight's messages."""
    estimates = [record.estimate for record in records]
    return _attitude_table(
        estimates, [_flown(estimate) for estimate in estimates], [estimate.mode for estimate in estimates]
    )


def smoothed_table(
    records: Sequence[SampleRecord], smoothed: AttitudeSolution, settings: AttitudeSettings
) -> pl.DataFrame:
    """Return the smoothed attitudes; `mode` distinguishes them."""
    parts = (
        smoothed.quaternion,
        smoothed.rate_body_rad_s,
        smoothed.gyro_bias_imu_rad_s,
        smoothed.mag_bias_imu_ut,
        smoothed.sigma_rad,
    )
    fine = smoothed.sigma_rss_rad < settings.start.fine_sigma_rad
    estimates = [record.estimate for record in records]
    modes = [
        (Mode.FINE if is_fine else Mode.COARSE).value if known else estimate.mode
        for estimate, known, is_fine in zip(estimates, smoothed.known, fine, strict=True)
    ]
    return _attitude_table(estimates, np.concatenate(parts, axis=1).tolist(), modes)


def _flown(estimate: AttitudeEstimate) -> _Row:
    return (
        *(estimate.quaternion_gcrf_from_body or _UNKNOWN),
        *estimate.rate_body_rad_s,
        *(estimate.gyro_bias_imu_rad_s or _UNKNOWN[:3]),
        *(estimate.mag_bias_imu_ut or _UNKNOWN[:3]),
        *(estimate.sigma_rad or _UNKNOWN[:3]),
    )


def _attitude_table(estimates: Sequence[AttitudeEstimate], rows: Sequence[_Row], modes: Sequence[str]) -> pl.DataFrame:
    times_ms = [estimate.gps_ms for estimate in estimates]
    numbers = np.array(rows, dtype=np.float64).reshape(-1, len(_NUMBERS))
    columns: dict[str, object] = {
        "gps_week": [None if gps_ms is None else gps_ms // MS_PER_WEEK for gps_ms in times_ms],
        "gps_tow_s": [None if gps_ms is None else gps_ms % MS_PER_WEEK / 1000.0 for gps_ms in times_ms],
    }
    columns |= dict(zip(_NUMBERS, numbers.T, strict=True))
    columns |= {"in_sun": [int(estimate.in_sun) for estimate in estimates], "mode": list(modes)}
    overrides = {"gps_week": pl.Int64, "gps_tow_s": pl.Float64, "in_sun": pl.Int64, "mode": pl.String}
    return pl.DataFrame(columns, schema_overrides=overrides).fill_nan(None)


FORMATION_COLUMNS: Final = (
    *("partner", "gps_week", "gps_tow_s"),
    *("r_m", "t_m", "n_m", "vr_mps", "vt_mps", "vn_mps"),
    *("x_gcrf_m", "y_gcrf_m", "z_gcrf_m"),
    *("sigma_r_m", "sigma_t_m", "sigma_n_m", "range_bias_m"),
    *("ambiguous", "chi2_best", "chi2_mirror"),
)
_UNKNOWN_RTN: Final = (float("nan"),) * 3
_POSITION_VARIANCES: Final = [0, 2, 5]
"""Indices of the variances in the lower triangle of a covariance."""


def formation_table(messages: Sequence[FormationMessage]) -> pl.DataFrame:
    """Return the partners' relative states from the flight's messages."""
    rows = [message for message in messages if isinstance(message, FormationEstimate)]
    numbers = np.array([_numbers(row) for row in rows], dtype=np.float64).reshape(-1, 13)
    columns: dict[str, object] = {
        "partner": [row.partner_id for row in rows],
        "gps_week": [row.gps_ms // MS_PER_WEEK for row in rows],
        "gps_tow_s": [row.gps_ms % MS_PER_WEEK / 1000.0 for row in rows],
    }
    columns |= dict(zip(FORMATION_COLUMNS[3:16], numbers.T, strict=True))
    columns["ambiguous"] = [int(row.ambiguous) for row in rows]
    columns["chi2_best"] = [row.chi2_best for row in rows]
    columns["chi2_mirror"] = [row.chi2_mirror for row in rows]
    whole = dict.fromkeys(("partner", "gps_week", "ambiguous"), pl.Int64)
    overrides = whole | dict.fromkeys(("gps_tow_s", "chi2_best", "chi2_mirror"), pl.Float64)
    return pl.DataFrame(columns, schema_overrides=overrides).fill_nan(None)


def _numbers(row: FormationEstimate) -> tuple[float, ...]:
    covariance = row.covariance_rtn
    sigma_m = _UNKNOWN_RTN if covariance is None else np.sqrt([covariance[place] for place in _POSITION_VARIANCES])
    bias_m = float("nan") if row.range_bias_m is None else row.range_bias_m
    vectors = (row.position_rtn_m, row.velocity_rtn_mps, row.position_gcrf_m)
    return (*(number for vector in vectors for number in (vector or _UNKNOWN_RTN)), *sigma_m, bias_m)


STATE_COLUMNS: Final = (
    *("x_ecef_m", "y_ecef_m", "z_ecef_m", "vx_ecef_mps", "vy_ecef_mps", "vz_ecef_mps"),
    *("x_gcrf_m", "y_gcrf_m", "z_gcrf_m", "vx_gcrf_mps", "vy_gcrf_mps", "vz_gcrf_mps"),
    *("sigma_x_m", "sigma_y_m", "sigma_z_m", "sigma_vx_mps", "sigma_vy_mps", "sigma_vz_mps"),
)
ORBIT_COLUMNS: Final = ("gps_week", "gps_tow_s", *STATE_COLUMNS, "nis", "accepted")


def orbit_table(timed: Sequence[TimedRecord]) -> pl.DataFrame:
    """Return the filter's orbit from the flight's messages."""
    states = np.full((len(timed), len(STATE_COLUMNS)), np.nan)
    nis = np.full(len(timed), np.nan)
    accepted = np.zeros(len(timed), dtype=np.int64)
    for row, record in enumerate(timed):
        estimate = record.estimate
        if estimate is not None:
            ecef = (*estimate.position_ecef_m, *estimate.velocity_ecef_mps)
            gcrf = (*estimate.position_gcrf_m, *estimate.velocity_gcrf_mps)
            states[row] = (*ecef, *gcrf, *estimate.position_sigma_m, *estimate.velocity_sigma_mps)
            nis[row] = estimate.nis if estimate.nis_dof else np.nan
            accepted[row] = estimate.accepted
    return _table(np.array([record.gps_ms for record in timed], dtype=np.int64), states, nis, accepted)


def solution_table(solution: OrbitSolution) -> pl.DataFrame:
    """Return an orbit computed on the ground."""
    parts = (
        solution.position_ecef_m,
        solution.velocity_ecef_mps,
        solution.position_gcrf_m,
        solution.velocity_gcrf_mps,
        solution.sigma_ecef,
    )
    return _table(solution.gps_ms, np.concatenate(parts, axis=1), solution.nis, solution.accepted.astype(np.int64))


def _table(
    gps_ms: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
    states: FloatArray,
    nis: FloatArray,
    accepted: np.ndarray[tuple[int, ...], np.dtype[np.int64]],
) -> pl.DataFrame:
    columns = {"gps_week": gps_ms // MS_PER_WEEK, "gps_tow_s": gps_ms % MS_PER_WEEK / 1000.0}
    columns |= dict(zip(STATE_COLUMNS, states.T, strict=True))
    return pl.DataFrame(columns | {"nis": nis, "accepted": accepted}).fill_nan(None)


def rejected_table(untimed: Sequence[UntimedRecord]) -> pl.DataFrame:
    """Return the GPS records without a time, with file, offset and cause."""
    return pl.DataFrame(
        {
            "seq": [record.seq for record in untimed],
            "source": [record.source for record in untimed],
            "offset": [record.offset for record in untimed],
            "t_spacecraft_s": [record.t_spacecraft_s for record in untimed],
            "cause": [record.cause for record in untimed],
        },
        schema={
            "seq": pl.Int64,
            "source": pl.String,
            "offset": pl.Int64,
            "t_spacecraft_s": pl.Int64,
            "cause": pl.String,
        },
    )


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
        ("innovation_{}_m", fixes.position_innovation_m),
        ("innovation_sigma_{}_m", fixes.position_innovation_sigma_m),
        ("innovation_v{}_mps", fixes.velocity_innovation_mps),
        ("innovation_sigma_v{}_mps", fixes.velocity_innovation_sigma_mps),
    )
    for name, values in vectors:
        columns |= {name.format(axis): values[:, index] for index, axis in enumerate("xyz")}
    columns["position_chi_square"] = fixes.position_chi_square
    columns["velocity_chi_square"] = fixes.velocity_chi_square
    columns["restarted"] = fixes.restarted.astype(np.int64)
    columns["spacecraft_to_gps_ms"] = fixes.spacecraft_to_gps_ms
    return pl.DataFrame(columns, schema_overrides={"t_spacecraft_s": pl.Int64}).fill_nan(None)


def write_tables(result: ReplayResult, collected: Collected, folder: Path, *, csv: bool) -> list[Path]:
    """Write all tables to a folder and return their paths."""
    tables = {"orbit": orbit_table(collected.timed)}
    if result.smoothed is not None:
        tables["orbit_smoothed"] = solution_table(result.smoothed)
    if result.batch is not None:
        tables["orbit_batch"] = solution_table(result.batch)
    tables["attitude"] = attitude_table(collected.samples)
    tables["attitude_smoothed"] = smoothed_table(collected.samples, result.attitude.smoothed, result.settings.attitude)
    if collected.partners:
        tables["formation"] = formation_table(collected.partners)
    tables |= {"rejected": rejected_table(result.untimed), "fixes": fixes_table(result.fixes)}
    written: list[Path] = []
    for name, table in tables.items():
        written.append(folder / f"{name}.parquet")
        table.write_parquet(written[-1])
        if csv:
            written.append(folder / f"{name}.csv")
            table.write_csv(written[-1])
    return written
