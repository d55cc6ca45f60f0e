"""Truth tables as written by scenarios."""

import gzip
import io

import numpy as np
import polars as pl

from pygnc_ground.truth.orbit_truth import FloatArray

MS_PER_WEEK = 604_800_000


def truth_table(gps_ms: np.ndarray, states: FloatArray) -> pl.DataFrame:
    """Return the necessary columns and one more."""
    names = ("x_ecef_m", "y_ecef_m", "z_ecef_m", "vx_ecef_mps", "vy_ecef_mps", "vz_ecef_mps")
    columns = {"gps_week": gps_ms // MS_PER_WEEK, "gps_tow_ms": gps_ms % MS_PER_WEEK}
    columns |= {name: states[:, column] for column, name in enumerate(names)}
    return pl.DataFrame(columns | {"qw_gcrf_from_body": np.ones(len(gps_ms))})


def parquet(table: pl.DataFrame) -> bytes:
    """The bytes of a Parquet file."""
    buffer = io.BytesIO()
    table.write_parquet(buffer)
    return buffer.getvalue()


def csv(table: pl.DataFrame) -> bytes:
    """The bytes of a CSV file."""
    return table.write_csv().encode()


def csv_gz(table: pl.DataFrame) -> bytes:
    """Return the gzipped bytes of a CSV file."""
    return gzip.compress(csv(table))
