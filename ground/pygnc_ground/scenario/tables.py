"""Tables of truth as Parquet files, with the units at the end of the columns' names.

Frames and time scale: `gps_week` and `gps_tow_ms` are GPS time (no leap seconds; 18 s ahead of UTC since 2017). `ecef`
is ITRF, its velocities relative to the rotating Earth; `gcrf` is GCRF. Quaternions are scalar first and take body to
GCRF components; body rates are relative to GCRF. Biases are in the sensor's own axes (`imu`). The sunlit fraction is
that of the Sun's disc, 0 in the umbra.
"""

import io
from dataclasses import fields
from typing import Any, Final

import numpy.typing as npt
import polars as pl

from pygnc.common.clock import MS_PER_WEEK
from pygnc_ground.scenario.ranging import TrueRanges
from pygnc_ground.scenario.true_states import TrueStates

METADATA: Final = {
    "time_scale": "GPS: gps_week (not modulo 1024) and gps_tow_ms, milliseconds of the week; no leap seconds",
    "frames": "ecef: ITRF, velocities relative to the rotating Earth; gcrf: GCRF; body: the satellite; imu: the sensor",
    "rotations": "quaternions scalar first, body to GCRF components; body rates relative to GCRF",
    "units": "at the end of each column's name",
}
"""Key-value metadata of both files."""

_VECTORS: Final = {
    "position_ecef_m": ("{}_ecef_m", "xyz"),
    "velocity_ecef_mps": ("v{}_ecef_mps", "xyz"),
    "position_gcrf_m": ("{}_gcrf_m", "xyz"),
    "velocity_gcrf_mps": ("v{}_gcrf_mps", "xyz"),
    "quaternion_gcrf_from_body": ("q{}_gcrf_from_body", "wxyz"),
    "rate_body_rad_s": ("{}_rate_body_rad_s", "xyz"),
    "gyro_bias_imu_rad_s": ("{}_gyro_bias_imu_rad_s", "xyz"),
    "mag_bias_imu_ut": ("{}_mag_bias_imu_ut", "xyz"),
}
"""Names of the columns, and their components, by the field of `TrueStates`; one that it lacks has no columns."""


def truth_table(states: TrueStates, every: int) -> pl.DataFrame:
    """Time, orbit in both frames, attitude, biases, sunlight; a row for every `every`-th sample, the last of each."""
    columns: dict[str, npt.NDArray[Any]] = {
        "gps_week": states.gps_ms // MS_PER_WEEK,
        "gps_tow_ms": states.gps_ms % MS_PER_WEEK,
    }
    known = {field.name for field in fields(states)}
    for vector, (name, components) in _VECTORS.items():
        if vector in known:
            values = getattr(states, vector)
            columns |= {name.format(component): values[:, index] for index, component in enumerate(components)}
    columns["sunlit_fraction"] = states.sunlit_fraction
    return pl.DataFrame({name: values[every - 1 :: every] for name, values in columns.items()})


def range_truth_table(truth: TrueRanges) -> pl.DataFrame:
    """True distances and the pairs' delays, one row per range packet in the order of the packets before any damage."""
    return pl.DataFrame(
        {
            "gps_week": truth.gps_ms // MS_PER_WEEK,
            "gps_tow_ms": truth.gps_ms % MS_PER_WEEK,
            "partner_id": truth.partner_id,
            "distance_m": truth.distance_m,
            "delay_bias_m": truth.delay_bias_m,
        }
    )


def parquet(table: pl.DataFrame) -> bytes:
    """The table as a Parquet file that says itself what its columns mean."""
    file = io.BytesIO()
    table.write_parquet(file, metadata=METADATA)
    return file.getvalue()
