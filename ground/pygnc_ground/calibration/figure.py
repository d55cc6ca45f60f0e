"""Figure of a magnetometer calibration: field strength and sphere of the readings, before and after."""

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.gridspec import SubplotSpec

from pygnc.estimators.attitude.magnetometer_calibration import Calibration
from pygnc_ground.calibration.readings import FieldReadings
from pygnc_ground.orbit.solution import BoolArray, FloatArray
from pygnc_ground.report import traces
from pygnc_ground.report.axes import MS_PER_HOUR, TimeAxis, midnight_before
from pygnc_ground.report.style import FILTER, LIMIT, OF_ESTIMATE, PAGE, REJECTED, WIDTH_IN, report_style

_BEFORE: Final = OF_ESTIMATE["smoother"]
_AFTER: Final = FILTER
_DOT: Final = 1.4


def write_figure(readings: FieldReadings, found: Calibration, path: Path) -> None:
    """Write the figure as PNG; equal results give equal bytes with the same version of Matplotlib.

    Raises:
        OSError: The file cannot be written.
    """
    with report_style():
        figure = Figure(figsize=(WIDTH_IN, 9.6), facecolor=PAGE)
        FigureCanvasAgg(figure)
        _draw(figure, readings, found)
        figure.savefig(path, format="png", dpi=160, metadata={"Software": None})


def _draw(figure: Figure, readings: FieldReadings, found: Calibration) -> None:
    corrected_ut = found.corrected_ut(readings.mag_imu_ut)
    strength_ut = np.linalg.norm(readings.field_gcrf_ut, axis=1)
    stages = (
        (readings.mag_imu_ut, "Measured", found.rms_before_ut, _BEFORE),
        (corrected_ut, "Calibrated", found.rms_after_ut, _AFTER),
    )
    zero = midnight_before(int(readings.gps_ms.min()))
    order = np.argsort(readings.gps_ms, kind="stable")
    time = TimeAxis((readings.gps_ms - zero) / MS_PER_HOUR, order, zero, 1.0 / 60.0)
    rows = figure.add_gridspec(
        4, 1, height_ratios=(1.0, 1.0, 2.2, 2.2), hspace=0.42, left=0.07, right=0.98, top=0.93, bottom=0.05
    )
    over_time = []
    for row, (field_ut, name, rms_ut, colour) in enumerate(stages):
        residual_ut = np.linalg.norm(field_ut, axis=1) - strength_ut
        left, right = _panels(figure, rows[row], (3.2, 1.0))
        left.set_title(f"{name}: field strength minus model, RMS {rms_ut:.2f} µT", fontweight="bold")
        left.set_ylabel("residual [µT]")
        _residuals(left, time, residual_ut, found.used, colour)
        _histogram(right, residual_ut[found.used], colour, found.noise_ut if row else None)
        over_time.append(left)
    time.label_axes(over_time, bottom=over_time)
    for row, (field_ut, name, _, colour) in enumerate(stages, start=2):
        scaled = field_ut / strength_ut[:, np.newaxis]
        limit = 1.08 * max(1.0, float(np.abs(scaled[found.used]).max()))
        panels = _panels(figure, rows[row], (1.0, 1.0, 1.0))
        for axes, (across, up) in zip(panels, ((0, 1), (0, 2), (1, 2)), strict=True):
            _plane(axes, scaled[:, [across, up]], found.used, colour, limit)
            axes.set_xlabel(f"{'xyz'[across]}, sensor axes", labelpad=1.0)
            axes.set_ylabel("xyz"[up], labelpad=0.0)
        title = f"{name}: readings divided by the field strength; without bias none lies outside the circle"
        panels[0].set_title(title, fontweight="bold")
    entries = [
        ("dot", _BEFORE, "measured"),
        ("dot", _AFTER, "calibrated"),
        ("cross", REJECTED, "excluded"),
        ("dashed", LIMIT, "modelled field, and normal distribution of the noise"),
    ]
    traces.legend(figure, entries, top=0.972)
    figure.text(0.012, 0.992, _summary(found), va="top", fontweight="bold")


def _summary(found: Calibration) -> str:
    axes = zip("xyz", found.bias_ut.tolist(), found.bias_sigma_ut.tolist(), strict=True)
    bias = ", ".join(f"{axis} {value:.2f} ± {sigma:.2f}" for axis, value, sigma in axes)
    scale = ", ".join(f"{value:.4f}" for value in found.matrix.diagonal().tolist())
    scale_text = f"scale {scale} ± {found.matrix_sigma[:3].max():.4f}"
    return f"Magnetometer bias {bias} µT (sensor axes), {scale_text}; {found.used.sum()} of {len(found.used)} samples"


def _panels(figure: Figure, place: SubplotSpec, widths: tuple[float, ...]) -> list[Axes]:
    grid = place.subgridspec(1, len(widths), width_ratios=widths, wspace=0.22)
    return [figure.add_subplot(grid[0, column]) for column in range(len(widths))]


def _residuals(axes: Axes, time: TimeAxis, residual_ut: FloatArray, used: BoolArray, colour: str) -> None:
    limit = 1.15 * float(np.abs(residual_ut[used]).max())
    axes.set_ylim(-limit, limit)
    traces.level(axes, 0.0)
    axes.plot(time.hours[used], residual_ut[used], "o", color=colour, markersize=_DOT, markeredgewidth=0.0)
    if not used.all():
        traces.rejected(axes, traces.trace(time, np.where(used, np.nan, residual_ut)))


def _histogram(axes: Axes, residual_ut: FloatArray, colour: str, noise_ut: float | None) -> None:
    """Draw the histogram of the residuals and, if the noise is known, its normal distribution."""
    _, edges, _ = axes.hist(residual_ut, bins=60, color=colour, alpha=0.75)
    axes.set_title("Samples", fontweight="bold")
    axes.set_xlabel("residual [µT]", labelpad=1.0)
    if noise_ut is not None:
        x = np.linspace(edges[0], edges[-1], 200)
        height = len(residual_ut) * (edges[1] - edges[0]) / (noise_ut * np.sqrt(2.0 * np.pi))
        axes.plot(x, height * np.exp(-0.5 * np.square(x / noise_ut)), color=LIMIT, linestyle=(0, (4, 2)))


def _plane(axes: Axes, scaled: FloatArray, used: BoolArray, colour: str, limit: float) -> None:
    """Draw two components of the samples; a sample on the sphere of the field lies within the circle."""
    axes.set_aspect("equal")
    axes.set_xlim(-limit, limit)
    axes.set_ylim(-limit, limit)
    axes.plot(*scaled[used].T, "o", color=colour, markersize=_DOT, markeredgewidth=0.0)
    axes.plot(*scaled[~used].T, "x", color=REJECTED, markersize=3.6, markeredgewidth=0.9)
    angle = np.linspace(0.0, 2.0 * np.pi, 361)
    axes.plot(np.cos(angle), np.sin(angle), color=LIMIT, linestyle=(0, (4, 2)))
