"""The table of the partners: a row for each partner and moment at which something concerning it was measured.

Relative means partner minus self: along the radial, transverse and normal axes of our orbit, rates in these turning
axes, and in GCRF. While `ambiguous`, another orbit fits as well. Empty fields stand for what is not known.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np
import polars as pl

from pygnc.bus.messages import FormationEstimate, FormationMessage
from pygnc.common.clock import MS_PER_WEEK

FORMATION_COLUMNS: Final = (
    *("partner", "gps_week", "gps_tow_s"),
    *("r_m", "t_m", "n_m", "vr_mps", "vt_mps", "vn_mps"),
    *("x_gcrf_m", "y_gcrf_m", "z_gcrf_m"),
    *("sigma_r_m", "sigma_t_m", "sigma_n_m", "range_bias_m"),
    *("ambiguous", "chi2_best", "chi2_mirror"),
)
_UNKNOWN: Final = (float("nan"),) * 3
_POSITION_VARIANCES: Final = [0, 2, 5]
"""In the lower triangle of a covariance."""


def formation_table(messages: Sequence[FormationMessage]) -> pl.DataFrame:
    """The partners' places, of the flight's own messages."""
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
    sigma_m = _UNKNOWN if covariance is None else np.sqrt([covariance[place] for place in _POSITION_VARIANCES])
    bias_m = float("nan") if row.range_bias_m is None else row.range_bias_m
    vectors = (row.position_rtn_m, row.velocity_rtn_mps, row.position_gcrf_m)
    return (*(number for vector in vectors for number in (vector or _UNKNOWN)), *sigma_m, bias_m)
