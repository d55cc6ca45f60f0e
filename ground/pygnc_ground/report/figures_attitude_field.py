"""Figures: what magnetometer and faces said that the attitude filter did not expect."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np
from markupsafe import Markup

from pygnc.estimators.attitude.settings import MagnetometerSettings
from pygnc_ground.attitude.accuracy import NEES_DOF
from pygnc_ground.replay.attitude_result import AttitudeResult
from pygnc_ground.report import traces
from pygnc_ground.report.attitude_comparison import AttitudeEstimate
from pygnc_ground.report.drawing import Chart, panel_grid, to_svg
from pygnc_ground.report.eclipse import eclipses, shade
from pygnc_ground.report.figures_consistency import Squares, nees_squares, squares_chart
from pygnc_ground.report.figures_innovations import component_panels, distance_panel
from pygnc_ground.report.palette import FILTER, FILTER_BAND, LIMIT, REJECTED, SHADE
from pygnc_ground.report.time_axis import TimeAxis

_TITLE: Final = "Field residuals"


def field_residuals(result: AttitudeResult, settings: MagnetometerSettings, time: TimeAxis) -> Chart:
    """Innovations of the magnetometer per sensor axis, and their distance against the gate."""
    samples = result.samples
    if not np.isfinite(samples.field_chi_square).any():
        see = "The filter never had an attitude to predict the magnetometer's reading with."
        return Chart("field", _TITLE, see, "", Markup())
    gate = math.sqrt(settings.gate)
    figure, grid = panel_grid(2, 2, 1.3)
    x, y, z, distance = (axes for row in grid for axes in row)
    every = [x, y, z, distance]
    shade(every, eclipses(samples, time))
    values = (samples.field_innovation_ut, samples.field_innovation_sigma_ut)
    component_panels((x, y, z), time, samples.field_used, values, "µT", names="xyz")
    distance_panel(distance, time, samples.field_used, samples.field_chi_square, gate)
    time.label_axes(every, bottom=grid[1])
    traces.restarts(every, time, samples.found_again)
    traces.legend(
        figure,
        [
            ("dot", FILTER, "used"),
            ("cross", REJECTED, "not used"),
            ("arrow", REJECTED, "not used, beyond the panel"),
            ("band", FILTER_BAND, "3 σ expected"),
            ("dashed", LIMIT, f"gate √χ² = {gate:.2f}"),
            ("band", SHADE, "eclipse"),
        ],
    )
    return Chart(
        "field",
        _TITLE,
        "Magnetometer minus what the model of the Earth's field (IGRF), turned by the predicted attitude, and the "
        "bias make expect, in the sensor's axes, with three expected standard deviations. Below on the right the "
        "length of each in standard deviations, √χ² of 3 degrees of freedom, and the gate.",
        "Dots that swing with the body's rotation (the magnetometer's scale or its axes), that swing with the orbit "
        "(a time or an orbit that is wrong), steps (a current on board), rejections in a row (a wrong attitude).",
        to_svg(figure, "field", "Residuals of the magnetometer over time with their expected bands"),
    )


def attitude_consistency(result: AttitudeResult, found: Sequence[AttitudeEstimate], time: TimeAxis) -> Chart:
    """NIS of the filter and, with a truth, NEES of both estimates."""
    samples = result.samples
    rows = time.order[np.isfinite(samples.nis[time.order]) & (samples.dof[time.order] > 0)]
    innovations = Squares(
        name="NIS of the filter",
        colour=FILTER,
        independent=True,
        hours=time.hours[rows],
        squares=samples.nis[rows],
        dof=samples.dof[rows],
        usual_dof=None,
    )
    return squares_chart([innovations, *(_nees(one, time) for one in found)], time, "attitude-consistency", "sample")


def _nees(one: AttitudeEstimate, time: TimeAxis) -> Squares:
    return nees_squares(one.name, traces.trace(time, one.errors.nees, one.errors.row), NEES_DOF)
