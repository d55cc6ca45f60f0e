"""Tables of truth as gzipped CSV: readable everywhere, and the same bytes for the same numbers.

Decimals are fixed per unit, finer than any estimator can see: 0.1 mm, 0.1 um/s, 1e-10 rad/s, 1e-10 of a quaternion.
"""

import gzip
import io
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from pygnc.common.clock import MS_PER_WEEK
from pygnc_ground.scenario.generate import TrueRanges
from pygnc_ground.scenario.true_states import TrueStates

Table: TypeAlias = dict[str, npt.NDArray[Any]]
"""Columns of equal length by name; the end of a name is its unit."""

_DECIMALS: Final = {"_m": 4, "_mps": 7, "_rad_s": 10, "_fraction": 6, "_gcrf_from_body": 10}
"""By the end of a column's name; whole numbers have none."""


def truth_table(states: TrueStates, every: int) -> Table:
    """Time, orbit in both frames, attitude and sunlight; one row for every `every`-th sample, the last of each group.

    ECEF is ITRF; quaternions are scalar first and take body to GCRF components; rates are relative to GCRF.
    """
    columns: Table = {"gps_week": states.gps_ms // MS_PER_WEEK, "gps_tow_ms": states.gps_ms % MS_PER_WEEK}
    vectors = (
        ("{}_ecef_m", "xyz", states.position_ecef_m),
        ("v{}_ecef_mps", "xyz", states.velocity_ecef_mps),
        ("{}_gcrf_m", "xyz", states.position_gcrf_m),
        ("v{}_gcrf_mps", "xyz", states.velocity_gcrf_mps),
        ("q{}_gcrf_from_body", "wxyz", states.quaternion_gcrf_from_body),
        ("{}_rate_body_rad_s", "xyz", states.rate_body_rad_s),
    )
    for name, components, values in vectors:
        columns |= {name.format(component): values[:, index] for index, component in enumerate(components)}
    columns["sunlit_fraction"] = states.sunlit_fraction
    return {name: values[every - 1 :: every] for name, values in columns.items()}


def range_truth_table(truth: TrueRanges) -> Table:
    """True distances, one row per range packet in the order of the packets."""
    partners = len(truth.partner_id)
    gps_ms = np.repeat(truth.gps_ms, partners)
    return {
        "gps_week": gps_ms // MS_PER_WEEK,
        "gps_tow_ms": gps_ms % MS_PER_WEEK,
        "partner_id": np.tile(truth.partner_id, len(truth.gps_ms)),
        "distance_m": truth.distance_m.ravel(),
    }


def csv_gz(table: Table) -> bytes:
    """The table as gzipped CSV with one header line."""
    text = io.StringIO()
    formats = [_format(name, values) for name, values in table.items()]
    rows = np.column_stack(list(table.values()))
    np.savetxt(text, rows, fmt=formats, delimiter=",", header=",".join(table), comments="")
    # Without a time stamp, so that equal tables are equal files.
    return gzip.compress(text.getvalue().encode(), mtime=0)


def _format(name: str, values: npt.NDArray[Any]) -> str:
    if values.dtype.kind == "i":
        return "%d"
    decimals = next(decimals for end, decimals in _DECIMALS.items() if name.endswith(end))
    return f"%.{decimals}f"
