"""Calibration of the magnetometer by the strength of the field along the orbit: solution and output files."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pygnc.common.clock import utc_iso_from_gps_ms
from pygnc.configuration.data_files import MAIN_FIELD_TABLE, read_main_field
from pygnc.configuration.settings import Settings
from pygnc.estimators.attitude.magnetometer_calibration import Calibration, CalibrationError, calibrate
from pygnc.estimators.attitude.settings import MagnetometerSettings
from pygnc_ground.calibration.readings import FieldReadings, field_readings
from pygnc_ground.orbit.solution import FloatArray
from pygnc_ground.replay.files import RecordedFiles, flight_settings
from pygnc_ground.replay.inputs import ReplayError, from_files
from pygnc_ground.truth.load import load_attitude_truth
from pygnc_system.files import data_file


class Calibrated(NamedTuple):
    """Magnetometer calibration with its inputs."""

    readings: FieldReadings
    settings: MagnetometerSettings
    """Assumed errors."""
    calibration: Calibration
    true_bias_ut: FloatArray | None
    """True bias in sensor axes, shape (3,); None if unknown."""

    def write(self, folder: Path | str) -> list[Path]:
        """Write settings for `pygnc.toml`, statistics and figure to a folder, created if missing; return their paths.

        Raises:
            OSError: A file cannot be written.
        """
        from pygnc_ground.calibration.figure import write_figure  # noqa: PLC0415 - Matplotlib takes a second

        out = Path(folder)
        out.mkdir(parents=True, exist_ok=True)
        settings, statistics, figure = (out / f"calibration.{kind}" for kind in ("toml", "json", "png"))
        settings.write_text(_as_settings(self), encoding="utf-8")
        statistics.write_text(json.dumps(_as_json(self), indent=1) + "\n", encoding="utf-8")
        write_figure(self.readings, self.calibration, figure)
        return [settings, statistics, figure]


def calibrate_magnetometer(
    sense: Path | str | Sequence[Path | str],
    *,
    settings: Settings | Mapping[str, Any] | Path | str | None = None,
    truth: Path | str | None = None,
) -> Calibrated:
    """Estimate bias, scale and misalignment of the magnetometer from sense files of one satellite, without attitude.

    Args:
        sense: Sense files.
        settings: Settings of the flight software: a mapping with the structure of `pygnc.toml`, the path of such a
            file, or all settings.
        truth: Truth table of a scenario, to compare the bias with.

    Raises:
        OSError: A file cannot be read.
        ValueError: The readings do not determine the bias, or a file or setting is wrong; the message names the remedy.
    """
    paths = [Path(sense)] if isinstance(sense, Path | str) else [Path(path) for path in sense]
    context = RecordedFiles(given=flight_settings(settings)).context()
    true_ut = None if truth is None else _true_bias_ut(Path(truth))
    if folders := [path for path in paths if path.is_dir()]:
        raise ReplayError(f"{folders[0]}: is a folder; name the sense files in it")
    main_field = read_main_field(data_file(MAIN_FIELD_TABLE))
    inputs = from_files(paths, None, context.settings)
    readings = field_readings(inputs, context.settings, context.orientation, main_field)
    magnetometer = context.settings.attitude.magnetometer
    try:
        return Calibrated(readings, magnetometer, calibrate(*readings[1:4], magnetometer), true_ut)
    except CalibrationError as failure:
        raise CalibrationError(f"{', '.join(readings.sources)}: {failure}; add sense files") from None


def _true_bias_ut(path: Path) -> FloatArray:
    """Return the mean magnetometer bias in a scenario's truth table in uT, sensor axes, shape (3,).

    Raises:
        OSError: The file cannot be read.
        ValueError: The file is not a truth table with attitudes, or it is damaged.
    """
    truth = load_attitude_truth(path)
    if truth is None:
        raise ValueError(
            f"{path}: has no columns with the magnetometer bias; name truth.parquet of a scenario as the truth"
        )
    mean_ut: FloatArray = truth.rows.mag_bias_imu_ut.mean(axis=0)
    return mean_ut


def _as_settings(result: Calibrated) -> str:
    """Return the calibration as settings in TOML."""
    found, times = result.calibration, result.readings.gps_ms
    first, last = (utc_iso_from_gps_ms(int(gps_ms)) for gps_ms in (times.min(), times.max()))
    # An attitude search with 3 uT takes no longer than with a smaller value, and tolerates a bias that has changed by
    # 10 uT since the recording.
    bias_sigma_ut = max(3.0, 2.0 * float(found.bias_sigma_ut.max()))
    rows = ",\n".join(f"    {_numbers(row, 6)}" for row in found.matrix.tolist())
    lines = (
        f"# Made by pygnc calibrate-mag from {found.used.sum()} samples, {first} to {last}.",
        "# The true field is matrix (reading - bias_ut), in sensor axes.",
        "[attitude.magnetometer]",
        f"bias_ut = {_numbers(found.bias_ut.tolist(), 4)}  # sigma {_numbers(found.bias_sigma_ut.tolist(), 4)}",
        f"matrix = [\n{rows},\n]",
        f"bias_sigma_ut = {bias_sigma_ut:.1f}  # when a flight starts",
    )
    return "\n".join(lines) + "\n"


def _as_json(result: Calibrated) -> dict[str, object]:
    """Return the calibration, its covariance and its statistics."""
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
        "matrix_chi_square": found.matrix_chi_square,
        "bias_ut": found.bias_ut.tolist(),
        "bias_sigma_ut": found.bias_sigma_ut.tolist(),
        "matrix": found.matrix.tolist(),
        "parameters": ("bias_x_ut", "bias_y_ut", "bias_z_ut", "m_xx", "m_yy", "m_zz", "m_xy", "m_xz", "m_yz"),
        "covariance": found.covariance.tolist(),
        "noise_ut": found.noise_ut,
        "field_error_assumed_ut": result.settings.field_error_ut,
        "strength_residual_rms_before_ut": found.rms_before_ut,
        "strength_residual_rms_after_ut": found.rms_after_ut,
    }
    if result.true_bias_ut is not None:
        content["bias_error_ut"] = (found.bias_ut - result.true_bias_ut).tolist()
    return content


def _numbers(values: list[float], decimals: int) -> str:
    return f"[{', '.join(f'{value:.{decimals}f}' for value in values)}]"
