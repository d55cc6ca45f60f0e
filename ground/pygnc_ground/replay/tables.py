"""The tables that a replay writes, as Parquet and, if wanted, CSV.

`orbit`, `orbit_smoothed` and `orbit_batch` have the same columns: GPS week and seconds of the week; position and
velocity in ITRF ("ecef") and GCRF, both valid at that time; standard deviations of the ITRF state; the normalised
innovation squared of what was used of the record (after smoothing and in the batch: the residual's); and whether any of
it was used. Empty fields stand for what is not known.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import polars as pl

from pygnc.common.clock import MS_PER_WEEK
from pygnc_ground.orbit.solution import FloatArray, OrbitSolution
from pygnc_ground.replay.attitude_tables import attitude_table, smoothed_table
from pygnc_ground.replay.collect import Collected, TimedRecord
from pygnc_ground.replay.formation_tables import formation_table
from pygnc_ground.replay.result import FixRecords, ReplayResult, UntimedRecord

STATE_COLUMNS: Final = (
    *("x_ecef_m", "y_ecef_m", "z_ecef_m", "vx_ecef_mps", "vy_ecef_mps", "vz_ecef_mps"),
    *("x_gcrf_m", "y_gcrf_m", "z_gcrf_m", "vx_gcrf_mps", "vy_gcrf_mps", "vz_gcrf_mps"),
    *("sigma_x_m", "sigma_y_m", "sigma_z_m", "sigma_vx_mps", "sigma_vy_mps", "sigma_vz_mps"),
)
ORBIT_COLUMNS: Final = ("gps_week", "gps_tow_s", *STATE_COLUMNS, "nis", "accepted")


def orbit_table(timed: Sequence[TimedRecord]) -> pl.DataFrame:
    """The filter's orbit, of the flight's own messages."""
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
    """An orbit of the ground's own."""
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
    """The GPS records without a time, each with its place and why it was not used."""
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
    """Every GPS record with a time: where it stands, what became of it, and its innovations in ITRF."""
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
    """Write all tables into a folder; return their paths."""
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
