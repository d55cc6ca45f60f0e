"""The tables of attitudes: a row for each sensor sample, of the flight's filter or smoothed.

GPS week and seconds of the week; the quaternion that takes body components to GCRF (Hamilton's, scalar first); the body
rate without what is known of the bias; biases of gyro and magnetometer in the sensor's own axes; standard deviations of
the attitude about the body axes; whether the Sun shines; and how well the attitude is known. Empty fields stand for
what is not known.
"""

from collections.abc import Sequence
from typing import Final, TypeAlias

import numpy as np
import polars as pl

from pygnc.bus.messages import AttitudeEstimate
from pygnc.common.clock import MS_PER_WEEK
from pygnc.estimators.attitude.filter import Mode
from pygnc.estimators.attitude.settings import AttitudeSettings
from pygnc_ground.attitude.solution import AttitudeSolution
from pygnc_ground.replay.attitude_collect import SampleRecord

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
    """The filter's attitudes, of the flight's own messages."""
    estimates = [record.estimate for record in records]
    return _table(estimates, [_flown(estimate) for estimate in estimates], [estimate.mode for estimate in estimates])


def smoothed_table(
    records: Sequence[SampleRecord], smoothed: AttitudeSolution, settings: AttitudeSettings
) -> pl.DataFrame:
    """The attitudes that follow from all samples, before and after each; `mode` tells it of the smoothed ones."""
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
    return _table(estimates, np.concatenate(parts, axis=1).tolist(), modes)


def _flown(estimate: AttitudeEstimate) -> _Row:
    return (
        *(estimate.quaternion_gcrf_from_body or _UNKNOWN),
        *estimate.rate_body_rad_s,
        *(estimate.gyro_bias_imu_rad_s or _UNKNOWN[:3]),
        *(estimate.mag_bias_imu_ut or _UNKNOWN[:3]),
        *(estimate.sigma_rad or _UNKNOWN[:3]),
    )


def _table(estimates: Sequence[AttitudeEstimate], rows: Sequence[_Row], modes: Sequence[str]) -> pl.DataFrame:
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
