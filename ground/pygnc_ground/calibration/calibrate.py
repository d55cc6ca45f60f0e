"""A calibration of recorded readings, and the files that tell of it."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import polars as pl

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.estimators.attitude.calibration import Calibration, CalibrationFailed, calibrate
from pygnc.estimators.attitude.calibration_settings import CalibrationSettings
from pygnc_ground.calibration.readings import FieldReadings
from pygnc_ground.orbit.solution import FloatArray

_TRUE_BIAS: Final = tuple(f"{axis}_mag_bias_imu_ut" for axis in "xyz")
_START_SIGMA_UT: Final = 3.0
"""At least. A start takes no longer than with less, and bears a bias that has moved by 10 uT since the recording."""
_PARAMETERS: Final = ("bias_x_ut", "bias_y_ut", "bias_z_ut", "m_xx", "m_yy", "m_zz", "m_xy", "m_xz", "m_yz")


@dataclass(frozen=True, slots=True, eq=False)
class Calibrated:
    """A calibration with what it is of.

    Attributes:
        readings: What went in.
        settings: What was assumed and asked for.
        calibration: What came out.
        true_bias_ut: In sensor axes, shape (3,); None where it is not known.
    """

    readings: FieldReadings
    settings: CalibrationSettings
    calibration: Calibration
    true_bias_ut: FloatArray | None


def calibrated(
    readings: FieldReadings, settings: CalibrationSettings, true_bias_ut: FloatArray | None = None
) -> Calibrated:
    """Calibrate with these readings.

    Raises:
        CalibrationFailed: They do not tell the bias; the message names the files.
    """
    try:
        calibration = calibrate(readings.mag_imu_ut, readings.field_gcrf_ut, settings)
    except CalibrationFailed as failure:
        raise CalibrationFailed(f"{', '.join(readings.sources)}: {failure}; add files") from None
    return Calibrated(readings, settings, calibration, true_bias_ut)


def true_bias_ut(path: Path) -> FloatArray:
    """The bias in a scenario's table of truth (Parquet), in sensor axes, shape (3,).

    Raises:
        OSError: The file cannot be read.
        ValueError: It is no such table.
    """
    with path.open("rb") as file:
        try:
            table = pl.read_parquet(file, columns=list(_TRUE_BIAS))
        except (pl.exceptions.PolarsError, ValueError):
            raise ValueError(
                f"{path}: holds no bias of a magnetometer; --truth names a scenario's truth.parquet"
            ) from None
    if table.is_empty():
        raise ValueError(f"{path}: the table has no rows; make the scenario again")
    mean_ut: FloatArray = table.to_numpy().mean(axis=0)
    return mean_ut


def write_settings(result: Calibrated, path: Path) -> None:
    """Write what `pygnc.toml` takes over.

    Raises:
        OSError: The file cannot be written.
    """
    found = result.calibration
    rows = ",\n".join(f"    {_numbers(row, 6)}" for row in found.matrix.tolist())
    lines = (
        f"# Made by pygnc calibrate-mag from {found.used.sum()} samples, {_span(result)}.",
        "# The true field is matrix (reading - bias), both in sensor axes.",
        "[attitude.magnetometer]",
        f"bias_ut = {_numbers(found.bias_ut.tolist(), 4)}  # sigma {_numbers(found.bias_sigma_ut.tolist(), 4)}",
        f"matrix = [\n{rows},\n]",
        f"bias_sigma_ut = {max(_START_SIGMA_UT, 2.0 * float(found.bias_sigma_ut.max())):.1f}  # when a flight starts",
    )
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_json(result: Calibrated, path: Path) -> None:
    """Write all figures with the covariance, for programs.

    Raises:
        OSError: The file cannot be written.
    """
    found, readings = result.calibration, result.readings
    content: dict[str, object] = {
        "sources": readings.sources,
        "first_gps_ms": int(readings.gps_ms.min()),
        "last_gps_ms": int(readings.gps_ms.max()),
        "samples": readings.samples,
        "samples_repeated": readings.repeated,
        "samples_untimed": readings.untimed,
        "samples_unplaced": readings.unplaced,
        "samples_used": int(found.used.sum()),
        "converged": found.converged,
        "matrix_estimated": found.full,
        "bias_ut": found.bias_ut.tolist(),
        "bias_sigma_ut": found.bias_sigma_ut.tolist(),
        "matrix": found.matrix.tolist(),
        "parameters": _PARAMETERS,
        "covariance": found.covariance.tolist(),
        "noise_ut": found.noise_ut,
        "field_error_assumed_ut": result.settings.field_error_ut,
        "strength_residual_rms_before_ut": found.rms_before_ut,
        "strength_residual_rms_after_ut": found.rms_after_ut,
    }
    if result.true_bias_ut is not None:
        content["bias_error_ut"] = (found.bias_ut - result.true_bias_ut).tolist()
    path.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def _span(result: Calibrated) -> str:
    gps_ms = result.readings.gps_ms
    return f"{utc_iso_from_gps_ms(int(gps_ms.min()))} to {utc_iso_from_gps_ms(int(gps_ms.max()))}"


def _numbers(values: list[float], decimals: int) -> str:
    return f"[{', '.join(f'{value:.{decimals}f}' for value in values)}]"
