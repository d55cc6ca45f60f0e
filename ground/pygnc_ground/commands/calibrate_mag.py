"""`pygnc calibrate-mag`: estimate bias, scale and misalignment of the magnetometer from recorded files."""

from pathlib import Path
from typing import Annotated, Final

import typer

import pygnc_ground as pg
from pygnc_cli.application import Application
from pygnc_cli.files import echo_files, report_user_errors

app: Final = Application()

_NOISE_FACTOR: Final = 1.5
"""Noise above this multiple of the settings' noise is reported."""


@app.command(example="pygnc calibrate-mag sense.bin --out calibration")
def calibrate_mag(
    sense: Annotated[list[Path], typer.Argument(metavar="SENSE...", help="Sense files of one satellite.")],
    out: Annotated[Path, typer.Option(help="Folder for settings, statistics and plot; it is created if missing.")],
    *,
    config: Annotated[Path | None, typer.Option(help="Settings (TOML) as for main.py.")] = None,
    truth: Annotated[Path | None, typer.Option(help="truth.parquet of a scenario, to compare the bias with.")] = None,
) -> None:
    """Calibrate the magnetometer by the strength of the geomagnetic field along the orbit, without attitude."""
    with report_user_errors("pygnc calibrate-mag"):
        result = pg.calibrate_magnetometer(sense, settings=config, truth=truth)
        paths = result.write(out)
    _print_summary(result)
    echo_files(paths)


def _print_summary(result: "pg.Calibrated") -> None:
    found, readings = result.calibration, result.readings
    used = int(found.used.sum())
    typer.echo(
        f"{readings.samples} samples: {used} used, {readings.repeated} repeated, {readings.untimed} without a time,"
        f" {readings.unplaced} without a position, {len(readings.gps_ms) - used} that do not fit"
    )
    axes = zip("xyz", found.bias_ut.tolist(), found.bias_sigma_ut.tolist(), strict=True)
    typer.echo(f"bias, sensor axes: {', '.join(f'{axis} {bias:.3f} ± {sigma:.3f}' for axis, bias, sigma in axes)} uT")
    if result.true_bias_ut is not None:
        errors = (found.bias_ut - result.true_bias_ut).tolist()
        errors_text = ", ".join(f"{axis} {error:.3f}" for axis, error in zip("xyz", errors, strict=True))
        typer.echo(f"bias minus truth: {errors_text} uT")
    scale = ", ".join(f"{value:.5f}" for value in found.matrix.diagonal().tolist())
    typer.echo(f"scale: {scale} ± {found.matrix_sigma[:3].max():.5f}, matrix in calibration.toml")
    if not found.is_plausible:
        typer.echo("scale or misalignment exceed attitude.magnetometer.matrix_sigma: increase it and calibrate again")
    typer.echo(
        f"field strength, measured minus modelled: RMS {found.rms_before_ut:.2f} uT, {found.rms_after_ut:.2f} uT after"
    )
    noise_ut = result.settings.noise_ut
    if found.noise_ut > _NOISE_FACTOR * noise_ut:
        typer.echo(
            f"the readings scatter by {found.noise_ut:.2f} uT, the sensor's noise is {noise_ut:.2f} uT; likely causes:"
            " varying currents nearby, or errors of the field model"
        )
    if not found.converged:
        typer.echo("the iteration did not converge: do not use this result")
